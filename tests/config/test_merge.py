"""Files laid over each other: laws, lists of named things, directives, places."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.document import Node
from router.config.merge import merge
from router.config.mistake import Mistakes
from tests.config.layered import KIND, merged, node

SCALARS = st.one_of(st.integers(0, 3), st.sampled_from(["a", "5s", "1MiB"]), st.booleans())
NAMES = st.sampled_from(["one", "two", "three"])


def _optional(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


def _named(item: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Give lists of things with different names; never empty, which is a mistake over a list that is not."""
    return st.dictionaries(NAMES, item, min_size=1, max_size=3).map(
        lambda found: [{"name": name, **below} for name, below in found.items()]
    )


RULES = st.sampled_from([{"==": [{"var": "a"}, 1]}, {"in": [1, [{"name": "one"}]]}, {"name": "one"}])
FILES = _optional(
    version=SCALARS,
    server=_optional(listen=SCALARS, limits=_optional(headers=SCALARS, body_bytes=SCALARS), expose=st.lists(SCALARS)),
    targets=_named(_optional(version=SCALARS, endpoints=st.lists(SCALARS), pool=_optional(max=SCALARS))),
    routes=_named(
        _optional(
            attributes=st.dictionaries(NAMES, SCALARS),
            unit=st.lists(SCALARS),
            fallback=st.lists(st.fixed_dictionaries({"respond": st.fixed_dictionaries({"json": RULES})}), max_size=2),
        )
    ),
    experiments=_named(_optional(salt=SCALARS, arms=_named(_optional(weight=SCALARS)))),
    unknown=_optional(key=SCALARS),
)


def _merge(*roots: Node) -> Node:
    found = Mistakes("0")
    root = merge(roots, KIND, found).root
    assert found.found == []
    return root


def _tree(tree: object, file: str) -> Node:
    return node(json.dumps(tree), file)


@given(FILES, FILES, FILES)
def test_it_does_not_matter_which_two_files_are_merged_first(one: Any, two: Any, three: Any) -> None:
    """While values are of the kinds that the schema wants, merging is associative."""
    a, b, c = _tree(one, "0"), _tree(two, "1"), _tree(three, "2")
    assert _merge(_merge(a, b), c).plain() == _merge(a, _merge(b, c)).plain() == _merge(a, b, c).plain()


@given(FILES)
def test_a_file_over_itself_or_over_nothing_changes_nothing(tree: Any) -> None:
    """Merging is idempotent, and an empty file is neutral."""
    root = _tree(tree, "0")
    assert _merge(root, _tree(tree, "1")).plain() == _merge(root, _tree({}, "1")).plain() == tree
    assert _merge(_tree({}, "0"), root).plain() == tree


@given(st.lists(FILES, min_size=2, max_size=4))
def test_every_value_is_of_the_lowest_file_that_has_it(trees: list[Any]) -> None:
    """A value's place is the file that wrote it, and what it replaced is that of the files above, in order."""
    roots = [_tree(tree, str(number)) for number, tree in enumerate(trees)]
    merged_root = _merge(*roots)
    written = [dict(_values(root)) for root in roots]
    for steps, value in _values(merged_root):
        files = [str(number) for number, values in enumerate(written) if steps in values]
        assert [*(above.file for above in value.above), value.file] == files
        assert value.plain() == written[int(value.file)][steps].plain()
        assert merged_root.count == 1 + sum(1 + below.count for below in merged_root.value.values())


