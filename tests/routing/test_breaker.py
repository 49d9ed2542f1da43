"""The breaker: what opens it, how long for, how it comes back, and that all workers agree."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router import counters
from router.config.schema import Breaker as Settings
from router.routing import breaker
from router.routing.breaker import CLOSED, HALF_OPEN, OPEN, RAMP, TRANSITIONS, Breaker, Register, enabled, trips
from router.routing.window import Counts

START = 1000.0
EVENTS = (breaker.TRIP, breaker.WAITED, breaker.PASSED, breaker.FAILED, breaker.RAMPED)
STATES = (CLOSED, RAMP, HALF_OPEN, OPEN)

registers = st.builds(
    Register,
    st.integers(0, 2**41 - 1),
    st.sampled_from(STATES),
    st.integers(0, breaker.MAX_OPENINGS),
    st.integers(0, 2**15 - 1),
)


class Workers:
    """The breakers of one endpoint in several workers, on one clock."""

    def __init__(self, settings: Settings, count: int = 2) -> None:
        self.now = START
        self.blocks = [memoryview(bytearray(8 * counters.ENDPOINT_WORDS)).cast("q") for _ in range(count)]
        self.changes = 0
        random = Random(1)  # noqa: S311 - jitter
        self.each = [Breaker(settings, (self.blocks, n, 0), random.random, self._changed) for n in range(count)]
        self.tick()

    def _changed(self) -> None:
        self.changes += 1

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and every worker look."""
        self.now += seconds
        for worker in self.each:
            worker.look(self.now)

    def fail(self, worker: int = 0, times: int = 1, began: float | None = None) -> None:
        """Let attempts fail that began now, or when it is said."""
        for _ in range(times):
            self.each[worker].failed(0, self.now if began is None else began, self.now)

    def succeed(self, worker: int = 0, times: int = 1) -> None:
        """Let attempts succeed."""
        self.blocks[worker][counters.ENDPOINT_SUCCEEDED] += times

    def probe(self, worker: int = 0) -> int:
        """Begin a probe; 0 when none is let in."""
        return self.each[worker].enter()

    def end(self, ticket: int, worker: int = 0, *, good: bool = True) -> None:
        """End a probe."""
        self.each[worker].leave()
        if good:
            self.succeed(worker)
            self.each[worker].passed(ticket, self.now)
        else:
            self.each[worker].failed(ticket, self.now, self.now)

    @property
    def states(self) -> set[int]:
        """Return the states that workers go by."""
        return {worker.state for worker in self.each}

    def total(self, offset: int) -> int:
        """Return a word summed over the workers."""
        return sum(block[offset] for block in self.blocks)


def opened(settings: Settings | None = None, count: int = 2) -> Workers:
    """Workers whose breaker has just opened."""
    workers = Workers(settings or Settings(), count)
    workers.fail(times=5)
    workers.tick()
    assert workers.states == {OPEN}
    return workers


# --- The table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_only_what_the_table_says_can_happen(state: int, event: str) -> None:
    """Closed opens, open is probed, a probe decides, a ramp ends or is cut short; nothing else leads anywhere."""
    allowed = {
        (CLOSED, breaker.TRIP): OPEN,
        (OPEN, breaker.WAITED): HALF_OPEN,
        (HALF_OPEN, breaker.PASSED): RAMP,
        (HALF_OPEN, breaker.FAILED): OPEN,
        (RAMP, breaker.RAMPED): CLOSED,
        (RAMP, breaker.TRIP): OPEN,
    }
    if (state, event) in allowed:
        assert TRANSITIONS[state][event] == allowed[state, event]
    else:
        with pytest.raises(KeyError):
            Register(5, state).after(event, 9, Settings(), 0.5)


# --- The register -----------------------------------------------------------------------------------------------------


@given(registers)
def test_a_register_survives_being_a_word(register: Register) -> None:
    """What is written is what is read, and fits a signed word."""
    assert Register.of(register.word) == register
    assert 0 <= register.word < 2**63


@given(registers, registers)
def test_the_later_register_is_the_larger_word(one: Register, other: Register) -> None:
    """Workers that take the largest word take the last change."""
    if one.stamp_ms < other.stamp_ms:
        assert one.word < other.word


@given(registers, st.sampled_from(EVENTS), st.floats(0, 1, exclude_max=True), st.integers(-5000, 500_000))
def test_a_change_is_later_than_what_it_changes(register: Register, event: str, random: float, passed: int) -> None:
    """A change made from a register always replaces it, even on a clock that is behind."""
    now_ms = max(0, register.stamp_ms + passed)
    if event in TRANSITIONS[register.state] and now_ms < 2**40 and register.stamp_ms < 2**40:
        assert register.after(event, now_ms, Settings(), random).word > register.word


