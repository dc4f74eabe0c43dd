"""What a person reads of a mistake of theirs."""

from splits.errors import DataError, UserError


def test_one_line_whatever_was_seen() -> None:
    """Fails when a strange name breaks a message in two, cannot be printed, or when plain text is changed."""
    assert str(UserError("a 'b' é 𝕏 \\")) == "a 'b' é 𝕏 \\"
    assert str(DataError("image x\r\ny\udcff")) == "image x\\r\\ny\\udcff"
