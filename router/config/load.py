"""A file or a folder to a configuration, or to every mistake in it.

Responsible for: the order of the steps, and what a loaded configuration carries besides its values: files, digest,
origins.
Does not know: when to load again, what to do with a mistake, which files a folder has (``folder``), how they are merged
(``merge``).

Rules: all or nothing, and everything wrong is said at once, each mistake once, in the file where it is.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import inspect

from router.config import document, evaluators, references, sites
from router.config.document import Node
from router.config.flag_references import read_flags
from router.config.folder import Folder, Site, owner, read, survey
from router.config.merge import Merged, merge
from router.config.mistake import ConfigError, Mistake, Mistakes, show
from router.config.resolve import Origin, Place, Resolver
from router.config.schema import Config

__all__ = ["ConfigError", "Loaded", "Origin", "Site", "load", "load_every", "load_text"]

MAX_SITES = 1000  # combinations that are checked at once
_HERE = Site()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without mistakes.

    Attributes:
        config: the values, units resolved; names of files in it are absolute.
        files: the YAML files it was read from, the uppermost first, unless it came from bytes; and the flag files.
        digest: SHA-256 of the files' bytes, in hex.
        origins: for every value that was written (not for defaults), at each level, where; keys are paths such as
            ``$.targets[0].name``.
        referenced: the files that it names and that were read to check it (certificates, keys, token), and the folders
            where another flag file could appear.
        removed: what a file removed of those above it: path by names to where that is written.
        site: whose configuration it is.
        owners: file to the user that it belongs to.
        others: with ``layered_by``, the configurations of the other regions and clusters that it serves.
    """

    config: Config
    files: tuple[Path, ...]
    digest: str
    origins: Mapping[str, Origin]
    referenced: tuple[Path, ...] = ()
    removed: Mapping[str, Origin] = field(default_factory=dict)
    site: Site = _HERE
    others: "tuple[Loaded, ...]" = ()
    owners: Mapping[str, str] = field(default_factory=dict)


def load(path: Path, site: Site = _HERE) -> Loaded:
    """Load a configuration.

    Args:
        path: a YAML file, or a folder that holds ``global.yaml`` or ``router.yaml``.
        site: whose, of a folder that has files for regions or clusters.

    Raises:
        ConfigError: with every mistake; also when nothing can be read, or the site has no file where others have.
    """
    folder = survey(path)
    folder.check(site)
    loaded = _Reader(folder, read(folder.files(site))).site(site)
    if loaded.config.layered_by is None:
        return loaded
    return _Reader(folder, read(folder.every())).layered(site)


def load_every(path: Path) -> tuple[Loaded, ...]:
    """Load the configuration of every combination of region and cluster that has files, without either first.

    Raises:
        ConfigError: with every mistake of any of them, each once.
    """
    folder = survey(path)
    every = folder.sites()
    if len(every) > MAX_SITES:
        message = f"has {len(every)} combinations of regions and clusters, and {MAX_SITES} are checked at once at most"
        raise Mistakes(str(path)).fatal(0, "", f"{message}; name a region or a cluster")
    reader = _Reader(folder, read(folder.every()))
    found: dict[tuple[str, int, str], Mistake] = {}
    loaded = []
    for site in every:
        try:
            loaded.append(reader.site(site))
        except ConfigError as error:
            for mistake in error.mistakes:  # an index differs with what else is there
                found.setdefault((mistake.file, mistake.line, mistake.message), mistake)
    if found:
        raise ConfigError(found.values())
    return (reader.layered(every[0]), *loaded[1:])


def load_text(text: bytes, name: str, folder: Path | None = None) -> Loaded:
    """Load a configuration from bytes.

    Args:
        text: the YAML.
        name: what messages and origins call it.
        folder: where relative names of files in it start; default the working directory.

    Raises:
        ConfigError: with every mistake.
    """
    return _resolved([_parsed(text, name)], folder or Path())


class _Reader:
    """Reads one folder: each file once, however many sites it is for."""

    def __init__(self, folder: Folder, texts: Mapping[Path, bytes]) -> None:
        # Per folder
        self._folder = folder
        self._parsed = {file: _parsed(text, str(file), partial=file != folder.base) for file, text in texts.items()}

    def site(self, site: Site) -> Loaded:
        files = self._folder.files(site)
        loaded = _resolved([self._parsed[file] for file in files], self._folder.base.parent)
        every = (*files, *loaded.files)
        return replace(loaded, files=every, site=site, owners={str(file): owner(file) for file in every})

    def layered(self, site: Site) -> Loaded:
        """Give the configuration of a process that serves other regions and clusters as well, if it says so."""
        own = self.site(site)
        if own.config.layered_by is None:
            return own
        wanted = sites.served(self._folder, own.config.layered_by, site)
        if len(wanted) > sites.MAX_VARIANTS:
            raise self._too_much(own, f"{len(wanted)} other combinations, and {sites.MAX_VARIANTS} at most are served")
        found: dict[tuple[str, int, str], Mistake] = {}
        missed: list[Path] = []
        others = []
        values = 0
        for each in wanted:
            try:
                other = self.site(each)
                mistakes: Iterable[Mistake] = sites.mismatches(
                    own.config, other.config, (other.origins, other.removed), each
                )
                others.append(other)
                values += len(other.origins)
            except ConfigError as error:
                mistakes = error.mistakes
                missed += error.files
            for mistake in mistakes:
                found.setdefault((mistake.file, mistake.line, mistake.message), mistake)
            if values > document.MAX_NODES:
                raise self._too_much(own, f"more than {document.MAX_NODES} values in all combinations together")
        if found:
            raise ConfigError(found.values(), missed)
        configs = [other.config for other in others]
        variants = [sites.variant(own.config, other, each, site) for each, other in zip(wanted, configs, strict=True)]
        every = self._folder.every()
        config = sites.united(own.config, configs, variants)
        return replace(
            own,
            config=config,
            origins=MappingProxyType({**own.origins, **_adopted(config, own, others)}),
            files=tuple(dict.fromkeys((*every, *own.files))),
            owners={file: who for each in (*others, own) for file, who in each.owners.items()},
            digest=_digest([self._parsed[file] for file in every], [own.digest]),
            referenced=tuple(dict.fromkeys(path for each in (own, *others) for path in each.referenced)),
            others=tuple(others),
        )

    def _too_much(self, own: Loaded, message: str) -> ConfigError:
        origin = own.origins["$.layered_by"]
        return Mistakes(origin.file).fatal(origin.line, "$.layered_by", f"there are {message}")


