"""Whether an experiment may be promoted, as far as its data are concerned.

Responsible for: the answer and its reason.
Does not know: guardrails, verdicts, what promoting does. Imports nothing heavy: it is asked where no fold runs, too.

Rules: pure. Invalid data block; what is not known does not, since guardrails read the shared counters and need no fold.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from router.analysis.quality import Quality


class Promotion(Struct, frozen=True):
    """Whether an experiment may be promoted, as far as its data are concerned.

    Attributes:
        allowed: Whether.
        reason: Why, for a person.
    """

    allowed: bool
    reason: str


def may_promote(quality: "Quality | None", marked: str | None) -> Promotion:
    """Say whether the data allow that an experiment be promoted.

    Args:
        quality: What is known of its present phase; None when nothing is, as before the first fold.
        marked: Why it was marked invalid in this phase, if it was; the mark stays, whatever later data say.
    """
    if marked is not None:
        return Promotion(False, f"it is invalid until fixed: {marked}")
    broken = quality.invalid if quality is not None else None
    if broken is not None:
        return Promotion(False, f"it is invalid until fixed: {broken.sentence}")
    if quality is None:
        return Promotion(True, "nothing speaks against it, but the data of this phase were not looked at yet")
    if quality.status != "ok":
        return Promotion(True, f"nothing makes it invalid, but not all checks are fine: {quality.status}")
    return Promotion(True, "all checks are fine")
