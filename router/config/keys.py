"""A file of signing keys.

Responsible for: its format, and saying what is wrong with one without saying anything of what it holds.
Does not know: what is signed (``router.routing.token``).

Format: one secret a line in base64, standard or URL-safe, padded or not, as ``openssl rand -base64 32`` writes it;
empty lines and lines that begin with ``#`` do not count. The first signs, all verify.

Rules: a message names lines and lengths, never content. Workers import this module, so it imports nothing heavy.
"""

import binascii
from base64 import b64decode
from pathlib import Path
from typing import Final

MIN_KEY_BYTES: Final = 32  # the length of a SHA-256; shorter keys weaken the HMAC (RFC 2104 section 3)
MAX_KEYS: Final = 16  # each costs a hash for a token that none of them signed
MAX_FILE_BYTES: Final = 64 * 1024


def parse_keys(content: bytes) -> tuple[bytes, ...]:
    """Read the secrets of a file.

    Raises:
        ValueError: With every mistake in one sentence, each by its line.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
    keys: dict[bytes, int] = {}
    mistakes: list[str] = []
    for number, text in enumerate(content.splitlines(), start=1):
        line = text.strip()
        if not line or line.startswith(b"#"):
            continue
        key = _decoded(line)
        if key is None:
            mistakes.append(f"line {number} is not base64")
        elif len(key) < MIN_KEY_BYTES:
            mistakes.append(f"line {number} holds {len(key)} bytes; a key has at least {MIN_KEY_BYTES}")
        elif keys.setdefault(key, number) != number:
            mistakes.append(f"line {number} repeats line {keys[key]}")
    if not keys and not mistakes:
        mistakes.append("holds no key")
    if len(keys) > MAX_KEYS:
        mistakes.append(f"holds {len(keys)} keys; at most {MAX_KEYS} are of use")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return tuple(keys)


def read_keys(path: str) -> tuple[bytes, ...]:
    """Read the secrets of a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: As ``parse_keys``.
    """
    with Path(path).open("rb") as file:
        return parse_keys(file.read(MAX_FILE_BYTES + 1))


def _decoded(line: bytes) -> bytes | None:
    text = line.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
