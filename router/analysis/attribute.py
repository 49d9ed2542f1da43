"""Which observation an outcome belongs to: attribution by intention to treat, as Ibis expressions.

Responsible for: the exposures that count, one observation for each unit of a phase with its first exposure, and the
outcomes that belong to it, with their age.
Does not know: metrics, windows, how anything is run (``engine``).

An observation is a user within a unit within a phase. Where the unit is the user itself it is the unit; where the unit
is a tenant, a slot of time or a request, it is the user in it, and the unit is its cluster.

Rules: pure. Exposures that were forced never count, nor those of bots where the experiment leaves them out. A unit with
two arms within one phase is crossed: it stays in the table, marked. An outcome belongs to at most one observation of a
phase: the one that its key names; where several do (a user in two tenants, or in many slots), to the one exposed last
before it. What became of it after that is for windows to say (``measure``).
"""

import ibis
from ibis.expr import types as ir
from msgspec import Struct

from router.analysis.history import Phase

FOREVER = 1e18
"""Seconds that are not over: the room of a phase that has not ended, a window without an end."""


class Scope(Struct, frozen=True):
    """What attribution is about.

    Attributes:
        experiment: Name of the experiment.
        now: What happened later is not looked at; unix seconds.
        phases: Every phase that has exposures.
        bots: Whether bots are left out.
        clustered: Whether the unit is something other than the user: a tenant, a slot, a request.
        keys: How the outcomes are keyed: ``unit``, ``request_id``, ``assignment``.
    """

    experiment: str
    now: float
    phases: tuple[Phase, ...]
    bots: bool
    clustered: bool
    keys: frozenset[str]

    @property
    def several(self) -> bool:
        """Whether a user can have several observations."""
        return self.clustered or len(self.phases) > 1


def counted(exposures: ir.Table, experiment: str, now: float, *, bots: bool) -> ir.Table:
    """Return the exposures of an experiment that count.

    Args:
        exposures: The relation of the data contract.
        experiment: Name of the experiment.
        now: Later ones are left out.
        bots: Whether bots are left out.
    """
    kept = exposures.filter(exposures.experiment == experiment, exposures.time <= now, ~exposures.override)
    kept = kept.filter(~kept.bot) if bots else kept
    return kept.mutate(user=ibis.coalesce(kept.user, kept.unit))


def observations(exposures: ir.Table, scope: Scope, extra: dict[str, ir.Value]) -> ir.Table:
    """Return one row for each observation.

    Args:
        exposures: What ``counted`` returns.
        scope: What attribution is about.
        extra: Further columns, aggregated over an observation's exposures.

    Returns:
        Columns ``observation`` (a number), ``run``, ``phase``, ``unit``, ``user``, ``arm``, ``crossed``, ``first``
        (unix seconds), ``exchanges``, ``failures``, ``unfinished``, ``unit_hash`` where assignments are keys, the extra
        ones; and where a user can have several observations ``entered`` (its first exposure in the run), ``seen`` (in
        any phase), ``leads`` and ``leads_run`` (whether the phase is the unit's first, of all and of its run).
    """
    by = identity(scope)
    found = exposures.group_by(by).aggregate(
        arm=exposures.arm.min(),
        last_arm=exposures.arm.max(),
        first=exposures.time.min(),
        exchanges=exposures.count(),
        failures=exposures.failed.cast("int64").sum(),
        unfinished=(~exposures.finished).cast("int64").sum(),
        **({"unit_hash": exposures.unit_hash.min()} if "assignment" in scope.keys else {}),
        **extra,
    )
    if not scope.clustered:
        found = found.mutate(user=found.unit)
    low, high = found.arm, found.last_arm
    same_unit = ibis.window(group_by=[found.run, found.phase, found.unit])
    crossed = low.min().over(same_unit) != high.max().over(same_unit) if scope.clustered else low != high
    return found.mutate(
        observation=ibis.row_number().cast("int32"), crossed=crossed, **(_order(found) if scope.several else {})
    ).drop("last_arm")


def identity(scope: Scope) -> list[str]:
    """Return the columns that name an observation."""
    return ["run", "phase", "unit", "user"] if scope.clustered else ["run", "phase", "unit"]


def _order(found: ir.Table) -> dict[str, ir.Value]:
    """Return the columns that place an observation among those of its user."""
    user, in_run = ibis.window(group_by=found.user), ibis.window(group_by=[found.run, found.user])
    ever = ibis.window(group_by=found.unit, order_by=[found.run, found.phase])
    by_run = ibis.window(group_by=[found.run, found.unit], order_by=found.phase)
    return {
        "entered": found.first.min().over(in_run),
        "seen": found.first.min().over(user),
        "leads": ibis.row_number().over(ever) == 0,
        "leads_run": ibis.row_number().over(by_run) == 0,
    }


