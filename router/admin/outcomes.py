"""``POST /v1/outcomes``: bodies in, what became of each outcome out.

Responsible for: content types, one or an array or lines, the bounds of a body, status codes, counting.
Does not know: when an outcome is in order (``router.control.outcome``), how it becomes durable
(``router.events.group_commit``).

Rules: a body that cannot be read as a whole changes nothing and is 400; what is wrong with one outcome concerns that
one. Nothing is acknowledged before it is durable; when it cannot be, nothing is, and the caller is asked to come again
(503). Bodies under way are bounded together, so callers without end cost no memory without end.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from router import counters
from router.admin.guard import problem
from router.config.keys import read_keys
from router.control.loop import Control
from router.control.outcome import Refused, Terms, judge
from router.events.group_commit import Full, OutcomeWriter
from router.events.outcomes import Fate, Outcome, OutcomeStore

log = getLogger(__name__)

PATH: Final = "/v1/outcomes"
BODY_MAX: Final = 8 * 1024 * 1024
ITEMS_MAX: Final = 10_000  # of one body; judging them takes 50 ms
BODIES_MAX: Final = 8 * BODY_MAX  # of all bodies under way
READ_S: Final = 30.0
AGAIN_S: Final = 1  # when the queue is full; it holds a second or two
LATER_S: Final = 5  # when the disk takes no more
_INLINE: Final = 200  # outcomes that are judged on the loop, 1 ms; more are in a thread
_LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_WORD: Final = {fate: counters.OUTCOMES + index for index, fate in enumerate(counters.OUTCOME_FATES)}

Judged = list[Outcome | Refused]


class _UnfitError(Exception):
    """A body that is no outcomes; carries the answer."""

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


class Held:
    """Bytes of all bodies under way."""

    def __init__(self) -> None:
        self.bytes = 0


class Room:
    """What one body takes of the room for all."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._own = 0

    def take(self, size: int) -> bool:
        """Take room for further bytes; False when there is none."""
        if self._held.bytes + size > BODIES_MAX:
            return False
        self._held.bytes += size
        self._own += size
        return True

    def leave(self) -> None:
        """Give back what was taken."""
        self._held.bytes -= self._own
        self._own = 0


