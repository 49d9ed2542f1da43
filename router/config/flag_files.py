"""The flag files of a configuration.

Responsible for: which files the patterns mean, their bounds, evaluators shared between them, and making of them what a
revision holds, or every mistake in them.
Does not know: what may stand in a file (``flag_document``), what the configuration itself says.

Rules: all or nothing, like the configuration. The files make one set of flags: a key or an evaluator is in one of them
only, and an evaluator serves all. A pattern that matches nothing is a mistake, because a folder that has vanished must
not end every flag.
"""

import glob
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from router.config import flag_document, flag_rules
from router.config.flag_document import Document
from router.config.flag_references import FlagFiles
from router.config.flag_rules import Evaluators
from router.config.mistake import MAX_MISTAKES, ConfigError, Mistake, Mistakes, show
from router.config.parts import Report

MAX_FILES: Final = 64
MAX_BYTES: Final = 1024 * 1024  # of one file
MAX_ALL_BYTES: Final = 2 * 1024 * 1024  # every revision in the history holds them
MAX_FLAGS: Final = 2000


def read(patterns: Iterable[tuple[str, str]], report: Report) -> FlagFiles:
    """Read the flag files of a configuration.

    Args:
        patterns: Path of each in the configuration, and the pattern, absolute.
        report: Takes what is wrong with a pattern.
    """
    patterns = list(patterns)
    files = _expand(patterns, report)
    folders = tuple(dict.fromkeys(folder for _, pattern in patterns for folder in _folders(pattern)))
    found, broken, digests = _read_all(files)
    evaluators, names = _evaluators(found)
    for document in found:
        flag_document.check(document, evaluators, names)
    _unique(found, "flags", "flag")
    mistakes = (*broken, *(one for item in found for one in sorted(item.mistakes.found, key=lambda one: one.line)))
    sets = () if mistakes else tuple(_made(document, evaluators) for document in found)
    return FlagFiles(sets, files, folders, digests, mistakes[:MAX_MISTAKES])


def _expand(patterns: list[tuple[str, str]], report: Report) -> tuple[Path, ...]:
    files: dict[Path, None] = {}
    for path, pattern in patterns:
        try:
            matches = sorted(glob.glob(pattern))  # noqa: PTH207 - an absolute pattern, which Path.glob refuses
        except (OSError, ValueError) as error:
            report(path, f"cannot be looked for: {error}")
            continue
        if not matches:
            report(path, f'no file matches "{_readable(pattern)}"')
        files.update(dict.fromkeys(map(Path, matches)))
        if len(files) > MAX_FILES:
            report(path, f"there are more than {MAX_FILES} flag files")
            return tuple(files)[:MAX_FILES]
    return tuple(files)


def _readable(pattern: str) -> str:
    """Show a whole pattern, without what keeps the name of its folder from being one."""
    plain = pattern.replace("[[]", "[").replace("[*]", "*").replace("[?]", "?")
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in plain)


def _folders(pattern: str) -> Iterator[Path]:
    parts = Path(pattern).parts
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            yield from map(Path, glob.glob(str(Path(*parts[:index]))))  # noqa: PTH207 - as above


def _read_all(files: Iterable[Path]) -> tuple[list[Document], tuple[Mistake, ...], tuple[str, ...]]:
    """Read the files; return the documents, what is wrong with those that are none, and the digests."""
    found: list[Document] = []
    broken: list[Mistake] = []
    digests: list[str] = []
    left = MAX_ALL_BYTES
    for file in files:
        mistakes = Mistakes(str(file))
        try:
            data = _bytes(file, mistakes)
            digests.append(hashlib.sha256(data).hexdigest())
            left -= len(data)
            if left < 0:
                raise mistakes.fatal(0, "", f"the flag files have more than {MAX_ALL_BYTES // 1024**2} MiB together")
            found.append(flag_document.read(data, str(file), mistakes))
        except ConfigError as error:
            broken += error.mistakes
    flags = sum(len(document.part("flags")) for document in found)
    if flags > MAX_FLAGS:
        broken.append(Mistake(found[-1].name, 0, "", f"there are {flags} flags in all; the most is {MAX_FLAGS}"))
        found = []
    return found, tuple(broken), tuple(digests)


def _bytes(file: Path, mistakes: Mistakes) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116 - beside the constants of stat
            raise mistakes.fatal(0, "", "is not a regular file")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise mistakes.fatal(0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise mistakes.fatal(0, "", f"is larger than {MAX_BYTES // 1024**2} MiB")
    return data


def _evaluators(found: list[Document]) -> tuple[Evaluators, tuple[str, ...]]:
    """Gather the evaluators of all files; return them in order, and their names."""
    _unique(found, "$evaluators", "evaluator")
    rules = {name: rule for document in found for name, rule in document.part("$evaluators").items()}
    evaluators, cycle = flag_rules.order(rules)
    for document in found:
        for name in dict.fromkeys(cycle):
            if name in document.part("$evaluators"):
                document.add(("$evaluators", name), f"refers to itself: {' → '.join(map(show, cycle))}")
    return evaluators, tuple(rules)


def _unique(found: list[Document], part: str, what: str) -> None:
    seen: dict[str, str] = {}
    for document in found:
        for name in document.part(part):
            first = seen.setdefault(name, document.name)
            if first != document.name:
                document.add((part, name), f"{what} {show(name)} is already in {first}")


def _made(document: Document, evaluators: Evaluators) -> dict[str, Any]:
    flags = document.part("flags")
    plain = {
        "metadata": document.part("metadata"),
        "$evaluators": evaluators.used([flag.get("targeting") for flag in flags.values()]),
        "flags": flags,
    }
    written = {key: value for key, value in plain.items() if value or key == "flags"}
    return {"file": document.name, "text": msgspec.json.encode(written).decode()}
