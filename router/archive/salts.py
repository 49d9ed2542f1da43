"""The salts of runs, from the control journal.

Responsible for: which salt each run of each experiment had, as far as the journal knows.
Does not know: what is salted with them.

Rules: reads only what it needs of an entry, so that entries of other versions are read too.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from router.events import older
from router.events.journal import scan

Salts = Mapping[tuple[str, int], str]
"""(Experiment, run) to salt."""


class _Experiment(Struct, frozen=True):
    name: str
    salt: str | None = None


class _Config(Struct, frozen=True):
    experiments: tuple[_Experiment, ...] = ()


class _Run(Struct, frozen=True):
    number: int


class _Revised(Struct, frozen=True, tag_field="type", tag="revised"):
    config: _Config
    runs: dict[str, _Run]


def read_salts(folder: Path) -> Salts:
    """Return the salts of all runs that a folder's journal knows; none when there is no journal."""
    journal = folder / "journal"
    try:
        present = scan((journal / "journal.ndjson").read_bytes()).entries
    except FileNotFoundError:
        return {}
    decode = msgspec.json.Decoder(_Revised).decode
    salts = {}
    for entry in chain(older.every(journal), present):
        try:
            revised = decode(entry)
        except msgspec.MsgspecError:
            continue
        for experiment in revised.config.experiments:
            run = revised.runs.get(experiment.name)
            if run is not None:
                salts[experiment.name, run.number] = experiment.salt or experiment.name
    return salts
