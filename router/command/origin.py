"""What ``router explain --value`` does.

Responsible for: writing a value, the file and line it came from, and what it replaced on the way.
Does not know: how files are merged (``router.config.merge``).

Rules: values are shown as they are written; what nobody wrote is the default, and says so. A map or a list is written
value by value.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from router.command.check import report
from router.config.load import Loaded, Site, load
from router.config.mistake import ConfigError, show
from router.config.origins import Found, find, named


def explain_value(path: Path, place: str, site: Site, *, as_json: bool) -> int:
    """Say which file and line a value came from.

    Args:
        path: the configuration, a file or a folder.
        place: path of the value, by names or indexes.
        site: whose configuration of a folder.
        as_json: write JSON for programs.

    Returns:
        0; 1 when the configuration has mistakes or has no such value.
    """
    try:
        loaded = load(path, site)
        found, below = find(loaded, place)
    except ConfigError as error:
        report(error, as_json=as_json)
        return 1
    except (LookupError, ValueError) as error:
        sys.stderr.write(f"router explain: {error.args[0]}\n")
        return 1
    whole = len(below) > 1
    if as_json:
        values = {"values": [_view(loaded, leaf) for leaf in below]} if whole else {}
        sys.stdout.write(msgspec.json.encode({**_view(loaded, found), **values}).decode() + "\n")
        return 0
    for line in (line for leaf in below for line in _leaf(loaded, leaf)) if whole else _lines(found):
        sys.stdout.write(f"{line}\n")
    return 0


def _lines(found: Found) -> Iterator[str]:
    yield f"{found.place}: {show(found.value)}"
    for origin in reversed(found.above):
        yield f"  instead of {origin.file}:{origin.line}: {show(origin.value)}"


def _leaf(loaded: Loaded, leaf: Found) -> Iterator[str]:
    first, *more = _lines(leaf)
    place, _, value = first.partition(": ") if leaf.origin is None else (leaf.place, "", first[len(leaf.place) + 2 :])
    yield f"{place}: {named(loaded, leaf.path)}: {value}"
    yield from more


def _view(loaded: Loaded, found: Found) -> dict[str, Any]:
    """Give a value as programs read it; file and line are null where nobody wrote it."""
    origin = found.origin
    return {
        "path": named(loaded, found.path),
        "file": origin.file if origin else None,
        "line": origin.line if origin else None,
        "value": found.value,
        "removed": found.removed,
        "above": [{"file": upper.file, "line": upper.line, "value": upper.value} for upper in found.above],
    }
