"""Parts of resolved plain data in which ``BROKEN`` may stand.

Responsible for: getting at parts without saying again what is broken, and whether a name refers to something.
Does not know: what the parts mean.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from router.config.mistake import ROOT, child, show
from router.config.resolve import BROKEN

_REQUIRED = ("target", "route")

Report = Callable[[str, str], None]
"""Takes the path and the message of a mistake."""


def items(parent: Mapping[str, Any], key: str, path: str = ROOT) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give path and value of each map in a list, without the broken ones."""
    values = parent.get(key, ())
    if isinstance(values, list):
        for index, value in enumerate(values):
            if isinstance(value, dict):
                yield child(child(path, key), index), value


def part(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Give a map within a map; an empty one when it is absent or broken."""
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def given(parent: Mapping[str, Any], key: str) -> bool:
    """Tell whether a key is there and not broken."""
    return parent.get(key, BROKEN) is not BROKEN


def named(config: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """Give the maps of a list by their names."""
    return {item["name"]: item for _, item in items(config, key) if given(item, "name")}


def must_exist(path: str, name: Any, known: Mapping[str, object], what: str, report: Report) -> bool:
    """Report a name that refers to nothing; True when it refers to something."""
    if name is BROKEN or (what in _REQUIRED and not known):
        return False  # what is missing or broken there was said once
    if name not in known:
        shown = ", ".join(sorted(known)[:10]) + (", …" if len(known) > 10 else "")
        report(path, f"there is no {what} {show(name)}" + (f"; there are: {shown}" if known else ""))
        return False
    return True


def unique_names(items: Sequence[tuple[str, dict[str, Any]]], report: Report) -> None:
    """Report items of a list that have the name of an earlier one."""
    seen: dict[str, str] = {}
    for path, item in items:
        name = item.get("name", BROKEN)
        if name is not BROKEN and seen.setdefault(name, path) != path:
            report(f"{path}.name", f"{show(name)} is already the name of {seen[name]}")
