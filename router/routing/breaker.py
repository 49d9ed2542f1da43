"""The breaker of one endpoint: when it gets no requests, and how it comes back.

Responsible for: the states and what leads from one to the next, the rules that open it, how long it stays open, and
agreeing on all this between workers through shared words.
Does not know: requests, connections, which endpoints a target has, who reads the clock.

Rules:

- A change is looked up in ``TRANSITIONS``, and the look-up is the check: what is not there cannot happen.
- Each worker writes its own block only. The state of the router is the *largest* register of all blocks. A register is
  one word that begins with the time of the change, so the largest is the last, and is never read half-written.
- What only time brings (open → half-open, ramp → closed) is not written: every worker computes the same from the same
  register. Probes that passed are tagged with the half-open period that they were let into.
- An attempt counts only if it began after the endpoint was let back in: what was sent before says nothing about now.

Two workers that decide within the same few microseconds do not see each other. Both may then let a probe in, so that
there are at most ``probes + workers - 1``; both may write a change down, of which the later holds; a run of failures
may be counted one short.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from router import counters
from router.config.schema import Breaker as Settings
from router.routing.window import Counts, Window

# --- States: of two changes within the same millisecond the more careful one holds, so its number is larger -----------
CLOSED: Final = 0  # in use
RAMP: Final = 1  # in use, for a growing share
HALF_OPEN: Final = 2  # gets a few probes
OPEN: Final = 3  # gets nothing
NAMES: Final = ("closed", "ramp", "half_open", "open")

# --- Events -----------------------------------------------------------------------------------------------------------
TRIP: Final = "trip"  # a rule on failures or slow answers is met
WAITED: Final = "waited"  # it was open for as long as it had to
PASSED: Final = "passed"  # enough probes succeeded
FAILED: Final = "failed"  # a probe failed
RAMPED: Final = "ramped"  # the ramp is over

TRANSITIONS: Final[Mapping[int, Mapping[str, int]]] = MappingProxyType(
    {
        CLOSED: MappingProxyType({TRIP: OPEN}),
        OPEN: MappingProxyType({WAITED: HALF_OPEN}),
        HALF_OPEN: MappingProxyType({PASSED: RAMP, FAILED: OPEN}),
        RAMP: MappingProxyType({RAMPED: CLOSED, TRIP: OPEN}),
    }
)

# Envoy's multiplier is not bounded; beyond this many doublings every ``max_open`` is long reached.
MAX_OPENINGS: Final = 31
# Up to a tenth longer, so that endpoints that failed together are not probed together (Envoy has
# max_ejection_time_jitter for this, Traefik nothing).
JITTER: Final = 0.1
# Share at which a ramp begins. Envoy's slow start has the same (min_weight_percent).
LEAST_SHARE: Final = 0.1

_JITTER_BITS: Final = 15
_OPENINGS_BITS: Final = 5
_STATE_BITS: Final = 2
_STAMP_SHIFT: Final = _JITTER_BITS + _OPENINGS_BITS + _STATE_BITS  # 41 bits are left: 69 years of milliseconds
_JITTER_STEPS: Final = 1 << _JITTER_BITS
_TAG_BITS: Final = 16  # probes passed, behind the stamp of their period


class Register(NamedTuple):
    """Everything that is agreed on, as one word: compared as numbers, the later change is the larger.

    Attributes:
        stamp_ms: When this state began, in milliseconds of the monotonic clock; 0 before the first change.
        state: One of the states.
        openings: How many times in a row it opened, without a healthy time between.
        jitter: What is added to the open time, in steps of ``JITTER / 2**15``.
    """

    stamp_ms: int = 0
    state: int = CLOSED
    openings: int = 0
    jitter: int = 0

    @property
    def word(self) -> int:
        """Return it as a word."""
        rest = (self.state << _OPENINGS_BITS | self.openings) << _JITTER_BITS | self.jitter
        return self.stamp_ms << _STAMP_SHIFT | rest

    @classmethod
    def of(cls, word: int) -> "Register":
        """Read a word."""
        above = word >> _JITTER_BITS
        state = above >> _OPENINGS_BITS & (1 << _STATE_BITS) - 1
        return cls(word >> _STAMP_SHIFT, state, above & MAX_OPENINGS, word & _JITTER_STEPS - 1)

    def open_ms(self, settings: Settings) -> int:
        """Return how long it stays open: doubled each time in a row, up to ``max_open``, and jitter beyond that."""
        doubled = settings.open * float(1 << max(self.openings - 1, 0))
        base = min(doubled, max(settings.max_open, settings.open))
        return round(1000 * base * (1 + JITTER * self.jitter / _JITTER_STEPS))

    def changes_at_ms(self, settings: Settings) -> int | None:
        """Return when time alone changes this state; None if it does not."""
        if self.state == OPEN:
            return self.stamp_ms + self.open_ms(settings)
        if self.state == RAMP:
            return self.stamp_ms + round(1000 * settings.ramp)
        return None

    def at(self, now_ms: int, settings: Settings) -> "Register":
        """Return what has become of it by a time."""
        register = self
        while (due := register.changes_at_ms(settings)) is not None and due <= now_ms:
            event = WAITED if register.state == OPEN else RAMPED
            register = register._replace(stamp_ms=due, state=TRANSITIONS[register.state][event])
        return register

    def after(self, event: str, now_ms: int, settings: Settings, random: float) -> "Register":
        """Return what an event makes of it.

        Args:
            event: TRIP, PASSED or FAILED.
            now_ms: When.
            settings: How long it was and will be open.
            random: Uniform in [0, 1), for the jitter.

        Raises:
            KeyError: If the event cannot happen in this state.
        """
        state = TRANSITIONS[self.state][event]
        openings, jitter = self.openings, self.jitter
        if state == OPEN:
            # Forgiven after as long in use as it was last kept away: what fails sooner than that is still ill.
            if self.state == CLOSED and now_ms - self.stamp_ms >= self.open_ms(settings):
                openings = 0
            openings = min(openings + 1, MAX_OPENINGS)
            jitter = int(random * _JITTER_STEPS)
        return Register(max(now_ms, self.stamp_ms + 1), state, openings, jitter)


def enabled(settings: Settings) -> bool:
    """Return whether any rule can open a breaker."""
    return bool(settings.consecutive or settings.ratio or settings.slow is not None)


def trips(settings: Settings, streak: int, counts: Counts) -> bool:
    """Return whether a rule is met.

    Args:
        settings: The rules.
        streak: Failures since the last success, of the whole router.
        counts: What came of the attempts of the last ``window``.
    """
    if 0 < settings.consecutive <= streak:
        return True
    total = max(counts.succeeded + counts.failed, counts.slow)
    if total < settings.min_requests:
        return False
    if settings.ratio and counts.failed >= settings.ratio * total:
        return True
    return settings.slow is not None and counts.slow >= settings.slow_ratio * total


class Breaker:
    """The breaker of one endpoint, as one worker sees it. Times are seconds of the monotonic clock.

    Attributes:
        settings: The rules.
        register: The state that this worker goes by.
        began: Attempts that began before are not judged.
    """

    __slots__ = (
        "_blocks", "_changed", "_enabled", "_looked", "_own", "_random", "_row", "_window", "began", "register",
        "settings",
    )  # fmt: skip

    def __init__(
        self,
        settings: Settings,
        words: tuple[Sequence[memoryview], int, int],
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        """Go by shared words.

        Args:
            settings: The rules.
            words: The blocks of all workers, which of them is this worker's, and where the endpoint's row begins.
            random: Returns floats uniform in [0, 1).
            changed: Called after each change of state.
        """
        # Per endpoint
        self.settings = settings
        self._enabled = enabled(settings)
        self._blocks, worker, self._row = words
        self._own = self._blocks[worker]
        self._random = random
        self._changed = changed
        self._looked = 0  # the register, as written, that was looked at last
        self._window = Window(settings.window)
        self.register = Register()
        self.began = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {NAMES[self.register.state]} openings={self.register.openings}>"

    # --- Questions --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> int:
        """Return the state."""
        return self.register.state

    @property
    def probes_in_flight(self) -> int:
        """Return how many probes of all workers are under way."""
        return self._sum(counters.ENDPOINT_PROBES)

    def admits(self) -> bool:
        """Return whether the endpoint may be given a request now."""
        state = self.register.state
        if state == HALF_OPEN:
            # Another worker's probe may have failed since the last tick, and then there are to be no more.
            unchanged = self._written() == self._looked
            return unchanged and self._passed() + self.probes_in_flight < self.settings.probes
        return state != OPEN

    def share(self, now: float) -> float:
        """Return the share of its usual requests that the endpoint is to get: below 1 in a ramp."""
        if self.register.state != RAMP or not self.settings.ramp:
            return 1.0
        return min(1.0, max(LEAST_SHARE, (now - self.register.stamp_ms / 1000) / self.settings.ramp))

    # --- Attempts ---------------------------------------------------------------------------------------------------

    def enter(self) -> int:
        """Note an attempt; return its ticket, which is 0 unless it is a probe."""
        if self.register.state != HALF_OPEN or not self.admits():
            return 0
        self._own[self._row + counters.ENDPOINT_PROBES] += 1
        return self.register.stamp_ms

    def leave(self) -> None:
        """Note that a probe is over, however it ended."""
        self._own[self._row + counters.ENDPOINT_PROBES] -= 1

    def passed(self, ticket: int, now: float) -> None:
        """Note that a probe succeeded.

        Whoever counts successes (``ENDPOINT_SUCCEEDED``) counts this one as well.
        """
        if self.register.state != HALF_OPEN or ticket != self.register.stamp_ms:
            return
        at = self._row + counters.ENDPOINT_PASSED
        mine = self._own[at]
        self._own[at] = mine + 1 if mine >> _TAG_BITS == ticket else (ticket << _TAG_BITS) + 1
        self.look(now)

    def slow(self, now: float) -> None:
        """Note that a success took longer than ``slow``."""
        self._own[self._row + counters.ENDPOINT_SLOW] += 1
        if self.register.state in (CLOSED, RAMP) and trips(self.settings, 0, self._window.since(now, self._totals())):
            self._move(TRIP, now)

    def failed(self, ticket: int, began: float, now: float) -> None:
        """Note that an attempt failed through the endpoint's fault.

        Args:
            ticket: What ``enter`` returned.
            began: When the attempt began.
            now: When it failed.
        """
        state = self.register.state
        if state == HALF_OPEN:
            if ticket == self.register.stamp_ms:
                self._move(FAILED, now)
        elif state != OPEN and began >= self.began:
            self._own[self._row + counters.ENDPOINT_FAILED] += 1
            totals = self._totals()
            if trips(self.settings, self._streak(totals.succeeded), self._window.since(now, totals)):
                self._move(TRIP, now)

    # --- Agreement --------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Follow the other workers, and the clock; called on every tick."""
        if not self._enabled:
            self._take(Register(), now)
            return
        now_ms = int(now * 1000)
        written = self._written()
        register = self.register
        due = register.changes_at_ms(self.settings) if register.state else None
        if written != self._looked or (due is not None and due <= now_ms):
            self._looked = written
            self._take(Register.of(written).at(now_ms, self.settings), now)
        if self.register.state == HALF_OPEN and self._passed() >= self.settings.probes:
            self._move(PASSED, now)
        self._window.roll(now, self._totals)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Follow a change of the rules; the state stays, and how long it lasts is as the new rules say."""
        if settings != self.settings:
            self.settings = settings
            self._enabled = enabled(settings)
            self._window = Window(settings.window)
            self._looked = -1
            self.look(now)

    def _move(self, event: str, now: float) -> None:
        """Write a change down, unless another worker was faster."""
        now_ms = max(int(now * 1000), self.register.stamp_ms)
        written = self._written()
        register = Register.of(written).at(now_ms, self.settings)
        if register == self.register:
            register = register.after(event, now_ms, self.settings, self._random())
            written = self._own[self._row + counters.ENDPOINT_STATE] = register.word
            if register.state == OPEN:
                self._own[self._row + counters.ENDPOINT_OPENINGS] += 1
        self._looked = written
        self._take(register, now)

    def _take(self, register: Register, now: float) -> None:
        before, self.register = self.register, register
        if register == before:
            return
        if before.state in (OPEN, HALF_OPEN) and register.state in (RAMP, CLOSED):
            self.began = now
            self._window.clear(now, self._totals())
        self._changed()

    def _written(self) -> int:
        """Return the last change that any worker wrote down."""
        return max([block[self._row + counters.ENDPOINT_STATE] for block in self._blocks])

    def _passed(self) -> int:
        """Return how many probes of this half-open period succeeded."""
        tag = self.register.stamp_ms
        words = [block[self._row + counters.ENDPOINT_PASSED] for block in self._blocks]
        return sum([word & (1 << _TAG_BITS) - 1 for word in words if word >> _TAG_BITS == tag])

    def _streak(self, succeeded: int) -> int:
        """Count a failure; return how many there were in the router since it had ``succeeded`` successes in all."""
        mark, streak = self._row + counters.ENDPOINT_MARK, self._row + counters.ENDPOINT_STREAK
        if self._own[mark] != succeeded:
            self._own[streak] = 0
            self._own[mark] = succeeded
        self._own[streak] += 1
        return sum([block[streak] for block in self._blocks if block[mark] == succeeded])

    def _totals(self) -> Counts:
        return Counts(
            self._sum(counters.ENDPOINT_SUCCEEDED),
            self._sum(counters.ENDPOINT_FAILED),
            self._sum(counters.ENDPOINT_SLOW),
        )

    def _sum(self, offset: int) -> int:
        at = self._row + offset
        return sum([block[at] for block in self._blocks])
