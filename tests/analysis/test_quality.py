"""What the checks of data quality say: fine, a warning, invalid, or that there is too little data."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analysis import finding
from router.analysis.balance import balance, standardised_difference
from router.analysis.finding import STATUSES, Finding, Insufficient, worst
from router.analysis.log_quality import Logged, Received, Traffic, Written, judge_log
from router.analysis.promotion import may_promote
from router.analysis.quality import Lags, Observed, Quality, judge
from router.analysis.sample_ratio import Block, sample_ratio
from router.analysis.trust import told
from router.events.model import Invalid

SOUND = Observed(
    experiment="e",
    run=1,
    phase=2,
    control="a",
    exposures=20_000,
    overridden=100,
    bots=400,
    analysed=19_500,
    requests=19_490,
    units=10_000,
    crossed=3,
    blocks=(Block(0, {"a": 1.0, "b": 1.0}, {"a": 5010, "b": 4990}),),
    lags=Lags(units=800, median_s=90.0, p90_s=7300.0, keyed=700, early=1),
)


def _judged(**changes: Any) -> dict[str, Finding | Insufficient]:
    quality = judge(msgspec.structs.replace(SOUND, **changes))
    return {found.check: found for found in quality.findings}


def _units(a: int, b: int, epoch: int = 0) -> tuple[Block, ...]:
    return (Block(epoch, {"a": 1.0, "b": 1.0}, {"a": a, "b": b}),)


def test_sound_data_are_fine() -> None:
    """Every check says so, with value, threshold and a sentence."""
    quality = judge(SOUND)
    assert quality.status == "ok"
    assert quality.invalid is None
    assert [found.check for found in quality.findings] == [
        "sample_ratio", "duplicates", "multiple_exposure", "bots", "overrides", "outcome_gap",
    ]  # fmt: skip
    assert all(isinstance(found, Finding) and found.sentence for found in quality.findings)


def test_a_mismatch_makes_the_experiment_invalid() -> None:
    """The sentence names what each arm has and was due; chi-square stands beside the sequential p-value."""
    quality = judge(msgspec.structs.replace(SOUND, blocks=_units(5500, 4500)))
    found = quality.invalid
    assert quality.status == "invalid"
    assert found is not None
    assert found.value < found.threshold == 0.001
    assert "a has 5500, was due 5000, b has 4500, was due 5000" in found.sentence
    assert found.details["chi_square_p"] < 1e-20


def test_a_gross_mismatch_is_invalid_however_few_units_there_are() -> None:
    """The sequential test needs no smallest number: 60 units, all of them in one arm."""
    found = _judged(blocks=_units(60, 0))["sample_ratio"]
    assert found.status == "invalid"


def test_units_where_none_can_be_are_invalid() -> None:
    """An arm of weight 0 got one."""
    found = _judged(blocks=(Block(0, {"a": 1.0, "b": 0.0}, {"a": 5000, "b": 1}),))["sample_ratio"]
    assert isinstance(found, Finding)
    assert (found.status, found.value) == ("invalid", 0.0)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ((), "fewer than two arms"),
        (_units(430, 450), "880 units"),
        ((Block(0, {"a": 999.0, "b": 1.0}, {"a": 1500, "b": 1}),), "was due 1.5"),
        ((Block(0, {"a": 1.0, "b": 0.0}, {"a": 5000}),), "fewer than two arms"),
    ],
)
def test_too_few_units_are_never_fine(blocks: tuple[Block, ...], said: str) -> None:
    """A ratio that could not have been seen to be wrong is not called right."""
    found = _judged(blocks=blocks)["sample_ratio"]
    assert isinstance(found, Insufficient)
    assert said in found.sentence


def test_units_of_forgotten_weights_are_a_warning() -> None:
    """What cannot be tested is said, not passed over."""
    assert _judged(unplaced=50)["sample_ratio"].status == "ok"
    found = _judged(unplaced=500)["sample_ratio"]
    assert found.status == "warn"
    assert "500 units" in found.sentence
    alone = _judged(unplaced=500, blocks=())["sample_ratio"]
    assert alone.status == "insufficient data"
    assert "500 units" in alone.sentence


@pytest.mark.parametrize(
    ("check", "changes", "value"),
    [
        ("duplicates", {"requests": 19_110}, 0.02),
        ("multiple_exposure", {"crossed": 200}, 0.02),
        ("bots", {"bots": 5000}, 0.25),
        ("overrides", {"overridden": 2000}, 0.1),
        ("outcome_gap", {"lags": Lags(units=800, median_s=1.0, p90_s=2.0, keyed=100, early=10)}, 0.1),
    ],
)
def test_a_share_above_its_threshold_warns(check: str, changes: dict[str, Any], value: float) -> None:
    """And makes nothing invalid."""
    quality = judge(msgspec.structs.replace(SOUND, **changes))
    found = next(each for each in quality.findings if each.check == check)
    assert isinstance(found, Finding)
    assert found.status == "warn"
    assert found.value == pytest.approx(value)
    assert quality.status == "warn"
    assert quality.invalid is None


def test_an_empty_log_says_nothing() -> None:
    """Every check of an experiment without exposures is insufficient data, and so is the whole."""
    quality = judge(Observed(experiment="e", run=1, phase=1, control="a", strata={"tier": {}}))
    assert {found.status for found in quality.findings} == {"insufficient data"}
    assert quality.status == "insufficient data"


def test_lags_are_told_in_units_that_people_use() -> None:
    """Seconds, minutes, hours, days; the numbers in seconds are beside it."""
    found = _judged()["outcome_gap"]
    assert isinstance(found, Finding)
    assert "1.5 min after exposure in the median, 2.0 h at p90" in found.sentence
    assert found.details == {"median_s": 90.0, "p90_s": 7300.0}
    assert [finding.duration(seconds) for seconds in (0.5, 200_000)] == ["0.5 s", "2.3 d"]


# --- Strata -----------------------------------------------------------------------------------------------------------


def test_strata_that_are_spread_evenly_are_fine() -> None:
    """Each level has the arms' shares; the standardised difference is beside it."""
    found = balance("tier", {"gold": _units(505, 495), None: _units(2000, 1990)}, "a")
    assert isinstance(found, Finding)
    assert (found.check, found.status) == ("balance:tier", "ok")
    assert found.details["standardised_difference"] < 0.1


