"""How the chance of a wrong rollback is shared: over guardrails, stages and the fast path.

Responsible for: the level of each test of a release.
Does not know: how it is tested.

    level of one guardrail = alpha x 95 % x its weight / weights of all that can stop a release
    the fast path          = alpha x 5 %

A guardrail on failures weighs ``FAILURES``, any other 1: any weights hold the sum, and failures are what people feel
first and what is rarest, so that each of them has to count.

Guardrails that read counters run over the whole release as one test: within it, marks' weights share the level over
stages (``track``). A test that begins anew in each stage gets the level / stages. Guardrails that only warn, and
dry runs, change nothing: they have a level as well, and take none from the others.

A *pass* is at alpha itself, unshared: a version that breaks a margin is let through only if that very guardrail passes
wrongly in every stage, so the chance is that of one test (an intersection-union test; Berger, Technometrics 1982).

Rules: pure.
"""

from collections.abc import Mapping
from typing import Final

from router.config.schema import Experiment, Guardrail, Metric

ALPHA: Final = 0.01
FAST: Final = 0.05
"""Part of alpha that the fast path has."""
FAILURES: Final = 3.0
"""Weight of a guardrail on failures."""


def alpha(experiment: Experiment) -> float:
    """Return the chance, over a whole release, that a version that is no worse is rolled back."""
    return ALPHA if experiment.metrics is None else experiment.metrics.guard_alpha


def guard_level(experiment: Experiment, guardrail: Guardrail, metrics: Mapping[str, Metric]) -> float:
    """Return the level at which a guardrail fails, over a whole release.

    Args:
        experiment: The experiment.
        guardrail: One of its guardrails.
        metrics: Every metric by name.
    """
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    judged = sum(_weight(each, metrics) for each in given if each.action != "warn" and not each.dry_run)
    own = _weight(guardrail, metrics)
    return alpha(experiment) * (1 - FAST) * own / max(own, judged)


def stage_level(experiment: Experiment, guardrail: Guardrail, metrics: Mapping[str, Metric]) -> float:
    """Return the level at which a guardrail fails within one stage, where each stage is tested for itself."""
    return guard_level(experiment, guardrail, metrics) / stages(experiment)


def _weight(guardrail: Guardrail, metrics: Mapping[str, Metric]) -> float:
    metric = None if guardrail.metric is None else metrics.get(guardrail.metric)
    return FAILURES if metric is not None and metric.exchange == "failed" else 1.0


def fast_level(experiment: Experiment) -> float:
    """Return the level of the fast path."""
    return alpha(experiment) * FAST


def pass_level(experiment: Experiment) -> float:
    """Return the level at which a guardrail passes."""
    return alpha(experiment)


def stages(experiment: Experiment) -> int:
    """Return in how many stages a release is judged: those of its traffic, and the bake."""
    return len(experiment.allocate.ladder) + 1 if experiment.allocate.driven else 1
