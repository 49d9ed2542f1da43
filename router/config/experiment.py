"""The part of the schema about experiments: arms, layers, holdouts, overrides.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: the other parts.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from router.config.allocate import Allocate
from router.config.decide import Decide, Notes
from router.config.metric import Measured
from router.config.terms import Json, Name, Salt, Share, Source, Time, TimeZone


class Arm(Struct, frozen=True, kw_only=True):
    """One choice within an experiment."""

    name: Annotated[Name, Meta(description="unique within the experiment")]
    target: Annotated[
        Name | None, Meta(description="target that serves this arm; all arms of an experiment name one, or none does")
    ] = None
    value: Annotated[
        Json, Meta(description="value of the experiment's `flag` for this arm, instead of a target: text, number, …")
    ] = None
    weight: Annotated[
        float,
        Meta(
            ge=0,
            le=1e9,
            description="relative share of units; 0 serves nobody but overrides; only a release, whose stages say it, "
            "does without",
        ),
    ] = 1.0


class Active(Struct, frozen=True, kw_only=True, rename={"start": "from"}):
    """When an experiment runs; its units are served by the route's target before and after."""

    start: Annotated[Time | None, Meta(description="first moment, as 2026-12-01T00:00:00Z")] = None
    until: Annotated[Time | None, Meta(description="first moment that no longer belongs to it")] = None


class Prerequisite(Struct, frozen=True, kw_only=True):
    """Another experiment that a unit has to be in."""

    experiment: Annotated[Name, Meta(description="experiment of another layer on the same route")]
    arms: Annotated[
        tuple[Name, ...], Meta(description="arms of it, one of which the unit has to have; empty is any")
    ] = ()


class Experiment(Struct, frozen=True, kw_only=True):
    """Arms on one route, and the weights between them."""

    name: Annotated[Name, Meta(description="unique name")]
    route: Annotated[Name, Meta(description="route whose units take part")]
    arms: Annotated[tuple[Arm, ...], Meta(min_length=2, description="the choices; at least one with a weight above 0")]
    salt: Annotated[Salt | None, Meta(description="salt of the assignment; default the name")] = None
    layer: Annotated[
        Name | None, Meta(description="experiments of one layer share no unit; default a layer of its own")
    ] = None
    segment: Annotated[
        tuple[Share, ...], Meta(description="from and to: the part of the layer's units that may take part")
    ] = ()
    coverage: Annotated[
        Share, Meta(description="share of those units that takes part; more of it takes nobody out")
    ] = 1.0
    unit: Annotated[
        tuple[Source, ...],
        Meta(description="what is assigned to an arm (a tenant, a region, `request`); default the route's `unit`"),
    ] = ()
    flag: Annotated[
        Name | None, Meta(description="flag whose value the arms give; the target gets it in `x-router-flags`")
    ] = None
    exclude: Annotated[
        tuple[Literal["bots"], ...],
        Meta(
            description="`bots`: no requests whose user agent is a crawler, monitor or HTTP library by the list of "
            "crawler-user-agents (so not for services that call with curl or python-requests)"
        ),
    ] = ()
    eligible: Annotated[
        Json,
        Meta(
            description="JSONLogic rule, with flagd's operators, over the route's attributes, `$request.method`, "
            "`.path`, `.host`, `.address`, `.user_agent`, `.headers.NAME` and `.query.NAME`, `$time.hour`, `.minute`, "
            "`.weekday` (1 is Monday), `.day`, `.month` and `.date`, `targetingKey`; who lacks what it asks for is "
            "not eligible"
        ),
    ] = None
    time_zone: Annotated[
        TimeZone | None, Meta(description="time zone of `$time`, such as Europe/Berlin; default UTC")
    ] = None
    prerequisites: Annotated[
        tuple[Prerequisite, ...], Meta(description="other experiments that a unit has to be in as well")
    ] = ()
    active: Annotated[Active | None, Meta(description="when it runs; default always")] = None
    strata: Annotated[
        tuple[Name, ...],
        Meta(
            description="attributes of the route within which units are compared; logged, watched for balance, and "
            "never in the hash"
        ),
    ] = ()
    slices: Annotated[
        tuple[Name, ...],
        Meta(
            description="attributes of the route by which results are shown as well; logged; also `new_unit` (new, or "
            "in the log from before), `day` and `weekday` (of the first exposure, UTC), `volume` (head: the fifth of "
            "the units with most events before it), `cache` (warm: an exchange in the hour before it) and `latency` "
            "(quarter of the first exchange's duration, which the arm changes: it describes, and compares nothing)"
        ),
    ] = ()
    metrics: Annotated[Measured | None, Meta(description="what it is judged by; needs `primary`")] = None
    decide: Annotated[Decide, Meta(description="how it is decided whether an arm is better")] = field(
        default_factory=Decide
    )
    notes: Annotated[Notes | None, Meta(description="what people make of it")] = None
    control: Annotated[Name | None, Meta(description="arm that is the baseline; default the first")] = None
    hash_version: Annotated[Literal[1], Meta(description="assignment algorithm, kept for ever")] = 1
    hypothesis: Annotated[str | None, Meta(description="what is expected and why")] = None
    owner: Annotated[str | None, Meta(description="who to ask")] = None
    allocate: Annotated[Allocate, Meta(description="what produces the weights")] = field(default_factory=Allocate)


class Layer(Struct, frozen=True, kw_only=True):
    """Experiments that share no unit."""

    name: Annotated[Name, Meta(description="unique name")]
    salt: Annotated[
        Salt | None, Meta(description="salt of the order in which segments cut the units; default the name")
    ] = None


class Holdout(Struct, frozen=True, kw_only=True):
    """Units that are in no experiment; looked at before layers."""

    name: Annotated[Name, Meta(description="unique name")]
    segment: Annotated[tuple[Share, ...], Meta(min_length=2, description="from and to: the part of all units")]
    layers: Annotated[
        tuple[Name, ...],
        Meta(description="layers whose experiments they are kept out of; empty is every experiment, in a layer or not"),
    ] = ()
    salt: Annotated[Salt | None, Meta(description="salt of the order of units; default the name")] = None


class Override(Struct, frozen=True, kw_only=True):
    """A unit that gets a given arm, whatever the weights; marked, and left out of analysis."""

    unit: Annotated[str, Meta(min_length=1, description="the unit, as the route's source yields it")]
    experiment: Annotated[Name, Meta(description="experiment")]
    arm: Annotated[Name, Meta(description="arm")]
