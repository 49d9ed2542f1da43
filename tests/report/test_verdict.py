"""What follows from the evidence: nothing ships on too little, on doubtful data, or past a broken guardrail."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Moments
from router.analysis.result import Result
from router.config.schema import Decide, Experiment, Guardrail, Measured, Metric
from router.events.model import Invalid
from router.report.compose import compose
from router.report.report import Check, Report
from router.report.scene import Evidence
from tests.report.build import (
    CTR,
    DAY,
    ERRORS,
    NOW,
    START,
    Values,
    cell,
    counted,
    draw,
    evidence,
    experiment,
    moments,
    quality,
    stage,
)

BETTER = {"control": draw(1, 20_000, 0.10), "treatment": draw(2, 20_000, 0.13)}
SAME = {"control": draw(3, 20_000, 0.10), "treatment": draw(4, 20_000, 0.10)}
WORSE = {"control": BETTER["treatment"], "treatment": BETTER["control"]}


def said(arms: dict[str, Cell], made: Experiment | None = None, **more: Any) -> Report:
    """Give the report of one phase."""
    one = made or experiment()
    return compose(one, evidence(one, arms, **more), more.get("now", NOW))


def line(report: Report, name: str) -> Check:
    """Give a line of the checklist."""
    return next(each for each in report.decision.checklist if each.name == name)


@pytest.mark.parametrize(
    ("arms", "expected"), [(BETTER, "ship"), (SAME, "keep running"), (WORSE, "do not ship")], ids=["+", "0", "-"]
)
def test_the_primary_metric_decides(arms: dict[str, Cell], expected: str) -> None:
    """Better ships, worse does not, and what is not shown goes on."""
    report = said(arms)
    assert report.decision.verdict == expected
    assert report.decision.arm == ("treatment" if expected == "ship" else None)


def test_too_few_units_decide_nothing() -> None:
    """However large the effect; the line says how many there are."""
    report = said(BETTER, experiment(decide=Decide(min_units=20_001)))
    assert report.decision.verdict == "keep running"
    assert line(report, "enough units").evidence == "20,000 units, and 20,000 of control; each needs 20,001"


def test_too_short_a_phase_decides_nothing() -> None:
    """A phase of 14 days is no phase of 15."""
    report = said(BETTER, experiment(decide=Decide(min_duration=15 * DAY)))
    assert report.decision.verdict == "keep running"
    assert line(report, "long enough").evidence == "14.0 d of at least 15.0 d"


def test_invalid_data_decide_nothing() -> None:
    """A sample ratio mismatch, or the router's mark of it, comes before any effect."""
    arms = {"control": BETTER["control"], "treatment": draw(2, 10_000, 0.13)}
    mismatch = said(arms)
    assert (mismatch.decision.verdict, mismatch.phases[0].valid) == ("keep running", False)
    assert "invalid until fixed" in mismatch.decision.reason
    mark = Invalid(run=1, phase=1, time=NOW, check="sample_ratio", value=1e-9, reason="clocks")
    marked = said(BETTER, invalid=mark)
    assert marked.decision.reason == "nothing is decided: data are valid? it is invalid until fixed: clocks"
    elsewhere = said(BETTER, invalid=structs.replace(mark, phase=2))
    assert elsewhere.decision.verdict == "ship"


def test_data_of_which_nothing_was_said_decide_nothing() -> None:
    """Before the first look at the sample ratio nothing ships."""
    made = experiment()
    report = compose(made, evidence(made, BETTER)._replace(quality=()), NOW)
    assert report.decision.verdict == "keep running"
    assert report.phases[0].valid is None


def test_values_that_may_still_change_decide_nothing() -> None:
    """A metric without a window has no moment at which a unit enters."""
    arms = {
        arm: structs.replace(each, metrics={"ctr": structs.replace(each.metrics["ctr"], provisional=True)})
        for arm, each in BETTER.items()
    }
    report = said(arms)
    assert report.decision.verdict == "keep running"
    assert "give it a window" in line(report, "values are final").evidence


def test_a_fixed_horizon_is_hidden_until_it_may_be_read() -> None:
    """Neither people nor programs see an effect before the size that was chosen beforehand."""
    early = said(BETTER, experiment(decide=Decide(method="fixed", units=20_001)))
    assert early.decision.verdict == "keep running"
    assert [each.effect for each in early.phases[0].arms[0].measures] == [None]
    assert early.phases[0].readable.reason.startswith("fixed horizon: 20000 of 20001")
    late = said(BETTER, experiment(decide=Decide(method="fixed", units=20_000)))
    assert late.decision.verdict == "ship"
    over = said(SAME, experiment(decide=Decide(method="fixed", duration=14 * DAY)))
    assert over.decision.verdict == "do not ship"
    assert "not shown to be better" in over.decision.reason


