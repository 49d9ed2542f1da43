"""Copies for a release, on scripted transports: what they count, and that arms know nothing of them."""

from collections.abc import Iterator
from typing import Final

import pytest
from msgspec.structs import replace

from router import counters
from router.config.rehearsal import Mirroring
from router.config.schema import Allocate
from router.events.model import Revision
from tests.proxy.memory import GET, Plane, Wire

PRIMARY, SHADOW = "10.0.0.1", "10.0.0.2"
YAML: Final = """\
events: {unenrolled: 100%}
targets:
  - {name: t, endpoints: ['http://10.0.0.1:80']}
  - {name: s, endpoints: ['http://10.0.0.2:80'], timeouts: {first_byte: 2s, idle: 3s, total: 9s}}
routes: [{name: all, target: t, unit: ['header:x-user']}]
experiments:
  - {name: e, route: all, arms: [{name: control, target: t, weight: 1}, {name: new, target: s, weight: 0}]}
"""
ASK: Final = GET[:-2] + b"x-user: u1\r\n\r\n"
CLIENT_FAULT: Final = b"HTTP/1.1 422 X\r\nContent-Length: 2\r\n\r\n{}"

BROKEN: Final = b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}"


def answer(body: bytes = b'{"a":1}', status: int = 200) -> bytes:
    """Return an answer."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def mirrored(revision: Revision, share: float, number: int) -> Revision:
    """Return a revision in which the release has copies of a share of units."""
    (experiment,) = revision.config.experiments
    shadowed = replace(experiment, allocate=Allocate(shadow=Mirroring(hold=60)))
    config = replace(revision.config, experiments=(shadowed,))
    slots = counters.allocate(revision.slots, counters.row_keys(config, revision.runs))
    return replace(revision, number=number, config=config, slots=slots, mirrors={"e": share})


def follow(plane: Plane, revision: Revision) -> None:
    """Serve a revision."""
    plane.revision = revision

    async def swap() -> None:
        plane.server.swap(revision)

    plane.loop.run_until_complete(swap())


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A data plane with a release that gets a copy of every request."""
    with Plane(YAML) as made:
        follow(made, mirrored(made.revision, 1.0, 2))
        yield made


def counted(plane: Plane) -> dict[str, int]:
    """Return what the release's row says, over all buckets."""
    base = plane.revision.slots[counters.mirror_key("e")]
    names = {
        "copies": counters.MIRROR_COPIES,
        "failed": counters.MIRROR_FAILED,
        "primary_failed": counters.MIRROR_PRIMARY_FAILED,
        "compared": counters.MIRROR_COMPARED,
        "agreed": counters.MIRROR_AGREED,
    }
    sums = {name: sum(plane.words[base + at : base + at + 256]) for name, at in names.items()}
    seconds = plane.words[base + counters.MIRROR_SECONDS : base + counters.MIRROR_PRIMARY_SECONDS]
    primary = plane.words[base + counters.MIRROR_PRIMARY_SECONDS : base + counters.MIRROR_WORDS]
    return {name: count for name, count in (sums | {"timed": sum(seconds), "beside": sum(primary)}).items() if count}


def arm(plane: Plane, name: str) -> int:
    """Return the exchanges of an arm."""
    base = plane.revision.slots[counters.arm_key("e", 1, 1, name)]
    return sum(plane.words[base : base + counters.ARM_WORDS])


def ask(plane: Plane, request: bytes = ASK) -> tuple[Wire, Wire, Wire]:
    """Send a request; return the caller's connection and those on which it and its copy went."""
    _, caller = plane.caller()
    before = {id(made): len(made.sent) for made in plane.targets}
    caller.feed(request)
    plane.settle()
    grown = [made for made in plane.targets if len(made.sent) > before.get(id(made), 0)]
    (primary,) = (made for made in grown if made.peer == PRIMARY)
    (copy,) = (made for made in grown if made.peer == SHADOW)
    return caller, primary, copy


