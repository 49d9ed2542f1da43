"""Balancers: their laws."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, exp
from random import Random
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.balance import LOAD_BOUND, Hash, LeastRequest, PeakEwma, RoundRobin, make

Kind = Literal["least_request", "round_robin", "hash", "peak_ewma"]


@dataclass(frozen=True)
class Endpoint:
    """A candidate."""

    key: int
    weight: int = 1
    active: int = 0
    latency: float = 0.0


ENDPOINTS = st.lists(
    st.builds(Endpoint, st.integers(0, 2**64 - 1), st.integers(1, 1000), st.integers(0, 50), st.floats(0, 10)),
    min_size=1,
    max_size=8,
    unique_by=lambda endpoint: endpoint.key,
)
KEYS = st.integers(0, 2**64 - 1)


def seeded(seed: int) -> Callable[[], float]:
    """Return a source of random numbers."""
    return Random(seed).random  # noqa: S311 - a test repeats them


def never() -> float:
    """Fail: nothing random is needed."""
    raise AssertionError


@given(st.sampled_from(get_args(Kind)), ENDPOINTS, KEYS, st.integers())
def test_a_pick_is_one_of_the_candidates(kind: Kind, candidates: list[Endpoint], key: int, seed: int) -> None:
    """Every balancer gives an index, for any load, key and random numbers; the same for the same."""
    picks = [make(kind).pick(candidates, key, seeded(seed)) for _ in range(2)]
    assert picks[0] in range(len(candidates))
    assert picks[0] == picks[1]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("edge", [0.0, 1 - 2**-53])
def test_random_numbers_at_their_ends(kind: Kind, edge: float) -> None:
    """The least and the largest random number give a candidate too."""
    for count in range(1, 6):
        candidates = [Endpoint(key, weight=key + 1) for key in range(count)]
        assert make(kind).pick(candidates, 1, lambda: edge) in range(count)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_single_candidate_costs_nothing(kind: Kind) -> None:
    """One candidate is taken without a random number, however loaded it is."""
    assert make(kind).pick([Endpoint(1, active=1000, latency=9.0)], 7, never) == 0


@pytest.mark.parametrize("balancer", [LeastRequest(), PeakEwma()])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (5, 3, 2), (1, 1, 1, 7)])
def test_without_load_weights_hold(balancer: LeastRequest, weights: tuple[int, ...]) -> None:
    """Idle endpoints are picked by weight: counts are within 5 standard deviations (seeded; 1 in 10^5 to be wrong)."""
    picks, random = 20_000, seeded(2026)
    candidates = [Endpoint(key, weight) for key, weight in enumerate(weights)]
    if isinstance(balancer, PeakEwma):
        candidates = [replace(endpoint, latency=float(endpoint.weight)) for endpoint in candidates]
    observed = Counter(balancer.pick(candidates, 0, random) for _ in range(picks))
    for index, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(observed[index] - picks * share) < 5 * (picks * share * (1 - share)) ** 0.5


@given(ENDPOINTS, st.integers())
def test_least_request_never_takes_the_busiest(candidates: list[Endpoint], seed: int) -> None:
    """Of two that were drawn the one with less load per weight is taken, so the strictly busiest one never is."""
    load = [endpoint.active / endpoint.weight for endpoint in candidates]
    chosen = LeastRequest().pick(candidates, 0, seeded(seed))
    assert len(candidates) == 1 or load[chosen] < max(load) or load.count(max(load)) > 1


@given(ENDPOINTS, st.integers())
def test_peak_ewma_never_takes_the_most_expensive(candidates: list[Endpoint], seed: int) -> None:
    """Among endpoints that were measured, the one with the most expected work per weight is never taken."""
    candidates = [replace(endpoint, latency=endpoint.latency + 0.1) for endpoint in candidates]
    cost = [endpoint.latency * (endpoint.active + 1) / endpoint.weight for endpoint in candidates]
    chosen = PeakEwma().pick(candidates, 0, seeded(seed))
    assert len(candidates) == 1 or cost[chosen] <= sorted(cost)[-2] * (1 + 1e-9)


def test_peak_ewma_prefers_the_faster() -> None:
    """Twice as slow and equally busy is worse; twice as slow and idle is better than fast with many in flight."""
    slow, fast = Endpoint(1, latency=0.2), Endpoint(2, latency=0.1)
    for seed in range(20):
        assert PeakEwma().pick([slow, fast], 0, seeded(seed)) == 1
        assert PeakEwma().pick([slow, replace(fast, active=5)], 0, seeded(seed)) == 0


def test_peak_ewma_gives_a_new_endpoint_no_stampede() -> None:
    """An endpoint that never answered counts as fast as the other, so what it has in flight decides."""
    new, old = Endpoint(1, active=3), Endpoint(2, active=1, latency=0.5)
    for seed in range(20):
        assert PeakEwma().pick([new, old], 0, seeded(seed)) == 1
        assert PeakEwma().pick([replace(new, active=0), old], 0, seeded(seed)) == 0
        assert PeakEwma().pick([new, replace(old, latency=0.0)], 0, seeded(seed)) == 1


def test_round_robin_is_smooth() -> None:
    """Weights 5, 1, 1 give nginx's own example: a a b a c a a."""
    balancer = RoundRobin()
    candidates = [Endpoint(1, 5), Endpoint(2, 1), Endpoint(3, 1)]
    assert "".join("abc"[balancer.pick(candidates, 0, never)] for _ in range(14)) == "aabacaa" * 2


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6))
def test_round_robin_is_exact(weights: list[int]) -> None:
    """In as many picks as the weights add up to, each is picked exactly as often as its weight says."""
    balancer = RoundRobin()
    candidates = [Endpoint(key, weight) for key, weight in enumerate(weights)]
    observed = Counter(balancer.pick(candidates, 0, never) for _ in range(sum(weights)))
    assert [observed[index] for index in range(len(weights))] == weights


