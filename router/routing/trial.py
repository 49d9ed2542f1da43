"""One experiment, compiled: who may be in it, which arm a unit gets, and everything that follows from the arm.

Responsible for: ``Trial`` and its arms, computed from a revision.
Does not know: the other experiments of the route (``router.routing.structure``), where a unit comes from.

Rules: weights are the revision's, never the configuration's. Whether an experiment is active is decided by the time of
the revision, not of the request: the control process makes a revision whenever one begins or ends, so what a table says
does not depend on the moment.
"""

from collections.abc import Mapping, Sequence
from math import inf, log
from typing import Final

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct

from router.config.allocate import CONTEXTUAL
from router.config.schema import Arm, Experiment
from router.counters import arm_key, pair_key, times_key
from router.events.model import Enrolment, Revision
from router.events.policy import LinearModel
from router.routing.bucket import SCALE, arm_prefix
from router.routing.flag_header import flag_item
from router.routing.linear import LinearPolicy, compile_policy, load
from router.routing.request import Request
from router.routing.source import Source
from router.routing.targeting import Targeting, compile_targeting

WHOLE: Final = 1 << 64  # one more than the largest point of a unit
NO_ROW: Final = -1


class ArmPlan(Struct, frozen=True, gc=False):
    """What being assigned to an arm means.

    Attributes:
        name: Name of the arm.
        target: Name of its target; None when the arm is the value of a flag.
        pair: First word of the counter row of route and target; -1 without a target.
        label: ``EXPERIMENT=ARM``.
        head: Header fields to the target when the exchange is in no other experiment, each with its CRLF.
        flag: The flag's item of ``x-router-flags``; empty when the arm names a target.
        enrolments: What the event says.
        forced: What the event says when an arm of the exchange was forced.
        cells: First word of the arm's counter row.
        times: First word of the row of how long its exchanges take; -1 where that is not counted.
    """

    name: str
    target: str | None
    pair: int
    label: bytes
    head: bytes
    flag: bytes
    enrolments: tuple[Enrolment, ...]
    forced: tuple[Enrolment, ...]
    cells: int
    times: int


class PreviewPlan(Struct, frozen=True):
    """Which requests get the new arm of a release, whatever its share.

    Attributes:
        field: Header field that they have, in lower case.
        value: Its value; None is any.
        arm: The arm.
    """

    field: bytes
    value: bytes | None
    arm: ArmPlan

    def wants(self, request: Request) -> bool:
        """Return whether a request is one of them."""
        found = request.fields.get(self.field)
        return found is not None and (self.value is None or found == self.value)


class Trial(Struct, frozen=True):
    """An experiment, compiled.

    Attributes:
        experiment: Name of the experiment.
        salt: Salt of its assignment.
        active: Whether the time of the revision is within the experiment's.
        killed: Whether it was killed.
        start: First point of its layer's units that may take part.
        end: First point after those.
        cover: Hashed in front of a unit for its point of coverage.
        covered: First of those points that does not take part.
        people: Whether bots may not take part.
        eligible: Who may take part; None when everybody may.
        needs: Experiments that the unit has to be in, each with the arms that do; no arms are any.
        arms: Hash prefix, weight and meaning of each arm with a weight above 0, in order of their names, so that the
            first of equal scores is the one that ``bucket.choose`` gives.
        overrides: Unit to the arm that it is given; empty while the experiment is killed.
        named: Name to arm, also those of weight 0, in the order of the file.
        weights: Arm to weight, likewise.
        policy: What gives each request weights of its own; None where those above hold for all.
        preview: Which requests get its new arm all the same; None without any, and while it is killed.
        replaced: The target whose place the new arm of a release has taken for every unit, and that arm; None while
            some have another.
    """

    experiment: str
    salt: str
    active: bool
    killed: bool
    start: int
    end: int
    cover: bytes
    covered: int
    people: bool
    eligible: Targeting | None
    needs: tuple[tuple[str, frozenset[str]], ...]
    arms: tuple[tuple[bytes, float, ArmPlan], ...]
    overrides: Mapping[str, ArmPlan]
    named: Mapping[str, ArmPlan]
    weights: Mapping[str, float]
    policy: LinearPolicy | None = None
    preview: PreviewPlan | None = None
    replaced: tuple[str, ArmPlan] | None = None

    @property
    def open(self) -> bool:
        """Whether every unit takes part."""
        unasked = self.eligible is None and not self.needs and not self.people
        return self.active and unasked and (self.start, self.end, self.covered) == (0, WHOLE, WHOLE)

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

    def assign(self, request: Request, unit: bytes) -> ArmPlan | None:
        """Return the arm of a unit for a request, by its policy if there is one; None as of ``choose``."""
        if self.policy is None:
            return self.choose(unit)
        arm: ArmPlan = self.policy.choose(request, unit)
        return arm

    def shares(self, request: Request) -> Mapping[str, float]:
        """Return the weight of each arm for a request."""
        if self.policy is None:
            return self.weights
        given = dict(zip((arm.name for _, arm in self.policy.arms), self.policy.weights(request), strict=True))
        return {name: given.get(name, 0.0) for name in self.named}


def route_line(route: str) -> bytes:
    """Return the header field that tells a target the route."""
    return f"x-router-route: {route}\r\n".encode()


