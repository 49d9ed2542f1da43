"""The file with the admin API's tokens."""

from pathlib import Path

import pytest

from router.config.tokens import Token, read_tokens

LONG = b"0123456789abcdef"


def _read(tmp_path: Path, text: bytes) -> tuple[Token, ...]:
    (tmp_path / "tokens").write_bytes(text)
    return read_tokens(str(tmp_path / "tokens"))


def test_one_word_is_a_token_without_a_name(tmp_path: Path) -> None:
    """As files always were, whatever characters it has."""
    assert _read(tmp_path, b"  a:" + LONG + b"\n") == (Token(None, b"a:" + LONG),)


def test_lines_are_names_and_tokens(tmp_path: Path) -> None:
    """A name may have two, while one is replaced; comments say nothing."""
    text = b"# who\nann  %b\n\nann %b2\r\nci@eu\t%b3\n" % (LONG, LONG, LONG)
    assert _read(tmp_path, text) == (Token("ann", LONG), Token("ann", LONG + b"2"), Token("ci@eu", LONG + b"3"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"ann %b\n%b\n" % (LONG, LONG), "line 2 is not a name, a space and a token"),
        (b"ann short\n", "line 1 must hold a token of 16 to 4096 ASCII characters"),
        (b"a/b %b\n" % LONG, "line 1 does not begin with a name"),
        (b"# nobody\n", "holds no token"),
        (b"ann %b\n" % LONG * 101, "holds more than 100 tokens"),
        (b"x" * 70_000, "is larger than 64 KiB"),
    ],
)
def test_anything_else_is_refused_without_showing_a_token(tmp_path: Path, text: bytes, message: str) -> None:
    """A file that is half right would let somebody in, or nobody."""
    with pytest.raises(ValueError, match=message) as caught:
        _read(tmp_path, text)
    assert LONG.decode() not in str(caught.value)
