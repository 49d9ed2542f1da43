"""Whether what the users saw is what the router promises.

Responsible for: the checks that decide the demo's exit code.
Does not know: where the tally comes from, how checks are shown.

Rules: pure. A check says what was looked at even when it holds, and "not enough to say" is a failure, never a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import chisquare

from router.demo.tally import SplitTally, Tally

# One in a thousand fair assignments would be called unfair. The assignment of the demo's users is a function of their
# names and the salt, so the demo's own outcome does not vary from run to run.
ALPHA = 0.001
# The usual rule for the chi-square approximation (Cochran 1954).
EXPECTED_MIN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, whether it was kept, and the numbers that say so."""

    promise: str
    kept: bool
    evidence: str


def judge(tally: Tally, users: int, splits: int) -> tuple[Check, ...]:
    """Check a finished show.

    Args:
        tally: What the users saw.
        users: How many there were.
        splits: How many splits the show has when nobody interrupts it.
    """
    return (
        every_request_succeeded(tally),
        every_split_was_reached(tally, users, splits),
        *(one_arm_per_user(split) for split in tally.splits),
        *(nobody_left_a_raised_arm(old, new) for old, new in zip(tally.splits, tally.splits[1:], strict=False)),
        *(shares_agree(split) for split in tally.splits),
    )


def every_request_succeeded(tally: Tally) -> Check:
    """Check that no request failed, also while the split changed."""
    evidence = f"{tally.requests} requests, {tally.errors} failed"
    if tally.first_errors:
        evidence += "; first: " + "; ".join(tally.first_errors)
    return Check("every request succeeded", tally.requests > 0 and tally.errors == 0, evidence)


def every_split_was_reached(tally: Tally, users: int, splits: int) -> Check:
    """Check that each split came into force and that every user was served under it."""
    seen = [len(split.arms_of_user) for split in tally.splits]
    return Check(
        "every user was served under each split",
        seen == [users] * splits,
        f"{len(seen)} of {splits} splits; of {users} users were served: {', '.join(map(str, seen)) or 'none'}",
    )


def one_arm_per_user(split: SplitTally) -> Check:
    """Check that nobody met two arms under one split."""
    torn = sorted(user for user, arms in split.arms_of_user.items() if len(arms) > 1)
    evidence = f"{len(split.arms_of_user)} users, {len(torn)} on more than one arm"
    if torn:
        evidence += f", such as {torn[0]}"
    return Check(f"at {describe(split)} every user stayed on one arm", bool(split.arms_of_user) and not torn, evidence)


def nobody_left_a_raised_arm(old: SplitTally, new: SplitTally) -> Check:
    """Check that users moved only into arms whose share grew."""
    raised = {arm for arm in new.weights if new.share(arm) > old.share(arm)}
    both = old.arms_of_user.keys() & new.arms_of_user.keys()
    moves = [(min(old.arms_of_user[user]), min(new.arms_of_user[user])) for user in both]
    moved = [(before, after) for before, after in moves if before != after]
    wrong = [move for move in moved if move[0] in raised or move[1] not in raised]
    return Check(
        f"from {describe(old)} to {describe(new)} users moved only into the raised arm",
        bool(both) and not wrong,
        f"{len(moved)} of {len(both)} users moved, {len(wrong)} of them elsewhere",
    )


def shares_agree(split: SplitTally) -> Check:
    """Compare the users of each arm with the configured shares, by Pearson's chi-square."""
    promise = f"the users of each arm agree with {describe(split)}"
    arms = [arm for arm in split.arms if split.weights.get(arm, 0) > 0]
    observed = [split.users(arm) for arm in arms]
    total = sum(observed)
    expected = [total * split.share(arm) for arm in arms]
    counts = " and ".join(f"{count} {arm}" for arm, count in zip(arms, observed, strict=True))
    if not expected or min(expected) < EXPECTED_MIN:
        return Check(promise, kept=False, evidence=f"{counts}: too few users to say")
    p = float(chisquare(observed, expected).pvalue)
    return Check(promise, p > ALPHA, f"{counts}, expected {_listed(expected)}; p = {p:.3f}")


def describe(split: SplitTally) -> str:
    """Return the split as people say it: ``95/5``."""
    return "/".join(f"{100 * split.share(arm):.4g}" for arm in split.weights)


def _listed(numbers: Sequence[float]) -> str:
    return " and ".join(f"{number:.4g}" for number in numbers)
