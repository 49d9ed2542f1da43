"""Conditions and limits on a simulated clock: what holds when, and what is not shown either way."""

from collections.abc import Sequence

import pytest

from router.config.schema import Guardrail
from router.events.rollout import Found
from router.guardrail.seen import Known
from tests.guardrail.looks import Release

CONTROL = (20, 0, 20.0)


def when(text: str) -> Guardrail:
    """Give a guardrail with a condition."""
    return Guardrail(when=text)


def statuses(looks: Sequence[tuple[Found, ...]]) -> list[str]:
    """Give the statuses of the only guardrail, without repetitions."""
    found = [look[0].status for look in looks]
    return [status for index, status in enumerate(found) if index == 0 or found[index - 1] != status]


def first(looks: Sequence[tuple[Found, ...]], status: str) -> int | None:
    """Give the seconds until the only guardrail first says something."""
    return next((10 * index for index, look in enumerate(looks) if look[0].status == status), None)


def test_for_takes_all_of_its_time() -> None:
    """10 % of failures break error_rate > 5% for 5m after 5 minutes, and not before."""
    release = Release((when("error_rate > 5% for 5m"),))
    looks = release.run(420, control=CONTROL, treatment=(20, 2, 20.0))
    assert statuses(looks) == ["inconclusive", "fail"]
    assert first(looks, "fail") == 300
    found = looks[-1][0]
    assert (found.name, found.action, found.margin) == ("when: error_rate > 5% for 5m", "rollback", 0.05)
    assert found.estimate == pytest.approx(0.1)
    assert found.low is not None
    assert 0.05 < found.low < 0.1
    assert found.counts["treatment_failures"] == 60
    assert found.statistic is not None
    assert found.threshold is not None
    assert found.statistic > found.threshold
    assert found.reason == (
        "error_rate of treatment was 10% in the last 5m (60 of 600 exchanges) against 5%: above it, shown at any look"
    )


def test_a_minute_of_health_begins_for_anew() -> None:
    """Any fifth of the time has to agree, wherever it begins."""
    release = Release((when("error_rate > 5% for 5m"),))
    release.run(240, control=CONTROL, treatment=(20, 3, 20.0))
    release.run(60, control=CONTROL, treatment=(20, 0, 20.0))
    looks = release.run(240, control=CONTROL, treatment=(20, 3, 20.0))
    assert statuses(looks) == ["inconclusive"]
    assert statuses(release.run(120, control=CONTROL, treatment=(20, 3, 20.0))) == ["inconclusive", "fail"]


def test_an_empty_part_is_no_pass_and_no_failure() -> None:
    """Without exchanges nothing is known, and the time of for begins anew after it."""
    release = Release((when("error_rate > 5% for 5m"),))
    assert first(release.run(360, control=CONTROL, treatment=(20, 2, 20.0)), "fail") is not None
    looks = release.run(70, control=CONTROL)
    assert looks[-1][0].status == "inconclusive"
    assert "a part of it has no exchanges" in looks[-1][0].reason
    assert (
        first(release.run(400, control=CONTROL, treatment=(20, 2, 20.0)), "fail") == 240
    )  # less the fifth that was not empty


def test_a_failed_look_is_an_error_and_leaves_a_gap() -> None:
    """Never a pass; and what follows the gap begins anew."""
    release = Release((when("error_rate > 5% for 5m"), Guardrail(slo=0.999, action="pause")))
    release.run(360, control=CONTROL, treatment=(20, 2, 20.0))
    release.now += 10
    found = release.look("row is missing")
    assert [(each.name, each.status, each.action) for each in found] == [
        ("when: error_rate > 5% for 5m", "error", "rollback"),
        ("slo 99.9%", "error", "pause"),
        ("slo 99.9%, ticket", "error", "warn"),
    ]
    release.now += 400
    assert release.look()[0].status == "inconclusive"
    assert "not known" in release.look()[0].reason


def test_healthy_traffic_passes() -> None:
    """A pass takes an upper bound below the limit, from the whole run."""
    release = Release((when("error_rate > 5% for 5m"),))
    looks = release.run(420, control=CONTROL, treatment=(20, 0, 20.0))
    assert statuses(looks) == ["inconclusive", "pass"]
    high = looks[-1][0].high
    assert high is not None
    assert high < 0.05


def test_little_traffic_is_not_rolled_back_by_one_failure() -> None:
    """One failure of a few requests is beyond any share, and no evidence; many are."""
    release = Release((when("error_rate > 5% for 1m"),))
    looks = release.run(600, every=20, control=(1, 0, 20.0), treatment=(1, 0, 20.0))
    looks += release.run(20, every=20, control=(1, 0, 20.0), treatment=(1, 1, 20.0))
    assert {look[0].status for look in looks} <= {"inconclusive", "pass"}
    assert first(release.run(1200, every=20, control=(1, 0, 20.0), treatment=(1, 1, 20.0)), "fail") is not None


