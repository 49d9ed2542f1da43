"""One policy on one log: is the log fit for it, what would it have earned, what is to be believed.

Responsible for: the order of questions, and the answer as data.
Does not know: where the log comes from, how the answer is shown.

Rules: pure, seeded. A log whose propensities are not true is refused before anything is estimated.
"""

from msgspec import Struct

from router.analysis.estimate import NotEnough
from router.policy.advice import Advice, advise
from router.policy.learner import Learner, progressive, rejection
from router.policy.log import Floats, Log
from router.policy.overlap import default_clip
from router.policy.propensity import distrust
from router.policy.target import Fixed, Target
from router.policy.value import Estimates, Value, estimate_value

SEED = 20_201_123


class Wish(Struct, frozen=True, kw_only=True):
    """What is to be known of a policy.

    Attributes:
        alpha: Share of intervals that may miss.
        clip: Weight above which IPS clips and switch switches; None is √n.
        seed: Of everything that is drawn.
    """

    alpha: float = 0.05
    clip: float | None = None
    seed: int = SEED


class Evaluation(Struct, frozen=True, kw_only=True):
    """What is known of a policy.

    Attributes:
        logged: What was earned by what was done: the mean reward of the log.
        estimates: What the policy would have earned, by method.
        advice: Which of these to believe.
        accepted: Observations that a replay had, on average; None for a policy that does not learn.
    """

    logged: Value | NotEnough
    estimates: Estimates
    advice: Advice
    accepted: float | None = None


def evaluate(log: Log, policy: Target | Learner, wish: Wish, in_force: Floats | None = None) -> Evaluation | NotEnough:
    """Return what a policy would have earned on a log.

    Args:
        log: The log.
        policy: The policy.
        wish: What is to be known.
        in_force: Probability of what was taken by the weights in force, as of ``propensity.distrust``.

    Returns:
        ``NotEnough`` when the log cannot tell anything of any policy.

    Raises:
        ValueError: If the policy names an arm that the log does not have, or a wish is out of range.
    """
    if not log.n:
        return NotEnough("there are no observations whose reward is known yet", 0)
    refused = distrust(log, in_force)
    if refused is not None:
        return refused
    clip = default_clip(log.n) if wish.clip is None else wish.clip
    replayed = None
    if isinstance(policy, Target):
        probabilities = policy.probabilities(log)
    else:
        probabilities = progressive(log, policy, wish.seed)
        replayed = rejection(log, policy, wish.seed, wish.alpha)
    found = estimate_value(log, probabilities, clip, wish.alpha)
    if replayed is not None:
        found = Estimates(overlap=found.overlap, values={**found.values, "replay": replayed.value})
    return Evaluation(
        logged=_logged(log, wish.alpha),
        estimates=found,
        advice=advise(found, None if replayed is None else replayed.value),
        accepted=None if replayed is None else replayed.accepted,
    )


def _logged(log: Log, alpha: float) -> Value | NotEnough:
    """Return the mean of what was earned: the value of a policy whose every weight is 1."""
    one = Log(
        arms=("any",),
        arm=log.arm * 0,
        propensity=log.propensity * 0 + 1,
        reward=log.reward,
        time=log.time,
        known=log.known,
        cluster=log.cluster,
        context=log.context,
    )
    found = estimate_value(one, Fixed({"any": 1.0}).probabilities(one), 1.0, alpha)
    return found.values["ips"]
