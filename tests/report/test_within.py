"""Closer looks: within strata and step by step, once a fixed horizon may be read and not before."""

from router.analysis.aggregates import Aggregate, Cell, Moments
from router.analysis.estimate import NotEnough
from router.config.schema import Decide, Experiment, Measured, Metric
from router.inference.effect import Effect
from router.report.compose import compose
from router.report.document import report_document
from router.report.report import Measure
from tests.report.build import CTR, NOW, counted, evidence, experiment

FUNNEL = Metric(name="funnel", kind="funnel", steps=("view", "buy"), window=3600.0, goal="up")
SHARES = {"gold": (900, 700), "free": (300, 200)}


def measured(made: Experiment, whole: dict[str, Cell], strata: dict[str, dict[str, Cell]], metric: Metric) -> Measure:
    """Return what is said of the primary metric."""
    slices: dict[tuple[tuple[str, str], ...], dict[str, Cell]]
    slices = {(("tier", level),): arms for level, arms in strata.items()}
    report = compose(made, evidence(made, whole, slices, metrics=(metric,)), NOW)
    assert report_document(report)
    return report.phases[0].arms[0].measures[0]


def strata() -> dict[str, dict[str, Cell]]:
    """Return two strata of 2,000 units, in each of two arms."""
    found = {level: [Cell(2000, metrics={"ctr": counted(x, 2000)}) for x in of] for level, of in SHARES.items()}
    return {level: dict(zip(("treatment", "control"), of, strict=True)) for level, of in found.items()}


def arms() -> dict[str, Cell]:
    """Return the units of both strata together."""
    return {
        arm: Cell(4000, metrics={"ctr": counted(sum(of[place] for of in SHARES.values()), 4000)})
        for place, arm in ((1, "control"), (0, "treatment"))
    }


def test_effects_within_strata_stand_beside_those_of_everybody() -> None:
    """At a fixed horizon that may be read; before it, and where looking is always allowed, there are none."""
    for units, method, expected in ((4000, "fixed", True), (4001, "fixed", False), (None, "sequential", False)):
        decide = Decide(method=method, units=units)  # type: ignore[arg-type]
        found = measured(experiment(strata=("tier",), decide=decide), arms(), strata(), CTR)
        assert isinstance(found.within_strata, Effect) == expected
        if isinstance(found.within_strata, Effect):
            assert abs(found.within_strata.value - 0.075) < 1e-12
            assert found.steps == ()


def test_a_stratum_without_units_of_an_arm_says_so() -> None:
    """Rather than an effect of other units."""
    levels = strata()
    del levels["gold"]["treatment"]
    made = experiment(strata=("tier",), decide=Decide(method="fixed", units=4000))
    assert isinstance(measured(made, arms(), levels, CTR).within_strata, NotEnough)


def test_funnels_are_shown_step_by_step() -> None:
    """Each step of all units, and of those before."""
    made = experiment(Measured(primary="funnel"), decide=Decide(method="fixed", units=1000))
    whole = {}
    for arm, bought in (("control", 100), ("treatment", 140)):
        known = Aggregate(units=Moments(1000, float(bought), float(bought)), steps=(600, bought))
        whole[arm] = Cell(1000, metrics={"funnel": known})
    found = measured(made, whole, {}, FUNNEL)
    assert [step.name for step in found.steps] == ["view", "buy"]
    assert isinstance(found.steps[1].of_previous, Effect)
