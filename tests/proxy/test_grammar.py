"""The grammar that heads share: which lines are of no concern, for any set of names."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from router.proxy.grammar import other_lines

words = st.from_regex(r"[a-z!^-][a-z0-9-]{0,3}", fullmatch=True).map(str.encode)


@given(st.sets(words, max_size=6), words, st.booleans())
@example({b"te", b"trailer"}, b"t", False)
@example({b"t"}, b"te", False)
@example({b"te", b"tea"}, b"te", True)
@example(set(), b"x-router-a", False)
@example({b"x-r"}, b"x-router-", True)
def test_a_line_is_another_one_unless_its_name_is_given(names: set[bytes], name: bytes, upper: bool) -> None:  # noqa: FBT001  # drawn
    """A field line matches exactly when its name, in any case, is neither given nor one of the router's own."""
    line = (name.upper() if upper else name) + b": value"
    own = name.startswith(b"x-router-")
    assert (re.fullmatch(other_lines(names), line) is not None) == (name not in names and not own)


@given(st.sets(words, max_size=3), st.binary(min_size=1, max_size=6).filter(lambda name: b":" not in name))
@example({b"a"}, b"A_b")
@example(set(), b"a ")
@example(set(), b"\x7f")
def test_only_a_field_line_is_another_one(names: set[bytes], name: bytes) -> None:
    """Bytes that no field name has, the underscore among them, and controls in a value never match."""
    valid = re.fullmatch(rb"[!#$%&'*+.^`|~0-9A-Za-z-]+", name) is not None
    pattern = other_lines(names)
    assert valid or re.fullmatch(pattern, name + b": value") is None
    assert re.fullmatch(pattern, b"a-b-c-d: v" + name) is None or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", name) is None
