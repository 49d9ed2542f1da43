"""Tokens of callers: only genuine ones count, for as long as they say, and each costs its signature once."""

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from router.config.jwks import parse_jwks
from router.counters import JWT_RESULTS
from router.routing.jwt import KEPT, MAX_TOKEN_BYTES, REFUSED_KEPT, Token, Verifier

NOW = 1_790_000_000.0
SECRET = b"s" * 64
CLAIMS = {"sub": "ann", "exp": NOW + 60, "plan": {"tier": "gold", "seats": 5, "trial": False}}
ALL = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256", "HS512")


@cache
def private(kind: str) -> Any:
    """Make a key, once for each kind."""
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "OKP":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[kind])


KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "ES384": "P-384", "EdDSA": "OKP"}


def secret(algorithm: str) -> Any:
    """Return what signs with an algorithm."""
    return SECRET if algorithm.startswith("HS") else private(KINDS[algorithm])


def jwk(algorithm: str, **more: Any) -> dict[str, Any]:
    """Return the key that verifies."""
    if algorithm.startswith("HS"):
        key = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()}
    else:
        key = get_default_algorithms()[algorithm].to_jwk(secret(algorithm).public_key(), as_dict=True)
    key.pop("key_ops", None)
    return {**key, **more}


def verifier(*keys: dict[str, Any], algorithms: tuple[str, ...] = ALL, **more: Any) -> Verifier:
    """Make a verifier of some keys."""
    return Verifier(parse_jwks(json.dumps({"keys": keys}).encode(), algorithms), algorithms, **more)


def token(algorithm: str = "ES256", claims: Mapping[str, Any] = CLAIMS, **headers: Any) -> bytes:
    """Sign claims."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), secret(algorithm), algorithm, headers).encode()


def made(header: Mapping[str, Any], claims: Any = CLAIMS, signature: bytes = b"x") -> bytes:
    """Write a token that nobody signed."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def result(by: Verifier, field: bytes | None, now: float = NOW) -> str:
    """Return what a field comes to."""
    found = by.verify(field, now)
    assert found.result in JWT_RESULTS
    assert (found.claims is None) is (found.result != "valid")
    return found.result


@pytest.mark.parametrize("algorithm", ALL)
def test_a_genuine_token_has_its_claims(algorithm: str) -> None:
    """With every kind of key, with and without its name, after ``Bearer`` or alone."""
    by = verifier(jwk(algorithm, kid="k1"), algorithms=(algorithm,))
    for field in (token(algorithm, kid="k1"), b"Bearer " + token(algorithm), b"bearer  " + token(algorithm)):
        claims = by.verify(field, NOW).claims
        assert claims is not None
        assert json.loads(claims) == CLAIMS


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", "", None, 5, ["ES256"], "ES512", "HS256 "])
def test_an_algorithm_that_is_not_configured_counts_for_nothing(name: Any) -> None:
    """``none`` above all, in any spelling, with a signature or without."""
    by = verifier(jwk("ES256", kid="k1"))
    for signature in (b"", b"x"):
        for header in ({"alg": name, "kid": "k1"}, {"alg": name}):
            assert result(by, made(header, signature=signature)) in {"unknown_key", "malformed"}
    assert result(by, made({"kid": "k1"})) in {"unknown_key", "malformed"}


@pytest.mark.parametrize("form", ["pem", "der", "raw"])
def test_a_public_key_is_no_secret(form: str) -> None:
    """The well-known confusion: signed by HMAC with the public key, which everybody has (RFC 8725 section 2.1)."""
    public = private("RSA").public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    known = {
        "pem": public.public_bytes(serialization.Encoding.PEM, info),
        "der": public.public_bytes(serialization.Encoding.DER, info),
        "raw": base64.urlsafe_b64decode(jwk("RS256")["n"] + "=="),
    }[form]
    for headers in ({"kid": "k1"}, {}):
        head = b".".join(made({"alg": "HS256", **headers}).split(b".")[:2])
        forged = head + b"." + base64.urlsafe_b64encode(
            get_default_algorithms()["HS256"].sign(head, known)
        ).rstrip(b"=")  # fmt: skip
        assert result(verifier(jwk("RS256", kid="k1")), forged) == "unknown_key"
        assert result(verifier(jwk("RS256", kid="k1"), jwk("HS256", kid="k2")), forged) != "valid"


