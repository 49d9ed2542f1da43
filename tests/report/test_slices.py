"""Effects in slices: corrected together, apart from each other, and against the whole."""

import json
from pathlib import Path

import pytest

from router.analysis.aggregates import Cell
from router.config.schema import Decide, Measured
from router.inference.effect import Effect, Interval
from router.report.compose import compose
from router.report.report import Report, Sliced
from tests.report.build import NOW, counted, evidence, experiment, quality

STONES = json.loads((Path(__file__).parent / "data" / "kidney_stones.json").read_text())


def proportion(successes: int, units: int) -> Cell:
    """Give what is known of a proportion."""
    return Cell(units=units, metrics={"ctr": counted(successes, units)})


def said(
    whole: tuple[tuple[int, int], tuple[int, int]],
    slices: dict[str, tuple[tuple[int, int], tuple[int, int]]],
    name: str = "size",
    **decide: object,
) -> Report:
    """Give a report: control and treatment as successes of units, over all and by slice."""
    made = experiment(Measured(primary="ctr"), decide=Decide(**decide))  # type: ignore[arg-type]
    arms = ("control", "treatment")
    cells: dict[tuple[tuple[str, str], ...], dict[str, Cell]] = {
        ((name, value),): dict(zip(arms, (proportion(*each) for each in both), strict=True))
        for value, both in slices.items()
    }
    fine = quality({"control": 1000, "treatment": 1000})
    whole_of = dict(zip(arms, (proportion(*each) for each in whole), strict=True))
    return compose(made, evidence(made, whole_of, cells, quality=(fine,)), NOW)


def only(report: Report) -> Sliced:
    """Give the one slicing of the one arm."""
    (found,) = report.phases[0].slices
    return found


def test_a_reversal_is_found_in_published_data() -> None:
    """Treatments of kidney stones: better for small and for large ones, and worse over all."""
    sides = [STONES["percutaneous"], STONES["open_surgery"]]
    whole = tuple(tuple(side["all"]) for side in sides)
    slices = {size: tuple(tuple(side[size]) for side in sides) for size in ("small", "large")}
    report = said(whole, slices)  # type: ignore[arg-type]
    found = only(report)
    assert found.reversed
    effect = report.phases[0].arms[0].measures[0].effect
    assert isinstance(effect, Effect)
    assert effect.value < 0 < (found.adjusted or 0.0)
    line = next(each for each in report.decision.checklist if each.name == "slices agree")
    assert (line.status, line.hard) == ("fail", True)


def test_equal_mixes_are_no_reversal() -> None:
    """Slices that add up to the whole with the same shares say what it says."""
    report = said(((200, 2000), (260, 2000)), {"small": ((150, 1000), (190, 1000)), "large": ((50, 1000), (70, 1000))})
    assert not only(report).reversed
    assert only(report).adjusted == pytest.approx(0.03)


def test_slices_are_corrected_for_their_number() -> None:
    """Four slices at a quarter of alpha each; the largest comes first."""
    slices = {f"v{n}": ((100 * n, 1000 * n), (130 * n, 1000 * n)) for n in range(1, 5)}
    found = only(said(((1000, 10_000), (1300, 10_000)), slices))
    assert [level.values for level in found.levels] == [("v4",), ("v3",), ("v2",), ("v1",)]
    effects = [level.effect for level in found.levels if isinstance(level.effect, Effect)]
    assert [effect.level for effect in effects] == pytest.approx([1 - 0.05 / 4] * 4)


def test_a_slice_that_suffers_is_told_and_blocks_nothing() -> None:
    """The whole ships; the line warns by name."""
    slices = {"small": ((1000, 5000), (1800, 5000)), "large": ((1000, 5000), (700, 5000))}
    report = said(((2000, 10_000), (2500, 10_000)), slices)
    line = next(each for each in report.decision.checklist if each.name == "slices agree")
    assert (line.status, line.hard, line.evidence) == ("warn", False, "worse in: size large")
    assert report.decision.verdict == "ship"


def test_gaps_are_between_the_slices_furthest_apart() -> None:
    """In the effect, in control and in the arm, each with an interval that holds it; fixed horizons are tighter."""
    slices = {"a": ((500, 5000), (600, 5000)), "b": ((1000, 5000), (1600, 5000)), "c": ((700, 5000), (900, 5000))}
    whole = ((2200, 15_000), (3100, 15_000))
    widths = []
    for method in ({}, {"method": "fixed", "units": 100}):
        effect, control, treatment = only(said(whole, slices, **method)).gaps  # type: ignore[arg-type]
        assert (effect.of, control.of, treatment.of) == ("effect", "control", "treatment")
        assert (effect.high, effect.low) == (("b",), ("a",))
        assert effect.value == pytest.approx(0.12 - 0.02)
        assert control.value == pytest.approx(0.1)
        for gap in (effect, control, treatment):
            assert gap.interval != Interval(None, None)
            assert gap.interval.holds(gap.value)
        widths.append((effect.interval.high or 0.0) - (effect.interval.low or 0.0))
    assert widths[1] < widths[0]


def test_slices_that_the_arm_may_have_made_are_described_only() -> None:
    """Latency is an effect of the arm: no correction, no gap, no reversal follows from it."""
    sides = [STONES["percutaneous"], STONES["open_surgery"]]
    whole = tuple(tuple(side["all"]) for side in sides)
    slices = {size: tuple(tuple(side[size]) for side in sides) for size in ("small", "large")}
    found = only(said(whole, slices, "latency"))  # type: ignore[arg-type]
    assert found.descriptive
    assert not found.reversed
    assert found.gaps == ()
    assert {level.direction for level in found.levels} == {"not shown"}


def test_a_slice_without_an_arm_has_no_effect() -> None:
    """And then there is no effect as if mixes were the same."""
    found = only(said(((200, 2000), (260, 2000)), {"a": ((200, 2000), (200, 1500)), "b": ((0, 0), (60, 500))}))
    assert found.adjusted is None
    assert not isinstance(found.levels[1].effect, Effect)
