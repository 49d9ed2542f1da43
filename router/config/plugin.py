"""Plug-ins by name: a class that ``use`` names, and its options as the YAML has them.

Responsible for: finding the class, and turning options into a value of it, with units, bounds and mistakes as for any
other key.
Does not know: what a plug-in does; which seam it is for, but for the names of the built-ins.

Rules: a plug-in is a frozen ``msgspec.Struct`` whose fields are its options. ``use`` is the name of a built-in or
``package.module:Class``; such a path comes from the configuration file only, never from the admin API. What importing
raises is a mistake in the configuration, not an error of the router.
"""

import importlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from router.config.document import Node
from router.config.mistake import Mistake, Mistakes, show
from router.config.resolve import Place, Resolver

_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def find(use: object, built_in: Mapping[str, str]) -> type[Struct]:
    """Return the class that a ``use`` names.

    Args:
        use: As written.
        built_in: Names of built-ins to their own paths.

    Raises:
        ValueError: If there is none; the message is a sentence.
    """
    known = ", ".join(sorted(built_in))
    if not isinstance(use, str) or (use not in built_in and not _PATH.fullmatch(use)):
        raise ValueError(f"{show(use)} is not one of {known}, nor a path such as my_package.module:Class")
    module, _, name = built_in.get(use, use).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ValueError(f"{show(use)} cannot be imported: {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, Struct) and found.__struct_config__.frozen):
        raise ValueError(f"{show(use)} is not a frozen msgspec.Struct")
    needs = getattr(found, "needs", None)
    if needs is not None and find_spec(needs[0]) is None:
        raise ValueError(f"{show(use)} needs the extra {needs[1]}")
    return found


def make(kind: type[Struct], options: Mapping[str, Any], path: str, folder: Path) -> tuple[Any, tuple[Mistake, ...]]:
    """Return a plug-in with its options, and what is wrong with them; it is None then.

    Args:
        kind: Its class.
        options: As written, without ``use``.
        path: Where they stand, for the mistakes.
        folder: Where relative names of files start.
    """
    mistakes = Mistakes("")
    values = Resolver(folder, mistakes).resolve(_node(dict(options)), inspect.type_info(kind), Place(path, path))
    if mistakes.found:
        return None, tuple(mistakes.found)
    try:
        return msgspec.convert(values, kind), ()
    except (msgspec.ValidationError, ValueError) as error:  # of the plug-in's own
        return None, (Mistake("", 0, path, str(error)),)


def _node(value: Any) -> Node:
    if isinstance(value, dict):
        return Node(0, {key: _node(below) for key, below in value.items()})
    if isinstance(value, list | tuple):
        return Node(0, [_node(below) for below in value])
    return Node(0, value)
