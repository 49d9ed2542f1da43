"""One health question over HTTP.

Responsible for: the request, on a connection of its own, and what its answer or its failure stands for.
Does not know: when to ask, what follows.

Rules: https is verified as for traffic. Redirects are not followed: only the endpoint speaks for itself. The body is
not read. Proxies of the environment are not used, because traffic does not use them.
"""

import errno
import ssl
from functools import lru_cache
from typing import Final, Self

import aiohttp

from router.config.place import Place, client_context
from router.control.probe import Answer, Question

LOCAL_ERRNO: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})

_CONTEXTS: Final = 256  # kept; a target's endpoints on one host and port share theirs


class Asker:
    """Owns the client session."""

    def __init__(self) -> None:
        # Per process
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "router-health"},
            auto_decompress=False,
        )
        self._context = lru_cache(maxsize=_CONTEXTS)(_context_of)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, question: Question) -> Answer:
        """Ask once, within the question's time-out."""
        place, health = question.place, question.health
        try:
            async with self._session.get(
                question.url + health.path,
                ssl=self._context(place, question.renewed) if place.tls else False,
                server_hostname=(place.server_name or place.host) if place.tls else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=health.timeout),
            ) as response:
                return Answer(response.status in health.status, f"status {response.status}")
        except TimeoutError:
            return Answer(good=False, said=f"no answer within {health.timeout:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            code = getattr(getattr(error, "os_error", error), "errno", None)
            return Answer(good=None if code in LOCAL_ERRNO else False, said=str(error) or type(error).__name__)


def _context_of(place: Place, renewed: int) -> ssl.SSLContext:  # noqa: ARG001 - other certificates, another context
    return client_context(place)
