"""A disk that takes no more: events are lost and counted, decisions are not, and no request notices."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.running import wait_until
from tests.e2e.test_outcomes import post
from tests.faults.load import Load
from tests.faults.site import Site, standing

DISK = "12m"  # the journal holds 8 MiB of it in reserve
OUTCOME = {"id": "a", "outcome": "o", "unit": "u"}
LATER = {**OUTCOME, "id": "b"}
TARGET = "{name: t, endpoints: [{t}], pool: {idle: 1s}}"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no space."""
    with (folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    assert os.statvfs(folder).f_bavail == 0


def save(site: Site, turn: int) -> None:
    """Save a configuration that differs and is larger than a block of the disk; wait until the workers serve it."""
    before = site.router.revision()["number"]
    routes = [f"{{name: r{number}, target: t, match: {{path: /{turn}/{number}}}}}" for number in range(100)]
    site.configure(TARGET, ", ".join(["{name: all, target: t}", *routes]))

    def served() -> bool:
        revision = site.router.revision()
        return bool(revision["number"] == before + 1 and revision["acknowledged"] == revision["workers"])

    wait_until(served, f"revision {before + 1}")


def journaled(site: Site) -> list[int]:
    """Return the numbers of the revisions that are on the disk."""
    lines = (site.events / "journal" / "journal.ndjson").read_bytes().splitlines()
    entries = [json.loads(line)["entry"] for line in lines]
    return [entry["number"] for entry in entries if entry["type"] == "revised"]


def logged(site: Site) -> int:
    """Count the events on the disk; each line of them is whole."""
    return sum(
        len([json.loads(line) for line in path.read_bytes().splitlines()])
        for path in site.events.glob("exchange-*.ndjson")
    )


def test_a_full_disk_costs_counted_events_and_no_decision(tmp_path: Path, disk: Path) -> None:
    """ENOSPC: every request is answered, lost events are counted, the reserve takes a revision, writing resumes.

    Outcomes are refused for now, none of them half, and those of before stay known.
    """
    with standing(tmp_path, "t") as site:
        site.events = disk / "events"
        site.configure(TARGET, "{name: all, target: t}")
        site.start()
        assert post(site.router, OUTCOME)[1]["accepted"] == 1
        before = site.warmed()
        reserve = site.events / "journal" / "reserve"
        assert reserve.exists()
        with Load(site.router.port) as load:
            load.run()
            fill(disk)
            wait_until(lambda: site.metric("router_events_dropped_total") > 100, "events to be dropped")
            save(site, 2)
            assert journaled(site)[-1] == 2
            assert not reserve.exists()
            assert site.metric("router_journal_failed") == 0
            fill(disk)  # what the reserve left over, too
            save(site, 3)  # published although nothing can be written
            assert site.metric("router_journal_failed") == 1
            assert [post(site.router, LATER)[0] for _ in range(2)] == [503, 503]
            assert site.metric("router_outcomes_failed") == 1
            load.run()
            (disk / "filler").unlink()
            least = logged(site) + 100
            wait_until(lambda: logged(site) >= least, "writing to resume")
            save(site, 4)
            assert site.metric("router_journal_failed") == 0
            assert reserve.exists()
            assert post(site.router, [OUTCOME, LATER])[1] | {"refused": 0} == {
                "accepted": 1,
                "duplicate": 1,
                "conflicting": 0,
                "refused": 0,
            }
        assert load.outcomes.failures() == []
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)
        site.router.running.send_signal(signal.SIGTERM)
        assert site.router.wait() == 0
        site.router.start_ready()
        assert site.router.revision()["number"] == 4


def test_files_that_may_not_grow_cost_counted_events(tmp_path: Path) -> None:
    """EFBIG in real workers: every request is answered, lost events are counted, and writing resumes."""
    with standing(tmp_path, "t") as site:
        site.configure(TARGET, "{name: all, target: t}")
        site.start()
        before = site.warmed()
        with Load(site.router.port) as load:
            load.run()
            limits = {}
            for pid in site.workers():
                _, hard = limits[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
            wait_until(lambda: site.metric("router_events_dropped_total") > 100, "events to be dropped")
            load.run()
            for pid, limit in limits.items():
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
            least = logged(site) + 100
            wait_until(lambda: logged(site) >= least, "writing to resume")
        assert load.outcomes.failures() == []
        site.assert_nothing_leaked(before)
