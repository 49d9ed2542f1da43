"""Bytes to a tree: YAML 1.2's scalars, lines, and the bounds that make hostile files cheap."""

from typing import Any

import pytest

from router.config.document import MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, read
from router.config.mistake import ConfigError, Mistakes


def tree(text: str | bytes) -> Node:
    """Read a document that has no mistakes."""
    mistakes = Mistakes("f.yaml")
    node = read(text.encode() if isinstance(text, str) else text, mistakes)
    assert mistakes.found == []
    return node


def refusal(text: str | bytes) -> str:
    """Give the only mistake of bytes that are no document."""
    with pytest.raises(ConfigError) as caught:
        read(text.encode() if isinstance(text, str) else text, Mistakes("f.yaml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, text) for text in ("on", "no", "yes", "y", "Off", "tRue", "1:30", "2026-11-22", "=")),
        *((text, text) for text in ("0123", "-007", "01.5", "1_000", "0b11", "0x")),
        *(("'1'", "1"), ('"true"', "true"), ("!!str 1", "1")),
        *(("true", True), ("False", False), ("~", None), ("null", None), ("", None)),
        *(("0", 0), ("-12", -12), ("+3", 3), ("0o17", 15), ("0xff", 255), ("9223372036854775807", 2**63 - 1)),
        *(("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-1.5E-2", -0.015)),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """Only the core schema of YAML 1.2 gives a plain scalar a type; what YAML 1.1 knew besides is text."""
    found = tree(f"key: {text}").plain()["key"]
    assert (type(value), value) == (type(found), found)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", ".NaN", "1e999", "9223372036854775808", "9" * 5000])
def test_numbers_that_nothing_can_hold_are_mistakes(text: str) -> None:
    """Infinities, NaN and numbers beyond 64 bits are refused, not rounded."""
    mistakes = Mistakes("f.yaml")
    read(f"a: 1\nb: {text}".encode(), mistakes)
    assert [(mistake.line, mistake.path) for mistake in mistakes.found] == [(2, "$.b")]


def test_every_node_knows_its_line() -> None:
    """Scalars and flow collections have the line they begin in, also behind comments and CRLF."""
    node = tree(b"# one\r\na:\r\n  - x\r\n  - {b: [1,\r\n      2]}\r\n")
    items = node.value["a"].value
    assert [item.line for item in items] == [3, 4]
    assert [item.line for item in items[1].value["b"].value] == [4, 5]


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    """Editors on Windows begin a file with a byte order mark."""
    assert tree(b"\xef\xbb\xbfa: 1").plain() == {"a": 1}


def test_a_duplicate_key_is_a_mistake_at_the_second_one() -> None:
    """Neither of two values wins silently."""
    mistakes = Mistakes("f.yaml")
    node = read(b"a: 1\nb: 2\na: 3\n", mistakes)
    assert [str(mistake) for mistake in mistakes.found] == ['f.yaml:3: $.a: key "a" is already given in line 1']
    assert node.plain() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object:os.system x", 'tag "tag:yaml.org,2002:python/object:os.system" is not allowed'),
        ("a: !!int '1'", 'tag "tag:yaml.org,2002:int" is not allowed'),
        ("a: !own {b: 1}", 'tag "!own" is not allowed'),
        ("a: *b", "alias *b has no anchor before it"),
        ("a: &b [*b]", "alias *b is inside its own anchor"),
        ('a: "\\0"', '"\\u0000" holds a control character'),
        ('a: "\\u202e\\u2028"', '"\\u202e\\u2028" holds a control character'),
        ('"a\\e": 1', "a key holds a control character"),
    ],
)
def test_what_yaml_allows_and_a_configuration_does_not(text: str, message: str) -> None:
    """Tags, loops and control characters are mistakes with their place."""
    mistakes = Mistakes("f.yaml")
    read(text.encode(), mistakes)
    assert [message] == [mistake.message for mistake in mistakes.found]


def test_aliases_stand_for_what_they_name() -> None:
    """An anchor may be used again, within the bound on values."""
    assert tree("a: &t {x: [1, 2]}\nb: *t\nc: *t").plain() == {key: {"x": [1, 2]} for key in "abc"}


def test_an_alias_bomb_is_refused_before_it_is_written_out() -> None:
    """Values count as if every alias were written out, so nine lines of ten aliases each stop at the bound."""
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert f"more than {MAX_NODES} values" in refusal("\n".join(lines))


def test_many_values_are_refused() -> None:
    """A flat list is bounded as well."""
    assert f"more than {MAX_NODES} values" in refusal("a: [" + "b," * (MAX_NODES + 1) + "]")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH]
)
def test_deep_values_are_refused(text: str) -> None:
    """Nesting is bounded long before the interpreter's stack."""
    assert f"nested more than {MAX_DEPTH} deep" in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: is empty; targets and routes are needed"),
        ("# nothing\n\n", "f.yaml:1: is empty; targets and routes are needed"),
        ("---\n...\n", "f.yaml:1: is empty; targets and routes are needed"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: a second document begins here; a file holds one"),
        (b"a: 1\nb: \xff\n", "f.yaml:2: byte 8 is not UTF-8"),
        ("\n- 1\n", "f.yaml:2: $: [1] is not a map of keys"),
        ("text", 'f.yaml:1: $: "text" is not a map of keys'),
        ("? [a]\n: b", "f.yaml:1: $: a key is not plain text"),
        ("a: [1\nb: 2", "f.yaml:2: is not YAML: "),
        ("a: 'open", "f.yaml:1: is not YAML: found unexpected end of stream while scanning a quoted scalar"),
        ("a:\n\t- b", "f.yaml:2: is not YAML: found character that cannot start any token"),
        ("a: \x01", "f.yaml:1: is not YAML: control characters are not allowed"),
    ],
)
def test_bytes_that_are_no_document_are_refused_with_their_line(text: str | bytes, message: str) -> None:
    """A file that is no usable document has one mistake, and it says where."""
    assert refusal(text).startswith(message)


def test_a_large_file_is_refused() -> None:
    """Files over 4 MiB are not parsed."""
    assert refusal(b"#" * (MAX_BYTES + 1)) == "f.yaml: is larger than 4 MiB"
    assert tree(b"a: 1\n#" + b"#" * (MAX_BYTES - 6)).plain() == {"a": 1}
