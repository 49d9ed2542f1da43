"""A new configuration while requests are in flight: nobody notices."""

import contextlib
import threading
from pathlib import Path

import pytest
import trustme

from tests.harness import Connection, Proxy, Target, revision_of, simple_yaml, wait_until
from tests.hostile.wire import CHUNKED, LOG_ALL, OK, head, post


def test_an_exchange_keeps_its_table(proxy: Proxy, target: Target) -> None:
    """An exchange lives to its end on the revision that it began with; the next is on the new one (DESIGN 2)."""
    with Target() as other, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        proxy.swap(simple_yaml(other.url) + LOG_ALL)
        connection.send(CHUNKED + b"2\r\nok\r\n", b"0\r\n\r\n")
        assert caller.response().body == b"2\r\nok\r\n0\r\n\r\n"
        other.answer(OK)
        caller.send(head())
        assert caller.response().body == b"ok"
        assert [event.revision for event in proxy.log.events] == [1, 2]
        assert len(other.requests) == 1


def test_endpoints_that_stay_keep_their_connections(proxy: Proxy, target: Target) -> None:
    """A reload that leaves an endpoint as it is costs it no connection (DESIGN 8)."""
    target.answer(OK, times=2)
    with Target() as other, proxy.caller() as caller:
        caller.send(head())
        assert caller.response().status == 200
        both = simple_yaml(target.url).replace("targets: [", f"targets: [{{name: u, endpoints: ['{other.url}']}}, ")
        proxy.swap(both)
        caller.send(head())
        assert caller.response().status == 200
    assert proxy.connects() == 1


def test_connections_of_a_removed_endpoint_close(proxy: Proxy, target: Target) -> None:
    """Idle connections of an endpoint that is gone close at once, busy ones after their exchange (DESIGN 8)."""
    with Target() as other, proxy.caller() as busy, proxy.caller() as idle:
        busy.send(head())
        at_work = target.accept()
        at_work.read_request()
        idle.send(head())
        at_rest = target.accept()
        at_rest.read_request()
        at_rest.send(OK)
        assert idle.response().status == 200
        proxy.swap(simple_yaml(other.url))
        assert at_rest.ended()
        at_work.send(OK)
        assert busy.response().status == 200
        assert at_work.ended()


def renamed(target: Target) -> str:
    """A configuration in which the target has another name."""
    return simple_yaml(target.url).replace("name: t,", "name: other,").replace("target: t", "target: other") + LOG_ALL


def test_a_target_that_is_gone_serves_what_was_gathered_for_it(target: Target) -> None:
    """A request whose body was being gathered when its target was removed is still served (DESIGN 9.1)."""
    routes = ("{name: all, target: t, unit: ['json:/user']}",)
    with Target() as other, Proxy(simple_yaml(target.url, routes=routes) + LOG_ALL) as proxy, proxy.caller() as caller:
        request = post(b'{"user": "u"}')
        caller.send(request[:-3])
        wait_until(lambda: any(c.exchange for c in proxy.server.connections), "the exchange")
        proxy.swap(renamed(other))
        target.answer(OK)
        other.answer(OK)
        caller.send(request[-3:])
        assert caller.response().status == 200


def test_a_target_that_is_gone_serves_the_retry(proxy: Proxy, target: Target) -> None:
    """A retry that falls behind the removal of its target still succeeds (DESIGN 9.1)."""
    with Target() as other, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        assert caller.response().status == 200
        caller.send(head())
        connection.read_request()
        proxy.swap(renamed(other))
        target.answer(OK)
        other.answer(OK)
        connection.close()
        assert caller.response().status == 200


def test_requests_that_wait_for_a_removed_endpoint_are_served(target: Target) -> None:
    """A request in the queue of an endpoint that a reload removes does not fail (DESIGN 9.1)."""
    yaml = simple_yaml(target.url, "pool: {max: 1}")
    with Target() as other, Proxy(yaml) as proxy, proxy.caller() as first, proxy.caller() as second:
        first.send(head())
        connection = target.accept()
        connection.read_request()
        second.send(head(start=b"GET /second HTTP/1.1"))
        wait_until(lambda: proxy.inflight() == 2, "the second exchange")
        target.answer(OK)
        other.answer(OK)
        proxy.swap(simple_yaml(other.url, "pool: {max: 1}"))
        connection.send(OK)
        assert first.response().status == 200

        def serve() -> None:
            with contextlib.suppress(OSError, EOFError):
                connection.read_request()
                connection.send(OK)

        threading.Thread(target=serve, daemon=True).start()  # the second may come on the connection that is free now
        assert second.response().status == 200


def test_limits_and_time_outs_follow(proxy: Proxy, target: Target) -> None:
    """New limits hold for the next request on a connection that is already there (DESIGN 8)."""
    with proxy.caller() as caller:
        target.answer(OK)
        caller.send(post(b"x" * 2000))
        assert caller.response().status == 200
        proxy.swap(simple_yaml(target.url, server="limits: {body_bytes: 1KiB}"))
        caller.send(post(b"x" * 2000))
        assert caller.response().status == 413


def test_a_revision_that_cannot_be_used_changes_nothing(proxy: Proxy, target: Target, tmp_path: Path) -> None:
    """When a certificate of the new revision cannot be read, the one before stays in force, whole (DESIGN 8)."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    with Target() as other, proxy.caller() as caller:
        bad = revision_of(
            f"targets: [{{name: t, endpoints: ['{other.url}']}},"
            f" {{name: u, endpoints: ['https://127.0.0.1:1'], tls: {{ca: '{ca}'}}}}]\n"
            "routes: [{name: all, target: t}]\n",
            2,
            proxy.revision.slots,
        )
        ca.unlink()
        with pytest.raises(OSError, match=r"ca\.pem|No such file"):
            proxy.call(proxy.server.swap, bad)
        target.answer(OK)
        other.answer(OK)
        caller.send(head())
        assert caller.response().status == 200
        assert (len(target.requests), len(other.requests)) == (1, 0)
        assert proxy.server.table.number == 1


def test_requests_never_fail_under_constant_reloads(proxy: Proxy, target: Target) -> None:
    """Requests one after another all succeed while the configuration changes under each (DESIGN 9.1)."""
    with Target() as other, proxy.caller() as caller:
        target.answer(OK, times=100)
        other.answer(OK, times=100)
        for index in range(60):
            caller.send(head())
            proxy.swap(simple_yaml((other if index % 2 else target).url))
            assert caller.response().status == 200
        with contextlib.suppress(OSError):
            caller.close()
    assert len(target.requests) + len(other.requests) == 60


@pytest.mark.parametrize("state", ["idle", "busy", "half a head"])
def test_drain(proxy: Proxy, target: Target, state: str) -> None:
    """A drain closes idle connections, and lets requests under way end, with ``Connection: close`` (issue, item 5)."""
    with proxy.caller() as caller:
        connection: Connection | None = None
        if state == "busy":
            caller.send(head())
            connection = target.accept()
            connection.read_request()
        elif state == "half a head":
            caller.send(head()[:-2])
            wait_until(lambda: any(c.held for c in proxy.server.connections), "half a head")
        else:
            wait_until(lambda: proxy.server.connections, "the connection")
        proxy.call(proxy.server.drain)
        if state == "idle":
            assert caller.rest() == b""
            return
        if connection is None:
            caller.send(b"\r\n")
            connection = target.accept()
            connection.read_request()
        connection.send(OK)
        response = caller.response()
        assert (response.status, response.field(b"connection")) == (200, [b"close"])
        assert caller.rest() == b""
