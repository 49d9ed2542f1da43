"""Readiness: what answers make of an endpoint, and when an endpoint may be used."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import counters
from router.config.schema import Breaker, Endpoint, Health, Target
from router.routing import readiness
from router.routing.breaker import HALF_OPEN, OPEN, RAMP, Register
from router.routing.readiness import HEALTHY, RECOVERED, UNHEALTHY, UNKNOWN, Judgement, Readiness
from router.routing.standing import Standing, Words
from router.routing.window import SLOTS, Counts, Window

SETTINGS = Health(path="/ready", unhealthy_after=3, healthy_after=2)


def judged(answers: str) -> list[int]:
    """Return the states after each answer: ``+`` is good, ``-`` is bad."""
    judgement = Judgement()
    states = []
    for now_ms, answer in enumerate(answers, 1):
        judgement = judgement.after(now_ms, SETTINGS, good=answer == "+")
        states.append(judgement.readiness.state)
    return states


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("+", [HEALTHY]),
        ("--", [UNKNOWN, UNKNOWN]),
        ("---", [UNKNOWN, UNKNOWN, UNHEALTHY]),
        ("--+", [UNKNOWN, UNKNOWN, HEALTHY]),
        ("+--+--", [HEALTHY] * 6),
        ("---+-++", [UNKNOWN, UNKNOWN, UNHEALTHY, UNHEALTHY, UNHEALTHY, UNHEALTHY, RECOVERED]),
        ("---++---", [UNKNOWN, UNKNOWN, UNHEALTHY, UNHEALTHY, RECOVERED, RECOVERED, RECOVERED, UNHEALTHY]),
    ],
)
def test_what_answers_make_of_an_endpoint(answers: str, expected: list[int]) -> None:
    """Three bad answers in a row take it out, two good ones in a row bring it back; the first good one is enough."""
    assert judged(answers) == expected


@given(st.text("+-", max_size=60))
def test_only_answers_in_a_row_change_it(answers: str) -> None:
    """Whatever comes, it changes only after as many equal answers in a row as are asked for."""
    for index, (before, after) in enumerate(pairwise([UNKNOWN, *judged(answers)])):
        if after == UNHEALTHY != before:
            assert answers[index - 2 : index + 1] == "---"
        if after == RECOVERED != before:
            assert answers[index - 1 : index + 1] == "++"
        assert after != UNKNOWN or before == UNKNOWN


@given(st.integers(0, 2**50), st.sampled_from([UNKNOWN, UNHEALTHY, HEALTHY, RECOVERED]))
def test_a_readiness_survives_being_a_word(since_ms: int, state: int) -> None:
    """What the control process writes is what workers read; all but one state mean ready."""
    made = Readiness(since_ms, state)
    assert Readiness.of(made.word) == made
    assert made.ready == (readiness.NAMES[state] != "unhealthy")


class Place:
    """One endpoint, and the words about it."""

    def __init__(self, **keys: object) -> None:
        self.worker, self.control = (memoryview(bytearray(8 * counters.ENDPOINT_WORDS)).cast("q") for _ in range(2))
        self.target = Target(name="t", endpoints=(Endpoint(url="http://h"),), **keys)  # type: ignore[arg-type]
        self.changes = 0
        words = Words([self.worker], 0, self.control, 0, 0)
        self.standing = Standing(self.target, words, lambda: 0.0, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def say(self, since_ms: int, state: int, now: float) -> None:
        """Say what the control process would, and look."""
        self.control[counters.ENDPOINT_HEALTH] = Readiness(since_ms, state).word
        self.standing.look(now)


def test_one_that_is_not_ready_is_not_usable() -> None:
    """Health decides where it is asked for, and the change is told."""
    place = Place(health=SETTINGS)
    place.standing.look(1.0)
    assert place.standing.usable
    place.say(1000, UNHEALTHY, 1.0)
    assert not place.standing.usable
    assert place.changes == 1
    place.standing.reconfigure(Target(name="t", endpoints=place.target.endpoints), 2.0)
    assert place.standing.usable


def test_one_that_recovered_warms_up() -> None:
    """After it was not ready its share grows from a tenth over ``slow_start``; after its first answer it does not."""
    place = Place(health=SETTINGS, slow_start=10.0)
    place.say(1000, HEALTHY, 1.0)
    assert (place.standing.share(1.0), place.standing.moving) == (1.0, False)
    place.say(5000, RECOVERED, 5.0)
    assert place.standing.moving
    assert [place.standing.share(now) for now in (5.0, 5.5, 10.0, 14.9)] == pytest.approx([0.1, 0.1, 0.5, 0.99])
    assert (place.standing.share(15.0), place.standing.moving) == (1.0, False)


def test_one_that_was_added_warms_up() -> None:
    """An endpoint that joins others begins with a tenth; without ``slow_start`` it begins with all."""
    for slow_start, share in ((10.0, 0.2), (0.0, 1.0)):
        place = Place(slow_start=slow_start)
        place.standing.warm_up(1.0)
        assert place.standing.share(3.0) == pytest.approx(share)


@pytest.mark.parametrize(
    ("state", "usable", "probing", "moving"),
    [(OPEN, False, False, False), (HALF_OPEN, True, True, False), (RAMP, True, False, True)],
)
def test_the_breaker_decides_too(state: int, *, usable: bool, probing: bool, moving: bool) -> None:
    """An open one is not used, a half-open one gets probes, and one on its ramp a growing share."""
    place = Place(breaker=Breaker(ramp=10.0))
    place.worker[counters.ENDPOINT_STATE] = Register(1000, state, 1).word
    place.standing.look(3.0)
    standing = place.standing
    assert (standing.usable, standing.probing, standing.moving) == (usable, probing, moving)
    if state == RAMP:
        assert standing.share(6.0) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=80))
def test_a_window_counts_what_is_within_it(story: list[tuple[float, int, int]]) -> None:
    """All of the last ``length`` is counted, and nothing from before that and two slots more."""
    length = 5.0
    window = Window(length)
    now = 100.0
    totals = Counts()
    events: list[tuple[float, int, int]] = []

    def present() -> Counts:
        return totals

    window.roll(now, present)
    for wait, good, bad in story:
        for _ in range(10):  # as a tick does
            now += wait / 10
            window.roll(now, present)
        totals = Counts(totals.succeeded + good, totals.failed + bad, totals.slow)
        events.append((now, good, bad))
    found = window.since(now, totals)
    least = sum(bad for at, _, bad in events if at > now - length)
    most = sum(bad for at, _, bad in events if at >= now - length - 2 * length / SLOTS - 0.4)
    assert least <= found.failed <= most


def test_an_empty_window_has_nothing() -> None:
    """Before the first look nothing is known, and after ``clear`` nothing from before."""
    window = Window(5.0)
    assert window.since(1.0, Counts(3, 3)) == Counts()
    window.clear(2.0, Counts(3, 3))
    assert window.since(3.0, Counts(5, 4)) == Counts(2, 1)
