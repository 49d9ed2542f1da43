"""A tree with lines to plain values with units resolved, by the types of the schema.

Responsible for: types, unknown and missing keys, units, bounds and patterns: all that can be said about one value
alone, or about a list by itself. Remembers where each value came from.
Does not know: what one value says about another (``references``), files' contents, YAML's syntax.

Rules: driven by the type hints of ``schema`` alone, so a key exists in one place; goes on after a mistake and leaves
``BROKEN`` where a value could not be read; ``null`` is never a value, because a key whose value was commented out must
not silently mean its default.
"""

import difflib
import glob
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import NODEFAULT, inspect

from router.config import not_yet, scalars
from router.config.condition import canonical, limit_in_words
from router.config.condition_parser import parse, parse_bound, parse_difference
from router.config.document import Node
from router.config.mistake import ROOT, Mistakes, child, show

BROKEN: Final = object()
_SUGGESTED_KEY_LENGTH = 64  # difflib takes quadratic time
_KNOWN_KEYS_SHOWN = 12

_EXPECTED: Mapping[type, str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.VarTupleType: "a list",
    inspect.DictType: "a map",
    inspect.StructType: "a map",
}
_PATTERN_HINTS: Mapping[str, str] = {
    "name": 'is not a name; use 1 to 64 letters, digits, ".", "_" or "-", a letter or digit first',
    "pointer": "is not a JSON pointer such as /user/id",
    "header": "is not a header field name",
    "method": "is not a method; methods are upper-case, as in POST",
}
_PARSERS: Mapping[str, Callable[[str], object]] = {
    "duration": scalars.parse_duration,
    "size": scalars.parse_size,
    "share": scalars.parse_share,
    "change": scalars.parse_change,
    "rate": scalars.parse_rate,
    "time": scalars.parse_time,
    "difference": parse_difference,
}
_NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "source": lambda text: scalars.format_source(scalars.parse_source(text)),
    "measure": scalars.parse_measure,
    "condition": lambda text: canonical(parse(text)),
    "bound": lambda text: limit_in_words(parse_bound(text)),
    "url": lambda text: scalars.format_url(scalars.parse_url(text)),
    "listen": lambda text: scalars.format_listen(scalars.parse_listen(text)),
    "network": scalars.parse_network,
    "path": scalars.parse_path,
    "host": scalars.parse_host_pattern,
    "server_name": scalars.parse_host,
}
_FORMATTERS: Mapping[str, Callable[[Any], str]] = {
    "duration": scalars.format_duration,
    "size": scalars.format_size,
    "share": scalars.format_share,
    "change": scalars.format_share,
    "rate": scalars.format_rate,
    "time": scalars.format_time,
}
_EXAMPLES: Mapping[str, str] = {
    "duration": "a duration such as 5s",
    "size": "a size such as 64KiB",
    "share": "a share such as 5%",
    "change": "a change such as 5%",
    "rate": "a rate such as 1000/s",
    "difference": "a difference such as 2%, 250ms or 0.004",
    "time": "a moment such as 2026-12-01T00:00:00Z",
    "listen": "an address such as 0.0.0.0:8080",
}
_WITH_UNIT: Final = frozenset({"duration", "rate", "time"})  # a bare number could mean any


