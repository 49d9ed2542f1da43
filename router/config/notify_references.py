"""Notifiers: that each entry of ``notify`` is one, with options that it knows, and is for events that there are.

Responsible for: the names of the built-in notifiers, checking entries, and making notifiers of them.
Does not know: what notifiers do (``router.notify``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from router.config import plugin
from router.config.mistake import child, show
from router.config.notify import EVENTS, SEVERITIES
from router.config.parts import Report, items, must_exist, named

BUILT_IN: Final = {
    "webhook": "router.notify.webhook:Webhook",
    "slack": "router.notify.slack:Slack",
    "command": "router.notify.command:Command",
}
_COMMON: Final = frozenset({"use", "events", "severity", "experiments"})
MOST: Final = 32


class Subscription(Struct, frozen=True, kw_only=True):
    """A notifier, and what it is for.

    Attributes:
        notifier: The notifier.
        events: Only these events; all when empty.
        severity: Only from this severity on.
        experiments: Only these experiments; all when empty.
    """

    notifier: Any
    events: frozenset[str] = frozenset()
    severity: str = "info"
    experiments: frozenset[str] = frozenset()

    def wants(self, event: str, severity: str, experiment: str) -> bool:
        """Return whether this notifier is for something."""
        return (
            (not self.events or event in self.events)
            and SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
            and (not self.experiments or experiment in self.experiments)
        )


def check_notify(config: Mapping[str, Any], report: Report) -> None:
    """Report notifiers that do not exist, options that they do not have, events that there are not."""
    entries = list(items(config, "notify"))
    if len(entries) > MOST:
        report("$.notify", f"holds {len(entries)} notifiers; the most is {MOST}")
    for path, entry in entries:
        _check_common(path, entry, named(config, "experiments"), report)
        if "use" not in entry:
            report(path, f'key "use" is missing: the name of a notifier, one of {", ".join(sorted(BUILT_IN))}')
            continue
        try:
            kind = plugin.find(entry["use"], BUILT_IN)
        except ValueError as error:
            report(child(path, "use"), str(error))
            continue
        if not callable(getattr(kind, "message", None)):
            report(child(path, "use"), f"{kind.__qualname__} is not a notifier: it has no method message")
            continue
        for mistake in plugin.make(kind, _options(entry), path, Path())[1]:
            report(mistake.path, mistake.message)


def _check_common(path: str, entry: Mapping[str, Any], experiments: Mapping[str, object], report: Report) -> None:
    severity = entry.get("severity", SEVERITIES[0])
    if severity not in SEVERITIES:
        report(child(path, "severity"), f"{show(severity)} is not one of {', '.join(SEVERITIES)}")
    for key in ("events", "experiments"):
        names = entry.get(key, [])
        if not isinstance(names, list):
            report(child(path, key), f"expected a list, found {show(names)}")
            continue
        for index, name in enumerate(names):
            place = child(child(path, key), index)
            if not isinstance(name, str):
                report(place, f"expected text, found {show(name)}")
            elif key == "experiments":
                must_exist(place, name, experiments, "experiment", report)
            elif name not in EVENTS:
                report(place, f"there is no event {show(name)}; there are: {', '.join(EVENTS)}")


def make_notifiers(entries: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Subscription]:
    """Return the notifiers of a configuration that was checked, by the names that metrics have for them.

    Args:
        entries: ``notify``.
        folder: Where relative names of files start.

    Raises:
        ValueError: If one cannot be made any more, as when its package was removed since.
    """
    made: dict[str, Subscription] = {}
    for entry in entries:
        use = str(entry.get("use"))
        notifier, mistakes = plugin.make(plugin.find(use, BUILT_IN), _options(entry), "$.notify[]", folder)
        if mistakes:
            raise ValueError("; ".join(f"{mistake.path}: {mistake.message}" for mistake in mistakes))
        number = sum(name.partition("#")[0] == use for name in made)
        made[f"{use}#{number + 1}" if number else use] = Subscription(
            notifier=notifier,
            events=frozenset(entry.get("events", ())),
            severity=entry.get("severity", SEVERITIES[0]),
            experiments=frozenset(entry.get("experiments", ())),
        )
    return made


def _options(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _COMMON}
