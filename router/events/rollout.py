"""Where a release is, and what was decided about it, as frozen data.

Responsible for: names, types and units of what the journal, the decision log and the workers know of a release.
Does not know: how anything is decided (``router.rollout``), files, processes.

Rules: those of ``router.events.model``. ``Progress`` is what was decided and so lies in the journal; what is only
observed (how much of a hold has passed, evidence) is not in it.
"""

from typing import Literal

from msgspec import Struct

Kind = Literal["rollout", "blue_green", "rolling"]
Step = Literal[
    "offline", "shadow", "stage", "preview", "batch", "bake", "done", "rolled_back", "aborted"
]  # fmt: skip
Status = Literal["running", "waiting", "paused", "over"]


class Approval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That somebody let a release go on.

    Attributes:
        step: The step that was approved.
        stage: Which of several.
        by: Who.
        time: When, in unix seconds.
        reason: Why, in their words; None when they did not say.
    """

    step: Step
    stage: int
    by: str
    time: float
    reason: str | None = None


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a release is.

    Attributes:
        kind: What drives it.
        run: The run of the experiment that it is about; another run begins from the first step.
        step: What it is doing. ``stage`` and ``batch`` are counted, the last stage may be the full share.
        stage: Which of them, from 0.
        status: ``waiting`` is for a person; ``paused`` by one; ``over`` in ``done``, ``rolled_back`` and ``aborted``.
        since: When the step began, in unix seconds.
        began: When the run began, in unix seconds.
        share: The share of units that the new arm has, or had before it was paused.
        reason: Why it is where it is, for a person.
        holding: What kind of reason it is that keeps it from the next step, in a word; empty when none was found yet.
        holds: Kinds of such reasons in this step, with the time at which each was written down last; at most 16.
        by: Who or what brought it there.
        paused_at: When it was paused, in unix seconds.
        paused_s: How long it was paused within this step, in seconds.
        approvals: Who let it go on, oldest first; at most 32.
        past_deadline: Whether the step's deadline has passed, so that it is told once.
        trusted: Whether the version served before and may skip steps (fast re-promotion).
        trail: Steps passed so far with the time at which each began, oldest first; at most 64.
    """

    kind: Kind
    run: int
    step: Step
    stage: int = 0
    status: Status = "running"
    since: float
    began: float
    share: float = 0.0
    reason: str = ""
    holding: str = ""
    holds: tuple[tuple[str, float], ...] = ()
    by: str = "router"
    paused_at: float | None = None
    paused_s: float = 0.0
    approvals: tuple[Approval, ...] = ()
    past_deadline: bool = False
    trusted: bool = False
    trail: tuple[tuple[str, float], ...] = ()


class Found(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one guardrail said at one moment.

    Attributes:
        name: The guardrail as people know it: ``errors ratio 2``, ``when: error_rate > 5% for 5m``, ``slo …``.
        status: ``error`` is a failed measurement: never a pass, and no failure either.
        action: What follows from a failure: ``rollback`` (hard), ``warn`` (soft), ``pause`` (ask a person).
        reason: Counts, statistic and bounds in one sentence, for a person.
        dry_run: Whether a failure is only told.
        fast: Whether it failed by the fast path, which needs no least sample.
        estimate: What was measured; in the unit of the guardrail (a ratio, a difference, a share, seconds).
        low: Lower bound of it, valid at any time; None when unbounded or unknown.
        high: Upper bound.
        margin: What it is held against.
        statistic: The test's statistic (an e-value, a z, a burn rate), and what it has to reach.
        threshold: What it has to reach.
        alpha: Its share of the chance of a wrong failure.
        counts: What it was computed from: ``treatment_failures``, ``treatment_exchanges``, ``control_failures``, …
    """

    name: str
    status: Literal["pass", "fail", "inconclusive", "error"]
    action: Literal["rollback", "warn", "pause"]
    reason: str
    dry_run: bool = False
    fast: bool = False
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    statistic: float | None = None
    threshold: float | None = None
    alpha: float | None = None
    counts: dict[str, float] = {}


class Decided(Struct, frozen=True, kw_only=True, tag_field="type", tag="decided", omit_defaults=True):
    """A verdict, and what was done: a line of the decision log.

    Attributes:
        id: Unique; ``EXPERIMENT-RUN-COUNT``.
        time: When, in unix seconds.
        experiment: The experiment.
        run: Its run.
        phase: Phase of the run.
        revision: Number of the revision that it was decided in.
        step: Where the release was.
        stage: Which stage or batch.
        share: Share of the new arm at that time.
        action: What was done: ``advance``, ``hold``, ``rollback``, ``pause``, ``resume``, ``approve``, ``promote``,
            ``abort``, ``kill``, ``ask``, ``warn``, ``switch``, ``drill``, ``anomaly``, …
        alternative: What would have been done otherwise, and what it would have taken.
        by: Who decided: ``router`` or a person.
        reason: Why, in one sentence.
        found: What the guardrails said.
        numbers: Whatever else was looked at: risk, units, sample ratio, seconds that a switch took.
    """

    id: str
    time: float
    experiment: str
    run: int
    phase: int
    revision: int
    step: str
    stage: int = 0
    share: float = 0.0
    action: str
    alternative: str = ""
    by: str = "router"
    reason: str
    found: tuple[Found, ...] = ()
    numbers: dict[str, float] = {}