def _adopted(config: Config, own: Loaded, others: Sequence[Loaded]) -> dict[str, Origin]:
    """Give the origins of the targets that only other regions and clusters name."""
    found: dict[str, Origin] = {}
    for index in range(len(own.config.targets), len(config.targets)):
        for other in others:
            if config.targets[index] in other.config.targets:
                theirs = f"$.targets[{other.config.targets.index(config.targets[index])}]"
                paths = (
                    path for path in other.origins if path == theirs or path.startswith((f"{theirs}.", f"{theirs}["))
                )
                found |= {f"$.targets[{index}]{path[len(theirs) :]}": other.origins[path] for path in paths}
                break
    return found


@dataclass(frozen=True, slots=True)
class _Parsed:
    """One file: its tree, None when it is none, its digest, and what is wrong within it."""

    name: str
    digest: str
    root: Node | None
    mistakes: tuple[Mistake, ...]


def _parsed(text: bytes, name: str, *, partial: bool = False) -> _Parsed:
    mistakes = Mistakes(name)
    digest = hashlib.sha256(text).hexdigest()
    try:
        root = document.read(text, mistakes, partial=partial)
    except ConfigError as error:
        return _Parsed(name, digest, None, error.mistakes)
    return _Parsed(name, digest, root, tuple(mistakes.found))


def _resolved(files: Sequence[_Parsed], folder: Path) -> Loaded:
    """Make a configuration of files, the uppermost first."""
    mistakes = Mistakes(files[0].name)
    mistakes.found += [mistake for file in files for mistake in file.mistakes]
    roots = [file.root for file in files if file.root is not None]
    if len(roots) < len(files):
        raise ConfigError(mistakes.found)
    kind = inspect.type_info(Config)
    merged = merge(roots, kind, mistakes)
    root = merged.root
    if root.count > document.MAX_NODES:
        raise mistakes.fatal(0, "", f"the files together have more than {document.MAX_NODES} values")
    resolver = Resolver(Path(os.path.abspath(folder)), mistakes)  # noqa: PTH100 - resolve() would leave a swapped symlink
    values = resolver.resolve(root, kind, Place())

    def report(path: str, message: str) -> None:
        near = _near(resolver.origins, path)
        mistakes.add(near.line, path, message, near.file)

    references.check(values, report)
    flags = read_flags(values, report)
    if mistakes.found or flags.mistakes:
        raise ConfigError([*_ordered(mistakes.found, files), *flags.mistakes], (*flags.files, *flags.folders))
    evaluators.expand(values)
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:  # pragma: no cover - the resolver knows every constraint; a net below it
        raise mistakes.fatal(root.line, "", f"is not valid: {show(str(error))}") from error
    return Loaded(
        config,
        flags.files,
        _digest(files, flags.digests),
        MappingProxyType(resolver.origins),
        (*_referenced(config), *flags.folders),
        MappingProxyType(_removed(merged)),
    )


def _ordered(found: Iterable[Mistake], files: Sequence[_Parsed]) -> list[Mistake]:
    """Order mistakes by file, the uppermost first, and line."""
    order = {file.name: number for number, file in enumerate(files)}
    return sorted(found, key=lambda mistake: (order.get(mistake.file, 0), mistake.line))


def _digest(files: Sequence[_Parsed], flags: Sequence[str]) -> str:
    """Give the digest of one file's bytes, or that of the names and digests of several and of flag files' digests."""
    if len(files) == 1 and not flags:
        return files[0].digest
    parts = [*(f"{file.name}\0{file.digest}" for file in files), *flags]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _removed(merged: Merged) -> dict[str, Origin]:
    found: dict[str, Origin] = {}
    for removal in merged.removals:
        upper = (*removal.above.above, removal.above)
        above = tuple(Origin(node.file, node.line, node.plain()) for node in upper)
        found[removal.path] = Origin(removal.node.file, removal.node.line, removal.node.plain(), above)
    return found


def _near(origins: Mapping[str, Origin], path: str) -> Origin:
    """Give the origin of a value, or of the nearest value around it."""
    while path not in origins:
        path = path[: max(path.rfind("."), path.rfind("["))]
    return origins[path]


def _referenced(config: Config) -> tuple[Path, ...]:
    tls = config.server.tls
    names = [
        config.admin.token_file,
        config.server.signing.keys_file if config.server.signing else None,
        config.server.jwt.keys_file if config.server.jwt else None,
        *((tls.cert, tls.key) if tls else ()),
        *(target.tls.ca for target in config.targets),
    ]
    return tuple(Path(name) for name in dict.fromkeys(names) if name is not None)
