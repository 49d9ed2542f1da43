"""What a bandit's ``allocate`` needs of its experiment, and of the metric that is its reward.

Responsible for: keys that a policy needs or has no use for, a reward that it can learn from, floors that leave room.
Does not know: shapes and ranges of values, which the schema checks.

Rules: those of ``references``.
"""

from collections.abc import Mapping
from typing import Any, Final

from router.config.allocate import BANDITS, CONTEXTUAL
from router.config.mistake import show
from router.config.parts import Report, items, must_exist, named, part
from router.config.resolve import BROKEN

_FLOOR: Final = 0.01
_ALL: Final = frozenset(BANDITS)
_PLAIN: Final = frozenset(BANDITS - CONTEXTUAL)
_BOUNDED: Final = frozenset({"ucb", "kl_ucb", "successive_elimination"})
# Key to the policies that it is for.
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "reward": _ALL,
    "period": _PLAIN,
    "floor": _ALL,
    "update": _ALL,
    "half_life": frozenset(BANDITS - {"successive_elimination"}),
    "control_share": _PLAIN,
    "warm_up": _ALL,
    "range": _PLAIN,
    "leader": frozenset({"top_two_thompson"}),
    "epsilon": frozenset({"epsilon_greedy"}),
    "delta": frozenset({"successive_elimination"}),
}
# Kinds of metrics whose value of one unit is a number between 0 and 1, and those whose value is any number.
_SHARES: Final = frozenset({"proportion", "retention", "funnel"})
_NUMBERS: Final = frozenset({"mean", "count"})


def check_bandit(path: str, experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    """Report what a bandit lacks or has no use for; and keys of bandits where there is none."""
    allocate = part(experiment, "allocate")
    use, at = allocate.get("use", "fixed"), f"{path}.allocate"
    if use is BROKEN:
        return
    for key, policies in _KEYS.items():
        if key in allocate and use not in policies:
            report(f"{at}.{key}", f"has no effect with {use}; it is for {', '.join(sorted(policies))}")
    if use not in BANDITS:
        return
    if use not in CONTEXTUAL:
        _period(at, allocate, experiment, report)
    if "reward" not in allocate:
        report(at, f'key "reward" is missing: name of the metric that {use} learns from')
    elif must_exist(f"{at}.reward", allocate["reward"], named(config, "metrics"), "metric", report):
        _reward(at, allocate, experiment, named(config, "metrics")[allocate["reward"]], report)
    arms = [arm for _, arm in items(experiment, "arms", path)]
    _room(at, allocate, len(arms), report)
    if any(arm.get("weight") == 0 for arm in arms):
        report(f"{path}.arms", "a bandit cannot warm up an arm of weight 0, which nobody gets; give each a weight")


def _period(at: str, allocate: Mapping[str, Any], experiment: Mapping[str, Any], report: Report) -> None:
    """Report a bandit whose units would keep their arms for ever, and one whose units are new anyway."""
    requests = experiment.get("unit") == ["request"]
    if "period" not in allocate and not requests:
        report(
            at,
            'key "period" is missing: how long a unit keeps its arm before it is drawn anew, such as 1d; without one, '
            "say unit: [request]",
        )
    elif "period" in allocate and requests:
        report(f"{at}.period", "has no effect with unit: [request], because each request is drawn anew")


def _reward(
    at: str, allocate: Mapping[str, Any], experiment: Mapping[str, Any], metric: Mapping[str, Any], report: Report
) -> None:
    use, shown, kind = allocate["use"], show(metric.get("name")), metric.get("kind", BROKEN)
    measured = part(experiment, "metrics")
    secondary = measured.get("secondary", ())
    if allocate["reward"] not in (measured.get("primary"), *(secondary if isinstance(secondary, list) else ())):
        report(f"{at}.reward", f"metric {shown} is not measured here; name it in the experiment's metrics")
    if kind is BROKEN:
        return
    if kind not in _SHARES | _NUMBERS:
        report(
            f"{at}.reward", f"a {kind} has no value of one unit; a reward is a {', '.join(sorted(_SHARES | _NUMBERS))}"
        )
        return
    if "window" not in metric and kind != "retention":
        report(
            f"{at}.reward",
            f"metric {shown} has no window, so an observation is never whole, and what has not come yet would count as "
            "a failure; give the metric a window",
        )
    if kind in _NUMBERS and use in _BOUNDED and "range" not in allocate:
        report(f"{at}.use", f"{use} needs rewards between 0 and 1, and a {kind} is any number; give range: [low, high]")
    if kind in _SHARES and "range" in allocate:
        report(f"{at}.range", f"has no effect, because a {kind} is between 0 and 1 as it is")
    bounds = allocate.get("range")
    if isinstance(bounds, list) and BROKEN not in bounds:
        if len(bounds) != 2:
            report(f"{at}.range", "is two numbers: the lowest and the highest value")
        elif not bounds[0] < bounds[1]:
            report(f"{at}.range", "its first number is not below its second")


def _room(at: str, allocate: Mapping[str, Any], arms: int, report: Report) -> None:
    """Report floors and a share of control's that leave nothing to allocate."""
    floor, control = allocate.get("floor", _FLOOR), allocate.get("control_share", 0.0)
    if BROKEN in (floor, control):
        return
    if "control_share" in allocate and not 0 < control < 1:
        report(f"{at}.control_share", "is to be above 0 and below 1")
        return
    floored = arms - 1 if "control_share" in allocate else arms
    if control + floor * floored >= 1:
        key = "floor" if "floor" in allocate else "control_share"
        report(f"{at}.{key}", f"leaves nothing to allocate among {arms} arms")
    if floor == 0 and allocate["use"] in ("ucb", "kl_ucb"):
        report(
            f"{at}.floor",
            f"{allocate['use']} gives all units to one arm at a time; effects can only be told with a floor",
        )
