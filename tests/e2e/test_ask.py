"""A health question on real connections: what answers and failures stand for, and how https is verified."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from router.config.place import place_of
from router.config.schema import Endpoint, Health, TargetTls
from router.control.ask import Asker
from router.control.probe import Answer, Question
from tests.ports import free_ports


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve every path on a free port; give the base URL."""
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(url: str, tls: TargetTls | None = None, **health: object) -> Answer:
    """Ask once."""
    settings = Health(path="/ready", **health)  # type: ignore[arg-type]
    question = Question("t", url, 0, place_of(Endpoint(url=url), tls or TargetTls()), settings, 0)
    async with Asker() as asker:
        return await asker.ask(question)


@pytest.mark.parametrize(
    ("status", "accepted", "good"),
    [(200, (200,), True), (204, (200,), False), (204, (200, 204), True), (503, (200,), False)],
)
def test_the_status_decides(status: int, accepted: tuple[int, ...], *, good: bool) -> None:
    """An answer is good when its status is one of ``status``, whatever it says."""

    async def story() -> None:
        asked: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            asked.append(request.path_qs)
            return web.Response(status=status)

        async with serving(answer) as url:
            assert await ask(url, status=accepted) == Answer(good, f"status {status}")
        assert asked == ["/ready"]

    asyncio.run(story())


def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: it does not make the router ask somebody else."""

    async def story() -> None:
        asked: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.Response(status=302, headers={"location": "/elsewhere"})

        async with serving(answer) as url:
            assert not (await ask(url)).good
            assert (await ask(url, status=(302,))).good
        assert asked == ["/ready", "/ready"]

    asyncio.run(story())


def test_no_answer_in_time_is_a_bad_one() -> None:
    """Who hangs is not ready; nor is who begins an answer and refuses, or listens no more."""

    async def story() -> None:
        release = asyncio.Event()

        async def answer(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp's signature
            await release.wait()
            return web.Response()

        async with serving(answer) as url:
            assert await ask(url, timeout=0.05) == Answer(good=False, said="no answer within 0.05 s")
            release.set()
        (port,) = free_ports(1)
        assert (await ask(f"http://127.0.0.1:{port}")).good is False

    asyncio.run(story())


def test_https_is_verified_as_for_traffic(tmp_path: Path) -> None:
    """The authority and the name of ``tls`` hold for questions: another authority, or another name, is not ready."""
    known, other = trustme.CA(), trustme.CA()
    known.cert_pem.write_to_path(tmp_path / "known.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    known.issue_cert("models.internal").configure_cert(context)

    async def story() -> None:
        async def answer(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp's signature
            return web.Response()

        async with serving(answer, context) as url:
            for ca, name, good in (
                ("known", "models.internal", True),
                ("known", "else.internal", False),
                ("other", "models.internal", False),
            ):
                tls = TargetTls(ca=str(tmp_path / f"{ca}.pem"), server_name=name)
                assert (await ask(url, tls)).good is good, (ca, name)

    asyncio.run(story())
