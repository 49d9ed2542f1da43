"""From a request on a route to everything that follows from it: unit, arm, target, records.

Responsible for: ``RoutePlan.decide``, and computing at compile whatever does not depend on the request.
Does not know: which route a request takes (``router.routing.table``), endpoints, health. An arm is chosen for its unit
alone; what to do when its target is unwell is decided later and recorded apart (intention to treat).

Rules: weights are the revision's, never the configuration's. An override wins over weights, is marked, and gets no
counter cell, so that guardrails do not see it. A request without a unit goes to the route's target.

Decisions on the units of late are kept for the life of a table. They are functions of route and unit alone, so nobody
can tell (what depends on more must not be kept); but one that is kept costs 0.4 µs and a new one 1.6.
"""

from collections.abc import Mapping
from math import inf, log
from typing import Final
from weakref import ref

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct

from router.config.schema import Arm, Experiment, Route
from router.counters import arm_key, pair_key, route_key
from router.events.model import Enrolment, Revision
from router.routing.bucket import SCALE, arm_prefix, unit_key
from router.routing.degrade import Level, compile_levels
from router.routing.request import Request
from router.routing.sample import ShadowPlan, compile_shadow, sampled
from router.routing.source import MAX_UNIT_BYTES, Source, compile_source
from router.routing.steps import CachedStep, Step, WrittenStep, compile_steps
from router.routing.token import Forced

NO_CELL: Final = -1

# Places for kept decisions: 7 MB when all are taken. Of two units that fall on one place the later has it.
PLACES: Final = 1 << 14
# A longer value may be longer than MAX_UNIT_BYTES in UTF-8, and then the decision is not about it.
_LONGEST_KEPT: Final = MAX_UNIT_BYTES // 2


class ArmPlan(Struct, frozen=True, gc=False):
    """What being assigned to an arm means.

    Attributes:
        name: Name of the arm.
        target: Name of its target.
        pair: First word of the counter row of route and target.
        head: Header fields to the target, each with its CRLF.
        enrolments: What the event says.
        cells: First word of the arm's counter row.
    """

    name: str
    target: str
    pair: int
    head: bytes
    enrolments: tuple[Enrolment, ...]
    cells: int


class Trial(Struct, frozen=True):
    """The experiment of a route, compiled.

    Attributes:
        experiment: Name of the experiment.
        salt: Salt of its assignment.
        arms: Hash prefix, weight and meaning of each arm with a weight above 0, in order of their names, so that the
            first of equal scores is the one that ``bucket.choose`` gives.
        overrides: Unit to the meaning of the arm that it is given.
        forced: Arm to what being forced into it means; empty while the experiment is killed.
        weights: Arm to weight, also the arms of weight 0, in the order of the file.
    """

    experiment: str
    salt: str
    arms: tuple[tuple[bytes, float, ArmPlan], ...]
    overrides: Mapping[str, ArmPlan]
    forced: Mapping[str, ArmPlan]
    weights: Mapping[str, float]

    def choose(self, unit: bytes) -> ArmPlan | None:
        """Return the arm of a unit, the same as ``bucket.choose``; None when no arm has a weight above 0."""
        lowest = inf
        chosen = None
        for prefix, weight, arm in self.arms:
            score = -log(((digest(prefix + unit)[0] >> 11) + 0.5) * SCALE) / weight
            if score < lowest or chosen is None:
                lowest = score
                chosen = arm
        return chosen


class Decision(Struct, frozen=True, gc=False):
    """What is to happen with one exchange.

    Attributes:
        route: The route.
        unit: Whom the assignment belongs to; None when no source was present.
        unit_source: Where the unit came from, as the configuration says it.
        target: Name of the target.
        pair: First word of the counter row of route and target.
        head: Header fields to the target, each with its CRLF.
        enrolments: What the event says.
        cell: Word that counts the arm's exchanges in the unit's bucket (failures are ``counters.ARM_FAILURES`` on);
            -1 without an experiment, and for an override, which no statistic may see.
        arm: Name of the arm; None without an experiment.
        key: 64 bits for a balancer: a hash of the unit, or random ones of the exchange's id.
        shadows: Who gets a copy.
    """

    route: "RoutePlan"
    unit: str | None
    unit_source: str | None
    target: str
    pair: int
    head: bytes
    enrolments: tuple[Enrolment, ...]
    cell: int
    arm: str | None
    key: int
    shadows: tuple[ShadowPlan, ...] = ()