def test_failures_of_one_caller_are_one_caller_s() -> None:
    """However many requests one unit sends, fewer than three clusters of units roll nothing back."""
    release = Release((when("error_rate > 5%"),))
    release.run(300, control=CONTROL, treatment=(20, 0, 20.0))
    for _ in range(30):
        release.now += 10
        counts = release.counts["treatment"]
        counts[0][7] += 50
        counts[1][7] += 50
        assert release.look()[0].status == "inconclusive"


def test_a_multiple_of_control_takes_no_failures_in_control() -> None:
    """None in control is a binomial like any other; too few to matter pass."""
    bad, good = Release((when("error_rate > 2 * control"),)), Release((when("error_rate > 2 * control"),))
    assert statuses(bad.run(300, control=CONTROL, treatment=(20, 1, 20.0))) == ["inconclusive", "fail"]
    assert statuses(good.run(1200, control=(40, 0, 20.0), treatment=(40, 0, 20.0))) == ["inconclusive", "pass"]


def test_a_multiple_that_control_shares_passes() -> None:
    """What both arms suffer from is nobody's fault."""
    release = Release((when("error_rate > 2 * control"),))
    looks = release.run(1800, every=60, control=(200, 20, 20.0), treatment=(200, 20, 20.0))
    assert statuses(looks) == ["inconclusive", "pass"]
    found = looks[-1][0]
    assert (found.estimate, found.margin) == (1.0, 2.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1 < found.high < 2


def test_confidence_asks_for_a_bound_beyond_the_value_itself() -> None:
    """Three times control's failures are worse than control's soon, and more than twice them for sure much later."""
    plain, sure = (Release((when(f"error_rate > 2 * control{more}"),)) for more in ("", " with confidence > 99%"))
    times = [
        first(release.run(1800, control=(20, 1, 20.0), treatment=(20, 3, 20.0)), "fail") for release in (plain, sure)
    ]
    assert times[0] is not None
    assert times[1] is not None
    assert times[0] < times[1]


def test_a_quantile_against_control_and_traffic() -> None:
    """A slow arm under load: both, or nothing."""
    condition = "p99 > 2 * control and rate > 1/s"
    busy, idle = Release((when(condition),)), Release((when(condition),))
    looks = busy.run(180, control=CONTROL, treatment=(20, 0, 60.0))
    assert statuses(looks) == ["inconclusive", "fail"]
    assert looks[-1][0].estimate == pytest.approx(3, rel=0.13)
    assert looks[-1][0].counts["rate"] == 2
    looks = idle.run(180, every=30, control=CONTROL, treatment=(20, 0, 60.0))
    assert looks[-1][0].status == "pass"
    assert "rate is 0.666667/s, not > 1/s" in looks[-1][0].reason


def test_a_quantile_that_is_like_control_s_passes() -> None:
    """A bound of the new arm's quantile lies below twice a bound of control's."""
    release = Release((when("p99 > 2 * control"),))
    assert statuses(release.run(600, control=(40, 0, 20.0), treatment=(40, 0, 22.0))) == ["inconclusive", "pass"]


def test_limits_are_conditions_on_the_new_arm_alone() -> None:
    """at_most of what counters know: durations and failures; control may be as bad."""
    rails = (Guardrail(metric="p99", at_most="50ms"), Guardrail(metric="errors", at_most="2%", action="warn"))
    release = Release(rails)
    looks = release.run(900, control=(20, 5, 90.0), treatment=(20, 1, 20.0))
    assert [each.status for each in looks[-1]] == ["pass", "fail"]
    assert [each.name for each in looks[-1]] == ["p99 at_most 50ms", "errors at_most 2%"]
    slow = Release(rails[:1])
    assert statuses(slow.run(300, control=CONTROL, treatment=(20, 0, 90.0))) == ["inconclusive", "fail"]


def test_alternatives_share_alpha_and_one_is_enough() -> None:
    """Or fails with the first that is shown, and passes when all are shown not to be."""
    condition = "p99 > 1s or error_rate > 5%"
    bad, good = Release((when(condition),)), Release((when(condition),))
    found = bad.run(300, control=CONTROL, treatment=(20, 4, 20.0))[-1][0]
    assert (found.status, found.margin) == ("fail", 0.05)
    assert found.alpha == pytest.approx(0.0095 / 2)
    assert good.run(900, control=CONTROL, treatment=(20, 0, 20.0))[-1][0].status == "pass"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exchanges > 100", "fail"),
        ("exchanges > 100000", "pass"),
        ("rate < 1/m", "pass"),
        ("rate > 1/s for 2m", "fail"),
        ("control.rate > 1/s", "fail"),
        ("control.error_rate > 50%", "pass"),
        ("inflight > 5", "inconclusive"),
        ("ctr drop > 10%", "inconclusive"),
        ("ctr drop > 10% and exchanges > 100000", "pass"),
        ("ctr drop > 10% or exchanges > 100", "fail"),
    ],
)
def test_what_is_not_known_decides_nothing(text: str, expected: str) -> None:
    """Numbers are what they are; an unknown part leaves open what the others do not decide (Kleene)."""
    assert Release((when(text),)).run(300, control=CONTROL, treatment=(20, 0, 20.0))[-1][0].status == expected


