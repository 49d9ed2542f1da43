"""What linear policies cost a request, and what they earn: `python -m benchmarks.contextual`.

Responsible for: the time to score a request never seen before, from texts of attributes to probabilities of arms, for 4
arms and 16 features; the memory and time of loading numpy; and the earnings of both policies on a planted problem.
Does not know: sockets, the rest of a decision (``benchmarks.targeting``).

The goals: 15 µs for linear Thompson sampling from 128 draws, 60 µs for LinUCB. Of many rounds the smallest counts.
"""

import argparse
import resource
import subprocess
import sys
import time
from math import erf, exp, pi, sqrt

import numpy as np

from router.bandit.linear import Seen, Terms, Wanted, learn, nothing_learned, publish
from router.events.policy import Feature, LinearModel, width_of
from router.policy.learner import rejection
from router.policy.linear import LinearThompson, LinUcb
from router.policy.log import Log
from router.policy.value import Value
from router.routing.linear import LinearPolicy, compile_policy

ARMS = ("a", "b", "c", "d")
NUMBERS = tuple(Feature(f"n{index}", number=True) for index in range(16))
# Sixteen columns beside the 1: four categories of two values each, with others and absence.
CATEGORIES = tuple(Feature(f"c{index}", ("x", "y")) for index in range(4))
BATCH = 100


def model(use: str, features: tuple[Feature, ...], rng: np.random.Generator) -> LinearModel:
    """Make a model of random numbers."""
    width = width_of(features)
    shape = (128, len(ARMS), width) if use == "linear_thompson" else (len(ARMS), 1 + width, width)
    numbers = rng.standard_normal(shape).astype("<f4").tobytes()
    kind = "linear_thompson" if use == "linear_thompson" else "lin_ucb"
    return LinearModel(use=kind, run=1, features=features, arms=ARMS, floor=0.01, numbers=numbers)  # type: ignore[arg-type]


def compiled(made: LinearModel) -> LinearPolicy:
    """Compile a model whose sources nobody reads."""
    nothing = {feature.name: None for feature in made.features}
    return compile_policy(made, nothing, {arm: (arm.encode(), None) for arm in made.arms})  # type: ignore[arg-type]


def scoring_us(use: str, features: tuple[Feature, ...], rounds: int) -> float:
    """Return the time to score one request, in µs."""
    rng = np.random.default_rng(1)
    policy = compiled(model(use, features, rng))
    texts = [
        [f"{rng.standard_normal():.3f}" if feature.number else str(rng.choice(["x", "y", "z"])) for feature in features]
        for _ in range(BATCH)
    ]
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for each in texts:
            policy.weigh(each)
        best = min(best, (time.perf_counter() - begun) / BATCH)
    return best * 1e6


def learning_s(rows: int) -> float:
    """Return the time to learn from so many observations of two features, and to publish, in seconds."""
    rng = np.random.default_rng(2)
    terms = Terms(use="linear_thompson", wanted=(Wanted("tier"), Wanted("age", number=True)))
    drawn = (rng.choice(ARMS, rows), rng.random(rows), rng.integers(5, size=rows), rng.integers(90, size=rows))
    seen = [
        Seen(str(arm), float(reward), {"tier": str(tier), "age": str(age)}, 0.0)
        for arm, reward, tier, age in zip(*drawn, strict=True)
    ]
    begun = time.perf_counter()
    publish(learn(nothing_learned(ARMS, terms.wanted), seen, terms, 1.0), ARMS, terms, 1, rng)
    return time.perf_counter() - begun


def numpy_costs() -> tuple[float, float]:
    """Return what loading numpy costs a process: seconds, and MiB."""
    code = (
        "import time; size = lambda: int(open('/proc/self/statm').read().split()[1]) / 256; before = size();"
        "begun = time.perf_counter(); import numpy; print(time.perf_counter() - begun, size() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    seconds, size = map(float, said.split())
    return seconds, size


def planted(n: int) -> Log:
    """Return a log at equal shares of two arms, each the best for half of the contexts (0.4 ± 0.2 x, 0.3 ± 0.2 x)."""
    rng = np.random.default_rng(3)
    x, arm = rng.standard_normal(n), rng.integers(2, size=n)
    at = np.arange(n, dtype=np.float64)
    return Log(
        arms=("control", "treatment"),
        arm=arm,
        propensity=np.full(n, 0.5),
        reward=np.where(arm == 1, 0.4 + 0.2 * x, 0.3 - 0.2 * x) + 0.5 * rng.standard_normal(n),
        time=at,
        known=at,
        cluster=np.arange(n),
        context=np.column_stack([np.ones(n), x]),
    )


def main() -> None:
    """Measure, and print the tables of EVIDENCE.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="rounds of %(default)s; the smallest counts")
    rounds = parser.parse_args().rounds
    print("| µs to score a request never seen | goal | 16 columns | 16 numbers (33 columns) |\n|---|---:|---:|---:|")
    for use, goal in (("linear_thompson", 15), ("lin_ucb", 60)):
        found = [scoring_us(use, features, rounds) for features in (CATEGORIES, NUMBERS)]
        print(f"| {use} | {goal} | {found[0]:.1f} | {found[1]:.1f} |")
    seconds, size = numpy_costs()
    print(f"\nLoading numpy: {1000 * seconds:.0f} ms, {size:.0f} MiB.")
    print(f"Learning from 100,000 observations: {learning_s(100_000):.2f} s.")
    gap, spread = 0.05, 0.2  # half the difference of the arms is gap + spread x
    best = 0.35 + gap * erf(gap / spread / sqrt(2)) + 2 * spread * exp(-((gap / spread) ** 2) / 2) / sqrt(2 * pi)
    print(f"\nThe better arm alone earns 0.4, the better for each context {best:.4f}:")
    for name, learner in (("linear_thompson", LinearThompson()), ("lin_ucb", LinUcb(alpha=0.5))):
        value = rejection(planted(20_000), learner, seed=1).value
        assert isinstance(value, Value)
        print(f"{name} {value.value:.4f} ± {value.standard_error:.4f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
