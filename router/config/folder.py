"""A configuration as files: one file, or a folder with a file for each region and each cluster.

Responsible for: which files there are, which of them make up the configuration of a site, and reading them as of one
moment.
Does not know: YAML, how files are merged (``merge``).

Rules: ``global.yaml`` (or ``router.yaml``) → ``regions/REGION.yaml`` → ``clusters/CLUSTER.yaml`` → ``overrides.yaml``.
A region or cluster that was asked for and has no file, where others have, is a mistake and never the global
configuration. Files are read until two readings in a row agree, so that a folder whose ``..data`` is swapped meanwhile
is read before or after, not both.
"""

import difflib
import pwd
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from router.config import document
from router.config.mistake import ConfigError, Mistakes, show

MAX_FILES: Final = 1000
_BASES: Final = ("global.yaml", "router.yaml")
_OVERRIDES: Final = "overrides.yaml"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_READINGS: Final = 5


class Site(NamedTuple):
    """Where a router runs, or a request belongs: a region and a cluster; None is no particular one."""

    region: str | None = None
    cluster: str | None = None

    def __str__(self) -> str:
        named = (("region", self.region), ("cluster", self.cluster))
        return ", ".join(f"{what} {name}" for what, name in named if name is not None) or "no region or cluster"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a configuration.

    Attributes:
        base: the uppermost file.
        regions: region to its file.
        clusters: cluster to its file.
        overrides: the lowest file, if there is one.
        folders: the folders in which a file may appear; empty when the configuration is one file.
    """

    base: Path
    regions: Mapping[str, Path] = field(default_factory=dict)
    clusters: Mapping[str, Path] = field(default_factory=dict)
    overrides: Path | None = None
    folders: tuple[Path, ...] = ()

    def files(self, site: Site) -> tuple[Path, ...]:
        """Give the files that make up the configuration of a site, the uppermost first."""
        region = self.regions.get(site.region) if site.region is not None else None
        cluster = self.clusters.get(site.cluster) if site.cluster is not None else None
        return tuple(file for file in (self.base, region, cluster, self.overrides) if file is not None)

    def every(self) -> tuple[Path, ...]:
        """Give all files."""
        lowest = () if self.overrides is None else (self.overrides,)
        return (self.base, *self.regions.values(), *self.clusters.values(), *lowest)

    def sites(self) -> tuple[Site, ...]:
        """Give every combination of a region, or none, and a cluster, or none."""
        regions, clusters = (None, *self.regions), (None, *self.clusters)
        return tuple(Site(region, cluster) for region in regions for cluster in clusters)

    def check(self, site: Site) -> None:
        """Refuse a site that somebody asked for and that has no file, where others have one.

        Raises:
            ConfigError: If it has none.
        """
        for what, name, known in (("region", site.region, self.regions), ("cluster", site.cluster, self.clusters)):
            folder = self.base.parent / f"{what}s"
            if name is None or name in known or folder not in self.folders:
                continue
            near = difflib.get_close_matches(name, known, 1)
            there = f"there are: {', '.join(sorted(known)[:10])}" if known else "there is none"
            hint = f"did you mean {show(near[0])}?" if near else there
            raise Mistakes(str(folder)).fatal(0, "", f"there is no {name}.yaml for {what} {show(name)}; {hint}")


def survey(path: Path) -> Folder:
    """Find the files that a path given by a user means.

    Raises:
        ConfigError: If a folder holds no configuration, or one that is not clear.
    """
    try:
        if not path.is_dir():
            return Folder(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    found = [path / name for name in _BASES if (path / name).exists()]
    if len(found) != 1:
        which = "both global.yaml and router.yaml; keep one" if found else "neither global.yaml nor router.yaml"
        raise Mistakes(str(path)).fatal(0, "", f"the folder holds {which}")
    overrides = path / _OVERRIDES
    below = [folder for folder in (path / "regions", path / "clusters") if folder.is_dir()]
    named = {folder.name: _named(folder) for folder in below}
    return Folder(
        found[0],
        MappingProxyType(named.get("regions", {})),
        MappingProxyType(named.get("clusters", {})),
        overrides if overrides.exists() else None,
        (path, *below),
    )


def _named(folder: Path) -> dict[str, Path]:
    """Give the files of a folder by what they are called; hidden ones and other kinds are none of ours."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from error
    files: dict[str, Path] = {}
    for name in names:
        stem, _, suffix = name.rpartition(".")
        if suffix not in ("yaml", "yml"):
            continue
        if suffix == "yml" or not _NAME.fullmatch(stem):
            raise Mistakes(str(folder / name)).fatal(0, "", "is not called NAME.yaml, so it would not be read")
        files[stem] = folder / name
    if len(files) > MAX_FILES:
        raise Mistakes(str(folder)).fatal(0, "", f"holds more than {MAX_FILES} files")
    return files


def read(files: Iterable[Path]) -> dict[Path, bytes]:
    """Read files as of one moment.

    Raises:
        ConfigError: If one cannot be read, or they do not come to rest.
    """
    wanted = tuple(files)
    before = {file: _bytes(file) for file in wanted}
    if len(wanted) == 1:
        return before
    for _ in range(_READINGS):
        after = {file: _bytes(file) for file in wanted}
        if after == before:
            return after
        before = after
    raise Mistakes(str(wanted[0])).fatal(0, "", "the files of the folder keep changing while they are read")


def owner(file: Path) -> str:
    """Give the user that a file belongs to: a name, or a number where there is none."""
    try:
        uid = file.stat().st_uid
    except OSError:
        return "unknown"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(document.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return Mistakes(str(path)).fatal(0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}")
