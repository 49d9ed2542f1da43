"""Linear policies on the request path: model and the unit's hash decide, and the event says how likely it was."""

import subprocess
import sys
from collections import Counter
from math import sqrt
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from router.events.model import Kill
from router.events.policy import Feature, LinearModel
from router.routing.decide import Decision
from router.routing.explain import explain
from router.routing.linear import lay_out, row_of
from router.routing.table import Table, compile_table
from tests.routing.build import request, revision

ROUTE = {
    "name": "r",
    "unit": ["header:x-user"],
    "attributes": {"tier": "header:x-tier", "age": "query:age", "mood": "json:/mood"},
}
ARMS = [{"name": "a", "target": "t1", "weight": 1}, {"name": "b", "target": "t2", "weight": 3}]
EXPERIMENT = {"name": "e", "route": "r", "arms": ARMS, "slices": ["tier", "age"]}
TIER = Feature("tier", ("gold", "free"))
AGE = Feature("age", number=True, mean=40.0, scale=10.0)


def draws(gold: float, free: float) -> bytes:
    """Return 100 draws in which arm a wins that share of them for gold, and for free; b for whoever else."""
    found = np.zeros((100, 2, 5))
    found[:, 0, 1] = np.where(np.arange(100) < gold * 100, 1.0, -1.0)
    found[:, 0, 2] = np.where(np.arange(100) < free * 100, 1.0, -1.0)
    found[:, 0, 3:] = -1.0
    return found.astype("<f4").tobytes()


def model(**more: Any) -> LinearModel:
    """Return linear Thompson sampling on tier: a wins 90 % of the draws for gold, 20 % for free, none for others."""
    given: dict[str, Any] = {
        "use": "linear_thompson",
        "run": 3,
        "features": (TIER,),
        "arms": ("a", "b"),
        "floor": 0.05,
        "numbers": draws(0.9, 0.2),
        **more,
    }
    return LinearModel(**given)


def compiled(policy: LinearModel, experiment: dict[str, Any] | None = None, **more: Any) -> Table:
    """Return a table with a policy."""
    made = revision([ROUTE], [experiment or EXPERIMENT], **more)
    return compile_table(replace(made, policies={"e": policy}))


def decide(decider: Table, unit: str, tier: str | None = None, path: str = "/") -> Decision:
    """Decide for a unit."""
    fields = {"x-user": unit, **({} if tier is None else {"x-tier": tier})}
    return decider.routes["r"].decide(request(path, headers=fields))


@pytest.mark.parametrize(("tier", "expected"), [("gold", 0.86), ("free", 0.23), ("new", 0.05), (None, 0.05)])
def test_each_context_gets_its_shares_and_every_event_the_exact_propensity(tier: str | None, expected: float) -> None:
    """Of 4000 units a has f + (1 - 2 f) of its share of draws won, within four standard errors, and logs say so."""
    decider, n = compiled(model()), 4000
    found = [decide(decider, f"u{index}", tier).enrolments[0] for index in range(n)]
    assert {("a", round(expected, 9)), ("b", round(1 - expected, 9))} == {
        (each.arm, round(each.propensity, 9)) for each in found
    }
    share = Counter(each.arm for each in found)["a"] / n
    assert abs(share - expected) < 4 * sqrt(expected * (1 - expected) / n)


def test_a_units_arm_follows_from_salt_unit_and_weights_alone() -> None:
    """A unit gets arm a for gold whenever it does for free: more weight moves units into an arm, and none out of it."""
    decider = compiled(model())
    for index in range(500):
        if decide(decider, f"u{index}", "free").arm == "a":
            assert decide(decider, f"u{index}", "gold").arm == "a"


def test_linucb_takes_the_largest_bound() -> None:
    """Coefficients and their spread decide: with none of it a leads, with a wide spread b does."""
    coefficients = np.zeros((2, 5))
    coefficients[0, 0] = 0.5
    for spread, expected in ((0.0, 0.95), (1.0, 0.05)):
        roots = np.zeros((2, 5, 5))
        roots[1, 0, 0] = spread
        numbers = np.concatenate([coefficients[:, None], roots], axis=1).astype("<f4").tobytes()
        decider = compiled(model(use="lin_ucb", numbers=numbers))
        enrolment = decide(decider, "u1", "gold").enrolments[0]
        assert (enrolment.propensity if enrolment.arm == "a" else 1 - enrolment.propensity) == pytest.approx(expected)


