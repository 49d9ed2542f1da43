"""Targets that say of themselves what no target should."""

import asyncio

import pytest

from router.config.schema import Endpoint, Target
from router.control import scrape
from router.control.scrape import Scraper, Series

GAUGES = frozenset({"memory"})


def asked(answer: bytes) -> tuple[dict[str, Series], str | None]:
    """Return what is made of an answer, byte for byte."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        try:
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def run() -> tuple[dict[str, Series], str | None]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, Scraper() as scraper:
            return await scraper.ask(Target(name="t", endpoints=(Endpoint(url=url),)), "/metrics", GAUGES)

    return asyncio.run(run())


def ok(body: bytes) -> bytes:
    """Write an answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (ok(b"memory{ 1\n"), "is not the Prometheus text format"),
        (b"nonsense\r\n\r\n", "/metrics: "),
        (b"", "/metrics: "),
    ],
)
def test_what_is_no_answer_is_a_problem_and_no_number(answer: bytes, problem: str) -> None:
    """Redirects are not followed, and nothing is taken for 0."""
    found, said = asked(answer)
    assert found == {"memory": {}}
    assert problem in (said or "")


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever a target says."""
    monkeypatch.setattr(scrape, "MOST_BYTES", 10_000)
    found, said = asked(ok(b"# padding\n" * 100_000 + b"memory 1\n"))
    assert found == {"memory": {}}
    assert "says more than 10000 bytes" in (said or "")


def test_of_a_gauge_with_many_series_some_are_read() -> None:
    """Labels that grow without end cost no more."""
    body = b"".join(b'memory{user="%d"} %d\n' % (at, at) for at in range(5000))
    found, said = asked(ok(body))
    assert said is None
    assert len(found["memory"]) == scrape.SERIES
