"""Releases of one scenario, for several seeds and controllers.

Responsible for: the controllers by name, each with the same traffic.
Does not know: processes, tables.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.rollouts.argo import Argo, Template
from benchmarks.rollouts.flagger import Canary, Flagger
from benchmarks.rollouts.recipes import recipe
from benchmarks.rollouts.replay import Controller, Ended, replay
from benchmarks.rollouts.router import Router
from benchmarks.rollouts.scenarios import ALL, Scenario
from benchmarks.rollouts.traffic import Stream

Make = Callable[[Scenario, Stream, float], Controller]


def _router(scenario: Scenario, stream: Stream, look_s: float) -> Controller:
    return Router(recipe(scenario.recipe), stream.users, (scenario.new, scenario.old), look_s)


CONTROLLERS: Final[Mapping[str, Make]] = {
    "router": _router,
    "Flagger, default": lambda *_: Flagger(Canary()),
    "Flagger, threshold 5": lambda *_: Flagger(Canary(threshold=5)),
    "Argo, documented": lambda *_: Argo(Template()),
    "Argo, default limits": lambda *_: Argo(Template(0.99, 60.0, 0, 0.0)),
}


def releases(name: str, seeds: Sequence[int], controllers: Sequence[str], look_s: float) -> dict[str, list[Ended]]:
    """Make releases.

    Args:
        name: The scenario.
        seeds: One release of each controller for each.
        controllers: Who decides, by name.
        look_s: How often this router looks in the first half hour of a phase, in seconds.
    """
    scenario = next(each for each in ALL if each.name == name)
    found: dict[str, list[Ended]] = {controller: [] for controller in controllers}
    for seed in seeds:
        stream = Stream(seed, scenario.crowd, scenario.rate)
        for controller in controllers:
            found[controller].append(replay(scenario, stream, CONTROLLERS[controller](scenario, stream, look_s)))
    return found