def test_a_new_phase_keeps_what_was_counted_of_the_arm_alone() -> None:
    """A limit sees over a change of shares; a comparison with control begins with it."""
    alone, compared = Release((when("error_rate > 5% for 5m"),)), Release((when("error_rate > 2 * control for 2m"),))
    for release in (alone, compared):
        release.run(240, control=CONTROL, treatment=(20, 3, 20.0))
        release.enter(2)
    assert first(alone.run(120, control=CONTROL, treatment=(20, 3, 20.0)), "fail") == 60
    assert first(compared.run(300, control=CONTROL, treatment=(20, 3, 20.0)), "fail") in range(110, 200)


def test_a_clock_that_jumps_is_no_time() -> None:
    """Put back, marks move with it; put forward, the time is not known and for begins anew."""
    back, forward = (Release((when("error_rate > 5% for 5m"),)) for _ in range(2))
    for release, jump in ((back, -3600), (forward, 3600)):
        release.run(240, control=CONTROL, treatment=(20, 3, 20.0))
        release.now += jump
    assert first(back.run(240, control=CONTROL, treatment=(20, 3, 20.0)), "fail") in range(40, 80)
    assert first(forward.run(400, control=CONTROL, treatment=(20, 3, 20.0)), "fail") in range(290, 330)


def known(value: float, spread: float) -> Known:
    """Give a metric whose control is 0.1, with an interval around it and around the change."""
    change = value / 0.1 - 1
    return Known(
        value=value,
        low=value - spread,
        high=value + spread,
        control=0.1,
        change=change,
        change_low=change - 10 * spread,
        change_high=change + 10 * spread,
        units=(900, 1000),
    )


@pytest.mark.parametrize(
    ("text", "value", "spread", "expected"),
    [
        ("ctr drop > 10%", 0.085, 0.01, "fail"),  # 15 %, and surely a drop
        ("ctr drop > 10% with confidence > 95%", 0.085, 0.01, "inconclusive"),  # surely 5 % only
        ("drop > 10% with confidence > 95%", 0.085, 0.004, "fail"),  # the primary metric's
        ("ctr drop > 10%", 0.099, 0.004, "pass"),
        ("ctr drop > 10%", 0.085, 0.05, "inconclusive"),
        ("ctr rise > 10%", 0.12, 0.01, "fail"),
        ("ctr < 9%", 0.08, 0.005, "fail"),
        ("ctr < 9%", 0.1, 0.005, "pass"),
        ("ctr < 9%", 0.088, 0.005, "inconclusive"),
        ("ctr > 1.5 * control", 0.2, 0.04, "fail"),
        ("ctr < 0.9 * control with confidence > 95%", 0.08, 0.005, "fail"),
    ],
)
def test_what_the_log_says_of_a_metric(text: str, value: float, spread: float, expected: str) -> None:
    """A drop beyond the margin that is surely a drop; with confidence one that is surely beyond the margin."""
    asked: list[tuple[str, float]] = []

    def business(name: str, alpha: float) -> Known | str:
        asked.append((name, alpha))
        return known(value, spread)

    release = Release((when(text),), business=business)
    found = release.run(20, control=CONTROL, treatment=CONTROL)[-1][0]
    assert found.status == expected
    assert asked[-1][0] == "ctr"
    assert asked[-1][1] == pytest.approx(0.05 if "confidence" in text else 0.0095)
    assert found.counts == {"treatment_units": 900, "control_units": 1000}


def test_what_the_log_cannot_say_is_said() -> None:
    """Why a metric is not known stands in the reason."""
    release = Release((when("ctr drop > 10%"),), business=lambda name, _: f"{name} has no units yet")
    found = release.run(10, control=CONTROL, treatment=CONTROL)[-1][0]
    assert (found.status, found.reason) == ("inconclusive", "ctr: ctr has no units yet")
