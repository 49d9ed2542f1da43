"""Gauges that targets say of themselves, in the Prometheus text format.

Responsible for: asking endpoints, and one number from what they say.
Does not know: when, detectors.

Rules: one question to an endpoint at a time, within ``TIMEOUT_S``; of an answer at most ``MOST_BYTES`` are read, and
only lines of the gauge that is wanted are parsed, at most ``SERIES`` of them. Redirects are not followed, proxies of
the environment not used, https verified as for traffic. Of several series and endpoints a gauge is the largest, and a
counter the sum of what each rose by in a second: a leak in one of four replicas is a leak. A counter that fell began
anew.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from router.config.place import client_context, place_of
from router.config.schema import Endpoint, Target
from router.detect.baseline import measured

TIMEOUT_S: Final = 2.0
MOST_BYTES: Final = 4 * 1024 * 1024
SERIES: Final = 256
ENDPOINTS: Final = 64
_COUNTED: Final = ("_total", "_count", "_sum", "_bucket")

Series = dict[str, float]
"""Endpoint and labels to the value."""


class Scraped:
    """What was said of a gauge before, to tell how much a counter rose."""

    def __init__(self) -> None:
        # Per stream
        self._before: tuple[float, Series] | None = None

    def number(self, gauge: str, found: Series, now: float) -> float | None:
        """Return one number; None without one.

        Args:
            gauge: Its name; one that ends as a counter's does is a counter.
            found: What was said.
            now: Seconds of the monotonic clock.
        """
        if not gauge.endswith(_COUNTED):
            return max(found.values(), default=None)
        before, self._before = self._before, (now, found)
        if before is None or not found or now <= before[0]:
            return None
        rises = [value - before[1][key] for key, value in found.items() if key in before[1]]
        # A counter that fell has counted from 0 what it says now.
        whole = sum(
            rise if rise >= 0 else value
            for rise, value in zip(rises, (value for key, value in found.items() if key in before[1]), strict=True)
        )
        return whole / (now - before[0]) if rises else None


class Scraper:
    """Owns the client session."""

    def __init__(self) -> None:
        # Per process
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=ENDPOINTS, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "router-watch", "Accept": "text/plain;version=0.0.4"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, target: Target, path: str, gauges: frozenset[str]) -> tuple[dict[str, Series], str | None]:
        """Ask all endpoints of a target.

        Args:
            target: The target.
            path: Where they say it.
            gauges: What is wanted.

        Returns:
            Each gauge's series, and why an endpoint could not be asked.
        """
        endpoints = target.endpoints[:ENDPOINTS]
        answers = await asyncio.gather(*(self._one(target, endpoint, path) for endpoint in endpoints))
        found: dict[str, Series] = {gauge: {} for gauge in gauges}
        problem = None
        for endpoint, answer in zip(endpoints, answers, strict=True):
            if isinstance(answer, str):
                problem = f"{endpoint.url}{path}: {answer}"
                continue
            try:
                said = parse(answer, gauges)
            except ValueError as error:
                problem = f"{endpoint.url}{path} is not the Prometheus text format: {error}"
                continue
            for gauge, series in said.items():
                found[gauge] |= {f"{endpoint.url} {key}": value for key, value in series.items()}
        return found, problem

    async def _one(self, target: Target, endpoint: Endpoint, path: str) -> bytes | str:
        place = place_of(endpoint, target.tls)
        try:
            async with self._session.get(
                endpoint.url + path,
                ssl=client_context(place) if place.tls else False,
                server_hostname=(place.server_name or place.host) if place.tls else None,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    return f"status {response.status}"
                body = bytearray()
                async for piece in response.content.iter_chunked(64 * 1024):
                    body += piece
                    if len(body) > MOST_BYTES:
                        return f"says more than {MOST_BYTES} bytes"
                return bytes(body)
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return str(error) or type(error).__name__


def parse(text: bytes, gauges: Iterable[str]) -> dict[str, Series]:
    """Return the series of some gauges from Prometheus text.

    Args:
        text: What an endpoint says.
        gauges: Names of samples.

    Raises:
        ValueError: If a line of a wanted gauge cannot be read.
    """
    found: dict[str, Series] = {}
    lines = text.decode("utf-8", "replace").split("\n")
    for gauge in gauges:
        own = [
            line for line in lines if line.startswith(gauge) and line[len(gauge) : len(gauge) + 1] in ("{", " ", "\t")
        ]
        series = found[gauge] = {}
        for family in text_string_to_metric_families("\n".join(own[:SERIES]) + "\n"):
            for sample in family.samples:
                value = measured(sample.value)
                if sample.name == gauge and value is not None:
                    series[",".join(f"{name}={label}" for name, label in sorted(sample.labels.items()))] = value
    return found