def guarded(action: Any, ratio: float = 1.5) -> Experiment:
    """Give an experiment with a guardrail on errors."""
    rail = Guardrail(metric="errors", ratio=ratio, action=action)
    return experiment(Measured(primary="ctr", guardrails=(rail,)))


def failing(arm: Cell, share: float) -> Cell:
    """Give an arm whose exchanges fail so often."""
    rng = np.random.default_rng(7)
    exchanges: Values = np.full(arm.units, 6.0)
    failed = rng.binomial(6, share, arm.units).astype(np.float64)
    known = Aggregate(units=moments(failed, exchanges))
    return structs.replace(arm, metrics={**arm.metrics, "errors": known}, products={})


@pytest.mark.parametrize(
    ("share", "action", "verdict", "status"),
    [
        (0.01, "rollback", "ship", "pass"),
        (0.05, "rollback", "do not ship", "fail"),
        (0.0148, "rollback", "keep running", "unknown"),
        (0.05, "warn", "ship", "warn"),
    ],
)
def test_a_hard_guardrail_has_to_pass(share: float, action: str, verdict: str, status: str) -> None:
    """One that fails or is not shown to hold stops a better arm; a soft one is told."""
    arms = {"control": failing(BETTER["control"], 0.01), "treatment": failing(BETTER["treatment"], share)}
    report = said(arms, guarded(action))
    assert report.decision.verdict == verdict
    assert line(report, "guardrail errors").status == status


def test_a_guardrail_over_a_control_of_zero_never_passes() -> None:
    """No multiple of nothing can be held; an arm that is shown to be worse than nothing breaks it."""
    none = failing(BETTER["control"], 0.0)
    one = structs.replace(none.metrics["errors"], units=structs.replace(none.metrics["errors"].units, y=1.0, yy=1.0))
    few = structs.replace(BETTER["treatment"], metrics={**BETTER["treatment"].metrics, "errors": one}, products={})
    assert line(said({"control": none, "treatment": few}, guarded("rollback")), "guardrail errors").status == "unknown"
    many = failing(BETTER["treatment"], 0.05)
    broken = said({"control": none, "treatment": many}, guarded("rollback"))
    assert line(broken, "guardrail errors").evidence == "control is 0, and the arm is worse"
    assert broken.decision.verdict == "do not ship"


def test_of_several_arms_the_best_ships_and_each_pays_for_the_others() -> None:
    """Intervals are at their share of alpha."""
    made = experiment(arms=("control", "treatment", "other"))
    report = said({**BETTER, "other": draw(5, 20_000, 0.14)}, made)
    assert (report.decision.verdict, report.decision.arm) == ("ship", "other")
    levels = {arm.measures[0].effect.level for arm in report.phases[0].arms}  # type: ignore[union-attr]
    assert levels == {0.975}


def test_an_effect_that_matters_may_be_excluded() -> None:
    """Nothing is gained by waiting for what the interval rules out."""
    arms = {"control": draw(3, 400_000, 0.30), "treatment": draw(4, 400_000, 0.30)}
    report = said(arms, experiment(decide=Decide(mde=0.05)))
    assert report.decision.verdict == "do not ship"
    assert report.decision.reason.startswith("an improvement of 0.05 of control or more is excluded")


def test_without_metrics_or_exposures_nothing_is_decided() -> None:
    """An experiment that nobody was in, or that nothing measures, has a report that says so."""
    made = experiment()
    empty = compose(made, Evidence(Result(evidence(made, BETTER).result.plan)), NOW)
    assert empty.decision.reason == "nothing is decided: nobody was exposed yet"
    bare = structs.replace(made, metrics=None)
    assert compose(bare, evidence(bare, BETTER), NOW).decision.reason.endswith("the experiment has no metrics")


def test_an_arm_without_units_says_so() -> None:
    """Empty arms, one unit and constants are not enough data, in every place."""
    for treatment in (Cell(), cell({"ctr": np.ones(1)}), cell({"ctr": np.zeros(20_000)})):
        control = cell({"ctr": np.zeros(20_000)})
        report = said({"control": control, "treatment": treatment}, quality=(quality({"control": 1, "treatment": 1}),))
        assert report.decision.verdict == "keep running"


