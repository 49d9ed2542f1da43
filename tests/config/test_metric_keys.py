"""The keys about metrics: what each kind has and needs, and how long events must be kept for it."""

import pytest

from router.config.metric import Covariate, Metric
from tests.config.sample import SMALL, loaded, mistakes


def one(text: str) -> list[str]:
    """Give the mistakes of a configuration with one metric, without the file's name."""
    return [line.partition(": ")[2] for line in mistakes(f"metrics: [{{name: m, goal: up, {text}}}]\n{SMALL}")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "kind: mean, outcome: revenue, window: 7d, cap: 99.9%, covariate: {outcome: revenue, before: 14d}",
            Metric(
                name="m",
                goal="up",
                kind="mean",
                outcome="revenue",
                window=604800.0,
                cap=0.999,
                covariate=Covariate(outcome="revenue", before=1209600.0),
            ),
        ),
        (
            "kind: ratio, numerator: revenue, denominator: click",
            Metric(name="m", goal="up", kind="ratio", numerator="revenue", denominator="click"),
        ),
        (
            "kind: mean, exchange: 'header:X-GPU-Seconds'",
            Metric(name="m", goal="up", kind="mean", exchange="header:x-gpu-seconds"),
        ),
        (
            "kind: proportion, exchange: 'json:/safety/flagged', sample: 5%",
            Metric(name="m", goal="up", kind="proportion", exchange="json:/safety/flagged", sample=0.05),
        ),
        (
            "kind: quantile, exchange: duration, q: 0.99",
            Metric(name="m", goal="up", kind="quantile", exchange="duration", q=0.99),
        ),
        (
            "kind: retention, outcome: visit, day: 7",
            Metric(name="m", goal="up", kind="retention", outcome="visit", day=7),
        ),
        (
            "kind: funnel, steps: [view, click, buy], window: 1d",
            Metric(name="m", goal="up", kind="funnel", steps=("view", "click", "buy"), window=86400.0),
        ),
    ],
)
def test_what_is_written_is_read(text: str, expected: Metric) -> None:
    """Each kind has its keys, with their units resolved."""
    metrics = loaded(f"metrics: [{{name: m, goal: up, {text}}}]\n{SMALL}").config.metrics
    assert metrics == (expected,)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("kind: mean", "$.metrics[0]: a mean needs outcome or exchange"),
        ("kind: mean, outcome: a, exchange: failed", "$.metrics[0]: a mean needs outcome or exchange; it has more"),
        ("kind: ratio, numerator: a", "$.metrics[0]: a ratio needs denominator"),
        ("kind: quantile, exchange: duration", "$.metrics[0]: a quantile needs q"),
        ("kind: quantile, exchange: failed, q: 0.5", '$.metrics[0].exchange: "failed" is yes or no'),
        ("kind: proportion, exchange: duration", '$.metrics[0].exchange: "duration" is no yes or no'),
        ("kind: retention, outcome: a", "$.metrics[0]: a retention needs day"),
        ("kind: retention, outcome: a, day: 7, window: 1d", "$.metrics[0].window: a retention has no window"),
        ("kind: count, outcome: a, q: 0.5", "$.metrics[0].q: a count has no q"),
        ("kind: funnel, steps: [a]", "$.metrics[0].steps: a funnel needs at least two steps"),
        ("kind: mean, exchange: failed, grace: 1h", "$.metrics[0].grace: has no effect without window"),
        ("kind: mean, exchange: failed, sample: 5%", '$.metrics[0].sample: has no effect on "failed"'),
        ("kind: mean, outcome: a, sample: 5%", "$.metrics[0].sample: has no effect without"),
        ("kind: mean, exchange: latency", '$.metrics[0].exchange: "latency" cannot be measured; write failed'),
        ("kind: mean, outcome: a, cap: 20%", '$.metrics[0].cap: "20%" is too small; the least is 50%'),
        ("kind: median, outcome: a", "$.metrics[0].kind: "),
    ],
)
def test_what_a_kind_cannot_have_is_refused(text: str, mistake: str) -> None:
    """Each mistake is named by its path, with what would be right."""
    assert any(line.startswith(mistake) for line in one(text)), one(text)


def test_events_are_kept_long_enough() -> None:
    """A metric that would need events that are deleted by then is refused, with the sum that says so."""
    text = "kind: mean, outcome: r, window: 20d, covariate: {outcome: r, before: 14d}"
    said = "$.metrics[0]: needs events of 14d (covariate) + 20d (window) = 34d, but events.keep.age is 30d; raise it"
    assert [line.partition(", or")[0] for line in one(text)] == [said]
    assert not mistakes(f"events: {{keep: {{age: 34d}}}}\nmetrics: [{{name: m, goal: up, {text}}}]\n{SMALL}")


def measured(primary: str, secondary: str) -> str:
    """Give a configuration with two metrics, and an experiment that names some."""
    keys = f"    metrics: {{primary: {primary}, secondary: [{secondary}]}}\n    slices: [new_unit, day]\n"
    return TWO + SMALL + keys


TWO = "metrics: [{name: m, kind: count, outcome: a, goal: up}, {name: n, kind: count, outcome: b, goal: up}]\n"


def test_an_experiment_names_its_metrics() -> None:
    """The primary comes first; slices that no route has are the two that the analysis makes itself."""
    made = loaded(measured("m", "n")).config.experiments[0]
    assert made.metrics is not None
    assert made.metrics.names() == ("m", "n")
    assert made.slices == ("new_unit", "day")


def test_metrics_of_an_experiment_must_exist_and_differ() -> None:
    """A name that is no metric is refused where it stands; so is one that is named twice."""
    assert [line.partition(": ")[2] for line in mistakes(measured("x", "n"))] == [
        '$.experiments[0].metrics.primary: there is no metric "x"; there are: m, n'
    ]
    assert [line.partition(": ")[2] for line in mistakes(measured("n", "n"))] == [
        '$.experiments[0].metrics.secondary[0]: "n" is $.experiments[0].metrics.primary already'
    ]


def test_an_experiment_that_lasts_needs_its_events_until_the_end() -> None:
    """How long it is active counts, where both ends are given; windows of its last units come after that."""
    text = "metrics: [{name: m, kind: count, outcome: a, goal: up, window: 7d}]\n" + SMALL
    text += "    metrics: {primary: m}\n    active: {from: 2026-12-01T00:00:00Z, until: 2026-12-29T00:00:00Z}\n"
    (line,) = mistakes(text)
    assert '28d (experiment "e") + 7d (window) = 35d, but events.keep.age is 30d' in line
