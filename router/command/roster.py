"""A file of units and their strata, read in pieces.

Responsible for: CSV with a header and NDJSON as units with values, in the text that the router would see; mistakes by
line.
Does not know: what the units are for.

Rules: memory is a piece of units and eight bytes for each of all. A JSON scalar is its JSON text, a string unquoted, as
the router reads units. A value that is missing, null or empty is a level of its own.
"""

import csv
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Raw, Struct
from msgspec import json as fast

from router.routing.bucket import unit_key
from router.routing.request import scalar_text
from router.routing.source import MAX_UNIT_BYTES

PIECE: Final = 50_000  # units
LEVELS: Final = 1000  # of all columns together: more are no strata, but something that tells units apart

Row = tuple[bytes, tuple[str, ...]]


class RosterError(Exception):
    """The file cannot be used; the message is one sentence for the user."""


class Survey(Struct, frozen=True):
    """What a file holds.

    Attributes:
        units: How many.
        levels: Of each column, in order of appearance.
    """

    units: int
    levels: tuple[tuple[str, ...], ...]


class Roster:
    """A file of units; reads it anew each time."""

    def __init__(self, path: Path, unit: str, columns: Sequence[str]) -> None:
        """Name the file and its columns.

        Args:
            path: Ends in ``.csv``, or in ``.ndjson`` or ``.jsonl``.
            unit: Column of the unit.
            columns: Columns of the strata.

        Raises:
            RosterError: If the name does not say what the file is.
        """
        if path.suffix not in (".csv", ".ndjson", ".jsonl"):
            raise RosterError(f"{path} is neither .csv nor .ndjson nor .jsonl")
        self._path = path
        self._unit = unit
        self._columns = tuple(columns)

    def survey(self) -> Survey:
        """Read the file once, to know its units and levels.

        Raises:
            RosterError: If it cannot be read, has no units, gives one twice, or has too many levels.
        """
        seen = array("Q")
        levels: list[dict[str, None]] = [{} for _ in self._columns]
        for unit, values in self._rows():
            seen.append(unit_key(unit)[0])
            for known, value in zip(levels, values, strict=True):
                known[value] = None
            if sum(map(len, levels)) > LEVELS:
                raise RosterError(f"{', '.join(self._columns)} have more than {LEVELS} levels together; name strata")
        repeated = len(seen) - len(np.unique(np.frombuffer(seen, np.uint64))) if seen else 0
        if repeated:
            raise RosterError(f"{self._path} gives {repeated} units more than once; give each once")
        if not seen:
            raise RosterError(f"{self._path} holds no units")
        return Survey(len(seen), tuple(tuple(known) for known in levels))

    def pieces(self) -> Iterator[tuple[list[bytes], list[tuple[str, ...]]]]:
        """Yield units and their values, at most ``PIECE`` at a time.

        Raises:
            RosterError: If the file cannot be read.
        """
        units: list[bytes] = []
        values: list[tuple[str, ...]] = []
        for unit, value in self._rows():
            units.append(unit)
            values.append(value)
            if len(units) == PIECE:
                yield units, values
                units, values = [], []
        if units:
            yield units, values

    def _rows(self) -> Iterator[Row]:
        try:
            if self._path.suffix == ".csv":
                yield from self._csv()
            else:
                yield from self._ndjson()
        except OSError as error:
            raise RosterError(f"{self._path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RosterError(f"{self._path} is not UTF-8") from error
        except csv.Error as error:
            raise RosterError(f"{self._path} is not CSV: {error}") from error

    def _csv(self) -> Iterator[Row]:
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            places = []
            for name in (self._unit, *self._columns):
                if header.count(name) != 1:
                    raise RosterError(f"{self._path} has no column {name!r} of its own; it has: {', '.join(header)}")
                places.append(header.index(name))
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise RosterError(f"{self._path}:{reader.line_num}: {len(row)} fields, not {len(header)}")
                unit, *values = (row[place] for place in places)
                yield self._checked(unit, reader.line_num), tuple(values)

    def _ndjson(self) -> Iterator[Row]:
        decode = fast.Decoder(dict[str, Raw]).decode
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    found: dict[str, Any] = decode(line)
                    texts = [_text(found.get(name)) for name in (self._unit, *self._columns)]
                except (ValueError, json.JSONDecodeError) as error:
                    raise RosterError(f"{self._path}:{number}: not an object of scalars: {error}") from error
                yield self._checked(texts[0], number), tuple(texts[1:])

    def _checked(self, unit: str, line: int) -> bytes:
        data = unit.encode()
        if not 0 < len(data) <= MAX_UNIT_BYTES:
            raise RosterError(f"{self._path}:{line}: {self._unit!r} has {len(data)} bytes, not 1 to {MAX_UNIT_BYTES}")
        return data


def _text(raw: Raw | None) -> str:
    """Return a scalar as the router reads it; nothing for what is absent.

    Raises:
        ValueError: If it is an object or an array.
    """
    if raw is None or bytes(raw) == b"null":
        return ""
    found = scalar_text(raw)
    if found is None:
        raise ValueError(f"{bytes(raw)[:40]!r} is not a scalar")
    return found
