"""The words of a condition's text, with their columns, and the mistake that names one.

Responsible for: what is a number, a word, a quoted name or a mark; how a mistake shows its place.
Does not know: the grammar (``condition_parser``).

Rules: pure. A mistake is one line that can be printed, with a caret before what is meant.
"""

import re
from typing import Final, NamedTuple

from router.config.mistake import show

_AROUND: Final = 20  # characters shown on each side of the place
_TOKEN: Final = re.compile(
    r"\s*(?:([0-9]{1,15}(?:\.[0-9]{1,15})?)|([A-Za-z][A-Za-z0-9._-]{0,79})|`([^`]{1,64})`|(>=|<=|[≥≤><()*×%/]))"  # noqa: RUF001 - people write it
)
_KINDS: Final = ("number", "word", "quoted", "mark")


class ConditionError(ValueError):
    """A text that is no condition.

    Attributes:
        column: Where, from 1.
    """

    def __init__(self, text: str, column: int, message: str) -> None:
        self.column = column
        start = max(0, column - 1 - _AROUND)
        around = f"{text[start : column - 1]}^{text[column - 1 : column - 1 + _AROUND]}"
        super().__init__(f"column {column}, at {show(around)}: {message}")


class Token(NamedTuple):
    """A word: its kind (``number``, ``word``, ``quoted``, ``mark``, ``end``), text, and column from 1."""

    kind: str
    text: str
    column: int


def tokens(text: str) -> list[Token]:
    """Split a text into words, the last of which is its end.

    Raises:
        ConditionError: If a character means nothing.
    """
    found: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        word = _TOKEN.match(text, at)
        if word is None:
            column = len(text) - len(text[at:].lstrip()) + 1
            raise ConditionError(text, column, f"{show(text[column - 1])} means nothing here")
        group = word.lastindex or 1
        found.append(Token(_KINDS[group - 1], word[group], word.start(group) + 1))
        at = word.end()
    return [*found, Token("end", "", end + 1)]
