"""One request to a target, and its answer, whatever the target does.

Responsible for: sending, a bound on time and on what is read, and the cause where no whole answer came.
Does not know: what is asked for, what follows from an answer.

Rules: no redirect is followed, no proxy of the environment used, nothing is repeated: an answer is the target's own
first one. Content is asked for uncompressed. Each request carries the mark of copies (``x-router-shadow: 1``). Time is
from sending, a new connection included, to the last byte.
"""

import asyncio
import errno
from collections.abc import Sequence
from time import perf_counter
from typing import Final, Self

import aiohttp
from msgspec import Struct
from yarl import URL

from router.config.place import client_context, place_of
from router.config.schema import Endpoint, TargetTls
from router.evaluate.recording import Recorded

ANSWER_BYTES: Final = 4 * 1024 * 1024
_LOCAL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_HEADERS: Final = {"x-router-shadow": "1", "accept-encoding": "identity", "user-agent": "router-evaluate"}


class Reply(Struct, frozen=True):
    """What came of a request.

    Attributes:
        status: Of the answer; 0 without.
        body: Its content.
        seconds: Until its end.
        cause: Why there is no whole answer: ``connect``, ``timeout``, ``reset``, ``truncated``, ``too_long``,
            ``malformed``, ``tls`` or, where this process could not ask, ``local``; None when there is one.
    """

    status: int
    body: bytes
    seconds: float
    cause: str | None = None


class Asker:
    """Sends requests to the endpoints of one target, in turn."""

    def __init__(self, endpoints: Sequence[Endpoint], tls: TargetTls, timeout_s: float, connections: int) -> None:
        """Begin without connections.

        Args:
            endpoints: Where the target is.
            tls: How its certificates are verified.
            timeout_s: Seconds that one request may take in all.
            connections: Most that are open at once.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        # Per process
        self._places = []
        for endpoint in endpoints:
            place = place_of(endpoint, tls)
            context = client_context(place) if place.tls else False
            self._places.append((endpoint.url.rstrip("/"), context, place.server_name if place.tls else None))
        self._timeout_s = timeout_s
        self._turn = 0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, recorded: Recorded) -> Reply:
        """Send a request and read its answer."""
        base, context, server_name = self._places[self._turn % len(self._places)]
        self._turn += 1
        given = {name.lower() for name, _ in recorded.headers}
        headers = [*recorded.headers, *((name, value) for name, value in _HEADERS.items() if name not in given)]
        began = perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    recorded.method,
                    URL(base + recorded.path, encoded=True),
                    data=recorded.body or None,
                    headers=headers,
                    allow_redirects=False,
                    ssl=context,
                    server_hostname=server_name,
                ) as response,
            ):
                content = bytearray()
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > ANSWER_BYTES:
                        response.close()
                        return Reply(response.status, b"", perf_counter() - began, "too_long")
                return Reply(response.status, bytes(content), perf_counter() - began)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Reply(0, b"", perf_counter() - began, cause_of(error))


def cause_of(error: Exception) -> str:
    """Return why there is no answer, in a word."""
    code = getattr(getattr(error, "os_error", error), "errno", None)
    if code in _LOCAL:
        return "local"
    for kinds, cause in _CAUSES:
        if isinstance(error, kinds):
            return cause
    return "malformed"


_CAUSES: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    ((TimeoutError,), "timeout"),
    ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch), "tls"),
    ((aiohttp.ClientConnectorError,), "connect"),
    ((aiohttp.ClientPayloadError,), "truncated"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError), "reset"),
)
