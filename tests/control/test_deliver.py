"""Deliveries to receivers that do not behave: each ends in time, and says what came of it."""

import asyncio
import hashlib
import hmac
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router.control.deliver import Came, Deliverer, signature
from router.notify.notice import Delivery, Post, Run

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def head(reader: asyncio.StreamReader) -> bytes:
    """Read a request with its body."""
    found = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in found.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return found + await reader.readexactly(length)


def answering(text: bytes, seen: list[bytes] | None = None) -> Serve:
    """Answer each request with some bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await head(reader)
        if seen is not None:
            seen.append(request)
        writer.write(text)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    del writer
    await reader.read()
    await asyncio.Event().wait()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, and go on for ever."""
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def long_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with header fields that never end."""
    await head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"x" * 4000 + b"\r\n")
        await writer.drain()


def came(serve: Serve, scheme: str = "http", **more: object) -> Came:
    """Deliver to a receiver."""
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the router has had enough
        finally:
            writer.transport.abort()

    async def run() -> Came:
        server = await asyncio.start_server(
            lambda *ends: talks.append(asyncio.create_task(talk(*ends))), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        fields = {"body": b"{}", "url": f"{scheme}://127.0.0.1:{port}/hook", "timeout": 0.3} | more
        try:
            return await tried(Post(**fields))  # type: ignore[arg-type] # what a test gives
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            await asyncio.sleep(0)

    return asyncio.run(run())


async def tried(what: Delivery) -> Came:
    """Try once."""
    async with Deliverer() as deliverer:
        return await deliverer.deliver(what)


@pytest.mark.parametrize(
    ("status", "good", "again"),
    [("200 OK", True, False), ("204 No Content", True, False), ("500 No", False, True), ("404 No", False, False)],
    ids=["200", "204", "500", "404"],
)
def test_the_status_says_what_came_of_it(status: str, good: bool, again: bool) -> None:  # noqa: FBT001 - parameters
    """A 2xx is delivered, a 5xx may pass, a 4xx will not."""
    found = came(answering(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()))
    assert (found.good, found.again) == (good, again)


def test_a_redirect_is_not_followed() -> None:
    """What is signed or secret goes to the place that was configured."""
    seen: list[bytes] = []
    found = came(answering(b"HTTP/1.1 307 Go\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", seen))
    assert (found, len(seen)) == (Came(good=False, again=False, said="status 307"), 1)


def test_a_receiver_may_ask_for_time() -> None:
    """``Retry-After`` is handed on."""
    found = came(answering(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"))
    assert (found.again, found.asked_s) == (True, 7.0)


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (silent, Came(good=False, again=True, said="no answer within 0.3 s")),
        (endless, Came(good=True, said="status 200")),
    ],
    ids=["silent", "endless"],
)
def test_a_receiver_that_never_ends_costs_no_more_than_its_time(serve: Serve, expected: Came) -> None:
    """Of an answer only the status counts, so its body may be as long as it likes."""
    assert came(serve) == expected


@pytest.mark.parametrize(
    "serve", [long_head, answering(b"hello\r\n\r\n"), answering(b"")], ids=["long_head", "nonsense", "closed"]
)
def test_what_is_no_answer_is_tried_again(serve: Serve) -> None:
    """The receiver may be in the middle of a restart."""
    found = came(serve)
    assert (found.good, found.again) == (False, True)


def test_a_receiver_that_cannot_prove_who_it_is_gets_nothing() -> None:
    """TLS that fails is a failure to deliver, not a reason to do without."""
    seen: list[bytes] = []
    found = came(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen), scheme="https")
    assert (found.good, found.again, seen) == (False, True, [])


def test_the_url_may_be_in_a_file_and_is_never_said(tmp_path: Path) -> None:
    """Neither when the file holds nonsense nor when nobody answers."""
    (tmp_path / "url").write_text("http://127.0.0.1:1/T0/very-secret\n")
    found = asyncio.run(tried(Post(body=b"{}", url_file=str(tmp_path / "url"), timeout=1)))
    assert (found.good, found.again, "secret" in found.said) == (False, True, False)
    (tmp_path / "url").write_text("very-secret")
    found = asyncio.run(tried(Post(body=b"{}", url_file=str(tmp_path / "url"), timeout=1)))
    assert (found.good, found.again, "secret" in found.said) == (False, False, False)
    assert asyncio.run(tried(Post(body=b"{}", url_file=str(tmp_path / "gone")))).again


def test_a_signature_proves_sender_body_and_time(tmp_path: Path) -> None:
    """A receiver computes it anew from the time, the body as received, and the key."""
    (tmp_path / "key").write_text("top-secret\n")
    seen: list[bytes] = []
    came(answering(b"HTTP/1.1 200 OK\r\n\r\n", seen), secret_file=str(tmp_path / "key"), body=b'{"a":1}')
    field = next(line for line in seen[0].decode().splitlines() if line.lower().startswith("x-router-signature"))
    stamp, _, digest = field.partition(": ")[2].removeprefix("t=").partition(",v1=")
    expected = hmac.new(b"top-secret", f'{stamp}.{{"a":1}}'.encode(), hashlib.sha256).hexdigest()
    assert digest == expected
    assert signature(b'{"a":1}', b"top-secret", int(stamp)) == f"t={stamp},v1={expected}"


def script(code: str, *words: str, timeout: float = 5.0) -> Came:
    """Run a program in Python."""
    return asyncio.run(tried(Run(argv=(sys.executable, "-c", code, *words), stdin=b'{"a":1}\n', timeout=timeout)))


def test_a_program_gets_its_input_and_says_by_its_status_what_came_of_it(tmp_path: Path) -> None:
    """0 is delivered; what it wrote is in the log when it is not."""
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    assert script(code, str(tmp_path / "got")).good
    assert (tmp_path / "got").read_text() == '{"a":1}\n'
    found = script("import sys; print('no pager'); sys.exit(3)")
    assert found == Came(good=False, again=True, said="exit status 3: no pager")


def test_a_program_that_is_not_there_is_not_tried_again(tmp_path: Path) -> None:
    """Nor one that may not be run."""
    (tmp_path / "plain").write_text("text")
    for name in ("nothing", "plain"):
        found = asyncio.run(tried(Run(argv=(str(tmp_path / name),), stdin=b"")))
        assert (found.good, found.again) == (False, False)


def gone(pid: int) -> bool:
    """Wait until a process has ended; one that nobody has asked about since is a zombie."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
    return False


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    """Nothing of it is left, whoever holds its output open."""
    pids = tmp_path / "pids"
    code = (
        "import os, sys, time\n"
        "os.fork()\n"
        "with open(sys.argv[1], 'a') as file: file.write(f'{os.getpid()}\\n')\n"
        "time.sleep(60)\n"
    )
    found = script(code, str(pids), timeout=0.5)
    assert (found.good, found.again) == (False, True)
    assert "took longer than 0.5 s" in found.said
    for pid in pids.read_text().split():
        assert gone(int(pid))


def test_a_program_that_writes_without_end_is_read_only_so_far() -> None:
    """Its output costs neither memory nor a line of the log as long as that."""
    found = script("import sys\nfor _ in range(200): print('x' * 10000)\nsys.exit(1)")
    assert len(found.said) < 300


def test_a_program_need_not_read_its_input() -> None:
    """Its status alone says whether that was right."""
    assert script("import os; os.close(0)").good
