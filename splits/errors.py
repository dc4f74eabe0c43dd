"""Errors that are the user's to mend: shown as one line, never with a stack trace. Everything above may raise them."""

import json
from pathlib import Path


class UserError(Exception):
    """What a person wants cannot be done; the message says what was seen, what was expected and what to do."""

    def __str__(self) -> str:
        """In one line, whatever was seen: line breaks in a file's name or a key come out as `\\n`."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class Diverged(UserError):
    """A training or its weights gave what is no number: the same again would end the same."""


class DataError(UserError):
    """A data set, image, mask or list is not what it should be."""


class AbsentData(DataError):
    """A data set, or all files of one part of it, are not there."""


def file_words(error: OSError) -> str:
    """Why a file cannot be read, in words.

    >>> file_words(FileNotFoundError(2, "No such file or directory"))
    'there is no such file'
    """
    known = {FileNotFoundError: "there is no such file", IsADirectoryError: "is a folder; expected a file"}
    known[PermissionError] = "you may not read it"
    return known.get(type(error)) or f"cannot be read ({error.strerror or type(error).__name__})"


def no_file_words(path: Path) -> str:
    """What stands in the place of a file that is to be read, in words.

    >>> no_file_words(Path("nowhere")), no_file_words(Path())
    ('there is no such file', 'is a folder; expected a file')
    """
    return file_words(IsADirectoryError() if path.is_dir() else FileNotFoundError())


def json_words(error: ValueError | RecursionError) -> str:
    """Where a text is no JSON, in words.

    >>> json_words(json.JSONDecodeError("Expecting value", "{", 1))
    'at line 1, column 2'
    """
    if isinstance(error, json.JSONDecodeError):
        return f"at line {error.lineno}, column {error.colno}"
    return "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else "it is nested too deep"
