"""Files of one configuration, laid over each other: what a file says of a value replaces what those above it say.

Responsible for: merging two trees, the directives that remove and replace, and values that an upper file has locked.
Does not know: files and folders (``folder``), units, what values say about each other.

Rules, by the types of the schema alone:

- maps are merged key by key, lists of things with a ``name`` by name: a known name is merged in its place, a new one
  comes behind. Any other list, and any free JSON (a rule, a prepared answer), is one value and is replaced whole.
- ``$patch`` is Kustomize's: ``{$patch: delete}`` in the place of a value, or beside the ``name`` of an item, removes
  it; ``$patch: replace`` beside the keys of a map, or as an item ``- $patch: replace`` of a list, drops what files
  above say of it. An empty list never empties one that is merged by name, and null removes nothing: both are what a
  half-written file looks like.
- A value keeps the file and line of whoever wrote it, and the values that it replaced (``Node.above``). A map that
  several files write is where the uppermost began it.
- What a path of ``locked`` leads to, or would lead to, is in all files below what it is there; to repeat it is fine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import inspect

from router.config.document import Node
from router.config.lock import LOCKED, Change, listed, read_locks, refuse_locked
from router.config.mistake import Mistakes, show
from router.config.shape import Shape, bare, name_of, same

PATCH: Final = "$patch"


@dataclass(frozen=True, slots=True)
class Removal:
    """A value that a file removes: its path by names, where, and what was there."""

    path: str
    node: Node
    above: Node


@dataclass(frozen=True, slots=True)
class Merged:
    """Files laid over each other.

    Attributes:
        root: the tree that comes of them.
        removals: what a file removed of those above it.
    """

    root: Node
    removals: tuple[Removal, ...]


def merge(roots: Sequence[Node], kind: inspect.Type, mistakes: Mistakes) -> Merged:
    """Lay files over each other.

    Args:
        roots: the tree of each file, the uppermost first; maps.
        kind: what the schema says of the whole.
        mistakes: takes what is wrong about how they meet.
    """
    first, *lower = roots
    merged = first
    locks = list(read_locks(first, first, kind, mistakes))
    paths = listed(first)
    removals: list[Removal] = []
    for root in lower:
        over = _Over(mistakes)
        before = _without_lock(merged)
        merged = over.lay(before, _without_lock(root), Shape(kind)) or before
        refuse_locked(before, merged, over.changes, locks, mistakes)
        locks += read_locks(root, merged, kind, mistakes)
        paths += listed(root)
        removals += over.removals
    if lower and paths:
        merged = _map(merged, merged.value | {LOCKED: Node(paths[0].line, paths, file=paths[0].file)})
    return Merged(merged, tuple(removals))


# --- One over another -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Over:
    """Lays one tree over another. Per file: what it changes and removes."""

    mistakes: Mistakes
    changes: list[Change] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)

    def lay(self, upper: Node, lower: Node, at: Shape) -> Node | None:
        """Give what comes of two values at one place; None when nothing is left there."""
        if lower.broken or upper.broken:
            return lower
        patch = self._directive(lower, at)
        if patch == "delete":
            self._change(lower, at)
            self.removals.append(Removal(at.path, lower, upper))
            return None
        lower = _unpatched(lower) if patch is not None else lower
        if patch == "replace":
            return self._replaced(upper, self._settled(lower, at), at)
        if at.maps and isinstance(upper.value, dict) and isinstance(lower.value, dict):
            return self._keys(upper, lower, at)
        if at.names and isinstance(upper.value, list) and isinstance(lower.value, list):
            return self._items(upper, lower, at)
        return self._replaced(upper, self._settled(lower, at), at)

    def _change(self, node: Node, at: Shape) -> None:
        self.changes.append(Change(at.steps, at.path, node))

    def _wrong(self, node: Node, at: Shape, message: str) -> None:
        self.mistakes.add(node.line, at.path, message, node.file)

    def _replaced(self, upper: Node, lower: Node, at: Shape) -> Node:
        if not same(upper, lower):
            self._change(lower, at)
        return replace(lower, above=(*upper.above, replace(upper, above=())))

    def _keys(self, upper: Node, lower: Node, at: Shape) -> Node:
        values = dict(upper.value)
        for key, node in lower.value.items():
            place = at.key(key)
            if key not in values:
                if (new := self._new(node, place)) is not None:
                    values[key] = new
            elif (merged := self.lay(values[key], node, place)) is None:
                del values[key]
            else:
                values[key] = merged
        return _map(upper, values)

    def _items(self, upper: Node, lower: Node, at: Shape) -> Node:
        if not lower.value and upper.value:
            self._wrong(lower, at, f"an empty list adds nothing here; to empty it write [{{{PATCH}: replace}}]")
            return upper
        if any(_is_replace(node) for node in lower.value):
            whole = [node for node in lower.value if not _is_replace(node)]
            return self._replaced(upper, self._settled(_list(lower, whole), at), at)
        values: list[Node | None] = list(upper.value)
        known = {name: index for index, node in reversed(list(enumerate(upper.value))) if (name := name_of(node))}
        for node in lower.value:
            name = name_of(node)
            place = at.item(name or str(len(values)))
            index = known.pop(name, None) if name else None  # a second of one name stays, for the check of names
            merged = self._new(node, place) if index is None else self.lay(upper.value[index], node, place)
            if index is None:
                values.append(merged)
            else:
                values[index] = merged
        return _list(upper, [node for node in values if node is not None])

    def _new(self, node: Node, at: Shape) -> Node | None:
        """Take a value that no file above has."""
        if self._directive(node, at) == "delete":
            self._wrong(node, at, "there is nothing here to delete in the files above")
            return None
        new = self._settled(_unpatched(node), at)
        self._change(new, at)
        return new

    def _settled(self, node: Node, at: Shape) -> Node:
        """Take the directives out of a value that meets no other."""
        if at.maps and isinstance(node.value, dict):
            if PATCH not in node.value and not any(_holds_patch(below) for below in node.value.values()):
                return node
            kept = {}
            for key, below in _unpatched(node).value.items():
                place = at.key(key)
                if self._directive(below, place) == "delete":
                    self._wrong(below, place, "there is nothing here to delete in the files above")
                else:
                    kept[key] = self._settled(below, place)
            return _map(node, kept)
        if at.names and isinstance(node.value, list) and _holds_patch(node):
            items = [below for below in node.value if not _is_replace(below)]
            settled = []
            for index, below in enumerate(items):
                place = at.item(name_of(below) or str(index))
                if self._directive(below, place) == "delete":
                    self._wrong(below, place, "there is nothing here to delete in the files above")
                else:
                    settled.append(self._settled(below, place))
            return _list(node, settled)
        return node

    def _directive(self, node: Node, at: Shape) -> str | None:
        """Give what a value says is to be done; None when it says nothing."""
        if at.kind is None or not isinstance(node.value, dict) or PATCH not in node.value:
            return None
        if isinstance(bare(at.kind), inspect.AnyType) and set(node.value) != {PATCH}:
            return None  # free JSON may have any key
        directive = node.value[PATCH]
        others = node.value.keys() - {PATCH, "name"}
        if not at.steps or directive.value not in ("delete", "replace"):
            self._wrong(directive, at.key(PATCH), f"{show(directive.plain())} is neither delete nor replace")
        elif directive.value == "delete" and others:
            self._wrong(directive, at.key(PATCH), f"deletes what {show(min(others))} is written for")
        return str(directive.value) if at.steps else "none"


def _unpatched(node: Node) -> Node:
    if isinstance(node.value, dict) and PATCH in node.value:
        return _map(node, {key: below for key, below in node.value.items() if key != PATCH})
    return node


def _is_replace(node: Node) -> bool:
    return isinstance(node.value, dict) and set(node.value) == {PATCH} and node.value[PATCH].value == "replace"


def _holds_patch(node: Node) -> bool:
    if isinstance(node.value, dict):
        return PATCH in node.value or any(_holds_patch(below) for below in node.value.values())
    return isinstance(node.value, list) and any(_holds_patch(below) for below in node.value)


def _map(node: Node, values: dict[str, Node]) -> Node:
    return replace(node, value=values, count=1 + sum(1 + below.count for below in values.values()))


def _list(node: Node, values: list[Node]) -> Node:
    return replace(node, value=values, count=1 + sum(below.count for below in values))


def _without_lock(root: Node) -> Node:
    return _map(root, {key: node for key, node in root.value.items() if key != LOCKED})
