"""Command lines as people write them: one line for each mistake, names in lists, ranges of numbers. No torch."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Final, NoReturn

from results.launch.plan.request import LARGEST
from splits.near import near, suggestion

MOST: Final = 10_000  # numbers of one range


class Parser(argparse.ArgumentParser):
    """As argparse's, but a mistake is one line that says what was meant and where the options stand; exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print the line and leave."""
        message = message.removeprefix("argument ").replace("the following arguments are required: ", "give also ")
        line = " ".join(message.split())
        self.exit(2, f"error: {line}{'' if line.endswith('?') else ';'} `{self.prog} --help` explains\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuse what is no option here, where the options are known by name: in the command's own parser."""
        found, extra = super().parse_known_args(args, namespace)
        if extra and self._subparsers is None:
            self.error(self._unknown(extra[0]))
        return found, extra

    def _unknown(self, word: str) -> str:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            return f"{word!r} belongs to no option"
        meant = near(name, [option for option in self._option_string_actions if option.startswith("--")])
        return f"there is no option {name}" + (f"; did you mean {' or '.join(meant)}?" if meant else "")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is not None and value not in choices:
            known = [str(choice) for choice in choices]
            if isinstance(action, argparse._SubParsersAction):
                self.error(f"no command is called {value!r}; {suggestion(str(value), known)}")
            raise argparse.ArgumentError(action, f"{value!r} is no choice; {suggestion(str(value), known)}")


class Listed(argparse.Action):
    """The values of an option each of whose words stands for several: those of all words, in order."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Set the option to the values of all its words."""
        setattr(namespace, self.dest, [value for word in values for value in word])


def numbers(text: str) -> list[int]:
    """Whole numbers of at least 0: one, several with commas, ranges with both ends.

    >>> numbers("3"), numbers("0,2"), numbers("0-2,5")
    ([3], [0, 2], [0, 1, 2, 5])
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first]
        if not all(end.isascii() and end.isdigit() for end in ends):
            raise argparse.ArgumentTypeError(
                f"expected whole numbers of at least 0, as in `0 1 2`, `0,1,2` or `0-2`; got {text!r}"
            )
        low, high = counted(ends[0]), counted(ends[-1])
        if low > high:
            raise argparse.ArgumentTypeError(f"expected a range from its lower end to its upper one; got {part!r}")
        if high - low >= MOST:
            raise argparse.ArgumentTypeError(f"expected a range of at most {MOST:,} numbers; got {part!r}")
        found += range(low, high + 1)
    return found


def counted(digits: str) -> int:
    """The whole number that digits say. Raises ArgumentTypeError for one above `LARGEST`."""
    if len(digits.lstrip("0")) > len(str(LARGEST)) or int(digits) > LARGEST:  # int() of thousands of digits fails
        raise argparse.ArgumentTypeError(f"expected a whole number below 2^63, got one of {len(digits)} digits")
    return int(digits)


def finite(text: str) -> float:
    """A number; nan and infinity are none.

    >>> finite("-0.5")
    -0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


def names(text: str) -> list[str]:
    """Names, several with commas; a file that is there is one name.

    >>> names("zegclip,clip"), names("clip")
    (['zegclip', 'clip'], ['clip'])
    """
    if "," not in text or Path(text).is_file():
        return [text]
    return [name for name in (part.strip() for part in text.split(",")) if name] or [text]
