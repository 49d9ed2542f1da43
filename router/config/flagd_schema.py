"""flagd's JSON Schema, and what is wrong with a value by it.

Responsible for: validating against a definition of the schema, in time that grows with the value and not with the
number of operators to the power of the depth, and saying what is wrong at the place where it is wrong.
Does not know: lines, files, what the schema cannot say (``flag_document``).

Rules: the schema files are flagd's own (``flagd/NOTICE``). A branch of ``anyOf`` or ``oneOf`` that cannot fit because
of its type, its keys or its first item is left out before the others are tried; that changes no verdict, and where one
branch is left its errors are the answer. A test compares the verdicts with those of the plain validator.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT7

from router.config.mistake import show

_LOCAL: Final = "#/definitions/"
_FLAGS: Final = "https://flagd.dev/schema/v0/flags.json"
_TARGETING: Final = "https://flagd.dev/schema/v0/targeting.json"
_TYPES: Final[Mapping[str, str]] = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}

Place = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""


def flag_faults(kind: str, flag: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with a flag, each with its place in it.

    Args:
        kind: ``boolean``, ``string``, ``number`` or ``object``; ``base`` when its variants are of no one type.
        flag: The flag as plain data.
    """
    return _faults(f"{_FLAGS}{_LOCAL}{kind}Flag", flag)


def metadata_faults(metadata: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with the metadata of a flag set."""
    return _faults(f"{_FLAGS}{_LOCAL}metadata", metadata)


def rule_faults(rule: Any) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with a targeting rule."""
    return _faults(_TARGETING, rule)


@cache
def operators() -> frozenset[str]:
    """Return the operators of targeting rules."""
    rules = (_definition(branch["$ref"]) for branch in _definition(f"{_LOCAL}anyRule")["anyOf"])
    return frozenset(name for rule in rules for name in rule["properties"])


def _faults(reference: str, value: Any) -> Iterator[tuple[Place, str]]:
    for error in _validator(reference).iter_errors(value):
        yield tuple(error.absolute_path), _message(error)


def _message(error: ValidationError) -> str:
    value, wanted, found = error.validator, error.validator_value, show(error.instance)
    if value == "type":
        names = [_TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
        return f"expected {' or '.join(names)}, found {found}"
    if value == "enum":
        return f"{found} is none of {', '.join(map(str, wanted))}"
    if value == "required":
        return f"key {', '.join(show(key) for key in wanted if key not in error.instance)} is missing"
    if value == "pattern":
        return f"{found} is not of the form that is asked for here: {error.schema.get('title', wanted)}"
    if value == "minProperties":
        return "is empty"
    if value in ("minItems", "maxItems"):
        return f"has {len(error.instance)} items; the {'least' if value == 'minItems' else 'most'} is {wanted}"
    if value == "minimum":
        return f"{found} is too small; the least is {wanted}"
    if value in ("anyOf", "oneOf") and error.absolute_path and error.absolute_path[-1] == "var":
        return f"{found} is no name here; flagd gives $flagd.timestamp and $flagd.flagKey"
    return f"{found} is not what flagd's schema allows here"


# --- The validator --------------------------------------------------------------------------------------------------


@cache
def _schema(name: str) -> dict[str, Any]:
    data = files("router.config").joinpath("flagd", name).read_bytes()
    schema: dict[str, Any] = msgspec.json.decode(data)
    del schema["$schema"]  # it would make jsonschema go on with its own validator
    return schema


def _definition(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = _schema("targeting.json")["definitions"][reference.removeprefix(_LOCAL)]
    return found


@cache
def _validator(reference: str) -> Any:
    resources = [(schema["$id"], DRAFT7.create_resource(schema)) for schema in map(_schema, _FILES)]
    registry: Any = Registry().with_resources(resources)
    pruning = extend(Draft7Validator, {"anyOf": _any_of, "oneOf": _one_of})
    # Draft 7 ignores what stands beside "$ref", so a schema is entered through one.
    return pruning({"$ref": reference}, registry=registry)


_FILES: Final = ("flags.json", "targeting.json")


def _any_of(validator: Any, branches: list[Any], instance: Any, schema: Any) -> Iterator[ValidationError]:
    return _branches(validator, branches, instance, (schema, "anyOf"))


def _one_of(validator: Any, branches: list[Any], instance: Any, schema: Any) -> Iterator[ValidationError]:
    return _branches(validator, branches, instance, (schema, "oneOf"))


def _branches(validator: Any, branches: list[Any], instance: Any, asked: tuple[Any, str]) -> Iterator[ValidationError]:
    left = [branch for branch in branches if _may_fit(validator, branch, instance)]
    if len(left) == 1:
        yield from validator.descend(instance, left[0])
        return
    schema, keyword = asked
    yield from Draft7Validator.VALIDATORS[keyword](validator, left, instance, schema) or ()


def _may_fit(validator: Any, schema: dict[str, Any], instance: Any) -> bool:
    """Tell whether a schema is worth trying; False only when it cannot fit."""
    reference = schema.get("$ref")
    if reference is not None:
        return not reference.startswith(_LOCAL) or _may_fit(validator, _definition(reference), instance)
    if "type" in schema and not any(validator.is_type(instance, name) for name in _listed(schema["type"])):
        return False
    if isinstance(instance, dict) and schema.get("additionalProperties") is False:
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", ())
        return all(key in known or any(re.search(pattern, key) for pattern in patterns) for key in instance)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and not any(_may_fit(validator, branch, instance) for branch in schema[keyword]):
            return False
    items = schema.get("items")
    if isinstance(instance, list) and instance and items is not None:
        return _may_fit(validator, items[0] if isinstance(items, list) else items, instance[0])
    return True


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
