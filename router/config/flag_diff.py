"""What a change of flag files does.

Responsible for: one sentence for each difference between the flags of two configurations.
Does not know: the rest of the configuration (``diff``), which file a flag is in: moving one to another file is none.

Rules: pure; a targeting rule is shown as changed, not taken apart.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from router.config.flags import Flags
from router.config.mistake import show


def flag_differences(old: Flags, new: Flags) -> Iterator[str]:
    """Yield a sentence for each difference."""
    if old == new:
        return
    if old.require_targeting_key != new.require_targeting_key:
        before, after = show(old.require_targeting_key), show(new.require_targeting_key)
        yield f"flags: require_targeting_key changes from {before} to {after}"
    known, coming = _flags(old), _flags(new)
    for key in {**known, **coming}:
        name = f"flag {show(key)}"
        if key not in coming:
            yield f"{name} is removed"
        elif key not in known:
            yield f"{name} is added"
        else:
            yield from (f"{name}: {text}" for text in _one(known[key], coming[key]))


def _flags(flags: Flags) -> dict[str, dict[str, Any]]:
    """Return the flags of all files by key, each with the evaluators and the metadata that it has from its file."""
    found: dict[str, dict[str, Any]] = {}
    for one in flags.sets:
        document = msgspec.json.decode(one.text)
        shared = {"evaluators": document.get("$evaluators", {}), "of the flag set": document.get("metadata", {})}
        found.update((key, {**flag, **shared}) for key, flag in document["flags"].items())
    return found


def _one(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if before["state"] != after["state"]:
        yield f"is {after['state']} instead of {before['state']}"
    if before.get("defaultVariant") != after.get("defaultVariant"):
        yield f"defaultVariant changes from {show(before.get('defaultVariant'))} to {show(after.get('defaultVariant'))}"
    yield from _variants(before["variants"], after["variants"])
    rule, following = (_targeting(flag) for flag in (before, after))
    if rule != following:
        yield (
            "targeting changes" if rule and following else "targeting is added" if following else "targeting is removed"
        )
    for key, name in (("metadata", "metadata"), ("of the flag set", "metadata of the flag set")):
        if before.get(key, {}) != after.get(key, {}):
            yield f"{name} changes"


def _targeting(flag: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a rule with the evaluators that it may refer to."""
    rule = flag.get("targeting")
    if not rule:
        return ()
    return rule, flag["evaluators"] if "$ref" in msgspec.json.encode(rule).decode() else {}


def _variants(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in {**before, **after}:
        if name not in after:
            yield f"variant {show(name)} is removed"
        elif name not in before:
            yield f"variant {show(name)} is added: {show(after[name])}"
        elif before[name] != after[name] or type(before[name]) is not type(after[name]):
            yield f"variant {show(name)} changes from {show(before[name])} to {show(after[name])}"
