"""Attribution in plain Python, slow and obviously right: one loop for each rule of docs/analysis.md.

Shares nothing with ``router.analysis`` but the definitions of metrics and the names of the results, so that what both
find is what the rules say.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from router.analysis.history import Phase
from router.analysis.plan import Plan
from router.config.schema import Metric

Row = dict[str, Any]
Who = tuple[int, int, str, str]


@dataclass
class Observation:
    """A user within a unit within a phase."""

    who: Who
    exposures: list[Row] = field(default_factory=list)
    crossed: bool = False
    first: float = 0.0
    entered: float = 0.0
    seen: float = 0.0
    room: float = inf
    since: float = 0.0
    outcomes: list[Row] = field(default_factory=list)
    own: list[Row] = field(default_factory=list)

    @property
    def arm(self) -> str:
        """The arm, of one that is not crossed."""
        return str(self.exposures[0]["arm"])


@dataclass
class Found:
    """What the oracle finds."""

    values: dict[tuple[Who, str], tuple[str, float | None, float | None]] = field(default_factory=dict)
    observations: dict[Who, Observation] = field(default_factory=dict)
    fates: dict[tuple[int, int, str], dict[str, int]] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    depths: dict[tuple[Who, str], int] = field(default_factory=dict)


def attribute(
    exposures: Iterable[Row], outcomes: Iterable[Row], plan: Plan, phases: Iterable[Phase], now: float
) -> Found:
    """Attribute outcomes, and give every observation its value for every metric."""
    ends = {phase.place: phase.end for phase in phases}
    counted = [
        row
        for row in exposures
        if row["experiment"] == plan.experiment
        and row["time"] <= now
        and not row["override"]
        and not (plan.bots and row["bot"])
    ]
    found = Found(observations=_observe(counted, ends, now))
    ours = [row for row in outcomes if row["keyed"] != "assignment" or row["experiment"] == plan.experiment]
    ours = [
        {**row, "received": row["received"] if plan.frozen and row["received"] is not None else row["time"]}
        for row in ours
    ]
    past = [row for row in ours if max(row["time"], row["received"]) <= now and row["outcome"] in plan.outcomes]
    lost = _match(past, counted, found.observations)
    for metric in plan.metrics:
        if metric.exchange is None:
            found.unmatched[metric.name] = sum(row["outcome"] in metric.outcomes() for row in lost)
            for run, phase in {who[:2] for who in found.observations}:
                found.fates[run, phase, metric.name] = dict.fromkeys(
                    ("attributed", "early", "late", "immature", "excluded", "overdue"), 0
                )
        for who, observation in found.observations.items():
            if metric.exchange is None:
                _judge(found, metric, who, observation)
            if not observation.crossed:
                found.values[who, metric.name] = _value(found, metric, observation)
    return found


def _observe(counted: list[Row], ends: dict[tuple[int, int], float | None], now: float) -> dict[Who, Observation]:
    observations: dict[Who, Observation] = {}
    arms: dict[tuple[int, int, str], set[str]] = defaultdict(set)
    for row in counted:
        user = row["user"] if row["user"] is not None else row["unit"]
        who = (row["run"], row["phase"], row["unit"], user)
        observations.setdefault(who, Observation(who)).exposures.append(row)
        arms[who[:3]].add(row["arm"])
    for who, observation in observations.items():
        observation.exposures.sort(key=lambda row: row["time"])
        observation.crossed = len(arms[who[:3]]) > 1
        observation.first = observation.exposures[0]["time"]
    for who, observation in observations.items():
        same = [other for whom, other in observations.items() if whom[3] == who[3]]
        observation.seen = min(other.first for other in same)
        observation.entered = min(other.first for other in same if other.who[0] == who[0])
        end = ends[who[0], who[1]]
        observation.room = inf if end is None else end - observation.first
        observation.since = now - observation.first
    return observations


def _match(past: list[Row], counted: list[Row], observations: dict[Who, Observation]) -> list[Row]:
    """Give each outcome to one observation of each phase at most; return those that belong to none."""
    lost = []
    for outcome in past:
        fitting = [observation for observation in observations.values() if _fits(outcome, observation, counted)]
        for observation in fitting:
            user_keyed = outcome["keyed"] == "unit" and outcome["unit"] == observation.who[3]
            alone = observation.who[2] == observation.who[3]
            if outcome["keyed"] == "request_id" or user_keyed or (outcome["keyed"] == "assignment" and alone):
                observation.own.append(outcome)
        by_phase: dict[tuple[int, int], list[Observation]] = defaultdict(list)
        for observation in fitting:
            by_phase[observation.who[:2]].append(observation)
        for same in by_phase.values():
            before = [observation for observation in same if observation.first <= outcome["time"]]
            nearest = min(before or same, key=lambda one: (abs(outcome["time"] - one.first), one.who[2], one.who[3]))
            nearest.outcomes.append(outcome)
        if not fitting:
            lost.append(outcome)
    return lost


def _fits(outcome: Row, observation: Observation, counted: list[Row]) -> bool:
    run, phase, unit, user = observation.who
    if outcome["keyed"] == "unit":
        return outcome["unit"] in (unit, user)
    if outcome["keyed"] == "assignment":
        return bool(outcome["run"] == run and observation.exposures[0]["unit_hash"] == outcome["unit_hash"])
    asked = [
        row
        for row in counted
        if row["request_id"] == outcome["request_id"] and (row["run"], row["phase"]) == (run, phase)
    ]
    first = min(asked, key=lambda row: row["time"], default=None)
    return first is not None and first in observation.exposures


def grace_of(metric: Metric) -> float:
    """Return for how long something counts after the window."""
    if metric.grace is not None:
        return metric.grace
    return inf if metric.exchange is None and metric.horizon() is None else 0.0


def _window(metric: Metric, observation: Observation) -> tuple[float, float, bool]:
    """Return where the window opens and closes, and whether the observation is mature: its value is final."""
    horizon = metric.horizon()
    opens = metric.day * 86400.0 if metric.day is not None else 0.0
    closes = min(inf if horizon is None else horizon, observation.room)
    if horizon is None:
        return opens, closes, True
    mature = closes + grace_of(metric) <= observation.since
    if metric.kind == "retention" and observation.room < horizon:
        mature = False
    return opens, closes, mature


def _judge(found: Found, metric: Metric, who: Who, observation: Observation) -> None:
    opens, closes, mature = _window(metric, observation)
    for outcome in observation.outcomes:
        if outcome["outcome"] not in metric.outcomes():
            continue
        age = outcome["time"] - observation.first
        if observation.crossed:
            fate = "excluded"
        elif age < opens:
            fate = "early"
        elif age >= closes:
            fate = "late"
        elif not mature:
            fate = "immature"
        else:
            fate = "overdue" if _overdue(metric, observation, outcome) else "attributed"
        found.fates[who[0], who[1], metric.name][fate] += 1


def _overdue(metric: Metric, observation: Observation, outcome: Row) -> bool:
    """Say whether an outcome was received when the value was final already."""
    _, closes, _ = _window(metric, observation)
    return bool(outcome["received"] - observation.first > closes + grace_of(metric))


def _value(found: Found, metric: Metric, observation: Observation) -> tuple[str, float | None, float | None]:
    """Return what is known of a metric (``known``, ``immature``, ``missing``), value and second value."""
    opens, closes, mature = _window(metric, observation)
    if not mature:
        return "immature", None, None
    if metric.exchange is not None:
        return _of_exchanges(metric, observation)
    inside = [
        row
        for row in observation.outcomes
        if opens <= row["time"] - observation.first < closes and not _overdue(metric, observation, row)
    ]
    x: float | None = None
    if metric.covariate is not None:
        x = sum(
            row["value"]
            for row in observation.own
            if row["outcome"] == metric.covariate.outcome
            and -metric.covariate.before <= row["time"] - observation.entered < 0
            and not _overdue(metric, observation, row)
        )
    values = [row["value"] for row in inside if row["outcome"] == metric.outcome]
    if metric.kind in ("proportion", "retention"):
        return "known", float(bool(values)), x
    if metric.kind == "count":
        return "known", float(len(values)), x
    if metric.kind == "ratio":
        sums = [
            sum(row["value"] for row in inside if row["outcome"] == name)
            for name in (metric.numerator, metric.denominator)
        ]
        return "known", sums[0], sums[1]
    if metric.kind == "funnel":
        depth = found.depths[observation.who, metric.name] = _depth(metric, inside)
        return "known", float(depth == len(metric.steps)), None
    return "known", sum(values), x


def _depth(metric: Metric, inside: list[Row]) -> int:
    at = -inf
    for number, name in enumerate(metric.steps):
        times = [row["time"] for row in inside if row["outcome"] == name and row["time"] >= at]
        if not times:
            return number
        at = min(times)
    return len(metric.steps)


def measures(metric: Metric, observation: Observation) -> list[float]:
    """Return what a metric measures on the exchanges of an observation that have it, and that count."""
    source = str(metric.exchange)
    seen = observation.exposures
    if metric.window is not None:
        _, closes, mature = _window(metric, observation)
        if not mature:
            return []
        seen = [
            row
            for row in seen
            if row["time"] - observation.first < closes
            and row["time"] + row["duration"] - observation.first <= closes + grace_of(metric)
        ]
    if source in ("failed", "duration", "first_byte"):
        read = [row[source] for row in seen]
    else:
        read = [row["rewards"].get(source) for row in seen]
    return [float(value) for value in read if value is not None]


def _of_exchanges(metric: Metric, observation: Observation) -> tuple[str, float | None, float | None]:
    values = measures(metric, observation)
    if not values:
        return "missing", None, None
    if metric.kind == "quantile":
        return "known", None, None
    if metric.kind == "proportion":
        return "known", float(any(values)), None
    return "known", sum(values), float(len(values)) if metric.kind == "ratio" else None
