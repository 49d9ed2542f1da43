"""What has to fit together in a release.

Responsible for: keys that only releases have, arms that one can lead to, and stages that can be passed.
Does not know: shapes and ranges of values, which the schema checks; how a release goes on (``router.rollout``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.config.parts import Report, given, items
from router.config.resolve import BROKEN

_ROLLOUT: Final = ("stages", "keep_control", "bake", "holdout")

Arms = Sequence[tuple[str, Mapping[str, Any]]]


def check_release(path: str, allocate: Mapping[str, Any], arms: Arms, report: Report) -> None:
    """Report what a release cannot do with, and keys of one that are elsewhere.

    Args:
        path: Of the experiment.
        allocate: Its ``allocate``.
        arms: Path and contents of each of its arms.
        report: Takes mistakes.
    """
    use = allocate.get("use", "fixed")
    if use is BROKEN:
        return
    if use != "rollout":
        for key in _ROLLOUT:
            if key in allocate:
                report(f"{path}.allocate.{key}", "has no effect, because only rollout has it")
        return
    if len(arms) != 2:
        report(f"{path}.arms", f"a rollout leads from one version to another, and there are {len(arms)} arms")
    _targets(arms, report)
    _growing(path, allocate, report)


def _targets(arms: Arms, report: Report) -> None:
    """Report arms that cannot serve, or that are the same."""
    seen: dict[object, str] = {}
    for at, arm in arms:
        if "value" in arm:
            report(f"{at}.value", "a release needs arms that are targets")
        if given(arm, "target") and seen.setdefault(arm["target"], at) != at:
            report(f"{at}.target", "is that of the other arm, so there is nothing to release")


def _growing(path: str, allocate: Mapping[str, Any], report: Report) -> None:
    """Report stages that do not grow, and deadlines that no stage can keep."""
    last = 0.0
    for at, stage in items(allocate, "stages", f"{path}.allocate"):
        share, hold, deadline = (stage.get(key, BROKEN) for key in ("share", "hold", "deadline"))
        if share is not BROKEN:
            if share <= last:
                report(f"{at}.share", f"is {share:.4g}; each stage has more than the one before, which has {last:.4g}")
            last = share
        if BROKEN not in (hold, deadline) and deadline is not None and deadline <= hold:
            report(f"{at}.deadline", "is not after hold, so the stage could never be passed in time")
