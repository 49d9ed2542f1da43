"""Folders of configuration that tests write."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import inspect

from router.config.document import Node, read
from router.config.load import Loaded, Site, load, load_every
from router.config.merge import merge
from router.config.mistake import ConfigError, Mistakes
from router.config.schema import Config
from tests.config.sample import SMALL

KIND = inspect.type_info(Config)


def folder(place: Path, files: Mapping[str, str], base: str = SMALL) -> Path:
    """Write a folder: ``global.yaml``, and other files by their names in it."""
    for name, text in {"global.yaml": base, **files}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def loaded(place: Path, files: Mapping[str, str], site: Site = Site(), base: str = SMALL) -> Loaded:  # noqa: B008 - frozen
    """Write a folder and load the configuration of a site."""
    return load(folder(place, files, base), site)


def mistakes(place: Path, site: Site | None = None) -> list[str]:
    """Give the mistakes of a site, or of every one, with files as the folder names them."""
    try:
        if site is None:
            load_every(place)
        else:
            load(place, site)
    except ConfigError as error:
        return [str(mistake).replace(f"{place}/", "") for mistake in error.mistakes]
    return []


def node(text: str, file: str) -> Node:
    """Read one file of which nothing is wrong."""
    found = Mistakes(file)
    root = read(text.encode(), found, partial=True)
    assert found.found == []
    return root


def merged(texts: Sequence[str]) -> tuple[Node, list[str]]:
    """Merge files called ``0``, ``1`` …, and give the tree and the mistakes."""
    found = Mistakes("0")
    root = merge([node(text, str(number)) for number, text in enumerate(texts)], KIND, found).root
    return root, [str(mistake) for mistake in found.found]
