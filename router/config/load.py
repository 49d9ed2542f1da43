"""A file or a folder to a configuration, or to every mistake in it.

Responsible for: which file is read, the order of the steps, and what a loaded configuration carries besides its values:
files, digest, origins.
Does not know: when to load again, or what to do with a mistake.

Rules: the only part of the package that opens the configuration; all or nothing, and everything wrong is said at once.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import inspect

from router.config import document, references
from router.config.mistake import ConfigError, Mistakes, show
from router.config.resolve import Origin, Place, Resolver
from router.config.schema import Config

__all__ = ["ConfigError", "Loaded", "Origin", "load", "load_text", "locate"]

_LAYERS = ("regions", "clusters", "overrides.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without mistakes.

    Attributes:
        config: the values, units resolved; names of files in it are absolute.
        files: the YAML files it was read from; empty when it came from bytes.
        digest: SHA-256 of the files' bytes, in hex.
        origins: for every value that was written (not for defaults), at each level, where; keys are paths such as
            ``$.targets[0].name``.
        referenced: the files that it names and that were read to check it (certificates, keys, token).
    """

    config: Config
    files: tuple[Path, ...]
    digest: str
    origins: Mapping[str, Origin]
    referenced: tuple[Path, ...] = ()


def load(path: Path) -> Loaded:
    """Load a configuration.

    Args:
        path: a YAML file, or a folder that holds ``global.yaml`` or ``router.yaml``.

    Raises:
        ConfigError: with every mistake; also when nothing can be read.
    """
    file = locate(path)
    name = str(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(document.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Mistakes(name).fatal(0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    loaded = load_text(data, name, file.parent)
    return Loaded(loaded.config, (file,), loaded.digest, loaded.origins, loaded.referenced)


def locate(path: Path) -> Path:
    """Find the YAML file that a path given by a user means.

    Raises:
        ConfigError: when a folder holds none, or is layered.
    """
    try:
        if not path.is_dir():
            return path
    except (OSError, ValueError) as error:
        raise Mistakes(str(path)).fatal(
            0, "", f"cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    layers = [path / layer for layer in _LAYERS if (path / layer).exists()]
    if layers:
        mistakes = Mistakes(str(layers[0]))
        raise mistakes.fatal(0, "", "layered configuration (regions, clusters, overrides.yaml) is not supported yet")
    found = [path / name for name in ("global.yaml", "router.yaml") if (path / name).exists()]
    if len(found) == 1:
        return found[0]
    which = "both global.yaml and router.yaml; keep one" if found else "neither global.yaml nor router.yaml"
    raise Mistakes(str(path)).fatal(0, "", f"the folder holds {which}")


def load_text(text: bytes, name: str, folder: Path | None = None) -> Loaded:
    """Load a configuration from bytes.

    Args:
        text: the YAML.
        name: what messages and origins call it.
        folder: where relative names of files in it start; default the working directory.

    Raises:
        ConfigError: with every mistake.
    """
    mistakes = Mistakes(name)
    root = document.read(text, mistakes)
    resolver = Resolver(Path(os.path.abspath(folder or Path())), mistakes)  # noqa: PTH100 - resolve() would leave a swapped symlink
    values = resolver.resolve(root, inspect.type_info(Config), Place())
    references.check(values, lambda path, message: mistakes.add(_line(resolver.origins, path), path, message))
    if mistakes.found:
        raise ConfigError(sorted(mistakes.found, key=lambda mistake: mistake.line))
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:  # pragma: no cover - the resolver knows every constraint; a net below it
        raise mistakes.fatal(root.line, "", f"is not valid: {show(str(error))}") from error
    return Loaded(config, (), hashlib.sha256(text).hexdigest(), MappingProxyType(resolver.origins), _referenced(config))


def _line(origins: Mapping[str, Origin], path: str) -> int:
    """Give the line of a value, or of the nearest value around it."""
    while path not in origins:
        path = path[: max(path.rfind("."), path.rfind("["))]
    return origins[path].line


def _referenced(config: Config) -> tuple[Path, ...]:
    tls = config.server.tls
    names = [
        config.admin.token_file,
        config.server.signing.keys_file if config.server.signing else None,
        *((tls.cert, tls.key) if tls else ()),
        *(target.tls.ca for target in config.targets),
    ]
    return tuple(Path(name) for name in dict.fromkeys(names) if name is not None)
