"""A canary that turns bad, seen from outside: who meets it, what becomes of their requests, and when that ends.

Responsible for: what callers of the release saw, added up, and the checks on it.
Does not know: how requests are sent (``router.demo.callers``), how the router decides. That the canary turned bad is
told to it by whoever made it so.

Rules: only answers count, not what the router says of itself: a request met the canary if its answer names that arm. A
request belongs to the time at which it began. Memory does not grow with time.
"""

from dataclasses import dataclass, field

from router.demo.verdict import Check

ARM = "canary"
STABLE = "stable"
WITHIN_S = 10.0  # a rollback later than that is no protection
ERRORS_KEPT = 3


@dataclass(frozen=True, slots=True)
class Met:
    """One request of the release's callers.

    Attributes:
        user: Who.
        began: When, in seconds of one clock.
        arm: The arm that the answer names; None without an answer.
        rescued: Whether a fallback answered.
        error: Why it failed; None when it did not.
    """

    user: str
    began: float
    arm: str | None
    rescued: bool
    error: str | None


@dataclass(slots=True)
class CanaryTally:
    """What the release's callers saw.

    Attributes:
        requests: How many requests there were.
        errors: Those that failed.
        first_errors: The first few of them.
        users: Everybody who was answered.
        bad_at: When the canary turned bad; None before.
        back_at: When the router served everybody from the stable arm again, as it says; None before.
        last_met: When the last request that met the canary began.
        exposed: Users who met it since it turned bad.
        met: Their requests that did.
        rescued: Those of them that a fallback answered.
        after: Requests that began after ``back_at``.
        strays: Those of them that met the canary.
        share: Share of users that it has, as the router says.
        share_when_bad: That share when it turned bad.
        place: Where the release is, as the router says.
        reason: Why, likewise.
    """

    requests: int = 0
    errors: int = 0
    first_errors: list[str] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    bad_at: float | None = None
    back_at: float | None = None
    last_met: float | None = None
    exposed: set[str] = field(default_factory=set)
    met: int = 0
    rescued: int = 0
    after: int = 0
    strays: int = 0
    share: float = 0.0
    share_when_bad: float = 0.0
    place: str = "not begun"
    reason: str = ""

    def record(self, met: Met) -> None:
        """Add a request."""
        self.requests += 1
        if met.error is not None:
            self.errors += 1
            if len(self.first_errors) < ERRORS_KEPT:
                self.first_errors.append(f"{met.user}: {met.error}")
        if met.arm is not None:
            self.users.add(met.user)
        if self.back_at is not None and met.began > self.back_at:
            self.after += 1
            self.strays += met.arm == ARM
        if met.arm != ARM:
            return
        self.last_met = met.began if self.last_met is None else max(self.last_met, met.began)
        if self.bad_at is not None and met.began > self.bad_at:
            self.exposed.add(met.user)
            self.met += 1
            self.rescued += met.rescued

    def turn_bad(self, now: float) -> None:
        """Note that the canary is bad from now on."""
        self.bad_at, self.share_when_bad = now, self.share

    def lasted_s(self) -> float | None:
        """Return for how long users met it although it was bad, in seconds; None while that may go on."""
        if self.bad_at is None or self.back_at is None or self.last_met is None:
            return None
        return max(0.0, self.last_met - self.bad_at)

    def line(self) -> str:
        """Return the state for people, in a line."""
        state = f"canary: {self.place}, {self.share:.0%} of its callers"
        seen = f"{self.requests} requests, {self.errors} failed"
        if self.bad_at is None:
            return f"{state} · {seen}"
        return f"{state} · {seen}; since it is bad {self.met} met it, {self.rescued} of them rescued"


def judge_canary(tally: CanaryTally) -> tuple[Check, ...]:
    """Check that the canary was taken back by itself, in time, and at nobody's cost."""
    return (_taken_back(tally), _nobody_failed(tally), _few_were_exposed(tally))


def _taken_back(tally: CanaryTally) -> Check:
    lasted = tally.lasted_s()
    promise = "the canary that turned bad was rolled back by itself"
    if lasted is None:
        when = "it never turned bad" if tally.bad_at is None else f"it is still there: {tally.place}, {tally.reason}"
        return Check(promise, kept=False, evidence=when, enough=False)
    evidence = f"the last request met it {lasted:.1f} s after it turned bad; {tally.reason}"
    return Check(promise, lasted <= WITHIN_S and tally.place == "rolled back", evidence)


def _nobody_failed(tally: CanaryTally) -> Check:
    evidence = f"{tally.requests} requests, {tally.errors} failed; {tally.rescued} of {tally.met} that met it rescued"
    if tally.first_errors:
        evidence += "; first: " + "; ".join(tally.first_errors)
    enough = tally.rescued > 0 or tally.errors > 0
    return Check("no request of its callers failed", tally.errors == 0 and enough, evidence, enough)


def _few_were_exposed(tally: CanaryTally) -> Check:
    promise = "only its share of users met it while it was bad, and nobody after"
    count, users = len(tally.exposed), len(tally.users)
    evidence = (
        f"{count} of {users} users, at a share of {tally.share_when_bad:.0%}; {tally.after} requests after, "
        f"{tally.strays} of them met it"
    )
    if not users or tally.back_at is None or not tally.after:
        return Check(promise, kept=False, evidence=evidence, enough=False)
    share = tally.share_when_bad
    # Assignment is a hash: five standard deviations of a binomial, for any other names of users.
    most = users * share + 5 * (users * share * (1 - share)) ** 0.5
    return Check(promise, count <= most and not tally.strays, evidence)
