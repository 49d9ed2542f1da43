"""Rewards that a response says itself: a number in a header field, or at a JSON pointer of its body.

Responsible for: ``compile_rewards``, whose bodies are read, and reading a number from bytes of a head or of a body; and
values that ``watch`` looks at, of bodies of requests and responses.
Does not know: how an answer is collected (``router.proxy.reward``), what a metric does with the number.

Rules: pure. Only what a metric of an experiment on the route, or ``watch``, names is read. What is watched is a number,
or a text of at most ``TEXT_CHARS``; of a longer one that many are kept. A number is a JSON number or boolean; in a
header field also ``?1`` and ``?0`` (RFC 9651 3.3.6), in capitals or not. Everything else is no number, and nothing is
guessed: neither units nor thousands, and a field that is there twice says two things. Whose bodies are read is a
function of route, share and unit alone, salted apart from every experiment, so that all of a unit's answers are read or
none and each arm's units are sampled alike. A request without a unit is its own.
"""

import math
import re
from collections.abc import Iterable
from typing import Final, Literal

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct

from router.config.schema import Config
from router.routing.bucket import arm_prefix
from router.routing.request import Request, pointer_tokens, scalar_text

BODY_BYTES: Final = 256 * 1024  # of an answer that is read; a longer one is not
SAMPLE: Final = 0.01  # share of units whose bodies are read, where no metric says so
SAMPLED: Final = "sampled"  # key among the rewards: the share, in each exchange whose body was to be read
REQUESTED: Final = "sampled_request"  # likewise of the request's body
TEXT_CHARS: Final = 64
POINTS: Final = 1 << 64

Absent = Literal["absent", "not_a_number"]

_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,399})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEAN: Final = {b"true": 1.0, b"?1": 1.0, b"false": 0.0, b"?0": 0.0}
_JSON: Final = re.compile(rb"application/(?:json|[a-z0-9!#$&^_.+-]{1,100}\+json)[ \t]*(?:;.*)?", re.DOTALL)
_TYPE: Final = b"\r\ncontent-type:"
_ENCODING: Final = b"\r\ncontent-encoding:"


class HeaderReward(Struct, frozen=True):
    """A header field that has a number.

    Attributes:
        source: As metrics say it, ``header:NAME``.
        line: How its line begins in a head, with the CRLF before it, in lower case.
    """

    source: str
    line: bytes

    def read(self, head: bytes) -> float | Absent:
        """Read it from a head in lower case: status line and fields, each with its CRLF."""
        value = _value(head, self.line)
        if value is None:
            return "absent"
        return "not_a_number" if head.count(self.line) > 1 else _number(value)


class BodyReward(Struct, frozen=True):
    """A place in a JSON body that has a number.

    Attributes:
        source: As metrics say it, ``json:/POINTER``.
        tokens: The pointer.
    """

    source: str
    tokens: tuple[str, ...]


class RewardPlan(Struct, frozen=True):
    """The rewards of a route, compiled.

    Attributes:
        headers: Those in header fields, read from every answer.
        bodies: Those in bodies.
        watched: What is watched in bodies of answers, numbers and texts.
        requests: Likewise in bodies of requests.
        share: Share of units whose bodies are read; the largest that a metric asks for.
        prefix: What is hashed in front of a unit.
        threshold: The unit is sampled if its point on 0 ... 2^64 - 1 is below.
    """

    headers: tuple[HeaderReward, ...]
    bodies: tuple[BodyReward, ...]
    share: float
    prefix: bytes
    threshold: int
    watched: tuple[BodyReward, ...] = ()
    requests: tuple[BodyReward, ...] = ()

    def samples(self, unit: bytes) -> bool:
        """Return whether the bodies of a unit, in UTF-8, are read."""
        return digest(self.prefix + unit)[0] < self.threshold


