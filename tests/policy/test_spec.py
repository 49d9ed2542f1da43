"""How policies are written down."""

import numpy as np
import pytest

from router.bandit.allocator import BUILT_IN
from router.bandit.greedy import EpsilonGreedy
from router.policy.arms import Arms
from router.policy.learner import rejection
from router.policy.linear import LinearThompson, LinUcb
from router.policy.log import Log, bare_context
from router.policy.spec import names, parse_policy
from router.policy.target import Always, ByRule, Fixed, Uniform
from router.policy.value import Value


def clicks(n: int, seed: int) -> Log:
    """Return a log at equal shares, with a click for 10 % and 20 %."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(2, size=n)
    return Log(
        arms=("control", "treatment"),
        arm=arm,
        propensity=np.full(n, 0.5),
        reward=(rng.random(n) < np.where(arm == 1, 0.2, 0.1)).astype(np.float64),
        time=np.arange(n, dtype=np.float64),
        known=np.arange(n, dtype=np.float64) + 60,
        cluster=np.arange(n),
        context=bare_context(n),
    )


def test_every_policy_can_be_written() -> None:
    """A name, or a name and options; numbers may be shares in percent."""
    expected: dict[str, object] = {
        "always:treatment": Always("treatment"),
        "weights:control=1,treatment=3": Fixed({"control": 1.0, "treatment": 3.0}),
        "weights:control=95%,treatment=5%": Fixed({"control": 0.95, "treatment": 0.05}),
        "uniform": Uniform(),
        'rule:{"var": "tier"}': ByRule({"var": "tier"}),
        "linear_thompson:draws=256,floor=2%": LinearThompson(draws=256, floor=0.02),
        "lin_ucb:alpha=0.5": LinUcb(alpha=0.5),
        "epsilon_greedy:epsilon=0.2,floor=0": Arms(EpsilonGreedy(epsilon=0.2), bounded=True, floor=0.0),
    }
    assert expected == {text: parse_policy(text, bounded=True) for text in expected}
    assert len(names()) == len(BUILT_IN) + 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tompson", "there is no policy 'tompson'; there are: always:ARM"),
        ("always", "always needs an arm"),
        ("weights", "weights needs at least one"),
        ("weights:a", "'a' of weights is not KEY=NUMBER"),
        ("weights:a=1,a=2", "'a=2' of weights is not KEY=NUMBER, each key once"),
        ("weights:a=inf", "'a=inf' of weights is not KEY=NUMBER"),
        ("uniform:x", "uniform has no options"),
        ("rule:{", "the rule is not JSON"),
        ("thompson:speed=3", "thompson has no option 'speed'"),
        ("epsilon_greedy:epsilon=3", "epsilon_greedy: Expected `float` <= 1.0"),
        ("thompson:floor=1", "the floor of thompson is a share from 0 to below 1, not 1"),
        ("linear_thompson:draws=0", "draws of linear_thompson are 1 to 10,000"),
        ("lin_ucb:ridge=0", "its ridge above 0"),
    ],
)
def test_what_cannot_be_read_says_what_could_have_been_meant(text: str, said: str) -> None:
    """Each mistake has a sentence of its own."""
    with pytest.raises(ValueError, match=said):
        parse_policy(text, bounded=True)


def test_policies_for_rewards_from_0_to_1_are_refused_for_others() -> None:
    """UCB of a revenue is refused by name, and rewards that leave 0 to 1 are, too."""
    with pytest.raises(ValueError, match="ucb is for rewards between 0 and 1; this metric is no proportion"):
        parse_policy("ucb", bounded=False)
    log = clicks(10, 1)
    with pytest.raises(ValueError, match="between 0 and 1; they are"):
        Arms(BUILT_IN["ucb"](), bounded=True).fresh(
            Log(log.arms, log.arm, log.propensity, log.reward + 7, log.time, log.known, log.cluster, log.context)
        )


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_allocator_lives_through_a_log_and_beats_equal_shares(name: str) -> None:
    """With 10 % and 20 % clicks, what it would have earned lies above 0.15 and not above 0.22."""
    found = rejection(clicks(6000, 2), parse_policy(name, bounded=True), seed=3, ticks=40)  # type: ignore[arg-type]
    assert isinstance(found.value, Value)
    assert 0.15 < found.value.value < 0.22


def test_where_less_is_better_an_allocator_takes_the_arm_with_less() -> None:
    """The same with clicks that cost: it earns fewer than equal shares do."""
    log = clicks(6000, 2)
    less = Log(log.arms, log.arm, log.propensity, log.reward, log.time, log.known, log.cluster, log.context, sign=-1)
    found = rejection(less, parse_policy("thompson", bounded=True), seed=3, ticks=40)  # type: ignore[arg-type]
    assert isinstance(found.value, Value)
    assert found.value.value < 0.14
