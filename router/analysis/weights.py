"""Which weights were in force, from the revisions that were published.

Responsible for: the weights of each run, phase, epoch and site of experiments.
Does not know: the journal's file, exposures.

Rules: pure. A site is a region and cluster whose experiment differs from the process's own (``Enrolment.site``); its
weights are those of its variant of the configuration, but a kill holds everywhere. An epoch that was in force with two
different weights, as when the counters have no room for the phase of a kill, has none that its units could be held to.
"""

from collections.abc import Iterable, Mapping

from router.events.model import Revised, Revision

Weights = Mapping[tuple[int, int, int, str], Mapping[str, float]]
"""Run, phase, epoch and site (empty for the process's own) to arm to weight."""


def in_force(revisions: Iterable[Revised | Revision]) -> dict[str, Weights]:
    """Return, by experiment, the weights that revisions tell of."""
    found: dict[str, dict[tuple[int, int, int, str], Mapping[str, float]]] = {}
    doubtful: set[tuple[str, tuple[int, int, int, str]]] = set()
    for revised in revisions:
        for name, weights in revised.weights.items():
            run = revised.runs.get(name)
            if run is None:
                continue
            known = found.setdefault(name, {})
            for site, given in _by_site(revised, name, weights).items():
                place = run.number, run.phase, run.epoch, site
                if known.setdefault(place, given) != given:
                    doubtful.add((name, place))
    return {
        name: {place: given for place, given in known.items() if (name, place) not in doubtful}
        for name, known in found.items()
    }


def _by_site(revised: Revised | Revision, name: str, weights: Mapping[str, float]) -> dict[str, Mapping[str, float]]:
    """Return the weights of one experiment at each site that has its own, and elsewhere."""
    found = {"": weights}
    for variant in revised.config.variants:
        own = next((item for item in variant.experiments if item.name == name), None)
        if own is not None:
            found[variant.label] = weights if name in revised.killed else {arm.name: arm.weight for arm in own.arms}
    return found
