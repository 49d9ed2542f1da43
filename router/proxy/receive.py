"""*Receive*: the response of an exchange, from the target's bytes to the caller's.

Responsible for: heads of answers, interim ones, the framing that the caller gets, and the end of an answer in order.
Does not know: how the exchange came to its target, or what becomes of it when the answer is not in order.

Rules: bytes go on as they come. Nothing of a head that cannot be trusted goes on.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from router import counters
from router.proxy import judge, remember
from router.proxy.bodies import Download
from router.proxy.framing import FramingError
from router.proxy.grammar import BROKEN_LINE
from router.proxy.leaving import leave_connection, settle
from router.proxy.phase import BODY, DONE
from router.proxy.record import record
from router.proxy.response_head import UNTIL_CLOSE, ResponseHead
from router.proxy.tunnel import Tunnel
from router.proxy.upgrade import switches

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange

MAX_RESPONSE_HEAD: Final = 64 * 1024
MAX_INTERIM: Final = 16  # 1xx answers to one request
SERVER_ERROR: Final = 500


def take(exchange: "Exchange", data: bytes) -> None:
    """Take bytes of the response."""
    if exchange.turn == exchange.server.turn:  # nothing of the request was sent yet: nobody asked for this
        leave_connection(exchange)
        return
    if exchange.held:
        seen = len(exchange.held)
        data = exchange.held + data
        exchange.held = b""
        if data.find(b"\r\n\r\n", max(0, seen - 3)) < 0:  # a head that dribbles in is not looked through for each byte
            _hold(exchange, data, seen)
            return
    responses = exchange.server.responses
    head = responses.ordinary(data) if exchange.head.method != b"HEAD" else None
    if head is not None:
        if head.end + head.length == len(data) and _answer_whole(exchange, head, data, exchange.arrived):
            return
    else:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            _hold(exchange, data, 0)
            return
        found = responses.read(data[:end], exchange.head.method)
        if isinstance(found, str):
            exchange.fail("malformed")
            return
        head = found
    if head.end > MAX_RESPONSE_HEAD:
        exchange.fail("malformed")
    elif head.status < 200:
        _interim(exchange, head, data[head.end :])
    else:
        _answer(exchange, head, data[head.end :])


def _answer_whole(exchange: "Exchange", head: ResponseHead, data: bytes, now: float) -> bool:
    """Do all of *receive* and *finish* for an ordinary answer that came in one piece; False if it is not so ordinary.

    As in ``begin``, what is nearly always the case is one function.
    """
    server = exchange.server
    caller = exchange.caller
    endpoint = exchange.endpoint
    upstream = exchange.upstream
    request = exchange.head
    if (
        endpoint is None or upstream is None or not exchange.request_done or server.draining or caller.held
        or not caller.reading or not request.http11 or not request.keep_alive or head.end > MAX_RESPONSE_HEAD
        or head.status >= SERVER_ERROR or exchange.fault is not None or exchange.ticket
        or exchange.hedge is not None
    ):  # fmt: skip
        return False
    own = b"x-request-id: %b\r\n" % exchange.request_id if server.expose_id_only else server.exposed(exchange)
    server.cork(caller.transport, b"".join((head.forward, own, b"\r\n", data[head.end :])))
    exchange.phase = DONE
    exchange.status = head.status
    exchange.replied = exchange.served = True
    exchange.first_byte_at = now
    exchange.response_bytes = head.length
    if exchange.shadow is not None:
        exchange.shadow.begin(data[head.end :], framed=False)
    if exchange.decision is not None and exchange.decision.route.keeps:
        keep_whole(exchange, head, data[head.end :])
    exchange.upstream = exchange.endpoint = None
    endpoint.active -= 1
    server.words[exchange.row + counters.TARGET_INFLIGHT] -= 1
    server.words[endpoint.succeeded] += 1
    endpoint.observe(now - (exchange.asked_at or exchange.started))
    ended = monotonic()
    exchange.overhead += ended - now
    if exchange.gate is not None:
        exchange.gate.leave(ended - (exchange.began or exchange.started))
        exchange.gate = None
    endpoint.give_back(upstream, ended)
    record(exchange, ended)
    caller.ready(ended)
    return True


def _hold(exchange: "Exchange", data: bytes, seen: int) -> None:
    """Keep the beginning of a response head, of which ``seen`` bytes were judged before, unless it can become none."""
    if may_become_head(data, seen):
        exchange.held = data
    else:
        exchange.fail("malformed")


def may_become_head(data: bytes, seen: int) -> bool:
    """Return whether some bytes may be the beginning of a response head, ``seen`` of which were judged before."""
    broken = BROKEN_LINE.search(data, max(0, seen - 1)) is not None
    return not broken and len(data) <= MAX_RESPONSE_HEAD and data[:7] == b"HTTP/1."[: len(data)]


def _interim(exchange: "Exchange", head: ResponseHead, rest: bytes) -> None:
    """Pass on a 1xx answer, where the caller can understand it, and go on waiting for the final one."""
    if exchange.hedge is not None:
        exchange.hedge.end("lost")
    exchange.interim += 1
    if head.status == 101 and switches(head.upgrade, exchange.head.upgrade):
        _switch(exchange, head, rest)
        return
    if head.status == 101 or exchange.interim > MAX_INTERIM:  # no one asked for another protocol, or for this one
        exchange.fail("malformed")
        return
    if exchange.head.http11 and head.status != 100:  # 100 is the router's own to say
        exchange.caller.write(head.forward + b"\r\n")
    if rest:
        take(exchange, rest)


def _counts(exchange: "Exchange", head: ResponseHead, rest: bytes) -> bool:
    """Return whether an answer is the one to pass on: not an error where there is another way."""
    if head.status >= SERVER_ERROR and exchange.refused_by_status(head, rest):
        return False
    if exchange.hedge is not None:
        exchange.hedge.end("lost")
    return True


def _answer(exchange: "Exchange", head: ResponseHead, rest: bytes) -> None:
    """Pass on the final head and what came with it."""
    if not _counts(exchange, head, rest):
        return
    server = exchange.server
    caller = exchange.caller
    http11 = exchange.head.http11
    length = head.length
    exchange.phase = BODY
    exchange.status = head.status
    exchange.reusable = head.keep_alive
    framing = b""
    if 0 <= length <= len(rest):
        done = True
        body = rest
        if length != len(rest):
            exchange.reusable = False  # bytes that nobody asked for
            body = rest[:length]
    else:
        download = exchange.download = Download(length, http11=http11)
        if length < 0:
            framing = b"transfer-encoding: chunked\r\n" if http11 else b""
            exchange.ends_by_close = not http11
        try:
            body = download.feed(rest)
        except FramingError:
            exchange.fail("malformed")
            return
        done = download.done
        if length == UNTIL_CLOSE or download.surplus:
            exchange.reusable = False
    # RFC 9112 9.5: a connection whose request was not read to its end cannot carry another.
    exchange.keep = (
        exchange.head.keep_alive and exchange.request_done and not exchange.ends_by_close and not server.draining
    )
    now = exchange.first_byte_at = exchange.arrived
    exchange.replied = exchange.served = True
    exchange.response_bytes = len(body)
    lines = (head.forward, server.exposed(exchange), framing, connection_line(exchange), b"\r\n", body)
    caller.write(b"".join(lines))
    _keep(exchange, head, body)
    if exchange.endpoint is not None:
        exchange.endpoint.observe(now - (exchange.asked_at or exchange.started))
    if done:
        exchange.complete()
    else:
        caller.watch(min(now + exchange.timeouts.idle, exchange.total_at))


def _keep(exchange: "Exchange", head: ResponseHead, body: bytes) -> None:
    """Begin to keep an answer that is passed on: for others who ask the same, rewards, a shadow's comparison."""
    framed = head.length < 0 and exchange.head.http11
    if exchange.decision is not None and exchange.decision.route.keeps:
        if exchange.decision.route.cached:
            exchange.coming = remember.begin(exchange, head, body)
        exchange.reading = exchange.server.rewards.begin(exchange, head, body, framed=framed)
    if exchange.shadow is not None:
        exchange.shadow.begin(body, framed=framed)


