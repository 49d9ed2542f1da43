"""A file of keys that tokens of callers are verified with: a JWK set (RFC 7517).

Responsible for: which keys of it are of use with which algorithms, and saying what is wrong without saying anything of
what a key holds.
Does not know: tokens (``router.routing.jwt``).

Rules: an algorithm and a key's kind belong together before any token is seen, so no token can have a public key taken
for a secret (RFC 8725 section 3.1). Keys for encryption and of kinds that no accepted algorithm uses are left out, as
an issuer's set holds what others need; a private key is a mistake, as it does not belong on a router. Imports PyJWT, so
only what verifies tokens imports it.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jwt import PyJWK, PyJWTError
from jwt.algorithms import has_crypto, requires_cryptography

from router.config.mistake import show

MAX_FILE_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
MAX_NAME: Final = 256  # characters of a key's id

# What keys each algorithm is for: kty, and crv where the kind has several (RFC 7518 section 3.1, RFC 8037).
_KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    **{f"{family}{bits}": ("RSA", ()) for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"HS{bits}": ("oct", ()) for bits in (256, 384, 512)},
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519",)),
}

Keys = Mapping[tuple[str | None, str], PyJWK]
"""From a key's id, None where it has none, and an algorithm to the key."""


def missing(algorithms: Sequence[str]) -> list[str]:
    """Return the algorithms that need a library which is not installed."""
    return [] if has_crypto else [name for name in algorithms if name in requires_cryptography]


def parse_jwks(content: bytes, algorithms: Sequence[str]) -> Keys:
    """Read the keys of a file.

    Args:
        content: Its bytes.
        algorithms: Those that are accepted.

    Raises:
        ValueError: With every mistake in one sentence, each by the place of its key.
    """
    keys: dict[tuple[str | None, str], PyJWK] = {}
    mistakes: list[str] = []
    for index, item in enumerate(_listed(content)):
        try:
            for key in _keys(item, algorithms):
                made = _made(item, key[1])
                if keys.setdefault(key, made) is not made:
                    mistakes.append(f"keys[{index}] has the same kid as another key for {key[1]}")
        except ValueError as error:
            mistakes.append(f"keys[{index}] {error}")
    if not keys and not mistakes:
        mistakes.append(f"has no key for any of {', '.join(algorithms)}")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return keys


def read_jwks(path: str, algorithms: Sequence[str]) -> Keys:
    """Read the keys of a file.

    Raises:
        OSError: If it cannot be read.
        ValueError: As ``parse_jwks``.
    """
    with Path(path).open("rb") as file:
        return parse_jwks(file.read(MAX_FILE_BYTES + 1), algorithms)


def _listed(content: bytes) -> list[Any]:
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    given = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(given, list):
        raise ValueError('has no list "keys"; it is to be a JWK set (RFC 7517)')  # noqa: TRY004 - a mistake in a file
    if len(given) > MAX_KEYS:
        raise ValueError(f"has {len(given)} keys; the most is {MAX_KEYS}")
    return given


def _keys(item: Any, algorithms: Sequence[str]) -> list[tuple[str | None, str]]:
    """Return what a key is of use for: its id with each accepted algorithm of its kind."""
    if not isinstance(item, dict):
        raise ValueError("is not a key")  # noqa: TRY004 - a mistake in a file
    name = item.get("kid")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= MAX_NAME):
        raise ValueError(f"has a kid that is no text of at most {MAX_NAME} characters")
    uses = item.get("key_ops", ["verify"])
    if item.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return []
    if item.get("kty") != "oct" and "d" in item:
        raise ValueError("is a private key; put only its public half here")
    return [
        (name, algorithm)
        for algorithm in algorithms
        if item.get("alg", algorithm) == algorithm
        and item.get("kty") == _KINDS[algorithm][0]
        and (not _KINDS[algorithm][1] or item.get("crv") in _KINDS[algorithm][1])
    ]


def _made(item: dict[str, Any], algorithm: str) -> PyJWK:
    try:
        with warnings.catch_warnings(action="ignore"):
            key = PyJWK(item, algorithm)
            weak = key.Algorithm.check_key_length(key.Algorithm.prepare_key(key.key))
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"cannot be used with {algorithm}") from error
    if weak:
        raise ValueError(f"is too short for {show(algorithm)} (RFC 7518 section 3)")
    return key
