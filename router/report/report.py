"""What is said of an experiment, as frozen data.

Responsible for: names and meaning of everything in a report: effects by role, guardrails, the overall criterion,
slices, checks, the decision.
Does not know: how any of it is found, how it is shown.

Rules: frozen. What cannot be said is ``NotEnough`` with its reason; what was not asked for is None or empty.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from router.analysis.estimate import NotEnough
from router.config.decide import Decide, Notes
from router.config.guardrail import Guardrail
from router.inference.effect import Basis, Effect, Interval
from router.inference.funnels import Step
from router.inference.preference import Preference

Role = Literal["primary", "secondary", "guardrail", "criterion"]
Direction = Literal["better", "worse", "not shown"]
Verdict = Literal["ship", "do not ship", "keep running"]
Status = Literal["pass", "fail", "warn", "unknown"]


class Readable(Struct, frozen=True):
    """Whether effects may be read yet.

    Attributes:
        now: Whether.
        reason: Why, and when otherwise; for a person.
    """

    now: bool
    reason: str


class Measure(Struct, frozen=True, kw_only=True):
    """One metric of one arm, against control.

    Attributes:
        metric: Name of the metric.
        role: What it is to the experiment.
        goal: Which direction is better.
        effect: The effect, its interval at the corrected level; None while it may not be read. Of rankers whose lists
            are interleaved, which one is preferred.
        p: Its p-value corrected over its family; None where the method has none.
        direction: What the corrected interval and p-value show.
        chance_to_win: Bayesian, beside the verdict: probability that the arm is better; None where it is not known.
        expected_loss: Bayesian: what choosing the arm costs on average if it is worse, in the metric's unit.
        within_strata: The post-stratified effect, at a fixed horizon; None without strata, or while it may not be read.
        steps: Of a funnel: how arms compare in each step, at a fixed horizon; empty likewise.
    """

    metric: str
    role: Role
    goal: Literal["up", "down"]
    effect: Effect | NotEnough | Preference | None
    p: float | None = None
    direction: Direction = "not shown"
    chance_to_win: float | None = None
    expected_loss: float | None = None
    within_strata: Effect | NotEnough | None = None
    steps: tuple[Step, ...] = ()


class Guarded(Struct, frozen=True, kw_only=True):
    """One guardrail of one arm.

    Attributes:
        guardrail: The guardrail.
        status: ``pass`` when all of the interval is within the margin, ``fail`` when all of it is beyond, else
            ``unknown``.
        effect: The effect that was judged; None while it may not be read.
        reason: Why, for a person.
    """

    guardrail: Guardrail
    status: Literal["pass", "fail", "unknown"]
    effect: Effect | NotEnough | None
    reason: str


class Part(Struct, frozen=True, kw_only=True):
    """What one metric gives to the overall criterion.

    Attributes:
        metric: Name of the metric.
        weight: Its weight.
        change: Its change as a share of control's value, above 0 where that is better.
        flips_at: Weight of it, the others in proportion, from which on the criterion has the other sign; None where
            none does.
        without: The criterion without the metric, the others in proportion; None when it is alone.
    """

    metric: str
    weight: float
    change: float
    flips_at: float | None
    without: float | None


class Overall(Struct, frozen=True, kw_only=True):
    """The overall evaluation criterion of one arm: a weighted sum of relative changes, above 0 where better.

    Attributes:
        value: The sum; 0.01 is 1 %.
        interval: Where it lies.
        level: Coverage of the interval.
        standard_error: Of the value; None where the interval is put together from those of the metrics.
        basis: When it may be read.
        parts: What each metric gives.
        notes: What a reader has to know.
    """

    value: float
    interval: Interval
    level: float
    standard_error: float | None
    basis: Basis
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


class Level(Struct, frozen=True, kw_only=True):
    """The primary metric's effect in one slice.

    Attributes:
        values: Values of the attributes that the slice has.
        units: Units of both arms that have a value.
        effect: The effect, its interval at the corrected level; None while it may not be read.
        p: Corrected over all slices of the report.
        direction: What is shown.
    """

    values: tuple[str, ...]
    units: int
    effect: Effect | NotEnough | None
    p: float | None = None
    direction: Direction = "not shown"


class Gap(Struct, frozen=True, kw_only=True):
    """How far two slices are apart, the widest of all pairs of a slicing.

    Attributes:
        of: The effects, or the metric itself in one arm.
        high: Slice that has the most.
        low: Slice that has the least.
        value: Their difference.
        interval: Where it lies, corrected over all pairs of slices.
    """

    of: str
    high: tuple[str, ...]
    low: tuple[str, ...]
    value: float
    interval: Interval


class Sliced(Struct, frozen=True, kw_only=True):
    """The primary metric's effect of one arm by the values of some attributes.

    Attributes:
        slicing: The attributes.
        arm: The arm.
        descriptive: Whether the attribute may be an effect of the arm itself, so that nothing follows from it.
        levels: The slices, the largest first.
        gaps: How far they are apart: in the effect, and in each arm.
        adjusted: The effect as if both arms had the same mix of slices; None where a slice lacks an arm.
        reversed: Whether the slices say the opposite of the whole (Simpson's paradox).
    """

    slicing: tuple[str, ...]
    arm: str
    descriptive: bool
    levels: tuple[Level, ...]
    gaps: tuple[Gap, ...] = ()
    adjusted: float | None = None
    reversed: bool = False


class Slope(Struct, frozen=True, kw_only=True):
    """How an effect changes.

    Attributes:
        against: ``day`` of the first exposure, or ``tenure``: days since it.
        value: Change of the effect per day, in the metric's unit.
        interval: Where that lies, at 95 %.
        points: Days that it is made of.
    """

    against: Literal["day", "tenure"]
    value: float
    interval: Interval
    points: int


class Check(Struct, frozen=True, kw_only=True):
    """A line of the checklist.

    Attributes:
        name: What is asked.
        status: The answer; ``unknown`` when there is too little data to say.
        hard: Whether nothing ships unless this passes (``hard`` lines that warn or are unknown block, too).
        evidence: What was found, for a person.
    """

    name: str
    status: Status
    hard: bool
    evidence: str


class Compared(Struct, frozen=True, kw_only=True):
    """Everything about one arm against control.

    Attributes:
        arm: The arm.
        measures: Its metrics, the primary first.
        guardrails: Its guardrails.
        overall: The overall criterion; None where none is declared.
        slopes: How the primary effect changes with time.
        verdict: What follows for this arm.
        reason: Why.
        checklist: What was asked before anything ships.
    """

    arm: str
    measures: tuple[Measure, ...]
    guardrails: tuple[Guarded, ...] = ()
    overall: Overall | NotEnough | None = None
    slopes: tuple[Slope | NotEnough, ...] = ()
    verdict: Verdict = "keep running"
    reason: str = ""
    checklist: tuple[Check, ...] = ()


class Day(Struct, frozen=True, kw_only=True):
    """What was known at the end of a day: for plots.

    Attributes:
        time: End of the day, in unix seconds.
        units: Arm to units first exposed until then.
        outcomes: Arm to the primary metric's estimate over them.
        effects: Arm to the primary effect over them.
        exchanges: Arm to exchanges of that day.
    """

    time: float
    units: Mapping[str, int]
    outcomes: Mapping[str, float]
    effects: Mapping[str, Effect]
    exchanges: Mapping[str, int] = {}


class Switched(Struct, frozen=True, kw_only=True):
    """What a switchback shows over its slots, of one arm against control.

    Attributes:
        effect: The primary metric's effect over slots, at a fixed horizon; None while it may not be read.
        carry_over: What a treated slot adds to the one after it.
        slots: Slots of both arms.
        left_out: Older slots of the phase that were not looked at.
    """

    effect: Effect | NotEnough | None
    carry_over: Effect | NotEnough
    slots: int
    left_out: int = 0


class Studied(Struct, frozen=True, kw_only=True):
    """What is said of one phase.

    Attributes:
        run: Number of the run.
        phase: Phase of the run.
        start: When it began, in unix seconds; None when unknown.
        end: When it ended; None when it has not.
        units: Arm to units that count.
        expected: Arm to the units that its weights promise; empty when unknown.
        valid: Whether its data are valid; None when that cannot be said yet.
        readable: Whether effects may be read.
        arms: Each arm against control.
        slices: The primary effect in slices.
        correlations: Metric to metric to their correlation between units, within arms.
        checks: What was found of the phase as a whole.
        days: How things went.
        preferences: Of interleaved rankers: outcome to which one it prefers.
        switchbacks: Of a switchback: arm to what its slots show.
    """

    run: int
    phase: int
    start: float | None
    end: float | None
    units: Mapping[str, int]
    expected: Mapping[str, float]
    valid: bool | None
    readable: Readable
    arms: tuple[Compared, ...]
    slices: tuple[Sliced, ...] = ()
    correlations: Mapping[str, Mapping[str, float]] = {}
    checks: tuple[Check, ...] = ()
    days: tuple[Day, ...] = ()
    preferences: Mapping[str, Preference | NotEnough] = {}
    switchbacks: Mapping[str, Switched] = {}


class Decision(Struct, frozen=True, kw_only=True):
    """What follows.

    Attributes:
        verdict: ``ship``, ``do not ship`` or ``keep running``.
        arm: The arm to ship; None unless it is ``ship``.
        reason: Why, in one sentence.
        change: What would change it, a sentence each.
        checklist: What was asked, of the arm that it is about.
    """

    verdict: Verdict
    arm: str | None
    reason: str
    change: tuple[str, ...]
    checklist: tuple[Check, ...]


class Report(Struct, frozen=True, kw_only=True):
    """What is said of an experiment.

    Attributes:
        experiment: Its name.
        time: What it is about, in unix seconds.
        control: The arm that is the baseline.
        primary: The metric that decides; None where the experiment has no metrics.
        decide: How it is decided.
        adaptive: Whether weights followed the data, so that effects are weighted by propensity.
        hypothesis: What was expected.
        owner: Who to ask.
        notes: What was learned and the next bet, as the configuration says.
        decision: What follows.
        phases: Its phases, the latest first; the decision is about the first of them.
    """

    experiment: str
    time: float
    control: str
    primary: str | None
    decide: Decide
    adaptive: bool
    hypothesis: str | None
    owner: str | None
    notes: Notes | None
    decision: Decision
    phases: tuple[Studied, ...]
