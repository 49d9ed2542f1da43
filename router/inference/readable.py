"""When a fixed-horizon result may be read: once, at the size or the time that was planned.

Responsible for: whether that point has been reached, and when it will be if a time says so.
Does not know: effects. Whoever decides automatically leaves an effect out until it is readable.

Rules: pure; takes ``now``. What is planned is decided before the experiment starts: a plan that stops when a result
looks good makes the result invalid, whatever the size.
"""

from math import isfinite

from msgspec import Struct


class Planned(Struct, frozen=True):
    """How long an experiment is to run; what is None is not asked for, and of both, both have to be reached.

    Attributes:
        units_per_arm: Units with a value that the smallest arm has to have.
        duration: Seconds since the start.
    """

    units_per_arm: int | None = None
    duration: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be reached.

        Raises:
            ValueError: If a size or time is not above 0.
        """
        if self.units_per_arm is not None and self.units_per_arm < 1:
            raise ValueError(f"at least one unit per arm has to be planned, not {self.units_per_arm}")
        if self.duration is not None and not (isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"a planned duration is above 0 and finite, not {self.duration}")


class Readable(Struct, frozen=True):
    """Whether a fixed-horizon result may be read.

    Attributes:
        readable: Whether it may be.
        at: From when on, in unix seconds, as far as the planned duration says; None where only units are planned.
        reason: Why, for a person.
    """

    readable: bool
    at: float | None
    reason: str


def readable(planned: Planned, units: int, started: float, now: float) -> Readable:
    """Say whether the planned point has been reached.

    Args:
        planned: What was planned.
        units: Units with a value in the smallest arm.
        started: When the experiment began, in unix seconds.
        now: The moment it is about.
    """
    if planned.units_per_arm is None and planned.duration is None:
        return Readable(readable=False, at=None, reason="no size and no duration was planned")
    at = None if planned.duration is None else started + planned.duration
    missing: list[str] = []
    if planned.units_per_arm is not None and units < planned.units_per_arm:
        missing.append(f"{units} of {planned.units_per_arm} planned units in the smallest arm")
    if at is not None and now < at:
        missing.append(f"{max(0.0, now - started) / 86400:.1f} of {(planned.duration or 0.0) / 86400:.1f} planned days")
    if missing:
        return Readable(readable=False, at=at, reason="; ".join(missing))
    return Readable(readable=True, at=at, reason="what was planned has been reached")
