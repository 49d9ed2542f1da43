"""Bytes to a plain tree in which every node knows its line.

Responsible for: decoding, YAML syntax, the scalars of YAML 1.2's core schema, duplicate keys, and the bounds that make
a hostile file cheap: bytes, depth, and nodes counted as if every alias were written out.
Does not know: which keys mean something, units, or where the bytes came from.

Rules: libyaml's parser, driven event by event so that a bound is met before the memory is taken; no constructor of
PyYAML is used. ``on``, ``no``, ``1:30`` and ``0123`` are text as written. A file that is no usable document at all
raises; what is wrong within a document is collected, so that one run shows everything.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml._yaml import CParser

from router.config.mistake import ROOT, ConfigError, Mistakes, child, show

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32  # the schema needs 7
MAX_NODES = 200_000  # a thousand routes, targets and experiments with every key need about 60,000
_NEEDS = "targets and routes"

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
# YAML 1.2.2 section 10.3.2, but without leading zeros: an identifier such as 0123 must stay what it is.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INT_DIGITS = 24  # more than 64 bits need, octal included
_BASES = {"0o": 8, "0x": 16}
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document.

    Attributes:
        line: where it begins, from 1.
        value: a scalar (``str``, ``int``, ``float``, ``bool``, ``None``), a dict of nodes, or a list of nodes.
        count: nodes below and including this one, aliases written out.
        broken: whether it was already reported, so that nothing more should be said about it.
        file: the file it was written in, as messages call it.
        above: what files above this one have here and this one replaced, the uppermost first (``merge``).
    """

    line: int
    value: Any
    count: int = 1
    broken: bool = False
    file: str = ""
    above: "tuple[Node, ...]" = ()

    def plain(self) -> Any:
        """Give the value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read(
    data: bytes, mistakes: Mistakes, *, partial: bool = False, needs: str = _NEEDS, depth: int = MAX_DEPTH
) -> Node:
    """Read one YAML document.

    Args:
        data: the bytes of the file.
        mistakes: collects what is wrong within the document; the tree then holds what could be read.
        partial: whether it may say nothing at all, because others say the rest.
        needs: what an empty document lacks.
        depth: how deep values may be nested.

    Returns:
        The root, always a map.

    Raises:
        ConfigError: when the bytes are no document: too large, not UTF-8, empty, not YAML, several documents, too
            deep, too many nodes, not a map.
    """
    if len(data) > MAX_BYTES:
        raise mistakes.fatal(0, "", f"is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise mistakes.fatal(data.count(b"\n", 0, error.start) + 1, "", f"byte {error.start} is not UTF-8") from error
    try:
        root = _Composer(text, mistakes, depth).document()
    except yaml.YAMLError as error:
        raise _syntax(error, mistakes) from error
    if root is None:
        if partial:
            return Node(1, {}, file=mistakes.file)
        raise mistakes.fatal(1, "", f"is empty; {needs} are needed")
    if not isinstance(root.value, dict):
        raise mistakes.fatal(root.line, ROOT, f"{show(root.plain())} is not a map of keys")
    return root


def _syntax(error: yaml.YAMLError, mistakes: Mistakes) -> ConfigError:
    """Translate a parser's error; libyaml gives a problem, a context, and marks counted from 0."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    detail = f"{problem} {context}" if context else str(problem)
    return mistakes.fatal(mark.line + 1 if mark else 1, "", f"is not YAML: {detail}")


