"""Paths that people write: by keys and names, such as ``$.experiments[ranker-v2].arms[control].weight``.

Responsible for: reading such a path, writing one, and finding what it leads to in a plain tree.
Does not know: files, the schema, what a value means.

Rules: a path is the steps from the root. A step is the text of a key, of the ``name`` of a list's item, or of an index;
what stands at the place says which, and a name goes before an index. Brackets and dots mean the same, ``$.`` at the
beginning may be left out.
"""

import json
import re
from typing import Any, Final

from router.config.mistake import ROOT, child, show

Steps = tuple[str, ...]

_STEP: Final = re.compile(
    r"""\.?(?P<key>[A-Za-z0-9_$][A-Za-z0-9_$-]*)|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|\[(?P<name>[^\]"\s]+)\]"""
)
MAX_PATH: Final = 1024


def parse(text: str) -> Steps:
    """Read a path.

    Raises:
        ValueError: If it is not one.
    """
    rest = text.removeprefix(ROOT)
    steps: list[str] = []
    place = 0
    while place < len(rest) and len(text) <= MAX_PATH:
        found = _STEP.match(rest, place)
        if found is None or (found["key"] and bool(place or text.startswith(ROOT)) != rest.startswith(".", place)):
            break
        steps.append(json.loads(found["quoted"]) if found["quoted"] else found["key"] or found["name"])
        place = found.end()
    if place < len(rest) or not text:
        raise ValueError(f"{show(text)} is not a path such as $.experiments[ranker-v2].arms[control].weight")
    return tuple(steps)


def item(path: str, name: str) -> str:
    """Write the path of a list's item by its name."""
    return f"{path}[{name}]"


def find(tree: Any, steps: Steps) -> tuple[str, Any]:
    """Follow a path through plain data.

    Returns:
        The path with indexes in the place of names, as mistakes have it, and what is there.

    Raises:
        LookupError: If it leads nowhere; the message says how far it goes.
    """
    path, value = ROOT, tree
    for step in steps:
        if isinstance(value, dict) and step in value:
            path, value = child(path, step), value[step]
        elif isinstance(value, list | tuple) and (index := _index(value, step)) is not None:
            path, value = child(path, index), value[index]
        else:
            raise LookupError(f"there is no {show(step)} in {path}")
    return path, value


def _index(items: "list[Any] | tuple[Any, ...]", step: str) -> int | None:
    for index, value in enumerate(items):
        if isinstance(value, dict) and value.get("name") == step:
            return index
    return (
        int(step)
        if step.isascii() and step.isdigit() and len(step) < len(str(MAX_PATH * 1000)) and (int(step) < len(items))
        else None
    )


def by_name(tree: Any, path: str) -> str:
    """Write a path with names in the place of the indexes of named things."""
    written, value = ROOT, tree
    for step in parse(path):
        if isinstance(value, dict) and step in value:
            written, value = child(written, step), value[step]
        elif isinstance(value, list | tuple) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
            name = value.get("name") if isinstance(value, dict) else None
            written = item(written, name) if isinstance(name, str) else child(written, int(step))
        else:
            return path
    return written
