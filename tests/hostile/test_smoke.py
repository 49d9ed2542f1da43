"""Smoke tests of targets that misbehave: every one ends, in time, with what was wrong."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from router.config.place import place_of
from router.config.schema import Endpoint, TargetTls
from router.config.smoke import SmokeTest
from router.control.smoke import AT_ONCE, Smoke, Subject
from router.events.rollout import Found
from tests.ports import free_ports

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PLAIN = SmokeTest(path="/infer", max_time=0.3)


def whole(body: bytes, status: str = "200 OK", more: bytes = b"") -> bytes:
    """Return the bytes of an answer."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status.encode(), more, len(body), body)


@asynccontextmanager
async def target(act: Act) -> AsyncIterator[str]:
    """Serve connections by a script, after their request's head; give the base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await act(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def subject(url: str) -> Subject:
    """Return an endpoint to ask."""
    return Subject(url, place_of(Endpoint(url=url), TargetTls()))


def asked(act: Act, *tests: SmokeTest, endpoints: int = 1, round_s: float = 5.0) -> Found:
    """Ask a scripted target once."""

    async def story() -> Found:
        async with target(act) as url, Smoke(round_s) as smoke:
            return await smoke.ask(tests or (PLAIN,), [subject(url)] * endpoints)

    return asyncio.run(story())


def answering(*parts: bytes) -> Act:
    """Return the script of a target that sends some bytes, whatever it is asked."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()

    return act


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001 - the signature
    """Never answer, until the caller goes."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a long answer, and never end it."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
    await reader.read()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without end, as fast as it is read."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"100000\r\n" + bytes(0x100000) + b"\r\n")
        await writer.drain()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection in the middle of an answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize(
    ("act", "test", "said"),
    [
        (hang, PLAIN, "/infer: no whole answer within 0.3 s"),
        (trickle, PLAIN, "/infer: no whole answer within 0.3 s"),
        (flood, SmokeTest(path="/infer"), "/infer: the answer is longer than 16 MiB"),
        (flood, SmokeTest(path="/", expect={"/a": 1}), "/: the answer is longer than 16 MiB"),
        (reset, PLAIN, "/infer: "),
        (answering(b""), PLAIN, "/infer: Server disconnected"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), PLAIN, "/infer: "),
        (answering(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"), PLAIN, "/infer: "),
        (answering(whole(b"", "302 Found", b"Location: /elsewhere\r\n")), PLAIN, "/infer: status 302, and not 200"),
        (answering(whole(b"no", "500 Oops")), PLAIN, "/infer: status 500, and not 200"),
        (answering(whole(b"[" * 100_000)), SmokeTest(path="/", expect={"/a": 1}), "there is nothing at /a"),
        (answering(whole(b"\xff\xfe")), SmokeTest(path="/", expect={"": "x"}), "the whole answer"),
        (answering(whole(b'{"a": {"b": 2}}')), SmokeTest(path="/", expect={"/a/b": 1}), "/a/b is not 1"),
        (answering(whole(b"{}", more=b"Content-Encoding: gzip\r\n")), SmokeTest(path="/", expect={"/a": 1}), "/a"),
    ],
    ids=[
        "hangs", "trickles", "floods", "floods-json", "resets", "closes", "speaks-ssh", "long-header", "redirects",
        "fails", "deep-json", "no-text", "other-value", "gzip",
    ],
)  # fmt: skip
def test_a_target_that_misbehaves_does_not_pass(act: Act, test: SmokeTest, said: str) -> None:
    """Whatever an endpoint does, the round ends, is no pass, and names the endpoint, the path and what was wrong."""
    found = asked(act, test)
    assert found.status == "fail"
    assert found.reason.startswith("http://127.0.0.1:")
    assert said in found.reason


def test_what_is_sent_is_what_the_test_says() -> None:
    """Method, header fields and content reach the endpoint, and a value in its answer is looked up by pointer."""
    heard: list[bytes] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(b'{"q":[1]}')))
        writer.write(whole(b'{"scores": [0.5, true], "n": 1.0}'))
        await writer.drain()

    test = SmokeTest(
        path="/infer",
        method="POST",
        headers={"x-team": "ranking"},
        json={"q": [1]},
        expect={"/scores/0": 0.5, "/scores/1": True, "/n": 1},
    )
    found = asked(act, test)
    assert (found.status, found.counts["asked"]) == ("pass", 1)
    head = heard[0].lower()
    assert head.startswith(b"post /infer http/1.1\r\n")
    assert b"x-team: ranking\r\n" in head
    assert b"content-type: application/json\r\n" in head


def test_every_repetition_has_to_be_good() -> None:
    """One bad answer of many fails the endpoint, and it is not asked any more."""
    count = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(b"", "503 Busy") if count == 7 else whole(b""))
        await writer.drain()

    found = asked(act, SmokeTest(path="/", repeat=1000))
    assert (found.status, count) == ("fail", 7)


def test_requests_at_once_are_bounded() -> None:
    """However many endpoints there are, few requests are under way; a round that takes too long is an error."""
    under_way, most = 0, 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await hang(reader, writer)
        under_way -= 1

    found = asked(act, SmokeTest(path="/", max_time=60), endpoints=20, round_s=0.2)
    assert found.status == "error"
    assert "a round takes longer than 0.2 s" in found.reason
    assert most == AT_ONCE


def test_nobody_listens() -> None:
    """A refused connection is a failure of the endpoint."""
    (port,) = free_ports(1)

    async def story() -> Found:
        async with Smoke() as smoke:
            return await smoke.ask([PLAIN], [subject(f"http://127.0.0.1:{port}")])

    assert asyncio.run(story()).status == "fail"


def test_a_router_short_of_descriptors_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the router could not ask is a failed measurement: no pass, and no failure of the endpoint."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(aiohttp.ClientSession, "request", refuse)
    found = asked(hang)
    assert (found.status, "Too many open files" in found.reason) == ("error", True)
