"""Sinks: that each entry of ``events.sinks`` is one, with options that it knows.

Responsible for: the names of the built-in sinks, checking entries, and making sinks of them.
Does not know: what sinks do (``router.archive.sink``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from router.config import plugin
from router.config.mistake import child
from router.config.parts import Report, items, part

BUILT_IN: Final = {"stdout": "router.archive.stdout:Stdout", "kafka": "router.archive.kafka:Kafka"}


def check_sinks(config: Mapping[str, Any], report: Report) -> None:
    """Report sinks that do not exist, and options that they do not have."""
    for path, entry in items(part(config, "events"), "sinks", "$.events"):
        if "use" not in entry:
            report(path, 'key "use" is missing: the name of a sink')
            continue
        try:
            kind = plugin.find(entry["use"], BUILT_IN)
        except ValueError as error:
            report(child(path, "use"), str(error))
            continue
        if not callable(getattr(kind, "open", None)):
            report(child(path, "use"), f"{kind.__qualname__} is not a sink: it has no method open")
            continue
        for mistake in plugin.make(kind, _options(entry), path, Path())[1]:
            report(mistake.path, mistake.message)


def make_sinks(entries: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    """Return the sinks of a configuration that was checked, by the names that metrics have for them.

    Args:
        entries: ``events.sinks``.
        folder: Where relative names of files start.

    Raises:
        ValueError: If one cannot be made any more, as when its package was removed since.
    """
    made: dict[str, Any] = {}
    for entry in entries:
        use = str(entry.get("use"))
        sink, mistakes = plugin.make(plugin.find(use, BUILT_IN), _options(entry), "$.events.sinks[]", folder)
        if mistakes:
            raise ValueError("; ".join(f"{mistake.path}: {mistake.message}" for mistake in mistakes))
        number = sum(name.partition("#")[0] == use for name in made)
        made[f"{use}#{number + 1}" if number else use] = sink
    return made


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "use"}
