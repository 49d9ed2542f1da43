"""From a request on a route to everything that follows from it: unit, arm, target, records.

Responsible for: ``RoutePlan.decide``, and computing at compile whatever does not depend on the request.
Does not know: which route a request takes (``router.routing.table``), endpoints, health. An arm is chosen for its unit
alone; what to do when its target is unwell is decided later and recorded apart (intention to treat).

Rules: an exchange with a forced arm is marked and gets no counter cell, so that no statistic sees it. A request
without a unit, or in no experiment whose arms name targets, goes to the route's target; or to the one that a release
has put in its place for every unit.

Decisions of late are kept for the life of a table, where they are functions of the route and some header fields alone,
so nobody can tell (what depends on more must not be kept); one that is kept costs 0.4 µs and a new one 1.6 and more.
"""

from collections.abc import Mapping
from typing import Final
from weakref import ref

from msgspec import Struct
from msgspec.structs import replace

from router.config.schema import Route
from router.counters import TIME_CLUSTERS, pair_key, route_key
from router.events.model import Enrolment, Revision
from router.histogram import BUCKETS
from router.routing.bucket import unit_key
from router.routing.degrade import Level, compile_levels
from router.routing.fanout import NO_FANS, FanPlan
from router.routing.request import Request
from router.routing.reward import RewardPlan
from router.routing.sample import ShadowPlan, compile_shadows, sampled
from router.routing.source import MAX_UNIT_BYTES, Source, compile_source
from router.routing.steps import CachedStep, Step, WrittenStep, compile_steps
from router.routing.structure import Enrolled, Structure
from router.routing.token import Forced
from router.routing.trial import Trial, arm_lines, route_line

# Places for kept decisions: 7 MB when all are taken. They are pairs, so that two units that fall on one are both kept;
# of three the latest two are.
PLACES: Final = 1 << 14
# A longer value may be longer than MAX_UNIT_BYTES in UTF-8, and then the decision is not about it.
_LONGEST_KEPT: Final = MAX_UNIT_BYTES // 2
_MOST_KEPT: Final = 1024  # bytes of all fields together