def arm_lines(labels: Sequence[bytes], flags: Sequence[bytes]) -> bytes:
    """Return the header fields that tell a target the arms.

    Args:
        labels: ``EXPERIMENT=ARM`` of each.
        flags: The item of ``x-router-flags`` of each; empty where there is none.
    """
    lines = b"x-router-experiments: %b\r\n" % b", ".join(labels)
    given = [flag for flag in flags if flag]
    return lines + b"x-router-flags: %b\r\n" % b", ".join(given) if given else lines


def threshold(share: float) -> int:
    """Return a share of all units as a point: units whose point is below it are in."""
    return round(share * WHOLE)


def compile_trial(experiment: Experiment, revision: Revision, attributes: Mapping[str, Source]) -> Trial:
    """Compile an experiment with the revision's weights for it.

    Args:
        experiment: The experiment.
        revision: The revision.
        attributes: Attributes of the experiment's route, compiled.

    Raises:
        KeyError: If the revision has no run, weight or counter row for it, or an override names no arm of it.
        ValueError: If its rule has an operator that does not exist.
    """
    weights = revision.weights[experiment.name]
    total = sum(weights.values())
    salt = experiment.name if experiment.salt is None else experiment.salt
    if experiment.allocate.use in CONTEXTUAL:
        load()
    killed, run = experiment.name in revision.killed, revision.runs[experiment.name]
    named = {
        arm.name: _arm_plan(experiment, arm, revision, weights[arm.name] / total if total else 0.0)
        for arm in experiment.arms
    }
    start, end = experiment.segment or (0.0, 1.0)
    active = experiment.active
    arms = tuple((arm_prefix(salt, name), weights[name], named[name]) for name in sorted(named) if weights[name] > 0)
    return Trial(
        experiment=experiment.name,
        salt=salt,
        active=active is None or (active.start or -inf) <= revision.time < (active.until or inf),
        killed=killed,
        start=threshold(start),
        end=threshold(end),
        cover=arm_prefix(salt, ""),
        covered=threshold(experiment.coverage),
        people="bots" in experiment.exclude,
        eligible=compile_targeting(experiment, attributes),
        needs=tuple((need.experiment, frozenset(need.arms)) for need in experiment.prerequisites),
        arms=arms,
        # A killed experiment has no overrides: what was killed gets no request at all.
        overrides={
            override.unit: named[override.arm]
            for override in revision.config.overrides
            if override.experiment == experiment.name and not killed
        },
        named=named,
        weights={name: weights[name] for name in named},
        policy=_policy(revision.policies.get(experiment.name), run.number, arms, attributes),
        preview=None if killed else _preview(experiment, named),
        replaced=_replaced(experiment, named, weights),
    )


def _replaced(
    experiment: Experiment, named: Mapping[str, ArmPlan], weights: Mapping[str, float]
) -> tuple[str, ArmPlan] | None:
    """Return what a release has replaced for everybody; its arms are targets."""
    old = named[experiment.control or experiment.arms[0].name]
    given = [plan for name, plan in named.items() if weights[name] > 0]
    if not experiment.allocate.driven or len(given) != 1 or given[0] is old or old.target is None:
        return None
    return old.target, given[0]


def _preview(experiment: Experiment, named: Mapping[str, ArmPlan]) -> PreviewPlan | None:
    preview = experiment.allocate.preview
    if preview is None:
        return None
    control = experiment.control or experiment.arms[0].name
    (arm,) = (plan for name, plan in named.items() if name != control)
    value = None if preview.value is None else preview.value.encode()
    return PreviewPlan(preview.header.lower().encode(), value, arm)


def _policy(
    model: LinearModel | None,
    run: int,
    arms: Sequence[tuple[bytes, float, ArmPlan]],
    attributes: Mapping[str, Source],
) -> LinearPolicy | None:
    """Compile the policy of an experiment; None when it has none, or one of other arms or features than it has now.

    A killed experiment has one arm with a weight, and so no policy.
    """
    known = {plan.name: (prefix, plan) for prefix, _, plan in arms}
    if model is None or model.run != run or set(model.arms) != set(known):
        return None
    if any(feature.name not in attributes for feature in model.features):
        return None
    return compile_policy(model, attributes, known)


def _arm_plan(experiment: Experiment, arm: Arm, revision: Revision, share: float) -> ArmPlan:
    run = revision.runs[experiment.name]

    def enrolment(propensity: float, *, override: bool) -> Enrolment:
        return Enrolment(
            experiment=experiment.name,
            run=run.number,
            phase=run.phase,
            epoch=run.epoch,
            arm=arm.name,
            propensity=propensity,
            target=arm.target,
            override=override,
            site=revision.varied.get(experiment.name),
        )

    label = f"{experiment.name}={arm.name}".encode()
    flag = b"" if experiment.flag is None else flag_item(experiment.flag, arm.value)
    return ArmPlan(
        name=arm.name,
        target=arm.target,
        pair=NO_ROW if arm.target is None else revision.slots[pair_key(experiment.route, arm.target)],
        label=label,
        head=route_line(experiment.route) + arm_lines([label], [flag]),
        flag=flag,
        enrolments=(enrolment(share, override=False),),
        forced=(enrolment(1.0, override=True),),  # what was given is certain
        cells=revision.slots[arm_key(experiment.name, run.number, run.phase, arm.name)],
        times=revision.slots[times_key(experiment.name, arm.name)] if experiment.allocate.driven else NO_ROW,
    )
