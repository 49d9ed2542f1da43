"""Which weights were in force, from the revisions that were published.

Responsible for: the weights of each run, phase, epoch and site of experiments.
Does not know: the journal's file, exposures.

Rules: pure. A site is a region and cluster whose experiment differs from the process's own (``Enrolment.site``); its
weights are those of its variant of the configuration, but those of a kill and of an allocator hold everywhere. An epoch
that was in force with two different weights, as when the counters have no room for the phase of a kill, has none that
its units could be held to. A policy that looks at the request gives each one weights of its own, which no entry knows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from router.config.allocate import CONTEXTUAL
from router.events.model import Revised, Revision, Run, Ticked

Epoch = tuple[int, int, int, str]
"""Run, phase, epoch and site; the site is empty for the process's own."""
Weights = Mapping[Epoch, Mapping[str, float]]
"""Epoch to arm to weight."""


def in_force(revisions: Iterable[Revised | Revision], ticks: Sequence[Ticked] = ()) -> dict[str, Weights]:
    """Return, by experiment, the weights that revisions tell of, and those that allocators published."""
    revisions = tuple(revisions)
    found: dict[str, dict[Epoch, Mapping[str, float]]] = {}
    doubtful: set[tuple[str, Epoch]] = set()
    for revised in revisions:
        for name, weights in revised.weights.items():
            place_of = revised.runs.get(name)
            if place_of is None:
                continue
            known = found.setdefault(name, {})
            for site, given in _by_site(revised, name, weights).items():
                place = place_of.number, place_of.phase, place_of.epoch, site
                if known.setdefault(place, given) != given:
                    doubtful.add((name, place))
    for name, run, epoch, allotted in _published(revisions, ticks):
        epochs = found.setdefault(name, {})
        for site in {place[3] for place in epochs} or {""}:
            epochs[run.number, run.phase, epoch, site] = allotted
    each = {
        item.name for revised in revisions for item in revised.config.experiments if item.allocate.use in CONTEXTUAL
    }
    return {
        name: {place: given for place, given in known.items() if (name, place) not in doubtful}
        for name, known in found.items()
        if name not in each
    }


def _published(
    revisions: Sequence[Revised | Revision], ticks: Sequence[Ticked]
) -> Iterator[tuple[str, Run, int, Mapping[str, float]]]:
    """Yield experiment, place, epoch and weights of what allocators published, at once or for later."""
    for each in (*revisions, *ticks):
        for name, coming in each.coming.items():
            if name in each.runs:
                yield name, each.runs[name], coming.epoch, coming.weights
    for tick in ticks:
        for name, weights in tick.weights.items():
            yield name, tick.runs[name], tick.runs[name].epoch, weights


def _by_site(revised: Revised | Revision, name: str, weights: Mapping[str, float]) -> dict[str, Mapping[str, float]]:
    """Return the weights of one experiment at each site that has its own, and elsewhere."""
    found: dict[str, Mapping[str, float]] = {"": weights}
    for variant in revised.config.variants:
        own = next((item for item in variant.experiments if item.name == name), None)
        if own is not None:
            ours = name in revised.killed or own.allocate.steered
            found[variant.label] = weights if ours else {arm.name: arm.weight for arm in own.arms}
    return found