def keep_whole(exchange: "Exchange", head: ResponseHead, body: bytes) -> None:
    """Keep of an answer that came in one piece what its route keeps."""
    if exchange.decision is not None and exchange.decision.route.cached:
        remember.whole(exchange, head, body)
    exchange.reading = exchange.server.rewards.begin(exchange, head, body, framed=False)


def _switch(exchange: "Exchange", head: ResponseHead, rest: bytes) -> None:
    """Make a tunnel of the two connections: 101 is the final answer to this exchange, and the last on them."""
    upstream, endpoint = exchange.upstream, exchange.endpoint
    if upstream is None or endpoint is None:
        raise RuntimeError("an answer without a connection")
    exchange.upstream = None  # it is the tunnel's, to its end
    exchange.phase = BODY
    exchange.status = head.status
    exchange.keep = exchange.reusable = False
    exchange.replied = exchange.served = True
    exchange.first_byte_at = exchange.arrived
    endpoint.observe(exchange.arrived - (exchange.began or exchange.started))
    judge.succeeded(exchange, exchange.arrived)  # the tunnel may last for hours
    settle(exchange)
    Tunnel(exchange, upstream).begin(head, rest)


def connection_line(exchange: "Exchange") -> bytes:
    """Return the header line that says what becomes of the caller's connection."""
    if not exchange.keep:
        return b"connection: close\r\n"
    return b"" if exchange.head.http11 else b"connection: keep-alive\r\n"


def more(exchange: "Exchange", data: bytes) -> None:
    """Pass on bytes of the response body."""
    download = exchange.download
    if download is None:
        raise RuntimeError("bytes of a response that is complete")
    try:
        body = download.feed(data)
    except FramingError:
        exchange.fail("malformed")
        return
    caller = exchange.caller
    if body:
        exchange.response_bytes += len(body)
        if exchange.coming is not None:
            exchange.coming.body += body
        if exchange.shadow is not None:
            exchange.shadow.add(body)
        if exchange.reading is not None:
            exchange.server.rewards.add(exchange.reading, body)
        caller.write(body)
    if download.done:
        if download.surplus:
            exchange.reusable = False
        exchange.complete()
        return
    idle_at = exchange.arrived + exchange.timeouts.idle
    caller.deadline = idle_at if idle_at < exchange.total_at else exchange.total_at  # noqa: FURB136  # min() costs thrice
