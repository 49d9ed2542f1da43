"""What is promised of releases, and whether it is kept.

Responsible for: the goals as numbers, Flagger's settings at a few requests a minute.
Does not know: how releases went.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.rollouts.flagger import Canary, Flagger
from benchmarks.rollouts.replay import replay
from benchmarks.rollouts.scenarios import ALL, USUAL
from benchmarks.rollouts.table import Line
from benchmarks.rollouts.traffic import Stream
from benchmarks.rollouts.versions import Version, steady

ROUTER: Final = "router"
SOON_S: Final = 1800.0
SHIPPED_S: Final = 86_400.0


class Goal(NamedTuple):
    """A goal.

    Attributes:
        scenario: Of which scenario.
        text: What is promised.
        good: Share of releases that did what is promised.
        least: The share that is needed.
    """

    scenario: str
    text: str
    good: Callable[[Line], float]
    least: float

    def asks(self, lines: Sequence[Line]) -> bool:
        """Say whether lines have what it is about."""
        return any((line.scenario.name, line.controller) == (self.scenario, ROUTER) for line in lines)

    def met(self, lines: Sequence[Line]) -> tuple[bool, str]:
        """Say whether it is met, and in words what was found."""
        line = next(each for each in lines if (each.scenario.name, each.controller) == (self.scenario, ROUTER))
        share = self.good(line)
        return share >= self.least, f"{self.text}: {share:.1%} of {len(line.ended)}, at least {self.least:.0%} asked"


def _within(line: Line, outcome: str, seconds: float) -> float:
    return sum(time <= seconds for time in line.times(outcome)) / len(line.ended)


GOALS: Final[tuple[Goal, ...]] = (
    Goal(
        "low traffic, 5/min",
        "identical versions at 5 requests a minute are not rolled back",
        lambda line: 1 - line.share("rolled back"),
        0.99,
    ),
    Goal(
        "sparse errors, halves",
        "0.1 % to 1 % at 100 requests a minute per arm is caught within 30 minutes",
        lambda line: _within(line, "rolled back", SOON_S),
        0.95,
    ),
    Goal(
        "healthy, halves",
        f"identical versions at that rate have full share within {SHIPPED_S / 3600:.0f} hours",
        lambda line: _within(line, "promoted", SHIPPED_S),
        0.95,
    ),
)


def flagger_at_five(seeds: int) -> str:
    """Return a table of how often Flagger's settings roll back identical versions at 5 requests a minute.

    Args:
        seeds: Releases of each setting.
    """
    scenario = next(each for each in ALL if each.name == "low traffic, 5/min")
    settings = [Canary(5, 10, 50, scrape_s) for scrape_s in (0.0, 5.0, 10.0, 15.0, 30.0)]
    settings += [Canary(threshold, step, 50) for threshold, step in ((1, 10), (10, 10), (10, 2))]
    rows = [
        "| threshold | stepWeight | maxWeight | scrapes | 0.1 % fail | 0.5 % | 1 % |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for canary in settings:
        cells = []
        for errors in (USUAL, 0.005, 0.01):
            version = Version(steady(errors))
            case = scenario._replace(new=version, old=version)
            ended = [replay(case, Stream(seed, case.crowd, case.rate), Flagger(canary)) for seed in range(seeds)]
            cells.append(f"{sum(each.outcome == 'rolled back' for each in ended) / seeds:.1%}")
        apart = f"{canary.scrape_s:g} s" if canary.scrape_s else "exact"
        rows.append(f"| {canary.threshold} | {canary.step} | {canary.most} | {apart} | {' | '.join(cells)} |")
    return "\n".join(rows)
