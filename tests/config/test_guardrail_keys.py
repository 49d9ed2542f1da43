"""The keys of guardrails: one form each, limits and margins on the worse side, units that fit, names that exist."""

import pytest

from router.config.condition import Limit
from router.config.guardrail import Burn, Guardrail
from router.config.guardrail_references import standalone
from router.config.resolve import BROKEN
from tests.config.sample import SMALL, loaded, mistakes

METRICS = (
    "metrics:\n"
    "  - {name: m, kind: proportion, outcome: click, goal: up}\n"
    "  - {name: e, kind: ratio, exchange: failed, goal: down}\n"
    "  - {name: p, kind: quantile, exchange: duration, q: 0.9, goal: down}\n"
    '  - {name: cost, kind: ratio, exchange: "header:x-cost", goal: down}\n'
)


def guarded(rails: str) -> str:
    """Give a configuration with some guardrails."""
    return f"{METRICS}{SMALL}    metrics: {{primary: m, guardrails: [{rails}]}}\n"


def rails_of(text: str) -> tuple[Guardrail, ...]:
    """Give the guardrails of a configuration."""
    (experiment,) = loaded(guarded(text)).config.experiments
    assert experiment.metrics is not None
    return experiment.metrics.guardrails


def wrong(rails: str) -> list[str]:
    """Give the mistakes, without the file, the line and what every path begins with."""
    return [line.partition("$.experiments[0].metrics.")[2] for line in mistakes(guarded(rails))]


def test_every_form_is_read() -> None:
    """Units are resolved, conditions are written in one way, and each has the name that people know it by."""
    read = rails_of(
        "{metric: e, at_most: 2%}, {metric: p, at_most: 250ms, action: warn}, {metric: cost, at_most: 0.004},"
        "{metric: m, at_least: 3%, action: pause}, {metric: p, trend: 10%, over: 2h, action: warn},"
        "{slo: 99.9%}, {slo: 99%, within: 300ms, period: 28d, burn: [{rate: 14.4, long: 1h, short: 5m}]},"
        '{when: "error rate > 5 % for 5 m", dry_run: true}, {when: "drop > 10% with confidence > 95%"}'
    )
    assert [each.form for each in read] == [
        "at_most", "at_most", "at_most", "at_least", "trend", "slo", "slo", "when", "when",
    ]  # fmt: skip
    assert [each.title for each in read] == [
        "e at_most 2%",
        "p at_most 250ms",
        "cost at_most 0.004",
        "m at_least 3%",
        "p trend 10%",
        "slo 99.9%",
        "slo 99% within 300ms",
        "when: error_rate > 5% for 5m",
        "when: drop > 10% with confidence > 95%",
    ]
    assert [each.bound for each in read[:5]] == [
        Limit(0.02, "share"),
        Limit(0.25, "seconds"),
        Limit(0.004),
        Limit(0.03, "share"),
        None,
    ]
    assert read[6].burn == (Burn(rate=14.4, long=3600.0, short=300.0),)
    assert (read[7].dry_run, read[3].action, read[4].over) == (True, "pause", 7200.0)
    assert [each.needs_control for each in read] == [False] * 8 + [True]


def test_a_difference_has_its_unit() -> None:
    """A margin in percentage points, milliseconds or as a number; below 0 where higher is better."""
    written = "{metric: e, absolute: 2%}, {metric: p, absolute: 250ms}, {metric: m, absolute: -2%}"
    assert [each.absolute for each in rails_of(written)] == [0.02, 0.25, -0.02]


def test_metrics_of_conditions_are_measured() -> None:
    """What a condition names is analysed like what a guardrail names."""
    (experiment,) = loaded(guarded('{when: "cost > 0.1 or e > 5% for 5m"}')).config.experiments
    assert experiment.metrics is not None
    assert experiment.metrics.names() == ("m", "cost", "e")


