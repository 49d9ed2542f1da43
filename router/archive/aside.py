"""Lines that are no events, and parts that are damaged, kept for somebody to look at.

Responsible for: ``archive/aside/``: what could not be sealed, within a bound.
Does not know: why something is there; the log says so.

Rules: nothing is kept beyond ``FOLDER_BYTES``: the oldest goes first. What is kept may be incomplete: it is for looking
at, not for reading back.
"""

import logging
from pathlib import Path
from typing import Final

import msgspec

from router.archive.columns import LAST_TIME
from router.archive.durable import make_folder
from router.archive.layout import archive_folder
from router.events.model import Event

SEGMENT_BYTES: Final = 1024 * 1024  # of one segment's lines
LINE_BYTES: Final = 64 * 1024  # of one line
FOLDER_BYTES: Final = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


def aside_folder(events: Path) -> Path:
    """Return where things are kept aside."""
    return archive_folder(events) / "aside"


def keep_lines(events: Path, segment: Path) -> None:
    """Keep the whole lines of a segment that are no events.

    Raises:
        OSError: If they cannot be written.
    """
    decode = msgspec.json.Decoder[Event](Event).decode
    make_folder(aside_folder(events))
    kept = 0
    with segment.open("rb") as lines, (aside_folder(events) / segment.name).open("wb") as output:
        while kept < SEGMENT_BYTES and (line := lines.readline(LINE_BYTES)):
            try:
                sound = 0 <= decode(line).time <= LAST_TIME
            except (msgspec.MsgspecError, UnicodeDecodeError):
                sound = not line.strip()
            if not sound:
                kept += output.write(line)


def keep_part(events: Path, part: Path) -> None:
    """Move a part that is damaged away from those that are read.

    Raises:
        OSError: If it cannot be moved.
    """
    make_folder(aside_folder(events))
    kind, day = part.parts[-3:-1]
    part.replace(aside_folder(events) / f"{kind}-{day}-{part.name}")


def bound(events: Path) -> None:
    """Delete the oldest things that were kept aside, as far as they exceed the bound."""
    try:
        found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in aside_folder(events).iterdir())
    except FileNotFoundError:
        return
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= FOLDER_BYTES:
            return
        logger.warning("archive: %s is deleted, because too much is kept aside", path)
        path.unlink(missing_ok=True)
        total -= size