class Origin(NamedTuple):
    """Where a value was written: file, line, and the value as written; and what it replaced, the uppermost first."""

    file: str
    line: int
    value: Any
    above: "tuple[Origin, ...]" = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the document; ``shape`` is its path with every index left out, as in ``$.targets[].name``."""

    path: str = ROOT
    shape: str = ROOT

    def key(self, name: str) -> "Place":
        """Give the place of a key."""
        return Place(child(self.path, name), f"{self.shape}.{name}")

    def item(self, index: int) -> "Place":
        """Give the place of a list item."""
        return Place(child(self.path, index), f"{self.shape}[]")


class Resolver:
    """Resolves one document.

    Per document: the folder that relative file names start from, the mistakes, and the origins found so far.
    """

    def __init__(self, folder: Path, mistakes: Mistakes) -> None:
        self._folder = folder
        self._mistakes = mistakes
        self.origins: dict[str, Origin] = {}

    def resolve(self, node: Node, kind: inspect.Type, place: Place) -> Any:
        """Resolve a value and all below it.

        Args:
            node: the value as written.
            kind: what the schema says it is.
            place: where it stands.

        Returns:
            Plain data (dict, list, scalars) with units resolved, or ``BROKEN``; a broken part of a map or a list stands
            in it as ``BROKEN``, so that indexes stay right.
        """
        if node.broken:
            return BROKEN
        above = tuple(Origin(upper.file, upper.line, upper.plain()) for upper in node.above)
        self.origins[place.path] = Origin(node.file, node.line, node.plain(), above)
        kind, extra = _unwrap(kind)
        if node.value is None:
            return self._wrong(node, place, "has no value; remove the key, or give it one")
        if isinstance(kind, inspect.UnionType):
            members = [_unwrap(member) for member in kind.types if not isinstance(member, inspect.NoneType)]
            fitting = [member for member in members if len(members) == 1 or _fits(member[0], node.value)]
            if not fitting:
                *others, last = [_expected(member) for member, _ in members]
                return self._mismatch(node, place, f"{', '.join(others)} or {last}")
            kind, extra = fitting[0][0], fitting[0][1] or extra
        if isinstance(kind, inspect.AnyType):
            self._note(node, place)
            return BROKEN if _is_broken(node) else node.plain()
        if isinstance(kind, inspect.StructType):
            return self._struct(node, kind, place, extra.get("shorthand"))
        if isinstance(kind, inspect.VarTupleType):
            return self._list(node, kind, place)
        if isinstance(kind, inspect.DictType):
            return self._map(node, kind, place)
        if isinstance(kind, inspect.LiteralType):
            return self._literal(node, kind, place)
        return self._scalar(node, kind, place, extra.get("scalar", ""))

    def _note(self, node: Node, place: Place) -> None:
        """Remember where the parts of free JSON were written, so that a mistake in a rule has its line."""
        if not isinstance(node.value, dict | list):
            return
        parts = node.value.items() if isinstance(node.value, dict) else enumerate(node.value)
        for key, below in parts:
            at = place.item(key) if isinstance(key, int) else place.key(key)
            if not below.broken:
                self.origins[at.path] = Origin(below.file, below.line, below.plain())
                self._note(below, at)

    def _wrong(self, node: Node, place: Place, message: str) -> object:
        self._mistakes.add(node.line, place.path, message, node.file)
        return BROKEN

    def _mismatch(self, node: Node, place: Place, expected: str) -> object:
        hint = (
            "; put it in quotes if it is text" if expected == "text" and not isinstance(node.value, dict | list) else ""
        )
        return self._wrong(node, place, f"expected {expected}, found {_found(node.value)}{hint}")

    def _struct(self, node: Node, kind: inspect.StructType, place: Place, shorthand: str | None) -> Any:
        fields = {field.encode_name: field for field in written_fields(kind)}
        if shorthand is not None and isinstance(node.value, str):
            self.origins[place.key(shorthand).path] = self.origins[place.path]
            return {shorthand: self.resolve(node, fields[shorthand].type, place)}
        if not isinstance(node.value, dict):
            return self._mismatch(node, place, f"a map, or text for its {shorthand}" if shorthand else "a map")
        values: dict[str, Any] = {}
        for key, below in node.value.items():
            if key in fields:
                values[key] = self.resolve(below, fields[key].type, place.key(key))
            else:
                self._unknown(key, below, list(fields), place)
        for name, field in fields.items():
            if name not in node.value and field.default is NODEFAULT and field.default_factory is NODEFAULT:
                self._wrong(node, place, f"key {show(name)} is missing: {describe(field.type)}")
                values[name] = BROKEN
        return values

    def _unknown(self, key: str, node: Node, known: list[str], place: Place) -> None:
        at = place.key(key)
        if at.shape in not_yet.KEYS:
            self._mistakes.add(node.line, at.path, f"{show(key)} is not supported yet", node.file)
            return
        if key == "<<":
            self._mistakes.add(node.line, at.path, "merge keys are not part of YAML 1.2; write the keys out", node.file)
            return
        near = difflib.get_close_matches(key, known, 1) if len(key) <= _SUGGESTED_KEY_LENGTH else []
        shown = ", ".join(known[:_KNOWN_KEYS_SHOWN]) + (", …" if len(known) > _KNOWN_KEYS_SHOWN else "")
        hint = f"did you mean {show(near[0])}?" if near else f"known keys: {shown}"
        self._mistakes.add(node.line, at.path, f"unknown key {show(key)}; {hint}", node.file)

    def _list(self, node: Node, kind: inspect.VarTupleType, place: Place) -> Any:
        if not isinstance(node.value, list):
            return self._mismatch(node, place, "a list")
        if len(node.value) < (kind.min_length or 0):
            return self._wrong(node, place, f"needs at least {kind.min_length} item{'s'[: kind.min_length != 1]}")
        items: list[Any] = []
        seen: dict[str, int] = {}
        for index, below in enumerate(node.value):
            at = place.item(index)
            items.append(value := self.resolve(below, kind.item_type, at))
            if isinstance(value, str) and seen.setdefault(value, index) != index:
                self._wrong(below, at, f"{show(value)} is already item {seen[value]} of the list")
        return items

    def _map(self, node: Node, kind: inspect.DictType, place: Place) -> Any:
        if not isinstance(node.value, dict):
            return self._mismatch(node, place, "a map")
        values: dict[str, Any] = {}
        for key, below in node.value.items():
            at = place.key(key)
            key_kind, extra = _unwrap(kind.key_type)
            resolved = self._scalar(Node(below.line, key, file=below.file), key_kind, at, extra.get("scalar", ""))
            value = self.resolve(below, kind.value_type, at)
            if resolved is not BROKEN:
                values[key] = value
        return values

    def _literal(self, node: Node, kind: inspect.LiteralType, place: Place) -> Any:
        if any(type(value) is type(node.value) and value == node.value for value in kind.values):
            return node.value
        if isinstance(node.value, str) and node.value in not_yet.VALUES.get(place.shape, ()):
            return self._wrong(node, place, f"{show(node.value)} is not supported yet")
        return self._mismatch(node, place, _expected(kind))

    def _scalar(self, node: Node, kind: inspect.Type, place: Place, scalar: str) -> Any:
        value = node.value
        try:
            if scalar in _PARSERS and isinstance(value, str):
                value = _PARSERS[scalar](value)
            elif scalar in _NORMALISERS and isinstance(value, str):
                value = _NORMALISERS[scalar](value)
        except ValueError as error:
            return self._wrong(node, place, str(error))
        if not _is(kind, value) or (scalar in _WITH_UNIT and not isinstance(node.value, str)):
            return self._mismatch(
                node, place, _EXAMPLES.get(scalar) or _EXPECTED.get(type(kind), "another kind of value")
            )
        if isinstance(kind, inspect.IntType | inspect.FloatType):
            return value if self._in_bounds(node, kind, value, place, scalar) else BROKEN
        if isinstance(kind, inspect.StrType):
            return self._text(node, kind, value, place, scalar)
        return value

    def _in_bounds(
        self, node: Node, kind: inspect.IntType | inspect.FloatType, value: float, place: Place, scalar: str
    ) -> bool:
        write = _FORMATTERS.get(scalar, str)
        shown = show(node.value) if isinstance(node.value, str) else str(node.value)
        least = 0 if kind.ge is None and scalar == "size" else kind.ge
        most = scalars.MAX_SIZE if kind.le is None and scalar == "size" else kind.le
        if least is not None and value < least:
            self._wrong(node, place, f"{shown} is too small; the least is {write(least)}")
            return False
        if most is not None and value > most:
            self._wrong(node, place, f"{shown} is too large; the most is {write(most)}")
            return False
        return True

    def _text(self, node: Node, kind: inspect.StrType, value: str, place: Place, scalar: str) -> Any:
        if kind.pattern is not None and not re.fullmatch(kind.pattern, value):
            return self._wrong(node, place, f"{show(value)} {_PATTERN_HINTS.get(scalar, f'is not {kind.pattern}')}")
        if len(value) < (kind.min_length or 0):
            return self._wrong(node, place, "is empty")
        if kind.max_length is not None and len(value) > kind.max_length:
            return self._wrong(node, place, f"has {len(value)} characters; the most is {kind.max_length}")
        if scalar == "glob":
            return str(Path(glob.escape(str(self._folder))) / value)
        return str(self._folder / value) if scalar == "file" else value


def _is_broken(node: Node) -> bool:
    below = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    return node.broken or any(_is_broken(item) for item in below)


def written_fields(kind: inspect.StructType) -> list[inspect.Field]:
    """Give the fields of a struct that are keys, without those that the loader adds."""
    return [field for field in kind.fields if not _unwrap(field.type)[1].get("derived")]


def describe(kind: inspect.Type) -> str:
    """Give the description of a key."""
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return str(kind.extra_json_schema.get("description", ""))
    return ""


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """Separate a type from what the schema says about it beyond msgspec's constraints."""
    if isinstance(kind, inspect.Metadata):
        return kind.type, kind.extra or {}
    return kind, {}


def _fits(kind: inspect.Type, value: object) -> bool:
    return _is(kind, value) or (isinstance(kind, inspect.LiteralType) and value in kind.values)


def _expected(kind: inspect.Type) -> str:
    """Say what a type wants."""
    if isinstance(kind, inspect.LiteralType):
        choices = [str(value) for value in kind.values]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    return _EXPECTED[type(kind)]


def _is(kind: inspect.Type, value: object) -> bool:
    """Tell whether a value has the scalar type; a whole number is a number, a truth value is not."""
    if isinstance(value, bool):
        return isinstance(kind, inspect.BoolType)
    if isinstance(kind, inspect.FloatType):
        return isinstance(value, int | float)
    if isinstance(kind, inspect.IntType):
        return isinstance(value, int)
    return isinstance(kind, inspect.StrType) and isinstance(value, str)


def _found(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"text {show(value)}" if value else "empty text"
    return show(value)
