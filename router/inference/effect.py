"""What a comparison of two arms returns, and what it was asked for.

Responsible for: effects with their intervals, and what these are valid for.
Does not know: how any of it is computed.

Rules: frozen. What cannot be said is ``NotEnough`` (``router.analysis.estimate``), never 0, nan or infinity: a side on
which an interval has no bound is None. A caller's mistake, such as an alpha above 1, is a ``ValueError``.
"""

from typing import Literal

from msgspec import Struct

from router.analysis.estimate import Estimate, NotEnough

Basis = Literal["fixed horizon", "group sequential", "always valid"]
"""When an effect may be read: once, at a size chosen beforehand; at planned looks; at any time."""


class Asked(Struct, frozen=True):
    """What a comparison is asked for.

    Attributes:
        alpha: Share of wrong verdicts that is accepted when nothing differs, both sides together; above 0, below 1.
        mde: Effect that matters, absolute and in the metric's unit: what always-valid methods are tuned to, never a
            condition of their validity. None lets them choose.
    """

    alpha: float = 0.05
    mde: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no share or no size.

        Raises:
            ValueError: If alpha or mde is outside of its range.
        """
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha lies between 0 and 1, not at {self.alpha}")
        if self.mde is not None and not 0 < self.mde < float("inf"):
            raise ValueError(f"an effect that matters is above 0 and finite, not {self.mde}")


class Interval(Struct, frozen=True):
    """A range of values.

    Attributes:
        low: Its lower end; None when it has none.
        high: Its upper end; None when it has none.
    """

    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        """Say whether a value lies within, ends included."""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


class Relative(Struct, frozen=True, tag="relative"):
    """An effect as a share of the control's value, which is taken without its sign: up is always above 0.

    Attributes:
        value: 0.05 is 5 % more than control.
        interval: At the level of the effect.
    """

    value: float
    interval: Interval


class Effect(Struct, frozen=True, tag="effect", kw_only=True):
    """How an arm differs from control in one metric.

    Attributes:
        value: Treatment less control, in the metric's own unit; seconds for durations.
        interval: Where it lies, at ``level``.
        level: Coverage of the intervals, 1 - alpha.
        relative: The same over the absolute value of control's estimate, or why that cannot be said.
        p: Two-sided p-value of no difference, of the kind that ``basis`` says; None where the method has none.
        standard_error: Of ``value``; None where the method needs none.
        treatment: The arm's estimate.
        control: Control's.
        method: Name of the method in ``docs/statistics.md``.
        basis: When it may be read.
        exact: Whether the error rate holds at every size of sample; otherwise for large ones.
        notes: What a reader has to know, one sentence each.
        degrees_of_freedom: Of the Student's t behind interval and p; None where another distribution is.
        unadjusted: The same comparison without its covariate; None where no covariate was used.
    """

    value: float
    interval: Interval
    level: float
    relative: Relative | NotEnough
    p: float | None
    standard_error: float | None
    treatment: Estimate
    control: Estimate
    method: str
    basis: Basis
    exact: bool = False
    notes: tuple[str, ...] = ()
    degrees_of_freedom: float | None = None
    unadjusted: "Effect | None" = None
