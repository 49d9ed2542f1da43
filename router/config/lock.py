"""Values that an upper file of a configuration has locked.

Responsible for: reading ``locked``, refusing paths that lead nowhere, and refusing the changes of files below.
Does not know: how files are merged (``merge``), which says what each changes.

Rules: pure. What a path leads to, or would lead to, stays in all files below what it is where it is locked; to repeat
it is fine. A lock that a lower file adds holds for those below that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import inspect

from router.config.document import Node
from router.config.mistake import Mistakes, show
from router.config.paths import Steps, parse
from router.config.shape import Shape, name_of, same

LOCKED: Final = "locked"
MAX_LOCKS: Final = 1000


@dataclass(frozen=True, slots=True)
class Lock:
    """A path that files below may not change, and where that is written."""

    steps: Steps
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Change:
    """A value that a file sets, replaces or removes: its steps, its path by names, and where the file says so."""

    steps: Steps
    path: str
    node: Node


def listed(root: Node) -> list[Node]:
    """Give the paths that a file locks, as written."""
    node = root.value.get(LOCKED)
    return list(node.value) if node is not None and isinstance(node.value, list) else [] if node is None else [node]


def read_locks(root: Node, merged: Node, kind: inspect.Type, mistakes: Mistakes) -> Iterator[Lock]:
    """Read the locks of a file, and report those that lead nowhere: they would lock nothing."""
    paths = listed(root)
    if len(paths) > MAX_LOCKS:
        mistakes.add(paths[MAX_LOCKS].line, "$.locked", f"more than {MAX_LOCKS} paths", paths[MAX_LOCKS].file)
    for node in paths[:MAX_LOCKS]:
        if not isinstance(node.value, str):
            continue  # the schema says so
        try:
            steps = parse(node.value)
            _lead(merged, steps, kind)
        except (ValueError, LookupError) as error:
            mistakes.add(node.line, "$.locked", str(error.args[0]), node.file)
        else:
            yield Lock(steps, node.file, node.line)


def _lead(root: Node, steps: Steps, kind: inspect.Type) -> None:
    """Follow a path through the schema, and through the names that there are.

    Raises:
        LookupError: If it leads nowhere.
    """
    place, node = Shape(kind), root
    for step in steps:
        if place.maps:
            below = place.key(step)
            if below.kind is None:
                raise LookupError(f"there is no key {show(step)} in {place.path}")
            node = node.value.get(step, _NOTHING) if isinstance(node.value, dict) else _NOTHING
        elif place.names:
            below = place.item(step)
            found = [each for each in node.value if name_of(each) == step] if isinstance(node.value, list) else []
            if not found:
                raise LookupError(f"there is no {show(step)} in {place.path} to lock")
            node = found[0]
        else:
            raise LookupError(f"{place.path} is one value; nothing below it can be locked apart")
        place = below


_NOTHING: Final = Node(0, None)


def refuse_locked(
    before: Node, after: Node, changes: Iterable[Change], locks: Sequence[Lock], mistakes: Mistakes
) -> None:
    """Report the changes that a file makes to what those above it have locked.

    Args:
        before: what the files above say.
        after: what comes of them and the file.
        changes: what it changes.
        locks: what is locked.
        mistakes: takes each change that is refused, at its place in the file.
    """
    held = {lock.steps: lock for lock in reversed(locks)}  # of two that lock one path, the upper
    inside: dict[Steps, list[Lock]] = {}
    for lock in locks:
        for length in range(len(lock.steps)):
            inside.setdefault(lock.steps[:length], []).append(lock)
    for change in changes:
        prefixes = (change.steps[:length] for length in range(len(change.steps) + 1))
        found = [held[prefix] for prefix in prefixes if prefix in held]
        found += [lock for lock in inside.get(change.steps, ()) if not _alike(before, after, lock.steps)]
        if found:
            where = f"{found[0].file}:{found[0].line}"
            mistakes.add(
                change.node.line, change.path, f"is locked by {where} and may not change here", change.node.file
            )


def _alike(before: Node, after: Node, steps: Steps) -> bool:
    one, other = _at(before, steps), _at(after, steps)
    return one is other or (one is not None and other is not None and same(one, other))


def _at(root: Node, steps: Steps) -> Node | None:
    node: Node | None = root
    for step in steps:
        value: Any = node.value if node is not None else None
        if isinstance(value, dict):
            node = value.get(step)
        elif isinstance(value, list):
            node = next((each for each in value if name_of(each) == step), None)
        else:
            return None
    return node
