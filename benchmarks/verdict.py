"""What a report costs once the fold is done: ``python -m benchmarks.verdict``.

Ten metrics of every kind that has sums, five slicings of six values each, three arms, thirty days. Prints the processor
time of the report, of its JSON, and of its page with plots; the fold before it is ``benchmarks.fold``.
"""

import sys
import time
from itertools import pairwise

import numpy as np
from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Moments, Place, Product
from router.analysis.history import Phase
from router.analysis.plan import plan
from router.analysis.quality import Observed, judge
from router.analysis.result import Result, Series, Stage
from router.analysis.sample_ratio import Block
from router.config.schema import Arm, Decide, Experiment, Guardrail, Measured, Metric
from router.report.compose import compose
from router.report.document import report_document
from router.report.page import page
from router.report.plots import plots
from router.report.scene import Evidence

ARMS = ("control", "one", "two")
SLICES = ("country", "device", "tier", "new_unit", "volume")
LEVELS, DAYS, UNITS = 6, 30, 300_000
DAY_S, START = 86_400.0, 1_790_000_000.0


def metrics() -> tuple[Metric, ...]:
    """Return four proportions, four means and two ratios."""
    shares = [Metric(name=f"share{n}", kind="proportion", outcome=f"a{n}", window=60.0, goal="up") for n in range(4)]
    means = [Metric(name=f"mean{n}", kind="mean", outcome=f"b{n}", window=60.0, goal="up") for n in range(4)]
    ratios = [
        Metric(name=f"ratio{n}", kind="ratio", numerator=f"c{n}", denominator="d", window=60.0, goal="down")
        for n in range(2)
    ]
    return (*shares, *means, *ratios)


def cell(units: int, rng: np.random.Generator) -> Cell:
    """Return sums as a fold finds them."""
    found = {}
    for metric in metrics():
        if metric.kind == "proportion":
            hits = float(rng.binomial(units, 0.1))
            found[metric.name] = Aggregate(units=Moments(units, hits, hits))
        elif metric.kind == "mean":
            total = units * rng.normal(10, 20 / units**0.5)
            found[metric.name] = Aggregate(units=Moments(units, total, total * total / units + 400.0 * units))
        else:
            x, y = 6.0 * units, units * rng.normal(0.6, 0.8 / units**0.5)
            found[metric.name] = Aggregate(units=Moments(units, y, 1.0 * units, x, 40.0 * units, 4.0 * units))
    names = list(found)
    products = {
        one: {
            two: Product(Moments(units, found[one].units.y, 1.0, found[two].units.y, 1.0, 0.1 * units))
            for two in names[place + 1 :]
        }
        for place, one in enumerate(names)
    }
    return Cell(units=units, exchanges=6 * units, metrics=found, products=products)


def evidence(experiment: Experiment, rng: np.random.Generator) -> Evidence:
    """Return all that a report is made of."""
    phase = Phase(1, 1, START, None, ARMS, "control", clustered=False)
    cells = {Place(1, 1, arm): cell(UNITS, rng) for arm in ARMS}
    for name in SLICES:
        for level in range(LEVELS):
            for arm in ARMS:
                cells[Place(1, 1, arm, (name,), (f"v{level}",))] = cell(UNITS // LEVELS, rng)
    places = [Place(1, 1, arm, ("day",), (str(20_000 + day),)) for day in range(DAYS) for arm in ARMS]
    series = Series(days={place: cell(UNITS // DAYS, rng) for place in places})
    blocks = (Block(0, dict.fromkeys(ARMS, 1.0), dict.fromkeys(ARMS, UNITS), ""),)
    counted = 3 * UNITS
    observed = Observed(
        experiment="e", run=1, phase=1, control="control", exposures=counted, analysed=counted, requests=counted
    )
    quality = judge(structs.replace(observed, units=counted, blocks=blocks))
    result = Result(plan(experiment, metrics()), (Stage(phase, counted, 0, 0, counted),), cells, series=series)
    return Evidence(result, (quality,))


def main() -> None:
    """Measure and print."""
    names = [metric.name for metric in metrics()]
    measured = Measured(
        primary=names[0],
        secondary=tuple(names[1:]),
        guardrails=(Guardrail(metric="ratio0", ratio=1.5), Guardrail(metric="mean0", relative=-0.05)),
        oec={"share0": 0.5, "mean0": 0.25, "ratio0": 0.25},
    )
    arms = tuple(Arm(name=arm, target=arm, weight=1.0) for arm in ARMS)
    experiment = Experiment(name="e", route="r", arms=arms, metrics=measured, slices=SLICES, decide=Decide(mde=0.02))
    found = evidence(experiment, np.random.default_rng(1))
    now = START + DAYS * DAY_S
    best = {"report": float("inf"), "json": float("inf"), "plots": float("inf"), "page": float("inf")}
    for _ in range(5):
        times = [time.process_time()]
        report = compose(experiment, found, now)
        times.append(time.process_time())
        report_document(report)
        times.append(time.process_time())
        drawn = plots(report, metrics()[0])
        times.append(time.process_time())
        page(report, found.result, (), drawn)
        times.append(time.process_time())
        spent = [after - before for before, after in pairwise(times)]
        best = {name: min(best[name], each) for name, each in zip(best, spent, strict=True)}
    sys.stdout.write("".join(f"{name:8}{1000 * each:9.1f} ms\n" for name, each in best.items()))


if __name__ == "__main__":
    main()
