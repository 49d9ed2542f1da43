"""Segments of the event log back as events.

Responsible for: reading what is complete, in any state of the folder: while workers write, after a crash, with lines of
other versions.
Does not know: who wrote a segment or whether it grows; what events mean.

Rules: a line counts once it ends in a newline, so a torn last line is passed over in silence (its writer was killed,
or is still at it). A whole line that is no event is reported and passed over. Fields of later versions are ignored.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from router.events.model import Event, Exchange, Shadow
from router.events.segment import find_segments


def _report_nothing(_path: Path, _line: int, _reason: str) -> None:
    return


def read(folder: Path, damaged: Callable[[Path, int, str], None] = _report_nothing) -> Iterator[Exchange]:
    """Yield the exchanges of all segments in a folder, segment by segment in the order of their start.

    Args:
        folder: Folder of the event log; one that does not exist holds no events.
        damaged: Called with segment, line number (from 1) and reason for each whole line that is no event.
    """
    return (event for event in read_all(folder, damaged) if isinstance(event, Exchange))


def read_shadows(folder: Path, damaged: Callable[[Path, int, str], None] = _report_nothing) -> Iterator[Shadow]:
    """Yield the comparisons of shadows in a folder; otherwise as ``read``."""
    return (event for event in read_all(folder, damaged) if isinstance(event, Shadow))


def read_all(folder: Path, damaged: Callable[[Path, int, str], None] = _report_nothing) -> Iterator[Event]:
    """Yield events of every kind in a folder; otherwise as ``read``."""
    for path in find_segments(folder):
        yield from read_segment(path, damaged)


def read_segment(path: Path, damaged: Callable[[Path, int, str], None] = _report_nothing) -> Iterator[Event]:
    """Yield the events of one segment; one that retention removed in the meantime is empty."""
    decode = msgspec.json.Decoder[Event](Event).decode
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                damaged(path, number, str(error))
                continue
            yield event
