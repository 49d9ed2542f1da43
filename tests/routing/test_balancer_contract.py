"""The contract of a balancer, as users check theirs: the built-ins keep it, and each way to break it is told."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Literal, get_args

import pytest

from router.routing.balance import Candidate, make
from router.testing import check_balancer

Kind = Literal["least_request", "round_robin", "hash", "peak_ewma"]
Random = Callable[[], float]


class Scripted:
    """A balancer that does what a function says."""

    def __init__(self, function: Callable[[Sequence[Candidate], int, Random], Any]) -> None:
        self.function = function

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> Any:
        """Ask the function."""
        return self.function(candidates, key, random)


def raising(candidates: Sequence[Candidate], *_: Any) -> int:
    """Divide by the load."""
    return 1 // candidates[0].active


def reordering(candidates: Any, *_: Any) -> int:
    """Sort what it is given."""
    if isinstance(candidates, list):
        candidates.reverse()
    return 0


def counting() -> Callable[..., int]:
    """Make a function that takes turns among all who ask it, whichever balancer they are."""
    calls = count()
    return lambda candidates, *_: next(calls) % len(candidates)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_built_in_balancers_keep_the_contract(kind: Kind) -> None:
    """What is asked of a plug-in holds for each of ``balance``'s own kinds."""
    check_balancer(make(kind))


def test_a_balancer_is_left_as_it_was() -> None:
    """The check asks copies, so a balancer can be used afterwards as if it were new."""
    balancer = make("round_robin")
    check_balancer(balancer)
    assert balancer._credits == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda candidates, *_: len(candidates),
            r"^Scripted picked 1 of 1 given \(weight 1, 0 in flight, 0 s\) and key 0x0",
        ),
        (lambda *_: 1, "picked 1 of 1"),
        (lambda *_: -1, "picked -1 of 1"),
        (lambda candidates, _, random: round(random() * len(candidates)), "picked 1 of 1"),
        (lambda *_: None, "returned None, which is not an index"),
        (lambda *_: 0.0, r"returned 0\.0, which is not an index"),
        (lambda *_: False, "returned False, which is not an index"),
        (raising, r"raised ZeroDivisionError\(.*and key 0x0"),
        (reordering, "changed the candidates"),
        (counting(), "not a function of what it is given"),
    ],
    ids=[
        "past the end",
        "one too many",
        "negative",
        "rounding up",
        "None",
        "float",
        "bool",
        "raises",
        "sorts",
        "global",
    ],
)
def test_a_broken_balancer_is_told_how(function: Callable[..., Any], message: str) -> None:
    """Each way to break the contract fails with a sentence that says what was asked and what came back."""
    with pytest.raises(AssertionError, match=message):
        check_balancer(Scripted(function))
