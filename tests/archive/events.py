"""Segments and events to seal and to read, in few words."""

from pathlib import Path

import msgspec

from router.archive.reading import open_archive
from router.events.model import Enrolment, Event, Exchange, Shadow
from tests.events import examples

NOON = 1_763_812_800.0  # 2025-11-22T12:00:00Z
DAY = 86_400.0


def exchange(number: int, time: float = NOON, arm: str = "control", **fields: object) -> Exchange:
    """Make an exchange of unit ``user-NUMBER`` that is in experiment ``e``."""
    made = examples.exchange(number, unit=f"user-{number}")
    enrolment = Enrolment("e", 1, 1, 1, arm, 0.5, "v1")
    return msgspec.structs.replace(made, **{"time": time, "experiments": (enrolment,), **fields})


def shadow(number: int, time: float = NOON) -> Shadow:
    """Make a comparison."""
    return msgspec.structs.replace(examples.shadow(number), time=time)


def lines(*events: Event) -> bytes:
    """Encode events as the log does."""
    return msgspec.json.Encoder().encode_lines(events)


def name(sequence: int, worker: int = 0, pid: int = 7) -> str:
    """Return the name of a segment; a higher sequence is a later one."""
    return f"exchange-20251122T12{sequence // 60:02d}{sequence % 60:02d}Z-w{worker}-{pid}-{sequence:06d}.ndjson"


def write(folder: Path, sequence: int, content: bytes, worker: int = 0, pid: int = 7) -> Path:
    """Write a segment."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name(sequence, worker, pid)
    path.write_bytes(content)
    return path


def seen(folder: Path) -> dict[str, list[str]]:
    """Return the ids of all rows of each view, in order; doubles are twice in it."""
    with open_archive(folder) as archive:
        return {
            kind: sorted(row[0] for row in archive.connection.execute(f"FROM {kind} SELECT {key}").fetchall())
            for kind, key in (("exposures", "exchange"), ("exchanges", "id"), ("shadows", "id"), ("outcomes", "id"))
        }
