"""One try to deliver a notification: a request, or a program.

Responsible for: doing what ``router.notify`` asks for, within its time, and what came of it.
Does not know: when to try again, what a notification says.

Rules: redirects and proxies of the environment are not followed, so a token or signature goes to the place that was
configured and nowhere else. Of an answer only status and ``Retry-After`` are read, so it may be as long and as slow as
it likes. Files with secrets are read at each try, so that they can be replaced; no secret is in what is said of a
failure. A program has no shell and no terminal, gets its own process group, and is killed with it when its time is up.
"""

import asyncio
import hashlib
import hmac
import os
import signal
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import aiohttp
from msgspec import Struct

from router.notify.again import again, retry_after_s
from router.notify.notice import Delivery, Post, Run
from router.notify.webhook import check_url

OUTPUT_MOST: Final = 4096
"""Bytes of a program's output that are read; what it writes beyond them is thrown away."""
_SAID_MOST: Final = 200
_FILE_MOST: Final = 64 * 1024
_NOT_RUNNABLE: Final = (126, 127)  # as shells say it


class Came(Struct, frozen=True):
    """What came of a try.

    Attributes:
        good: Whether it was delivered.
        again: If not, whether another try may do better.
        said: What happened, for the log.
        asked_s: For how long the receiver asked to be left alone, in seconds.
    """

    good: bool
    again: bool = False
    said: str = ""
    asked_s: float | None = None


def signature(body: bytes, key: bytes, moment: int) -> str:
    """Return the value of ``x-router-signature``: ``t=TIME,v1=HEX``.

    HEX is HMAC-SHA-256 (RFC 2104) of the time in decimal, a full stop and the body. The time lets a receiver refuse
    what was recorded and is sent again.

    Args:
        body: The body.
        key: The key.
        moment: Unix seconds.
    """
    return f"t={moment},v1={hmac.new(key, b'%d.%b' % (moment, body), hashlib.sha256).hexdigest()}"


class Deliverer:
    """Owns the client session."""

    def __init__(self) -> None:
        # Per process
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=64, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "router-notify"},
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def deliver(self, what: Delivery) -> Came:
        """Try once."""
        if isinstance(what, Run):
            return await _run(what)
        try:
            url, headers, context = await asyncio.to_thread(_prepared, what, int(time.time()))
        except (OSError, ValueError) as error:
            return Came(good=False, again=isinstance(error, OSError), said=_short(error))
        try:
            async with self._session.post(
                url,
                data=what.body,
                headers=headers,
                ssl=context,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=what.timeout),
            ) as response:
                asked = retry_after_s(response.headers.get("Retry-After"), time.time())
                return _answered(response.status, asked)
        except TimeoutError:
            return Came(good=False, again=True, said=f"no answer within {what.timeout:g} s")
        except aiohttp.InvalidURL:
            return Came(good=False, said="the url cannot be used")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Came(good=False, again=True, said=_short(error))


def _answered(status: int, asked_s: float | None) -> Came:
    if 200 <= status < 300:
        return Came(good=True, said=f"status {status}")
    return Came(good=False, again=again(status), said=f"status {status}", asked_s=asked_s)


def _prepared(what: Post, moment: int) -> tuple[str, dict[str, str], ssl.SSLContext | bool]:
    """Return where a request goes to, its fields, and whom to trust.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it does not hold what it should.
    """
    url = what.url if what.url is not None else _line(what.url_file)
    check_url(url)
    headers = dict(what.headers)
    if what.secret_file is not None:
        headers["x-router-signature"] = signature(what.body, _line(what.secret_file).encode(), moment)
    context: ssl.SSLContext | bool = True
    if what.ca is not None:
        try:
            context = ssl.create_default_context(cafile=what.ca)
        except ssl.SSLError as error:
            raise ValueError(f"{what.ca} holds no certificates") from error
    return url, headers, context


def _line(file: str | None) -> str:
    with Path(file or "").open("rb") as opened:
        content = opened.read(_FILE_MOST)
    words = content.decode("utf-8", "replace").split()
    if len(words) != 1:
        raise ValueError(f"{file} does not hold one word")
    return words[0]


async def _run(what: Run) -> Came:
    try:
        process = await asyncio.create_subprocess_exec(
            *what.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError, ValueError) as error:
        return Came(good=False, said=f"{what.argv[0]} cannot be run: {_short(error)}")
    except OSError as error:  # no process, no memory, no descriptor: now
        return Came(good=False, again=True, said=f"{what.argv[0]} cannot be run: {_short(error)}")
    try:
        async with asyncio.timeout(what.timeout):
            said = await _talk(process, what.stdin)
            status = await process.wait()
    except TimeoutError:
        return Came(good=False, again=True, said=f"{what.argv[0]} took longer than {what.timeout:g} s")
    finally:
        await _end(process)
    if status == 0:
        return Came(good=True, said="exit status 0")
    ended = f"exit status {status}" if status > 0 else f"signal {-status}"
    return Came(good=False, again=status not in _NOT_RUNNABLE, said=f"{ended}: {said}" if said else ended)


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> str:
    """Give a program its input, and read its output to the end; return the beginning of it."""

    async def feed() -> None:
        if process.stdin is None:  # pragma: no cover - it was asked for
            return
        process.stdin.write(stdin)
        try:
            await process.stdin.drain()
            process.stdin.close()
        except (ConnectionError, BrokenPipeError):
            return  # it does not read; its exit status says whether that was right

    async def read() -> bytes:
        kept = b""
        while process.stdout is not None and (data := await process.stdout.read(OUTPUT_MOST)):
            kept += data[: max(0, OUTPUT_MOST - len(kept))]
        return kept

    _, output = await asyncio.gather(feed(), read())
    return _plain(output.decode("utf-8", "replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a program, its children included."""
    with suppress(ProcessLookupError, PermissionError):  # all of it has ended
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _short(error: BaseException) -> str:
    return _plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _plain(text: str) -> str:
    return " ".join(text[: 4 * _SAID_MOST].split())[:_SAID_MOST]
