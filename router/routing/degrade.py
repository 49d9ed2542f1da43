"""What gives way at which load of a target: header fields for the model, a cheaper target, a share of requests.

Responsible for: compiling a route's ``degrade``, and which level a load has reached.
Does not know: how the load is measured, who is shed.

Rules: everything is computed at compile, so that a request costs one comparison for each level. A level has all that
the steps up to it say: each header field as the last of them has it, the last drop, target and share.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Final

from msgspec import Struct

from router.config.schema import Degrade, Route
from router.counters import pair_key

DROP: Final = "x-router-drop"


class Level(Struct, frozen=True):
    """What holds from some load on.

    Attributes:
        at: The load, as a share of the target's ``concurrency.max``.
        head: Header fields to the target, each with its CRLF.
        shed: Share of requests that are shed.
        target: Who serves in place of the assigned target; None when that does.
        pair: First word of the counter row of the route and that target; 0, which is no row's, without.
    """

    at: float
    head: bytes
    shed: float
    target: str | None
    pair: int


def compile_levels(route: Route, slots: Mapping[str, int]) -> tuple[Level, ...]:
    """Compile a route's steps, the highest load first.

    Raises:
        KeyError: If a counter row is missing.
    """
    levels: list[Level] = []
    fields: dict[str, tuple[str, str]] = {}
    shed, target = 0.0, None
    for step in sorted(route.degrade, key=lambda step: step.when.inflight):  # equal ones in the order of the file
        for name, value in _fields(step, route.features):
            fields.pop(name.lower(), None)
            fields[name.lower()] = (name, value)
        shed = shed if step.shed is None else step.shed
        target = target if step.target is None else step.target
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.values()).encode("ascii")
        pair = 0 if target is None else slots[pair_key(route.name, target)]
        levels.append(Level(step.when.inflight, head, shed, target, pair))
    return tuple(reversed(levels))


def reached(levels: tuple[Level, ...], load: float) -> Level | None:
    """Return the highest level that a load has reached; None below all of them."""
    for level in levels:
        if load >= level.at:
            return level
    return None


def dropped(features: Mapping[str, float], share: float) -> list[str]:
    """Return the features to leave out: the least important first, of equal ones the first by name.

    A share of the features is rounded up, so that any share above 0 names one.
    """
    order = sorted(features, key=lambda name: (features[name], name))
    # 0.07 * 100 is 7.000000000000001 in binary: what a share says in decimal is not to be rounded up.
    return order[: ceil(round(share * len(order), 9))]


def _fields(step: Degrade, features: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    yield from step.header.items()
    if step.drop is not None:
        names = dropped(features, step.drop)
        if names:
            yield DROP, ", ".join(names)