class _Composer:
    """Builds nodes from libyaml's events.

    Per document: the parser, the anchors seen, the count of nodes.
    """

    def __init__(self, text: str, mistakes: Mistakes, depth: int) -> None:
        self._parser = CParser(text)
        self._most_deep = depth
        self._mistakes = mistakes
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def document(self) -> Node | None:
        """Give the root of the only document, or None when there is no document."""
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), ROOT, 1)
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._fatal(event, "", "a second document begins here; a file holds one")
        empty = root.value is None and root.count == 1
        return None if empty else root

    def _fatal(self, event: Any, path: str, message: str) -> ConfigError:
        return self._mistakes.fatal(event.start_mark.line + 1, path, message)

    def _spend(self, event: Any, path: str, count: int) -> None:
        """Count nodes before they are used, so that aliases of aliases die at the bound and not in memory."""
        self._count += count
        if self._count > MAX_NODES:
            raise self._fatal(event, path, f"the document has more than {MAX_NODES} values, aliases written out")

    def _next(self) -> Any:
        return self._parser.get_event()

    def _node(self, event: Any, path: str, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._spend(event, path, 1)
        if depth > self._most_deep:
            raise self._fatal(event, "", f"values are nested more than {self._most_deep} deep")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, path, depth)
        else:
            node = self._mapping(event, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, path: str) -> Node:
        line = event.start_mark.line + 1
        if event.anchor not in self._anchors:
            self._mistakes.add(line, path, f"alias *{show(event.anchor)[1:-1]} has no anchor before it")
            return Node(line, None, broken=True, file=self._mistakes.file)
        node = self._anchors[event.anchor]
        if node is None:
            self._mistakes.add(line, path, f"alias *{show(event.anchor)[1:-1]} is inside its own anchor")
            return Node(line, None, broken=True, file=self._mistakes.file)
        self._spend(event, path, node.count)
        return node

    def _sequence(self, start: Any, path: str, depth: int) -> Node:
        self._refuse_tag(start, path)
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, child(path, len(items)), depth + 1))
        count = 1 + sum(item.count for item in items)
        return Node(start.start_mark.line + 1, items, count, file=self._mistakes.file)

    def _mapping(self, start: Any, path: str, depth: int) -> Node:
        self._refuse_tag(start, path)
        items: dict[str, Node] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise self._fatal(event, path, "a key is not plain text")
            key = event.value
            place = child(path, key)
            self._spend(event, place, 1)
            node = self._node(self._next(), place, depth + 1)
            if _CONTROL.search(key):
                self._mistakes.add(line, place, "a key holds a control character")
            elif key in items:
                self._mistakes.add(line, place, f"key {show(key)} is already given in line {items[key].line}")
            else:
                items[key] = node
        count = 1 + sum(1 + item.count for item in items.values())
        return Node(start.start_mark.line + 1, items, count, file=self._mistakes.file)

    def _refuse_tag(self, event: Any, path: str) -> None:
        if event.tag is not None:
            self._mistakes.add(event.start_mark.line + 1, path, f"tag {show(event.tag)} is not allowed")

    def _scalar(self, event: Any, path: str) -> Node:
        line = event.start_mark.line + 1
        text: str = event.value
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._mistakes.add(line, path, f"tag {show(event.tag)} is not allowed")
            return Node(line, None, broken=True, file=self._mistakes.file)
        value: object = text
        if event.tag is None and event.implicit[0]:
            try:
                value = scalar(text)
            except ValueError as error:
                self._mistakes.add(line, path, str(error))
                return Node(line, None, broken=True, file=self._mistakes.file)
        if isinstance(value, str) and _CONTROL.search(value):
            self._mistakes.add(line, path, f"{show(text)} holds a control character")
            return Node(line, None, broken=True, file=self._mistakes.file)
        return Node(line, value, file=self._mistakes.file)


def scalar(text: str) -> str | int | float | bool | None:
    """Resolve a plain scalar by YAML 1.2's core schema.

    Raises:
        ValueError: for infinities, NaN, and numbers beyond 64 bits.
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        whole = int(text, _BASES.get(text[:2], 10)) if len(text) <= _INT_DIGITS else None
        if whole is None or abs(whole) >= 2**63:
            raise ValueError(f"number {show(text)} needs more than 64 bits; write it in quotes if it is text")
        return whole
    if _FLOAT.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise ValueError(f"number {show(text)} is too large")
        return number
    if _SPECIAL.fullmatch(text):
        raise ValueError(f"{show(text)} is not a finite number")
    return text