@pytest.mark.parametrize("copy_first", [False, True])
@pytest.mark.parametrize(
    ("primary_answer", "copy_answer", "expected"),
    [
        (answer(), answer(), {"copies": 1, "compared": 1, "agreed": 1, "timed": 1, "beside": 1}),
        (answer(), answer(b'{"a":2}'), {"copies": 1, "compared": 1, "timed": 1, "beside": 1}),
        (answer(), answer(b"{}", 500), {"copies": 1, "failed": 1, "compared": 1}),
        (answer(), CLIENT_FAULT, {"copies": 1, "failed": 1, "compared": 1}),
        (CLIENT_FAULT, answer(), {"copies": 1, "primary_failed": 1, "compared": 1}),
        (CLIENT_FAULT, CLIENT_FAULT, {"copies": 1, "compared": 1, "agreed": 1, "timed": 1, "beside": 1}),
        (answer(b"{}", 503), answer(), {"copies": 1, "primary_failed": 1, "compared": 1}),
        (BROKEN, BROKEN, {"copies": 1, "failed": 1, "primary_failed": 1, "compared": 1, "agreed": 1}),
    ],
)  # fmt: skip
def test_a_copy_counts_beside_its_request(
    plane: Plane, primary_answer: bytes, copy_answer: bytes, expected: dict[str, int], *, copy_first: bool
) -> None:
    """Failures, agreement, and the latency of both where neither failed, in either order of the answers."""
    _, primary, copy = ask(plane)
    for wire, data in [(copy, copy_answer), (primary, primary_answer)][:: 1 if copy_first else -1]:
        wire.feed(data)
        plane.settle()
    assert counted(plane) == expected


def test_a_shadow_that_hangs_up_is_a_failed_copy(plane: Plane) -> None:
    """The caller has its answer, and nothing of it is timed."""
    caller, primary, copy = ask(plane)
    copy.end()
    primary.feed(answer())
    plane.settle()
    assert caller.take().startswith(b"HTTP/1.1 200 ")
    assert counted(plane) == {"copies": 1, "failed": 1}


def test_a_copy_that_no_endpoint_takes_has_failed(plane: Plane) -> None:
    """A target whose breaker is open is no better than one that answers with errors."""
    for _ in range(5):
        _, primary, copy = ask(plane)
        copy.feed(BROKEN)
        primary.feed(answer())
        plane.settle()
    assert counted(plane)["failed"] == 5
    _, caller = plane.caller()
    caller.feed(ASK)
    plane.settle()
    assert (counted(plane)["copies"], counted(plane)["failed"]) == (6, 6)


def test_a_caller_that_leaves_says_nothing_of_either_target(plane: Plane) -> None:
    """The request was not answered to its end, so the copy counts nowhere."""
    caller, _, copy = ask(plane)
    caller.end()
    plane.settle()
    copy.feed(answer())
    plane.settle()
    assert counted(plane) == {}


def test_copies_are_no_exchanges_of_an_arm(plane: Plane) -> None:
    """The new arm has had no request, whatever its target was sent; control has had its own."""
    for _ in range(3):
        _, primary, copy = ask(plane)
        copy.feed(answer(b"{}", 500))
        primary.feed(answer())
        plane.settle()
    assert (arm(plane, "control"), arm(plane, "new")) == (3, 0)
    assert counted(plane)["failed"] == 3
    assert [event.target for event in plane.log.events] == ["t"] * 3


def test_the_end_of_the_step_ends_the_copies(plane: Plane) -> None:
    """The next request has none; a copy that is under way is still accounted for."""
    _, primary, copy = ask(plane)
    follow(plane, replace(plane.revision, number=3, mirrors={}))
    primary.feed(answer())
    copy.feed(answer())
    plane.settle()
    base = plane.revision.slots[counters.shadow_key("all", "s")]
    assert plane.words[base + counters.SHADOW_INFLIGHT] == 0
    _, caller = plane.caller()
    shadows = [wire for wire in plane.targets if wire.peer == SHADOW]
    before = sum(len(wire.sent) for wire in shadows)
    caller.feed(ASK)
    plane.settle()
    assert sum(len(wire.sent) for wire in plane.targets if wire.peer == SHADOW) == before
