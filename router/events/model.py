"""The events, the journal's entries and the revision, as frozen data.

Responsible for: names, types and units of every field that leaves a process, in JSON (events, journal) or msgpack
(the revision on its way to the workers).
Does not know: files, threads, how any of it is produced.

Rules: fields are only ever added, with a default, so that a reader of one version reads the lines of another; a time is
unix seconds, a duration seconds. Exchanges have no cycles and are made by the thousand, so the collector skips them.
"""

from msgspec import Struct

from router.config.schema import Config
from router.events.policy import LinearModel
from router.events.rollout import Progress


class Run(Struct, frozen=True, kw_only=True):
    """How far an experiment is: a run has fixed arms and salt, a phase of it fixed shares, an epoch fixed weights."""

    number: int
    phase: int
    epoch: int


class Kill(Struct, frozen=True, kw_only=True):
    """That an experiment was killed: all its units get the control arm until somebody resumes it.

    Attributes:
        by: Who killed it.
        reason: Why, in their words; None when they did not say.
        time: When, in unix seconds.
        arm: The control arm at that time, which has all units since.
        identity: Digest of what was killed: arms, targets, versions, salt (``router.control.kill``).
        drill: Whether it is only rehearsed, for a moment, on an arm that nobody has.
    """

    by: str
    reason: str | None
    time: float
    arm: str
    identity: str
    drill: bool = False


class Invalid(Struct, frozen=True, kw_only=True):
    """That the data of an experiment were found to be invalid: they stay so until another run or phase begins.

    Attributes:
        run: Run of the experiment that it is about.
        phase: Phase of the run.
        time: When it was found, in unix seconds.
        check: The check that found it.
        value: What that measured, a p-value.
        reason: What it means, for a person.
    """

    run: int
    phase: int
    time: float
    check: str
    value: float
    reason: str


class Coming(Struct, frozen=True, kw_only=True):
    """Weights that come into force by themselves, at a moment when units are drawn anew.

    Attributes:
        start: Since when they are in force, in unix seconds.
        epoch: The epoch that begins then.
        weights: Arm to weight.
    """

    start: float
    epoch: int
    weights: dict[str, float]


class Revision(Struct, frozen=True, kw_only=True):
    """One numbered state of everything, as workers get it.

    Attributes:
        number: Counts up from 1, also over restarts.
        time: When it was made, in unix seconds.
        cause: What made it: ``start``, ``reload``, ``restore``, ``kill``, …
        author: Who made it.
        digest: Digest of the bytes of the configuration files.
        config: The configuration.
        weights: Experiment to arm to weight; what workers use, whatever the configuration says.
        runs: Experiment to where it is.
        slots: Key of a counter row to its first word (``router.counters``).
        killed: Experiment to its kill; also of experiments that the configuration no longer has.
        varied: Experiment to the region and cluster whose it is; only while a table for them is compiled.
        invalid: Experiment to what makes its data invalid.
        policies: Experiment to the model that gives each request its weights; without one the weights hold.
        coming: Experiment to the weights that it has from a later moment on.
        rollouts: Experiment to where its release is.
        mirrors: Experiment to the share of units whose requests are copied to the target of its new arm.
        endpoints: Target to the base URLs of it that are in use; a target that is missing uses all.
    """

    number: int
    time: float
    cause: str
    author: str
    digest: str
    config: Config
    weights: dict[str, dict[str, float]]
    runs: dict[str, Run]
    slots: dict[str, int]
    killed: dict[str, Kill] = {}
    varied: dict[str, str] = {}
    invalid: dict[str, Invalid] = {}
    policies: dict[str, LinearModel] = {}
    coming: dict[str, Coming] = {}
    rollouts: dict[str, Progress] = {}
    mirrors: dict[str, float] = {}
    endpoints: dict[str, tuple[str, ...]] = {}


class Enrolment(Struct, frozen=True, gc=False, omit_defaults=True):
    """That an exchange's unit was assigned to an arm.

    Attributes:
        experiment: Name of the experiment.
        run: Number of its run.
        phase: Phase of the run.
        epoch: Epoch of the weights.
        arm: The arm assigned.
        propensity: Probability, over units, of that arm at that time.
        target: Target of the arm, whoever served in the end; None when the arm is the value of a flag.
        override: Whether an arm of the exchange was forced; such exchanges are left out of analysis.
        unit: Whom this assignment belongs to, when it is not the exchange's own unit: a tenant, a slot of time.
        site: Region and cluster whose experiment it was, ``REGION/CLUSTER``, when that differs from the process's own:
            other weights, another eligibility (``Config.variants``).
    """

    experiment: str
    run: int
    phase: int
    epoch: int
    arm: str
    propensity: float
    target: str | None
    override: bool = False
    unit: str | None = None
    site: str | None = None


