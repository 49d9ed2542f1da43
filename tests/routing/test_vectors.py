"""Golden vectors: what hash version 1 gives for ever."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmh3 import mmh3_x64_128_utupledigest

from router.routing.bucket import arm_hash, choose, unit_key
from router.routing.source import compile_source
from tests.routing.build import request, table
from tests.routing.murmur import x64_128
from tests.routing.vectors import vector

FILE = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = FILE["vectors"]


@given(st.binary(max_size=100))
def test_the_library_is_murmur3(data: bytes) -> None:
    """The compiled hash gives what the reference implementation gives, at every length of tail."""
    assert mmh3_x64_128_utupledigest(data) == x64_128(data)


@given(st.binary(max_size=100))
def test_key_and_bucket_are_from_different_halves(data: bytes) -> None:
    """A unit's key is the first half of its hash and its bucket the top byte of the second."""
    first, second = x64_128(data)
    assert unit_key(data) == (first, second >> 56)


@pytest.mark.parametrize("place", range(len(VECTORS)))
def test_vector(place: int) -> None:
    """Hashes, to the last bit, and arm are those of the file."""
    golden = VECTORS[place]
    arms = [(name, weight) for name, weight in golden["arms"]]
    assert {name: arm_hash(golden["salt"], name, golden["unit"]).hex() for name, _ in arms} == golden["u"]
    assert choose(golden["salt"], arms, golden["unit"]) == golden["arm"]


@pytest.mark.parametrize("place", range(len(VECTORS)))
def test_vector_through_a_route(place: int) -> None:
    """The request path gives the same arm."""
    golden = VECTORS[place]
    arms = [{"name": name, "target": "t1", "weight": weight} for name, weight in golden["arms"]]
    source = f"json:{golden['pointer']}" if "json" in golden else "client_ip"
    plan = table(
        [{"name": "r", "unit": [source]}], [{"name": "e", "route": "r", "salt": golden["salt"], "arms": arms}]
    ).routes["r"]
    decision = plan.decide(request(client=golden["unit"], body=golden.get("json", "").encode()))
    assert (decision.unit, decision.arm) == (golden["unit"], golden["arm"])


@pytest.mark.parametrize(
    "golden", [golden for golden in VECTORS if "json" in golden], ids=lambda golden: golden["json"]
)
def test_json_units_are_their_text(golden: dict[str, Any]) -> None:
    """A JSON scalar is hashed as it was sent, a string without its quotes."""
    read = compile_source(f"json:{golden['pointer']}", 1000).read
    assert read(request(body=golden["json"].encode())) == golden["unit"]


def test_the_file_is_what_the_independent_implementation_makes() -> None:
    """No vector was edited by hand."""
    for golden in VECTORS:
        made = vector(golden["salt"], tuple((name, weight) for name, weight in golden["arms"]), golden["unit"])
        assert {key: golden[key] for key in made} == made