def test_a_level_that_lost_an_arm_is_named() -> None:
    """The whole may look even when two levels are broken in opposite directions; here one of them is."""
    found = balance("tier", {"gold": _units(700, 300), "none": _units(4300, 4700)}, "a")
    assert isinstance(found, Finding)
    assert found.status == "warn"
    assert "of tier 'gold' (a has 700, was due 500" in found.sentence
    assert "that have none" in balance("tier", {None: _units(700, 300), "x": _units(900, 900)}, "a").sentence


def test_few_units_in_strata_are_not_judged() -> None:
    """As everywhere."""
    assert isinstance(balance("tier", {"gold": _units(10, 10)}, "a"), Insufficient)


def test_changing_weights_have_no_standardised_difference() -> None:
    """Shares of arms over all epochs are not comparable when the weights were not the same."""
    level = (*_units(600, 600), Block(1, {"a": 9.0, "b": 1.0}, {"a": 540, "b": 60}))
    found = balance("tier", {"gold": level}, "a")
    assert isinstance(found, Finding)
    assert "standardised_difference" not in found.details


def test_the_standardised_difference_is_austins() -> None:
    """Of a binary covariate with shares 0.3 and 0.4: 0.1 over the root of the mean variance."""
    levels = [sample_ratio(_units(30, 40)), sample_ratio(_units(70, 60))]
    assert standardised_difference(levels, "a") == pytest.approx(0.1 / ((0.21 + 0.24) / 2) ** 0.5)
    assert standardised_difference([sample_ratio(_units(10, 0))], "a") == 0.0
    assert standardised_difference([sample_ratio(_units(10, 10))], "a") == 0.0


# --- The log ----------------------------------------------------------------------------------------------------------


def _log(**changes: Any) -> dict[str, Finding | Insufficient]:
    sound = Logged({"r": Traffic(10_000.0, 20.0)}, Received(5000, 2000, 50, 3, 2.0, 0.4, 900.0), Written(100_000, 0))
    return {found.check: found for found in judge_log(msgspec.structs.replace(sound, **changes))}


def test_a_sound_log_is_fine() -> None:
    """Its four checks, the first for each route with an experiment."""
    found = _log()
    assert list(found) == ["missing_unit:r", "unmatched_outcomes", "clock_skew", "dropped_events"]
    assert {each.status for each in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("missing_unit:r", {"routes": {"r": Traffic(10_000.0, 900.0)}}),
        ("unmatched_outcomes", {"received": Received(1000, 500, 100)}),
        ("clock_skew", {"received": Received(1000, 0, 0, 100, 60.0, -1.0, 2.0)}),
        ("dropped_events", {"written": Written(1000, 100)}),
    ],
)
def test_what_is_wrong_with_a_log_warns(check: str, changes: dict[str, Any]) -> None:
    """One warning each."""
    assert _log(**changes)[check].status == "warn"