def placed(found: ir.Table, scope: Scope) -> ir.Table:
    """Add what follows from a row's phase and first exposure.

    Args:
        found: What ``observations`` or ``matched`` returns, as it was kept.
        scope: What attribution is about.

    Returns:
        The same with ``room`` and ``since`` (seconds from the first exposure to the end of the phase, and to now) and
        whatever was left out because it is the same everywhere.
    """
    same: dict[str, ir.Value] = {}
    if not scope.several:
        (phase,) = scope.phases
        known = {"run": ibis.literal(phase.run, "int32"), "phase": ibis.literal(phase.phase, "int32")}
        yes = ibis.literal(value=True)
        known |= {
            "entered": found.first,
            "seen": found.first,
            "leads": yes,
            "leads_run": yes,
            "chosen": yes,
            "own": yes,
        }
        same = {name: value for name, value in known.items() if name not in found.columns}
    elif not scope.clustered and "leads" in found.columns:
        same = {"chosen": ibis.literal(value=True), "own": ibis.literal(value=True)}
    found = found.mutate(**same) if same else found
    ends = [(phase.place, phase.end) for phase in scope.phases if phase.end is not None]
    cases = [((found.run == run) & (found.phase == phase), end - found.first) for (run, phase), end in ends]
    room = ibis.cases(*cases, else_=FOREVER) if cases else ibis.literal(FOREVER)
    return found.mutate(room=room.cast("float64"), since=scope.now - found.first)


def matched(outcomes: ir.Table, exposures: ir.Table, observed: ir.Table, scope: Scope) -> ir.Table:
    """Return the outcomes that belong to an observation.

    Args:
        outcomes: Columns ``id``, ``code``, ``value``, ``time``, ``received``, ``keyed``, ``run``, ``unit_hash``,
            ``request_id`` and ``unit``; unique, none later than now, keyed to no other experiment.
        exposures: What ``counted`` returns.
        observed: What ``observations`` returns, as it was kept.
        scope: What attribution is about.

    Returns:
        Columns ``observation``, ``code``, ``value``, ``at``, ``received`` (unix seconds), ``first`` and ``crossed``;
        where a user can have several observations ``run``, ``phase``, ``entered``, and ``leads`` (true in one row of an
        outcome); where units are clusters ``chosen`` (whether it belongs to this observation) and ``own`` (whether it
        is the user's own, and so one that a covariate may be made of).
    """
    parts: list[ir.Table] = []
    leads = observed.leads if scope.several else ibis.literal(value=True)
    if "unit" in scope.keys:
        keyed = outcomes.filter(outcomes.keyed == "unit")
        parts.append(_joined(keyed, observed.mutate(leads=leads, own=observed.unit == observed.user), "unit", scope))
        if scope.clustered:
            users = observed.filter(observed.unit != observed.user).mutate(own=ibis.literal(value=True))
            parts.append(_joined(keyed.mutate(user=keyed.unit), users, "user", scope))
    if "assignment" in scope.keys:
        keyed = outcomes.filter(outcomes.keyed == "assignment")
        in_run = observed.leads_run if scope.several else leads
        runs = observed.mutate(leads=in_run, own=observed.unit == observed.user)
        parts.append(_joined(keyed, runs, "unit_hash", scope))
    if "request_id" in scope.keys:
        keyed = outcomes.filter(outcomes.keyed == "request_id")
        parts.append(_joined(keyed, _requests(keyed, exposures, observed, scope), "request_id", scope))
    found = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return _chosen(found) if scope.clustered else found


def _chosen(found: ir.Table) -> ir.Table:
    """Choose, of the observations of a phase that an outcome's key names, the one exposed last before it."""
    age = found["at"] - found.first
    order = [(age < 0).cast("int8"), age.abs(), found.unit, found.user]
    once = ibis.window(group_by=[found.id, found.run, found.phase], order_by=order)
    ever = ibis.window(group_by=found.id, order_by=[found.run, found.phase, *order])
    chosen, leads = ibis.row_number().over(once) == 0, ibis.row_number().over(ever) == 0
    return found.mutate(chosen=chosen, leads=leads).drop("id", "unit", "user")


def _requests(keyed: ir.Table, exposures: ir.Table, observed: ir.Table, scope: Scope) -> ir.Table:
    """Return, by request id, the observation of its first exposure in each phase."""
    by = identity(scope)
    asked = exposures.semi_join(keyed.select("request_id"), "request_id").select("request_id", "time", *by)
    named = asked.join(observed.select("observation", *by), by)
    unique = named.group_by("request_id", "run", "phase").aggregate(observation=named.observation.argmin(named.time))
    by_request = ibis.window(group_by=unique.request_id, order_by=[unique.run, unique.phase])
    leads = ibis.row_number().over(by_request) == 0 if scope.several else ibis.literal(value=True)
    unique = unique.mutate(leads=leads, own=ibis.literal(value=True)).drop("run", "phase")
    return unique.join(observed.drop(*(name for name in ("leads", "own") if name in observed.columns)), "observation")


def _joined(keyed: ir.Table, observed: ir.Table, key: str, scope: Scope) -> ir.Table:
    """Join outcomes to observations by a key; assignments also by their run."""
    by = [key, "run"] if key == "unit_hash" else [key]
    columns = ["observation", "first", "crossed"]
    columns += ["run", "phase", "entered", "leads"] if scope.several else []
    columns += ["own", "unit", "user"] if scope.clustered else []
    extra = ["id"] if scope.clustered else []
    left = keyed.select(*by, *extra, "code", "value", "received", at=keyed.time)
    found = left.join(observed.select(*dict.fromkeys([*by, *columns])), by)
    return found.select("code", "value", "at", "received", *extra, *columns)
