"""An empty Prometheus family by its name, to be filled with samples.

Responsible for: making families with the help and labels that ``router.admin.families`` gives them.
Does not know: samples.
"""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from router.admin.families import FAMILIES


def counter_of(name: str) -> CounterMetricFamily:
    """Return an empty counter; KeyError for a name that is not listed."""
    family = FAMILIES[name]
    return CounterMetricFamily(family.name, family.help, labels=family.labels)


def gauge_of(name: str) -> GaugeMetricFamily:
    """Return an empty gauge; KeyError for a name that is not listed."""
    family = FAMILIES[name]
    return GaugeMetricFamily(family.name, family.help, labels=family.labels)


def histogram_of(name: str) -> HistogramMetricFamily:
    """Return an empty histogram; KeyError for a name that is not listed."""
    family = FAMILIES[name]
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)
