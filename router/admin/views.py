"""Revisions, configuration, targets and experiments as the admin API shows them.

Responsible for: the shape of those answers.
Does not know: HTTP, who asks.

Rules: reads only; counts are summed over workers at the moment of asking, so two of them may be of different moments.
What could be a secret is not shown.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from router import counters
from router.admin.bandits import bandit_view
from router.admin.endpoints import standings, view
from router.admin.quality import marks_view
from router.admin.release import release_view
from router.config.load import Loaded
from router.config.mistake import Mistake, child
from router.config.origins import leaves
from router.config.paths import find as follow
from router.config.paths import parse
from router.config.schema import Config, Variant
from router.config.secret import shown
from router.config.variant import applied
from router.control.loop import Control
from router.control.seat import Rejected
from router.events.model import Revised, Revision
from router.routing.sample import mirrors
from router.segment import Segment, fold

MAX_VALUES = 20_000  # in one answer


def revision_view(control: Control) -> dict[str, Any]:
    """Return the present revision, how far it has come, and what was refused since."""
    revision = control.revision
    return {
        "number": revision.number,
        "cause": revision.cause,
        "time": revision.time,
        "author": revision.author,
        "digest": revision.digest,
        "held": control.state.held,
        **_reached(control),
        "rejected": _rejected_view(control.rejected),
    }


def progress_view(control: Control) -> dict[str, Any]:
    """Return the number of the present revision, how many workers serve it, and whether the journal has everything."""
    failed = control.seat.segment.words[counters.JOURNAL_FAILED]
    return {"number": control.revision.number, **_reached(control), "journal": "failed" if failed else "written"}


def _reached(control: Control) -> dict[str, int]:
    return {"workers": control.seat.publisher.workers, "acknowledged": control.seat.publisher.acknowledged()}


def _rejected_view(rejected: Rejected | None) -> dict[str, Any] | None:
    if rejected is None:
        return None
    return {"time": rejected.time, "mistakes": mistake_views(rejected.mistakes)}


def mistake_views(mistakes: tuple[Mistake, ...]) -> list[dict[str, Any]]:
    """Return mistakes with their parts and as the one line that ``router check`` prints."""
    return [
        {
            "file": mistake.file,
            "line": mistake.line,
            "path": mistake.path,
            "message": mistake.message,
            "text": str(mistake),
        }
        for mistake in mistakes
    ]


def history_view(entry: Revised) -> dict[str, Any]:
    """Return one entry of the history."""
    return {
        "number": entry.number,
        "cause": entry.cause,
        "time": entry.time,
        "author": entry.author,
        "digest": entry.digest,
        "changes": list(entry.changes),
        "edits": msgspec.to_builtins(entry.edits),
        "edited": entry.edited,
    }


def config_view(control: Control, region: str | None, cluster: str | None, under: str) -> dict[str, Any]:
    """Return each effective value with the place that it came from, and what it replaced there.

    Args:
        control: What is asked.
        region: Whose configuration, of those that the process serves; None is its own.
        cluster: Likewise.
        under: Path of the values that are wanted, by names or indexes.

    Raises:
        LookupError: If the process does not serve that region and cluster, or has no such value.
        ValueError: If the path is none.
    """
    revision, loaded = control.revision, control.loaded
    config, source = revision.config, loaded
    label = Variant(region=region, cluster=cluster).label
    if label:
        variant = next((each for each in revision.config.variants if each.label == label), None)
        if variant is None:
            raise LookupError(f"no requests are told apart as {label!r} here")
        config = applied(revision.config, variant)
        others = loaded.others if loaded is not None else ()
        source = next((each for each in others if _label(control, each) == label), None)
    fresh = loaded is not None and loaded.config == revision.config and source is not None
    found = _origins(config, source, under) if fresh and source is not None else _unknown(revision, config, under)
    values = list(islice(found, MAX_VALUES + 1))
    answer = {"revision": revision.number, "digest": revision.digest, "values": values[:MAX_VALUES]}
    return answer | ({"more": "ask for what is under a path"} if len(values) > MAX_VALUES else {})


def _label(control: Control, other: Loaded) -> str:
    own = control.source.site
    return Variant(
        region=other.site.region if other.site.region != own.region else None,
        cluster=other.site.cluster if other.site.cluster != own.cluster else None,
    ).label


def _origins(config: Config, loaded: Loaded, under: str) -> Iterator[dict[str, Any]]:
    # What the process knows besides, such as targets of other regions, is written in their files.
    path, value = follow(_plain(config), parse(under))
    for leaf in leaves(loaded, path, value):
        shown_leaf: dict[str, Any] = {"path": leaf.path, "value": shown(leaf.path, leaf.value), "origin": leaf.place}
        if leaf.above:
            shown_leaf["above"] = [
                {"value": shown(leaf.path, upper.value), "origin": f"{upper.file}:{upper.line}"} for upper in leaf.above
            ]
        yield shown_leaf


def _unknown(revision: Revision, config: Config, under: str) -> Iterator[dict[str, Any]]:
    """Yield the values of a revision that is not that of the files."""
    path, value = follow(_plain(config), parse(under))
    for at, part in _leaves(path, value):
        yield {"path": at, "value": shown(at, part), "origin": f"revision {revision.number}"}


def _plain(config: Config) -> dict[str, Any]:
    """Return a configuration as plain data."""
    found: dict[str, Any] = msgspec.to_builtins(config)
    found.pop("variants")
    # What flag files say is theirs to show, and too much to show here.
    found["flags"]["sets"] = [each.file for each in config.flags.sets]
    return found


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(child(path, key), part)
    elif isinstance(value, (list, tuple)) and value:
        for index, part in enumerate(value):
            yield from _leaves(child(path, index), part)
    else:
        yield path, value


def targets_view(revision: Revision, segment: Segment) -> list[dict[str, Any]]:
    """Return each target with its endpoints and counts."""
    answered: dict[str, dict[str, int]] = {}
    for key, base in revision.slots.items():
        kind, *names = key.split("\0")
        if kind == "pair":
            codes = fold(segment, base, len(counters.CODE_LABELS))
            sums = answered.setdefault(names[1], {})
            for label, count in zip(counters.CODE_LABELS, codes, strict=True):
                if count:
                    sums[label] = sums.get(label, 0) + count
    endpoints: dict[str, list[dict[str, Any]]] = {}
    offset_s = time.time() - time.monotonic()
    for standing in standings(revision, segment):
        endpoints.setdefault(standing.target, []).append(view(standing, offset_s))
    views = []
    for target in revision.config.targets:
        row = fold(segment, revision.slots[counters.target_key(target.name)], counters.TARGET_WORDS)
        faults = row[counters.TARGET_FAULTS : counters.TARGET_FAULTS + len(counters.FAULTS)]
        codes_seen = answered.get(target.name, {})
        views.append(
            {
                "name": target.name,
                "version": target.version,
                "balance": target.balance,
                "endpoints": endpoints[target.name],
                "inflight": row[counters.TARGET_INFLIGHT],
                "connects": row[counters.TARGET_CONNECTS],
                "requests": sum(codes_seen.values()),
                "codes": codes_seen,
                "faults": dict(zip(counters.FAULTS, faults, strict=True)),
                "shadows": _shadow_views(revision, segment, target.name),
            }
        )
    return views


def _shadow_views(revision: Revision, segment: Segment, target: str) -> list[dict[str, Any]]:
    """Return how a target does as a shadow of each route: of the answers that could be compared, how many agree."""
    views = []
    shadows = ((route.name, shadow) for route in revision.config.routes for shadow in route.shadow)
    copied = {name: shadow.share for name, shadow in shadows if shadow.target == target}
    for release, shadow in mirrors(revision.config, revision.mirrors):
        if shadow.target == target:
            copied[release.route] = max(copied.get(release.route, 0.0), shadow.share)
    for route, share in copied.items():
        row = fold(segment, revision.slots[counters.shadow_key(route, target)], counters.SHADOW_SECONDS)
        results = dict(zip(counters.SHADOW_RESULTS, row[counters.SHADOW_COUNTS :], strict=True))
        agreed, compared = results["agree"], results["agree"] + results["differ"]
        views.append(
            {
                "route": route,
                "share": share,
                "inflight": row[counters.SHADOW_INFLIGHT],
                "agreement": agreed / compared if compared else None,
                "agreed": agreed,
                "compared": compared,
                "results": results,
            }
        )
    return views


def experiments_view(control: Control) -> list[dict[str, Any]]:
    """Return each experiment with its arms, where it is, the counts of its present phase, and how its data are."""
    revision, segment = control.revision, control.seat.segment
    views = []
    for experiment in revision.config.experiments:
        run, weights = revision.runs[experiment.name], revision.weights[experiment.name]
        whole = sum(weights.values())
        kill = revision.killed.get(experiment.name)
        arms = []
        for arm in experiment.arms:
            key = counters.arm_key(experiment.name, run.number, run.phase, arm.name)
            row = fold(segment, revision.slots[key], counters.ARM_WORDS)
            arms.append(
                {
                    "name": arm.name,
                    "target": arm.target,
                    "value": arm.value,
                    "weight": weights[arm.name],
                    "share": weights[arm.name] / whole if whole else 0.0,
                    "exchanges": sum(row[counters.ARM_EXCHANGES : counters.ARM_EXCHANGES + counters.UNIT_BUCKETS]),
                    "failed": sum(row[counters.ARM_FAILURES : counters.ARM_FAILURES + counters.UNIT_BUCKETS]),
                }
            )
        views.append(
            {
                "name": experiment.name,
                "route": experiment.route,
                "hypothesis": experiment.hypothesis,
                "owner": experiment.owner,
                "salt": experiment.salt if experiment.salt is not None else experiment.name,
                "control": experiment.control or experiment.arms[0].name,
                "layer": experiment.layer,
                "flag": experiment.flag,
                "run": run.number,
                "phase": run.phase,
                "epoch": run.epoch,
                "killed": {"by": kill.by, "reason": kill.reason, "time": kill.time} if kill is not None else None,
                **marks_view(revision, control.fold, experiment.name),
                "arms": arms,
                "bandit": bandit_view(experiment, revision, control.ticker),
                "release": release_view(experiment, revision, control.driver),
                "sites": {
                    variant.label: {arm.name: arm.weight for arm in own.arms}
                    for variant in revision.config.variants
                    for own in variant.experiments
                    if own.name == experiment.name and not own.allocate.steered
                },
            }
        )
    return views
