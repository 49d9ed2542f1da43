"""Flags of a whole router: over OFREP, through the proxy, over a restart of the control process, to the end."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.running import Model, Router, wait_until

FLAGS: dict[str, Any] = {
    "flags": {
        "depth": {"state": "ENABLED", "variants": {"low": 1, "high": 9}, "defaultVariant": "low"},
        "seen": {
            "state": "ENABLED",
            "variants": {"yes": True, "no": False},
            "defaultVariant": "no",
            "targeting": {"if": [{"sem_ver": [{"var": "v"}, ">", "1.0.0"]}, "yes"]},
        },
    }
}
EXPERIMENT = (
    "flags: {files: [flags.json]}\n"
    "experiments: [{name: depths, route: r, flag: depth, "
    "arms: [{name: two, value: 2, weight: 1}, {name: seven, value: 7, weight: 1}]}]\n"
)


def write(router: Router, **depth: Any) -> None:
    """Write the flag file, with some keys of a flag changed."""
    flags = {**FLAGS["flags"], "depth": {**FLAGS["flags"]["depth"], **depth}}
    (router.folder / "flags.json").write_text(json.dumps({"flags": flags}))


def ask(router: Router, key: str, unit: str, **context: Any) -> dict[str, Any]:
    """Evaluate a flag."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=10)
    body = json.dumps({"context": {"targetingKey": unit, **context}})
    connection.request("POST", f"/ofrep/v1/evaluate/flags/{key}", body, {"content-type": "application/json"})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@contextmanager
def listening(router: Router) -> Iterator[http.client.HTTPResponse]:
    """Open a change stream and read how it begins."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=10)
    try:
        connection.request("GET", "/ofrep/v1/events")
        with connection.getresponse() as stream:
            assert stream.readline().startswith(b"retry:")
            yield stream
    finally:
        connection.close()


def test_flags_live_as_long_as_the_router_does(tmp_path: Path) -> None:
    """Asked, edited, broken, asked again after the control process was killed; an open stream ends in good order."""
    with Model("a") as model:
        router = Router(tmp_path)
        write(router)
        router.config.write_text(router.yaml({"a": model.url}, {}) + EXPERIMENT)
        try:
            router.start_ready()
            assert {ask(router, "depth", f"u{number}")["value"] for number in range(20)} == {2, 7}
            with listening(router) as stream:
                (tmp_path / "flags.json").write_text("{")
                wait_until(lambda: "flags.json:1: is not JSON" in router.said(), "the refusal")
                write(router, metadata={"edited": True})
                assert any(b'"refetchEvaluation"' in line for line in iter(stream.readline, b""))

            assert ask(router, "seen", "u", v="no version")["reason"] == "UNKNOWN"
            assert "SemVer" not in router.said()  # the core's own words about what callers send

            (tmp_path / "flags.json").write_text("{")
            killed = router.child("control")
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: next((pid for pid in router.children("control") if pid != killed), 0), "a successor")
            assert wait_until(lambda: ask(router, "depth", "u1"), "an answer")["reason"] == "SPLIT"
            assert ask(router, "seen", "u")["value"] is False

            with listening(router) as stream:
                router.running.send_signal(signal.SIGTERM)
                assert router.wait() == 0
                stream.read()  # raises IncompleteRead of a stream that was cut
        finally:
            router.close()
