"""Keys of callers' tokens: what is wrong with them is said at its place, and never what they hold."""

import base64
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from router.config import jwks
from router.config.load import ConfigError, load_text
from router.control.private import worker_files

BASE = """\
server: {jwt: {keys_file: jwks.json, algorithms: [ALGORITHMS]}}
targets: [{name: t, endpoints: [http://127.0.0.1:8001]}]
routes:
  - {name: r, target: t, unit: [jwt:/sub], attributes: {tier: jwt:/plan/tier}}
"""
SECRET = base64.urlsafe_b64encode(b"s" * 32).decode()


def mistakes(folder: Path, keys: Any, algorithms: str = "HS256, ES256") -> list[str]:
    """Return the mistakes of a configuration with a file of keys."""
    if keys is not None:
        (folder / "jwks.json").write_text(keys if isinstance(keys, str) else json.dumps(keys))
    try:
        loaded = load_text(BASE.replace("ALGORITHMS", algorithms).encode(), "router.yaml", folder)
    except ConfigError as error:
        return [str(mistake).replace(str(folder) + "/", "") for mistake in error.mistakes]
    assert folder / "jwks.json" in loaded.referenced
    assert worker_files(loaded.config) == {folder / "jwks.json"}
    return []


def oct_key(**more: Any) -> dict[str, Any]:
    """Return a key with a secret."""
    return {"kty": "oct", "k": SECRET, **more}


def test_keys_that_can_be_used(tmp_path: Path) -> None:
    """Those of other kinds, or for encryption, are the issuer's other business."""
    others = [
        {"kty": "RSA", "n": "x", "e": "AQAB"},
        {"kty": "XYZ"},
        oct_key(kid="e", use="enc"),
        oct_key(key_ops=["sign"]),
    ]
    assert mistakes(tmp_path, {"keys": [oct_key(kid="a"), *others]}) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (None, ": No such file or directory"),
        ("{", "is not JSON"),
        ("[]", 'has no list "keys"; it is to be a JWK set (RFC 7517)'),
        ({"keys": []}, "has no key for any of HS256, ES256"),
        ({"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}, "has no key for any of HS256, ES256"),
        ({"keys": [1]}, "keys[0] is not a key"),
        ({"keys": [oct_key(kid=5)]}, "keys[0] has a kid that is no text of at most 256 characters"),
        ({"keys": [oct_key(kid="a"), oct_key(kid="a")]}, "keys[1] has the same kid as another key for HS256"),
        ({"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}, 'keys[0] is too short for "HS256" (RFC 7518 section 3)'),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}, "keys[0] cannot be used with ES256"),
        ({"keys": [oct_key(kid=str(index)) for index in range(65)]}, "has 65 keys; the most is 64"),
    ],
)
def test_keys_that_cannot(tmp_path: Path, keys: Any, message: str) -> None:
    """All that is wrong with them at once, by their places."""
    (line,) = mistakes(tmp_path, keys)
    assert line.startswith("router.yaml:1: $.server.jwt.keys_file: ")
    assert line.endswith(message)
    assert SECRET not in line


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is anything else that would block whoever reads it."""
    (tmp_path / "jwks.json").mkdir()
    (line,) = mistakes(tmp_path, None)
    assert line.endswith("is not a regular file")


def test_a_private_key_is_refused(tmp_path: Path) -> None:
    """Who verifies does not need it, and should not be able to sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = ECAlgorithm(ECAlgorithm.SHA256).to_jwk(key, as_dict=True)
    (line,) = mistakes(tmp_path, {"keys": [own]})
    assert line.endswith("keys[0] is a private key; put only its public half here")
    assert own["d"] not in line


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    """1024 bits were broken long ago (RFC 7518 section 3.3)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - that is the point
    own = RSAAlgorithm(RSAAlgorithm.SHA256).to_jwk(key, as_dict=True)
    own.pop("key_ops", None)
    (line,) = mistakes(tmp_path, {"keys": [own]}, "RS256")
    assert "keys[0] is too short" in line or "keys[0] cannot be used" in line


@pytest.mark.parametrize("name", ["none", "HS255", "RS256 "])
def test_algorithms_are_those_of_a_list(tmp_path: Path, name: str) -> None:
    """``none`` cannot be asked for."""
    (line,) = mistakes(tmp_path, {"keys": [oct_key()]}, f'"{name}"')
    assert line.startswith("router.yaml:1: $.server.jwt.algorithms[0]: expected one of ES256, ")


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """Signatures need cryptography and tokens PyJWT, which come with an extra; secrets need no cryptography."""
    keys = {"keys": [oct_key()]}
    with patch.object(jwks, "has_crypto", new=False):
        (line,) = mistakes(tmp_path, keys)
        assert line == (
            'router.yaml:1: $.server.jwt.algorithms[1]: "ES256" needs cryptography, which is not installed; install it '
            "with: pip install 'router[jwt]'"
        )
        assert mistakes(tmp_path, keys, "HS256") == []
    with patch.dict(sys.modules, {"router.config.jwks": None}), pytest.MonkeyPatch.context() as patched:
        patched.delattr("router.config.jwks")
        (line,) = mistakes(tmp_path, keys)
        assert line.startswith("router.yaml:1: $.server.jwt: needs PyJWT, which is not installed; ")


def test_claims_need_somebody_who_verifies_them() -> None:
    """A source that reads a token without ``server.jwt`` would be absent for ever."""
    text = "\n".join(BASE.splitlines()[1:]).replace("[jwt:/sub]", "[header:x, jwt:/sub]")
    with pytest.raises(ConfigError) as caught:
        load_text(text.encode(), "router.yaml")
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        f"router.yaml:3: $.routes[0].{place}: reads a token, and nothing says how it is verified; set server.jwt"
        for place in ("unit[1]", "attributes.tier")
    ]


@pytest.mark.parametrize("source", ["'jwt:'", "jwt:sub", "jwt:/~2"])
def test_a_claim_is_a_pointer(source: str) -> None:
    """As with the body, so that nested claims and odd names can be written."""
    with pytest.raises(ConfigError, match="does not hold a JSON pointer to a claim, such as /sub"):
        load_text(BASE.replace("jwt:/sub", source).replace("ALGORITHMS", "HS256").encode(), "router.yaml")
