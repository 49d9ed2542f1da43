"""One flag file: from its bytes to a document, and everything that is wrong in it.

Responsible for: reading YAML or JSON with lines, the keys of flagd's format, the types of variants, and putting what
the schema and the rules say at a line of the file.
Does not know: which files there are (``flag_files``), evaluation (``router.flags``).

Rules: a document is wrong in what ``flagd_schema`` says, and in what flagd's core would only notice when it evaluates:
keys that it does not know, a default or a result that is no variant. Each place is reported once.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.config import document, flag_rules, flagd_schema
from router.config.document import Node
from router.config.flag_rules import Evaluators
from router.config.flagd_schema import Place
from router.config.mistake import MAX_MISTAKES, ROOT, Mistakes, child, show

MAX_DEPTH: Final = 48  # of values; jsonschema needs about nine frames of Python's stack for each
MAX_KEY_LENGTH: Final = 256
_TOP: Final = ("flags", "$evaluators", "metadata", "$schema")
_FLAG: Final = ("state", "variants", "defaultVariant", "targeting", "metadata")
_KINDS: Final[Mapping[type, tuple[str, str]]] = {
    bool: ("boolean", "true or false"),
    str: ("string", "text"),
    int: ("number", "a number"),
    float: ("number", "a number"),
    dict: ("object", "a map"),
}
_SUGGESTED_LENGTH: Final = 64  # difflib takes quadratic time
# A character beyond the first plane, as JSON may escape it (RFC 8259 section 7) and YAML may not.
_PAIR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Document:
    """A flag file as it was read.

    Attributes:
        name: What messages call it.
        root: Its values, with lines.
        plain: Its values, without.
        mistakes: What is wrong in it, ``MAX_MISTAKES`` at most.
    """

    name: str
    root: Node
    plain: dict[str, Any]
    mistakes: Mistakes

    def part(self, key: str) -> dict[str, Any]:
        """Return a map at the top as plain data; an empty one when it is absent or something else."""
        value = self.plain.get(key)
        return value if isinstance(value, dict) else {}

    def add(self, at: Place, message: str) -> None:
        """Note a mistake, unless there is one at this place or around it."""
        node, path = self.root, ROOT
        for key in at:
            path = child(path, key)
            if isinstance(node.value, dict | list):
                node = _below(node, key)
        found = self.mistakes.found
        if len(found) < MAX_MISTAKES - 1 and not any(_covers(other.path, path) for other in found):
            self.mistakes.add(node.line, path, message)


def _covers(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _below(node: Node, key: str | int) -> Node:
    """Return a value in a map or list, or the map or list when it has none of that key."""
    if isinstance(node.value, dict):
        below: Node = node.value.get(key, node)
        return below
    return node.value[key] if isinstance(key, int) and key < len(node.value) else node


def read(data: bytes, name: str, mistakes: Mistakes) -> Document:
    """Read a flag file.

    Args:
        data: Its bytes.
        name: Its name; one that ends in ``.json`` has to be JSON.
        mistakes: Collects what is wrong within it.

    Raises:
        ConfigError: If it is no document at all.
    """
    if not name.endswith(".json"):
        root = document.read(data, mistakes, needs="flags", depth=MAX_DEPTH)
        return Document(name, root, root.plain(), mistakes)
    text = data.decode("utf-8", "surrogateescape")
    try:
        json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise mistakes.fatal(0, "", f"values are nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        line, why = getattr(error, "lineno", 1), getattr(error, "msg", error)
        raise mistakes.fatal(line, "", f"is not JSON: {why}") from error
    plain = _PAIR.sub(_character, text).encode("utf-8", "surrogateescape")
    root = document.read(plain, mistakes, needs="flags", depth=MAX_DEPTH)
    return Document(name, root, root.plain(), mistakes)


def _character(found: re.Match[str]) -> str:
    high, low = int(found[2], 16), int(found[3], 16)
    return found[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number")


# --- What is wrong --------------------------------------------------------------------------------------------------


def check(found: Document, evaluators: Evaluators, names: Iterable[str]) -> None:
    """Note everything that is wrong in a document.

    Args:
        found: The document.
        evaluators: Those of all files, in order.
        names: The evaluators that there are, also those that could not be put in order.
    """
    plain = found.plain
    _unknown(found, (), plain, _TOP)
    metadata = plain.get("metadata", {})
    for place, message in flagd_schema.metadata_faults(metadata):
        found.add(("metadata", *place), message)
    for key in ("flagSetId", "version"):
        # The schema says so beside a "$ref", where draft 7 does not read it.
        if isinstance(metadata, dict) and not isinstance(metadata.get(key, ""), str):
            found.add(("metadata", key), f"expected text, found {show(metadata[key])}; put it in quotes")
    for name, rule in found.part("$evaluators").items():
        _rule(found, ("$evaluators", name), rule, (evaluators, tuple(names)))
    if "$evaluators" in plain and not isinstance(plain["$evaluators"], dict):
        found.add(("$evaluators",), "expected a map of rules by their names")
    if not isinstance(plain.get("flags"), dict):
        what = "a list; name each flag by a key" if isinstance(plain.get("flags"), list) else "no map of flags"
        found.add(("flags",), f"flags is {what}" if "flags" in plain else 'key "flags" is missing: the flags by key')
        return
    for key, flag in plain["flags"].items():
        _flag(found, key, flag, (evaluators, tuple(names)))


_Known = tuple[Evaluators, tuple[str, ...]]


def _unknown(found: Document, at: Place, value: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in value.keys() - set(known):
        near = difflib.get_close_matches(key, known, 1) if len(key) <= _SUGGESTED_LENGTH else []
        hint = f"did you mean {show(near[0])}?" if near else f"known keys: {', '.join(known)}"
        found.add((*at, key), f"unknown key {show(key)}; {hint}")


def _flag(found: Document, key: str, flag: Any, known: _Known) -> None:
    at: Place = ("flags", key)
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        found.add(at, f"the key of a flag has 1 to {MAX_KEY_LENGTH} characters")
    if not isinstance(flag, dict):
        found.add(at, f"expected a flag, with {', '.join(_FLAG)}; found {show(flag)}")
        return
    _unknown(found, at, flag, _FLAG)
    variants = flag.get("variants")
    kind = _kind(variants, lambda place, message: found.add((*at, "variants", *place), message))
    targeting = flag.get("targeting")
    sound = isinstance(targeting, dict) and _rule(found, (*at, "targeting"), targeting, known)
    for place, message in flagd_schema.flag_faults(kind, flag):
        found.add((*at, *place), message)
    if not isinstance(variants, dict) or not variants:
        return
    default = flag.get("defaultVariant")
    if isinstance(default, str) and default not in variants:
        found.add((*at, "defaultVariant"), f"{show(default)} is no variant; there are: {_few(variants)}")
    if sound:
        for place, result in flag_rules.results(targeting, known[0]):
            name = variant_of(result)
            if name is not None and name not in variants:
                message = f"the rule can give {show(name)}, which is no variant; there are: {_few(variants)}"
                found.add((*at, "targeting", *place), message)


def _rule(found: Document, at: Place, rule: Any, known: _Known) -> bool:
    """Note what is wrong with a rule; True when that is nothing that ``flag_rules`` knows of."""
    faults = list(flag_rules.check_rule(rule, known[0], known[1]))
    for place, message in faults:
        found.add((*at, *place), message)
    if at[0] == "$evaluators":
        for place, message in flagd_schema.rule_faults(rule):
            found.add((*at, *place), message)
    return not faults


def _few(names: Iterable[str]) -> str:
    shown = [show(name) for name in names]
    return ", ".join(shown[:10]) + (", …" if len(shown) > 10 else "")


def _kind(variants: Any, report: Callable[[Place, str], None]) -> str:
    """Return the name of the type that all variants have; ``base`` when they have none in common."""
    if not isinstance(variants, dict) or not variants:
        return "base"
    kinds: dict[str, str] = {}
    for name, value in variants.items():
        kind = _KINDS.get(type(value))
        if kind is None:
            report((name,), f"a variant is true or false, text, a number or a map; this one is {show(value)}")
            return "base"
        kinds.setdefault(kind[0], f"{show(name)} is {kind[1]}")
    if len(kinds) > 1:
        report((), f"variants are of one type; here {', '.join(kinds.values())}")
        return "base"
    return next(iter(kinds))


def variant_of(result: Any) -> str | None:
    """Return the variant that the result of a rule names, as flagd's core reads it; None for the default one."""
    if result is None:
        return None
    if isinstance(result, bool):
        return "true" if result else "false"
    return str(result)
