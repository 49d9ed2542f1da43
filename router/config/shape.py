"""What the schema says of the place where two trees meet, and what two trees have in common there.

Responsible for: which places hold maps, lists of named things, or one value; names; whether two values are alike.
Does not know: what follows from that (``merge``, ``lock``).

Rules: pure, and driven by the types of the schema alone.
"""

from dataclasses import dataclass

from msgspec import inspect

from router.config.document import Node
from router.config.mistake import ROOT, child
from router.config.paths import Steps, item


@dataclass(frozen=True, slots=True)
class Shape:
    """Where two trees meet: what the schema says of it, None where it says nothing, and its path by names."""

    kind: inspect.Type | None
    steps: Steps = ()
    path: str = ROOT

    def key(self, key: str) -> "Shape":
        """Give the place of a key."""
        kind = container(self.kind)
        below: inspect.Type | None = None
        if isinstance(kind, inspect.StructType):
            below = next((field.type for field in kind.fields if field.encode_name == key), None)
        elif isinstance(kind, inspect.DictType):
            below = kind.value_type
        return Shape(below, (*self.steps, key), child(self.path, key))

    def item(self, name: str) -> "Shape":
        """Give the place of a list's item, by its name."""
        kind = container(self.kind)
        below = kind.item_type if isinstance(kind, inspect.VarTupleType) else None
        return Shape(below, (*self.steps, name), item(self.path, name))

    @property
    def maps(self) -> bool:
        """Whether maps are merged key by key here."""
        return isinstance(container(self.kind), inspect.StructType | inspect.DictType)

    @property
    def names(self) -> bool:
        """Whether lists are merged by name here."""
        kind = container(self.kind)
        return isinstance(kind, inspect.VarTupleType) and _has_name(kind.item_type)


def bare(kind: inspect.Type) -> inspect.Type:
    """Give a type without what the schema says about it."""
    return bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def container(kind: inspect.Type | None) -> inspect.Type | None:
    """Give the struct, map or list that a type allows; None for a scalar, free JSON, and what the schema lacks."""
    if kind is None:
        return None
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        found = (container(member) for member in kind.types)
        return next((member for member in found if member is not None), None)
    return kind if isinstance(kind, inspect.StructType | inspect.DictType | inspect.VarTupleType) else None


def _has_name(kind: inspect.Type) -> bool:
    struct = container(kind)
    return isinstance(struct, inspect.StructType) and any(field.encode_name == "name" for field in struct.fields)


def name_of(node: Node) -> str | None:
    """Give the name of a list's item; None when it has none that is text."""
    found = node.value.get("name") if isinstance(node.value, dict) else None
    return found.value if found is not None and isinstance(found.value, str) else None


def same(one: Node, other: Node) -> bool:
    """Tell whether two values are written alike; in a map the order of keys says nothing."""
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        alike = all(key in other.value and same(below, other.value[key]) for key, below in one.value.items())
        return alike and len(one.value) == len(other.value)
    if isinstance(one.value, list) and isinstance(other.value, list):
        pairs = zip(one.value, other.value, strict=False)
        return len(one.value) == len(other.value) and all(same(left, right) for left, right in pairs)
    return type(one.value) is type(other.value) and bool(one.value == other.value)
