"""The decision log's files: every verdict on a release and what was done, a line of JSON each.

Responsible for: the form of a line, its number, what a question about the past finds.
Does not know: who decides (``router.rollout``), when a line is written (``router.control``), how it survives.

A line is a ``Decided``. Its ``id`` ends in a number that grows by one with each line of the router, over restarts, so
that it is unique, says what came first, and is where a reader goes on.

Rules: a line that is no decision is passed over and counted, and one that was written twice, because the disk said that
it had failed, counts once. No line holds NaN or an infinite number: what is unbounded is left out.
"""

from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, json

from router.events.lines import Lines, read_lines
from router.events.rollout import Decided, Found

FULL_BYTES: Final = 8 * 1024 * 1024
"""Of one of two files; a line has 0.5 to 3 KiB, so at least some 3,000 decisions are kept."""
_NAME: Final = "decisions"
_BOUNDS: Final = ("estimate", "low", "high", "margin", "statistic", "threshold", "alpha")


class Wanted(Struct, frozen=True, kw_only=True):
    """Which decisions somebody asks for; what is None does not matter.

    Attributes:
        experiment: Of this experiment.
        run: Of this run.
        actions: One of these was done; any when empty.
        since: Not before, in unix seconds.
        until: Not after.
        before: Only with lower numbers than this.
        limit: At most so many, the newest.
    """

    experiment: str | None = None
    run: int | None = None
    actions: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 100

    def fits(self, decided: Decided) -> bool:
        """Return whether this is one of them, but for the limit."""
        return (
            (self.experiment is None or decided.experiment == self.experiment)
            and (self.run is None or decided.run == self.run)
            and (not self.actions or decided.action in self.actions)
            and (self.since is None or decided.time >= self.since)
            and (self.until is None or decided.time <= self.until)
            and (self.before is None or number_of(decided.id) < self.before)
        )


def newest(found: Iterable[Decided], wanted: Wanted) -> tuple[Decided, ...]:
    """Return the wanted ones, the newest first.

    Args:
        found: Decisions, the oldest first.
        wanted: Which.
    """
    fitting = [decided for decided in found if wanted.fits(decided)]
    return tuple(fitting[::-1][: max(0, wanted.limit)])


def number_of(decision: str) -> int:
    """Return the number in a decision's id; 0 when it has none."""
    last = decision.rpartition("-")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) <= 18 else 0


def numbered(decided: Decided, number: int, revision: int) -> Decided:
    """Return the decision as it is written: with its id and revision, and with numbers that JSON has."""
    return msgspec.structs.replace(
        decided,
        id=f"{decided.experiment}-{decided.run}-{number}",
        revision=revision,
        share=decided.share if isfinite(decided.share) else 0.0,
        found=tuple(_finite(found) for found in decided.found),
        numbers=_numbers(decided.numbers),
    )


def _finite(found: Found) -> Found:
    unbounded = {name: None for name in _BOUNDS if (value := getattr(found, name)) is not None and not isfinite(value)}
    return msgspec.structs.replace(found, counts=_numbers(found.counts), **unbounded)


def _numbers(given: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in given.items() if isfinite(value)}


class DecisionFile:
    """The log of one router, open for appending."""

    __slots__ = ("_lines",)

    def __init__(self, folder: Path, full: int = FULL_BYTES) -> None:
        """Name the folder; nothing is written yet.

        Args:
            folder: That of the journal.
            full: Bytes after which another file begins.
        """
        self._lines = Lines(folder, _NAME, full)

    def append(self, entries: Iterable[Decided]) -> None:
        """Write decisions so that they survive a power cut from now on.

        Raises:
            OSError: If they cannot be written.
        """
        self._lines.append(b"".join(json.encode(entry) + b"\n" for entry in entries))


def read_decisions(folder: Path) -> tuple[tuple[Decided, ...], int]:
    """Return the decisions that are kept, the oldest first, and how many lines are none.

    Args:
        folder: That of the journal.

    Raises:
        OSError: If a file is there and cannot be read.
    """
    decode = json.Decoder(Decided).decode
    found: dict[str, Decided] = {}
    unsound = 0
    for line in read_lines(folder, _NAME):
        try:
            decided = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unsound += 1
            continue
        found[decided.id] = decided
    return tuple(sorted(found.values(), key=lambda decided: number_of(decided.id))), unsound
