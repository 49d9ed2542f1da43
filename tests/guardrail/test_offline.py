"""An offline check counts for the very target and version that it is about, while it is recent."""

import pytest
from msgspec.structs import replace

from router.events.evaluated import Checked, Evaluated, Required, Verdict
from router.guardrail.offline import Expected, judge_offline

NOW = 1_800_000_000.0
EXPECTED = Expected("new", "7", 86_400.0)


def document(verdict: Verdict = "pass") -> Evaluated:
    """Return the document of a check."""
    return Evaluated(
        time=NOW - 3600, seconds=1.0, target="new", version="7", baseline=None, requests="r", digest="", lines=10,
        asked=10, methods={}, labelled=10, expected=0, units=None, causes={}, baseline_causes={}, agreement_with=None,
        confidence=0.95, seed=1, measured=(), compared=(), calibration=(),
        required=(Required(text="accuracy >= 90%", verdict=verdict, reason="accuracy 0.95"),),
        verdict=verdict, notes=(),
    )  # fmt: skip


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_its_verdict_is_that_of_the_document(verdict: Verdict) -> None:
    """With the requirement that decided."""
    found = judge_offline(Checked(evaluated=document(verdict)), EXPECTED, NOW)
    assert found.status == verdict
    assert "accuracy >= 90%" in found.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "other"}, "about target 'other'"),
        ({"version": "6"}, "about version '6'"),
        ({"version": None}, "about version None"),
        ({"time": NOW - 90_000}, "1.0 days old"),
    ],
)
def test_a_document_about_something_else_is_a_failed_measurement(changes: dict[str, object], said: str) -> None:
    """Neither a pass nor a failure of the new arm, whatever it says."""
    found = judge_offline(Checked(evaluated=replace(document(), **changes)), EXPECTED, NOW)
    assert found.status == "error"
    assert said in found.reason


def test_a_check_that_was_made_for_the_release_has_no_age() -> None:
    """It may have taken long."""
    expected = replace(EXPECTED, max_age=None)
    assert judge_offline(Checked(evaluated=document()), expected, NOW + 1e6).status == "pass"


def test_no_document_is_a_failed_measurement() -> None:
    """With the reason."""
    found = judge_offline(Checked(problem="no such file"), EXPECTED, NOW)
    assert (found.status, "no such file" in found.reason) == ("error", True)
