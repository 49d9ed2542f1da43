"""The router's own answers."""

import json

import pytest

from router import counters
from router.proxy import problem
from router.proxy.request_head import Refusal


@pytest.mark.parametrize("fault", counters.FAULTS)
def test_every_fault_has_a_sentence(fault: str) -> None:
    """Each fault of a target has a status of the 5xx class and a sentence that says nothing of addresses (RFC 9457)."""
    refusal = problem.FAULTS[fault]
    status = refusal.status
    assert status in {502, 503, 504}
    top, body = problem.parts(refusal, b"r-1")
    document = json.loads(body)
    assert document["type"] == "urn:problem-type:router:" + fault.replace("_", "-")
    assert document["status"] == status
    assert document["instance"] == "urn:router:request:r-1"
    assert top.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\ncontent-length: %d" % len(body) in top


def test_to_head_the_content_is_left_out() -> None:
    """An answer to HEAD is the head of what GET would get (RFC 9110 9.3.2)."""
    refusal = Refusal(404, "no_route", "nothing")
    full = problem.answer(refusal, b"x: y\r\n")
    only = problem.answer(refusal, b"x: y\r\n", head=True)
    assert full.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" == only


def test_an_answer_without_an_id_names_none() -> None:
    """A request refused before it had an id has no instance (RFC 9457 3.1.5)."""
    assert b"instance" not in problem.answer(Refusal(400, "bad_host", "no"))
