"""What an entry of ``watch`` says about itself, and about the rest of the configuration.

Responsible for: which keys go together, what a detector may watch and be told, names that must exist.
Does not know: what one value says alone; that was resolved before. Whether libraries are installed.

Rules: those of ``references``.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from router.config.mistake import child, show
from router.config.parts import Report, given, items, must_exist, named, unique_names
from router.config.resolve import BROKEN
from router.config.watching import BUILT_IN, DETECTORS, MOST, Watch

_SOURCES: Final = ("metric", "metrics", "json", "score", "scrape")
_BELONGS: Final = {
    "of": "json",
    "sample": "json or score",
    "prediction": "score",
    "outcome": "score",
    "positive": "score",
    "wait": "score",
    "gauge": "scrape",
    "target": "scrape",
}
_NEEDED: Final = {"score": ("prediction", "outcome"), "scrape": ("gauge", "target")}
_CALLED: Final = ("name", "metric", "json", "of", "score", "gauge", "detector")
_LEAST_SLOTS: Final = 4
_MOST_SLOTS: Final = 2016


def check_watching(config: Mapping[str, Any], report: Report) -> None:
    """Report what entries of ``watch`` have that does not go together, or that refers to nothing."""
    entries = list(items(config, "watch"))
    if len(entries) > MOST:
        report("$.watch", f"has {len(entries)} entries; the most is {MOST}")
    unique_names(entries, report)
    _labels(entries, report)
    for path, entry in entries:
        _entry(path, entry, config, report)


def _labels(entries: list[tuple[str, dict[str, Any]]], report: Report) -> None:
    """Report entries without a name that are called as an earlier one is."""
    seen: dict[str, str] = {}
    for path, entry in entries:
        if BROKEN in entry.values():
            continue
        wanted = {key: value for key, value in entry.items() if key in _CALLED}
        label = Watch(**wanted).label
        if seen.setdefault(label, path) != path and "name" not in entry:
            report(path, f"is called as {seen[label]} is, {show(label)}; give it a name")


def _entry(path: str, entry: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    source = _source(path, entry, report)
    if given(entry, "experiment"):
        must_exist(f"{path}.experiment", entry["experiment"], named(config, "experiments"), "experiment", report)
        if source == "scrape":
            _only_targets(path, entry, config, report)
    if "target" in entry:
        must_exist(f"{path}.target", entry["target"], named(config, "targets"), "target", report)
    for at, name in _streams(path, entry):
        _measurable(at, name, config, report)
    detector = entry.get("detector", "psi" if "json" in entry else "cusum")
    if detector is BROKEN or source is None:
        return
    _detector(path, entry, detector, source, report)
    _parameters(path, entry, detector, report)
    _period(path, entry, report)


def _source(path: str, entry: Mapping[str, Any], report: Report) -> str | None:
    """Return what is watched: the one key that says it."""
    found = [key for key in _SOURCES if key in entry]
    several = entry.get("detector") in ("isolation_forest", "autoencoder")
    if not found and several:
        found = ["metrics"]
    if len(found) != 1:
        what = "says several things to watch" if found else "says nothing to watch"
        report(path, f"{what}; give it one of metric, json, score and scrape")
        return None
    source = found[0]
    for key, of in _BELONGS.items():
        if key in entry and source not in of.split(" or "):
            report(f"{path}.{key}", f"has no effect without {of}")
    for key in _NEEDED.get(source, ()):
        if key not in entry:
            report(path, f"{source} needs {key}")
    return source


def _streams(path: str, entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = [(f"{path}.metric", entry["metric"])] if "metric" in entry else []
    several = entry.get("metrics", ())
    if isinstance(several, list | tuple):
        found += [(f"{path}.metrics[{index}]", name) for index, name in enumerate(several)]
    return found


def _measurable(at: str, name: Any, config: Mapping[str, Any], report: Report) -> None:
    if name is BROKEN:
        return
    metrics = named(config, "metrics")
    if name in metrics:
        metric = metrics[name]
        if metric.get("exchange", BROKEN) not in ("failed", "duration", "first_byte", BROKEN) or (
            "exchange" not in metric
        ):
            report(
                at,
                f"{show(name)} is not measured on every exchange, so it has no stream; watch a metric of exchange: "
                "failed, duration or first_byte, or a value of the body with json",
            )
        elif metric.get("exchange") in ("duration", "first_byte") and metric.get("kind") not in ("quantile", BROKEN):
            report(at, f"{show(name)} is a {metric['kind']}; of latency, watch a metric of kind: quantile")
    elif name not in BUILT_IN:
        known = [*BUILT_IN, *metrics]
        near = get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known[:10])}"
        report(at, f"there is no stream {show(name)}{hint}")


def _detector(path: str, entry: Mapping[str, Any], detector: str, source: str, report: Report) -> None:
    needs = DETECTORS[detector]
    if source not in needs.watches:
        fits = [name for name, each in DETECTORS.items() if source in each.watches]
        report(
            f"{path}.detector" if "detector" in entry else path,
            f"{detector} does not watch {source}, but {' and '.join(needs.watches)}; of {source} there are: "
            f"{', '.join(fits)}",
        )
    for key in ("direction", "window", "period"):
        if key in entry and key not in needs.keys:
            report(f"{path}.{key}", f"{detector} has no {key}")


def _parameters(path: str, entry: Mapping[str, Any], detector: str, report: Report) -> None:
    needs = DETECTORS[detector]
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        return
    at = f"{path}.parameters"
    for name, value in parameters.items():
        if name not in needs.parameters:
            near = get_close_matches(str(name), needs.parameters, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(needs.parameters)}"
            report(child(at, name), f"{detector} has no {show(name)}{hint}")
        elif value is not BROKEN and not _sensible(name, value):
            report(child(at, name), f"{value:g} makes no sense of {name}; {_SENSE[name]}")
        elif name in needs.limits and "every" in entry:
            report(child(at, name), f"says otherwise what every says; leave one of them out: {name} follows from every")


_SENSE: Final = {
    "limit": "write standard deviations above 0, at most 100",
    "threshold": "write standard deviations above 0, at most 1000",
    "slack": "write standard deviations from 0 to 10",
    "delta": "write standard deviations from 0 to 10",
    "weight": "write a share above 0, at most 1",
    "penalty": "write a number above 0, at most 10000",
    "window": "write a whole number of points from 20 to 1000",
    "stride": "write a whole number of points from 1 to 1000",
    "least": "write a whole number of points from 2 to 100",
    "hidden": "write a whole number from 1 to 32",
    "at_least": "write a number above 0, at most 100",
}
_RANGES: Final = {
    "limit": (0.0, 100.0),
    "threshold": (0.0, 1000.0),
    "weight": (0.0, 1.0),
    "penalty": (0.0, 10_000.0),
    "at_least": (0.0, 100.0),
}
_CLOSED: Final = {"slack": (0.0, 10.0), "delta": (0.0, 10.0)}
_WHOLE: Final = {"window": (20, 1000), "stride": (1, 1000), "least": (2, 100), "hidden": (1, 32)}


def _sensible(name: str, value: float) -> bool:
    if name in _WHOLE:
        least, most = _WHOLE[name]
        return value == int(value) and least <= value <= most
    if name in _CLOSED:
        low, high = _CLOSED[name]
        return low <= value <= high
    low, high = _RANGES[name]
    return low < value <= high


def _only_targets(path: str, entry: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    """Report a gauge of a target that is no arm of the experiment that it is said to belong to."""
    experiment = named(config, "experiments").get(entry["experiment"], {})
    targets = [arm.get("target") for _, arm in items(experiment, "arms")]
    target = entry.get("target", BROKEN)
    if experiment and target is not BROKEN and target not in targets:
        report(f"{path}.target", f"{show(target)} is no arm of experiment {show(entry['experiment'])}")


def _period(path: str, entry: Mapping[str, Any], report: Report) -> None:
    if entry.get("detector") != "seasonal":
        return
    period, interval = entry.get("period", 86_400.0), entry.get("interval", 300.0)
    if BROKEN in (period, interval):
        return
    if not _LEAST_SLOTS <= period / interval <= _MOST_SLOTS:
        report(
            path,
            f"its period has {period / interval:g} intervals; there must be from {_LEAST_SLOTS} to {_MOST_SLOTS}: "
            "change period or interval",
        )
