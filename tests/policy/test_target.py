"""Policies that do not learn."""

import pytest

from router.policy.target import Always, ByRule, Fixed, Uniform
from tests.policy.logs import log_of

LOG = log_of([0, 1], [0.5, 0.5], [0.0, 1.0], attributes=({"tier": "gold"}, {}))


def test_weights_are_relative_and_arms_without_one_have_none() -> None:
    """1 and 3 are 1/4 and 3/4; an arm alone has everything; uniform is alike for all."""
    assert Fixed({"control": 1, "treatment": 3}).probabilities(LOG).tolist() == [[0.25, 0.75]] * 2
    assert Always("treatment").probabilities(LOG).tolist() == [[0.0, 1.0]] * 2
    assert Uniform().probabilities(LOG).tolist() == [[0.5, 0.5]] * 2


def test_a_rule_names_the_arm_for_each_rows_attributes() -> None:
    """Gold gets treatment, whoever has no tier gets control."""
    rule = ByRule({"if": [{"==": [{"var": "tier"}, "gold"]}, "treatment", "control"]})
    assert rule.probabilities(LOG).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_what_names_no_arm_is_refused() -> None:
    """An unknown arm, weights of nothing, a rule that gives something else: each says what there is."""
    with pytest.raises(ValueError, match="there is no arm 'other'; there are: control, treatment"):
        Always("other").probabilities(LOG)
    with pytest.raises(ValueError, match="at least one weight is above 0"):
        Fixed({"control": 0}).probabilities(LOG)
    with pytest.raises(ValueError, match="finite and at least 0"):
        Fixed({"control": float("inf")}).probabilities(LOG)
    with pytest.raises(ValueError, match="the rule gives 'gold' for tier=gold"):
        ByRule({"var": "tier"}).probabilities(LOG)
    with pytest.raises(ValueError, match="no attributes"):
        ByRule({"var": "tier"}).probabilities(log_of([0], [1.0], [0.0]))
