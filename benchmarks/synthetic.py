"""Synthetic archives of any size, for measuring and for tests.

Responsible for: a folder of events with exposures and outcomes whose true effect is known, written as sealing writes.
Does not know: what is measured on it.

Rules: made by DuckDB from hashes of row numbers, so the same arguments give the same rows; 2 million exposures and 4
million outcomes take a few seconds.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from router.archive import columns
from router.archive.engine import Limits, connect
from router.archive.layout import part_path

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
DAY_S: Final = 86_400


class Shape(Struct, frozen=True):
    """What an archive holds.

    Attributes:
        exposures: Rows of ``exposures``; each is an exchange of its own.
        outcomes: Rows of ``outcomes``: clicks of value 1, and purchases of a value around 20, one in ten.
        units: Different units.
        days: UTC days that both spread over.
        crossed: Share of units that are seen in both arms.
        lift: How much likelier an outcome of a unit in ``treatment`` is, relatively.
        keyed: How outcomes are keyed: ``unit``, ``request_id`` or ``assignment``.
        experiment: Name of the experiment, which is its salt too; run and phase are 1.
        everybody: Whether units take turns, so that each of them is seen, instead of coming as they like.
        attributed: Whether exposures have a country and a device beside a tier.
    """

    exposures: int = 2_000_000
    outcomes: int = 4_000_000
    units: int = 500_000
    days: int = 14
    crossed: float = 0.002
    lift: float = 0.02
    keyed: str = "unit"
    experiment: str = "ranker-v2"
    everybody: bool = False
    attributed: bool = False


def make(folder: Path, shape: Shape | None = None, parts_a_day: int = 1) -> None:
    """Write an archive.

    Args:
        folder: ``events.dir`` of it; made when missing.
        shape: What it holds.
        parts_a_day: Parquet files of a kind and day.
    """
    shape = shape or Shape()
    with tempfile.TemporaryDirectory() as spill:
        connection = connect(Limits(memory_bytes=2 * 1024**3), Path(spill))
        for number in range(shape.days * parts_a_day):
            day = START + timedelta(days=number // parts_a_day)
            for kind, query in (("exposures", _exposures(shape)), ("outcomes", _outcomes(shape))):
                path = part_path(folder, kind, f"{day:%Y-%m-%d}", (number + 1, number + 1))
                path.parent.mkdir(parents=True, exist_ok=True)
                total = shape.exposures if kind == "exposures" else shape.outcomes
                pieces = shape.days * parts_a_day
                span = (total * number // pieces, total * (number + 1) // pieces)
                piece_s = DAY_S / parts_a_day
                began = START.timestamp() + number * piece_s
                rows = _typed(kind, query).format(
                    begin=span[0], end=span[1], began=began, step=piece_s / max(span[1] - span[0], 1)
                )
                connection.execute(f"COPY ({rows}) TO {columns.text(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        connection.close()


def _typed(kind: str, query: str) -> str:
    """Give the columns the types that sealing gives them; other types would be cast at each reading."""
    named = ", ".join(
        f"{columns.quote(name)}::{duck} AS {columns.quote(name)}" for name, duck in columns.columns(kind).items()
    )
    return f"SELECT {named} FROM ({query})"  # noqa: S608 - our own


def _unit(shape: Shape, exposure: str) -> str:
    drawn = exposure if shape.everybody else f"hash({exposure}, 'unit')"
    return f"'user-' || ({drawn} % {shape.units})"


def _attributes(shape: Shape) -> str:
    """Give the attributes of a unit, as JSON."""
    tier = 'CASE hash(u, \'tier\') % 3 WHEN 0 THEN \'"tier":"gold"\' WHEN 1 THEN \'"tier":"silver"\' END'
    country = "'\"country\":\"c' || (hash(u, 'country') % 20) || '\"'"
    device = "'\"device\":\"d' || (hash(u, 'device') % 4) || '\"'"
    named = ", ".join((tier, country, device) if shape.attributed else (tier,))
    return f"'{{{{' || concat_ws(',', {named}) || '}}}}' AS attributes"


def _arm(unit: str, other: int = 0) -> str:
    """Give the arm of a unit, or the other one."""
    return f"CASE WHEN hash({unit}, 'arm') % 2 = {other} THEN 'control' ELSE 'treatment' END"


def _exposures(shape: Shape) -> str:
    crossed = f"hash(u, 'cross') % 1000000 < {int(shape.crossed * 1_000_000)}"
    return (
        f"SELECT md5('exchange' || i) AS exchange, ({{began}} + (i - {{begin}}) * {{step}})::DOUBLE AS time, "  # noqa: S608 - our own
        "md5('request' || i) AS request_id, 'ranker' AS route, "
        f"'{shape.experiment}' AS experiment, 1::INTEGER AS run, 1::INTEGER AS phase, 1::INTEGER AS epoch, "
        f"CASE WHEN {crossed} AND i % 2 = 0 THEN {_arm('u', 1)} ELSE {_arm('u')} END AS arm, "
        "0.5::DOUBLE AS propensity, "
        "false AS override, hash(u, 'bot') % 200 = 0 AS bot, u AS unit, u AS user, "
        "NULL::VARCHAR AS site, 'ranker-v1' AS target, "
        "hash(i, 'failed') % 500 = 0 AS failed, true AS finished, 200::INTEGER AS status, "
        "(0.01 + (hash(i, 'ms') % 10000) / 100000.0)::DOUBLE AS duration, 0.005::DOUBLE AS first_byte, "
        "NULL::VARCHAR AS fallback, "
        f"{_attributes(shape)}, '{{{{}}}}' AS rewards, NULL::VARCHAR AS fanout "
        f"FROM (SELECT range AS i, {_unit(shape, 'range')} AS u FROM range({{begin}}, {{end}}))"
    )


def _outcomes(shape: Shape) -> str:
    """Write outcomes of units, of which those of control are thinned so that the treatment has the lift."""
    thin = int((1 - 1 / (1 + shape.lift)) * 1_000_000)
    digest = f"left(sha256('{shape.experiment}' || chr(0) || 'assignment' || chr(0) || 1 || chr(0) || u), 32)"
    keys = {
        "unit": ("NULL::VARCHAR", "NULL::INTEGER", "NULL::VARCHAR", "NULL::VARCHAR", "u"),
        "request_id": ("NULL::VARCHAR", "NULL::INTEGER", "NULL::VARCHAR", "md5('request' || j)", "NULL::VARCHAR"),
        "assignment": (f"'{shape.experiment}'", "1::INTEGER", digest, "NULL::VARCHAR", "NULL::VARCHAR"),
    }[shape.keyed]
    named = ", ".join(
        f"{key} AS {name}"
        for key, name in zip(keys, ("experiment", "run", "unit_hash", "request_id", "unit"), strict=True)
    )
    # Each outcome belongs to the exposure j, so to its unit; j spreads over the exposures of all days.
    return (
        "SELECT md5('outcome' || i) AS id, CASE WHEN i % 10 = 0 THEN 'purchase' ELSE 'click' END AS outcome, "  # noqa: S608 - our own
        "CASE WHEN i % 10 = 0 THEN 10 + (hash(i, 'value') % 2000) / 100.0 ELSE 1.0 END::DOUBLE AS value, "
        "({began} + (i - {begin}) * {step})::DOUBLE AS time, time + 3 AS received, NULL::VARCHAR AS item, "
        f"'{shape.keyed}' AS keyed, {named}, NULL::VARCHAR AS item FROM "
        f"(SELECT i, j, {_unit(shape, 'j')} AS u FROM (SELECT range AS i, "
        f"(hash(range, 'exposure') % {shape.exposures})::BIGINT AS j FROM range({{begin}}, {{end}}))) "
        f"WHERE {_arm('u')} = 'treatment' OR hash(i, 'thin') % 1000000 >= {thin}"
    )
