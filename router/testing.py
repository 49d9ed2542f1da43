"""Each seam's contract as assertions, for plug-ins of your own.

Responsible for: ``check_*``, which raise AssertionError with one sentence that says what was asked and what came back.
Does not know: the built-ins; they are checked by the same functions, in this project's own tests.

Rules: a check needs no test framework, no network and no clock, and gives the same answer each time. One that passes
means that the router can work with the plug-in, not that what it does is wise.

The seams so far: the balancer, the sink, the notifier. Allocators and metrics come with the capabilities that ask for
them.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from itertools import product
from random import Random
from typing import Final

import msgspec
from msgspec import Struct

from router.archive.sink import Outlet, Sink
from router.events.model import Enrolment, Exchange
from router.events.model import Shadow as Comparison
from router.events.rollout import Found
from router.notify.notice import Notice, Notifier, Post, Run, Severity
from router.notify.webhook import one_place
from router.routing.balance import Balancer

_KEYS: Final = (0, 1, 0x9E3779B97F4A7C15, 2**64 - 1)
_SMALLEST, _LARGEST = 0.0, 1 - 2**-53  # what ``random.random`` gives at its ends
_SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
_SEED: Final = 20_261_122
_RANDOM_CASES: Final = 500
_LISTED: Final = 8  # candidates that a message describes


class Endpoint(Struct, frozen=True):
    """A ``routing.balance.Candidate``."""

    key: int
    weight: int = 1
    active: int = 0
    latency: float = 0.0


def check_balancer(balancer: Balancer) -> None:
    """Check that a balancer keeps the contract of ``routing.balance.Balancer``.

    It must return, as an int, the index of one of the candidates: of one or of many, in a list or a tuple, idle or
    loaded, never measured or slow, for every key and for random numbers from 0 to just under 1. It must do so again
    when all that it is given, and was given before, is the same; and it must not change what it is given. Weights are
    at least 1.

    Args:
        balancer: As it is after construction. It can be copied (``copy.deepcopy``); copies of it are what is asked.

    Raises:
        AssertionError: If it breaks the contract; the message says how.
    """
    first, second = deepcopy(balancer), deepcopy(balancer)
    for number, (candidates, key) in enumerate(_cases()):
        for numbers in (lambda: _SMALLEST, lambda: _LARGEST):
            _pick(deepcopy(balancer), candidates, key, numbers)
        once = _pick(first, candidates, key, _seeded(number))
        again = _pick(second, candidates, key, _seeded(number))
        if once != again:
            raise AssertionError(
                f"{_name(balancer)} is not a function of what it is given: asked twice for the same, in copies with"
                f" the same past, it picked {once} and {again} {_described(candidates, key)}"
            )


def check_sink(sink: Sink, received: Callable[[], Sequence[bytes]]) -> None:
    """Check that a sink keeps the contract of ``router.archive.sink``.

    It must be a frozen ``msgspec.Struct``, must open as often as asked, take no lines, one and many, and have all of
    them where they belong, whole and unchanged, when ``send`` returns; and it must close, also twice.

    Args:
        sink: As the configuration makes it; what it sends to can be reached.
        received: Returns what has arrived so far, one event each, with or without its newline.

    Raises:
        AssertionError: If it breaks the contract; the message says how.
    """
    name = type(sink).__qualname__
    if not (isinstance(sink, Struct) and type(sink).__struct_config__.frozen):
        raise AssertionError(f"{name} is not a frozen msgspec.Struct")  # a broken contract
    for number, lines in enumerate((_events(0, 1), _events(1, 2000), ())):
        outlet: Outlet = sink.open()
        given = list(lines)
        answer: object = outlet.send(lines)  # type: ignore[func-returns-value]
        if answer is not None:
            raise AssertionError(f"{name} returned {answer!r} from send, which returns nothing")
        if list(lines) != given:
            raise AssertionError(f"{name} changed the lines that it was given")
        outlet.send(())
        there = {line.rstrip(b"\n") for line in received()}
        lost = [line for line in given if line.rstrip(b"\n") not in there]
        if lost:
            raise AssertionError(
                f"{name} returned from send, and {len(lost)} of {len(given)} events have not arrived (opening"
                f" {number + 1}); the first is {lost[0]!r}"
            )
        outlet.close()
        outlet.close()


def check_notifier(notifier: Notifier) -> None:
    """Check that a notifier keeps the contract of ``router.notify.notice``.

    It must be a frozen ``msgspec.Struct``, must answer each notification with a ``Post`` or a ``Run`` that can be
    carried out, and give the same answer again; also when texts hold markup, line ends and letters of any script.

    Args:
        notifier: As the configuration makes it.

    Raises:
        AssertionError: If it breaks the contract; the message says how.
    """
    name = type(notifier).__qualname__
    if not (isinstance(notifier, Struct) and type(notifier).__struct_config__.frozen):
        raise AssertionError(f"{name} is not a frozen msgspec.Struct")  # a broken contract
    for notice in _notices():
        first, second = notifier.message(notice), notifier.message(notice)
        if not isinstance(first, Post | Run):  # a broken contract, not a wrong argument
            raise AssertionError(f"{name} returned {first!r}, which is neither a Post nor a Run")  # noqa: TRY004 - see above
        if first != second:
            raise AssertionError(f"{name} is not a function of the notification: {first!r}, then {second!r}")
        if first.timeout <= 0:
            raise AssertionError(f"{name} allows {first.timeout} s, which is no time")
        if isinstance(first, Post):
            _check_post(name, first)
        elif not first.argv or any("\0" in word for word in first.argv):
            raise AssertionError(f"{name} runs {first.argv!r}, which no system can")


def _check_post(name: str, post: Post) -> None:
    try:
        one_place(post.url, post.url_file)
    except ValueError as error:
        raise AssertionError(f"{name}: {error}") from error
    for field, value in post.headers.items():
        if not field.isascii() or any(ord(character) < 0x20 for character in field + value):
            raise AssertionError(f"{name} sends {field!r}: {value!r}, which is no header field")


def _notices() -> Iterator[Notice]:
    """Make notifications of every severity, with and without a release and evidence, with hostile texts."""
    for number, text in enumerate(("errors doubled", '<!channel> & "\n\r\0', "ü\u2028\ud7ff" * 2000, "")):
        found = Found(
            name=text, status="fail", action="rollback", reason=text, estimate=2.5, high=None, counts={"n": 1.0}
        )
        for severity in ("info", "warning", "critical"):
            notice = Notice(
                id=f"e-{number}", time=1.0 + number, event="rollback", severity=severity, text=text, experiment="e"
            )  # fmt: skip
            yield notice
            yield msgspec.structs.replace(
                notice, run=1, step="stage", stage=2, share=0.05, found=(found,) * (20 * number)
            )


def _events(first: int, count: int) -> tuple[bytes, ...]:
    """Write events as the log has them: in an experiment or not, with text beyond ASCII, and comparisons."""
    encode = msgspec.json.Encoder().encode
    enrolment = Enrolment("e", 1, 1, 1, "control", 0.5, "v1")
    out = []
    for number in range(first, first + count):
        unit = (None, "user-1", 'ü\n"\u2028', "x" * 512)[number % 4]
        event: Exchange | Comparison = Exchange(
            f"{number:032x}", number + 0.5, f"r{number}", 1, "route", "POST", "/p", 200, 1, 0.1, None, 1, 2, "v1",
            unit, "header:x-user-id", (enrolment,) * (number % 3),
        )  # fmt: skip
        if number % 10 == 9:
            event = Comparison(
                event.id, event.time, "r", 1, "route", "agree", True, "v1", 200, 0.1, 1, "v2", 200, 0.2, 1
            )  # fmt: skip
        out.append(encode(event) + b"\n")
    return tuple(out)


def _pick(balancer: Balancer, candidates: Sequence[Endpoint], key: int, random: Callable[[], float]) -> int:
    """Ask once, and check the answer by itself."""
    given = list(candidates)
    try:
        index: object = balancer.pick(candidates, key, random)
    except Exception as error:
        raise AssertionError(f"{_name(balancer)} raised {error!r} {_described(given, key)}") from error
    if list(candidates) != given:
        raise AssertionError(f"{_name(balancer)} changed the candidates {_described(given, key)}")
    if not isinstance(index, int) or isinstance(index, bool):
        message = f"{_name(balancer)} returned {index!r}, which is not an index, {_described(given, key)}"
        raise AssertionError(message)  # noqa: TRY004  # a broken contract, whatever broke it
    if not 0 <= index < len(given):
        raise AssertionError(f"{_name(balancer)} picked {index} of {len(given)} {_described(given, key)}")
    return index


def _cases() -> Iterator[tuple[Sequence[Endpoint], int]]:
    """Yield candidates and a key: the corners first, then what a busy day brings, in a fixed order."""
    for (count, weight, active, latency), key in product(
        ((1, 1, 0, 0.0), (1, 100, 1000, 9.0), (2, 1, 0, 0.0), (2, 1, 1000, 0.0), (3, 7, 5, 60.0), (64, 1, 1, 1e-6)),
        _KEYS,
    ):
        # Keys are hashes: spread over 64 bits, as those of endpoints are.
        alike = [Endpoint(number * 0x9E3779B97F4A7C15 % 2**64, weight, active, latency) for number in range(count)]
        yield alike, key
        yield (*alike[1:], Endpoint(2**64 - 1, 1000)), key
    random = Random(_SEED)  # noqa: S311  # cases that repeat, not secrets
    for _ in range(_RANDOM_CASES):
        count = random.choice((1, 2, 3, 5, 8))
        endpoints = (
            Endpoint(
                random.getrandbits(64),
                random.choice((1, 1, 2, 10, 1000)),
                random.choice((0, 0, 1, 5, 200)),
                random.choice((0.0, 0.001, random.random(), 30.0)),
            )
            for _ in range(count)
        )
        yield tuple(endpoints), random.getrandbits(64)


def _seeded(seed: int) -> Callable[[], float]:
    return Random(seed).random  # noqa: S311  # numbers that repeat, not secrets


def _name(balancer: Balancer) -> str:
    return type(balancer).__qualname__


def _described(candidates: Sequence[Endpoint], key: int) -> str:
    listed = ", ".join(
        f"(weight {one.weight}, {one.active} in flight, {one.latency:g} s)" for one in candidates[:_LISTED]
    )
    more = ", …" if len(candidates) > _LISTED else ""
    return f"given {listed}{more} and key {key:#x}"
