"""What a report says of a switchback."""

import numpy as np
import pytest
from msgspec import structs

from router.analysis.estimate import NotEnough
from router.analysis.slots import Slots, SlotSums
from router.config.allocate import Allocate
from router.config.schema import Decide
from router.inference.effect import Effect
from router.report.compose import compose
from router.report.digits import slots_in_words
from router.report.document import report_document
from router.report.page import page
from router.report.report import Report
from router.report.slotted import NAME, ONCE
from tests.report.build import CTR, NOW, START, draw, evidence, experiment

ARMS = {"control": draw(1, 5_000, 0.10), "treatment": draw(2, 5_000, 0.13)}
FIXED = Decide(method="fixed", duration=86_400.0)


def slots(number: int, effect: float = 0.05, carried: float = 0.0, of: str = "") -> tuple[SlotSums, ...]:
    """Draw hourly slots of 50 users with an effect, and what a treated one leaves to the next."""
    random = np.random.default_rng(3)
    treated = random.random(number) < 0.5
    level = 0.1 + effect * treated + 0.02 * random.standard_normal(number)
    level[1:] += carried * treated[:-1]
    first = int(START // 3600 * 3600)
    arms = np.where(treated, "treatment", "control")
    return tuple(
        SlotSums(str(arms[each]), first + 3600 * each, of, 50 * float(level[each]), 50.0) for each in range(number)
    )


def said(found: tuple[SlotSums, ...], decide: Decide = FIXED) -> Report:
    """Give the report of one phase, and see that it can be written in every form."""
    made = structs.replace(experiment(), allocate=Allocate(use="switchback", slot=3600.0), decide=decide)
    known = evidence(made, ARMS)
    result = structs.replace(known.result, slots={known.result.stages[0].phase.place: Slots(3600.0, found, 3)})
    report = compose(made, known._replace(result=result), NOW)
    report_document(report)
    assert "treatment</b> over slots: " in page(report, result)
    return report


def test_at_a_fixed_horizon_slots_are_compared() -> None:
    """The primary effect is that over slots, and rests on as many as there are."""
    report = said(slots(240))
    measure, known = report.phases[0].arms[0].measures[0], report.phases[0].switchbacks["treatment"]
    assert isinstance(measure.effect, Effect)
    assert measure.effect == known.effect
    assert measure.effect.interval.holds(0.05)
    assert 200 < measure.effect.treatment.n + measure.effect.control.n <= known.slots == 240
    assert measure.direction == "better"


def test_at_any_time_slots_stand_beside() -> None:
    """The decision is not made of what may be read once."""
    report = said(slots(240), Decide())
    known = report.phases[0].switchbacks["treatment"]
    assert isinstance(known.effect, Effect)
    assert known.effect.notes[0] == ONCE
    assert report.phases[0].arms[0].measures[0].effect != known.effect
    assert "fixed horizon" in slots_in_words(CTR, known)


def test_before_its_time_the_effect_over_slots_is_hidden() -> None:
    """As every result of a fixed horizon is; carry-over is a check, and is not."""
    known = said(slots(240), Decide(method="fixed", duration=1e9)).phases[0].switchbacks["treatment"]
    assert known.effect is None
    assert isinstance(known.carry_over, Effect)


@pytest.mark.parametrize(("carried", "status"), [(0.0, "pass"), (0.04, "warn")])
def test_what_slots_leave_to_the_next_is_a_line_of_the_checklist(carried: float, status: str) -> None:
    """With what was found, and what was not looked at."""
    lines = {line.name: line for line in said(slots(240, carried=carried)).phases[0].arms[0].checklist}
    assert lines[NAME].status == status
    assert "3 older slots" in lines[NAME].evidence


def test_few_slots_are_not_enough() -> None:
    """Nor is what their users add up to, however many there are."""
    report = said(slots(3))
    assert isinstance(report.phases[0].arms[0].measures[0].effect, NotEnough)
    assert report.decision.verdict != "ship"


def test_slots_of_several_tenants_are_each_compared() -> None:
    """Two tenants have slots at the same time, in arms of their own."""
    known = said((*slots(100, of="x"), *slots(100, of="y"))).phases[0].switchbacks["treatment"]
    assert isinstance(known.effect, Effect)
    assert known.slots == 200
