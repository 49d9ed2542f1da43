"""Which time counts towards a hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.rollout.clock import MOST_S, Clock, looked
from tests.rollout.build import NOW, begun, experiment

PROGRESS = begun(experiment())


def _clock(seen: list[float]) -> Clock:
    clock = None
    for moment in seen:
        clock = looked(clock, PROGRESS, moment, counts=True)
    assert clock is not None
    return clock


def test_time_that_somebody_watched_counts() -> None:
    """Looks a second apart add up."""
    assert _clock([float(second) for second in range(61)]).counted_s == 60.0


@pytest.mark.parametrize("seen", [[0.0, 1e9], [0.0, 1.0, 1e12], [1e9, 0.0], [5.0, 1.0, 6.0]])
def test_jumps_count_for_little(seen: list[float]) -> None:
    """A clock that jumps ahead, back, or stood still lets a hold pass by at most ``MOST_S`` for each look."""
    assert 0.0 <= _clock(seen).counted_s <= MOST_S * (len(seen) - 1)


def test_what_is_paused_or_killed_does_not_count_nor_afterwards() -> None:
    """The time that did not count is not made up for at the next look."""
    paused = looked(looked(None, PROGRESS, 0.0, counts=True), PROGRESS, 9.0, counts=False)
    assert looked(paused, PROGRESS, 10.0, counts=True).counted_s == 1.0


@pytest.mark.parametrize("changes", [{"run": 2}, {"stage": 1}, {"step": "bake"}, {"since": NOW + 1}])
def test_another_step_begins_at_nothing(changes: dict[str, object]) -> None:
    """A new run, stage or step, and a step that begins anew, have a clock of their own."""
    other = replace(PROGRESS, **changes)
    assert looked(_clock([0.0, 9.0]), other, 10.0, counts=True).counted_s == 0.0


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50))
def test_a_clock_never_runs_backwards(seen: list[float]) -> None:
    """Whatever the clock of the machine does, the time that counts grows, and by at most ``MOST_S`` a look."""
    clock, last = None, 0.0
    for moment in seen:
        clock = looked(clock, PROGRESS, moment, counts=True)
        assert last <= clock.counted_s <= last + MOST_S
        last = clock.counted_s
