"""Releases of one scenario, for several seeds and controllers.

Responsible for: the controllers by name, each with the same traffic.
Does not know: processes, tables.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from benchmarks.rollouts.argo import Argo, Template
from benchmarks.rollouts.flagger import Canary, Flagger
from benchmarks.rollouts.recipes import recipe
from benchmarks.rollouts.replay import Controller, Ended, replay
from benchmarks.rollouts.router import Router
from benchmarks.rollouts.scenarios import ALL, Scenario
from benchmarks.rollouts.traffic import Stream

Make = Callable[[Scenario, Stream, float], Controller]


def _router(scenario: Scenario, stream: Stream, look_s: float) -> Controller:
    return Router(recipe(scenario.recipe), stream.users, (scenario.new, scenario.old), max(look_s, scenario.look_s))


CONTROLLERS: Final[Mapping[str, Make]] = {
    "router": _router,
    "Flagger": lambda *_: Flagger(Canary()),
    "Flagger (threshold 5)": lambda *_: Flagger(Canary(threshold=5)),
    "Argo": lambda *_: Argo(Template()),
    "Argo (strict)": lambda *_: Argo(Template(0.99, 60.0, 0, 0.0)),
}


class Batch(NamedTuple):
    """Releases to make.

    Attributes:
        scenario: Name of the scenario.
        seeds: One release of each controller for each.
        controllers: Who decides, by name.
        look_s: How often this router looks in the first quarter of an hour of a phase, in seconds; less often where a
            scenario says so.
    """

    scenario: str
    seeds: tuple[int, ...]
    controllers: tuple[str, ...]
    look_s: float = 60.0


def releases(batch: Batch) -> dict[str, list[Ended]]:
    """Make releases, and return how they ended: controller to an ending for each seed."""
    scenario = next(each for each in ALL if each.name == batch.scenario)
    found: dict[str, list[Ended]] = {controller: [] for controller in batch.controllers}
    for seed in batch.seeds:
        stream = Stream(seed, scenario.crowd, scenario.rate)
        for name in batch.controllers:
            found[name].append(replay(scenario, stream, CONTROLLERS[name](scenario, stream, batch.look_s)))
    return found
