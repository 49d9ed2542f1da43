"""Looking things up in the data of a rule.

Responsible for: paths of keys and indices, as flagd's engine has them.
Does not know: rules, operators.

Rules: never raises for data of JSON but where an index is infinite; what is not there is the default. A path that a
rule says itself is taken apart when the rule is compiled.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from router.routing.coerce import text

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def look_up(data: Any, name: Any, default: Any = None) -> Any:
    """Return what is at a path of keys and indices with dots between them; everything for "" and null.

    A text has its characters at indices, and texts and lists have a ``length``.
    """
    if name is None or name == "":
        return data
    if isinstance(name, int | float):
        return _element(data, name, default)
    return _walk(data, text(name).split("."), default)


def compile_path(name: str) -> Callable[[Any], Any]:
    """Return ``look_up`` for a path, without a default."""
    if not name:
        return lambda data: data
    parts = name.split(".")
    if len(parts) == 1:
        return lambda data: data.get(name) if isinstance(data, dict) else _walk(data, parts, None)
    return lambda data: _walk(data, parts, None)


def _walk(node: Any, parts: list[str], default: Any) -> Any:
    for part in parts:
        if isinstance(node, dict):
            node = node.get(part)
        elif not isinstance(node, list | str):
            return default
        elif part == "length":
            return len(node)
        elif _INDEX.fullmatch(part) and int(part) < len(node):
            node = node[int(part)]
        else:
            return default
    return default if node is None else node


def _element(data: Any, index: float, default: Any) -> Any:
    """Return what is at a place of a list or a text; an infinite one raises."""
    if not isinstance(data, list | str) or index != index or index != int(index) or not 0 <= index < len(data):  # noqa: PLR0124 - NaN
        return default
    return data[int(index)]
