"""Whether an experiment may be promoted, as far as its data are concerned.

Responsible for: the answer and its reason.
Does not know: guardrails, verdicts, what promoting does. Imports nothing heavy: it is asked where no fold runs, too.

Rules: pure. Invalid data block, and so does a sample ratio of which nothing can be said yet: too little data is never a
pass. What other checks warn of is told, and blocks nothing.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from router.analysis.quality import Quality

SAMPLE_RATIO = "sample_ratio"
UNSAID = "insufficient data"


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
        return Promotion(False, "the data of this phase were not looked at yet")
    unsaid = next((each for each in quality.findings if each.check == SAMPLE_RATIO and each.status == UNSAID), None)
    if unsaid is not None:
        return Promotion(False, f"nothing can be said of the sample ratio yet: {unsaid.sentence}")
    if quality.status != "ok":
        return Promotion(True, f"nothing makes it invalid, but not all checks are fine: {quality.status}")
    return Promotion(True, "all checks are fine")