def _values(root: Node, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Give the values that are replaced whole, by their path."""
    named = isinstance(root.value, list) and steps[-1:] in (("targets",), ("routes",), ("experiments",), ("arms",))
    if named:
        for below in root.value:
            yield from _values(below, (*steps, below.value["name"].value))
    elif isinstance(root.value, dict) and steps[-1:] != ("json",) and root.value and steps != ("unknown",):
        for key, below in root.value.items():
            yield from _values(below, (*steps, key))
    elif steps != ("unknown",) and root.value != {}:
        yield steps, root


@pytest.mark.parametrize(
    ("upper", "lower", "result"),
    [
        ("a: 1", "b: 2", {"a": 1, "b": 2}),
        ("server: {drain: 5s, listen: x}", "server: {drain: 6s}", {"server": {"drain": "6s", "listen": "x"}}),
        (
            "targets: [{name: a, version: '1'}, {name: b}]",
            "targets: [{name: c}, {name: a, version: '2'}]",
            {"targets": [{"name": "a", "version": "2"}, {"name": "b"}, {"name": "c"}]},
        ),
        (
            "routes: [{name: r, unit: [a, b]}]",
            "routes: [{name: r, unit: [c]}]",
            {"routes": [{"name": "r", "unit": ["c"]}]},
        ),
        ("overrides: [{unit: u}]", "overrides: []", {"overrides": []}),
        (
            "routes: [{name: r, fallback: [{rules: [{if: {a: 1}}]}]}]",
            "routes: [{name: r, fallback: [{rules: [{if: {b: 1}}]}]}]",
            {"routes": [{"name": "r", "fallback": [{"rules": [{"if": {"b": 1}}]}]}]},
        ),
        ("targets: [{name: a}, {name: b}]", "targets: [{name: a, $patch: delete}]", {"targets": [{"name": "b"}]}),
        ("server: {drain: 5s, listen: x}", "server: {drain: {$patch: delete}}", {"server": {"listen": "x"}}),
        ("server: {drain: 5s}", "server: {$patch: replace, listen: x}", {"server": {"listen": "x"}}),
        ("targets: [{name: a}, {name: b}]", "targets: [{$patch: replace}, {name: c}]", {"targets": [{"name": "c"}]}),
        ("experiments: [{name: e}]", "experiments: [{$patch: replace}]", {"experiments": []}),
        ("targets: [{name: a, pool: {max: 1}}]", "targets: [{name: a, $patch: replace}]", {"targets": [{"name": "a"}]}),
        (
            "a: 1",
            "targets: [{$patch: replace}, {name: c, pool: {$patch: replace, max: 1}}]",
            {"a": 1, "targets": [{"name": "c", "pool": {"max": 1}}]},
        ),
        ("server: 5", "server: {drain: 1s}", {"server": {"drain": "1s"}}),
        ("targets: [{name: a}]", "targets: [{version: b}]", {"targets": [{"name": "a"}, {"version": "b"}]}),
        (
            "targets: [{name: a}]",
            "targets: [{name: a, version: '1'}, {name: a}]",
            {"targets": [{"name": "a", "version": "1"}, {"name": "a"}]},
        ),
    ],
)
def test_what_comes_of_two_files(upper: str, lower: str, result: Any) -> None:
    """Maps by key, named things by name, anything else whole; ``$patch`` removes and replaces."""
    root, mistakes = merged([upper, lower])
    assert (root.plain(), mistakes) == (result, [])


@pytest.mark.parametrize(
    ("upper", "lower", "mistake"),
    [
        ("a: 1", "server: {drain: {$patch: delete}}", "1:1: $.server.drain: there is nothing here to delete"),
        ("targets: [{name: a}]", "targets:\n- {name: b, $patch: delete}", "1:2: $.targets[b]: there is nothing here"),
        ("a: 1", "targets: [{name: b, $patch: delete}]", "1:1: $.targets[b]: there is nothing here to delete"),
        ("a: 1", "server: {$patch: delete}", "1:1: $.server: there is nothing here to delete"),
        ("server: {drain: 5s}", "server: {$patch: merge}", '1:1: $.server["$patch"]: "merge" is neither delete nor'),
        ("server: {drain: 5s}", "$patch: replace", '1:1: $["$patch"]: "replace" is neither delete nor replace'),
        (
            "targets: [{name: a}]",
            "targets: [{name: a, $patch: delete, version: 1}]",
            '1:1: $.targets[a]["$patch"]: deletes what "version" is written for',
        ),
        ("targets: [{name: a}]", "targets: []", "1:1: $.targets: an empty list adds nothing here; to empty it write"),
    ],
)
def test_what_two_files_cannot_mean(upper: str, lower: str, mistake: str) -> None:
    """A directive that does nothing, or that nobody knows, is a mistake in the file that has it."""
    assert [text[: len(mistake)] for text in merged([upper, lower])[1]] == [mistake]
