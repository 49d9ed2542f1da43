"""Which weights were in force, from the revisions that were published.

Responsible for: the weights of each run, phase, epoch and site of experiments.
Does not know: the journal's file, exposures.

Rules: pure. A site is a region and cluster whose experiment differs from the process's own (``Enrolment.site``); its
weights are those of its variant of the configuration, but a kill holds everywhere.
"""

from collections.abc import Iterable, Mapping

from router.events.model import Revised, Revision

Weights = Mapping[tuple[int, int, int, str], Mapping[str, float]]
"""Run, phase, epoch and site (empty for the process's own) to arm to weight."""


def in_force(revisions: Iterable[Revised | Revision]) -> dict[str, Weights]:
    """Return, by experiment, the weights that revisions tell of."""
    found: dict[str, dict[tuple[int, int, int, str], Mapping[str, float]]] = {}
    for revised in revisions:
        for name, weights in revised.weights.items():
            run = revised.runs.get(name)
            if run is None:
                continue
            known = found.setdefault(name, {})
            known[run.number, run.phase, run.epoch, ""] = weights
            for variant in revised.config.variants:
                own = next((item for item in variant.experiments if item.name == name), None)
                if own is not None:
                    given = weights if name in revised.killed else {arm.name: arm.weight for arm in own.arms}
                    known[run.number, run.phase, run.epoch, variant.label] = given
    return dict(found)