class Kept:
    """The decisions that a table keeps, each with the route's row and the value of the header field that it is about.

    Plans have a weak reference to it: decisions refer to plans, and the collector does not look into decisions.
    """

    __slots__ = ("__weakref__", "places")

    def __init__(self) -> None:
        self.places: list[tuple[int, bytes, Decision] | None] = [None] * PLACES


class RoutePlan(Struct, frozen=True):
    """A route, compiled.

    Attributes:
        name: Name of the route.
        inspect_bytes: How much body may be read to decide.
        needs_body: Whether a source of the unit, or an attribute that rules ask for, reads the body.
        sources: Sources of the unit, in order.
        attributes: Named facts about a request.
        row: First word of the route's counter row.
        target: Name of the target that serves when no experiment says otherwise.
        pair: First word of the counter row of the route and that target.
        head: Header fields to that target, each with its CRLF.
        trial: The route's experiment.
        direct: Whether nothing but a rate stands between the head of a request and its target.
        limited: Whether a rate is.
        admits: Whether a rate or a load is to be asked before a request goes on.
        levels: What gives way at which load, the highest first.
        fallback: What answers when the target cannot, in order.
        rules_read: Whether an attribute that rules ask for reads the body.
        cached: Whether the last good answers are kept.
        replay_bytes: How much of a body is kept to be sent again.
        first: Header field that is the first source; None when that is of another kind.
        kept: Decisions of late, of all routes.
        shadows: Targets that get copies of some units' requests.
    """

    name: str
    inspect_bytes: int
    needs_body: bool
    sources: tuple[Source, ...]
    attributes: Mapping[str, Source]
    row: int
    target: str
    pair: int
    head: bytes
    trial: Trial | None
    direct: bool
    limited: bool
    admits: bool
    levels: tuple[Level, ...]
    fallback: tuple[Step, ...]
    rules_read: bool
    cached: bool
    replay_bytes: int
    first: bytes | None
    kept: ref[Kept]
    shadows: tuple[ShadowPlan, ...] = ()

    def wants_body(self, request: Request) -> bool:
        """Return whether gathering the body could change the unit, or what rules are evaluated on.

        It cannot change the unit when a source before the first ``json:`` is present.
        """
        if request.body is not None or not self.needs_body:
            return False
        if self.rules_read:  # when they are needed, it is too late to wait for it
            return True
        found = self.find_unit(request)
        if found is None:
            return True
        labels = [source.label for source in self.sources]
        return any(source.json for source in self.sources[: labels.index(found[0])])

    def find_unit(self, request: Request) -> tuple[str, str, bytes] | None:
        """Return label, text and UTF-8 of the first source that is present; None when there is none."""
        for source in self.sources:
            unit = source.read(request)
            if unit:
                data = unit.encode()
                if len(data) <= MAX_UNIT_BYTES:
                    return source.label, unit, data
        return None

    def decide(self, request: Request) -> Decision:
        """Decide about a request; what is not gathered of its body counts as absent."""
        if request.forced is not None:
            forced = self._force(request, request.forced)
            if forced is not None:
                return forced
        value = None if self.first is None else request.fields.get(self.first)
        kept = self.kept()
        if not value or len(value) > _LONGEST_KEPT or kept is None:
            return self._decide(request)
        place = (hash(value) ^ self.row) & (PLACES - 1)
        known = kept.places[place]
        if known is not None and known[1] == value and known[0] == self.row:
            return known[2]
        decision = self._decide(request)
        kept.places[place] = (self.row, value, decision)
        return decision

    def _force(self, request: Request, forced: Forced) -> Decision | None:
        """Decide as an override says; None when it is not about this route, or not for this unit."""
        trial, override = self.trial, forced.override
        arm = trial.forced.get(override.arm) if trial is not None and trial.experiment == override.experiment else None
        label, unit, data = self.find_unit(request) or (None, None, None)
        if arm is None or not forced.fits(data):
            return None
        key = int(request.id[:16], 16) if data is None else unit_key(data)[0]
        return Decision(self, unit, label, arm.target, arm.pair, arm.head, arm.enrolments, NO_CELL, arm.name, key)

    def _decide(self, request: Request) -> Decision:
        found = self.find_unit(request)
        if found is None:
            key = int(request.id[:16], 16)
            shadows = sampled(self.shadows, request.id.encode()) if self.shadows else ()
            return Decision(self, None, None, self.target, self.pair, self.head, (), NO_CELL, None, key, shadows)
        label, unit, data = found
        shadows = sampled(self.shadows, data) if self.shadows else ()
        key, bucket = unit_key(data)
        trial = self.trial
        arm = None
        cell = NO_CELL
        if trial is not None:
            arm = trial.overrides.get(unit)
            if arm is None:
                arm = trial.choose(data)
                if arm is not None:
                    cell = arm.cells + bucket
        if arm is None:
            return Decision(self, unit, label, self.target, self.pair, self.head, (), NO_CELL, None, key, shadows)
        return Decision(self, unit, label, arm.target, arm.pair, arm.head, arm.enrolments, cell, arm.name, key, shadows)


