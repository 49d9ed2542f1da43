"""What differs between two configurations, one short sentence each.

Responsible for: the ``changes`` of a journal entry, read by people who ask what happened.
Does not know: which changes are allowed (``state``).

Rules: pure and bounded; lists of named things are compared by name, so a reordered list differs nowhere.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from router.config.mistake import ROOT, child, show
from router.config.schema import Config

# A rewritten configuration of thousands of routes must not fill the journal.
MOST = 100
_ABSENT = object()


def changes(before: Config | None, after: Config) -> tuple[str, ...]:
    """List what differs, as ``$.experiments[ramp].arms[new].weight: 5.0 -> 20.0``.

    Args:
        before: The configuration until now; None when there was none.
        after: The next one.

    Returns:
        At most ``MOST`` sentences, and one more that counts the rest.
    """
    if before is None:
        return ()
    found = list(_differences(ROOT, msgspec.to_builtins(before), msgspec.to_builtins(after)))
    if len(found) > MOST:
        return (*found[:MOST], f"and {len(found) - MOST} more")
    return tuple(found)


def _differences(path: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    left, right = _keyed(path, before), _keyed(path, after)
    if left is None or right is None:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"
        return
    for key in {**left, **right}:
        yield from _differences(key, left.get(key, _ABSENT), right.get(key, _ABSENT))


def _keyed(path: str, value: Any) -> dict[str, Any] | None:
    """Give the parts of a map or of a list of named things by their paths; None for anything else."""
    if isinstance(value, dict):
        return {child(path, key): part for key, part in value.items()}
    if isinstance(value, (list, tuple)) and all(isinstance(part, dict) and "name" in part for part in value):
        return {f"{path}[{part['name']}]": part for part in value}
    return None


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict) and "name" in value:
        return "present"
    return show(value)
