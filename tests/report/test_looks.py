"""Looks that count: taken when planned, remembered, and never taken twice."""

from pathlib import Path

import pytest
from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell
from router.config.schema import Decide, Experiment
from router.control.looks import add_looks, read_looks, with_looks
from router.inference.boundaries import Level, spending_boundaries
from router.inference.effect import Effect
from router.inference.spending import Spending
from router.report.compose import compose
from router.report.looks import due_of
from router.report.report import Report
from router.report.scene import Evidence
from tests.report.build import DAY, NOW, START, counted, evidence, experiment, quality, stage

FINE = quality({"control": 2000, "treatment": 2000})


def seen(made: Experiment, control: tuple[int, int], treatment: tuple[int, int]) -> Evidence:
    """Give two proportions, successes of units, on data that are fine."""
    arms = {
        "control": Cell(units=control[1], metrics={"ctr": counted(*control)}),
        "treatment": Cell(units=treatment[1], metrics={"ctr": counted(*treatment)}),
    }
    return evidence(made, arms, quality=(FINE,))


def planned(**more: object) -> Experiment:
    """Give an experiment of four looks at 1000, 2000, … units of each arm."""
    given = {"units": 4000, "looks": 4, **more}
    return experiment(decide=Decide(method="group_sequential", **given))  # type: ignore[arg-type]


