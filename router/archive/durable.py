"""Files that are whole or not there, whenever the power goes.

Responsible for: the order of writing, syncing and renaming.
Does not know: what the files are for.

Rules: a name is durable once its folder is synced; until then a rename or a removal may be undone by a power cut.
"""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, durably; none that is there is touched."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o750, exist_ok=True)
    sync(path.parent)


def place(staged: Path, path: Path) -> None:
    """Give a file that was written under another name its own, durably; its folder must exist."""
    sync(staged)
    staged.replace(path)
    sync(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a small file, or replace it, in one step."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_bytes(content)
    place(staged, path)