def test_phases_are_not_pooled() -> None:
    """The decision is about the latest phase; the one before has its effect beside it."""
    made = experiment()
    first = evidence(made, BETTER, stage=stage(40_000, ["control", "treatment"], end=START + DAY))
    later = evidence(made, SAME, stage=stage(40_000, ["control", "treatment"], phase=2))
    result = structs.replace(
        later.result,
        stages=(*first.result.stages, *later.result.stages),
        cells={**first.result.cells, **later.result.cells},
    )
    both = quality({"control": 20_000, "treatment": 20_000}, phase=2)
    report = compose(made, Evidence(result, (*first.quality, both)), NOW)
    assert [phase.phase for phase in report.phases] == [2, 1]
    assert report.decision.verdict == "keep running"
    assert report.phases[1].arms[0].measures[0].direction == "better"


COUNTS = st.tuples(st.integers(0, 3000), st.integers(0, 3000)).map(lambda pair: (min(pair), max(pair)))


def proportions(control: tuple[int, int], treatment: tuple[int, int]) -> Report:
    """Give the report on two proportions: successes of units."""
    made = experiment(decide=Decide(min_units=2))
    arms = {
        "control": Cell(units=control[1], metrics={"ctr": counted(*control)}),
        "treatment": Cell(units=treatment[1], metrics={"ctr": counted(*treatment)}),
    }
    fine = quality({"control": 2000, "treatment": 2000})
    return compose(made, evidence(made, arms, metrics=(CTR,), quality=(fine,)), NOW)


@given(COUNTS, COUNTS)
@settings(max_examples=25, deadline=None)
def test_a_relabelled_experiment_says_the_opposite(one: tuple[int, int], other: tuple[int, int]) -> None:
    """What ships from one side does not ship from the other."""
    there, back = proportions(one, other), proportions(other, one)
    direction = there.phases[0].arms[0].measures[0].direction
    mirrored = {"better": "worse", "worse": "better", "not shown": "not shown"}[direction]
    assert back.phases[0].arms[0].measures[0].direction == mirrored
    if there.decision.verdict == "ship":
        assert back.decision.verdict == "do not ship"


@given(COUNTS, COUNTS, st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_more_successes_never_make_an_arm_worse(one: tuple[int, int], other: tuple[int, int], more: int) -> None:
    """At the same look an arm with more successes is judged at least as well."""
    before = proportions(one, other).decision.verdict
    after = proportions(one, (min(other[0] + more, other[1]), other[1])).decision.verdict
    order = ["do not ship", "keep running", "ship"]
    if {before, after} == {"ship", "do not ship"}:
        assert after == "ship"
    if before == "ship" and other[0] + more < other[1]:
        assert order.index(after) >= order.index(before)


@given(
    st.integers(0, 5000), st.tuples(st.booleans(), st.booleans(), st.booleans()), st.sampled_from([0.01, 0.0148, 0.05])
)
@settings(max_examples=25, deadline=None)
def test_nothing_ships_unless_everything_holds(units: int, flags: tuple[bool, bool, bool], errors: float) -> None:
    """Whatever is drawn: a ship has enough units, valid and final data, time, and guardrails that pass."""
    valid, final, long = flags
    rng = np.random.default_rng(units)
    arms = {}
    for arm, chance, share in (("control", 0.1, 0.01), ("treatment", 0.3, errors)):
        known = cell({"ctr": (rng.random(units) < chance).astype(np.float64)})
        known = structs.replace(known, metrics={"ctr": structs.replace(known.metrics["ctr"], provisional=not final)})
        arms[arm] = failing(known, share) if units else known
    rail = Guardrail(metric="errors", ratio=1.5, action="rollback")
    made = experiment(
        Measured(primary="ctr", guardrails=(rail,)),
        decide=Decide(min_units=500, min_duration=0.0 if long else 30 * DAY),
    )
    judged = quality({"control": 2000, "treatment": 2000 if valid else 1000})
    report = compose(made, evidence(made, arms, metrics=(CTR, ERRORS), quality=(judged,)), NOW)
    if report.decision.verdict == "ship":
        assert units >= 500
        assert valid
        assert final
        assert long
        assert all(each.status == "pass" for each in report.phases[0].arms[0].guardrails)
    elif units >= 4000 and valid and final and long and errors == 0.01:
        assert report.decision.verdict in ("ship", "keep running")


def test_infinite_sums_are_not_enough_data() -> None:
    """A value that no float holds makes no number of the report nan or infinite, and ships nothing."""
    revenue = Metric(name="revenue", kind="mean", outcome="revenue", window=3600.0, goal="up")
    huge = Aggregate(units=Moments(1000, 1e308, float("inf")))
    arms = {arm: Cell(units=1000, metrics={"revenue": huge}) for arm in ("control", "treatment")}
    made = experiment(Measured(primary="revenue"))
    report = compose(made, evidence(made, arms, metrics=(revenue,)), NOW)
    assert report.decision.verdict == "keep running"
