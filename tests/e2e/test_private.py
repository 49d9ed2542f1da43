"""What a running router leaves where other users of the machine could look."""

import os
import stat
from pathlib import Path

from tests.e2e.running import running


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP))


def test_files_of_a_router_are_not_for_other_users(tmp_path: Path) -> None:
    """The run directory is this user's alone; journal and event log can be read by the group at most."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    before = os.umask(0)
    try:
        with running(tmp_path, environment={"TMPDIR": str(temporary)}) as (router, _):
            router.served()
            (run_dir,) = temporary.glob("router-*")
            assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
            found = list((tmp_path / "events" / "journal").iterdir())
            assert found
            assert [path for path in found if _open_to_others(path)] == []
    finally:
        os.umask(before)


def test_shared_memory_has_no_name(tmp_path: Path) -> None:
    """Counters are inherited by descriptor: no other process of the machine finds them in a file system."""
    with running(tmp_path) as (router, _):
        maps = Path(f"/proc/{router.children('worker')[0]}/maps").read_text()
        assert "/memfd:router-counters (deleted)" in maps