NONE: Final[dict[str, str]] = {}


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
        cells: For each enrolment, the word that counts the arm's exchanges in the unit's bucket (failures are
            ``counters.ARM_FAILURES`` on); none when an arm was forced, which no statistic may see.
        arm: Names of the arms; None without an experiment.
        key: 64 bits for a balancer: a hash of the unit, or random ones of the exchange's id.
        shadows: Who gets a copy.
        attributes: Strata and slices, as far as they are present.
        bot: Whether the user agent is a known crawler's; looked at only where an experiment excludes bots.
        holdouts: Holdouts that the unit is in, of those that matter on the route.
        times: For each enrolment in a release, the first word of the histogram that counts how long it took.
    """

    route: "RoutePlan"
    unit: str | None
    unit_source: str | None
    target: str
    pair: int
    head: bytes
    enrolments: tuple[Enrolment, ...]
    cells: tuple[int, ...]
    arm: str | None
    key: int
    shadows: tuple[ShadowPlan, ...] = ()
    attributes: dict[str, str] = NONE
    bot: bool = False
    holdouts: tuple[str, ...] = ()
    times: tuple[int, ...] = ()


class Kept:
    """The decisions that a table keeps, each with the values of the header fields that it is about.

    Plans have a weak reference to it: decisions refer to plans, and the collector does not look into decisions.
    """

    __slots__ = ("__weakref__", "places")

    def __init__(self) -> None:
        self.places: list[tuple[bytes | tuple[bytes | None, ...], Decision] | None] = [None] * PLACES


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
        structure: The route's experiments; None when it has none.
        simple: The only one of them, when every unit takes part in it and nothing else is to be asked or said.
        direct: Whether nothing but a rate stands between the head of a request and its target.
        limited: Whether a rate is.
        admits: Whether a rate or a load is to be asked before a request goes on, or it may go to several targets.
        levels: What gives way at which load, the highest first.
        fallback: What answers when the target cannot, in order.
        rules_read: Whether an attribute that rules or experiments ask for reads the body.
        cached: Whether the last good answers are kept.
        replay_bytes: How much of a body is kept to be sent again.
        first: Header field that is the first source; None when that is of another kind, or decisions depend on more
            than header fields.
        more: Further header fields that decisions depend on.
        timed: Whether decisions depend on the moment.
        kept: Decisions of late, of all routes.
        shadows: Targets that get copies of some units' requests.
        rewards: What is read from answers.
        keeps: Whether anything is kept of answers: the last good ones, or rewards.
        fans: Experiments that send requests to several targets, by name.
        bare: The same without what follows a failed attempt, and without copies: as for one of several targets; None
            where no request goes to several.
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
    structure: Structure | None
    simple: Trial | None
    direct: bool
    limited: bool
    admits: bool
    levels: tuple[Level, ...]
    fallback: tuple[Step, ...]
    rules_read: bool
    cached: bool
    replay_bytes: int
    first: bytes | None
    more: tuple[bytes, ...]
    timed: bool
    kept: ref[Kept]
    shadows: tuple[ShadowPlan, ...] = ()
    rewards: RewardPlan | None = None
    keeps: bool = False
    fans: Mapping[str, FanPlan] = NO_FANS
    bare: "RoutePlan | None" = None

    def fan(self, decision: Decision) -> FanPlan | None:
        """Return the experiment of a decision that sends the request to several targets; None when none does.

        One whose arm was forced does not: who forces an arm wants to see it.
        """
        for enrolment in decision.enrolments:
            plan = self.fans.get(enrolment.experiment)
            if plan is not None and not enrolment.override:
                return plan
        return None

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
            forced = self._forced(request, request.forced)
            if forced is not None:
                return self._decide(request, forced)
        value = None if self.first is None else request.fields.get(self.first)
        kept = self.kept()
        if not value or len(value) > _LONGEST_KEPT or kept is None:
            return self._decide(request)
        about: bytes | tuple[bytes | None, ...] = value
        if self.more:
            about = (value, *map(request.fields.get, self.more))
            if sum(map(len, filter(None, about))) > _MOST_KEPT:
                return self._decide(request)
        place = (hash(about) ^ self.row) & (PLACES - 2)  # an even one; the next is the second of the pair
        known = kept.places[place]
        if known is not None and known[0] == about and known[1].route is self:
            return known[1]
        other = kept.places[place + 1]
        if other is not None and other[0] == about and other[1].route is self:
            return other[1]
        decision = self._decide(request)
        kept.places[place + 1] = known
        kept.places[place] = (about, decision)
        return decision

    def _forced(self, request: Request, forced: Forced) -> tuple[str, str] | None:
        """Return experiment and arm that an override forces; None when it is not about this route, or this unit."""
        override = forced.override
        if self.structure is None or not self.structure.has(override.experiment, override.arm):
            return None
        found = self.find_unit(request)
        return (override.experiment, override.arm) if forced.fits(found[2] if found else None) else None

    def enrol(self, request: Request, *, told: bool = False) -> Enrolled:
        """Return the experiments that a request is in; ``told`` has it say what came of every one.

        Raises:
            ValueError: If the route has none.
        """
        if self.structure is None:
            raise ValueError(f"route {self.name} has no experiment")
        forced = None if request.forced is None else self._forced(request, request.forced)
        found = self.find_unit(request)
        return self.structure.enrol(request, found[1] if found else None, forced, told=told)

    def _decide(self, request: Request, forced: tuple[str, str] | None = None) -> Decision:
        label = unit = None
        found = self.find_unit(request)
        if found is None:
            key, bucket = int(request.id[:16], 16), 0
            shadows = sampled(self.shadows, request.id.encode()) if self.shadows else ()
        else:
            label, unit, data = found
            shadows = sampled(self.shadows, data) if self.shadows else ()
            key, bucket = unit_key(data)
            simple = self.simple
            if simple is not None and forced is None and unit not in simple.overrides:
                arm = simple.choose(data)
                if arm is not None:
                    return Decision(
                        self, unit, label, arm.target or self.target, arm.pair if arm.target else self.pair, arm.head,
                        arm.enrolments, (arm.cells + bucket,), arm.name, key, shadows,
                        times=() if arm.times < 0 else (arm.times + bucket % TIME_CLUSTERS * BUCKETS,),
                    )  # fmt: skip
        if self.structure is None:
            return Decision(self, unit, label, self.target, self.pair, self.head, (), (), None, key, shadows)
        enrolled = self.structure.enrol(request, unit, forced)
        known = [(name, value) for name, source in self.structure.logged if (value := source.read(request))]
        attributes = dict(known) if known else NONE
        if not enrolled.entered:
            return Decision(
                self, unit, label, self.target, self.pair, self.head, (), (), None, key, shadows, attributes,
                enrolled.bot, enrolled.held,
            )  # fmt: skip
        target, pair = self.target, self.pair
        labels, flags = [], []
        for arm, _, _ in enrolled.entered:
            labels.append(arm.label)
            flags.append(arm.flag)
            if arm.target is not None:
                target, pair = arm.target, arm.pair
        cells, times = ((), ()) if enrolled.forced else _cells(enrolled, bucket)
        return Decision(
            self, unit, label, target, pair, self.head + arm_lines(labels, flags), _enrolments(enrolled), cells,
            ", ".join([arm.name for arm, _, _ in enrolled.entered]), key, shadows, attributes,
            enrolled.bot, enrolled.held, times,
        )  # fmt: skip


def _cells(enrolled: Enrolled, bucket: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the words that count exchanges, and the first of those that count how long they take.

    Args:
        enrolled: The arms, each with the unit of its own, if it has one.
        bucket: That of the route's unit.
    """
    cells, times = [], []
    for arm, ours, theirs in enrolled.entered:
        own = bucket if ours is None else unit_key(theirs)[1]
        cells.append(arm.cells + own)
        if arm.times >= 0:
            times.append(arm.times + own % TIME_CLUSTERS * BUCKETS)
    return tuple(cells), tuple(times)