def test_round_robin_remembers_no_one_who_left() -> None:
    """State is bounded by the candidates; one that comes back begins anew."""
    balancer = RoundRobin()
    for start in range(0, 1000, 2):
        balancer.pick([Endpoint(start), Endpoint(start + 1)], 0, never)
    assert len(balancer._credits) == 2


@given(ENDPOINTS, KEYS, st.data())
def test_hash_keeps_a_key_when_others_leave(candidates: list[Endpoint], key: int, data: st.DataObject) -> None:
    """While there is room, a key moves only when its own endpoint leaves, and order does not matter."""
    idle = [replace(endpoint, active=0) for endpoint in candidates]
    chosen = idle[Hash().pick(idle, key, never)]
    left = data.draw(st.lists(st.sampled_from(idle), unique=True).filter(lambda kept: chosen in kept))
    assert left[Hash().pick(left, key, never)] == chosen


@given(ENDPOINTS, KEYS)
def test_hash_bounds_the_load(candidates: list[Endpoint], key: int) -> None:
    """Nobody is given more than 1.25 times its fair share, rounded up."""
    chosen = candidates[Hash().pick(candidates, key, never)]
    total, weights = sum(one.active for one in candidates) + 1, sum(one.weight for one in candidates)
    assert len(candidates) == 1 or chosen.active + 1 <= ceil(LOAD_BOUND * total * chosen.weight / weights)


def test_hash_falls_to_the_next_and_returns() -> None:
    """A key leaves its endpoint while that is full, for always the same other one, and then comes back."""
    idle = [Endpoint(key) for key in range(5)]
    for key in range(100):
        first = Hash().pick(idle, key, never)
        full = [replace(one, active=10 if index == first else 2) for index, one in enumerate(idle)]
        second = Hash().pick(full, key, never)
        rest = [one for index, one in enumerate(idle) if index != first]
        assert second != first
        assert idle[second] == rest[Hash().pick(rest, key, never)]
        assert Hash().pick(idle, key, never) == first


def test_hash_shares_keys_by_weight() -> None:
    """Over many keys each endpoint gets its weight's share (chi-square, 2 degrees of freedom, fixed keys, 10^-4)."""
    keys = 30_000
    candidates = [Endpoint(11, 6), Endpoint(22, 3), Endpoint(33, 1)]
    observed = Counter(Hash().pick(candidates, key * 0x9E3779B97F4A7C15 % 2**64, never) for key in range(keys))
    expected = [keys * endpoint.weight / 10 for endpoint in candidates]
    chi_square = sum((observed[index] - count) ** 2 / count for index, count in enumerate(expected))
    assert exp(-chi_square / 2) > 1e-4