def test_a_log_alone_does_not_know_what_it_lacks() -> None:
    """Offline, and of too little, nothing is called fine."""
    found = _log(routes={"r": Traffic(5.0, 0.0)}, received=Received(), written=None)
    assert {each.status for each in found.values()} == {"insufficient data"}


def test_small_shares_are_not_told_as_nothing() -> None:
    """1 in 100,000 is less than 0.01 %, not 0."""
    assert [finding.percent(share) for share in (0.0, 1e-5, 0.021)] == ["0.00%", "less than 0.01%", "2.10%"]


# --- Promotion --------------------------------------------------------------------------------------------------------


def test_an_invalid_experiment_may_not_be_promoted() -> None:
    """Neither while it is found invalid, nor once it was marked, whatever later data say; the reason says why."""
    broken = judge(msgspec.structs.replace(SOUND, blocks=_units(5500, 4500)))
    assert not may_promote(broken, None).allowed
    assert may_promote(broken, None).reason.startswith("it is invalid until fixed: the arms do not have")
    marked = may_promote(judge(SOUND), "p was 0.0001")
    assert (marked.allowed, marked.reason) == (False, "it is invalid until fixed: p was 0.0001")


def test_other_findings_do_not_block_promotion_and_are_told() -> None:
    """What is not right, but does not make the comparison wrong, is for a person to weigh."""
    assert may_promote(judge(SOUND), None).reason == "all checks are fine"
    warned = may_promote(judge(msgspec.structs.replace(SOUND, crossed=900)), None)
    assert warned.allowed
    assert "warn" in warned.reason


def test_too_little_data_are_no_leave_to_promote() -> None:
    """Neither before the first look nor while so few units have come that a broken ratio could not be seen."""
    unknown = may_promote(None, None)
    assert (unknown.allowed, unknown.reason) == (False, "the data of this phase were not looked at yet")
    few = may_promote(judge(msgspec.structs.replace(SOUND, blocks=_units(30, 30))), None)
    assert not few.allowed
    assert few.reason.startswith("nothing can be said of the sample ratio yet")


# --- Laws -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(STATUSES)))
def test_the_worst_status_is_that_of_the_whole(statuses: list[finding.Status]) -> None:
    """In the order invalid, warn, insufficient data, ok; of nothing it is ok."""
    found = worst(statuses)
    assert found == next((status for status in STATUSES if status in statuses), "ok")


@given(
    st.builds(
        Observed,
        experiment=st.just("e"),
        run=st.just(1),
        phase=st.just(1),
        control=st.just("a"),
        exposures=st.integers(0, 99),
        overridden=st.integers(0, 99),
        bots=st.integers(0, 99),
        analysed=st.integers(0, 99),
        requests=st.integers(0, 99),
        units=st.integers(0, 99),
        crossed=st.integers(0, 99),
        blocks=st.builds(_units, st.integers(0, 40), st.integers(0, 40)),
    )
)
def test_little_data_are_never_called_fine(observed: Observed) -> None:
    """Below the numbers that the checks need, no finding is ok, whatever was counted."""
    quality: Quality = judge(observed)
    assert all(found.status != "ok" for found in quality.findings)


# --- In words ---------------------------------------------------------------------------------------------------------


def test_people_are_told_what_is_not_fine_and_once() -> None:
    """A mark takes the place of its own phase's finding; another phase that is invalid is told as well."""
    mark = Invalid(run=1, phase=2, time=0.0, check="sample_ratio", value=0.0, reason="units are lost")
    broken = judge(msgspec.structs.replace(SOUND, blocks=_units(5500, 4500)))
    other = judge(msgspec.structs.replace(SOUND, phase=3, blocks=_units(5500, 4500), crossed=900))
    assert told([judge(SOUND)], None) == ["data quality: all checks are fine"]
    assert told([broken], mark) == ["INVALID until fixed, run 1, phase 2: units are lost"]
    first, second, third = told([broken, other], mark)
    assert first.startswith("INVALID until fixed")
    assert second.startswith("INVALID, run 1, phase 3: the arms do not")
    assert third.startswith("warn, run 1, phase 3, multiple_exposure: 9.00%")
