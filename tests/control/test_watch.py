"""Changes of files on a real disk, however they were saved."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import watchfiles

from router.control.watch import Watch, fingerprint

DEADLINE_S = 10.0


@asynccontextmanager
async def _watching(*paths: Path, interval_s: float = 0.05) -> AsyncIterator[asyncio.Queue[frozenset[Path]]]:
    """Follow files; the queue gets what changed."""
    seen: asyncio.Queue[frozenset[Path]] = asyncio.Queue()
    watch = Watch(interval_s)
    watch.follow(paths)
    task = asyncio.create_task(watch.run(seen.put))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(seen: asyncio.Queue[frozenset[Path]]) -> frozenset[Path]:
    async with asyncio.timeout(DEADLINE_S):
        return await seen.get()


def _save_in_place(path: Path) -> None:
    path.write_text("other")


def _save_by_rename(path: Path) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text("other")
    fresh.rename(path)


def _save_as_large(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000)


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _save_with_the_old_time_and_size(path: Path) -> None:
    times = path.stat()
    path.write_text("eno")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "save", [_save_in_place, _save_by_rename, _save_as_large, _remove, _empty, _save_with_the_old_time_and_size]
)
def test_every_way_of_saving_is_noticed(tmp_path: Path, save: Callable[[Path], None]) -> None:
    """Only content counts, so a change is seen whatever the file's name, inode, size or time did."""
    path = tmp_path / "router.yaml"
    path.write_text("one")

    async def run() -> frozenset[Path]:
        async with _watching(path) as seen:
            save(path)
            return await _next(seen)

    assert asyncio.run(run()) == {path}


def test_a_swapped_link_of_kubernetes_is_noticed(tmp_path: Path) -> None:
    """``router.yaml -> ..data/router.yaml`` and ``..data -> ..2026``: only ``..data`` changes, by rename."""
    for version in ("one", "two", "three"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "router.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("..one")
    path = tmp_path / "router.yaml"
    path.symlink_to("..data/router.yaml")

    async def run() -> list[frozenset[Path]]:
        found = []
        async with _watching(path) as seen:
            for version in ("two", "three"):
                (tmp_path / "..data_tmp").symlink_to(f"..{version}")
                (tmp_path / "..data_tmp").rename(tmp_path / "..data")
                found.append(await _next(seen))
        return found

    assert asyncio.run(run()) == [{path}, {path}]


def test_a_link_above_the_folder_is_noticed(tmp_path: Path) -> None:
    """A folder that is itself a link (``current -> release-2``) can be swapped too."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "router.yaml").write_text(version)
    (tmp_path / "current").symlink_to("one")
    path = tmp_path / "current" / "router.yaml"

    async def run() -> frozenset[Path]:
        async with _watching(path) as seen:
            (tmp_path / "next").symlink_to("two")
            (tmp_path / "next").rename(tmp_path / "current")
            return await _next(seen)

    assert asyncio.run(run()) == {path}


def test_a_file_that_appears_is_noticed(tmp_path: Path) -> None:
    """A file that was followed before it existed, in a folder that did not either."""
    path = tmp_path / "later" / "router.yaml"

    async def run() -> frozenset[Path]:
        async with _watching(path) as seen:
            path.parent.mkdir()
            path.write_text("one")
            return await _next(seen)

    assert asyncio.run(run()) == {path}


def test_saving_the_same_bytes_is_no_change(tmp_path: Path) -> None:
    """A touched or rewritten file says nothing; the next other content does."""
    path, other = tmp_path / "router.yaml", tmp_path / "tls.crt"
    path.write_text("one")
    other.write_text("one")

    async def run() -> frozenset[Path]:
        async with _watching(path, other) as seen:
            path.write_text("one")
            path.touch()
            other.write_text("two")
            return await _next(seen)

    assert asyncio.run(run()) == {other}


def test_changes_are_seen_without_the_systems_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where notices cannot be had, looking at intervals goes on."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(watchfiles, "awatch", fail)
    path = tmp_path / "router.yaml"
    path.write_text("one")

    async def run() -> frozenset[Path]:
        async with _watching(path) as seen:
            path.write_text("two")
            return await _next(seen)

    assert asyncio.run(run()) == {path}


def test_notices_cut_a_long_interval_short(tmp_path: Path) -> None:
    """The system's notices are used: with an interval of an hour, changes are still seen."""
    path = tmp_path / "router.yaml"
    path.write_text("one")

    async def save_until_seen(seen: asyncio.Queue[frozenset[Path]]) -> None:
        # Saved again and again, because nothing says when the system has begun to give notice.
        async with asyncio.timeout(DEADLINE_S):
            while seen.empty():
                path.write_text(os.urandom(8).hex())
                await asyncio.sleep(0.05)

    async def run() -> None:
        async with _watching(path, interval_s=3600) as seen:
            await save_until_seen(seen)
            while not seen.empty():
                seen.get_nowait()
            await save_until_seen(seen)

    asyncio.run(run())


def test_following_says_when_a_file_is_new() -> None:
    """The caller is told to read again what may have changed before it was followed."""

    async def run() -> list[bool]:
        watch = Watch()
        return [watch.follow([Path("a")]), watch.follow([Path("a")]), watch.follow([Path("a"), Path("b")])]

    assert asyncio.run(run()) == [True, False, True]


def test_unreadable_files_differ_from_empty_ones(tmp_path: Path) -> None:
    """A file that vanishes is a change, and one that cannot be read is not mistaken for an empty one."""
    (tmp_path / "empty").touch()
    assert fingerprint(tmp_path / "empty") != fingerprint(tmp_path / "none")


def test_a_folder_changes_with_its_names(tmp_path: Path) -> None:
    """A file that is put beside the others may be the one to read from now on."""
    before = fingerprint(tmp_path)
    (tmp_path / "global.yaml").touch()
    assert fingerprint(tmp_path) != before
