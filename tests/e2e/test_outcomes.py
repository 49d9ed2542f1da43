"""Outcomes survive what kills the process that takes them."""

import http.client
import json
import os
import signal
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from router.archive.reading import open_archive
from router.events.outcomes import connect, rows
from router.events.read import read
from tests.e2e.running import DEADLINE_S, Router, running, wait_until

CALLERS = 3
KILLS = 3
BATCH = 20


def post(router: Router, outcomes: Any) -> tuple[int, dict[str, Any]]:
    """Send outcomes; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=DEADLINE_S)
    try:
        connection.request("POST", "/v1/outcomes", json.dumps(outcomes), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def accepted(router: Router) -> float:
    """Return how many were accepted, as the metrics say, over all control processes."""
    lines = router.ask("/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith('router_outcomes_total{fate="accepted"}')).split()[1])


class Caller(threading.Thread):
    """Sends batches, the same again until it is acknowledged, until told to end."""

    def __init__(self, router: Router, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.router = router
        self.ending = threading.Event()
        self.acknowledged: list[str] = []
        self.fresh = 0  # accepted, as far as answers came
        self.failures = 0

    def run(self) -> None:
        """Send."""
        number = 0
        while not self.ending.is_set():
            number += 1
            idents = [f"{self.name}-{number}-{place}" for place in range(BATCH)]
            while not self.send(idents):
                self.failures += 1
                if self.ending.wait(0.02):
                    return
            self.acknowledged += idents

    def send(self, idents: list[str]) -> bool:
        """Send a batch; return whether it was acknowledged."""
        try:
            status, body = post(self.router, [{"id": ident, "outcome": "o", "unit": "u"} for ident in idents])
        except (OSError, http.client.HTTPException, ValueError):
            return False
        self.fresh += body["accepted"] if status == 200 else 0
        return status == 200


def progress(callers: list[Caller], batches: int) -> None:
    """Wait until so many more batches are acknowledged."""

    def total() -> int:
        return sum(len(caller.acknowledged) for caller in callers)

    goal = total() + batches * BATCH
    wait_until(lambda: total() >= goal, "acknowledgements")


def test_a_kill_loses_nothing_acknowledged_and_counts_nothing_twice(tmp_path: Path) -> None:
    """`kill -9` of the control process, again and again, under callers that repeat: all is there, once.

    No batch is there in part, and the counters go on where they were.
    """
    with running(tmp_path) as (router, _):
        callers = [Caller(router, f"caller{number}") for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        for _ in range(KILLS):
            progress(callers, 10)
            os.kill(router.child("control"), signal.SIGKILL)
        wait_until(router.ready, "a new control process")
        progress(callers, 1)
        for caller in callers:
            caller.ending.set()
        for caller in callers:
            caller.join(DEADLINE_S)
        assert sum(caller.failures for caller in callers) >= KILLS
        acknowledged = [ident for caller in callers for ident in caller.acknowledged]
        again = [{"id": ident, "outcome": "o", "unit": "u"} for ident in acknowledged[-BATCH:]]
        assert post(router, again)[1]["duplicate"] == BATCH
        assert accepted(router) >= sum(caller.fresh for caller in callers)
    found: Counter[str] = Counter()
    with closing(connect(tmp_path / "events")) as connection:
        after = 0
        while some := rows(connection, after):
            found.update(row.id for row in some)
            after = some[-1].seq
    assert set(acknowledged) <= found.keys()
    assert set(found.values()) == {1}
    whole = Counter(ident.rpartition("-")[0] for ident in found)
    assert set(whole.values()) == {BATCH}


def test_an_outcome_finds_its_exposure_by_each_of_its_keys(tmp_path: Path) -> None:
    """What a caller was handed, a request's id and the unit all lead to the exposure, in archive and live events."""
    keys = tmp_path / "keys"
    keys.write_text(f"{'a' * 43}=\n")
    server = f"signing: {{keys_file: '{keys}'}}, expose: [request-id, assignment]"
    with running(tmp_path, {"old": 50, "new": 50}, server=server) as (router, _):
        sent = [outcome for number in range(5) for outcome in outcomes_of(router, f"user-{number}")]
        assert post(router, sent)[1]["accepted"] == len(sent)
        wait_until(lambda: len(list(read(tmp_path / "events"))) == 5, "the exposures")
        with open_archive(tmp_path / "events") as archive:
            found = archive.connection.execute(MATCHED).fetchall()
    assert len(found) == len(sent)
    assert all(ident.startswith(f"{user}-") for ident, user in found)


MATCHED = """
SELECT o.id, e.unit FROM outcomes o JOIN exposures e ON CASE o.keyed
    WHEN 'assignment' THEN (o.experiment, o.run, o.unit_hash) = (e.experiment, e.run, e.unit_hash)
    WHEN 'request_id' THEN o.request_id = e.request_id
    ELSE o.unit = e.unit END
"""


def outcomes_of(router: Router, user: str) -> list[dict[str, Any]]:
    """Be exposed as a user; return an outcome by each key."""
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/", headers={"x-user-id": user})
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    keyed = {
        "assignment": response.headers["x-router-assignment"],
        "request_id": response.headers["x-request-id"],
        "unit": user,
    }
    return [{"id": f"{user}-{name}", "outcome": "click", name: value} for name, value in keyed.items()]
