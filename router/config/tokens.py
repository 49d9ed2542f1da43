"""The file with the tokens of the admin API.

Responsible for: reading it: one token alone, or a token for each person or program, each with a name.
Does not know: who asks for it, or what a token may do.

Rules: a file of one word is that token, without a name. Otherwise each line is a name, white space and a token; empty
lines and lines that begin with ``#`` say nothing. A name may have several tokens, so that one can be replaced.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

MAX_BYTES: Final = 64 * 1024
MAX_TOKENS: Final = 100
TOKEN_MIN: Final = 16
TOKEN_MAX: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Token(NamedTuple):
    """A token, and whose it is; None when the file does not say."""

    name: str | None
    value: bytes


def read_tokens(file: str) -> tuple[Token, ...]:
    """Read the tokens of a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it holds none, or something else; the message never shows a token.
    """
    with Path(file).open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KiB")
    words = data.split()
    if len(words) == 1:
        return (Token(None, _token(words[0], "it")),)
    tokens = tuple(
        _line(line, number)
        for number, line in enumerate(data.splitlines(), start=1)
        if line.strip() and not line.strip().startswith(b"#")
    )
    if not tokens:
        raise ValueError("holds no token")
    if len(tokens) > MAX_TOKENS:
        raise ValueError(f"holds more than {MAX_TOKENS} tokens")
    return tokens


def _line(line: bytes, number: int) -> Token:
    parts = line.split()
    if len(parts) != 2:
        raise ValueError(f"line {number} is not a name, a space and a token")
    name = parts[0].decode("utf-8", "replace")
    if not _NAME.fullmatch(name):
        raise ValueError(f"line {number} does not begin with a name of letters, digits and any of . _ @ -")
    return Token(name, _token(parts[1], f"line {number}"))


def _token(value: bytes, where: str) -> bytes:
    if not TOKEN_MIN <= len(value) <= TOKEN_MAX or not value.isascii():
        raise ValueError(f"{where} must hold a token of {TOKEN_MIN} to {TOKEN_MAX} ASCII characters")
    return value