def test_the_open_time_doubles_to_its_limit_and_no_further() -> None:
    """30 s, 60 s, 2 min, 4 min, 5 min, 5 min: each with at most a tenth more."""
    times = [Register(0, OPEN, openings).open_ms(Settings()) / 1000 for openings in (1, 2, 3, 4, 5, 31)]
    assert times == [30, 60, 120, 240, 300, 300]
    longest = Register(0, OPEN, 1, 2**15 - 1).open_ms(Settings()) / 1000
    assert 32.9 < longest <= 33


def test_a_limit_below_the_first_open_time_does_not_shorten_it() -> None:
    """``max_open`` limits the doubling; ``open`` holds in any case."""
    assert Register(0, OPEN, 3).open_ms(Settings(open=30.0, max_open=5.0)) == 30_000


# --- What opens it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("streak", "counts", "expected"),
    [
        (4, Counts(0, 4), False),
        (5, Counts(0, 5), True),
        (1, Counts(10, 9), False),  # 19 requests are too few
        (1, Counts(10, 10), True),
        (1, Counts(11, 10), False),
        (0, Counts(20, 0, 20), False),  # slow answers do not matter by default
    ],
)
def test_what_trips(streak: int, counts: Counts, *, expected: bool) -> None:
    """Five failures in a row, or half of at least twenty requests."""
    assert trips(Settings(), streak, counts) is expected


@pytest.mark.parametrize(
    ("counts", "expected"), [(Counts(20, 0, 9), False), (Counts(20, 0, 10), True), (Counts(0, 0, 20), True)]
)
def test_slow_answers_trip(counts: Counts, *, expected: bool) -> None:
    """Half of at least twenty answers slower than ``slow``, those included that nobody waited for to the end."""
    assert trips(Settings(slow=1.0), 0, counts) is expected


def test_a_breaker_without_rules_is_off() -> None:
    """``consecutive: 0`` and ``ratio: 0%`` leave nothing that opens it, and what was open is closed."""
    off = Settings(consecutive=0, ratio=0.0)
    assert not enabled(off)
    assert enabled(Settings(consecutive=0, ratio=0.0, slow=1.0))
    workers = opened()
    for worker in workers.each:
        worker.reconfigure(off, workers.now)
    assert workers.states == {CLOSED}
    workers.fail(times=100)
    assert workers.states == {CLOSED}


def test_failures_in_a_row_are_counted_over_all_workers() -> None:
    """Three at one worker and two at another are five; a success anywhere begins anew."""
    workers = Workers(Settings(), 3)
    workers.fail(0, 3)
    workers.succeed(2)
    workers.fail(1, 3)
    workers.fail(0, 1)
    assert workers.states == {CLOSED}
    workers.fail(1, 1)
    workers.tick()
    assert workers.states == {OPEN}
    assert workers.total(counters.ENDPOINT_OPENINGS) == 1


def test_the_share_of_failures_is_of_all_workers() -> None:
    """What one worker sees alone does not open it when the router as a whole does well."""
    workers = Workers(Settings(consecutive=0, min_requests=20), 2)
    workers.succeed(1, 100)
    workers.fail(0, 30)
    assert workers.states == {CLOSED}
    workers.fail(0, 70)
    assert workers.each[0].state == OPEN


def test_what_is_long_past_is_forgotten() -> None:
    """The share is that of the last ``window``, whatever was before."""
    workers = Workers(Settings(consecutive=0, window=10.0), 1)
    workers.succeed(0, 1000)
    for _ in range(24):
        workers.tick(0.5)
    workers.fail(0, 19)
    assert workers.states == {CLOSED}
    workers.fail(0, 1)
    assert workers.states == {OPEN}


def test_slow_answers_open_it() -> None:
    """Successes that were slow open it, without any failure."""
    workers = Workers(Settings(slow=1.0), 1)
    for _ in range(20):
        workers.succeed()
        workers.each[0].slow(workers.now)
    assert workers.states == {OPEN}


def test_a_change_of_another_worker_is_not_made_twice() -> None:
    """Two workers that find the same within a tick open the breaker once."""
    workers = Workers(Settings(), 2)
    workers.fail(0, 5)
    workers.fail(1, 5)
    assert workers.states == {OPEN}
    assert workers.total(counters.ENDPOINT_OPENINGS) == 1


