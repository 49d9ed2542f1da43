"""What the log says of a release: when its data are sound, broken, or not known."""

import pytest

from router.analysis.quality import Observed, judge
from router.analysis.sample_ratio import Block
from router.control.measure import Snapshot
from router.control.observe import Soundness, logged
from tests.control.build import present, started, yaml

RELEASE = "allocate: {use: rollout, stages: [{share: 50%, hold: 1m}]}"


@pytest.mark.parametrize(
    ("old", "new", "sound"),
    [
        (0, 0, "unknown"),
        (19, 19, "unknown"),
        (20, 20, "sound"),
        (130, 120, "sound"),
        (60, 6, "broken"),
        (40, 0, "unknown"),
        (38, 2, "unknown"),
        (2500, 2500, "sound"),
        (2500, 2000, "broken"),
    ],
)
def test_a_few_units_of_each_arm_are_enough_to_see_a_gross_mismatch(old: int, new: int, sound: Soundness) -> None:
    """Twenty units due in each arm and nothing suspicious is sound; a mismatch is broken, however few units show it."""
    revision = present(started(yaml("50, 50", RELEASE)))
    block = Block(0, {"old": 1.0, "new": 1.0}, {"old": old, "new": new})
    observed = Observed(experiment="ramp", run=1, phase=1, control="old", units=old + new, blocks=(block,))
    snapshot = Snapshot(1.0, 0.1, {"ramp": (judge(observed),)}, ())
    assert logged(revision.config.experiments[0], revision, snapshot).sample_ratio == sound


def test_what_was_not_read_is_not_known() -> None:
    """Before the first look at the log, and before one at this phase."""
    revision = present(started(yaml("50, 50", RELEASE)))
    experiment = revision.config.experiments[0]
    assert logged(experiment, revision, None).sample_ratio == "unknown"
    assert logged(experiment, revision, Snapshot(1.0, 0.1, {}, ())).sample_ratio == "unknown"
