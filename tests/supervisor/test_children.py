"""Judging a heartbeat, and saying how a process ended."""

import signal

import pytest

from router.supervisor.children import Patience, Pulse, describe_end

PATIENCE = Patience(start_s=30.0, silence_s=5.0)


def test_a_starting_process_has_more_time_than_a_running_one() -> None:
    """Imports take seconds on a loaded machine; silence later does not."""
    pulse = Pulse(7, 0.0, PATIENCE)
    assert not pulse.stopped(7, 29.9)
    assert pulse.stopped(7, 30.0)


def test_a_predecessors_heartbeat_is_not_taken_for_life() -> None:
    """The word still holds what the dead worker wrote; only a change counts."""
    pulse = Pulse(7, 0.0, PATIENCE)
    assert not pulse.stopped(8, 1.0)
    assert not pulse.stopped(8, 5.9)
    assert pulse.stopped(8, 6.0)


def test_a_beating_process_is_never_stopped() -> None:
    """Each change gives a fresh wait."""
    pulse = Pulse(0, 0.0, PATIENCE)
    assert not any(pulse.stopped(beat, beat * 4.9) for beat in range(1, 100))


def test_a_supervisor_that_was_stopped_itself_forgives() -> None:
    """After SIGSTOP of the whole group nobody has beaten, and nobody is at fault."""
    pulse = Pulse(0, 0.0, PATIENCE)
    pulse.stopped(1, 1.0)
    pulse.forgive(100.0)
    assert not pulse.stopped(1, 104.9)
    assert pulse.stopped(1, 105.0)


def test_forgiving_never_shortens_a_wait() -> None:
    """A child that is still starting keeps its longer wait."""
    pulse = Pulse(0, 0.0, PATIENCE)
    pulse.forgive(1.0)
    assert not pulse.stopped(0, 29.9)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "exit code 0"), (-signal.SIGKILL, "signal SIGKILL"), (-64, "signal SIGRTMAX"), (-99, "signal 99")],
)
def test_ends_are_said_in_words(code: int, text: str) -> None:
    """A signal has its name."""
    assert describe_end(code) == text