class Fanout(Struct, frozen=True, gc=False, omit_defaults=True):
    """What came of a request that was sent to several arms of an experiment.

    Attributes:
        experiment: Name of the experiment.
        arms: What came of each arm's part, in the order of the file, by name (``counters.FAN_RESULTS``).
        base: Arm whose answer the caller got, with the merged list or the combined value in it.
        merge: ``team_draft`` or ``balanced``, when lists were merged.
        items: Ids of the items that the caller got, in order; the first ``MOST_SHOWN``.
        teams: For each of them the place in ``arms`` of the arm that put it in; -1 for none. Of ``team_draft``.
        ranks: For each of them its place in each arm's list, from 1, 0 where it was in none. Of ``balanced``.
        combine: How values were combined, when they were.
        values: The number that each arm gave, by its name, as far as it was one.
    """

    experiment: str
    arms: dict[str, str]
    base: str | None = None
    merge: str | None = None
    items: tuple[str, ...] = ()
    teams: tuple[int, ...] = ()
    ranks: tuple[tuple[int, int], ...] = ()
    combine: str | None = None
    values: dict[str, float] = {}


class Exchange(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="exchange"):
    """One request and its response: a line of the event log.

    Attributes:
        id: The exchange's own id, 32 hexadecimal digits.
        time: When its first byte came in, in unix seconds.
        request_id: ``x-request-id``, kept from the caller or made.
        revision: Number of the revision that decided.
        route: Name of the route.
        method: Request method.
        path: Path without query, at most 256 characters.
        status: What the caller saw; 0 when the connection closed before any response.
        attempts: Requests sent to targets for it.
        duration: First byte in to last byte out, in seconds.
        first_byte: First byte in to first byte out, in seconds; None when there was none.
        request_bytes: Body bytes from the caller.
        response_bytes: Body bytes to the caller.
        target: Who served; None when nobody did.
        unit: Whom the assignment belongs to; None when no source was present.
        unit_source: Where the unit came from, as the route's ``unit`` says it.
        experiments: Assignments of the unit on this route.
        failed: Whether the first attempt at the assigned arm's target failed, however it was rescued.
        fault: Fault of the first attempt.
        outcome_fault: Fault of the whole: ``client_gone``, ``truncated``, ``timeout_first_byte``, …
        fallback: Cause of the fallback that answered.
        fallback_to: The fallback that answered: a target, or a kind of answer.
        hedge: What became of a second request that was sent because the first took long (``counters.HEDGES``).
        degraded: The highest load of the route's ``degrade`` that the target had reached; None below all of them.
        attributes: Attributes of the request that experiments of the route name as strata or slices, as they were
            then; absent ones are left out.
        bot: Whether the user agent is a known crawler's; looked at only where an experiment excludes bots.
        holdouts: Holdouts that the unit is in, of those that keep it out of an experiment of the route.
        deadline: For an exchange that did not finish, how long it was allowed to take, in seconds: what it enters
            latency quantiles with.
        rewards: What the response said about itself, by source: ``header:x-gpu-seconds``, ``json:/safety/flagged``; and
            what ``watch`` looks at, numbers and texts: ``response:/label``, ``request:/country``.
        fanout: What came of it, where the request was sent to several arms.
    """

    id: str
    time: float
    request_id: str
    revision: int
    route: str
    method: str
    path: str
    status: int
    attempts: int
    duration: float
    first_byte: float | None
    request_bytes: int
    response_bytes: int
    target: str | None = None
    unit: str | None = None
    unit_source: str | None = None
    experiments: tuple[Enrolment, ...] = ()
    failed: bool = False
    fault: str | None = None
    outcome_fault: str | None = None
    fallback: str | None = None
    fallback_to: str | None = None
    hedge: str | None = None
    degraded: float | None = None
    attributes: dict[str, str] = {}
    bot: bool = False
    holdouts: tuple[str, ...] = ()
    deadline: float | None = None
    rewards: dict[str, float | str] = {}
    fanout: Fanout | None = None


