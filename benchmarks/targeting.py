"""What experiments cost a request: `python -m benchmarks.targeting`.

Responsible for: the CPU time of deciding with 1, 10 and 50 experiments on a route, and of the whole exchange with them.
Does not know: sockets (``benchmarks.path``, whose exchange this measures too), load (``benchmarks.run``).

Each experiment is a layer of its own, its arms are values of a flag, and its rule asks for two attributes of headers:
nobody is turned away, so every rule is evaluated to its end and every arm drawn. Four ways to ask:

- *known*: units that were seen before, whose decision is kept;
- *new*: units never seen, 16,384 of them and more, so that no decision is found;
- *unkept*: one attribute of a rule comes from the query, so that no decision can be kept; units seen before;
- *exchange*: everything that Python does for an exchange, as `benchmarks.path` measures it, for known and unkept ones.

The smallest of many rounds counts, in CPU time of the process: what others on the machine do can only add.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec

from benchmarks import path
from router.config import schema
from router.events.model import Revision
from router.routing.decide import RoutePlan
from router.routing.request import Request
from router.routing.table import compile_table

COUNTS = (1, 10, 50)
UNITS = 1000
BATCH = 250  # decisions in one reading of the clock, whose own cost is then nothing
RULE = {"and": [{"==": [{"var": "country"}, "DE"]}, {"in": [{"var": "tier"}, ["gold", "silver"]]}]}
QUERY = path.REQUEST.replace("/infer HTTP", "/infer?tier=gold HTTP")


class Cost(NamedTuple):
    """CPU time in µs for a number of experiments on a route."""

    experiments: int
    known: float
    new: float
    unkept: float
    exchange: float
    exchange_unkept: float


def revision(experiments: int, *, query: bool = False) -> Revision:
    """Make a revision of one route with so many experiments; with ``query``, their rules ask for a query attribute."""
    arms = [{"name": name, "value": name, "weight": weight} for name, weight in (("off", 95), ("on", 5))]
    tier = "query:tier" if query else "header:x-tier"
    config = {
        "targets": [{"name": "v1", "endpoints": [{"url": "http://127.0.0.1:9"}]}],
        "routes": [
            {
                "name": "ranker",
                "match": {"path": "/v2/models/ranker/"},
                "target": "v1",
                "unit": ["header:x-user-id"],
                "attributes": {"country": "header:x-country", "tier": tier},
            }
        ],
        "experiments": [
            {"name": f"e{number}", "route": "ranker", "flag": f"flag{number}", "eligible": RULE, "arms": arms}
            for number in range(experiments)
        ],
    }
    return path.first_revision(msgspec.convert(config, schema.Config))


def request(unit: str) -> Request:
    """Make a request as the data plane makes it of ``path.REQUEST``."""
    lines = QUERY.partition("\r\n")[2].partition("\r\n\r\n")[0].encode().split(b"\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    fields[b"x-user-id"] = unit.encode()
    return Request("0" * 32, b"POST", b"/v2/models/ranker/infer", b"tier=gold", b"127.0.0.1", "127.0.0.1", fields)


def smallest(rounds: int, prepare: Callable[[], Sequence[Request]], plan: RoutePlan) -> float:
    """Return the CPU time of a decision in µs: the smallest of so many rounds."""
    best = float("inf")
    for _ in range(rounds):
        asked = prepare()
        gc.collect()
        began = time.process_time()
        for each in asked:
            plan.decide(each)
        best = min(best, (time.process_time() - began) / len(asked))
    return best * 1e6


def plan_of(made: Revision) -> tuple[Any, RoutePlan]:
    """Compile the route, and give the table with it: the table owns the decisions that are kept."""
    table = compile_table(made)
    return table, table.routes["ranker"]


def cost(experiments: int, rounds: int) -> Cost:
    """Measure one number of experiments."""
    everybody = [request(f"user-{number}") for number in range(UNITS)]
    fresh = count()
    table, plan = plan_of(revision(experiments))
    other, unkept = plan_of(revision(experiments, query=True))
    for each in everybody:
        assert len(plan.decide(each).enrolments) == len(unkept.decide(each).enrolments) == experiments
    known = smallest(rounds, lambda: everybody, plan)
    new = smallest(rounds, lambda: [request(f"new-{next(fresh)}") for _ in range(BATCH)], plan)
    anew = smallest(rounds, lambda: everybody[:BATCH], unkept)
    del table, other
    exchanges = [
        asyncio.run(path.exchange(revision(experiments, query=query), max(3, rounds // 5), QUERY))
        for query in (False, True)
    ]
    return Cost(experiments, known, new, anew, *exchanges)


def costs(rounds: int) -> Iterator[Cost]:
    """Measure 1, 10 and 50 experiments."""
    for experiments in COUNTS:
        yield cost(experiments, rounds)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="rounds, of which the fastest counts (default 100)")
    options = parser.parse_args()
    print("µs CPU        decide: known      new   unkept   exchange: known   unkept")
    for found in costs(options.rounds):
        print(
            f"{found.experiments:2} experiments {found.known:11.2f} {found.new:8.2f} {found.unkept:8.2f}"
            f" {found.exchange:17.2f} {found.exchange_unkept:8.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
