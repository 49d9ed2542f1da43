"""What has to fit together in an experiment's ``decide``, and its overall criterion.

Responsible for: keys that a method needs and keys without effect, margins on the side that is worse, weights that add
up to 1.
Does not know: shapes and ranges of values, which the schema checks; which metrics exist (``metric_references``).

Rules: those of ``references``.
"""

from collections.abc import Mapping
from math import fsum
from typing import Any, Final

from router.config.allocate import BANDITS
from router.config.mistake import child
from router.config.parts import Report, items, named, part
from router.config.resolve import BROKEN
from router.config.scalars import format_share

_ONLY: Final[Mapping[str, tuple[str, ...]]] = {
    "looks": ("group_sequential",),
    "information": ("group_sequential",),
    "spending": ("group_sequential",),
    "parameter": ("group_sequential",),
    "effect": ("sprt",),
    "units": ("fixed", "group_sequential"),
    "duration": ("fixed", "group_sequential"),
}
_PARAMETER: Final = ("kim_demets", "hwang_shih_decani")
_ROUNDING: Final = 1e-9  # of weights such as 1/3 as people write them in floating point


def check_decide(config: Mapping[str, Any], report: Report) -> None:
    """Report verdicts that could never be given, or not by what is written."""
    metrics = named(config, "metrics")
    for path, experiment in items(config, "experiments"):
        decide, at = part(experiment, "decide"), f"{path}.decide"
        if decide.get("method", "sequential") is not BROKEN:
            _method(at, decide, report)
        use, method = part(experiment, "allocate").get("use"), decide.get("method", "sequential")
        if use in BANDITS and method not in ("sequential", BROKEN):
            report(f"{at}.method", f"is not for {use}: effects of a bandit are weighted by propensity and always valid")
        if "decide" in experiment and "metrics" not in experiment:
            report(at, "has no effect without metrics, which say what is decided by")
        measured = part(experiment, "metrics")
        _overall(f"{path}.metrics.oec", measured, metrics, report)


def _method(at: str, decide: Mapping[str, Any], report: Report) -> None:
    method = decide.get("method", "sequential")
    for key, methods in _ONLY.items():
        if key in decide and method not in methods:
            report(f"{at}.{key}", f"has no effect with method: {method}; it is for {' and '.join(methods)}")
    if method in ("fixed", "group_sequential") and "units" in decide and "duration" in decide:
        report(f"{at}.duration", "is another end than units; give one of them")
    if method == "fixed" and not {"units", "duration"} & set(decide):
        report(at, "method: fixed needs units or duration: when the result may be read")
    power, alpha = decide.get("power", 0.8), decide.get("alpha", 0.05)
    if method in ("group_sequential", "sprt") and BROKEN not in (power, alpha) and not alpha < power < 1:
        report(f"{at}.power", f"lies above alpha and below 100%, not at {format_share(power)}")
    if method == "group_sequential":
        _looks(at, decide, report)
    if method == "sprt" and not {"effect", "mde"} & set(decide):
        report(at, "method: sprt needs effect or mde: what is tested against no effect")


def _looks(at: str, decide: Mapping[str, Any], report: Report) -> None:
    if not {"units", "duration", "mde"} & set(decide):
        report(at, "method: group_sequential needs units, duration or mde: how much the last look will have")
    if "looks" in decide and "information" in decide:
        report(f"{at}.looks", "is said by information already; give one of them")
    spending = decide.get("spending", "obrien_fleming")
    if spending in _PARAMETER and "parameter" not in decide:
        report(at, f'key "parameter" is missing: {spending} needs it')
    if spending not in (*_PARAMETER, BROKEN) and "parameter" in decide:
        report(f"{at}.parameter", f"has no effect with spending: {spending}")
    parameter = decide.get("parameter", 1.0)
    if spending == "kim_demets" and parameter is not BROKEN and parameter <= 0:
        report(f"{at}.parameter", f"{parameter} is not above 0, as kim_demets needs it")
    shares = decide.get("information", BROKEN)
    if isinstance(shares, list) and shares and BROKEN not in shares:
        if any(after <= before for before, after in zip([0.0, *shares], shares, strict=False)):
            report(f"{at}.information", "does not grow from look to look")
        elif shares[-1] != 1:
            report(f"{at}.information", "does not end with 100%, which is the last look")


def _overall(at: str, measured: Mapping[str, Any], metrics: Mapping[str, Any], report: Report) -> None:
    weights = part(measured, "oec")
    if "oec" in measured and measured["oec"] == {}:
        report(at, "weighs no metric")
    for name in weights:
        if metrics.get(name, {}).get("kind") == "quantile":
            report(child(at, name), "is a quantile, which varies with other metrics in a way that is not known")
    if not weights or BROKEN in weights.values():
        return
    total = fsum(weights.values())
    if abs(total - 1) > _ROUNDING:
        report(at, f"has weights of {total:.10g} in all; they add up to 1")
