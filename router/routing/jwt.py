"""Verifying the tokens that callers bring (JWT, RFC 7519).

Responsible for: ``Verifier``: from the field of a request to the claims of a token that is genuine, meant for us and of
now, or to why there are none.
Does not know: where keys come from (``router.config.jwks``), what claims are for.

Rules, after RFC 8725: a key is used with its own kind of algorithm only, whatever a token says; a token that names a
key gets that one or none; ``alg: none`` and everything else that is not configured is refused before any key is
touched. Nothing that a token refers to (``jku``, ``x5u``, ``jwk``) is looked at. A token has to say when it ends.
Signatures and claims are PyJWT's to check, times are checked here, at each use and not only at the first. What a token
came to is kept by its digest, so its signature costs once.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from sys import float_info
from typing import Any, Final, NamedTuple

import jwt
from jwt.exceptions import (
    DecodeError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from router.config.jwks import Keys

MAX_TOKEN_BYTES: Final = 8192  # of a field with a token; a head has 32 KiB
KEPT: Final = 2048  # tokens whose claims are kept: 16 MB at most
REFUSED_KEPT: Final = (
    256  # tokens of which it is kept that they have none; apart, so that a flood pushes no good one out
)

_BEARER: Final = b"bearer "
_OPTIONS: Final[Mapping[str, Any]] = {
    "require": ["exp"],
    "verify_exp": False,  # at each use, by the caller's clock
    "verify_nbf": False,
    "verify_iat": False,  # says when it was made, which RFC 7519 makes no condition of
}


class Token(NamedTuple):
    """What a token came to.

    Attributes:
        claims: Its claims as JSON; None when it does not count.
        result: Why, one of ``counters.JWT_RESULTS``; ``valid`` from ``begins`` to before ``ends``.
        begins: Unix seconds from which on it counts.
        ends: Unix seconds from which on it does not.
    """

    claims: bytes | None
    result: str
    begins: float = 0.0
    ends: float = 0.0


_ABSENT: Final = Token(None, "absent")
_MALFORMED: Final = Token(None, "malformed")


class Verifier:
    """Verifies with one set of keys.

    Per set of keys: what tokens of late came to.
    """

    __slots__ = ("_algorithms", "_audience", "_issuer", "_kept", "_keys", "_leeway", "_refused")

    def __init__(
        self,
        keys: Keys,
        algorithms: Sequence[str],
        *,
        issuer: Sequence[str] = (),
        audience: Sequence[str] = (),
        leeway: float = 0.0,
    ) -> None:
        """Make one.

        Args:
            keys: The keys, each with the algorithm that it is for.
            algorithms: Those that are accepted.
            issuer: What ``iss`` may be; any when empty.
            audience: One of these has to be in ``aud``; when empty there must be no ``aud``.
            leeway: Seconds by which the clocks of issuer and router may differ.
        """
        self._keys = keys
        self._algorithms = list(algorithms)
        self._issuer = list(issuer) or None
        self._audience = list(audience) or None
        self._leeway = leeway
        self._kept: dict[bytes, Token] = {}
        self._refused: dict[bytes, Token] = {}

    def verify(self, field: bytes | None, now: float) -> Token:
        """Return what the token in a field comes to.

        Args:
            field: ``Bearer TOKEN``, in any case of letters, or the token alone; None when there is no such field.
            now: Unix seconds.
        """
        if not field:
            return _ABSENT
        if len(field) > MAX_TOKEN_BYTES:
            return _MALFORMED
        written = field[len(_BEARER) :].strip() if field[: len(_BEARER)].lower() == _BEARER else field
        if written.count(b".") != 2:  # another scheme: Basic, an API key
            return _ABSENT
        digest = sha256(written).digest()
        token = self._kept.get(digest) or self._refused.get(digest)
        if token is None:
            token = self._read(written)
            kept, most = (self._kept, KEPT) if token.claims is not None else (self._refused, REFUSED_KEPT)
            if len(kept) >= most:
                del kept[next(iter(kept))]
            kept[digest] = token
        if token.claims is None:
            return token
        if now >= token.ends + self._leeway:
            return Token(None, "expired")
        return Token(None, "refused") if now < token.begins - self._leeway else token

    def _read(self, written: bytes) -> Token:
        """Return what a token comes to, times aside."""
        try:
            said = jwt.get_unverified_header(written)
        except (PyJWTError, ValueError, RecursionError):
            return _MALFORMED
        algorithm, name = said.get("alg"), said.get("kid")
        key = self._key(algorithm, name)
        if key is None:
            return Token(None, "unknown_key")
        try:
            claims = jwt.decode(
                written, key, algorithms=[key.algorithm_name], audience=self._audience, issuer=self._issuer,
                options=_OPTIONS,  # type: ignore[arg-type]
            )  # fmt: skip
        except InvalidSignatureError:
            return Token(None, "bad_signature")
        except (InvalidAudienceError, InvalidIssuerError, MissingRequiredClaimError):
            return Token(None, "refused")
        except (DecodeError, ValueError, RecursionError):
            return _MALFORMED
        except PyJWTError:
            return Token(None, "refused")
        ends, begins = claims["exp"], claims.get("nbf", 0)
        if not (_moment(ends) and _moment(begins)):
            return _MALFORMED
        return Token(jwt.utils.base64url_decode(written.split(b".")[1]), "valid", begins, ends)

    def _key(self, algorithm: object, name: object) -> "jwt.PyJWK | None":
        """Return the key that a token names; where it names none, the only one for its algorithm."""
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            return None
        if name is not None:
            return self._keys.get((name, algorithm)) if isinstance(name, str) else None
        fitting = [key for (_, kind), key in self._keys.items() if kind == algorithm]
        return fitting[0] if len(fitting) == 1 else None


def _moment(value: object) -> bool:
    """Return whether a claim is a NumericDate (RFC 7519 section 2) that can be reckoned with, as 10^400 cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= float_info.max
