"""What has to fit together in a release.

Responsible for: keys that only releases have, arms that one can lead to, and stages that can be passed.
Does not know: shapes and ranges of values, which the schema checks; how a release goes on (``router.rollout``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.config.mistake import show
from router.config.parts import Report, given, items, named, part
from router.config.rehearsal_references import check_offline
from router.config.release import DAY_S, RECIPE
from router.config.resolve import BROKEN
from router.config.scalars import format_duration

_ROLLOUT: Final = ("offline", "stages", "keep_control", "bake", "holdout", "repromote", "impact", "max_risk")

Arms = Sequence[tuple[str, Mapping[str, Any]]]


def check_release(path: str, experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    """Report what a release cannot do with, and keys of one that are elsewhere.

    Args:
        path: Of the experiment.
        experiment: The experiment.
        config: The configuration.
        report: Takes mistakes.
    """
    allocate, arms = part(experiment, "allocate"), list(items(experiment, "arms", path))
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
    check_offline(path, allocate, report)
    _growing(path, allocate, report)
    _judged(path, experiment, report)
    _in_time(path, experiment, named(config, "metrics"), report)


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


def _judged(path: str, experiment: Mapping[str, Any], report: Report) -> None:
    """Report what nobody can say: verdicts without metrics, and comparisons without a control."""
    allocate, measured = part(experiment, "allocate"), part(experiment, "metrics")
    for at, stage in items(allocate, "stages", f"{path}.allocate"):
        if "primary" in _required(stage) and "metrics" not in experiment:
            report(f"{at}.require", "asks for the primary metric, and the experiment has no metrics")
    if allocate.get("keep_control") == 0 and not any(_alone(each) for _, each in items(measured, "guardrails")):
        report(
            f"{path}.allocate.keep_control",
            "leaves no control to compare with; that takes a guardrail with action rollback that needs none: at_most, "
            "at_least, slo or when",
        )


def _alone(guardrail: Mapping[str, Any]) -> bool:
    """Say whether a guardrail rolls back without a control to compare with."""
    hard = guardrail.get("action", "rollback") == "rollback" and not guardrail.get("dry_run")
    return hard and any(given(guardrail, form) for form in ("at_most", "at_least", "slo", "when"))


def _in_time(
    path: str, experiment: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]], report: Report
) -> None:
    """Report stages that require a metric which is not known before the stage is over."""
    measured = part(experiment, "metrics")
    hard = [
        guardrail.get("metric", BROKEN)
        for _, guardrail in items(measured, "guardrails")
        if guardrail.get("action", "rollback") == "rollback" and not guardrail.get("dry_run")
    ]
    named_ = {"guardrails": hard, "primary": [measured.get("primary", BROKEN)]}
    stages = list(items(part(experiment, "allocate"), "stages", f"{path}.allocate"))
    recipe = [(f"{path}.allocate", {"hold": stage.hold, "require": stage.require}) for stage in RECIPE]
    for at, stage in stages or recipe:
        hold: Any = stage.get("hold", BROKEN)
        if hold is BROKEN:
            continue
        needed = [name for what in _required(stage) for name in named_.get(what, ())]
        for name in dict.fromkeys(needed):
            wait = _known_after(metrics.get(name))
            if wait is not None and wait > hold:
                late = f"requires metric {show(name)}, which is known {format_duration(wait)} after an exposure (its "
                late += "window and grace); hold longer, or require less"
                if stages:
                    report(f"{at}.hold", f"{format_duration(hold)} is too short: the stage {late}")
                else:
                    report(at, f"the default stage of {format_duration(hold)} {late}")
                break


def _required(stage: Mapping[str, Any]) -> Sequence[str]:
    found = stage.get("require", ("guardrails",))
    return found if isinstance(found, (list, tuple)) else ()


def _known_after(metric: Mapping[str, Any] | None) -> float | None:
    """Return how long after an exposure a metric is known, in seconds; None when it is known at once or is broken."""
    if metric is None or BROKEN in (window := metric.get("window"), day := metric.get("day"), metric.get("grace")):
        return None
    horizon = (day + 1) * DAY_S if day is not None else window
    return None if horizon is None else horizon + (metric.get("grace") or 0.0)
