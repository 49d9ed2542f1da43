"""The keys of ``watch``: what each detector has, and what each entry refers to."""

import pytest

from router.config.watching import DETECTORS, MOST, Watch
from tests.config.sample import SMALL, loaded, mistakes

EXPERIMENT = """
metrics:
  - {name: errors, kind: ratio, exchange: failed, goal: down}
  - {name: ctr, kind: proportion, outcome: click, goal: up}
  - {name: mean_time, kind: mean, exchange: duration, goal: down}
  - {name: tail, kind: quantile, exchange: duration, q: 0.999, goal: down}
"""


def one(text: str) -> list[str]:
    """Give the mistakes of a configuration with one entry, without the file's name."""
    return [line.partition(": ")[2] for line in mistakes(f"watch: [{{{text}}}]\n{EXPERIMENT}{SMALL}")]


@pytest.mark.parametrize(
    ("text", "expected", "label"),
    [
        (
            "metric: p99, detector: cusum, severity: warning",
            Watch(metric="p99", detector="cusum", severity="warning"),
            "p99 cusum",
        ),
        (
            "json: /confidence, of: response, sample: 1%, detector: psi, severity: info",
            Watch(json="/confidence", sample=0.01, detector="psi", severity="info"),
            "response:/confidence psi",
        ),
        ("json: /country, of: request", Watch(json="/country", of="request"), "request:/country psi"),
        ("metric: tail, every: 90d", Watch(metric="tail", every=7_776_000.0), "tail cusum"),
        ("name: together, detector: autoencoder", Watch(name="together", detector="autoencoder"), "together"),
        (
            "score: f1, prediction: /label, outcome: truth, wait: 1h, sample: 10%",
            Watch(score="f1", prediction="/label", outcome="truth", wait=3600.0, sample=0.1),
            "f1 cusum",
        ),
    ],
)
def test_what_is_written_is_read(text: str, expected: Watch, label: str) -> None:
    """Each entry has its keys, with their units resolved, and a name."""
    (found,) = loaded(f"watch: [{{{text}}}]\n{EXPERIMENT}{SMALL}").config.watch
    assert found == expected
    assert found.label == label


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("severity: info", "$.watch[0]: says nothing to watch; give it one of metric, json, score and scrape"),
        ("metric: p99, json: /a", "$.watch[0]: says several things to watch"),
        ("metric: p9", '$.watch[0].metric: there is no stream "p9"; did you mean p99?'),
        ("metric: error", '$.watch[0].metric: there is no stream "error"; did you mean errors?'),
        ("metric: ctr", '$.watch[0].metric: "ctr" is not measured on every exchange'),
        ("metric: mean_time", '$.watch[0].metric: "mean_time" is a mean; of latency, watch a metric of kind: quantile'),
        ("metrics: [p99, nope], detector: autoencoder", '$.watch[0].metrics[1]: there is no stream "nope"'),
        ("metric: p99, detector: psi", "$.watch[0].detector: psi does not watch metric, but json"),
        ("metric: p99, of: request", "$.watch[0].of: has no effect without json"),
        ("metric: p99, sample: 1%", "$.watch[0].sample: has no effect without json or score"),
        ("score: f1, prediction: /a", "$.watch[0]: score needs outcome"),
        ("scrape: /metrics, target: t", "$.watch[0]: scrape needs gauge"),
        ("scrape: /metrics, gauge: g, target: nope", '$.watch[0].target: there is no target "nope"'),
        ("metric: p99, experiment: nope", '$.watch[0].experiment: there is no experiment "nope"'),
        ("metric: p99, parameters: {slak: 1}", '$.watch[0].parameters.slak: cusum has no "slak"; did you mean slack?'),
        ("metric: p99, parameters: {slack: 11}", "$.watch[0].parameters.slack: 11 makes no sense of slack"),
        ("metric: p99, every: 7d, parameters: {limit: 5}", "$.watch[0].parameters.limit: says otherwise what every"),
        ("metric: p99, period: 1d", "$.watch[0].period: cusum has no period"),
        ("metric: p99, detector: seasonal, interval: 1s", "$.watch[0]: its period has 86400 intervals"),
        ("metric: p99, detector: cussum", "$.watch[0].detector: expected"),
    ],
)
def test_what_does_not_go_together_is_refused(text: str, mistake: str) -> None:
    """Each mistake names the place, the value and the way out."""
    found = one(text)
    assert any(mistake in line for line in found), found


def test_names_are_unique_and_entries_bounded() -> None:
    """A name tells entries apart in metrics and on pages."""
    twice = mistakes(f"watch: [{{name: a, metric: p99}}, {{name: a, metric: p50}}]\n{SMALL}")
    assert any("is already the name of" in line for line in twice)
    same = mistakes(f"watch: [{{metric: p99}}, {{metric: p99, severity: info}}]\n{SMALL}")
    assert any("is called as" in line for line in same), same
    many = ", ".join(f"{{name: n{at}, metric: p99}}" for at in range(MOST + 1))
    assert any(f"has {MOST + 1} entries" in line for line in mistakes(f"watch: [{many}]\n{SMALL}"))


def test_every_limit_of_a_detector_is_one_of_its_parameters() -> None:
    """What follows from ``every`` can be told otherwise."""
    for needs in DETECTORS.values():
        assert set(needs.limits) <= set(needs.parameters)
