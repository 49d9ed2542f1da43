"""Whether what the users saw is what the router promises.

Responsible for: the checks that decide the demo's exit code.
Does not know: where the tally comes from, how checks are shown.

Rules: pure. A check says what was looked at even when it holds. "Not enough to say" is a failure, never a pass; only of
a show that somebody interrupted it is neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import chisquare

from router.demo.agree import Analysed, Known, Place
from router.demo.tally import SplitTally, Tally

# One in a thousand fair assignments would be called unfair. The assignment of the demo's users is a function of their
# names and the salts, so the demo's own outcome does not vary from run to run.
ALPHA = 0.001
# The usual rule for the chi-square approximation (Cochran 1954).
EXPECTED_MIN = 5
NOTHING = Known(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, whether it was kept, and the numbers that say so; ``enough`` is whether they can say anything."""

    promise: str
    kept: bool
    evidence: str
    enough: bool = True


@dataclass(frozen=True, slots=True)
class Design:
    """What a show was to be.

    Attributes:
        users: How many users there are.
        splits: Experiment to how many splits of it there are to be.
        parts: Experiment to its share of the users, in 0..1.
    """

    users: int
    splits: Mapping[str, int]
    parts: Mapping[str, float]


def judge(tally: Tally, design: Design) -> tuple[Check, ...]:
    """Check what the users saw."""
    pairs = [
        (old, new)
        for name in design.splits
        for old, new in zip(of(tally, name), of(tally, name)[1:], strict=False)
    ]  # fmt: skip
    return (
        every_request_succeeded(tally),
        every_split_was_reached(tally, design),
        one_experiment_per_user(tally, design),
        *(one_arm_per_user(split) for split in tally.splits),
        *(nobody_left_a_raised_arm(old, new) for old, new in pairs),
        parts_agree(tally, design),
        *(shares_agree(split) for split in tally.splits),
    )


def of(tally: Tally, experiment: str) -> list[SplitTally]:
    """Return the splits of one experiment."""
    return [split for split in tally.splits if split.experiment == experiment]


def every_request_succeeded(tally: Tally) -> Check:
    """Check that no request failed, also while the split changed."""
    evidence = f"{tally.requests} requests, {tally.errors} failed"
    if tally.first_errors:
        evidence += "; first: " + "; ".join(tally.first_errors)
    kept = tally.requests > 0 and tally.errors == 0
    return Check("every request succeeded", kept, evidence, enough=tally.requests > 0)


def every_split_was_reached(tally: Tally, design: Design) -> Check:
    """Check that each split came into force and that every user of its experiment was served under it."""
    promise = "every user was served under each split"
    reached = {name: len(of(tally, name)) for name in design.splits}
    absent = design.users - len(tally.homes)
    missed = sum(
        len({user for user, homes in tally.homes.items() if split.experiment in homes} - split.arms_of_user.keys())
        for split in tally.splits
    )
    evidence = f"{sum(reached.values())} of {sum(design.splits.values())} splits; {absent + missed} users missed one"
    if reached != design.splits or absent or missed:
        return Check(promise, kept=False, evidence=evidence, enough=False)
    return Check(promise, kept=True, evidence=evidence)


def one_experiment_per_user(tally: Tally, design: Design) -> Check:
    """Check that the experiments of the layer share no user."""
    both = sorted(user for user, homes in tally.homes.items() if len(homes) > 1)
    counts = [f"{_residents(tally, name)} in {name}" for name in design.parts]
    evidence = f"{', '.join(counts)}, {_residents(tally, None)} in none, {len(both)} in more than one"
    if both:
        evidence += f", such as {both[0]}"
    kept = bool(tally.homes) and not both
    return Check("no user is in two experiments", kept, evidence, enough=bool(tally.homes))


def _residents(tally: Tally, experiment: str | None) -> int:
    return sum(experiment in homes for homes in tally.homes.values())


def one_arm_per_user(split: SplitTally) -> Check:
    """Check that nobody met two arms under one split."""
    torn = sorted(user for user, arms in split.arms_of_user.items() if len(arms) > 1)
    evidence = f"{len(split.arms_of_user)} users, {len(torn)} on more than one arm"
    if torn:
        evidence += f", such as {torn[0]}"
    promise = f"at {describe(split)} every user stayed on one arm"
    return Check(promise, bool(split.arms_of_user) and not torn, evidence, enough=bool(split.arms_of_user))


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
        enough=bool(both),
    )


