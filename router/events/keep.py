"""Retention: which segments of the event log may go.

Responsible for: deciding by age and total size, oldest first, and deleting what was decided.
Does not know: the journal (it never expires), when to run, who the workers are beyond their process numbers.

Rules: the newest segment of a running worker is never deleted, however large or old. ``expired`` decides and touches
nothing; ``sweep`` deletes and decides nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from router.config.schema import Keep
from router.events.segment import find_segments, parse_name


class Stored(Struct, frozen=True):
    """A segment on disk.

    Attributes:
        path: Where it is.
        size: Its bytes.
        modified: When it was last written, in unix seconds.
        growing: Whether a running worker may still write to it.
    """

    path: Path
    size: int
    modified: float
    growing: bool


def stored(folder: Path, pids: Collection[int]) -> list[Stored]:
    """List the segments in a folder, oldest first.

    Args:
        folder: Folder of the event log.
        pids: Processes of the running workers; the newest segment of each is growing.
    """
    found = []
    newest: set[tuple[int, int]] = set()
    for path in reversed(find_segments(folder)):
        name = parse_name(path.name)
        if name is None:
            continue
        writer = (name.worker, name.pid)
        growing = name.pid in pids and writer not in newest
        newest.add(writer)
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append(Stored(path, status.st_size, status.st_mtime, growing))
    found.reverse()
    return found


def expired(segments: Sequence[Stored], keep: Keep, now: float) -> list[Stored]:
    """Return the segments to delete, oldest first: those too old, then as many as exceed the total size.

    Args:
        segments: All segments, oldest first.
        keep: What to keep; growing segments count towards the size.
        now: Unix seconds.
    """
    total = sum(segment.size for segment in segments)
    out = []
    for segment in segments:
        if segment.growing:
            continue
        if now - segment.modified > keep.age or total > keep.size:
            out.append(segment)
            total -= segment.size
    return out


def sweep(segments: Iterable[Stored]) -> tuple[int, list[OSError]]:
    """Delete segments; return the bytes freed and what could not be deleted and why."""
    freed = 0
    failures = []
    for segment in segments:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            failures.append(error)
        else:
            freed += segment.size
    return freed, failures
