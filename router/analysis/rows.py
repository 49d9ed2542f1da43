"""What policies learn from: one row for each observation, when its value has become final.

Responsible for: the rows whose windows closed in a span of time, in that order, with what was known at their first
exposure.
Does not know: policies, how often it is asked, caps (values are as they are).

Rules: what a fold counts is in the rows and the other way round: attribution, windows, grace and freezing are the same
expressions (``attribute``, ``measure``), so a row never changes, and every row is in one span of adjoining ones. Units
that were seen in two arms until then are in none. Memory is bounded by the span's limit.
"""

from typing import Final

import ibis
import pyarrow as pa
from ibis.expr import types as ir
from msgspec import Struct, structs

from router.analysis import attribute, counts, exchanges, measure
from router.analysis.engine import Engine
from router.analysis.history import History
from router.analysis.plan import Plan, window
from router.config.schema import Metric

SCHEMA: Final = pa.schema(
    [
        ("run", pa.int32()),
        ("phase", pa.int32()),
        ("epoch", pa.int32()),
        *((name, pa.string()) for name in ("site", "arm", "unit", "user")),
        *((name, pa.float64()) for name in ("first", "matured", "propensity")),
        ("attributes", pa.string()),
        ("y", pa.float64()),
        ("x", pa.float64()),
    ]
)
"""Columns of a batch. ``site`` is NULL for the process's own; ``first`` and ``matured`` are unix seconds: the first
exposure, and when the value became final; the rest but ``y`` and ``x`` is what the first exposure says, ``attributes``
as a JSON object. ``y`` is the value, NULL where the observation has none; ``x`` the denominator of a ratio, or the
covariate, else NULL."""
_FIRST: Final = ("epoch", "site", "propensity", "attributes")


class Span(Struct, frozen=True):
    """Which rows are asked for.

    Attributes:
        after: Those whose value became final later than this, in unix seconds.
        until: And no later than this; what was received or seen later is not looked at.
        limit: Most rows; more only of those that became final at the same moment as the last.
        period: Length of the periods, in seconds, that units are drawn anew for: no unit has exposures further apart,
            so that older events need not be read. None where units last.
    """

    after: float
    until: float
    limit: int = 100_000
    period: float | None = None


class Batch(Struct, frozen=True):
    """Rows of a span.

    Attributes:
        table: The rows, by the time at which their values became final (``SCHEMA``).
        until: What the next span begins after: the table has every row up to it.
        more: Whether the span has further rows.
    """

    table: pa.Table
    until: float
    more: bool


def matured(engine: Engine, made: Plan, history: History, metric: str, span: Span) -> Batch:
    """Return the observations whose value became final in a span of time.

    Args:
        engine: Has the relations of the data contract; the caller lets it forget.
        made: The experiment.
        history: What was in force when.
        metric: Name of one of its metrics; it has a window.
        span: Which rows.

    Raises:
        ValueError: If there is no such metric, it has no window, or the span is none.
    """
    measured = _metric(made, metric)
    if span.limit < 1 or not span.after <= span.until:
        raise ValueError(f"no rows can be asked for by {span}")
    single = structs.replace(made, metrics=(measured,), slices=(), strata=())
    found = _found(engine, single, history, span)
    if found is None:
        return Batch(SCHEMA.empty_table(), span.until, more=False)
    order = [found.matured, found.run, found.phase, found.unit, found.user]
    last = engine.rows(found.select("matured").order_by("matured").limit(1, offset=span.limit - 1))
    until = last[0]["matured"] if last else span.until
    rows = engine.rows(found.filter(found.matured <= until).order_by(order))
    more = bool(last) and bool(engine.rows(found.filter(found.matured > until).limit(1).select("run")))
    return Batch(pa.Table.from_pylist(rows, SCHEMA), until if more else span.until, more)


def _metric(made: Plan, name: str) -> Metric:
    found = next((metric for metric in made.metrics if metric.name == name), None)
    if found is None:
        raise ValueError(f"experiment {made.experiment!r} has no metric {name!r}")
    if found.horizon() is None:
        raise ValueError(f"values of metric {name!r} are never final: give it a window")
    if found.kind == "quantile":
        raise ValueError(f"metric {name!r} is a quantile, which no observation has")
    return found


def _found(engine: Engine, made: Plan, history: History, span: Span) -> ir.Table | None:
    """Return all rows of a span; None when the experiment has no exposures there."""
    looked = window(made.metrics[0])
    horizon = (looked.horizon or 0.0) + looked.grace
    exposures = attribute.counted(engine.table("exposures"), made.experiment, span.until, bots=made.bots)
    lasting = span.period is None or made.metrics[0].covariate is not None
    since = None if lasting else span.after - horizon - (span.period or 0.0)
    exposures = exposures if since is None else exposures.filter(exposures.time >= since)
    phases = engine.rows(exposures.group_by("run", "phase").aggregate(first=exposures.time.min()))
    if not phases:
        return None
    keyed, ours = _outcomes(engine, made, since, span.until)
    scope = counts.scope_of(made, history, phases, keyed, span.until)
    extra = exchanges.measured(exposures, made, engine)
    extra |= {name: exposures[name].argmin(exposures.time) for name in _FIRST}
    kept = engine.keep("seen", attribute.observations(exposures, scope, extra))
    observed = attribute.placed(kept, scope)
    over = ibis.least(ibis.literal(looked.horizon), observed.room) + looked.grace
    # ``since`` is what maturity is judged by: of rows that are due it is the age at which they became so, exactly.
    # An exposure that a worker lets in just after the phase's end has no room, and is final at once.
    observed = observed.mutate(matured=observed.first + ibis.greatest(over, 0.0), since=over)
    observed = observed.filter(observed.matured > span.after, observed.matured <= span.until)
    due = engine.keep("due", observed.filter(observed.room >= looked.horizon) if looked.whole else observed)
    parts: list[ir.Table] = []
    if keyed:
        found = attribute.matched(ours, exposures, kept, scope)
        parts = measure.parts(made, measure.aged(attribute.placed(engine.keep("earned", found), scope)))
    windowed = exchanges.windowed(exposures, due, made, engine, attribute.identity(scope))
    parts += [] if windowed is None else [windowed]
    carried = ("observation", "user", "first", "matured", *_FIRST)
    whole = engine.keep("rows", measure.completed(due, parts, made, engine, carried))
    return whole.mutate(y=whole.y0, x=whole.x0).select(*SCHEMA.names)


def _outcomes(engine: Engine, made: Plan, since: float | None, until: float) -> tuple[frozenset[str], ir.Table]:
    """Return how the outcomes that matter are keyed, and the outcomes."""
    before = max((metric.covariate.before for metric in made.metrics if metric.covariate is not None), default=0.0)
    ours = counts.known_outcomes(engine, made, until)
    ours = ours if since is None else ours.filter(ours.time >= since - before)
    return frozenset(row["keyed"] for row in engine.rows(ours.select("keyed").distinct())), ours