# --- How it comes back ------------------------------------------------------------------------------------------------


def test_the_way_back() -> None:
    """Open for its time, then as many probes as are allowed, then a ramp, then closed; every worker alike."""
    workers = opened()
    assert not workers.each[1].admits()
    workers.tick(29.9)
    assert workers.states == {OPEN}
    workers.tick(3.2)
    assert workers.states == {HALF_OPEN}
    tickets = [workers.probe(0), workers.probe(1), workers.probe(0)]
    assert all(tickets)
    assert workers.probe(1) == 0
    assert not workers.each[0].admits()
    for worker, ticket in zip((0, 1, 0), tickets, strict=True):
        workers.end(ticket, worker)
    workers.tick()
    assert workers.states == {RAMP}
    assert workers.each[1].share(workers.now) == pytest.approx(0.1)
    workers.tick(5)
    assert workers.each[0].share(workers.now) == pytest.approx(0.5)
    workers.tick(5.1)
    assert workers.states == {CLOSED}
    assert workers.each[0].share(workers.now) == 1.0


def test_probes_that_passed_are_not_asked_for_again() -> None:
    """With two of three passed one more is let in, not three: an endpoint that is still ill costs no more than that."""
    workers = opened()
    workers.tick(33.1)
    for worker in (0, 1):
        workers.end(workers.probe(worker), worker)
    assert workers.probe(1)
    assert workers.probe(0) == 0
    assert workers.probe(1) == 0


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    """The second time in a row it stays open for twice as long."""
    workers = opened()
    workers.tick(33.1)
    workers.end(workers.probe(1), 1, good=False)
    workers.tick(59.9)
    assert workers.states == {OPEN}
    workers.tick(6.2)
    assert workers.states == {HALF_OPEN}


def test_a_probe_without_an_answer_makes_room_for_another() -> None:
    """A caller that goes away during a probe says nothing about the endpoint, and its place is free again."""
    workers = opened()
    workers.tick(33.1)
    for _ in range(10):
        assert workers.probe()
        workers.each[0].leave()
    assert workers.states == {HALF_OPEN}
    assert workers.each[0].probes_in_flight == 0


def test_what_began_before_it_opened_does_not_count_later() -> None:
    """Requests that were under way when it opened, and fail when it is back, open it not again."""
    workers = opened()
    before = workers.now - 1
    workers.tick(33.1)
    workers.fail(0, 100, began=before)  # not probes
    assert workers.states == {HALF_OPEN}
    for _ in range(3):
        workers.end(workers.probe())
    workers.tick()
    assert workers.states == {RAMP}
    workers.fail(0, 100, began=before)
    workers.tick()
    assert workers.states == {RAMP}
    workers.fail(0, 5)
    assert workers.each[0].state == OPEN


def test_a_probe_of_an_earlier_period_does_not_count() -> None:
    """A probe that ends after its period is over is no evidence for the present one."""
    workers = opened()
    workers.tick(33.1)
    late = [workers.probe(), workers.probe()]
    workers.end(workers.probe(), good=False)
    workers.tick(66.1)
    assert workers.states == {HALF_OPEN}
    for ticket in late:
        workers.end(ticket)
    workers.end(workers.probe())
    workers.tick()
    assert workers.states == {HALF_OPEN}
    workers.end(late[0] + 1, good=False)
    assert workers.states == {HALF_OPEN}


def test_a_ramp_that_fails_opens_it_for_longer() -> None:
    """What fails on its way back is still ill: it counts as in a row."""
    workers = opened()
    workers.tick(33.1)
    for _ in range(3):
        workers.end(workers.probe())
    workers.fail(0, 5)
    assert workers.each[0].register.openings == 2


@pytest.mark.parametrize(("healthy_s", "openings"), [(5, 2), (40, 1)])
def test_openings_in_a_row_are_forgiven(healthy_s: float, openings: int) -> None:
    """Once it was in use for as long as it had been kept away, the open time begins at its shortest again."""
    workers = opened()
    workers.tick(33.1)
    for _ in range(3):
        workers.end(workers.probe())
    workers.tick(10.1)
    assert workers.states == {CLOSED}
    workers.tick(healthy_s)
    workers.fail(0, 5)
    assert workers.each[0].register.openings == openings


def test_without_a_ramp_it_is_closed_at_once() -> None:
    """``ramp: 0s`` gives the endpoint its full share after the probes."""
    workers = opened(Settings(ramp=0.0))
    workers.tick(33.1)
    for _ in range(3):
        workers.end(workers.probe())
    workers.tick()
    assert workers.states == {CLOSED}
    workers.fail(0, 100, began=START)
    assert workers.states == {CLOSED}


