"""A router seals its own event log while it serves, and a killed control process costs no row and doubles none.

The same events go to a sink, each at least once.
"""

import json
import os
import signal
from pathlib import Path

from router.archive.layout import find_parts
from router.archive.reading import open_archive
from tests.e2e.running import Router, running, wait_until


def _rows(router: Router) -> int:
    with open_archive(router.folder / "events") as archive:
        found = archive.connection.execute("SELECT count(*), count(DISTINCT exchange) FROM exposures").fetchall()[0]
    assert found[0] == found[1]
    return int(found[0])


def _printed(router: Router) -> set[str]:
    """Return the ids of the exchanges on standard output, which is in the log here."""
    lines = (line for line in router.log.read_bytes().splitlines() if line.startswith(b"{"))
    return {json.loads(line)["id"] for line in lines}


def test_every_exchange_is_once_in_the_archive_or_in_live_segments(tmp_path: Path) -> None:
    """Whenever one looks: through sealing, and through kills of the process that seals."""
    with running(tmp_path, {"old": 50.0, "new": 50.0}) as (router, _):
        more = "events: {rotate: {age: 1s}, sinks: [{use: stdout}], dir:"
        router.config.write_text(router.config.read_text().replace("events: {dir:", more))
        wait_until((router.folder / "events" / "sinks" / "stdout.json").exists, "the sink")
        sent = 0

        def sealed() -> bool:
            nonlocal sent
            assert router.served(f"user-{sent % 10}")[0] == 200
            sent += 1
            return len(find_parts(router.folder / "events")) > before

        for kill in (False, True):
            before = len(find_parts(router.folder / "events"))
            if kill:
                os.kill(router.child("control"), signal.SIGKILL)
            wait_until(sealed, "parts")
            wait_until(lambda: _rows(router) == sent, "all rows")
        assert sent > 10
        wait_until(lambda: len(_printed(router)) == sent, "all events on standard output")
