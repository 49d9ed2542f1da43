"""CPU time of one exchange's Python, without sockets: `python -m benchmarks.path`.

Responsible for: the number that shows whether a trick on the request path pays, on a machine too noisy for load tests.
Does not know: system calls; `benchmarks.quick` measures those as well.

The real data plane runs between two scripted transports: a POST with 13 header fields and 130 bytes is received,
decided (a 95/5 experiment) and sent, and an answer of 487 bytes received, sent and recorded. The smallest of many
rounds counts, in CPU time of the process. A request to two rankers takes a turn of the event loop, which is in its
number, and a list of ten items from each.
"""

import argparse
import asyncio
import os
import sys
import time
from typing import Any

import msgspec
from msgspec.structs import replace

from router import counters
from router.config import schema
from router.events.model import Event, Exchange, Revision, Run
from router.proxy.server import Server
from router.proxy.upstream import Upstream
from router.segment import Segment

REQUESTS = 1000
REQUEST = (
    "POST /v2/models/ranker/infer HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
    "Accept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\nx-user-id: user-{n}\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx-country: DE\r\nx-tier: gold\r\n"
    "authorization: Bearer 0123456789abcdefghij\r\nx-team: ranking\r\nContent-Length: 130\r\n\r\n" + "x" * 130
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: model\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 487\r\n\r\n" + b"y" * 487
)

METRICS: list[dict[str, Any]] = [
    {"name": "gpu", "kind": "mean", "goal": "down", "exchange": "header:x-gpu-seconds"},
    {"name": "flagged", "kind": "proportion", "goal": "down", "exchange": "json:/safety/flagged"},
]
MEASURED = {"primary": "gpu", "secondary": ["flagged"]}
REWARDED = (
    b"HTTP/1.1 200 OK\r\nServer: model\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"x-gpu-seconds: 0.125\r\nContent-Length: 488\r\n\r\n"
    b'{"scores": [' + b"0.25, " * 74 + b'1],"safety": {"flagged": false}}'
)

RANKED = (
    b"HTTP/1.1 200 OK\r\nServer: model\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 519\r\n\r\n"
    b'{"query": "x", "items": ['
    + b", ".join(b'{"id": "item-%02d", "score": 0.%06d}' % (n, 999 - n) for n in range(13))
    + b"]}"
)


