"""Predictions and the labels that belong to them."""

from typing import Any

from router.analysis.labelled import Asked, labelled
from tests.analysis.logs import Row, engine, exposure, outcome

SOURCE = "response:/label"
ASKED = Asked(experiment="e", run=1, source=SOURCE, outcome="truth", begin=0.0, end=100.0, now=1000.0)


def predicted(number: int, label: str | float | None, **given: Any) -> Row:
    """Make an exposure whose response said a label."""
    return exposure(number, rewards={} if label is None else {SOURCE: label}, **given)


def truth(number: int, value: float, **given: Any) -> Row:
    """Make a label."""
    return outcome(number, outcome="truth", value=value, **given)


def pairs(exposures: list[Row], outcomes: list[Row]) -> dict[str, list[tuple[str, float]]]:
    """Return what belongs together, in order."""
    found = labelled(engine(exposures, outcomes), ASKED)
    return {arm: sorted(each) for arm, each in found.items()}


def test_a_label_that_names_a_request_belongs_to_its_prediction() -> None:
    """Texts and numbers, arm by arm; what has no label, or no prediction, is left out."""
    seen = [predicted(1, "spam"), predicted(2, 0.25, arm="b"), predicted(3, "ham"), predicted(4, None)]
    said = [truth(at, 1.0, keyed="request_id", request_id=f"r{at}") for at in (1, 2, 4, 9)]
    assert pairs(seen, said) == {"a": [("spam", 1.0)], "b": [("0.25", 1.0)]}


def test_a_label_that_names_a_unit_belongs_to_its_last_prediction_before() -> None:
    """Not to those after it, nor to earlier ones."""
    seen = [predicted(at, f"p{at}", time=float(at * 10)) for at in (1, 2, 3)]
    assert pairs(seen, [truth(1, 0.0, time=25.0)]) == {"a": [("p2", 0.0)]}
    assert pairs(seen, [truth(1, 0.0, time=5.0)]) == {}


def test_a_label_that_names_an_assignment_is_the_units() -> None:
    """By the hash that assignments carry."""
    said = [truth(1, 1.0, keyed="assignment", experiment="e", run=1, unit_hash="1/u", time=50.0)]
    assert pairs([predicted(1, "spam")], said) == {"a": [("spam", 1.0)]}


def test_a_prediction_counts_once_with_the_label_that_came_first() -> None:
    """A correction that comes later changes nothing that was charted."""
    said = [
        truth(1, 0.0, keyed="request_id", request_id="r1", received=20.0),
        truth(2, 1.0, keyed="request_id", request_id="r1", received=10.0),
    ]
    assert pairs([predicted(1, "spam")], said) == {"a": [("spam", 1.0)]}


def test_what_does_not_count_is_left_out() -> None:
    """Forced exposures, bots, other runs, other times, other outcomes, and labels of the future."""
    seen = [
        predicted(1, "p", override=True),
        predicted(2, "p", bot=True),
        predicted(3, "p", run=2),
        predicted(4, "p", time=100.0),
        predicted(5, "p"),
        predicted(6, "p"),
    ]
    said = [truth(at, 1.0, keyed="request_id", request_id=f"r{at}") for at in range(1, 5)]
    said.append(outcome(5, outcome="click", keyed="request_id", request_id="r5"))
    said.append(truth(6, 1.0, keyed="request_id", request_id="r6", received=2000.0))
    assert pairs(seen, said) == {}