def test_what_was_seen_is_in_the_event() -> None:
    """The features that decided are attributes of the event, as text."""
    decision = decide(compiled(model()), "u1", "gold", "/?age=30")
    assert decision.attributes == {"tier": "gold", "age": "30"}


@pytest.mark.parametrize(
    "policy",
    [
        model(run=2),
        model(arms=("a", "c")),
        model(features=(Feature("gone", ("gold", "free")),)),
    ],
    ids=["another run", "another arm", "a feature that is no attribute now"],
)
def test_a_model_of_something_else_is_not_used(policy: LinearModel) -> None:
    """The weights of the revision hold until the next model comes."""
    assert {decide(compiled(policy), f"u{index}").enrolments[0].propensity for index in range(50)} == {0.25, 0.75}


def test_a_kill_ends_the_policy() -> None:
    """With all weight on control nobody is scored, and the propensity is 1."""
    kill = Kill(by="ops", reason=None, time=0.0, arm="a", identity="")
    made = replace(
        revision([ROUTE], [EXPERIMENT], weights={"e": {"a": 1.0, "b": 0.0}}),
        killed={"e": kill},
        policies={"e": model()},
    )
    decider = compile_table(made)
    assert {("a", 1.0)} == {
        (each.arm, each.propensity) for index in range(50) for each in decide(decider, f"u{index}").enrolments
    }


def test_a_policy_without_logged_features_is_not_taken_for_a_plain_experiment() -> None:
    """An experiment that everybody is in, with nothing to log, is scored all the same."""
    bare = {"name": "e", "route": "r", "arms": ARMS}
    decider = compiled(model(), bare)
    assert decide(decider, "u1", "gold").enrolments[0].propensity in (pytest.approx(0.86), pytest.approx(0.14))


def test_an_explanation_says_the_weights_of_the_request() -> None:
    """Each arm's weight is the policy's for these features, and the arm shown is the one that is served."""
    decider = compiled(model())
    asked = request(headers={"x-user": "u7", "x-tier": "gold"})
    steps = [step for step in explain(decider, asked) if step.kind == "arm"]
    assert [step.result for step in steps] == [
        "weight 0.86, by the policy for these features",
        "weight 0.14, by the policy for these features",
    ]
    assert [decide(decider, "u7", "gold").arm] == [step.name for step in steps if step.chosen]


def test_columns_are_laid_out_one_feature_after_the_other() -> None:
    """1, then values, others and absence of a category, then a number standardised and its absence."""
    columns, width = lay_out((TIER, AGE))
    rows = [row_of(columns, width, texts) for texts in (["gold", "50"], ["x", "y"], [None, None], ["free", "nan"])]
    assert rows == [
        [1, 1, 0, 0, 0, 1, 0],
        [1, 0, 0, 1, 0, 0, 1],
        [1, 0, 0, 0, 1, 0, 1],
        [1, 0, 1, 0, 0, 0, 1],
    ]


def test_kept_shares_are_bounded_and_change_nothing() -> None:
    """Thousands of other features, some of them long, leave a bounded number behind, and answers stay the same."""
    decider = compiled(model())
    structure = decider.routes["r"].structure
    assert structure is not None
    policy = structure.trials["e"].policy
    assert policy is not None
    before = decide(decider, "u1", "gold").enrolments
    for index in range(5000):
        decide(decider, "u1", f"tier{index}")
    decide(decider, "u1", "x" * 1000)
    assert len(policy.kept) <= 4096
    assert all(len(texts[0] or "") <= 256 for texts in policy.kept)
    assert decide(decider, "u1", "gold").enrolments == before


def test_only_a_worker_with_such_a_policy_loads_numpy() -> None:
    """Everything that a worker imports, and a table without a policy, come without numpy."""
    code = (
        "import sys, router.proxy.worker, router.proxy.server\n"
        "from router.routing.table import compile_table\n"
        "from tests.routing.build import revision\n"
        "compile_table(revision([{'name': 'r'}]))\n"
        "assert 'router.routing.linear' in sys.modules and 'numpy' not in sys.modules, 'numpy was loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
