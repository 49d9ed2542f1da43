"""Revisions, tables and requests for the tests of routing, in few words."""

from collections.abc import Mapping
from typing import Any

from msgspec import convert

from router import counters
from router.config.schema import Config
from router.events.model import Revision, Run
from router.routing.request import Request
from router.routing.table import Table, compile_table

TARGETS = ("t0", "t1", "t2", "t3")


def revision(
    routes: list[dict[str, Any]],
    experiments: list[dict[str, Any]] | None = None,
    overrides: list[dict[str, Any]] | None = None,
    weights: Mapping[str, Mapping[str, float]] | None = None,
    time: float = 0.0,
    **more: Any,
) -> Revision:
    """Make a revision; routes serve ``t0`` unless they say otherwise, weights are the configuration's unless given.

    ``more`` are further keys of the configuration.
    """
    plain = {
        "targets": [{"name": name, "endpoints": [{"url": "http://127.0.0.1:1"}]} for name in TARGETS],
        "routes": [{"target": "t0", **route} for route in routes],
        "experiments": experiments or [],
        "overrides": overrides or [],
        **more,
    }
    config = convert(plain, Config)
    runs = {item.name: Run(number=3, phase=2, epoch=1) for item in config.experiments}
    made = {item.name: {arm.name: arm.weight for arm in item.arms} for item in config.experiments}
    made.update({name: dict(given) for name, given in (weights or {}).items()})
    slots = counters.allocate({}, counters.row_keys(config, runs))
    return Revision(
        number=7,
        time=time,
        cause="start",
        author="test",
        digest="",
        config=config,
        weights=made,
        runs=runs,
        slots=slots,
    )


def table(*args: Any, **more: Any) -> Table:
    """Make and compile a revision."""
    return compile_table(revision(*args, **more))


def request(path: str = "/", **more: Any) -> Request:
    """Make a request; ``path`` may have a query, ``headers`` is a map of text."""
    headers = more.pop("headers", {})
    before, _, query = path.partition("?")
    given: dict[str, Any] = {
        "id": "0123456789abcdef" * 2,
        "method": b"POST",
        "path": before.encode("latin-1"),
        "query": query.encode("latin-1"),
        "host": b"localhost",
        "client": "192.0.2.7",
        "fields": {
            name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in headers.items()
        },
        **more,
    }
    return Request(**given)
