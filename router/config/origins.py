"""Where each value of a configuration came from.

Responsible for: finding a value by its path, with the file and line that wrote it and what it replaced there.
Does not know: how files are merged (``merge``), who is shown the answer.

Rules: pure. What was written is given as it was written; what nobody wrote is the default that holds. Below free JSON,
which is one value, everything has the origin of the whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from router.config.load import Loaded
from router.config.mistake import child
from router.config.paths import Steps, by_name, parse
from router.config.paths import find as follow
from router.config.resolve import Origin

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it came from.

    Attributes:
        path: its path, with indexes.
        value: as it was written; the default where nothing was.
        origin: where that is written, or removed; None for a default that nobody touched.
        above: what it replaced in files further up, the uppermost first.
        removed: whether a file removed it, so that the default holds, or nothing.
    """

    path: str
    value: Any
    origin: Origin | None = None
    above: tuple[Origin, ...] = ()
    removed: bool = False

    @property
    def place(self) -> str:
        """Write where it came from: file and line, or that it is a default."""
        if self.origin is None:
            return DEFAULT
        place = f"{self.origin.file}:{self.origin.line}"
        return f"{DEFAULT} (removed by {place})" if self.removed else place


def find(loaded: Loaded, place: str) -> tuple[Found, tuple[Found, ...]]:
    """Find a value, and, when it is a map or a list, every value below it.

    Args:
        loaded: the configuration.
        place: the path, by names or indexes.

    Raises:
        ValueError: If it is no path.
        LookupError: If the configuration has no such value.
    """
    steps = parse(place)
    removed = next((origin for path, origin in loaded.removed.items() if parse(path) == steps), None)
    tree = effective(loaded)
    try:
        path, value = follow(tree, steps)
    except LookupError:
        if removed is None:
            raise
        return Found(place, None, removed, removed.above, removed=True), ()
    found = _found(loaded.origins, path, value)
    if removed is not None and found.origin is None:
        found = Found(path, value, removed, removed.above, removed=True)
    return found, tuple(leaves(loaded, path, value))


def effective(loaded: Loaded) -> Any:
    """Give a configuration as plain data, defaults included."""
    return msgspec.to_builtins(loaded.config)


def leaves(loaded: Loaded, path: str, value: Any) -> Iterator[Found]:
    """Give every value at and below a path of the effective configuration, in the order of the schema."""
    origin = loaded.origins.get(path)
    below = list(_below(path, value))
    free = origin is not None and bool(below) and not any(at in loaded.origins for at, _ in below) and origin.value
    if not below or free:
        yield _found(loaded.origins, path, value)
        return
    for at, part in below:
        yield from leaves(loaded, at, part)


def _below(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((child(path, key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((child(path, index), part) for index, part in enumerate(value))


def _found(origins: Mapping[str, Origin], path: str, value: Any) -> Found:
    if path in origins:
        return Found(path, origins[path].value, origins[path], origins[path].above)
    written = _free(origins, path)
    return Found(path, value) if written is None else Found(path, value, written)


def _free(origins: Mapping[str, Origin], path: str) -> Origin | None:
    """Give the origin of the free JSON that a value is a part of."""
    steps = parse(path)
    near = path
    while near not in origins:  # the root is always there
        near = near[: max(near.rfind("."), near.rfind("["))]
    rest: Steps = steps[len(parse(near)) :]
    try:
        follow(origins[near].value, rest)
    except LookupError:
        return None
    return origins[near]


def named(loaded: Loaded, path: str) -> str:
    """Write a path with names in the place of indexes."""
    return by_name(effective(loaded), path)
