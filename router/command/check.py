"""What ``router check`` does.

Responsible for: loading, and writing mistakes or differences for people and for programs.
Does not know: what a mistake is (``router.config``), or what a running router refuses (``router.control``).

Rules: mistakes go to standard error, one a line, as ``file:line: $.path: message``; standard output carries the result
and nothing else.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from router.config.diff import differences
from router.config.load import Loaded, Site, load, load_every
from router.config.mistake import ConfigError, Mistake
from router.config.moves import OUTSIDE, moves, percent
from router.config.schema import Config
from router.control.refuse import across, in_place, restart_differences
from router.rollout.hold import hard
from router.rollout.times import times


def check(path: Path, old: Path | None, site: Site, *, as_json: bool) -> int:
    """Check a configuration, and compare it with an earlier one.

    Args:
        path: the configuration, a file or a folder.
        old: what it is compared with.
        site: whose configuration of a folder; without region and cluster, every combination that has files.
        as_json: write one JSON object for programs.

    Returns:
        0 when there is no mistake, otherwise 1.
    """
    try:
        every = load_every(path) if site == Site() else (load(path, site),)
        _refuse([mistake for loaded in every for mistake in across(loaded)])
        found = [_differences(old, loaded) for loaded in every] if old is not None else []
    except ConfigError as error:
        report(error, as_json=as_json)
        return 1
    summary, rollouts = count(every[0].config), releases(every[0].config)
    if len(every) > 1:
        summary += f"; {len(every)} combinations of region and cluster"
    if as_json:
        sites = [{"region": each.site.region, "cluster": each.site.cluster, "digest": each.digest} for each in every]
        below = {"sites": [{**one, "diff": diff} for one, diff in zip(sites, found, strict=True)] if found else sites}
        diff = {"diff": found[0]} if found else {}
        more = below if len(every) > 1 else {}
        more = {**more, "rollouts": rollouts} if rollouts else more
        _write({"ok": True, "summary": summary, "digest": every[0].digest, **diff, **more})
        return 0
    sys.stdout.write(f"ok: {summary}\n")
    for rollout in rollouts:
        sys.stdout.write(f"{_takes(rollout)}\n")
    _write_differences(every, found)
    return 0


def _refuse(mistakes: Sequence[Mistake]) -> None:
    """Raise what a router would refuse to serve."""
    if mistakes:
        raise ConfigError(mistakes)


def _differences(old: Path, new: Loaded) -> dict[str, Any]:
    return compare(load(old, new.site).config, new)


def _write_differences(every: Sequence[Loaded], found: Sequence[dict[str, Any]]) -> None:
    """Write what changes for a router without region and cluster, and for the others what does so besides."""
    said: list[str] = []
    for loaded, diff in zip(every, found, strict=False):
        lines = [line for line in _lines(diff) if line not in said]
        said += lines if loaded is every[0] else []
        for line in lines:
            sys.stdout.write(f"{line}\n" if loaded is every[0] else f"{loaded.site}: {line}\n")


def report(error: ConfigError, *, as_json: bool = False) -> None:
    """Write every mistake, to standard error or as JSON to standard output."""
    if as_json:
        mistakes = [{key: getattr(item, key) for key in ("file", "line", "path", "message")} for item in error.mistakes]
        _write({"ok": False, "mistakes": mistakes})
    else:
        sys.stderr.write(f"{error}\n")


def count(config: Config) -> str:
    """Say what a configuration holds: ``2 targets, 1 route, 1 experiment``."""
    numbers = (
        (len(config.targets), "target"),
        (len(config.routes), "route"),
        (len(config.experiments), "experiment"),
    )
    return ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers)


def releases(config: Config) -> list[dict[str, Any]]:
    """Say how long each staged rollout takes, and whether anything but a person stops it."""
    found = []
    for experiment in config.experiments:
        if experiment.allocate.use != "rollout":
            continue
        took = times(experiment.allocate)
        found.append(
            {
                "experiment": experiment.name,
                "shortest_s": took.shortest_s,
                "longest_s": took.longest_s,
                "unbounded": list(took.unbounded),
                "guarded": bool(hard(experiment)),
            }
        )
    return found


def _takes(rollout: dict[str, Any]) -> str:
    longest, unbounded = rollout["longest_s"], rollout["unbounded"]
    if longest is None:
        verb = "has" if len(unbounded) == 1 else "have"
        end = f"unbounded at most: {', '.join(unbounded)} {verb} no deadline that ends it"
    else:
        end = f"{_spoken(longest)} at most"
    unguarded = "" if rollout["guarded"] else "; no guardrail rolls it back but that nothing answers"
    return f"rollout {rollout['experiment']} takes {_spoken(rollout['shortest_s'])} at least, {end}{unguarded}"


def _spoken(seconds: float) -> str:
    """Write a duration as people say it: ``2d 14h 10m``."""
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts) or "0s"


def compare(old: Config, new: Loaded) -> dict[str, Any]:
    """Say what a change does: differences, moves of units, and what a running router would not take over."""
    return {
        "changes": list(differences(old, new.config)),
        "moves": [
            {"experiment": move.experiment, "from": move.before, "to": move.after, "share": move.share}
            for move in moves(old, new.config)
        ],
        "refused": [str(mistake) for mistake in in_place(old, new)],
        "restart": [key for key, _, _ in restart_differences(old, new.config)],
    }


def _lines(found: dict[str, Any]) -> list[str]:
    lines = found["changes"] or ["nothing changes"]
    lines = [*lines, *(_move(move) for move in found["moves"])]
    lines += [f"a running router refuses this: {text}" for text in found["refused"]]
    return [
        *lines,
        *(f"a running router refuses this until it is restarted: {key} changes" for key in found["restart"]),
    ]


def _move(move: dict[str, Any]) -> str:
    units = f"experiment {move['experiment']}: {percent(move['share'])} of units"
    if move["from"] == OUTSIDE:
        return f"{units} enter it, into {move['to']}"
    if move["to"] == OUTSIDE:
        return f"{units} leave it, from {move['from']}"
    return f"{units} move from {move['from']} to {move['to']}"


def _write(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
