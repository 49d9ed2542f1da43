"""How long a step has lasted, in time that counts.

Responsible for: which time counts towards holds and deadlines.
Does not know: what they are, files, where the time comes from.

Rules: pure. Time counts while somebody looked: between two looks at most ``MOST_S``, however far apart the clock says
they were. So neither a jump of the clock, nor a machine that slept, nor a restart lets a hold pass unwatched. What is
paused, killed or without traffic does not count either. Another step begins at nothing.
"""

from typing import Final

from msgspec import Struct

from router.events.rollout import Progress

MOST_S: Final = 10.0


class Clock(Struct, frozen=True, kw_only=True):
    """The clock of a step.

    Attributes:
        run: Run of the experiment.
        step: The step and which of several.
        since: When the step began, in unix seconds: what tells it from an earlier one of the same name.
        counted_s: How long it lasted, in seconds that count.
        seen: When it was looked at last, in seconds of a clock that the caller has chosen.
    """

    run: int
    step: str
    since: float
    counted_s: float = 0.0
    seen: float


def looked(clock: Clock | None, progress: Progress, seen: float, *, counts: bool) -> Clock:
    """Return the clock after another look.

    Args:
        clock: The clock; None before the first look.
        progress: Where the release is.
        seen: Now, in seconds of the same clock as before.
        counts: Whether the time since the last look counts.
    """
    step = f"{progress.step} {progress.stage}"
    if clock is None or (clock.run, clock.step, clock.since) != (progress.run, step, progress.since):
        return Clock(run=progress.run, step=step, since=progress.since, seen=seen)
    passed = min(max(seen - clock.seen, 0.0), MOST_S) if counts else 0.0
    return Clock(run=clock.run, step=step, since=clock.since, counted_s=clock.counted_s + passed, seen=seen)
