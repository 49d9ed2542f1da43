"""How the chance of a wrong rollback is shared: over guardrails, stages and the fast path.

Responsible for: the level of each test of a release.
Does not know: how it is tested.

    level of one guardrail = alpha x 90 % / guardrails that can stop a release
    the fast path          = alpha x 10 %

Guardrails that read counters run over the whole release as one test: within it, marks' weights share the level over
stages (``track``). A test that begins anew in each stage gets the level / stages. Guardrails that only warn, and
dry runs, change nothing: they have a level as well, and take none from the others.

A *pass* is at alpha itself, unshared: a version that breaks a margin is let through only if that very guardrail passes
wrongly in every stage, so the chance is that of one test (an intersection-union test; Berger, Technometrics 1982).

Rules: pure.
"""

from typing import Final

from router.config.schema import Experiment

ALPHA: Final = 0.01
FAST: Final = 0.1
"""Part of alpha that the fast path has."""


def alpha(experiment: Experiment) -> float:
    """Return the chance, over a whole release, that a version that is no worse is rolled back."""
    return ALPHA if experiment.metrics is None else experiment.metrics.guard_alpha


def guard_level(experiment: Experiment) -> float:
    """Return the level at which one guardrail fails, over a whole release."""
    if experiment.metrics is None:
        return alpha(experiment)
    judged = [each for each in experiment.metrics.guardrails if each.action != "warn" and not each.dry_run]
    return alpha(experiment) * (1 - FAST) / max(1, len(judged))


def stage_level(experiment: Experiment) -> float:
    """Return the level at which one guardrail fails within one stage, where each stage is tested for itself."""
    return guard_level(experiment) / stages(experiment)


def fast_level(experiment: Experiment) -> float:
    """Return the level of the fast path."""
    return alpha(experiment) * FAST


def pass_level(experiment: Experiment) -> float:
    """Return the level at which a guardrail passes."""
    return alpha(experiment)


def stages(experiment: Experiment) -> int:
    """Return in how many stages a release is judged: those of its traffic, and the bake."""
    given = getattr(experiment.allocate, "stages", None)
    return 1 if not given else len(given) + 1
