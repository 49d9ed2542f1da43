"""Which metrics are the same as what the shared counters say, so that they need no log to be read.

Responsible for: the quantity of conditions that a metric is, if it is one.
Does not know: counters, logs.

Rules: pure. Counters count every exchange, so a metric's window after the first exposure makes no difference here: a
guard looks at all of them.
"""

from collections.abc import Mapping
from typing import Any

from router.config.condition import Comparison, Condition, Quantity

_MOST_PERCENT = 99.9999


def counted(metric: Mapping[str, Any]) -> Quantity | None:
    """Return the quantity that a metric is; None when counters do not say it.

    Args:
        metric: Keys of the metric, as resolved; of a ``Metric``, ``msgspec.structs.asdict`` gives them.
    """
    kind, exchange, q = metric.get("kind"), metric.get("exchange"), metric.get("q")
    if kind == "ratio" and exchange == "failed":
        return Quantity("error_rate")
    if kind == "quantile" and exchange == "duration" and isinstance(q, float | int) and 0 < q * 100 <= _MOST_PERCENT:
        return Quantity("quantile", percent=round(q * 100, 4))
    return None


def with_counted(condition: Condition, metrics: Mapping[str, Quantity]) -> Condition:
    """Return a condition with metrics that counters say written as what they are.

    Args:
        condition: The condition.
        metrics: Name of a metric to the quantity that it is.
    """
    if not isinstance(condition, Comparison):
        return type(condition)(tuple(with_counted(each, metrics) for each in condition.terms))
    old = condition.quantity
    found = metrics.get(old.name) if old.kind == "metric" and not old.change else None
    if found is None:
        return condition
    of = Quantity(found.kind, percent=found.percent, of_control=old.of_control)
    return Comparison(of, condition.operator, condition.limit, condition.for_s, condition.confidence)