def test_a_key_that_names_its_algorithm_is_for_no_other() -> None:
    """A set may hold an RSA key for RS256 only; the same key under PS256 is another key."""
    by = verifier(jwk("RS256", kid="k1", alg="RS256"))
    assert result(by, token("RS256", kid="k1")) == "valid"
    assert result(by, token("PS256", kid="k1")) == "unknown_key"


def test_a_token_gets_the_key_that_it_names_or_none() -> None:
    """Names are compared, not followed; without a name, one key for the algorithm has to be the only one."""
    mine, theirs = jwk("ES256", kid="mine"), jwk("EdDSA", kid="theirs")
    by = verifier(mine, theirs)
    assert result(by, token("ES256", kid="mine")) == "valid"
    assert result(by, token("ES256", kid="theirs")) == "unknown_key"
    for kid in ("../../etc/passwd", "mine\0", "MINE", "' OR 1=1 --", "", "http://evil.example/keys"):
        assert result(by, made({"alg": "ES256", "kid": kid})) in {"unknown_key", "malformed"}
    for odd in (1, ["mine"], {"kid": "mine"}, True):
        assert result(by, made({"alg": "ES256", "kid": odd})) in {"unknown_key", "malformed"}
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    second = {**get_default_algorithms()["ES256"].to_jwk(other, as_dict=True), "kid": "second"}
    assert result(verifier(mine, second), token("ES256")) == "unknown_key"
    assert result(verifier(mine, second), token("ES256", kid="mine")) == "valid"
    assert result(verifier(mine, second), token("ES256", kid="second")) == "bad_signature"


def test_keys_that_a_token_brings_are_not_looked_at() -> None:
    """Neither a key within it nor the address of one."""
    attacker = ec.generate_private_key(ec.SECP256R1())
    own = get_default_algorithms()["ES256"].to_jwk(attacker.public_key(), as_dict=True)
    for headers in (
        {"jwk": own},
        {"jku": "https://evil.example/"},
        {"x5u": "https://evil.example/"},
        {"x5c": ["MIIB"]},
    ):
        forged = jwt.encode(CLAIMS, attacker, "ES256", headers={"kid": "k1", **headers}).encode()
        assert result(verifier(jwk("ES256", kid="k1")), forged) == "bad_signature"
    assert result(verifier(jwk("ES256", kid="k1")), token(kid="k1", crit=["x"])) == "malformed"


@given(st.data())
def test_a_token_that_was_changed_does_not_count(data: st.DataObject) -> None:
    """Whatever is changed: either it is the same claims, differently written, or nothing."""
    written = token("HS256", kid="k1")
    place = data.draw(st.integers(0, len(written) - 1))
    changed = written[:place] + bytes([data.draw(st.integers(0, 255))]) + written[place + 1 :]
    found = verifier(jwk("HS256", kid="k1")).verify(changed, NOW)
    assert found.claims is None or json.loads(found.claims) == CLAIMS


@given(st.binary(max_size=60) | st.text("eyJ.hb=-_ 0", max_size=60).map(str.encode))
def test_any_field_has_an_answer(field: bytes) -> None:
    """Nothing that a caller sends raises, and none of it counts."""
    by = verifier(jwk("HS256", kid="k1"))
    for sent in (field, b"Bearer " + field, b"a." + field + b".b"):
        assert result(by, sent) != "valid"


@pytest.mark.parametrize("field", [None, b"", b"Basic YW5uOnBhc3M=", b"Bearer abcdef", b"ApiKey k", b"Bearer "])
def test_what_is_no_token_is_absent(field: bytes | None) -> None:
    """Other schemes are not our business, and not counted as attacks."""
    assert result(verifier(jwk("ES256")), field) == "absent"


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    """Not even hashed, so that size costs nothing."""
    large = token("HS256", {**CLAIMS, "x": "y" * MAX_TOKEN_BYTES})
    by = verifier(jwk("HS256"))
    with patch("router.routing.jwt.sha256", side_effect=AssertionError):
        assert result(by, large) == "malformed"
    deep = b"[" * 3000 + b"]" * 3000
    nested = b".".join([made({"alg": "HS256"}).split(b".")[0], base64.urlsafe_b64encode(deep).rstrip(b"="), b"eA"])
    assert result(by, nested) in {"bad_signature", "malformed"}


