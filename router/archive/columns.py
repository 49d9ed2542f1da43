"""The tables: which columns they have, and the SQL that makes them out of lines of the event log.

Responsible for: the types of the lines' fields in DuckDB, the columns of each kind of row, what a sound line is.
Does not know: files, connections.

Rules: the fields come from the structs of ``router.events.model``, so a field that is added there is a column here. A
field that a line leaves out has its default. Names are quoted, because ``user`` means something else in SQL.
"""

import types
from collections.abc import Iterable
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct, json
from msgspec.structs import FieldInfo, fields

from router.events.model import Enrolment, Exchange, Shadow

LAST_TIME: Final = 253_402_300_799  # the end of the year 9999 in unix seconds; DuckDB has no day for much later ones
_SCALARS: Final = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}

EXPOSURES: Final = {
    "exchange": "VARCHAR",
    "time": "DOUBLE",
    "request_id": "VARCHAR",
    "route": "VARCHAR",
    "experiment": "VARCHAR",
    "run": "INTEGER",
    "phase": "INTEGER",
    "epoch": "INTEGER",
    "arm": "VARCHAR",
    "propensity": "DOUBLE",
    "override": "BOOLEAN",
    "bot": "BOOLEAN",
    "unit": "VARCHAR",
    "user": "VARCHAR",
    "site": "VARCHAR",
    "target": "VARCHAR",
    "failed": "BOOLEAN",
    "finished": "BOOLEAN",
    "status": "INTEGER",
    "duration": "DOUBLE",
    "first_byte": "DOUBLE",
    "fallback": "VARCHAR",
    "attributes": "VARCHAR",
    "rewards": "VARCHAR",
    "fanout": "VARCHAR",
}
OUTCOMES: Final = {
    "id": "VARCHAR",
    "outcome": "VARCHAR",
    "value": "DOUBLE",
    "time": "DOUBLE",
    "received": "DOUBLE",
    "keyed": "VARCHAR",
    "experiment": "VARCHAR",
    "run": "INTEGER",
    "unit_hash": "VARCHAR",
    "request_id": "VARCHAR",
    "unit": "VARCHAR",
    "item": "VARCHAR",
}


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text."""
    return "'" + value.replace("'", "''") + "'"


def paths(files: Iterable[str]) -> str:
    """Write a list of file names."""
    return "[" + ", ".join(text(file) for file in files) + "]"


def day(time: str = '"time"') -> str:
    """Give the UTC day of a column of unix seconds, as text; times that have none are of the first or last day."""
    within = f"greatest(0, least({LAST_TIME}, {time}))"
    return f"strftime(make_timestamp(({within} * 1000000)::BIGINT), '%Y-%m-%d')"


def columns(kind: str) -> dict[str, str]:
    """Return the columns of a kind of row, with their types."""
    if kind == "exposures":
        return dict(EXPOSURES)
    if kind == "outcomes":
        return dict(OUTCOMES)
    return {
        field.name: "VARCHAR" if (duck := _type(field.type)) == "JSON" else duck
        for field in fields(Exchange if kind == "exchanges" else Shadow)
        if field.name != "experiments"
    }


def fields_of_lines() -> dict[str, str]:
    """Return the fields of all kinds of lines, with their types in DuckDB."""
    named = {"type": "VARCHAR"}
    for event in (Exchange, Shadow):
        for field in fields(event):
            named[field.name] = _enrolments() if field.name == "experiments" else _type(field.type)
    return named


def line_columns() -> str:
    """Return the fields of all kinds of lines, as ``read_json`` takes its columns."""
    return "{" + ", ".join(f"{text(name)}: {text(kind)}" for name, kind in fields_of_lines().items()) + "}"


def sound() -> str:
    """Return the condition that a row of lines is an event: of a known type, with every field that must be there."""
    return (
        f"coalesce(CASE \"type\" WHEN 'exchange' THEN {_present(Exchange)} WHEN 'shadow' THEN {_present(Shadow)} "
        "ELSE false END, false)"
    )


def select(kind: str, lines: str) -> str:
    """Return the query that makes rows of a kind out of a table of lines with a column ``sound``.

    Args:
        kind: ``exposures``, ``exchanges`` or ``shadows``.
        lines: Name of the table.
    """
    if kind == "exposures":
        return _select_exposures(lines)
    event = Exchange if kind == "exchanges" else Shadow
    named = ", ".join(
        f"{_value(field)} AS {quote(field.name)}" for field in fields(event) if field.name != "experiments"
    )
    of_kind = f"WHERE sound AND \"type\" = '{kind.removesuffix('s')}'"
    return f"SELECT {named} FROM {lines} {of_kind}"  # noqa: S608 - names of our own


def _select_exposures(lines: str) -> str:
    """Unnest the enrolments; an exchange that did not finish enters latencies at its deadline, and counts as failed."""
    special = {
        "exchange": "e.id",
        "override": "coalesce(x.override, false)",
        "bot": "coalesce(e.bot, false)",
        "unit": 'coalesce(x.unit, e."unit")',
        "user": 'e."unit"',
        "failed": "coalesce(e.failed, false) OR e.deadline IS NOT NULL",
        "finished": "e.deadline IS NULL",
        "duration": "greatest(e.duration, e.deadline)",
        "attributes": "coalesce(e.attributes::VARCHAR, '{}')",
        "rewards": "coalesce(e.rewards::VARCHAR, '{}')",
        "fanout": "CASE WHEN e.fanout->>'experiment' = x.experiment THEN e.fanout::VARCHAR END",
    }
    enrolled = {"experiment", "run", "phase", "epoch", "arm", "propensity", "site"}
    origin = {name: special.get(name) or ("x." if name in enrolled else "e.") + quote(name) for name in EXPOSURES}
    named = ", ".join(f"TRY_CAST({origin[name]} AS {kind}) AS {quote(name)}" for name, kind in EXPOSURES.items())
    return (
        f"SELECT {named} FROM (SELECT *, unnest(experiments) AS x FROM {lines} "  # noqa: S608 - names of our own
        "WHERE sound AND \"type\" = 'exchange') AS e WHERE x.experiment IS NOT NULL AND x.arm IS NOT NULL"
    )


def _present(event: type[Struct]) -> str:
    required = [
        field.name
        for field in fields(event)
        if field.default is NODEFAULT and field.default_factory is NODEFAULT and not _optional(field.type)
    ]
    there = " AND ".join(f"{quote(name)} IS NOT NULL" for name in required)
    return f'({there} AND "time" BETWEEN 0 AND {LAST_TIME})'


def _value(field: FieldInfo) -> str:
    kind, name = _type(field.type), quote(field.name)
    if kind == "JSON":
        default = field.default if field.default is not NODEFAULT else field.default_factory()
        return f"coalesce({name}::VARCHAR, {text(json.encode(default).decode())})"
    if isinstance(field.default, bool):
        return f"coalesce({name}, {str(field.default).lower()})"
    return name


def _enrolments() -> str:
    hints = get_type_hints(Enrolment)
    inner = {field.name: _type(hints[field.name]) for field in fields(Enrolment)}
    return "STRUCT(" + ", ".join(f"{quote(name)} {kind}" for name, kind in inner.items()) + ")[]"


def _type(hint: Any) -> str:
    """Return DuckDB's type for that of a field; what is not a scalar stays JSON text."""
    members = [member for member in get_args(hint) if member is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType) and len(members) == 1:
        hint = members[0]
    return _SCALARS.get(hint, "JSON")


def _optional(hint: Any) -> bool:
    return types.NoneType in get_args(hint)
