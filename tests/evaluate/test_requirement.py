"""Requirements are parsed as documented, and judged by whole intervals."""

import re

import pytest

from router.config.requirement import Requirement, parse
from router.evaluate.requirement import judge, no_worse, overall
from router.events.evaluated import Compared, Measured, Required


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= 90%", ("accuracy", True, 0.9, None)),
        ("accuracy>0.9", ("accuracy", True, 0.9, None)),
        ("p99 <= 200ms", ("p99", False, 0.2, None)),
        ("p99.9 < 1.5s", ("p99.9", False, 1.5, None)),
        ("recall(not spam) >= 80%", ("recall(not spam)", True, 0.8, None)),
        ("log_loss <= 0.3", ("log_loss", False, 0.3, None)),
        ("p99 <= 1.5 * baseline", ("p99", False, 1.5, "ratio")),
        ("f1 >= baseline - 1%", ("f1", True, -0.01, "difference")),
        ("failures <= baseline + 0.5%", ("failures", False, 0.005, "difference")),
        ("mae <= baseline", ("mae", False, 0.0, "difference")),
    ],
)
def test_a_requirement_is_a_number_a_sign_and_a_bound(text: str, expected: tuple[object, ...]) -> None:
    """Shares, durations, plain numbers, or held against the baseline's."""
    found = parse(text)
    assert (found.name, found.least, pytest.approx(found.bound), found.against) == expected


@pytest.mark.parametrize(
    "text",
    ["", "accuracy", "accuracy >= ", "accuracy = 1", ">= 3", "p99 <= 5parsecs", "f1 >= nan", "x <= inf * baseline"],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    """The message shows what was written."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse(text)


def judged(text: str, low: float | None, high: float | None) -> str:
    """Return the verdict on an interval of accuracy."""
    value = None if low is None or high is None else (low + high) / 2
    measured = Measured(name="accuracy", value=value, low=low, high=high, n=10)
    return judge(parse(text), {"accuracy": measured}, {}).verdict


@pytest.mark.parametrize(
    ("low", "high", "least", "most"),
    [
        (0.91, 0.95, "pass", "fail"),
        (0.80, 0.89, "fail", "pass"),
        (0.85, 0.95, "inconclusive", "inconclusive"),
        (0.90, 0.95, "pass", "inconclusive"),
        (0.85, 0.90, "inconclusive", "pass"),
        (None, None, "inconclusive", "inconclusive"),
    ],
)
def test_the_whole_interval_has_to_be_on_one_side(low: float, high: float, least: str, most: str) -> None:
    """Neither side, or no interval, is inconclusive: never a pass."""
    assert judged("accuracy >= 90%", low, high) == least
    assert judged("accuracy <= 90%", low, high) == most


def test_a_number_that_there_is_not_is_inconclusive() -> None:
    """A requirement on it cannot pass by having been misspelled."""
    assert judge(parse("acuracy >= 1%"), {}, {}).verdict == "inconclusive"
    assert judge(parse("f1 >= baseline"), {}, {}).verdict == "inconclusive"


def test_against_a_baseline_difference_and_ratio_are_judged() -> None:
    """Each by its own interval."""
    found = Compared(
        name="p99", candidate=0.12, baseline=0.1, difference=0.02, low=0.01, high=0.03, ratio=1.2, ratio_low=1.1,
        ratio_high=1.3, n=100,
    )  # fmt: skip
    assert judge(parse("p99 <= 1.5 * baseline"), {}, {"p99": found}).verdict == "pass"
    assert judge(parse("p99 <= 1.2 * baseline"), {}, {"p99": found}).verdict == "inconclusive"
    assert judge(parse("p99 <= baseline + 5ms"), {}, {"p99": found}).verdict == "fail"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"accuracy", "agreement", "failures"}, ("accuracy", True, -0.02, "difference")),
        ({"mae", "failures"}, ("mae", False, 1.02, "ratio")),
        ({"agreement", "failures"}, ("agreement", True, -0.02, "difference")),
        ({"failures"}, ("failures", False, 0.02, "difference")),
    ],
)
def test_no_worse_is_about_the_most_telling_number(names: set[str], expected: tuple[object, ...]) -> None:
    """Accuracy before errors of numbers, before agreement, before failures."""
    found = no_worse(0.02, frozenset(names))
    assert isinstance(found, Requirement)
    assert (found.name, found.least, pytest.approx(found.bound), found.against) == expected


def test_one_failure_is_a_failure_and_nothing_asked_is_no_pass() -> None:
    """Fail before inconclusive before pass."""

    def of(*verdicts: str) -> str:
        return overall(tuple(Required(text="", verdict=each, reason="") for each in verdicts))  # type: ignore[arg-type]

    assert of("pass", "inconclusive", "fail") == "fail"
    assert of("pass", "inconclusive") == "inconclusive"
    assert of("pass", "pass") == "pass"
    assert of() == "inconclusive"
