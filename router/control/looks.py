"""Looks that counted, on the disk: what an experiment's tests have spent is not forgotten.

Responsible for: reading and adding to ``looks.ndjson`` beside the journal.
Does not know: when a look is due, what it says (``router.report.looks``).

Rules: a look is on the disk before anybody sees what it found, so a router that dies meanwhile takes none twice. A line
that is no look, as of a write that was cut off, is left out and said. One writer, the control process; whoever analyses
a folder only reads.
"""

import os
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from router.config.schema import Experiment
    from router.report.scene import Evidence, Taken

log = getLogger(__name__)

NAME: Final = "looks.ndjson"
MOST_BYTES: Final = 16 * 1024 * 1024


def with_looks(experiment: "Experiment", evidence: "Evidence", now: float, folder: Path) -> "Evidence":
    """Return the evidence with the looks that counted, after those that are due now were taken and written.

    Args:
        experiment: The experiment.
        evidence: What is known of it.
        now: Unix seconds.
        folder: The router's ``events.dir``.

    Raises:
        OSError: If the looks cannot be read or written; then none was taken.
    """
    from router.report.looks import PLANNED, due_of  # noqa: PLC0415 - it brings the libraries of an extra

    if experiment.decide.method not in PLANNED:
        return evidence
    known = evidence._replace(looks=read_looks(folder).get(experiment.name, ()))
    taken = due_of(experiment, known, now)
    add_looks(folder, taken)
    return known._replace(looks=(*known.looks, *taken))


def read_looks(folder: Path) -> "dict[str, tuple[Taken, ...]]":
    """Return the looks of each experiment, in the order in which they were taken.

    Args:
        folder: The router's ``events.dir``.

    Raises:
        OSError: If the file is there and cannot be read, or is longer than any real one.
    """
    from router.report.scene import Taken  # noqa: PLC0415 - it brings the libraries of an extra

    path = folder / "journal" / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise OSError(f"{path} is longer than {MOST_BYTES} bytes")
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    decoder = msgspec.json.Decoder(Taken)
    found: dict[str, tuple[Taken, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            look = decoder.decode(line)
        except msgspec.MsgspecError as error:
            log.warning("%s:%d is no look: %s", path, number, error)
            continue
        found[look.experiment] = (*found.get(look.experiment, ()), look)
    return found


def add_looks(folder: Path, looks: "tuple[Taken, ...]") -> None:
    """Write looks to the disk, and wait until they are there.

    Args:
        folder: The router's ``events.dir``.
        looks: What was found.

    Raises:
        OSError: If they cannot be written; then they were not taken.
    """
    if not looks:
        return
    path = folder / "journal" / NAME
    # A line of its own even after one that was cut off; empty lines mean nothing.
    lines = b"\n" + msgspec.json.Encoder().encode_lines(looks)
    with path.open("ab") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
