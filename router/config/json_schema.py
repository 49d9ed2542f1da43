"""The schema as JSON Schema (draft 2020-12), for editors and for other programs.

Responsible for: what YAML may be written for each key, including the texts that stand for units.
Does not know: what values say about each other; a file that fits the JSON Schema may still have mistakes.

Rules: derived from ``schema`` alone; ``config/router.schema.json`` is its output, and a test keeps the two the same.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import NODEFAULT, inspect

from router.config import scalars
from router.config.resolve import written_fields
from router.config.schema import Config

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
_SIZE_TEXT = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$"}
_SHARE_TEXT = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"}
_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "duration": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$", "examples": ["250ms", "5s", "10m"]},
    "size": {"anyOf": [_SIZE_TEXT, {"type": "integer", "minimum": 0}], "examples": ["64KiB", "16MiB"]},
    "share": {"anyOf": [_SHARE_TEXT, {"type": "number", "minimum": 0, "maximum": 1}], "examples": ["5%"]},
    "change": {
        "anyOf": [{"type": "string", "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?%$"}, {"type": "number"}],
        "examples": ["5%", "-5%"],
    },
    "rate": {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?/[smh]$",
        "examples": ["1000/s", "600/m", "10000/h"],
    },
    "time": {"type": "string", "format": "date-time", "examples": ["2026-12-01T00:00:00Z"]},
    "source": {
        "type": "string",
        "pattern": r"^((header|cookie|query):.+|json:(/.*)?|jwt:/.*|client_ip|request)$",
        "examples": [
            "header:x-user-id",
            "cookie:uid",
            "query:user",
            "json:/user/id",
            "jwt:/sub",
            "client_ip",
            "request",
        ],
    },
    "measure": {
        "type": "string",
        "pattern": r"^(failed|duration|first_byte|header:.+|json:(/.*)?)$",
        "examples": ["failed", "duration", "header:x-gpu-seconds", "json:/safety/flagged"],
    },
    "bound": {
        "type": "string",
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(%|ms|s|m|h|d|per\s+[0-9]+(\.[0-9]+)?)?\s*$",
        "examples": ["2%", "250ms", "3 per 10000"],
    },
    "difference": {
        "anyOf": [
            {
                "type": "string",
                "pattern": r"^\s*[+-]?\s*[0-9]+(\.[0-9]+)?\s*(%|ms|s|m|h|d|per\s+[0-9]+(\.[0-9]+)?)?\s*$",
            },
            {"type": "number"},
        ],
        "examples": ["2%", "-2%", "250ms", 0.004],
    },
    "condition": {
        "type": "string",
        "maxLength": 500,
        "examples": ["error_rate > 5% for 5m", "p99 > 2 * control and rate > 1000/s"],
    },
    "url": {"type": "string", "pattern": rf"^[hH][tT][tT][pP][sS]?://{_HOST}(:[0-9]{{1,5}})?/?$"},
    "listen": {"type": "string", "pattern": rf"^({_HOST}:[0-9]{{1,5}}|unix:/.+)$"},
    "network": {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "examples": ["10.0.0.0/8"]},
    "host": {"type": "string", "pattern": rf"^(\*\.)?{_HOST}$"},
    "server_name": {"type": "string", "pattern": rf"^{_HOST}$"},
}
_FORMATTERS = {
    "duration": scalars.format_duration,
    "size": scalars.format_size,
    "share": scalars.format_share,
    "change": scalars.format_share,
    "rate": scalars.format_rate,
    "time": scalars.format_time,
}


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of a configuration file."""
    definitions: dict[str, Any] = {}
    root = _schema(inspect.type_info(Config), definitions)
    name = root["$ref"].rpartition("/")[2]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Router configuration",
        **definitions.pop(name),
        "$defs": dict(sorted(definitions.items())),
    }


def written(kind: inspect.Type, value: Any) -> Any:
    """Give a value as the YAML has it: durations, sizes and shares as text with their unit.

    Args:
        kind: what the schema says about the value.
        value: plain data or a scalar, units resolved.
    """
    if isinstance(kind, inspect.Metadata):
        write = _FORMATTERS.get((kind.extra or {}).get("scalar", ""))
        return write(value) if write is not None else written(kind.type, value)
    if isinstance(kind, inspect.UnionType) and value is not None:
        present = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        return written(present[0], value) if len(present) == 1 else value
    if isinstance(kind, inspect.VarTupleType):
        return [written(kind.item_type, item) for item in value]
    return value


def _schema(kind: inspect.Type, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, inspect.Metadata):
        return _annotated(kind, definitions)
    if isinstance(kind, inspect.StructType):
        return _struct(kind, definitions)
    if isinstance(kind, inspect.VarTupleType):
        least = {"minItems": kind.min_length} if kind.min_length else {}
        items = _schema(kind.item_type, definitions)
        return {"type": "array", "items": items, **least, "uniqueItems": True}
    if isinstance(kind, inspect.DictType):
        names = {key: value for key, value in _schema(kind.key_type, definitions).items() if key == "pattern"}
        below = _schema(kind.value_type, definitions)
        return {"type": "object", "propertyNames": names, "additionalProperties": below}
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        options = [_schema(member, definitions) for member in members]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if isinstance(kind, inspect.LiteralType):
        return {"enum": list(kind.values)}
    return _plain(kind)


def _plain(kind: inspect.Type) -> dict[str, Any]:
    if isinstance(kind, inspect.AnyType):
        return {}
    if isinstance(kind, inspect.StrType):
        limits = {"pattern": kind.pattern, "minLength": kind.min_length, "maxLength": kind.max_length}
        return {"type": "string", **{key: value for key, value in limits.items() if value is not None}}
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        bounds = {"minimum": kind.ge, "maximum": kind.le}
        name = "integer" if isinstance(kind, inspect.IntType) else "number"
        return {"type": name, **{key: value for key, value in bounds.items() if value is not None}}
    return {"type": "boolean"}


def _annotated(kind: inspect.Metadata, definitions: dict[str, Any]) -> dict[str, Any]:
    extra = kind.extra or {}
    scalar = _SCALARS.get(extra.get("scalar", ""))
    below = dict(scalar) if scalar is not None else _schema(kind.type, definitions)
    if "shorthand" in extra and isinstance(kind.type, inspect.StructType):
        short = next(field for field in kind.type.fields if field.encode_name == extra["shorthand"])
        below = {"anyOf": [_schema(short.type, definitions), below]}
    return {**below, **(kind.extra_json_schema or {})}


def _struct(kind: inspect.StructType, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.cls.__name__
    if name not in definitions:
        properties: dict[str, Any] = {}
        definitions[name] = {
            "type": "object",
            "description": (kind.cls.__doc__ or "").strip(),
            "properties": properties,
            "required": [field.encode_name for field in written_fields(kind) if _required(field)],
            "additionalProperties": False,
        }
        for field in written_fields(kind):
            properties[field.encode_name] = _schema(field.type, definitions)
            if field.default not in (NODEFAULT, None, ()):
                properties[field.encode_name]["default"] = written(field.type, field.default)
    return {"$ref": f"#/$defs/{name}"}


def _required(field: inspect.Field) -> bool:
    return field.default is NODEFAULT and field.default_factory is NODEFAULT
