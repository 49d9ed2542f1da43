"""How soon ``error_rate > 5% for 5m`` fails and passes, and how often it is wrong: ``python -m benchmarks.conditions``.

Responsible for: releases on a simulated clock, at several rates of requests and failures, looked at every 10 seconds.
Does not know: control, which this condition does not need.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

import numpy as np

from router.config.schema import Arm, Experiment, Guardrail, Measured
from router.guardrail.evidence import BUCKETS, ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory

CONDITION: Final = "error_rate > 5% for 5m"
EVERY_S: Final = 10
PER_MINUTE: Final = (5, 20, 100, 1000)
FAILING: Final = (0.0, 0.04, 0.10, 0.20, 0.50)
_NOTHING: Final = ArmEvidence()


def first_verdict(per_minute: float, failing: float, seconds: int, generator: np.random.Generator) -> tuple[str, float]:
    """Return the first verdict of one release that is not inconclusive, and after how many seconds.

    Args:
        per_minute: Requests of the new arm.
        failing: Share of them that fail.
        seconds: How long it is looked at.
        generator: Draws requests, units and failures.
    """
    arms = (Arm(name="control", target="v1", weight=1), Arm(name="treatment", target="v2", weight=1))
    measured = Measured(primary="m", guardrails=(Guardrail(when=CONDITION),))
    experiment = Experiment(name="e", route="r", arms=arms, control="control", metrics=measured)
    exchanges, failures, memory = np.zeros(BUCKETS, int), np.zeros(BUCKETS, int), Memory()
    for now in range(EVERY_S, seconds + 1, EVERY_S):
        units = generator.integers(0, BUCKETS, generator.poisson(per_minute * EVERY_S / 60))
        np.add.at(exchanges, units, 1)
        np.add.at(failures, units[generator.random(len(units)) < failing], 1)
        new = ArmEvidence(exchanges=tuple(exchanges.tolist()), failures=tuple(failures.tolist()))
        evidence = Evidence(time=float(now), run=1, phase=1, arms={"control": _NOTHING, "treatment": new})
        found, memory = judge(experiment, {}, evidence, memory, float(now))
        said = next(each for each in found if each.name.startswith("when"))
        if said.status != "inconclusive":
            return said.status, float(now)
    return "inconclusive", float(seconds)


def main(runs: int = 50, seconds: int = 7200, rates: Sequence[int] = PER_MINUTE) -> None:
    """Print the table."""
    print(f"{CONDITION}, {runs} releases each of at most {seconds // 60} minutes")
    print("requests/m  failing  failed  passed  median minutes")
    for rate in rates:
        for failing in FAILING:
            generator = np.random.default_rng(round(1000 * failing) + rate)
            found = [first_verdict(rate, failing, seconds, generator) for _ in range(runs)]
            failed, passed = (sum(status == wanted for status, _ in found) for wanted in ("fail", "pass"))
            times = [time / 60 for status, time in found if status != "inconclusive"]
            shown = f"{median(times):.0f}" if times else "-"
            print(f"{rate:10}  {failing:7.0%}  {failed / runs:6.0%}  {passed / runs:6.0%}  {shown:>14}", flush=True)


if __name__ == "__main__":
    main()
