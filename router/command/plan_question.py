"""What ``router plan sample-size``, ``power``, ``mde`` and ``duration`` are asked, read from their options.

Responsible for: from options to a metric, an effect and a design, with a sentence for what cannot be.
Does not know: how sizes are computed (``router.design``), how answers are shown (``plan_design``).

Rules: an effect is relative to the baseline unless it is said to be absolute, or a mean has no baseline to relate it
to. A margin is absolute, as in textbooks, unless it is a percentage.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from msgspec import Struct

from router.command.plan_boundaries import even_level, spending_of
from router.design.question import Clusters, Correction, Design, Test, corrected, shares_of
from router.design.variance import Mean, Metric, Parts, Proportion, delta_sd


class Question(Struct, frozen=True):
    """What is asked.

    Attributes:
        metric: What is measured.
        kind: Its name.
        baseline: Control's value; None when it is not needed.
        effect: In the metric's unit; None when it is not given.
        design: Everything else.
    """

    metric: Metric
    kind: str
    baseline: float | None
    effect: float | None
    design: Design


def read(given: Mapping[str, Any]) -> Question:
    """Return what the options ask.

    Raises:
        ValueError: If they contradict each other, something is missing, or a number is out of range.
    """
    metric = _metric(given)
    baseline = given["baseline"]
    absolute = given["absolute"] or (baseline is None and given["metric"] == "mean")
    percentage = given["margin"] is not None and given["margin"].strip().endswith("%")
    margin = _effect("--margin", given["margin"], baseline, absolute=absolute or not percentage)
    test = _test(given, margin)
    effect = _effect("--mde", given["mde"], baseline, absolute=absolute)
    if effect is None and margin is not None:
        effect = 0.0  # what margins are usually planned for: arms that do not differ
    design = Design(test=test, power=given["power"], shares=_shares(given), rho=given["rho"], clusters=_clusters(given))
    return Question(metric, given["metric"], baseline, effect, _with_looks(design, given))


def number(option: str, text: str) -> float:
    """Read a number, or a percentage.

    Raises:
        ValueError: If it is neither.
    """
    bare = text.strip()
    try:
        found = float(bare[:-1]) / 100 if bare.endswith("%") else float(bare)
    except ValueError:
        raise ValueError(f"{option} {text!r} is neither a number nor a percentage such as 2%") from None
    if not isfinite(found):
        raise ValueError(f"{option} {text!r} is not finite")
    return found


def _metric(given: Mapping[str, Any]) -> Metric:
    kind, baseline, sd = given["metric"], given["baseline"], given["sd"]
    parts = [given[name] for name in ("denominator", "sd_numerator", "sd_denominator")]
    if kind == "proportion":
        if sd is not None:
            raise ValueError("a proportion has no --sd: its variance follows from --baseline")
        return Proportion(_needed("--baseline, the proportion without the change", baseline))
    if kind == "mean":
        return Mean(_needed("--sd, the standard deviation of a unit's value", sd), baseline)
    if kind != "ratio":
        raise ValueError(f"--metric {kind!r} is none of proportion, mean and ratio")
    if sd is None:
        wanted = "--sd of the linearised value, or all of --denominator, --sd-numerator and --sd-denominator"
        if any(part is None for part in parts):
            raise ValueError(f"a ratio needs {wanted}")
        known = Parts(
            ratio=_needed("--baseline, the ratio without the change", baseline),
            denominator=given["denominator"],
            sd_numerator=given["sd_numerator"],
            sd_denominator=given["sd_denominator"],
            correlation=given["correlation"],
        )
        sd = delta_sd(known)
    elif any(part is not None for part in parts):
        raise ValueError(
            "--sd is that of the linearised ratio: leave out --denominator, --sd-numerator, --sd-denominator"
        )
    return Mean(sd, baseline, students=False)


def _needed(what: str, value: float | None) -> float:
    if value is None:
        raise ValueError(f"the metric needs {what}")
    return value


def _effect(option: str, text: str | None, baseline: float | None, *, absolute: bool) -> float | None:
    if text is None:
        return None
    found = number(option, text)
    if absolute:
        return found
    if baseline is None:
        raise ValueError(f"{option} {text} is relative to --baseline, which is missing; or add --absolute")
    if baseline == 0:
        raise ValueError(f"{option} {text} is relative to a --baseline of 0; add --absolute")
    return found * abs(baseline)


def _test(given: Mapping[str, Any], margin: float | None) -> Test:
    sided, correction = given["sided"], given["correction"]
    if correction not in ("bonferroni", "dunnett", "none"):
        raise ValueError(f"--correction {correction!r} is none of bonferroni, dunnett and none")
    kept: Correction = correction
    if margin is None:
        if given["equivalence"]:
            raise ValueError("--equivalence needs --margin, the difference that does not matter")
        return Test("superiority", given["alpha"], 2 if sided is None else sided, None, kept)
    aim = "equivalence" if given["equivalence"] else "non-inferiority"
    return Test(aim, given["alpha"], 1 if sided is None else sided, margin, kept)  # type: ignore[arg-type] # an aim


def _shares(given: Mapping[str, Any]) -> tuple[float, ...]:
    split, arms = given["split"], given["arms"]
    if split is None:
        count = 2 if arms is None else arms
        if not 2 <= count <= 64:
            raise ValueError(f"--arms {count}: there are 2 to 64")
        return shares_of([1.0] * count)
    weights = [number("--split", item) for item in split.replace("/", ",").split(",")]
    if len(weights) == 1 and 0 < weights[0] < 1:
        weights = [1 - weights[0], weights[0]]  # the treatment's share
    if arms is not None and arms != len(weights):
        raise ValueError(f"--arms {arms} and --split with {len(weights)} weights contradict each other")
    return shares_of(weights)


def _clusters(given: Mapping[str, Any]) -> Clusters | None:
    icc, size = given["icc"], given["cluster_size"]
    if icc is None and size is None:
        return None
    if icc is None or size is None:
        raise ValueError("clusters need both --icc and --cluster-size")
    return Clusters(size, icc, given["cluster_cv"])


def _with_looks(design: Design, given: Mapping[str, Any]) -> Design:
    spending = spending_of("--spending", given["spending"], given["parameter"])
    if given["looks"] == 1:
        return design
    if design.test.aim == "equivalence":
        raise ValueError("boundaries for several looks are those of superiority and non-inferiority, not equivalence")
    rate = corrected(design.test, design.shares)
    bounds = even_level(rate, design.test.sides, given["looks"], spending)
    return Design(design.test, design.power, design.shares, design.rho, design.clusters, bounds)
