"""Weights of bandits on the request path: the propensity that is logged is the frequency, and periods draw anew."""

from collections import Counter
from math import sqrt
from typing import Any

import pytest
from msgspec.structs import replace

from router.events.model import Coming
from router.routing.decide import Decision
from router.routing.table import Table, compile_table
from tests.routing.build import request, revision

PERIOD = 86400.0
BEGIN = 20_000 * PERIOD
ROUTE = {"name": "r", "unit": ["header:x-user"]}
ARMS = [{"name": name, "target": target, "weight": 1} for name, target in (("a", "t1"), ("b", "t2"), ("c", "t3"))]
NOW_WEIGHTS = {"a": 0.02, "b": 0.28, "c": 0.7}
LATER = {"a": 0.6, "b": 0.38, "c": 0.02}
UNITS = 20_000


def table(**options: Any) -> Table:
    """Compile a bandit whose next weights are published."""
    keys = {"use": "thompson", "reward": "m", "period": PERIOD, **options.pop("allocate", {})}
    experiment = {"name": "e", "route": "r", "arms": ARMS, "allocate": keys, **options}
    made = revision([ROUTE], [experiment], weights={"e": NOW_WEIGHTS})
    return compile_table(replace(made, coming={"e": Coming(start=BEGIN, epoch=2, weights=LATER)}))


def decide(decider: Table, unit: str, now: float, ident: str = "0" * 32) -> Decision:
    """Decide for a unit."""
    return decider.routes["r"].decide(request(id=ident, headers={"x-user": unit}, now=now))


@pytest.mark.parametrize(("now", "weights", "epoch"), [(BEGIN - 1, NOW_WEIGHTS, 1), (BEGIN, LATER, 2)])
def test_the_propensity_that_is_logged_is_the_frequency(now: float, weights: dict[str, float], epoch: int) -> None:
    """Each arm's share of 20,000 hashed users is its propensity within 5 standard errors (6 in ten million each)."""
    decider = table()
    counts: Counter[str] = Counter()
    for number in range(UNITS):
        (enrolment,) = decide(decider, f"user-{number}", now).enrolments
        counts[enrolment.arm] += 1
        assert enrolment.propensity == pytest.approx(weights[enrolment.arm])
        assert enrolment.epoch == epoch
    for arm, share in weights.items():
        assert abs(counts[arm] / UNITS - share) < 5 * sqrt(share * (1 - share) / UNITS)


def test_a_period_draws_users_anew_and_keeps_them_within_it() -> None:
    """Its unit is the user with the second in which it began; arms of two periods are independent."""
    decider = table()
    joint: Counter[tuple[str, str]] = Counter()
    for number in range(2000):
        user = f"user-{number}"
        first, last, after = (decide(decider, user, now) for now in (BEGIN, BEGIN + PERIOD - 1, BEGIN + PERIOD))
        assert first.enrolments == last.enrolments
        assert first.enrolments[0].unit == f"{user}@{int(BEGIN)}"
        assert after.enrolments[0].unit == f"{user}@{int(BEGIN + PERIOD)}"
        joint[first.enrolments[0].arm, after.enrolments[0].arm] += 1
    both = joint["a", "a"] / 2000  # 0.36 if independent, 0.6 if users kept their arm
    assert abs(both - 0.36) < 5 * sqrt(0.36 * 0.64 / 2000)


def test_nobody_without_a_unit_is_in_it() -> None:
    """A period is of a user, not of everybody as a switchback's slot."""
    assert table().routes["r"].decide(request(now=BEGIN)).enrolments == ()


def test_each_request_is_drawn_by_itself() -> None:
    """With ``unit: [request]`` two requests of a user may get two arms."""
    decider = table(unit=["request"], allocate={"period": None})
    arms = {decide(decider, "u", BEGIN - 1, f"{n:032x}").enrolments[0].arm for n in range(200)}
    assert {"b", "c"} <= arms