def run(made: Experiment, steps: list[tuple[int, int, int]], folder: Path) -> list[Report]:
    """Look at an experiment again and again, as the router does: units of each arm, successes of control and arm."""
    found = []
    for units, control, treatment in steps:
        now = with_looks(made, seen(made, (control, units), (treatment, units)), NOW, folder)
        found.append(compose(made, now, NOW))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of events with a journal."""
    (tmp_path / "journal").mkdir()
    return tmp_path


def test_a_look_is_taken_when_its_share_is_there(folder: Path) -> None:
    """Before the first there is no effect; between looks the last one stays."""
    made = planned()
    none, first, between, second = run(
        made, [(999, 100, 150), (1000, 100, 130), (1500, 150, 450), (2000, 200, 250)], folder
    )
    assert none.phases[0].arms[0].measures[0].effect is None
    assert "the next look is at 25.0% of the data, and there are 25.0%" in none.decision.reason
    one, same, two = (each.phases[0].arms[0].measures[0].effect for each in (first, between, second))
    assert isinstance(one, Effect)
    assert isinstance(two, Effect)
    assert one.value == pytest.approx(0.03)
    assert same == one
    assert two.value == pytest.approx(0.025)
    assert two.basis == "group sequential"
    assert [look.share for look in read_looks(folder)["e"]] == [0.25, 0.5]


def test_intervals_are_as_wide_as_the_boundary(folder: Path) -> None:
    """Lan and DeMets's O'Brien-Fleming boundaries at the shares that there were; arms share alpha."""
    (report,) = run(planned(), [(1000, 100, 130)], folder)
    effect = report.phases[0].arms[0].measures[0].effect
    assert isinstance(effect, Effect)
    (upper,) = spending_boundaries(Level(0.05, 2), Spending(), (0.25,)).upper
    assert upper is not None
    assert effect.interval.high == pytest.approx(effect.value + upper * (effect.standard_error or 0.0))


def test_crossing_a_boundary_ships_and_ends_the_test(folder: Path) -> None:
    """What comes afterwards changes nothing."""
    shipped, later = run(planned(), [(2000, 200, 400), (4000, 400, 400)], folder)
    assert shipped.decision.verdict == later.decision.verdict == "ship"
    assert len(read_looks(folder)["e"]) == 1


def test_the_last_look_ends_without_an_effect(folder: Path) -> None:
    """All alpha is spent then, so nothing is gained by waiting."""
    steps = [(units, units // 10, units // 10) for units in (1000, 2000, 3000, 4000, 8000)]
    reports = run(planned(), steps, folder)
    assert [each.decision.verdict for each in reports] == ["keep running"] * 3 + ["do not ship"] * 2
    assert len(read_looks(folder)["e"]) == 4


def test_a_restart_takes_no_look_twice(folder: Path) -> None:
    """Looks are on the disk before anybody sees them, and lines that are none are left out."""
    made = planned()
    run(made, [(1000, 100, 130)], folder)
    path = folder / "journal" / "looks.ndjson"
    path.write_bytes(path.read_bytes() + b'{"experiment": "e", "cut')
    run(made, [(1100, 110, 140), (2000, 200, 250)], folder)
    assert [look.share for look in read_looks(folder)["e"]] == [0.25, 0.5]


def test_nothing_is_spent_on_doubtful_data() -> None:
    """Invalid, too few, or still changing: no look is due."""
    made = planned(min_units=200)
    fine = seen(made, (100, 1000), (130, 1000))
    assert len(due_of(made, fine, NOW)) == 1
    assert due_of(made, fine._replace(quality=()), NOW) == ()
    assert due_of(planned(min_units=1001), fine, NOW) == ()
    cells = {
        place: structs.replace(
            cell, metrics={"ctr": structs.replace(cell.metrics.get("ctr", Aggregate()), provisional=True)}
        )
        for place, cell in fine.result.cells.items()
    }
    changing = fine._replace(result=structs.replace(fine.result, cells=cells))
    assert due_of(made, changing, NOW) == ()


def test_looks_may_be_planned_by_time_or_by_information() -> None:
    """Half of the duration is half; half of the information that the power takes is half."""
    timed = experiment(decide=Decide(method="group_sequential", duration=28 * DAY, looks=2))
    (look,) = due_of(timed, seen(timed, (100, 1000), (130, 1000)), START + 14 * DAY)
    assert look.share == pytest.approx(0.5)
    sized = experiment(decide=Decide(method="group_sequential", mde=0.2, looks=1))
    (look,) = due_of(sized, seen(sized, (1000, 10_000), (1000, 10_000)), NOW)
    # A difference of 0.02 between 0.1 and 0.1 takes 2 (z_{0.975} + z_{0.8})^2 0.09/0.0004 = 3532 units of each arm.
    assert look.share == pytest.approx(10_000 / 3532, rel=0.01)


def test_a_phase_that_ends_early_spends_what_is_left() -> None:
    """The data that there are have to do."""
    made = planned()
    over = stage(3000, ["control", "treatment"], end=NOW)
    found = seen(made, (150, 1500), (210, 1500))
    found = found._replace(result=structs.replace(found.result, stages=(over,)))
    known = found._replace(looks=due_of(made, found, NOW))
    report = compose(made, known, NOW)
    assert report.decision.verdict == "ship"


def test_a_probability_ratio_test_is_bound_by_the_first_look_that_decides(folder: Path) -> None:
    """Later data cannot undo it: the errors that Wald's boundaries promise are those of the first crossing."""
    made = experiment(decide=Decide(method="sprt", effect=0.3))
    going, decided, later = run(made, [(300, 30, 33), (3000, 300, 400), (6000, 700, 700)], folder)
    assert [each.decision.verdict for each in (going, decided, later)] == ["keep running", "ship", "ship"]
    other = structs.replace(experiment(decide=Decide(method="sprt", effect=0.5)), name="other")
    none = run(other, [(9000, 900, 900)], folder)
    assert none[0].decision.verdict == "do not ship"


def test_looks_of_one_method_are_none_of_another(folder: Path) -> None:
    """Who changes the method in mid-phase gets that method's own verdict, not what is left of the other's looks."""
    run(planned(), [(1000, 100, 105)], folder)
    tested = experiment(decide=Decide(method="sprt", effect=0.3))
    assert run(tested, [(3000, 300, 400)], folder)[0].decision.verdict == "ship"


def test_no_looks_are_no_file(tmp_path: Path) -> None:
    """A folder that never had a look has none, and nothing is written for none."""
    assert read_looks(tmp_path) == {}
    add_looks(tmp_path, ())
    assert not (tmp_path / "journal").exists()