MISTAKES = """
{metric: e}
    guardrails[0]: needs one of ratio, relative, absolute, at_most, at_least, trend, slo and when
{slo: 99%, when: a > 1}
    guardrails[0]: needs one of ratio, relative, absolute, at_most, at_least, trend, slo and when; it has slo and \
when
{at_most: 2%}
    guardrails[0]: key "metric" is missing: at_most is of a metric
{metric: e, slo: 99%}
    guardrails[0].metric: has no effect with slo, which is of the exchanges; say within for slow ones
{metric: e, when: p99 > 1s}
    guardrails[0].metric: has no effect with when, which names its metrics itself
{metric: e, absolute: 1, negligible: 1%}
    guardrails[0].negligible: has no effect without ratio or relative, which say little where control has few
{metric: cost, ratio: 2, negligible: 1%}
    guardrails[0].negligible: is a difference of shares, and "cost" is none
{slo: 99%, over: 1h}
    guardrails[0].over: has no effect without trend
{metric: e, ratio: 2, period: 30d}
    guardrails[0].period: has no effect without slo
{metric: m, at_most: 2%}
    guardrails[0].at_most: allows whatever is worse: "m" has goal: up, so write at_least
{metric: e, absolute: many}
    guardrails[0].absolute: column 1, at "^many": expected a number such as 5%, 250ms or 1000/s, or 2 * control, \
found "many"
{metric: e, absolute: [2]}
    guardrails[0].absolute: expected a difference such as 2%, 250ms or 0.004, found a list
{metric: e, at_least: 2%}
    guardrails[0].at_least: allows whatever is worse: "e" has goal: down, so write at_most
{metric: p, at_most: 250}
    guardrails[0].at_most: is of a duration; write a number and a unit, as in 250ms
{metric: p, at_most: 5%}
    guardrails[0].at_most: is of a duration; write a number and a unit, as in 250ms
{metric: cost, at_most: 5s}
    guardrails[0].at_most: 5s is a duration, and the metric is none
{metric: e, at_most: 2}
    guardrails[0].at_most: is of a share, which is between 0% and 100%
{metric: e, at_most: [2]}
    guardrails[0].at_most: expected a number or text, found a list
{metric: e, at_most: 2 * control}
    guardrails[0].at_most: column 1, at "^2 * control": is no fixed value such as 2%, 250ms, 3 per 10000 or 0.004
{metric: e, trend: -10%}
    guardrails[0].trend: allows nothing worse: "e" has goal: down, so a slope is above 0
{metric: cost, trend: 10%}
    guardrails[0].metric: "cost" is not counted by time; a trend is of a ratio with exchange: failed, or of a \
quantile with exchange: duration
{slo: 30%}
    guardrails[0].slo: "30%" is too small; the least is 50%
{slo: 90%}
    guardrails[0].slo: 90% leaves a budget that cannot burn at the default rates; give burn
{slo: 99%, burn: [{rate: 200, long: 1h, short: 5m}]}
    guardrails[0].burn[0].rate: is never reached: 200 times a budget of 1% is 100% or more
{slo: 99%, burn: [{rate: 2, long: 1h, short: 5m, severity: ticket}]}
    guardrails[0].burn: has tickets only, which are told and no more; write action: warn, or a page
{slo: 99%, burn: [{rate: 2, long: 5m, short: 1h}]}
    guardrails[0].burn[0].short: 1h is not shorter than long, 5m
{when: "error_rat > 5% for 5m"}
    guardrails[0].when: there is no quantity or metric "error_rat"; did you mean "error_rate"?
{when: zebra > 5}
    guardrails[0].when: there is no quantity or metric "zebra"; there are: error_rate, p99, rate, exchanges, \
inflight, cost, e, m, p
{when: "cost > 5 for 5m"}
    guardrails[0].when: "for" has no effect on cost, which is known of the whole phase; leave it out
{when: e > 5s}
    guardrails[0].when: e: 5s is a duration, and the metric is none
{when: p > 5}
    guardrails[0].when: p: is of a duration; write a number and a unit, as in 250ms
{when: error_rate > 5% fro 5m}
    guardrails[0].when: column 17, at "error_rate > 5% ^fro 5m": expected and, or, for, with confidence, or the \
end, found "fro"; did you mean "for"?
{when: p99 > 1s, action: rolback}
    guardrails[0].action: expected one of pause, rollback, warn, found text "rolback"
{when: p99 > 1s}, {when: p99>1s}
    guardrails[1]: is $.experiments[0].metrics.guardrails[0] already
"""
LINES = MISTAKES.strip().splitlines()
CASES = list(zip(LINES[::2], (line.strip() for line in LINES[1::2]), strict=True))


@pytest.mark.parametrize(("rail", "expected"), CASES)
def test_a_mistake_says_its_place_and_the_way_out(rail: str, expected: str) -> None:
    """Each is refused, alone, with the place, the value and what to write instead."""
    assert wrong(rail) == [expected]


@pytest.mark.parametrize(
    ("rail", "expected"),
    [
        ({"metric": "e", "at_most": "2%"}, True),
        ({"slo": 0.99}, True),
        ({"when": "error_rate > 5% for 5m"}, True),
        ({"when": "error_rate > 2 * control"}, False),
        ({"metric": "e", "ratio": 2.0}, False),
        ({"metric": "e", "trend": 0.1}, False),
        ({"slo": 0.99, "action": "warn"}, False),
        ({"slo": 0.99, "dry_run": True}, False),
        ({"when": BROKEN}, True),
        (BROKEN, True),
    ],
    ids=lambda value: str(value).replace(str(BROKEN), "broken") if isinstance(value, dict | bool) else "broken",
)
def test_what_guards_without_a_control(rail: object, *, expected: bool) -> None:
    """A hard limit, objective or condition on the new arm alone; what is broken was said already."""
    assert standalone({"metrics": {"guardrails": [rail]}}) is expected


def test_nothing_guards_where_nothing_is_written() -> None:
    """No metrics is no guardrail."""
    assert not standalone({})
    assert standalone({"metrics": BROKEN})
