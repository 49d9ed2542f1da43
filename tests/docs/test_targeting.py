"""The page on who is eligible says what the router does."""

import json
import re
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from router.config.facts import FACTS
from router.config.load import load_text
from router.config.logic import OPERATORS
from router.counters import JWT_RESULTS
from router.proxy.identity import Identity
from router.routing.request import Request

PAGE = (Path(__file__).parents[2] / "docs" / "targeting.md").read_text()
CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
NOW = 1_790_000_000.0


def test_the_configuration_of_the_page_works(tmp_path: Path) -> None:
    """It has no mistakes, and a token as its issuer makes them gives the claims that it asks for."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm(ECAlgorithm.SHA256).to_jwk(key.public_key(), as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1"}]}))
    config = load_text(CONFIG.encode(), "page.yaml", tmp_path).config
    words = memoryview(bytearray(8 * 512)).cast("q")
    identity = Identity(words)
    identity.follow(config.server.jwt)
    claims = {
        "sub": "ann",
        "plan": {"tier": "gold"},
        "iss": "https://login.example.org",
        "aud": "models",
        "exp": NOW + 9,
    }
    token = jwt.encode(claims, key, "ES256", headers={"kid": "k1"}).encode()
    asked = Request(
        "", b"", b"/", b"", b"", "", {b"authorization": b"Bearer " + token}, now=NOW, claims=identity.claims
    )
    assert bytes(asked.claim(("plan", "tier")) or b"") == b'"gold"'


@pytest.mark.parametrize("name", [*OPERATORS, *JWT_RESULTS])
def test_every_operator_and_result_is_on_the_page(name: str) -> None:
    """Nobody has to look for them in the code."""
    assert name in re.findall(r"[^\s`]+", PAGE)


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_is_on_the_page(name: str) -> None:
    """By its last part, in the table."""
    assert f".{name.rpartition('.')[2]}" in PAGE or f"`{name}`" in PAGE
