"""What a configuration and its flag files say about each other.

Responsible for: getting the flag files read where there are any, flags that experiments name, and the values that arms
give them.
Does not know: what may stand in a flag file (``flag_document``), the rest of an experiment (``experiment_references``).

Rules: as in ``references``. The validator of flag files is loaded only by a configuration that has some.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from router.config.flags import kind_of
from router.config.mistake import Mistake, show
from router.config.parts import Report, given, items, must_exist, part
from router.config.resolve import BROKEN
from router.config.structured_field import member

_NAMES: Final[Mapping[str, str]] = {
    "boolean": "true or false",
    "string": "text",
    "integer": "whole numbers",
    "float": "numbers",
    "object": "maps",
}


@dataclass(frozen=True, slots=True)
class FlagFiles:
    """What was read of flag files.

    Attributes:
        sets: A map for each file, as ``schema.FlagSet`` has it; none when there are mistakes.
        files: The files that were read, or should have been.
        folders: Folders where another file could appear.
        digests: SHA-256 of each file's bytes, in hex.
        mistakes: Everything that is wrong in the files.
    """

    sets: tuple[dict[str, Any], ...] = ()
    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    digests: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


def read_flags(config: Mapping[str, Any], report: Report) -> FlagFiles:
    """Read the flag files of a configuration, and put what is in them into it as ``flags.sets``.

    Args:
        config: Resolved plain data, in which ``BROKEN`` may stand for any part.
        report: Takes each mistake of the configuration itself.
    """
    section = part(config, "flags")
    names = section.get("files", ())
    if names is BROKEN or config.get("flags") is BROKEN:
        return FlagFiles()
    if not names:
        _check(config, (), report)
        return FlagFiles()
    from router.config.flag_files import read  # noqa: PLC0415 - see the module's rules

    wanted = [(f"$.flags.files[{index}]", name) for index, name in enumerate(names) if name is not BROKEN]
    found = read(wanted, report)
    section["sets"] = list(found.sets)
    if not found.mistakes:
        _check(config, found.sets, report)
    return found


def _check(config: Mapping[str, Any], sets: Iterable[dict[str, Any]], report: Report) -> None:
    """Report what experiments say about flags that is not so."""
    _one_layer(config, report)
    flags = {key: flag for one in sets for key, flag in msgspec.json.decode(one["text"])["flags"].items()}
    for path, experiment in items(config, "experiments"):
        key = experiment.get("flag", BROKEN)
        if key is BROKEN or not must_exist(f"{path}.flag", key, flags, "flag", report):
            continue
        kind = kind_of(flags[key]["variants"].values())
        if flags[key]["state"] == "DISABLED":
            report(f"{path}.flag", f"flag {show(key)} is DISABLED; kill or end the experiment before its flag")
        for at, arm in items(experiment, "arms", path):
            if given(arm, "value"):
                _check_value(f"{at}.value", key, arm["value"], kind, report)
                if kind == "float" and type(arm["value"]) is int:
                    arm["value"] = float(arm["value"])  # so that clients and targets see one type


def _one_layer(config: Mapping[str, Any], report: Report) -> None:
    """Report a flag of several experiments that do not exclude each other: a unit could have two values."""
    first: dict[str, tuple[str, object]] = {}
    for path, experiment in items(config, "experiments"):
        key, layer = experiment.get("flag", BROKEN), experiment.get("layer")
        if key is BROKEN or layer is BROKEN:
            continue
        where, seen = first.setdefault(key, (path, layer))
        if where != path and (layer is None or layer != seen):
            report(f"{path}.flag", f"flag {show(key)} already has its value from {where}; put both into one layer")


def _check_value(path: str, key: str, value: Any, kind: str | None, report: Report) -> None:
    own = kind_of([value])
    if own != kind and (own, kind) != ("integer", "float"):
        report(path, f"{show(value)} does not have the type of flag {show(key)}: its variants are {_NAMES[kind or '']}")
        return
    try:
        member(key, value)
    except ValueError as error:
        report(path, f"cannot be told to the target in x-router-flags: {error}")