def compile_rewards(route: str, config: Config) -> RewardPlan | None:
    """Compile what metrics of the experiments on a route read from its answers; None when that is nothing."""
    measured = [each.metrics for each in config.experiments if each.route == route and each.metrics is not None]
    names = {name for metrics in measured for name in metrics.names()}
    shares: dict[str, float] = {}  # also says which there are, each once
    for metric in config.metrics:
        if metric.name in names and metric.exchange is not None:
            kind, _, _ = metric.exchange.partition(":")
            if kind in ("header", "json"):
                share = SAMPLE if metric.sample is None else metric.sample
                shares[metric.exchange] = max(share, shares.get(metric.exchange, 0.0))
    watched = _watched(route, config)
    if not shares and not watched:
        return None
    headers = [source for source in shares if source.startswith("header:")]
    bodies = [source for source in shares if source.startswith("json:")]
    share = max([*(shares[source] for source in bodies), *watched.values()], default=0.0)
    return RewardPlan(
        headers=tuple(HeaderReward(source, f"\r\n{source.partition(':')[2].lower()}:".encode()) for source in headers),
        bodies=tuple(BodyReward(source, pointer_tokens(source.partition(":")[2])) for source in bodies),
        share=share,
        prefix=arm_prefix(f"reward\0{route}", ""),
        threshold=int(share * POINTS),
        watched=_bodies(watched, "response:"),
        requests=_bodies(watched, "request:"),
    )


def _watched(route: str, config: Config) -> dict[str, float]:
    """Return what ``watch`` looks at in bodies of a route's exchanges, each with its share of units."""
    names = {each.name for each in config.experiments if each.route == route}
    shares: dict[str, float] = {}
    for watch in config.watch:
        if not names or (watch.experiment is not None and watch.experiment not in names):
            continue
        share = SAMPLE if watch.sample is None else watch.sample
        for pointer, of in ((watch.json, watch.of), (watch.prediction, "response")):
            if pointer is not None:
                shares[f"{of}:{pointer}"] = max(share, shares.get(f"{of}:{pointer}", 0.0))
    return shares


def _bodies(sources: Iterable[str], kind: str) -> tuple[BodyReward, ...]:
    found = (source for source in sources if source.startswith(kind))
    return tuple(BodyReward(source, pointer_tokens(source.partition(":")[2])) for source in found)


def unreadable(head: bytes) -> Literal["encoded", "not_json"] | None:
    """Say why the body behind a head, in lower case, cannot be read, or None."""
    if _value(head, _ENCODING) not in (None, b"", b"identity"):
        return "encoded"
    kind = _value(head, _TYPE)
    return None if kind is not None and _JSON.fullmatch(kind) is not None else "not_json"


def read_bodies(rewards: tuple[BodyReward, ...], body: bytes) -> list[float | Absent]:
    """Read numbers from a whole JSON body, stepping over what no pointer leads to."""
    document = Request("", b"", b"", b"", b"", "", {}, body)
    out: list[float | Absent] = []
    for reward in rewards:
        raw = document.value(reward.tokens)
        out.append("absent" if raw is None else _number(bytes(raw)))
    return out


def read_watched(rewards: tuple[BodyReward, ...], body: bytes) -> dict[str, float | str] | None:
    """Read numbers and texts from a whole body; what is neither, or not there, is left out. None if it is no JSON."""
    document = Request("", b"", b"", b"", b"", "", {}, body)
    found: dict[str, float | str] = {}
    for reward in rewards:
        raw = document.value(reward.tokens)
        if raw is None:
            continue
        number = _number(bytes(raw))
        text = scalar_text(raw) if isinstance(number, str) else None
        if not isinstance(number, str):
            found[reward.source] = number
        elif text is not None:
            found[reward.source] = text[:TEXT_CHARS]
    return None if document.invalid else found


def _value(head: bytes, line: bytes) -> bytes | None:
    """Return the value of the first line of a field, None without one."""
    at = head.find(line)
    if at < 0:
        return None
    start = at + len(line)
    return head[start : head.find(b"\r\n", start)].strip(b" \t")


def _number(text: bytes) -> float | Absent:
    known = _BOOLEAN.get(text)
    if known is not None:
        return known
    if _NUMBER.fullmatch(text) is None:
        return "not_a_number"
    value = float(text)
    return value if math.isfinite(value) else "not_a_number"
