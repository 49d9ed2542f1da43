"""What conditions, limits, objectives and trends are judged from, and what one comparison says.

Responsible for: the data between ``judge`` and the forms.
Does not know: how anything is computed.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from router.config.condition import Quantity
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.windows import Windows


class Known(Struct, frozen=True, kw_only=True):
    """What the log says of a metric; intervals are valid at any time, an end that is None is unbounded.

    Attributes:
        value: The new arm's value.
        low: Lower end of its interval.
        high: Upper end.
        control: Control's value; None where it has none.
        change: Change from control's value, as a share of it; None where that is 0.
        change_low: Lower end of its interval.
        change_high: Upper end.
        difference: From control's value, in the metric's unit; None where that is not known.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        units: Units of the new arm and of control.
    """

    value: float
    low: float | None = None
    high: float | None = None
    control: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    units: tuple[int, int] = (0, 0)


Business = Callable[[str, float], Known | str]
"""Gives what the log says of a metric, for intervals that miss with a probability of at most the second; or why not."""


class Seen(Struct, frozen=True, kw_only=True):
    """What is known at a look.

    Attributes:
        windows: What was counted, over time.
        evidence: What was counted in the present phase, by units.
        new: Name of the new arm.
        control: Name of control.
        primary: The primary metric.
        metrics: Those metrics that the counters know, as quantities.
        business: What the log says; None where none is read.
    """

    windows: Windows
    evidence: Evidence
    new: str
    control: str
    primary: str = ""
    metrics: Mapping[str, Quantity] = {}
    business: Business | None = None

    def arm(self, *, control: bool = False) -> ArmEvidence:
        """Return an arm's evidence of the present phase; nothing where it has none."""
        return self.evidence.arms.get(self.control if control else self.new, ArmEvidence())


class Said(Struct, frozen=True, kw_only=True):
    """What one comparison says.

    Attributes:
        holds: Whether it holds; None when that is not shown either way.
        reason: Why, in one sentence.
        estimate: What was measured.
        low: Lower bound, valid at any time.
        high: Upper bound.
        margin: What it is compared with.
        log_e: Logarithm of the e-value of what it would take to hold; None where nothing is tested.
        alpha: The chance of error that it has to be shown with; None where nothing is tested.
        counts: What it was computed from.
    """

    holds: bool | None
    reason: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    log_e: float | None = None
    alpha: float | None = None
    counts: dict[str, float] = {}