class Outcomes:
    """The route, and the thread behind it while the application runs."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._words = control.seat.segment.words
        self._writer: OutcomeWriter | None = None
        self._held = Held()
        self._keys: tuple[bytes, ...] = ()

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Have a thread that writes, as long as the application runs."""
        store = OutcomeStore(Path(self._control.revision.config.events.dir))
        self._writer = OutcomeWriter(asyncio.get_running_loop(), store, self, self._forget_before)
        yield
        if not await asyncio.to_thread(self._writer.close):
            log.error("outcomes: the disk does not let go; what is not acknowledged may be lost")

    def standing(self, *, failed: bool, size: int) -> None:
        """Show how the writing stands; called from its thread, the only one that writes these words."""
        self._words[counters.OUTCOMES_FAILED] = failed
        self._words[counters.OUTCOMES_BYTES] = size

    async def post(self, request: web.Request) -> web.Response:
        """Take outcomes."""
        room = Room(self._held)
        try:
            raws = split(request.content_type, await self._body(request, room))
            return await self._commit(await self._judge(raws))
        except _UnfitError as unfit:
            return unfit.response
        finally:
            room.leave()

    def _forget_before(self, now: float) -> float:
        """Return when ids may have come that nobody needs.

        What happened ``keep.age`` ago is not taken any more, and it came at most ``max_future`` before it happened.
        """
        config = self._control.revision.config
        return now - config.events.keep.age - config.outcomes.max_future

    async def _body(self, request: web.Request, room: "Room") -> bytes:
        """Read a body, decompressed if it came so.

        Raises:
            _UnfitError: If it is too long, there is no room for it, or it does not come in time.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > BODY_MAX:
                        raise _UnfitError(problem(413, f"the body is longer than {BODY_MAX} bytes"))
                    if not room.take(len(chunk)):
                        raise _UnfitError(self._again("too many bodies are under way", AGAIN_S))
        except TimeoutError as error:
            raise _UnfitError(problem(408, f"the body did not come within {READ_S:g} s")) from error
        except web.RequestPayloadError as error:
            response = problem(400, "the body is not what its Content-Encoding or Transfer-Encoding says")
            response.force_close()  # where the next request begins is not known
            raise _UnfitError(response) from error
        return bytes(body)

    async def _judge(self, raws: Sequence[bytes | msgspec.Raw]) -> Judged:
        config = self._control.revision.config
        late = config.outcomes.max_late
        terms = Terms(
            time.time(),
            config.outcomes.max_future,
            config.events.keep.age if late is None else late,
            self._present_keys(),
        )
        if len(raws) <= _INLINE:
            return [judge(raw, terms) for raw in raws]
        return await asyncio.to_thread(lambda: [judge(raw, terms) for raw in raws])

    def _present_keys(self) -> tuple[bytes, ...]:
        """Return the keys that assignments may be signed with.

        They are read at each batch, as the token is, so that a new key counts at once. Keys that cannot be read stay
        what they were; before they were ever read, nobody can say that a signature is wrong.
        """
        signing = self._control.revision.config.server.signing
        if signing is None:
            return ()
        try:
            self._keys = read_keys(signing.keys_file)
        except (OSError, ValueError) as error:
            log.error("outcomes: the signing keys cannot be read, those of before count: %s", error)  # noqa: TRY400 - the text says all
            if not self._keys:
                raise _UnfitError(self._again("the signing keys cannot be read", LATER_S)) from error
        return self._keys

    async def _commit(self, judged: Judged) -> web.Response:
        if self._writer is None:
            raise RuntimeError("the application does not run")
        outcomes = [each for each in judged if isinstance(each, Outcome)]
        try:
            self._words[counters.OUTCOMES_WAITING] = self._writer.waiting + len(outcomes)
            fates = await self._writer.submit(outcomes)
        except Full:
            self._count({"overloaded": len(judged)})
            return self._again("too many outcomes wait to be written", AGAIN_S)
        except OSError:  # the writer has logged why
            self._count({"failed": len(judged)})
            return self._again("the outcomes cannot be written now; none of them counts as taken", LATER_S)
        finally:
            self._words[counters.OUTCOMES_WAITING] = self._writer.waiting
        refused = [(index, each) for index, each in enumerate(judged) if isinstance(each, Refused)]
        self._count(Counter[str](fates) + Counter(each.fate for _, each in refused))
        return _answer(fates, refused)

    def _count(self, fates: "Counter[str] | dict[str, int]") -> None:
        for fate, count in fates.items():
            self._words[_WORD[fate]] += count

    @staticmethod
    def _again(why: str, after_s: int) -> web.Response:
        response = problem(503, f"{why}; send them again, with the same ids")
        response.headers["Retry-After"] = str(after_s)
        return response


def split(content_type: str, body: bytes) -> list[bytes | msgspec.Raw]:
    """Cut a body into outcomes, which are not looked into yet.

    Raises:
        _UnfitError: If it is none, or too many; the answer says which.
    """
    if content_type in _LINES:
        lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
        return list(_bounded(lines))
    if content_type != "application/json":
        raise _UnfitError(problem(415, "send application/json (one or an array) or application/x-ndjson"))
    try:
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            return list(_bounded(msgspec.json.decode(body, type=list[msgspec.Raw])))
        return [msgspec.json.decode(body, type=msgspec.Raw)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _UnfitError(problem(400, f"the body is no JSON: {error}")) from error


def _bounded(raws: "Sequence[bytes] | Sequence[msgspec.Raw]") -> "Sequence[bytes] | Sequence[msgspec.Raw]":
    if len(raws) > ITEMS_MAX:
        raise _UnfitError(problem(413, f"{len(raws)} outcomes; send at most {ITEMS_MAX} at once"))
    return raws


def _answer(fates: Sequence[Fate], refused: Sequence[tuple[int, Refused]]) -> web.Response:
    """Say what became of a batch: 200, or 422 when all of it was refused."""
    counted = Counter(fates)
    said: dict[str, Any] = {
        "accepted": counted["accepted"],
        "duplicate": counted["duplicate"] + counted["conflicting"],
        "conflicting": counted["conflicting"],
        "refused": [
            {"index": index, "id": each.id, "fate": each.fate, "reason": each.reason} for index, each in refused
        ],
    }
    if refused and not fates:
        return problem(422, f"none of the outcomes was taken; the first: {refused[0][1].reason}", **said)
    return web.Response(body=msgspec.json.encode(said), content_type="application/json")