def compile_route(route: Route, trial: Trial | None, slots: Mapping[str, int], kept: Kept) -> RoutePlan:
    """Compile a route with its experiment.

    Args:
        route: The route.
        trial: Its experiment, compiled.
        slots: Key of a counter row to its first word.
        kept: Where its decisions are kept.

    Raises:
        KeyError: If a counter row is missing.
        ValueError: If a source is of no known kind.
    """
    sources = tuple(compile_source(label, route.inspect_bytes) for label in route.unit)
    attributes = {name: compile_source(label, route.inspect_bytes) for name, label in route.attributes.items()}
    fallback = compile_steps(route, attributes, slots)
    rules_read = route.inspect_bytes > 0 and any(isinstance(step, WrittenStep) and step.reads_body for step in fallback)
    needs_body = rules_read or (route.inspect_bytes > 0 and any(source.json for source in sources))
    admits = route.rate_limit is not None or bool(route.degrade)
    return RoutePlan(
        name=route.name,
        inspect_bytes=route.inspect_bytes,
        needs_body=needs_body,
        sources=sources,
        attributes=attributes,
        row=slots[route_key(route.name)],
        target=route.target,
        pair=slots[pair_key(route.name, route.target)],
        head=_head(route.name, None),
        trial=trial,
        direct=not (needs_body or route.degrade),
        limited=route.rate_limit is not None,
        admits=admits,
        levels=compile_levels(route, slots),
        fallback=fallback,
        rules_read=rules_read,
        cached=any(isinstance(step, CachedStep) for step in fallback),
        replay_bytes=route.replay_bytes,
        first=sources[0].field if route.unit and route.unit[0].startswith("header:") else None,
        kept=ref(kept),
        shadows=tuple(compile_shadow(route.name, shadow, slots) for shadow in route.shadow if shadow.share > 0),
    )


def compile_trial(experiment: Experiment, revision: Revision) -> Trial:
    """Compile an experiment with the revision's weights for it.

    Raises:
        KeyError: If the revision has no run, weight or counter row for it, or an override names no arm of it.
    """
    weights = revision.weights[experiment.name]
    total = sum(weights.values())
    salt = experiment.name if experiment.salt is None else experiment.salt
    plans: dict[str, ArmPlan] = {}
    forced: dict[str, ArmPlan] = {}
    for arm in experiment.arms:
        share = weights[arm.name] / total if total else 0.0
        plans[arm.name] = _arm_plan(experiment, arm, revision, share)
        # A killed experiment has no overrides: what was killed gets no request at all.
        if experiment.name not in revision.killed:
            forced[arm.name] = _arm_plan(experiment, arm, revision, None)
    return Trial(
        experiment=experiment.name,
        salt=salt,
        arms=tuple((arm_prefix(salt, name), weights[name], plans[name]) for name in sorted(plans) if weights[name] > 0),
        overrides={
            override.unit: forced[override.arm]
            for override in revision.config.overrides
            if override.experiment == experiment.name and forced
        },
        forced=forced,
        weights={name: weights[name] for name in plans},
    )


def _arm_plan(experiment: Experiment, arm: Arm, revision: Revision, share: float | None) -> ArmPlan:
    """Return what an arm means; a share of None is that of an override, which is certain."""
    run = revision.runs[experiment.name]
    enrolment = Enrolment(
        experiment=experiment.name,
        run=run.number,
        phase=run.phase,
        epoch=run.epoch,
        arm=arm.name,
        propensity=1.0 if share is None else share,
        target=arm.target,
        override=share is None,
    )
    return ArmPlan(
        name=arm.name,
        target=arm.target,
        pair=revision.slots[pair_key(experiment.route, arm.target)],
        head=_head(experiment.route, enrolment),
        enrolments=(enrolment,),
        cells=revision.slots[arm_key(experiment.name, run.number, run.phase, arm.name)],
    )


def _head(route: str, enrolment: Enrolment | None) -> bytes:
    experiments = f"x-router-experiments: {enrolment.experiment}={enrolment.arm}\r\n" if enrolment else ""
    return f"x-router-route: {route}\r\n{experiments}".encode()
