"""Two arms compared at any time: the default of a live experiment.

Responsible for: which method a metric takes, and that only units whose values are final are read.
Does not know: how a method works (``e_process``, ``confidence_sequence``, ``cdf_band``), earlier looks: the p-value is
of what is known now, and the smallest of all looks (``mixture.running``) is one as well.

Rules: pure. A unit enters a sequential test once, when its window closes, with what it is worth then; what may still
change, as of a metric without a window, is ``NotEnough``. Proportions of independent units are exact at every size.
"""

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough
from router.config.schema import Metric
from router.inference import cdf_band, confidence_sequence, e_process
from router.inference.difference import finite
from router.inference.effect import Asked, Effect, Relative

CHANGING = (
    "its values may still change, and a sequential test takes each unit once: give the metric a window, or a grace "
    "where the phase is over"
)


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare two arms by the method that is valid at any time for the kind of metric.

    Args:
        metric: The metric.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the intervals; ``mde`` is what they are tuned to.
    """
    units = treatment.units.n + control.units.n
    if treatment.provisional or control.provisional:
        return NotEnough(CHANGING, units)
    if metric.kind == "quantile":
        return cdf_band.compare(metric, treatment, control, asked)
    clustered = treatment.clusters is not None or control.clusters is not None
    shares = metric.kind in ("proportion", "retention", "funnel")
    if not shares or clustered or not (_binary(treatment.units) and _binary(control.units)):
        return confidence_sequence.compare(metric, treatment, control, asked)
    return _proportions(metric, treatment, control, asked)


def _binary(sums: Moments) -> bool:
    """Say whether all values were 0 or 1."""
    return finite(sums) and 0 <= sums.y <= sums.n and sums.y == sums.yy == round(sums.y)


def _proportions(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    for name, known in (("treatment", treatment), ("control", control)):
        if known.units.n == 0:
            return NotEnough(f"{name}: {'no unit is mature yet' if known.immature else 'no units'}", 0)
    counts = [(round(known.units.y), known.units.n) for known in (treatment, control)]
    successes, n = (sum(both) for both in zip(*counts, strict=True))
    if successes in (0, n):
        return NotEnough("nobody in both arms" if successes == 0 else "everybody in both arms", n)
    arms = [Estimate(s / n, _error(s, n), n) for s, n in counts]
    value = arms[0].value - arms[1].value
    found = e_process.compare(counts[0], counts[1], asked)
    relative: Relative | NotEnough = NotEnough("control's value is 0", arms[1].n)
    if counts[1][0]:
        relative = Relative(value / arms[1].value, found.ratio)
    notes = ("The covariate was not used: exact tests of proportions have none.",) if metric.covariate else ()
    return Effect(
        value=value,
        interval=found.difference,
        level=1 - asked.alpha,
        relative=relative,
        p=found.p,
        standard_error=None,
        treatment=arms[0],
        control=arms[1],
        method="beta-binomial e-process",
        basis="always valid",
        exact=True,
        notes=notes,
    )


def _error(successes: int, n: int) -> float | None:
    return (successes * (n - successes) / n / n / (n - 1)) ** 0.5 if n > 1 else None
