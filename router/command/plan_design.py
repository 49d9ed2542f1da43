"""What ``router plan sample-size``, ``power``, ``mde`` and ``duration`` do.

Responsible for: the answers, as JSON and as sentences, with what they assume.
Does not know: how sizes are computed (``router.design``), what the options mean (``plan_question``).
"""

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from router.command.plan_question import Question, read
from router.command.plan_traffic import arrivals_of
from router.design.duration import duration
from router.design.size import Sizes, inflated, mde, power, sample_size
from router.design.variance import Mean, Proportion
from router.inference.operating import operating


def show_sample_size(given: Mapping[str, Any]) -> int:
    """Say how many units it takes.

    Raises:
        ValueError: If the question is none.
    """
    question = read(given)
    found = _sized(question)
    answer = _sizes(question, found) | _about(question)
    each = f"{found.arms[0]} units in each arm" if _even(question) else f"{_list(found.arms)} units by arm"
    lines = [f"{each}, {found.total} in all"]
    if found.clusters is not None:
        lines[0] += f", in {_list(found.clusters)} clusters by arm"
    if question.design.boundaries is not None:
        lines.append(f"at most: {len(question.design.boundaries.information)} looks; {_on_average(answer)}")
    return _write(answer, lines, as_json=given["as_json"])


def show_power(given: Mapping[str, Any]) -> int:
    """Say with what probability an effect is found.

    Raises:
        ValueError: If the question is none.
        AdminError: If the traffic of a route cannot be measured.
    """
    question = read(given)
    effect = _wanted(question)
    total, assumed = _total(question, given)
    found = power(question.metric, effect, question.design, total)
    answer = _about(question, assumed) | {"power": found, "total": total, "effect": effect}
    return _write(answer, [f"power {found:.4f} with {total:g} units in all"], as_json=given["as_json"])


def show_mde(given: Mapping[str, Any]) -> int:
    """Say what effect is found.

    Raises:
        ValueError: If the question is none.
        AdminError: If the traffic of a route cannot be measured.
    """
    question = read(given)
    if question.effect is not None and question.design.test.aim == "superiority":
        raise ValueError("the effect is what is asked for: leave out --mde")
    total, assumed = _total(question, given)
    found = mde(question.metric, question.design, total)
    relative = found / abs(question.baseline) if question.baseline else None
    answer = {"mde": found, "relative": relative, "total": total} | _about(question, assumed)
    line = f"{found:.6g} is found with a power of {question.design.power:g} and {total:g} units in all"
    return _write(answer, [line + (f", {relative:.2%} of the baseline" if relative else "")], as_json=given["as_json"])


def show_duration(given: Mapping[str, Any]) -> int:
    """Say how long it takes.

    Raises:
        ValueError: If the question is none.
        AdminError: If the traffic of a route cannot be measured.
    """
    if given["total"] is not None:
        total, answer, assumed = given["total"], {"total": given["total"]}, []
        if not 0 < total <= 1e15:
            raise ValueError(f"--total {total:g} is no number of units")
    else:
        question = read(given)
        sizes = _sized(question)
        about = _about(question)
        assumed = about.pop("assumptions")
        total, answer = sizes.total, _sizes(question, sizes) | about
    arrivals, more = arrivals_of(given)
    found = duration(total, arrivals, given["window"])
    answer |= {
        "days": found.days,
        "run_days": found.run_days,
        "read_days": found.read_days,
        "units_per_day": arrivals.per_day,
        "enrolled": arrivals.share,
        "novelty": arrivals.novelty,
        "assumptions": [*assumed, *more],
    }
    enrolled = f"{found.days} {'day' if found.days == 1 else 'days'} until {total:g} units are enrolled"
    lines = [
        f"{enrolled}; run it {found.run_days} days, which is whole weeks",
        f"it can be read after {found.read_days} days",
    ]
    return _write(answer, lines, as_json=given["as_json"])


