"""What single rules and user agents cost: ``python -m benchmarks.rules``.

Prints the smallest of several runs, in microseconds of one core; a rule's cost is with reading what it asks for. What
experiments cost a request is ``benchmarks.targeting``'s to say.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from msgspec import convert

from router import counters
from router.config.schema import Config
from router.events.model import Revision, Run
from router.routing.bots import Bots
from router.routing.request import Request
from router.routing.table import Table, compile_table

RUNS = 7
ATTRIBUTES = {
    "country": "header:x-country",
    "tier": "header:x-tier",
    "app": "header:x-app",
    "age": "json:/user/age",
}
FIELDS = {b"x-user": b"u1", b"x-country": b"CH", b"x-tier": b"gold", b"x-app": b"2.10.1", b"user-agent": b"OurApp/2.10"}
BODY = b'{"user": {"age": 42}, "inputs": [{"name": "x", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'
TYPICAL: dict[str, Any] = {
    "and": [
        {"in": [{"var": "country"}, ["DE", "AT", "CH"]]},
        {"==": [{"var": "tier"}, "gold"]},
    ]
}
RULES: dict[str, dict[str, Any]] = {
    "one attribute in a list": {"in": [{"var": "country"}, ["DE", "AT", "CH"]]},
    "two attributes": TYPICAL,
    "the attribute is absent": {"==": [{"var": "gone"}, "x"]},
    "a version": {"sem_ver": [{"var": "app"}, ">=", "2.3.0"]},
    "the hour in a zone": {"<=": [8, {"var": "$time.hour"}, 23]},
    "path and user agent": {
        "and": [{"starts_with": [{"var": "$request.path"}, "/v2/"]}, {"in": ["App", {"var": "$request.user_agent"}]}]
    },
    "a number of the body": {">=": [{"var": "age"}, 18]},
    "fractional": {"fractional": [[True, 20], [False, 80]]},
}


def table(rule: dict[str, Any]) -> Table:
    """Compile a route with an experiment."""
    plain = {
        "targets": [{"name": "t", "endpoints": [{"url": "http://127.0.0.1:1"}]}],
        "routes": [
            {
                "name": "r",
                "target": "t",
                "unit": ["header:x-user"],
                "attributes": {**ATTRIBUTES, "gone": "header:x-gone"},
            }
        ],
        "experiments": [
            {
                "name": "e",
                "route": "r",
                "flag": "f",
                "arms": [{"name": "a", "value": 1, "weight": 1}, {"name": "b", "value": 2, "weight": 1}],
                "eligible": rule,
                "time_zone": "Europe/Berlin",
            }
        ],
    }
    config = convert(plain, Config)
    runs = {item.name: Run(number=1, phase=1, epoch=0) for item in config.experiments}
    return compile_table(
        Revision(
            number=1,
            time=1.79e9,
            cause="start",
            author="benchmark",
            digest="",
            config=config,
            weights={item.name: {arm.name: arm.weight for arm in item.arms} for item in config.experiments},
            runs=runs,
            slots=counters.allocate({}, counters.row_keys(config, runs)),
        )
    )


REQUEST = Request(
    "0123456789abcdef" * 2, b"POST", b"/v2/models/m", b"", b"localhost", "192.0.2.7", FIELDS, BODY, now=1.79e9
)  # fmt: skip


def least(ask: Callable[[], object], times: int = 5000) -> float:
    """Return the smallest mean of several runs, in microseconds."""
    best = float("inf")
    for _ in range(RUNS):
        began = perf_counter()
        for _ in range(times):
            ask()
        best = min(best, (perf_counter() - began) / times)
    return best * 1e6


def rows() -> Iterator[tuple[str, float]]:
    """Yield what is measured, and its cost."""
    for name, rule in RULES.items():
        structure = table(rule).routes["r"].structure
        targeting = structure.trials["e"].eligible if structure is not None else None
        if targeting is not None:
            yield f"rule: {name}", least(partial(targeting.obstacle, REQUEST, b"u1"))
    bots = Bots()
    agents = (
        b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/%d Safari/537.36" % n for n in count()
    )
    yield "bots: a user agent of late", least(lambda: bots.is_bot(b"OurApp/2.10"))
    yield "bots: a new one", least(lambda: bots.is_bot(next(agents)), 1000)


def main() -> None:
    """Print a table."""
    for name, cost in rows():
        sys.stdout.write(f"| {name} | {cost:.1f} |\n")


if __name__ == "__main__":
    main()