def test_probes_of_two_workers_that_did_not_see_each_other_are_found_later() -> None:
    """When no worker saw that the last probe passed, the next tick does."""
    workers = opened()
    workers.tick(33.1)
    ticket = workers.each[0].register.stamp_ms
    workers.blocks[0][counters.ENDPOINT_PASSED] = (ticket << 16) + 2
    workers.blocks[1][counters.ENDPOINT_PASSED] = (ticket << 16) + 1
    workers.tick()
    assert workers.states == {RAMP}


def test_a_worker_that_starts_anew_takes_the_state_over() -> None:
    """The successor of a crashed worker knows at its first look what the others know."""
    workers = opened()
    fresh = Breaker(Settings(), (workers.blocks, 0, 0), Random(2).random, lambda: None)  # noqa: S311 - jitter
    fresh.look(workers.now)
    assert fresh.state == OPEN
    assert "open" in repr(fresh)


def test_new_rules_hold_at_once() -> None:
    """A shorter ``open`` ends a breaker that is open."""
    workers = opened()
    workers.tick(5)
    for worker in workers.each:
        worker.reconfigure(Settings(open=1.0), workers.now)
        worker.reconfigure(Settings(open=1.0), workers.now)
    assert workers.states == {HALF_OPEN}


# --- Any story --------------------------------------------------------------------------------------------------------


class Story(RuleBasedStateMachine):
    """Any interleaving of attempts, ticks and time in three workers."""

    settings = Settings(consecutive=3, min_requests=5, window=2.0, open=1.0, max_open=4.0, probes=2, ramp=1.0)

    @initialize()
    def begin(self) -> None:
        """Start the workers."""
        self.workers = Workers(self.settings, 3)
        self.attempts: list[tuple[int, int, float]] = []
        self.passed: list[int] = []  # tickets of probes that succeeded
        self.last = 0

    @rule(worker=st.integers(0, 2))
    def attempt(self, worker: int) -> None:
        """Begin an attempt where the breaker admits one."""
        one = self.workers.each[worker]
        admitted = one.admits()
        before = one.probes_in_flight
        ticket = one.enter()
        assert bool(ticket) == (admitted and one.state == HALF_OPEN)
        assert one.probes_in_flight == before + bool(ticket)
        if admitted:
            self.attempts.append((worker, ticket, self.workers.now))

    @rule(worker=st.integers(0, 2))
    def open(self, worker: int) -> None:
        """Let as many attempts fail as open it, where it is in use."""
        for _ in range(self.settings.consecutive):
            self.workers.fail(worker)

    @precondition(lambda self: self.attempts)
    @rule(index=st.integers(0, 50), outcome=st.sampled_from(["good", "bad", "slow", "gone"]))
    def end(self, index: int, outcome: str) -> None:
        """End an attempt."""
        number, ticket, began = self.attempts.pop(index % len(self.attempts))
        worker = self.workers.each[number]
        now = self.workers.now
        before = worker.register
        if ticket:
            worker.leave()
        if outcome == "bad":
            worker.failed(ticket, began, now)
        elif outcome != "gone":
            self.workers.succeed(number)
            if outcome == "slow":
                worker.slow(now)
            if ticket:
                self.passed.append(ticket)
                worker.passed(ticket, now)
        if outcome in ("gone", "good") and before.state != HALF_OPEN:
            assert worker.register == before

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.5, 5.0]))
    def time(self, seconds: float) -> None:
        """Let time pass; afterwards all workers agree."""
        self.workers.tick(seconds)
        self.workers.tick()
        assert len({worker.register for worker in self.workers.each}) == 1

    @invariant()
    def bounded(self) -> None:
        """Probes are limited over all workers, the state only moves forward, and no open time is beyond its limit."""
        if not hasattr(self, "workers"):
            return
        probes = [ticket for _, ticket, _ in self.attempts if ticket]
        assert self.workers.each[0].probes_in_flight == len(probes)
        for ticket in set(probes):
            assert probes.count(ticket) + self.passed.count(ticket) <= self.settings.probes
        word = max(block[counters.ENDPOINT_STATE] for block in self.workers.blocks)
        assert word >= self.last
        self.last = word
        register = Register.of(word)
        assert register.open_ms(self.settings) <= 1000 * self.settings.max_open * (1 + breaker.JITTER)
        assert all(0 < worker.share(self.workers.now) <= 1 for worker in self.workers.each)


TestStory = pytest.mark.fuzz(Story.TestCase)
