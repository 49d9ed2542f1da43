"""The keys about verdicts: what each method needs, margins on the worse side, weights that add up to 1."""

import pytest

from router.config.decide import Decide, Notes
from router.config.guardrail import Guardrail
from tests.config.sample import SMALL, loaded, mistakes

METRICS = (
    "metrics:\n"
    "  - {name: m, kind: proportion, outcome: click, goal: up}\n"
    "  - {name: e, kind: ratio, exchange: failed, goal: down}\n"
    "  - {name: p, kind: quantile, exchange: duration, q: 0.9, goal: down}\n"
)


FORMS = "ratio, relative, absolute, at_most, at_least, trend, slo and when"


def judged(decide: str = "{}", metrics: str = "") -> str:
    """Give a configuration whose experiment is decided so."""
    return f"{METRICS}{SMALL}    metrics: {{primary: m{metrics}}}\n    decide: {decide}\n"


def wrong(decide: str = "{}", metrics: str = "") -> list[str]:
    """Give its mistakes, without the file, the line and the experiment."""
    return [line.partition("$.experiments[0].")[2] for line in mistakes(judged(decide, metrics))]


def test_what_is_written_is_read() -> None:
    """Shares, changes and durations have their units resolved."""
    text = judged(
        "{method: group_sequential, alpha: 2.5%, mde: 2%, min_units: 1000, min_duration: 7d, looks: 4, units: 8000}",
        ", guardrails: [{metric: e, ratio: 2.0, action: warn}, {metric: m, relative: -5%}], oec: {m: 0.6, e: 40%}",
    )
    (experiment,) = loaded(text + "    notes: {learned: nothing, next: all}\n").config.experiments
    assert experiment.decide == Decide(
        method="group_sequential", alpha=0.025, mde=0.02, min_units=1000, min_duration=604800.0, looks=4, units=8000
    )
    assert experiment.metrics is not None
    assert experiment.metrics.guardrails == (
        Guardrail(metric="e", ratio=2.0, action="warn"),
        Guardrail(metric="m", relative=-0.05, action="rollback"),
    )
    assert experiment.metrics.oec == {"m": 0.6, "e": 0.4}
    assert experiment.metrics.names() == ("m", "e")
    assert experiment.notes == Notes(learned="nothing", next="all")


def test_always_valid_is_the_default() -> None:
    """An experiment that says nothing may be looked at as often as one likes."""
    (experiment,) = loaded(f"{METRICS}{SMALL}    metrics: {{primary: m}}\n").config.experiments
    assert experiment.decide == Decide(method="sequential", alpha=0.05, power=0.8, correction="holm")


@pytest.mark.parametrize(
    ("decide", "expected"),
    [
        ("{looks: 3}", "decide.looks: has no effect with method: sequential; it is for group_sequential"),
        ("{units: 9}", "decide.units: has no effect with method: sequential; it is for fixed and group_sequential"),
        ("{method: fixed}", "decide: method: fixed needs units or duration: when the result may be read"),
        ("{method: fixed, units: 9, duration: 1d}", "decide.duration: is another end than units; give one of them"),
        ("{method: sprt}", "decide: method: sprt needs effect or mde: what is tested against no effect"),
        (
            "{method: group_sequential}",
            "decide: method: group_sequential needs units, duration or mde: how much the last look will have",
        ),
        (
            "{method: group_sequential, units: 9, looks: 2, information: [50%, 100%]}",
            "decide.looks: is said by information already; give one of them",
        ),
        (
            "{method: group_sequential, units: 9, information: [50%, 40%, 100%]}",
            "decide.information: does not grow from look to look",
        ),
        (
            "{method: group_sequential, units: 9, information: [50%, 90%]}",
            "decide.information: does not end with 100%, which is the last look",
        ),
        (
            "{method: group_sequential, units: 9, spending: kim_demets}",
            'decide: key "parameter" is missing: kim_demets needs it',
        ),
        (
            "{method: group_sequential, units: 9, spending: kim_demets, parameter: 0}",
            "decide.parameter: 0 is not above 0, as kim_demets needs it",
        ),
        (
            "{method: group_sequential, units: 9, parameter: 2}",
            "decide.parameter: has no effect with spending: obrien_fleming",
        ),
    ],
)
def test_a_method_has_what_it_needs_and_nothing_without_effect(decide: str, expected: str) -> None:
    """A plan that could never be read, or not as written, is refused with the way out."""
    assert wrong(decide) == [expected]


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ("{metric: e}", f"metrics.guardrails[0]: needs one of {FORMS}"),
        (
            "{metric: e, ratio: 2, absolute: 1}",
            f"metrics.guardrails[0]: needs one of {FORMS}; it has ratio and absolute",
        ),
        (
            "{metric: e, ratio: 0.5}",
            'metrics.guardrails[0].ratio: allows nothing worse: "e" has goal: down, so a margin is above 1',
        ),
        (
            "{metric: m, relative: 5%}",
            'metrics.guardrails[0].relative: allows nothing worse: "m" has goal: up, so a margin is below 0',
        ),
        (
            "{metric: e, absolute: 0}",
            'metrics.guardrails[0].absolute: allows nothing worse: "e" has goal: down, so a margin is above 0',
        ),
        ("{metric: x, ratio: 2}", 'metrics.guardrails[0].metric: there is no metric "x"; there are: e, m, p'),
        (
            "{metric: e, relative: five}",
            'metrics.guardrails[0].relative: "five" is not a change; write -5%, 5% or 0.05',
        ),
    ],
)
def test_a_guardrail_allows_something_worse_and_says_how_much(metrics: str, expected: str) -> None:
    """A margin on the better side could only ever be a slip of the sign."""
    assert wrong(metrics=f", guardrails: [{metrics}]") == [expected]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("{m: 0.6, e: 0.3}", "metrics.oec: has weights of 0.9 in all; they add up to 1"),
        ("{}", "metrics.oec: weighs no metric"),
        ("{x: 1}", 'metrics.oec.x: there is no metric "x"; there are: e, m, p'),
        ("{p: 1}", "metrics.oec.p: is a quantile, which varies with other metrics in a way that is not known"),
    ],
)
def test_an_overall_criterion_is_a_weighted_mean(weights: str, expected: str) -> None:
    """Weights that do not add up to 1 make its value mean nothing."""
    assert wrong(metrics=f", oec: {weights}") == [expected]


def test_thirds_add_up_to_one() -> None:
    """Weights are decimal fractions, so their sum is 1 as closely as floating point allows."""
    assert wrong(metrics=", oec: {m: 0.3333333333, e: 0.6666666667}") == []


def test_a_verdict_needs_metrics() -> None:
    """What nothing reads is refused."""
    (line,) = mistakes(f"{SMALL}    decide: {{alpha: 1%}}\n")
    assert line.endswith("$.experiments[0].decide: has no effect without metrics, which say what is decided by")


def test_a_bandit_is_always_valid() -> None:
    """Its shares follow what was seen, so no other method would mean what it says."""
    text = judged("{method: fixed, units: 9}") + "    allocate: {use: thompson, reward: m, period: 1d}\n"
    assert any(
        line.endswith(
            "decide.method: is not for thompson: effects of a bandit are weighted by propensity and always valid"
        )
        for line in mistakes(text)
    )


def test_power_has_to_leave_room() -> None:
    """Below alpha a plan could not be made; with 100 % it would never end."""
    assert wrong("{method: sprt, mde: 5%, power: 1}") == ["decide.power: lies above alpha and below 100%, not at 100%"]
