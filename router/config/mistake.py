"""Mistakes in a configuration, each with its place.

Responsible for: what a mistake is, how it reads, how a place inside a document is written.
Does not know: YAML, the schema, or how mistakes are found.

Rules: imports nothing heavy (workers and the supervisor may import it); what came from the file is shown so that it
cannot disturb a terminal or a log line.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHOWN_CHARACTERS = 60
MAX_MISTAKES = 1000
ROOT = "$"


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong, and where.

    Attributes:
        file: the file as the user named it.
        line: line in it, from 1; 0 when the mistake belongs to no line (a file that cannot be read).
        path: place in the document, such as ``$.targets[1].endpoints[0]``; empty when there is none.
        message: what was found and what was expected.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """Write the mistake as ``file:line: path: message``, the form that editors make clickable."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used, with every mistake in it.

    Attributes:
        mistakes: The mistakes.
        files: Files and folders, other than the configuration itself, a change of which may mend it.
    """

    def __init__(self, mistakes: Iterable[Mistake], files: Iterable[Path] = ()) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        self.files: tuple[Path, ...] = tuple(files)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class Mistakes:
    """Collects the mistakes of one configuration.

    Per configuration: the name of its file, the uppermost of several, and what was found so far, ``MAX_MISTAKES`` at
    most.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Mistake] = []

    def add(self, line: int, path: str, message: str, file: str = "") -> None:
        """Note a mistake; ``file`` is where it is, when not in the configuration's own.

        Raises:
            ConfigError: when there are too many to be worth going on.
        """
        self.found.append(Mistake(file or self.file, line, path, message))
        if len(self.found) >= MAX_MISTAKES:
            raise self.fatal(0, "", f"has at least {MAX_MISTAKES} mistakes; the rest was not looked for")

    def fatal(self, line: int, path: str, message: str) -> ConfigError:
        """Make the error for a mistake after which nothing more can be said, with all found before it."""
        return ConfigError([*self.found, Mistake(self.file, line, path, message)])


def child(path: str, key: str | int) -> str:
    """Write the path of a key or an index below a path: ``$.a`` and ``b`` give ``$.a.b``, and 0 gives ``$.a[0]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{show(key)}]"


def show(value: object) -> str:
    """Show a value from a document in a message: as JSON, shortened, without characters that a terminal obeys."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 2] + '…"' if text.startswith('"') else text[: _SHOWN_CHARACTERS - 1] + "…"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
