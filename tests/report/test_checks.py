"""Lines of the checklist: what could make a result wrong though its arithmetic is right."""

import pytest
from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Fates, Moments
from router.analysis.finding import Finding
from router.analysis.result import Stray
from router.config.schema import Covariate, Metric
from router.control.drill import last
from router.events.rollout import Decided
from router.report import checks
from router.report.report import Status
from tests.report.build import CTR, DAY, START, counted, stage

COVERED = Metric(
    name="revenue",
    kind="mean",
    outcome="revenue",
    window=60.0,
    goal="up",
    covariate=Covariate(outcome="revenue", before=DAY),
)


@pytest.mark.parametrize(
    ("days", "status", "evidence"),
    [
        (3.0, "warn", "3.0 d: no whole week yet, so weekdays are not weighed as they come"),
        (7.0, "pass", "1 week is covered"),
        (9.0, "warn", "1 week and 2.0 d: some weekdays weigh more than others"),
        (14.2, "pass", "2 weeks are covered"),
        (31.0, "pass", "4 weeks are covered"),
    ],
)
def test_whole_weeks(days: float, status: Status, evidence: str) -> None:
    """Weekdays differ, so a part of a week weighs some of them more; after four weeks it hardly matters."""
    found = checks.whole_weeks(stage(10, ["control", "treatment"]), START + days * DAY)
    assert (found.status, found.evidence) == (status, evidence)


def arm(mean: float, units: int = 10_000) -> Cell:
    """Give an arm whose covariate has a mean, with a variance of 1."""
    sums = Moments(units, 0.0, 1.0, units * mean, units * (1 + mean * mean), 0.0)
    return Cell(units=units, metrics={"revenue": Aggregate(units=sums)})


@pytest.mark.parametrize(("mean", "status"), [(5.0, "pass"), (5.3, "fail")])
def test_arms_that_differed_before_cannot_be_compared(mean: float, status: Status) -> None:
    """An A/A test of the covariate, which may be looked at at any time."""
    found = checks.before_exposure([COVERED], arm(mean), arm(5.0))
    assert found is not None
    assert (found.status, found.hard) == (status, True)


def test_no_covariate_is_no_line_and_few_units_say_nothing() -> None:
    """What was not asked is not shown; too little is unknown."""
    assert checks.before_exposure([CTR], arm(5.0), arm(5.0)) is None
    few = checks.before_exposure([COVERED], arm(5.0, 10), arm(5.0, 10))
    assert few is not None
    assert few.status == "unknown"


@pytest.mark.parametrize(
    ("lost", "status", "hard"), [((0, 0), "pass", False), ((100, 110), "pass", False), ((100, 400), "fail", True)]
)
def test_who_is_left_has_to_be_comparable(lost: tuple[int, int], status: Status, hard: bool) -> None:  # noqa: FBT001 - a table
    """Arms that lose different shares of their units before a value is known are survivors of different kinds."""
    treatment, control = (Cell(units=5000, metrics={"ctr": counted(500, 5000 - n, missing=n)}) for n in lost)
    found = checks.attrition([CTR], treatment, control)
    assert (found.status, found.hard) == (status, hard)


def test_missing_data_are_named() -> None:
    """Outcomes of nobody, what the log lost, and files that cannot be read."""
    strays = (("ctr", Stray(total=100, unmatched=30)), ("revenue", Stray(total=100, unmatched=1)))
    log = (Finding("dropped_events", "warn", 0.1, 0.01, "10 % of the events were dropped"),)
    found = checks.missing(strays, log, ["a part cannot be read"])
    assert found.status == "warn"
    assert found.evidence == (
        "ctr: 30.00% of its outcomes belong to no unit; 10 % of the events were dropped; a part cannot be read"
    )
    assert checks.missing((), (), ()).status == "pass"
    late = checks.missing((), (), (), {"ctr": Fates(attributed=90, overdue=10)})
    assert "10.00% of the outcomes in windows were received too late" in late.evidence


def test_rules_that_changed_in_a_phase_are_told() -> None:
    """Alpha is a promise made beforehand; a change of what a phase is judged by is on the checklist with its time."""
    fixed = stage(10, ["control", "treatment"])
    assert checks.as_planned(fixed).status == "pass"
    changed = structs.replace(fixed, phase=structs.replace(fixed.phase, redecided=(START + DAY, START + 2 * DAY)))
    found = checks.as_planned(changed)
    assert (found.status, found.hard) == ("warn", False)
    assert "2 times" in found.evidence
    unknown = structs.replace(fixed, phase=structs.replace(fixed.phase, start=None))
    assert checks.as_planned(unknown).status == "unknown"


def test_the_last_rehearsal_of_a_rollback_is_cited() -> None:
    """When, in which run and how long it took; never, or a drill that not all workers followed, is a warning."""
    drill = Decided(
        id="e-1", time=START, experiment="e", run=2, phase=1, revision=9, step="preview", action="drill", reason="slow",
        numbers={"kill_s": 0.094, "resume_s": 0.1, "rollback_s": 0.081},
    )  # fmt: skip
    found = checks.rehearsed(drill)
    assert (found.status, found.hard) == ("pass", False)
    assert found.evidence.endswith("in run 2: kill 0.09 s, rollback 0.08 s")
    assert checks.rehearsed(None).status == "warn"
    assert checks.rehearsed(structs.replace(drill, numbers={})).status == "warn"
    assert last([structs.replace(drill, run=1), drill, structs.replace(drill, action="hold", run=3)]) == {"e": drill}
