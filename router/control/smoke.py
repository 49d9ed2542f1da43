"""Smoke tests: whether the new version answers as it has to, before it gets traffic.

Responsible for: asking endpoints what ``allocate.tests`` says, on connections of their own, and the answer in one
sentence.
Does not know: which release asks and when (``router.control.trials``), what follows.

Rules: nothing that a target does holds anything up: each answer has ``max_time``, at most ``ANSWER_BYTES`` of it are
read, a round has ``ROUND_S``, and ``AT_ONCE`` requests are under way. An endpoint's first bad answer ends its round.
Redirects are not followed: only the endpoint speaks for itself. What the router itself could not ask, for want of a
descriptor or of time, is an error, which is no pass and no failure.
"""

import asyncio
import ssl
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Final, Literal, NamedTuple, Self

import aiohttp
import msgspec

from router.config.place import Place, client_context
from router.config.smoke import SmokeTest
from router.control.ask import LOCAL_ERRNO
from router.events.rollout import Found
from router.routing.request import expected_key, pointer_tokens, scalar_key, value_at

NAME: Final = "smoke tests"
ANSWER_BYTES: Final = 16 * 1024**2
ROUND_S: Final = 120.0
AT_ONCE: Final = 4
_CONTEXTS: Final = 256
_TOLD: Final = 3  # endpoints whose failure is told


class Subject(NamedTuple):
    """An endpoint that is asked.

    Attributes:
        url: Its base URL.
        place: Where that is.
    """

    url: str
    place: Place


class Smoke:
    """Owns the client session."""

    def __init__(self, round_s: float = ROUND_S) -> None:
        """Begin with nobody to ask.

        Args:
            round_s: How long a round may take, in seconds.
        """
        # Per process
        self._round_s = round_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "router-smoke", "Accept-Encoding": "identity"},
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()

    async def ask(self, tests: Sequence[SmokeTest], subjects: Sequence[Subject]) -> Found:
        """Ask every endpoint everything, once.

        Args:
            tests: What is asked, in order.
            subjects: Who is asked.

        Returns:
            ``pass`` when every answer was good.
        """
        turn, began = asyncio.Semaphore(AT_ONCE), monotonic()
        context = lru_cache(maxsize=_CONTEXTS)(client_context)  # read anew in each round: certificates are renewed

        async def endpoint(subject: Subject) -> _Said:
            async with turn:
                trust: ssl.SSLContext | Literal[False] = context(subject.place) if subject.place.tls else False
                for test in tests:
                    for _ in range(test.repeat):
                        said = await self._once(test, subject, trust)
                        if said.text:
                            return said
            return _GOOD

        try:
            async with asyncio.timeout(self._round_s):
                found = await asyncio.gather(*map(endpoint, subjects))
        except TimeoutError:
            return _found("error", f"a round takes longer than {self._round_s:g} s: give the tests fewer repeats")
        except OSError as error:
            return _found("error", f"certificates cannot be read: {error}")
        told = [f"{each.url}{said.text}" for each, said in zip(subjects, found, strict=True) if said.text]
        if told:
            ill = sum(said.ill for said in found)
            more = f"; and {len(told) - _TOLD} more endpoints" if len(told) > _TOLD else ""
            return _found("fail" if ill else "error", "; ".join(told[:_TOLD]) + more, endpoints=len(subjects), ill=ill)
        asked = len(subjects) * sum(test.repeat for test in tests)
        said = f"{asked} requests to {len(subjects)} endpoints were answered as they have to"
        return _found("pass", f"{said}, in {monotonic() - began:.2f} s", asked=asked, endpoints=len(subjects), ill=0)

    async def _once(self, test: SmokeTest, subject: Subject, trust: ssl.SSLContext | Literal[False]) -> "_Said":
        """Ask once."""
        body = None if test.body is None else test.body.encode()
        headers = dict(test.headers)
        if test.json is not None:
            body = msgspec.json.encode(test.json)
            headers = {"Content-Type": "application/json", **headers}
        at = f"{test.path}: " if test.method == "GET" else f"{test.path} ({test.method}): "
        place = subject.place
        try:
            async with self._session.request(
                test.method,
                subject.url.rstrip("/") + test.path,
                data=body,
                headers=headers,
                ssl=trust,
                server_hostname=(place.server_name or place.host) if place.tls else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=test.max_time),
            ) as response:
                if response.status not in test.status:
                    wanted = " or ".join(map(str, test.status))
                    return _Said(f"{at}status {response.status}, and not {wanted}", ill=True)
                answer = await _whole(response, keep=bool(test.expect))
        except TimeoutError:
            return _Said(f"{at}no whole answer within {test.max_time:g} s", ill=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            code = getattr(getattr(error, "os_error", error), "errno", None)
            return _Said(f"{at}{str(error) or type(error).__name__}", ill=code not in LOCAL_ERRNO)
        why = f"the answer is longer than {ANSWER_BYTES // 1024**2} MiB" if answer is None else _differs(test, answer)
        return _Said(f"{at}{why}" if why else "", ill=bool(why))


class _Said(NamedTuple):
    """What came of one request.

    Attributes:
        text: What is wrong; empty when nothing is.
        ill: Whether that is the endpoint's fault, and not the router's.
    """

    text: str
    ill: bool


_GOOD: Final = _Said("", ill=False)


async def _whole(response: aiohttp.ClientResponse, *, keep: bool) -> bytes | None:
    """Read an answer to its end, and its bytes where somebody looks at them; None when it is too long."""
    kept = bytearray()
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > ANSWER_BYTES:
            return None
        if keep:
            kept += chunk
    return bytes(kept)


def _differs(test: SmokeTest, answer: bytes) -> str:
    """Say where an answer is not what it has to be; empty when it is."""
    for pointer, wanted in test.expect.items():
        raw = value_at(answer, pointer_tokens(pointer)) if answer else None
        where = pointer or "the whole answer"
        if raw is None:
            return f"there is nothing at {where}, or the answer is no JSON"
        if scalar_key(raw) != expected_key(wanted):
            return f"{where} is not {msgspec.json.encode(wanted).decode()}"
    return ""


def _found(status: Literal["pass", "fail", "error"], reason: str, **counts: int) -> Found:
    return Found(
        name=NAME,
        status=status,
        action="rollback",
        reason=reason,
        counts={name: float(count) for name, count in counts.items()},
    )