def _sized(question: Question) -> Sizes:
    return sample_size(question.metric, _wanted(question), question.design)


def _wanted(question: Question) -> float:
    if question.effect is None:
        raise ValueError("--mde is missing: the effect to be found")
    return question.effect


def _total(question: Question, given: Mapping[str, Any]) -> tuple[float, list[str]]:
    total, each, days = given["total"], given["per_arm"], given["days"]
    if sum(value is not None for value in (total, each, days)) != 1:
        raise ValueError("give one of --total, --per-arm, and --days with --units-per-day or --route")
    if total is not None:
        return float(total), []
    if each is not None:
        if not _even(question):
            raise ValueError("--per-arm is of an even split; give --total")
        return float(each) * len(question.design.shares), []
    if not 0 < days <= 36_525:
        raise ValueError(f"--days {days:g} is no time, or more than a century")
    arrivals, assumed = arrivals_of(given)
    return float(int(arrivals.units(days))), assumed


def _even(question: Question) -> bool:
    return len(set(question.design.shares)) == 1


def _sizes(question: Question, found: Sizes) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "per_arm": found.arms[0] if _even(question) else list(found.arms),
        "total": found.total,
        "arms": list(found.arms),
        "effect": found.effect,
        "relative": found.effect / abs(question.baseline) if question.baseline else None,
        "clusters": list(found.clusters) if found.clusters is not None else None,
    }
    if question.design.boundaries is not None:
        costs = operating(question.design.boundaries, question.design.power)
        fixed = found.total / costs.inflation
        answer["expected_total"] = {effect: fixed * size for effect, size in costs.expected_size.items()}
    return answer


def _about(question: Question, more: list[str] | None = None) -> dict[str, Any]:
    design = question.design
    return {
        "metric": question.kind,
        "baseline": question.baseline,
        "sd": question.metric.sd if isinstance(question.metric, Mean) else None,
        "aim": design.test.aim,
        "margin": design.test.margin,
        "alpha": design.test.alpha,
        "sided": design.test.sides,
        "alpha_each": design.rate * design.test.sides,
        "correction": design.test.correction if len(design.shares) > 2 else None,
        "power": design.power,
        "shares": list(design.shares),
        "design_effect": design.clusters.design_effect if design.clusters is not None else 1.0,
        "covariate_factor": 1 - design.rho**2,
        "inflation": inflated(design),
        "looks": len(design.boundaries.information) if design.boundaries is not None else 1,
        "z": list(design.boundaries.upper) if design.boundaries is not None else None,
        "assumptions": [*_assumptions(question), *(more or [])],
    }


def _assumptions(question: Question) -> list[str]:
    design, metric = question.design, question.metric
    if isinstance(metric, Proportion):
        pooled = "pooled variance in the test, unpooled in the power"
        said = [
            "a normal test of two proportions, " + (pooled if design.test.aim == "superiority" else "unpooled variance")
        ]
    elif metric.students:
        said = ["Student's t-test with the same standard deviation in all arms"]
    else:
        said = ["a normal test with the delta-method standard deviation, the same in all arms"]
    if len(design.shares) > 2:
        said.append(f"each treatment against control, corrected by {design.test.correction}; power is that of each")
    if design.rho:
        said.append("the covariate explains as much of the variance as --rho squared")
    if design.clusters is not None:
        said.append("clusters are randomised, and the analysis is over clusters")
    return said


def _on_average(answer: Mapping[str, Any]) -> str:
    sizes = answer["expected_total"]
    return f"on average {sizes['none']:.0f} units without effect, {sizes['planned']:.0f} with it"


def _list(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


def _write(answer: dict[str, Any], lines: list[str], *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer)).decode() + "\n")
        return 0
    for line in (*lines, *(f"assumes: {each}" for each in answer["assumptions"])):
        sys.stdout.write(line + "\n")
    return 0
