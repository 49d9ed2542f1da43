"""The experiments of a route: which of them an exchange is in, and with which arms.

Responsible for: holdouts, layers, segments, units of experiments, and the order in which everything is asked.
Does not know: how an arm is chosen (``router.routing.trial``), what follows from it (``router.routing.decide``).

Rules, in this order, for each layer (an experiment without one is a layer of its own):

1. An arm that is forced, by a signed header, the preview of a release or ``overrides``, is taken. Then nothing of the
   exchange counts for any experiment, because what one sees depends on what was forced.
2. A unit in a holdout of the layer is in none of its experiments. Holdouts look at the exchange's own unit, whatever
   the experiment assigns: who is held out never sees an arm.
3. The layer's unit is the experiment's own, or the exchange's; a slot of time is added where slots are assigned.
4. The unit's point in the layer is within the segment of at most one active experiment.
5. That experiment's conditions: ``exclude``, ``eligible``, prerequisites, coverage. Layers come in an order in which
   what is required is decided first.

Shares are compared as integers, so segments that touch neither overlap nor leave a gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct
from msgspec.structs import replace

from router.config.schema import Config, Experiment, Route
from router.events.model import Coming, Revision, Run
from router.routing.bots import AGENT, Bots
from router.routing.bucket import arm_prefix
from router.routing.fanout import NO_FANS, FanPlan, compile_fans
from router.routing.request import Request
from router.routing.source import MAX_UNIT_BYTES, Source, compile_source
from router.routing.trial import WHOLE, ArmPlan, Trial, compile_trial, threshold


class HoldoutPlan(Struct, frozen=True):
    """A holdout: its units have points from ``start`` to before ``end``."""

    name: str
    prefix: bytes
    start: int
    end: int

    def point(self, unit: bytes) -> int:
        """Return where a unit stands, 0 … 2^64 - 1, the same as ``bucket.point``."""
        return digest(self.prefix + unit)[0]


class LayerPlan(Struct, frozen=True):
    """A layer, as far as it is on one route.

    Attributes:
        name: Its name; None for that of an experiment without one.
        prefix: Hashed in front of a unit for its point; empty when one experiment has all of the layer.
        holdouts: Holdouts that keep units out of it.
        sources: Where the unit of its experiments comes from; empty when it is the exchange's.
        slot: Length of a slot of time in seconds; 0 when no slots are assigned.
        shared: Whether a slot is the unit of everybody; else it is one of each unit.
        trials: Its experiments.
        turns: When ``later`` comes in the place of ``trials``, in unix seconds: the beginning of a slot.
        later: The same experiments with the weights that were published for then.
    """

    name: str | None
    prefix: bytes
    holdouts: frozenset[str]
    sources: tuple[Source, ...]
    slot: float
    shared: bool
    trials: tuple[Trial, ...]
    turns: float = inf
    later: tuple[Trial, ...] = ()

    def at(self, now: float) -> tuple[Trial, ...]:
        """Return the experiments as they are at a moment of a request."""
        return self.trials if now < self.turns else self.later

    def unit(self, request: Request, own: str | None) -> str | None:
        """Return whom the experiments assign to an arm; None when no source is present.

        Args:
            request: The request; its ``now`` is looked at for slots only.
            own: The exchange's own unit.
        """
        unit = own
        if self.sources:
            found = (source.read(request) for source in self.sources)
            unit = next((text for text in found if text and len(text.encode()) <= MAX_UNIT_BYTES), None)
        if not self.slot:
            return unit
        begin = int(request.now // self.slot * self.slot)
        if self.shared:
            return str(begin)
        return None if unit is None else f"{unit}@{begin}"


class Entered(NamedTuple):
    """An experiment that an exchange is in.

    Attributes:
        arm: The arm.
        unit: Whom the assignment belongs to, when it is not the exchange's own unit.
        data: That unit in UTF-8, or the exchange's.
    """

    arm: ArmPlan
    unit: str | None
    data: bytes


class Seen(NamedTuple):
    """What came of one experiment, for people.

    Attributes:
        layer: Its layer.
        trial: The experiment.
        result: Why it was entered, or not.
        arm: The arm; None when it was not entered.
        unit: Whom the assignment would belong to.
        point: The unit's point in the layer, 0 … 2^64 - 1; None when the layer was not cut.
        forced: Whether the arm was forced.
    """

    layer: LayerPlan
    trial: Trial
    result: str
    arm: ArmPlan | None
    unit: str | None
    point: int | None
    forced: bool = False


class Enrolled(Struct):
    """The experiments that an exchange is in.

    Attributes:
        entered: Each with its arm, in the order of the layers.
        forced: Whether an arm was forced.
        held: Holdouts that the unit is in, of those that matter on the route.
        bot: Whether the caller is a bot; looked at where an experiment of the route excludes them.
        seen: What came of every experiment, if somebody wants to know.
    """

    entered: list[Entered]
    forced: bool = False
    held: tuple[str, ...] = ()
    bot: bool = False
    seen: list[Seen] | None = None


class Structure(Struct, frozen=True):
    """The experiments of a route.

    Attributes:
        layers: Those with an experiment on the route.
        holdouts: Those that keep units out of one of these layers.
        logged: Attributes that events say: strata and slices.
        fields: Header fields that decisions read.
        settled: Whether decisions depend on those fields alone, beside the exchange's own unit.
        reads_body: Whether they read the body.
        timed: Whether they depend on the moment.
        trials: Experiments by name.
        bots: Who is a bot; None when no experiment excludes them.
        fans: Experiments that send requests to several targets, by name.
    """

    layers: tuple[LayerPlan, ...]
    holdouts: tuple[HoldoutPlan, ...]
    logged: tuple[tuple[str, Source], ...]
    fields: frozenset[bytes]
    settled: bool
    reads_body: bool
    timed: bool
    trials: Mapping[str, Trial]
    bots: Bots | None
    fans: Mapping[str, FanPlan] = NO_FANS

    @property
    def simple(self) -> Trial | None:
        """The only experiment, when every unit takes part in it and nothing else is to be asked or said."""
        if len(self.trials) != 1 or self.holdouts or self.logged:
            return None
        layer = self.layers[0]
        trial = layer.trials[0]
        plain = trial.policy is None and trial.preview is None
        return trial if trial.open and plain and not layer.sources and not layer.slot else None

    def instead(self, target: str) -> ArmPlan | None:
        """Return the arm that every unit has in the place of a target; None when some unit may have another.

        Requests without a unit go with everybody: else a switch would leave them behind, and the old version would
        never be free.
        """
        for trial in self.trials.values():
            if trial.replaced is not None and trial.replaced[0] == target and trial.open and not self.holdouts:
                return trial.replaced[1]
        return None

    def has(self, experiment: str, arm: str) -> bool:
        """Return whether somebody may force an arm: nothing of a killed experiment gets any request."""
        trial = self.trials.get(experiment)
        return trial is not None and not trial.killed and arm in trial.named

    def enrol(
        self,
        request: Request,
        unit: str | None,
        forced: tuple[str, str] | None = None,
        *,
        told: bool = False,
    ) -> Enrolled:
        """Return the experiments that a request is in.

        Args:
            request: The request.
            unit: Its own unit.
            forced: Experiment and arm that somebody may force.
            told: Whether to say what came of every experiment.
        """
        data = None if unit is None else unit.encode()
        enrolled = Enrolled([], seen=[] if told else None)
        if self.holdouts and data is not None:
            enrolled.held = tuple(plan.name for plan in self.holdouts if plan.start <= plan.point(data) < plan.end)
        if self.bots is not None:
            enrolled.bot = self.bots.is_bot(request.fields.get(AGENT, b""))
        arms: dict[str, ArmPlan] = {}
        for layer in self.layers:
            given = _given(layer, request, unit, forced)
            if given is not None:
                trial, arm, why = given
                enrolled.forced = True
                arms[trial.experiment] = arm
                enrolled.entered.append(Entered(arm, None, data or b""))
                if enrolled.seen is not None:
                    enrolled.seen.append(Seen(layer, trial, why, arm, unit, None, forced=True))
            elif not enrolled.held or layer.holdouts.isdisjoint(enrolled.held):
                self._enter(layer, request, (unit, data), enrolled, arms)
            elif enrolled.seen is not None:
                held = ", ".join(name for name in enrolled.held if name in layer.holdouts)
                enrolled.seen += [Seen(layer, each, f"held out by {held}", None, unit, None) for each in layer.trials]
        return enrolled

    def _enter(
        self,
        layer: LayerPlan,
        request: Request,
        own: tuple[str | None, bytes | None],
        enrolled: Enrolled,
        arms: dict[str, ArmPlan],
    ) -> None:
        """Enter at most one experiment of a layer."""
        unit, data = own
        seen = enrolled.seen
        ours = None
        if layer.sources or layer.slot:
            unit = ours = layer.unit(request, unit)
            data = None if unit is None else unit.encode()
        if data is None:
            if seen is not None:
                seen += [Seen(layer, trial, "there is no unit", None, None, None) for trial in layer.trials]
            return
        point = digest(layer.prefix + data)[0] if layer.prefix else 0
        for trial in layer.at(request.now) if layer.later else layer.trials:
            why = "a bot" if trial.people and enrolled.bot else self._obstacle(trial, request, (point, data), arms)
            arm = trial.assign(request, data) if why is None else None
            if arm is not None:
                arms[trial.experiment] = arm
                enrolled.entered.append(Entered(arm, ours, data))
            if seen is not None:
                result = why or ("entered" if arm is not None else "every arm has weight 0")
                seen.append(Seen(layer, trial, result, arm, unit, point if layer.prefix else None))

    def _obstacle(
        self,
        trial: Trial,
        request: Request,
        place: tuple[int, bytes],
        arms: Mapping[str, ArmPlan],
    ) -> str | None:
        """Return why a unit is not in an experiment; None when nothing stands in the way."""
        point, data = place
        if not trial.start <= point < trial.end:
            return "another part of the layer"
        if not trial.active:
            return "not active"
        why = None if trial.eligible is None else trial.eligible.obstacle(request, data)
        if why is not None:
            return why
        for experiment, wanted in trial.needs:
            arm = arms.get(experiment)
            if arm is None or (wanted and arm.name not in wanted):
                return f"not in {experiment}" if arm is None else f"in arm {arm.name} of {experiment}"
        if trial.covered < WHOLE and digest(trial.cover + data)[0] >= trial.covered:
            return "not covered"
        return None


def _given(
    layer: LayerPlan, request: Request, unit: str | None, forced: tuple[str, str] | None
) -> tuple[Trial, ArmPlan, str] | None:
    """Return the arm that is forced in a layer, and why: what a request asks for comes before what its unit is given.

    A signed override comes first.
    """
    if forced is not None:
        for trial in layer.trials:
            if trial.experiment == forced[0]:
                return trial, trial.named[forced[1]], "forced"
    for trial in layer.trials:
        if trial.preview is not None and trial.preview.wants(request):
            return trial, trial.preview.arm, "previewed"
        if unit is not None and unit in trial.overrides:
            return trial, trial.overrides[unit], "forced"
    return None


def compile_structure(route: Route, revision: Revision) -> Structure | None:
    """Compile the experiments of a route; None when it has none.

    Raises:
        KeyError: If the revision has no run, weight or counter row for one of them.
        ValueError: If a source or a rule is of no known kind, or layers wait for each other.
    """
    config = revision.config
    experiments = [experiment for experiment in config.experiments if experiment.route == route.name]
    if not experiments:
        return None
    sources = {name: compile_source(label, route.inspect_bytes) for name, label in route.attributes.items()}
    layers = tuple(_compile_layer(group, route, revision, sources) for group in _ordered(experiments))
    mattering = {name for layer in layers for name in layer.holdouts}
    looked = {item.name: [feature.name for feature in item.allocate.features] for item in experiments}
    named = dict.fromkeys(name for item in experiments for name in (*item.strata, *item.slices, *looked[item.name]))
    logged = [name for name in named if name in sources]  # the others are slices that analysis makes itself
    facts = [trial.eligible.facts for layer in layers for trial in layer.trials if trial.eligible is not None]
    read = [*(sources[name] for name in logged), *(source for layer in layers for source in layer.sources)]
    fields = {source.field for source in read if source.field is not None}
    people = any(trial.people for layer in layers for trial in layer.trials)
    fields |= {AGENT} if people else set()
    fields |= {trial.preview.field for layer in layers for trial in layer.trials if trial.preview is not None}
    timed = any(layer.slot for layer in layers) or any(item.reads_time for item in facts)
    timed = timed or any(source.timed for source in read)
    beyond = any(item.reads_body or item.reads_request for item in facts)
    return Structure(
        layers=layers,
        holdouts=tuple(
            HoldoutPlan(item.name, arm_prefix(item.salt or item.name, ""), *map(threshold, item.segment))
            for item in config.holdouts
            if item.name in mattering
        ),
        logged=tuple((name, sources[name]) for name in logged),
        fields=frozenset(fields).union(*(item.fields for item in facts)),
        settled=not (timed or beyond) and all(source.field is not None for source in read),
        reads_body=route.inspect_bytes > 0
        and (any(source.json for source in read) or any(item.reads_body for item in facts)),
        timed=timed,
        trials={trial.experiment: trial for layer in layers for trial in layer.trials},
        bots=Bots() if people else None,
        fans=compile_fans(route.name, revision),
    )


def _ordered(experiments: Sequence[Experiment]) -> Iterator[list[Experiment]]:
    """Yield the experiments of each layer, layers that are required before those that require them."""
    groups: dict[tuple[str | None, str], list[Experiment]] = {}
    for experiment in experiments:
        groups.setdefault(_layer_key(experiment), []).append(experiment)
    layer_of = {experiment.name: _layer_key(experiment) for experiment in experiments}
    needs = {
        key: {layer_of[need.experiment] for experiment in group for need in experiment.prerequisites}
        for key, group in groups.items()
    }
    done: set[tuple[str | None, str]] = set()
    while len(done) < len(groups):
        ready = [key for key in groups if key not in done and needs[key] <= done]
        if not ready:
            raise ValueError("layers whose experiments require each other")
        for key in ready:
            yield groups[key]
        done.update(ready)


def _layer_key(experiment: Experiment) -> tuple[str | None, str]:
    return (experiment.layer, "") if experiment.layer is not None else (None, experiment.name)


def _compile_layer(
    experiments: Sequence[Experiment], route: Route, revision: Revision, attributes: Mapping[str, Source]
) -> LayerPlan:
    config, first = revision.config, experiments[0]
    trials = tuple(compile_trial(experiment, revision, attributes) for experiment in experiments)
    allocate = first.allocate
    coming = {item.name: revision.coming[item.name] for item in experiments if item.name in revision.coming}
    turns = min((item.start for item in coming.values()), default=inf)
    then = reweighed(revision, {name: item for name, item in coming.items() if item.start == turns})
    return LayerPlan(
        name=first.layer,
        prefix=b"" if all(trial.end - trial.start == WHOLE for trial in trials) else _layer_prefix(config, first),
        holdouts=frozenset(
            item.name for item in config.holdouts if not item.layers or (first.layer or "") in item.layers
        ),
        sources=tuple(compile_source(label, route.inspect_bytes) for label in first.unit),
        slot=allocate.slotted or 0.0,
        shared=allocate.slot is not None and not first.unit,
        trials=trials,
        turns=turns,
        later=tuple(compile_trial(each, then, attributes) for each in experiments) if coming else (),
    )


def reweighed(revision: Revision, coming: Mapping[str, Coming]) -> Revision:
    """Return a revision as it is once weights that were published for later are in force."""
    if not coming:
        return revision
    weights = {name: dict(each.weights) for name, each in coming.items()}
    runs = {
        name: Run(number=run.number, phase=run.phase, epoch=each.epoch)
        for name, each in coming.items()
        for run in (revision.runs[name],)
    }
    return replace(revision, weights={**revision.weights, **weights}, runs={**revision.runs, **runs})


def _layer_prefix(config: Config, experiment: Experiment) -> bytes:
    salt = next((layer.salt for layer in config.layers if layer.name == experiment.layer), None)
    return arm_prefix(salt or experiment.layer or experiment.name, "")