def _enrolments(enrolled: Enrolled) -> tuple[Enrolment, ...]:
    """Return what the event says of the arms."""
    found = [(arm.forced if enrolled.forced else arm.enrolments, unit) for arm, unit, _ in enrolled.entered]
    if len(found) == 1 and found[0][1] is None:
        return found[0][0]
    return tuple(each if unit is None else replace(each, unit=unit) for (each,), unit in found)


def compile_route(
    route: Route,
    structure: Structure | None,
    revision: Revision,
    kept: Kept,
    rewards: RewardPlan | None = None,
) -> RoutePlan:
    """Compile a route with its experiments.

    Args:
        route: The route.
        structure: Its experiments, compiled.
        revision: Whose it is; for counter rows, and releases that are to have copies.
        kept: Where its decisions are kept.
        rewards: What is read from its answers, compiled.

    Raises:
        KeyError: If a counter row is missing.
        ValueError: If a source is of no known kind.
    """
    slots = revision.slots
    sources = tuple(compile_source(label, route.inspect_bytes) for label in route.unit)
    attributes = {name: compile_source(label, route.inspect_bytes) for name, label in route.attributes.items()}
    fallback = compile_steps(route, attributes, slots)
    rules_read = route.inspect_bytes > 0 and any(isinstance(step, WrittenStep) and step.reads_body for step in fallback)
    rules_read = rules_read or (structure is not None and structure.reads_body)
    fields = structure.fields if structure is not None else frozenset()
    first = sources[0].field if route.unit and route.unit[0].startswith("header:") else None
    needs_body = rules_read or (route.inspect_bytes > 0 and any(source.json for source in sources))
    fans = structure.fans if structure is not None else NO_FANS
    admits = route.rate_limit is not None or bool(route.degrade) or bool(fans)
    heir = structure.instead(route.target) if structure is not None else None
    target = heir.target if heir is not None and heir.target is not None else route.target
    cached = any(isinstance(step, CachedStep) for step in fallback)
    plan = RoutePlan(
        name=route.name,
        inspect_bytes=route.inspect_bytes,
        needs_body=needs_body,
        sources=sources,
        attributes=attributes,
        row=slots[route_key(route.name)],
        target=target,
        pair=slots[pair_key(route.name, target)],
        head=route_line(route.name),
        structure=structure,
        simple=structure.simple if structure is not None else None,
        direct=not (needs_body or route.degrade or fans),
        limited=route.rate_limit is not None,
        admits=admits,
        levels=compile_levels(route, slots),
        fallback=fallback,
        rules_read=rules_read,
        cached=cached,
        replay_bytes=route.replay_bytes,
        first=first if structure is None or structure.settled else None,
        more=tuple(sorted(fields - {first})),
        timed=(structure is not None and structure.timed)
        or any(source.timed for source in (*sources, *attributes.values())),
        kept=ref(kept),
        shadows=compile_shadows(route, revision),
        rewards=rewards,
        keeps=cached or rewards is not None,
        fans=fans,
    )
    if not fans:
        return plan
    return replace(plan, bare=replace(plan, fallback=(), cached=False, rewards=None, keeps=False, fans=NO_FANS))
