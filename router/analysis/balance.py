"""Whether each level of a declared stratum is spread over the arms as the weights promise.

Responsible for: the sample ratio within levels, and the standardised difference that people know beside it.
Does not know: where counts come from, which strata are declared.

Rules: pure. Strata never enter the hash, so within each level the arms are due their weights too. A level's p-value is
anytime-valid (``sample_ratio``), and so is Bonferroni's over levels. An imbalance warns and makes nothing invalid: the
analysis compares within strata.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from router.analysis.finding import Finding, Insufficient
from router.analysis.sample_ratio import Block, SampleRatio, deviations, sample_ratio

BALANCE_P: Final = 0.001
BALANCE_UNITS: Final = 1000


def balance(column: str, levels: Mapping[str | None, tuple[Block, ...]], control: str) -> Finding | Insufficient:
    """Test the sample ratio within each level of a stratum.

    Args:
        column: Name of the declared attribute.
        levels: Level to its units by epoch and arm; None is of units without the attribute.
        control: The arm that is the baseline.
    """
    check = f"balance:{column}"
    tested = {level: sample_ratio(blocks) for level, blocks in levels.items()}
    units = sum(each.units for each in tested.values())
    if units < BALANCE_UNITS:
        return Insufficient(check, f"{units} units; {BALANCE_UNITS} are needed before strata can be compared")
    level, least = min(tested.items(), key=lambda item: item[1].p)
    p = min(least.p * len(tested), 1.0)
    details = {"levels": float(len(tested))}
    if len({(block.epoch, block.site) for blocks in levels.values() for block in blocks}) == 1:
        details["standardised_difference"] = standardised_difference(tested.values(), control)
    if p >= BALANCE_P:
        sentence = f"each arm has its share of the units of every {column}"
        return Finding(check, "ok", p, BALANCE_P, sentence, details)
    shown = "that have none" if level is None else f"of {column} {level!r}"
    sentence = f"the arms do not have their shares of the units {shown} ({deviations(least)})"
    return Finding(check, "warn", p, BALANCE_P, sentence, details)


def standardised_difference(levels: Iterable[SampleRatio], control: str) -> float:
    """Return the largest standardised difference of a level's share between an arm and the control.

    (p - q) / sqrt((p (1 - p) + q (1 - q)) / 2), as Austin 2009 gives it for a binary covariate; above 0.1 is usually
    taken for an imbalance. It means something only while weights are constant.

    Args:
        levels: The sample ratio within each level.
        control: Name of the control arm.
    """
    counts = [level.observed for level in levels]
    arms = {arm for level in counts for arm in level}
    sums = {arm: sum(level.get(arm, 0) for level in counts) for arm in arms}
    largest = 0.0
    for arm in arms - {control}:
        if not sums[arm] or not sums.get(control):
            continue
        for level in counts:
            one, other = level.get(arm, 0) / sums[arm], level.get(control, 0) / sums[control]
            spread = (one * (1 - one) + other * (1 - other)) / 2
            largest = max(largest, abs(one - other) / spread**0.5 if spread else 0.0)
    return largest