class Wire:
    """A transport that takes everything and sends nothing."""

    def __init__(self) -> None:
        self._idle = os.pipe()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return an address, and this as the socket."""
        return {"peername": ("127.0.0.1", 1), "socket": self}.get(name, default)

    def fileno(self) -> int:
        """Return a descriptor that is never readable."""
        return self._idle[0]

    def set_write_buffer_limits(self, high: int) -> None:
        """Take any."""

    def get_write_buffer_size(self) -> int:
        """Return that all is sent."""
        return 0

    def is_closing(self) -> bool:
        """Return that it is open."""
        return False

    def write(self, data: bytes) -> None:
        """Take bytes."""


class Log:
    """An event log that counts."""

    def __init__(self) -> None:
        self.events = 0

    def append(self, event: Event) -> None:
        """Count an event."""
        self.events += 1 if isinstance(event, Exchange) and event.experiments else 0


def revision(routes: int, experiments: int, *, mirror: bool, sample: float | None) -> Revision:
    """Make a revision with so many routes, the last of them the one that is asked for, with an experiment.

    With a ``sample`` the experiment has a reward in a header field and one in that share of bodies.
    """
    shadow = [{"target": "v3", "share": 1, "compare": {}}] if mirror else []
    names = [f"model-{number:04d}" for number in range(routes - 1)] + ["ranker"]
    arms = [{"name": name, "target": name, "weight": weight} for name, weight in (("v1", 95), ("v2", 5))]
    config = msgspec.convert(
        {
            "targets": [{"name": name, "endpoints": [{"url": "http://127.0.0.1:9"}]} for name in ("v1", "v2", "v3")],
            "routes": [
                {
                    "name": name,
                    "match": {"path": f"/v2/models/{name}/"},
                    "target": "v1",
                    "unit": ["header:x-user-id"],
                    "shadow": shadow,
                }
                for name in names
            ],
            "metrics": METRICS if sample is None else [METRICS[0], {**METRICS[1], "sample": sample}],
            "experiments": [
                {"name": name, "route": name, "arms": arms, "metrics": None if sample is None else MEASURED}
                for name in names[-experiments:]
            ],
        },
        schema.Config,
    )
    return first_revision(config)


def first_revision(config: schema.Config) -> Revision:
    """Make the revision that a router which never ran begins with."""
    runs = {experiment.name: Run(number=1, phase=1, epoch=1) for experiment in config.experiments}
    weights = {e.name: {arm.name: arm.weight for arm in e.arms} for e in config.experiments}
    return Revision(
        number=1, time=0.0, cause="start", author="bench", digest="", config=config, weights=weights, runs=runs,
        slots=counters.allocate({}, counters.row_keys(config, runs)),
    )  # fmt: skip


async def measure(
    routes: int, experiments: int, rounds: int, *, mirror: bool = False, sample: float | None = None
) -> float:
    """Return the CPU time of an exchange in µs."""
    made = revision(routes, experiments, mirror=mirror, sample=sample)
    return await exchange(made, rounds, answer=ANSWER if sample is None else REWARDED)


async def interleaved(rounds: int) -> float:
    """Return the CPU time of a request to two rankers in µs."""
    made = revision(1, 1, mirror=False, sample=None)
    (one,) = made.config.experiments
    merged = replace(one, allocate=schema.Allocate(use="interleave", list="/items", id="/id"))
    return await exchange(first_revision(replace(made.config, experiments=(merged,))), rounds, answer=RANKED)


async def exchange(made: Revision, rounds: int, request: str = REQUEST, answer: bytes = ANSWER) -> float:
    """Return the CPU time of an exchange in µs; every one of them has to be in an experiment.

    Args:
        made: The revision that is served.
        rounds: How often 1,000 exchanges are measured; the fastest round counts.
        request: What is sent; ``{n}`` is the number of the user, of 1,000.
        answer: What comes back.
    """
    log = Log()
    server = Server(made, [Segment.create(1).block(0)], 0, log)
    caller = server.accept()
    wire: Any = Wire()
    caller.connection_made(wire)
    turns = bool(made.config.experiments) and made.config.experiments[0].allocate.use == "interleave"
    kept = []
    for pool in (*server.pools.values(), *server.shadows.pools.values()):
        endpoint = pool.endpoints[0]
        upstream = Upstream(lambda _: None)
        upstream.connection_made(wire)
        endpoint.give_back(upstream, time.monotonic())
        kept.append(upstream)
    requests = [request.format(n=number).encode() for number in range(REQUESTS)]
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for sent in requests:
            caller.data_received(sent)
            server.uncork()
            for upstream in kept:
                if upstream.user is not None:
                    upstream.data_received(answer)
            if turns:
                await asyncio.sleep(0)
            server.uncork()
        while server.rewards.held:
            server.rewards.tick()
        best = min(best, time.process_time() - began)
        await asyncio.sleep(0)
    assert log.events == rounds * REQUESTS
    return best / REQUESTS * 1e6


def main() -> int:
    """Measure small and large tables and print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="rounds of 1,000 exchanges (default 50)")
    options = parser.parse_args()
    small = asyncio.run(measure(1, 1, options.rounds))
    large = asyncio.run(measure(1000, 100, options.rounds))
    mirrored = asyncio.run(measure(1, 1, options.rounds, mirror=True))
    header = asyncio.run(measure(1, 1, options.rounds, sample=0.0))
    bodies = asyncio.run(measure(1, 1, options.rounds, sample=1.0))
    merged = asyncio.run(interleaved(options.rounds))
    print(f"1 route, 1 experiment:          {small:6.2f} µs CPU an exchange, without system calls")
    print(f"1,000 routes, 100 experiments:  {large:6.2f} µs ({large / small:.2f} times)")
    print(f"every request mirrored:         {mirrored:6.2f} µs ({mirrored / small:.2f} times)")
    print(f"a reward in a header field:     {header:6.2f} µs ({header / small:.2f} times)")
    print(f"and one in every body:          {bodies:6.2f} µs ({bodies / small:.2f} times)")
    print(f"two rankers, interleaved:       {merged:6.2f} µs ({merged / small:.2f} times)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
