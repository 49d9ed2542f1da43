"""Claims of tokens as units and attributes, through a worker: counted, kept, and read again with their keys."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import jwt
import pytest
from msgspec import structs

from router import counters
from router.config.schema import Jwt, LayeredBy, Variant
from router.proxy.identity import Identity
from router.routing.request import Request
from tests.proxy.memory import OK, Plane

SECRETS = (b"a" * 32, b"b" * 32)
CONFIG = """
server: {{jwt: {{keys_file: '{}', algorithms: [HS256]}}}}
events: {{unenrolled: 100%}}
targets: [{{name: t, endpoints: ['http://10.0.0.1:80']}}, {{name: u, endpoints: ['http://10.0.0.2:80']}}]
routes:
  - name: r
    target: t
    match: {{path: /r}}
    unit: ['jwt:/sub', 'header:x-user']
    attributes: {{seats: 'jwt:/plan/seats'}}
  - {{name: plain, target: t, unit: ['header:x-user']}}
experiments:
  - name: e
    route: r
    eligible: {{in: [{{var: seats}}, [5, 6]]}}
    arms: [{{name: a, target: t, weight: 0}}, {{name: b, target: u, weight: 1}}]
"""


def write(folder: Path, secret: bytes) -> Path:
    """Write a set of one key."""
    path = folder / "jwks.json"
    key = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    path.write_text(json.dumps({"keys": [{"kty": "oct", "k": key}]}))
    return path


def ask(plane: Plane, token: str | None, path: str = "/r") -> tuple[str | None, bool]:
    """Send a request; return its unit and whether it was in the experiment."""
    field = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: h\r\nX-User: header-user\r\n{field}\r\n"
    plane.ask(plane.caller()[1], head.encode()).feed(OK)
    plane.settle()
    event = plane.log.events[-1]
    return event.unit, bool(event.experiments)


def counted(plane: Plane) -> dict[str, int]:
    """Return what tokens came to."""
    words = zip(counters.JWT_RESULTS, plane.words[counters.JWT :], strict=False)
    return {result: count for result, count in words if count}


def signed(secret: bytes = SECRETS[0], ends: float = 9e9, **claims: Any) -> str:
    """Sign claims."""
    return jwt.encode({"sub": "ann", "exp": ends, "plan": {"seats": 5}, **claims}, secret, "HS256")


def test_claims_are_units_and_attributes(tmp_path: Path) -> None:
    """A number of a claim is a number; what does not count leaves the next source, and is counted once a request."""
    with Plane(CONFIG.format(write(tmp_path, SECRETS[0]))) as plane:
        assert ask(plane, signed()) == ("ann", True)
        assert ask(plane, signed(plan={"seats": "5"})) == ("ann", False)
        assert ask(plane, signed(SECRETS[1])) == ("header-user", False)
        assert ask(plane, signed(ends=1.0)) == ("header-user", False)
        assert ask(plane, None) == ("header-user", False)
        assert counted(plane) == {"valid": 2, "bad_signature": 1, "expired": 1, "absent": 1}


def test_a_claim_says_which_region_a_request_belongs_to(tmp_path: Path) -> None:
    """The route of the region is found with the token, which is verified once."""
    with Plane(CONFIG.format(write(tmp_path, SECRETS[0]))) as plane:
        config = plane.revision.config
        there = Variant(region="7", routes=(structs.replace(config.routes[0], target="u"), config.routes[1]))
        layered = structs.replace(config, layered_by=LayeredBy(region="seats"), variants=(there,))
        plane.server.swap(structs.replace(plane.revision, number=2, config=layered))
        served = []
        for seats in (7, 8, 7, 8):
            assert ask(plane, signed(plan={"seats": seats})) == ("ann", False)
            served.append(plane.log.events[-1].target)
        assert served == ["u", "t", "u", "t"]
        assert counted(plane) == {"valid": 4}


def test_routes_without_claims_do_not_look_at_tokens(tmp_path: Path) -> None:
    """Their requests pay nothing for those that do."""
    with Plane(CONFIG.format(write(tmp_path, SECRETS[0]))) as plane:
        assert ask(plane, signed(SECRETS[1]), "/other") == ("header-user", False)
        assert counted(plane) == {}


def test_keys_are_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a new revision; keys that cannot be read stay what they were, and nothing of them is logged."""
    config = CONFIG.format(write(tmp_path, SECRETS[0]))
    with Plane(config) as plane:
        assert ask(plane, signed()) == ("ann", True)
        write(tmp_path, SECRETS[1])
        plane.swap(config)
        assert ask(plane, signed()) == ("header-user", False)
        assert ask(plane, signed(SECRETS[1])) == ("ann", True)
        (tmp_path / "jwks.json").write_text("{")
        with caplog.at_level(logging.ERROR):
            plane.server.swap(plane.revision)
        assert "the keys of callers' tokens cannot be read; those of before count: is not JSON" in caplog.text
        assert ask(plane, signed(SECRETS[1])) == ("ann", True)


def test_keys_that_never_were_readable_verify_nothing(tmp_path: Path) -> None:
    """Other tokens are not verified with the keys of before; the same keys, read again, know what they knew."""
    words = memoryview(bytearray(8 * 512)).cast("q")
    identity, asked = Identity(words), Request("", b"", b"/", b"", b"", "", {b"x-token": signed().encode()}, now=1.0)
    config = Jwt(keys_file=str(write(tmp_path, SECRETS[0])), algorithms=("HS256",), header="X-Token")
    assert identity.claims(asked) is None
    identity.follow(config)
    assert identity.claims(asked) is not None
    kept = identity._verifier
    identity.follow(config)
    assert identity._verifier is kept
    identity.follow(structs.replace(config, keys_file=str(tmp_path / "gone.json")))
    assert identity.claims(asked) is None
    identity.follow(config)
    identity.follow(None)
    assert identity.claims(asked) is None