def shares_agree(split: SplitTally) -> Check:
    """Compare the users of each arm with the configured shares, by Pearson's chi-square."""
    shares = {arm: split.share(arm) for arm in split.weights if split.weights[arm] > 0}
    observed = {arm: split.users(arm) for arm in shares}
    return _agree(f"the users of each arm agree with {describe(split)}", observed, shares)


def parts_agree(tally: Tally, design: Design) -> Check:
    """Compare the users of each experiment, and of none, with the segments of the layer, by Pearson's chi-square."""
    observed: dict[str, int] = {name: _residents(tally, name) for name in design.parts}
    shares: dict[str, float] = dict(design.parts)
    outside = 1 - sum(shares.values())
    if outside > 0:
        observed["none"], shares["none"] = _residents(tally, None), outside
    return _agree("the users of each experiment agree with its segment", observed, shares)


def _agree(promise: str, observed: Mapping[str, int], shares: Mapping[str, float]) -> Check:
    total = sum(observed.values())
    expected = [total * share for share in shares.values()]
    counts = ", ".join(f"{count} {name}" for name, count in observed.items())
    if not expected or min(expected) < EXPECTED_MIN:
        return Check(promise, kept=False, evidence=f"{counts}: too few users to say", enough=False)
    p = float(chisquare(list(observed.values()), expected).pvalue)
    return Check(promise, p > ALPHA, f"{counts}; expected {_listed(expected)}; p = {p:.3f}")


def labels_agree(tally: Tally, problems: Sequence[str]) -> Check:
    """Check that the router's answers to the labels agree with what was sent: repeats, and nothing else, it knew."""
    found = [arm.labels for split in tally.splits for arm in split.arms.values()]
    sent, repeated, accepted, duplicates, refused, never = (
        sum(getattr(each, name) for each in found)
        for name in ("sent", "repeated", "accepted", "duplicates", "refused", "never")
    )
    evidence = (
        f"{sent} labels sent, {repeated} of them again; {accepted} accepted, {duplicates} duplicates, "
        f"{refused} refused; {never} never came"
    )
    if problems:
        evidence += f"; {problems[0]}"
    agrees = all(
        each.accepted == each.sent - each.repeated and each.duplicates == each.repeated and not each.refused
        for each in found
    )
    kept = agrees and not problems and accepted > 0
    enough = bool(problems) or not agrees or (repeated > 0 and never > 0)
    return Check("a label that came twice counted once", kept and enough, evidence, enough)


def analysis_agrees(tally: Tally, design: Design, analysed: Analysed) -> Check:
    """Check that the router's analysis of its log has the users and labels that were seen here, arm by arm, exactly.

    Users of a show that not all of them were seen in are left out: the log may know more of them, from within a change.
    """
    whole = every_split_was_reached(tally, design).kept
    mine = {
        Place(split.experiment, tally.phase(split), arm): Known(
            split.users(arm) if whole else 0, counts.labels.accepted, counts.labels.right
        )
        for split in tally.splits
        for arm, counts in split.arms.items()
    }
    theirs = {place: known if whole else known._replace(users=0) for place, known in analysed.known.items()}
    different = [place for place in {**mine, **theirs} if mine.get(place, NOTHING) != theirs.get(place, NOTHING)]
    what = "users, labels and right answers" if whole else "labels and right answers"
    evidence = f"{what} of {len(mine)} arms in their phases, {len(different)} differ"
    if different:
        place = different[0]
        evidence += (
            f"; {place.experiment}/{place.arm}, phase {place.phase}: {_known(theirs.get(place, NOTHING))} in the log, "
            f"{_known(mine.get(place, NOTHING))} seen"
        )
    if analysed.crossed:
        evidence += f"; {analysed.crossed} users were in two arms of a phase"
    kept = bool(mine) and not different and not analysed.crossed
    return Check("the router's analysis of its log agrees with the users", kept, evidence, enough=bool(mine))


def _known(known: Known) -> str:
    return f"{known.users} users, {known.labelled} labels, {known.right} right"


def describe(split: SplitTally) -> str:
    """Return the split as people say it: ``digits 95/5``."""
    return f"{split.experiment} " + "/".join(f"{100 * split.share(arm):.4g}" for arm in split.weights)


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
