"""One finding of data quality: what was measured, what it comes to, and the sentence that a person reads.

Responsible for: the form of findings, their order from worst to best, and the commonest check: that a share is small.
Does not know: which checks there are (``quality``, ``balance``, ``log_quality``).

Rules: where there is too little data a finding is ``Insufficient``, which is neither good nor bad and has no value that
could be taken for one.
"""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

Status = Literal["ok", "warn", "invalid", "insufficient data"]
# From the worst to the best; what is not known is worse than what is known to be fine.
STATUSES: Final[tuple[Status, ...]] = ("invalid", "warn", "insufficient data", "ok")
COUNTED: Final = 100  # a share of fewer is not judged


class Finding(Struct, frozen=True):
    """What one check found.

    Attributes:
        check: Name of the check.
        status: What it comes to.
        value: What was measured; a share in 0..1, or a p-value where the check is a test.
        threshold: Where the status changes.
        sentence: What it means, for a person.
        details: Further numbers by name; seconds where the name ends in ``_s``.
    """

    check: str
    status: Literal["ok", "warn", "invalid"]
    value: float
    threshold: float
    sentence: str
    details: dict[str, float] = {}


class Insufficient(Struct, frozen=True):
    """That one check cannot say anything yet.

    Attributes:
        check: Name of the check.
        sentence: What is missing, for a person.
        status: Always the same.
    """

    check: str
    sentence: str
    status: Literal["insufficient data"] = "insufficient data"


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some statuses; ``ok`` of none."""
    return min(statuses, key=STATUSES.index, default="ok")


def share(check: str, part: tuple[float, float], threshold: float, sentence: str) -> Finding | Insufficient:
    """Warn when a share is above a threshold.

    Args:
        check: Name of the check.
        part: How many, of how many.
        threshold: Share above which it warns.
        sentence: What it means, with ``{share}`` in it.
    """
    count, whole = part
    if whole < COUNTED:
        return Insufficient(check, f"{whole:.0f} were counted; {COUNTED} are needed to judge a share")
    found = max(count, 0.0) / whole
    status: Literal["ok", "warn"] = "warn" if found > threshold else "ok"
    return Finding(check, status, found, threshold, sentence.format(share=percent(found)))


def percent(share: float) -> str:
    """Write a share for a person."""
    return f"{share:.2%}" if share >= 0.0001 or share == 0 else "less than 0.01%"


def duration(seconds: float) -> str:
    """Write seconds for a person, in the unit that fits."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
