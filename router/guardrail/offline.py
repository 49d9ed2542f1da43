"""What an offline check says of a release.

Responsible for: whether a document is about the target and version that is to be released, recent enough, and passes.
Does not know: how it was made (``router.evaluate``), who reads it.

Rules: pure. A document about something else is a failed measurement: never a pass, and no failure of the new arm.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from router.events.evaluated import Checked, Evaluated
from router.events.rollout import Found

NAME = "offline check"


class Expected(Struct, frozen=True):
    """What a document has to be about.

    Attributes:
        target: Name of the new arm's target.
        version: Its version; None when the configuration names none.
        max_age: How old it may be, in seconds; None when it was made for this release.
    """

    target: str
    version: str | None
    max_age: float | None


def judge_offline(checked: Checked, expected: Expected, now: float) -> Found:
    """Judge a document.

    Args:
        checked: The document, or why there is none.
        expected: What it has to be about.
        now: Unix seconds.
    """
    found = checked.evaluated
    if found is None:
        return said("error", f"the offline check could not be made: {checked.problem or 'nobody knows why'}")
    wrong = _wrong(found, expected, now)
    if wrong is not None:
        return said("error", wrong)
    open_ = [each for each in found.required if each.verdict == found.verdict] or list(found.required)
    reasons = "; ".join(f"{each.text}: {each.verdict}, {each.reason}" for each in open_[:4])
    counts = {"requests": float(found.asked), "labelled": float(found.labelled)}
    reason = f"{found.asked} recorded requests to {found.target}: {reasons or 'nothing was required'}"
    return said(found.verdict, reason, counts)


def said(
    status: Literal["pass", "fail", "inconclusive", "error"], reason: str, counts: Mapping[str, float] | None = None
) -> Found:
    """Say something of the check."""
    return Found(name=NAME, status=status, action="rollback", reason=reason, counts=dict(counts or {}))


def _wrong(found: Evaluated, expected: Expected, now: float) -> str | None:
    if found.target != expected.target:
        return f"the result is about target {found.target!r}, and {expected.target!r} is to be released"
    if found.version != expected.version:
        return f"the result is about version {found.version!r} of {found.target}, and it is {expected.version!r} now"
    age = now - found.time
    if expected.max_age is not None and age > expected.max_age:
        return f"the result is {age / 86_400:.1f} days old, and max_age is {expected.max_age / 86_400:.1f}"
    return None
