"""The part of the schema about feature flags.

Responsible for: its keys, as frozen data, and what the loader adds to them: the flag files' contents.
Does not know: flagd's format (``flag_document``), evaluation (``router.flags``).

Rules: the rules are those of ``schema``, where readers import them from. A field marked ``derived`` is no key: the
loader fills it, so that a revision holds its flags whole and a restore brings them back. Workers import this module.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, Struct

from router.config.terms import Glob


class FlagSet(Struct, frozen=True, kw_only=True):
    """One flag file.

    Attributes:
        file: Its name, as messages call it.
        text: Its flags and metadata, and the evaluators that they use, as a flagd document in compact JSON.
    """

    file: str
    text: str


class Flags(Struct, frozen=True, kw_only=True):
    """Feature flags, served over OFREP by the admin listener."""

    files: Annotated[
        tuple[Glob, ...],
        Meta(
            description="files in flagd's format, YAML or JSON; names or patterns such as `flags/*.yaml`, relative to "
            "the config file"
        ),
    ] = ()
    require_targeting_key: Annotated[
        bool,
        Meta(description="answer an evaluation without `targetingKey` with TARGETING_KEY_MISSING"),
    ] = False
    sets: Annotated[
        tuple[FlagSet, ...], Meta(description="contents of the files, in their order", extra={"derived": True})
    ] = ()


def kind_of(values: Iterable[Any]) -> str | None:
    """Return the type of a flag by the values of its variants.

    Returns:
        ``boolean``, ``string``, ``integer``, ``float`` (numbers, one of which is written with a fraction or exponent),
        ``object``; None when the values have no type in common.
    """
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        return "float"
    names = {bool: "boolean", str: "string", int: "integer", float: "float", dict: "object"}
    return names.get(kinds.pop()) if len(kinds) == 1 else None