def test_a_token_counts_from_when_it_says_until_when_it_says() -> None:
    """At each use, also long after it was verified; within the leeway of two clocks."""
    by, lenient = verifier(jwk("ES256")), verifier(jwk("ES256"), leeway=5.0)
    written = token(claims={**CLAIMS, "nbf": NOW - 10, "iat": NOW + 1000})
    for now, expected, late in [
        (NOW - 16, "refused", "refused"), (NOW - 11, "refused", "valid"), (NOW - 10, "valid", "valid"),
        (NOW + 59.9, "valid", "valid"), (NOW + 60, "expired", "valid"), (NOW + 65, "expired", "expired"),
        (NOW, "valid", "valid"),
    ]:  # fmt: skip
        assert (result(by, written, now), result(lenient, written, now)) == (expected, late)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": "ann"}, "refused"), ({"exp": None}, "refused"), ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": [1]}, "malformed"), ({"exp": 1e400}, "malformed"), ({"exp": 10**400}, "malformed"),
        ({"exp": NOW + 1, "nbf": "x"}, "malformed"), ({"exp": NOW + 1, "nbf": -(10**400)}, "malformed"),
        ({"exp": NOW + 1, "sub": 5}, "refused"),
    ],
)  # fmt: skip
def test_a_token_has_to_say_when_it_ends(claims: dict[str, Any], expected: str) -> None:
    """One without an end would count for ever, whatever its owner did since."""
    assert result(verifier(jwk("HS256")), token("HS256", claims)) == expected


def test_a_token_is_from_whom_and_for_whom_it_should_be() -> None:
    """Issuer and audience as configured; one that is for somebody is not for a router that is nobody."""
    by = verifier(jwk("HS256"), issuer=["https://a", "https://b"], audience=["router", "models"])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"iss": "https://b", "aud": "router"}, "valid"), ({"iss": "https://a", "aud": ["x", "models"]}, "valid"),
        ({"iss": "https://c", "aud": "router"}, "refused"), ({"iss": "https://a", "aud": "x"}, "refused"),
        ({"aud": "router"}, "refused"), ({"iss": "https://a"}, "refused"),
        ({"iss": ["https://a"], "aud": "router"}, "refused"),
    ]  # fmt: skip
    for claims, expected in cases:
        assert result(by, token("HS256", {**CLAIMS, **claims})) == expected
    assert result(verifier(jwk("HS256")), token("HS256", {**CLAIMS, "aud": "somebody"})) == "refused"


def test_a_signature_is_verified_once() -> None:
    """What a token came to is kept by its digest, good or bad."""
    by = verifier(jwk("ES256", kid="k1"))
    good, bad = token(kid="k1"), made({"alg": "ES256", "kid": "k1"}, signature=b"x" * 64)
    with patch.object(jwt, "decode", wraps=jwt.decode) as decode:
        for _ in range(5):
            assert (result(by, b"Bearer " + good), result(by, bad)) == ("valid", "bad_signature")
        assert decode.call_count == 2
        assert result(by, good, NOW + 100) == "expired"
        assert decode.call_count == 2


def test_what_is_kept_is_bounded_and_bad_tokens_push_no_good_one_out() -> None:
    """Somebody who sends a new token each time fills no memory, and costs others nothing."""
    by = verifier(jwk("HS256", kid="k1"))
    good = token("HS256")
    assert result(by, good) == "valid"
    for number in range(max(KEPT, REFUSED_KEPT) + 5):
        assert result(by, made({"alg": "none"}, {"n": number})) != "valid"
    assert len(by._refused) <= REFUSED_KEPT
    with patch.object(jwt, "decode", side_effect=AssertionError):
        assert result(by, good) == "valid"
    by._kept.update((number.to_bytes(4), Token(b"{}", "valid")) for number in range(KEPT - 1))
    assert result(by, token("HS256", {**CLAIMS, "jti": "new"})) == "valid"
    assert len(by._kept) == KEPT


@pytest.mark.parametrize("payload", [b"[]", b"5", b"{", b"\xff"])
def test_claims_are_a_map(payload: bytes) -> None:
    """Whatever else was signed counts for nothing."""
    written = jwt.PyJWS().encode(payload, SECRET, "HS256").encode()
    assert result(verifier(jwk("HS256")), written) == "malformed"
