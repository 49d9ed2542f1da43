"""Policies that do not learn: what they would do in each context of a log.

Responsible for: fixed weights, one arm always, and a rule over attributes.
Does not know: policies that learn (``learner``), how a policy is written down (``spec``), rewards.

Rules: pure. A policy gives each arm a probability for each row of a log; the probabilities of a row sum to 1.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct

from router.policy.log import Floats, Log
from router.routing.logic import Rule, compile_rule


@runtime_checkable
class Target(Protocol):
    """A policy that does not learn."""

    def probabilities(self, log: Log) -> Floats:
        """Return the probability of each arm for each row; shape (n, arms).

        Raises:
            ValueError: If it names an arm that the log does not have.
        """
        ...


class Fixed(Struct, frozen=True):
    """The same weights for everybody.

    Attributes:
        weights: Arm to weight; relative, arms that are not named have 0.
    """

    weights: Mapping[str, float]

    def probabilities(self, log: Log) -> Floats:
        """Return the weights as shares, for each row."""
        shares = np.zeros(len(log.arms))
        for arm, weight in self.weights.items():
            if not (weight >= 0 and isfinite(weight)):
                raise ValueError(f"the weight of arm {arm} is {weight:g}; weights are finite and at least 0")
            shares[log.place(arm)] = weight
        if not shares.any():
            raise ValueError("at least one weight is above 0")
        return np.tile(shares / shares.sum(), (log.n, 1))


class Always(Struct, frozen=True):
    """One arm for everybody."""

    arm: str

    def probabilities(self, log: Log) -> Floats:
        """Return 1 for the arm in each row."""
        return Fixed({self.arm: 1.0}).probabilities(log)


class Uniform(Struct, frozen=True):
    """All arms alike."""

    def probabilities(self, log: Log) -> Floats:
        """Return one over the number of arms, everywhere."""
        return np.full((log.n, len(log.arms)), 1 / len(log.arms))


class ByRule(Struct, frozen=True):
    """The arm that a JSONLogic rule names for the attributes of a request.

    Attributes:
        rule: The rule as plain data; what is absent is null.
    """

    rule: Any

    def probabilities(self, log: Log) -> Floats:
        """Return 1 for the arm that the rule names in each row."""
        if log.n and not log.attributes:
            raise ValueError("the log has no attributes that a rule could look at")
        rule = compile_rule(self.rule)
        known: dict[tuple[tuple[str, str], ...], int] = {}
        places = np.empty(log.n, dtype=np.int64)
        for row, attributes in enumerate(log.attributes):
            key = tuple(sorted(attributes.items()))
            if key not in known:
                known[key] = self._place(rule, attributes, log)
            places[row] = known[key]
        found = np.zeros((log.n, len(log.arms)))
        found[np.arange(log.n), places] = 1.0
        return found

    def _place(self, rule: Rule, attributes: Mapping[str, str], log: Log) -> int:
        value, why = rule.answer(dict(attributes))
        if why is not None or not isinstance(value, str) or value not in log.arms:
            said = f"has no value ({why})" if why is not None else f"gives {value!r}"
            about = ", ".join(f"{name}={text}" for name, text in attributes.items()) or "no attributes"
            raise ValueError(f"the rule {said} for {about}; it has to name an arm: {', '.join(log.arms)}")
        return log.arms.index(value)
