"""Errors that are the user's to mend: shown as one line, never with a stack trace. Everything above may raise them."""


class UserError(Exception):
    """Something asked for cannot be; the message says what was seen, what was expected and what to do."""


class DataError(UserError):
    """A data set, image, mask or list is not what it should be."""
