"""What a change of the files changed: path, old and new value, file, line, and whose file it is.

Responsible for: finding the values that differ between two configurations, and where the new ones are written.
Does not know: files, clocks, sentences for people about consequences (``router.config.diff``).

Rules: pure. Paths go by names, so that another order is no change; a thing that comes or goes whole is one edit, and so
is a list without names. What may be a credential is not in it. At most ``MAX_EDITS`` are kept, and how many there were.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from router.config.mistake import ROOT, child
from router.config.paths import item
from router.config.resolve import Origin
from router.config.schema import Config
from router.config.secret import shown
from router.config.variant import applied
from router.events.model import Edit

if TYPE_CHECKING:
    from router.config.load import Loaded

MAX_EDITS: Final = 100
_TEXT_MAX: Final = 200
_AUTHORS: Final = 3
_ABSENT: Final = object()
_DERIVED: Final = ("variants",)


class _Difference(NamedTuple):
    """A value that differs: its path by names, and by indexes in what follows, and both values."""

    path: str
    place: str
    before: Any
    after: Any


def edits(before: Config, loaded: "Loaded") -> tuple[tuple[Edit, ...], int]:
    """Give what the files change.

    Args:
        before: The configuration until now.
        loaded: The one that follows it.

    Returns:
        The first edits, and how many there are.
    """
    found = [_edit(each, loaded, "") for each in _differences(_plain(before), _plain(loaded.config))]
    said = {(edit.path, edit.before, edit.after) for edit in found}
    variants = {variant.label: variant for variant in before.variants}
    labels = [variant.label for variant in loaded.config.variants]
    for label, other in zip(labels, loaded.others, strict=True):
        old = applied(before, variants[label]) if label in variants else before
        new = applied(loaded.config, next(each for each in loaded.config.variants if each.label == label))
        for each in _differences(_plain(old), _plain(new)):
            edit = _edit(each, other, f"{label}: ")
            if (each.path, edit.before, edit.after) not in said:
                found.append(edit)
    return tuple(found[:MAX_EDITS]), len(found)


def restored(before: Config, after: Config, number: int, by: str) -> tuple[tuple[Edit, ...], int]:
    """Give what the restore of a revision changes; see ``edits``."""
    found = [
        Edit(path=each.path, before=_text(each.path, each.before), after=_text(each.path, each.after),
             file=f"revision {number}", by=by)
        for each in _differences(_plain(before), _plain(after))
    ]  # fmt: skip
    return tuple(found[:MAX_EDITS]), len(found)


def author(found: tuple[Edit, ...], loaded: "Loaded") -> str:
    """Say who changed the files: their owners, each with the first file that they changed."""
    owners = {edit.by: edit.file for edit in reversed(found) if edit.by is not None and edit.file is not None}
    if not owners and loaded.owners:
        file, owner = next(iter(loaded.owners.items()))
        owners = {owner: file}
    said = [f"{owner}, owner of {file}" for owner, file in list(owners.items())[:_AUTHORS]]
    more = f" and {len(owners) - _AUTHORS} more" if len(owners) > _AUTHORS else ""
    return "; ".join(said) + more if said else "file"


def _plain(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(config)
    found["flags"] = {key: value for key, value in found["flags"].items() if key != "sets"}
    return {key: value for key, value in found.items() if key not in _DERIVED}


def _differences(before: Any, after: Any, path: str = ROOT, place: str = ROOT) -> Iterator[_Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
            yield from _differences(old, new, child(path, key), child(place, key))
    elif _named(before) and _named(after) and (before or after):
        old_items = {each["name"]: each for each in before}
        new_items = {each["name"]: (index, each) for index, each in enumerate(after)}
        for name in {**old_items, **new_items}:
            index, new = new_items.get(name, (None, _ABSENT))
            at = place if index is None else child(place, index)
            yield from _differences(old_items.get(name, _ABSENT), new, item(path, name), at)
    elif before != after:
        yield _Difference(path, place, before, after)


def _named(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, dict) and "name" in each for each in value)


def _edit(found: _Difference, loaded: "Loaded", prefix: str) -> Edit:
    origin = loaded.removed.get(found.path) or _near(loaded.origins, found.place)
    return Edit(
        path=f"{prefix}{found.path}",
        before=_text(found.path, found.before),
        after=_text(found.path, found.after),
        file=origin.file,
        line=origin.line,
        by=loaded.owners.get(origin.file),
    )


def _near(origins: Mapping[str, Origin], place: str) -> Origin:
    while place not in origins:
        place = place[: max(place.rfind("."), place.rfind("["))]
    return origins[place]


def _text(path: str, value: Any) -> str | None:
    """Write a value as JSON, shortened; None when there is none."""
    if value is _ABSENT:
        return None
    text = msgspec.json.encode(shown(path, value)).decode()
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"
