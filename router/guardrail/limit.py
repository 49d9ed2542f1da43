"""How far is too far: a guardrail's margin against the concurrent control.

Responsible for: one form of ratio, relative and absolute margins for metrics that are better when lower.
Does not know: metrics, evidence.
"""

from typing import Self

from msgspec import Struct

from router.config.scalars import format_share
from router.config.schema import Guardrail


class Limit(Struct, frozen=True):
    """A margin.

    Attributes:
        ratio: How many times control's is too much; None when the margin is a difference.
        difference: How much more than control's is too much, in the metric's unit; None when it is a ratio.
        words: The same for people.
    """

    ratio: float | None
    difference: float | None
    words: str

    @classmethod
    def of(cls, guardrail: Guardrail) -> Self:
        """Return the margin of a guardrail that is held against control.

        Raises:
            ValueError: If it is not.
        """
        if guardrail.ratio is not None:
            return cls(guardrail.ratio, None, f"{guardrail.ratio:g} times control's")
        if guardrail.relative is not None:
            return cls(
                1 + abs(guardrail.relative), None, f"{format_share(abs(guardrail.relative))} more than control's"
            )
        if guardrail.absolute is not None:
            return cls(None, abs(guardrail.absolute), f"{abs(guardrail.absolute):g} more than control's")
        raise ValueError(f"guardrail {guardrail.title!r} is not held against control")
