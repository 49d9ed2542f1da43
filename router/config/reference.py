"""The schema as Markdown, for readers.

Responsible for: one table row for each key, in the order of the schema, and putting the tables between two markers of a
page.
Does not know: what else a page says.

Rules: derived from ``schema`` alone; ``docs/configuration.md`` holds its output, and a test keeps the two the same.
"""

import json
from collections.abc import Iterator
from typing import Any

from msgspec import NODEFAULT, inspect

from router.config.json_schema import written
from router.config.resolve import describe, written_fields
from router.config.schema import Config

BEGIN = "<!-- reference: begin (written by `router schema --into`) -->"
END = "<!-- reference: end -->"

_WORDS = {
    "duration": "duration",
    "size": "size",
    "share": "share",
    "rate": "rate",
    "source": "source",
    "measure": "measure",
    "pointer": "JSON pointer",
    "condition": "condition",
    "bound": "bound",
    "url": "URL",
    "listen": "address",
    "network": "network",
    "host": "host",
    "server_name": "host",
    "header": "header",
    "method": "method",
    "path": "path",
    "file": "file",
    "glob": "file",
    "name": "name",
    "json": "any JSON",
}


def reference() -> str:
    """Give the reference of every key: a heading and a table for each top-level key."""
    return "\n\n".join(_section(field) for field in written_fields(_root()))


def splice(page: str, text: str) -> str:
    """Put the reference between the markers of a page.

    Raises:
        ValueError: when the page does not hold both markers, once each and in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"the page needs the lines {BEGIN} and {END} once, in this order")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def keys() -> Iterator[tuple[str, inspect.Field]]:
    """Give the path and the field of every key, such as ``targets[].endpoints[].url``."""
    yield from _below("", _root())


def _root() -> inspect.StructType:
    root = inspect.type_info(Config)
    if not isinstance(root, inspect.StructType):  # pragma: no cover - type_info gives one for every Struct
        raise TypeError("the configuration is not a struct")
    return root


def _section(field: inspect.Field) -> str:
    rows = [(field.encode_name, field)]
    struct, suffix = _struct_in(field.type)
    if struct is not None:
        rows += _below(f"{field.encode_name}{suffix}.", struct)
    lines = [f"### `{field.encode_name}`", "", "| key | type | default | meaning |", "|---|---|---|---|"]
    for path, below in rows:
        cells = (f"`{path}`", _type(below.type), _default(below), describe(below.type))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _below(prefix: str, struct: inspect.StructType) -> Iterator[tuple[str, inspect.Field]]:
    for field in written_fields(struct):
        path = f"{prefix}{field.encode_name}"
        yield path, field
        inner, suffix = _struct_in(field.type)
        if inner is not None:
            yield from _below(f"{path}{suffix}.", inner)


def _struct_in(kind: inspect.Type) -> tuple[inspect.StructType | None, str]:
    """Give the struct that a key holds, and ``[]`` if it holds a list of them."""
    if isinstance(kind, inspect.Metadata):
        return _struct_in(kind.type)
    if isinstance(kind, inspect.StructType):
        return kind, ""
    if isinstance(kind, inspect.VarTupleType):
        return _struct_in(kind.item_type)[0], "[]"
    if isinstance(kind, inspect.UnionType):
        found = (_struct_in(member) for member in kind.types)
        return next((item for item in found if item[0] is not None), (None, ""))
    return None, ""


def _type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        word = _WORDS.get((kind.extra or {}).get("scalar", ""), "")
        return word or _type(kind.type)
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {_plural(_type(kind.item_type))}"
    if isinstance(kind, inspect.DictType):
        return f"map of {_type(kind.key_type)} to {_type(kind.value_type)}"
    if isinstance(kind, inspect.UnionType):
        members = [_type(member) for member in kind.types if not isinstance(member, inspect.NoneType)]
        return "text, number or truth value" if len(members) > 2 else " or ".join(members)
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    return {
        inspect.StrType: "text",
        inspect.IntType: "whole number",
        inspect.FloatType: "number",
        inspect.BoolType: "truth value",
        inspect.StructType: "map",
    }[type(kind)]


def _plural(word: str) -> str:
    if word.startswith("`"):
        return word
    return word if word == "text" else f"{word}es" if word.endswith("ss") else f"{word}s"


def _default(field: inspect.Field) -> str:
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return "required"
    if field.default is NODEFAULT or field.default is None or field.default == ():
        return ""
    value: Any = written(field.type, field.default)
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