class Shadow(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="shadow"):
    """What came of one copy of a request whose answer was to be compared: a line of the event log.

    Durations are seconds, sizes bytes of body.

    Attributes:
        id: The exchange's own id; with ``shadow``, that of this event.
        time: When the exchange's first byte came in, in unix seconds.
        request_id: ``x-request-id`` of both requests.
        revision: Number of the revision that decided.
        route: Name of the route.
        result: ``agree``, ``differ``, ``not_comparable``, ``failed`` (the shadow gave no whole answer) or
            ``primary_failed`` (the primary gave none, or a fallback answered in its place).
        agree: Whether the answers agree; None when that cannot be said.
        primary: Target that the exchange was decided to go to.
        primary_status: What the caller saw; 0 when the connection closed before any response.
        primary_duration: First byte of the request in to last byte of the answer out.
        primary_bytes: Size of what the caller got.
        shadow: Target that got the copy.
        shadow_status: Its status; 0 when there was none.
        shadow_duration: From sending the copy to the last byte of its answer, or its end without one.
        shadow_bytes: Size of its answer, as far as it came.
        unit: Whom the assignment belongs to; None when no source was present.
        differences: Where the answers differ: JSON pointers, ``status`` or ``body``; or why they are not comparable.
        fault: Why the shadow gave no whole answer, as ``fault`` of an exchange.
        primary_fault: Why the primary gave none; ``fallback`` or ``degraded`` when another
            answered.
    """

    id: str
    time: float
    request_id: str
    revision: int
    route: str
    result: str
    agree: bool | None
    primary: str
    primary_status: int
    primary_duration: float
    primary_bytes: int
    shadow: str
    shadow_status: int
    shadow_duration: float
    shadow_bytes: int
    unit: str | None = None
    differences: tuple[str, ...] = ()
    fault: str | None = None
    primary_fault: str | None = None


Event = Exchange | Shadow
"""A line of the event log."""


class Edit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value that a change of the configuration changed.

    Attributes:
        path: Where it stands, by names: ``$.experiments[ranker-v2].arms[control].weight``; a region and cluster that
            one process serves besides its own go before it.
        before: The old value as JSON, shortened; None when there was none.
        after: The new value likewise.
        file: The file that says so, or the revision that was restored.
        line: Line in it.
        by: Owner of the file, or who restored it.
    """

    path: str
    before: str | None = None
    after: str | None = None
    file: str | None = None
    line: int | None = None
    by: str | None = None


class Revised(Struct, frozen=True, kw_only=True, tag_field="type", tag="revised"):
    """That a revision was published: an entry of the control journal.

    Attributes:
        number: Number of the revision.
        time: When, in unix seconds.
        cause: What made it: ``start``, ``reload``, ``restore``, ``kill``, …
        author: Who made it.
        digest: Digest of the bytes of the configuration files.
        config: The configuration.
        weights: Experiment to arm to weight.
        runs: Experiment to where it is.
        changes: What differs from the revision before, one sentence each.
        killed: Experiment to its kill.
        invalid: Experiment to what makes its data invalid.
        edits: What the files changed, value by value; the first of them when there are many.
        edited: How many there were.
        coming: Experiment to the weights that it has from a later moment on.
        rollouts: Experiment to where its release is.
        mirrors: Experiment to the share of units whose requests are copied to the target of its new arm.
        endpoints: Target to the base URLs of it that are in use; a target that is missing uses all.
    """

    number: int
    time: float
    cause: str
    author: str
    digest: str
    config: Config
    weights: dict[str, dict[str, float]]
    runs: dict[str, Run]
    changes: tuple[str, ...] = ()
    killed: dict[str, Kill] = {}
    invalid: dict[str, Invalid] = {}
    edits: tuple[Edit, ...] = ()
    edited: int = 0
    coming: dict[str, Coming] = {}
    rollouts: dict[str, Progress] = {}
    mirrors: dict[str, float] = {}
    endpoints: dict[str, tuple[str, ...]] = {}


class Ticked(Struct, frozen=True, kw_only=True, tag_field="type", tag="ticked"):
    """That allocators changed weights: an entry of the log of ticks, which a revision was published for.

    Attributes:
        number: Number of the revision.
        time: When, in unix seconds.
        author: The allocators, by name.
        weights: Experiment to arm to weight, of experiments whose weights changed.
        runs: Where these are since.
        coming: Experiment to the weights that it has from a later moment on, where these changed.
        settled: Experiments whose coming weights came into force with this entry.
        policies: Experiment to the observations that its new model was learned from.
    """

    number: int
    time: float
    author: str
    weights: dict[str, dict[str, float]] = {}
    runs: dict[str, Run] = {}
    coming: dict[str, Coming] = {}
    settled: tuple[str, ...] = ()
    policies: dict[str, int] = {}
