"""What has to fit together in an experiment's ``allocate``.

Responsible for: keys that a policy needs, keys that have no effect with it, and the arms that it can do with.
Does not know: shapes and ranges of values, which the schema checks; other parts of an experiment.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.config.allocate import DRIVEN
from router.config.mistake import show
from router.config.parts import Report, given
from router.config.resolve import BROKEN

_FAN: Final = ("deadline", "body_bytes", "answer_bytes")
# Key to the policies that it is for, and who has it, in words.
_OWNERS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "slot": (frozenset({"switchback"}), "only switchback has slots"),
    "list": (frozenset({"interleave"}), "only interleave merges lists"),
    "id": (frozenset({"interleave"}), "only interleave merges lists"),
    "merge": (frozenset({"interleave"}), "only interleave merges lists"),
    "at": (frozenset({"ensemble"}), "only ensemble combines values"),
    "combine": (frozenset({"ensemble"}), "only ensemble combines values"),
    "preview": (DRIVEN, "only a release has a new version to look at"),
    "shadow": (frozenset({"rollout"}), "only a rollout has a shadow before its stages; a route has one at any time"),
    **dict.fromkeys(
        _FAN, (frozenset({"interleave", "ensemble"}), "only interleave and ensemble send a request to several arms")
    ),
}
_NEEDS: Final = {
    "switchback": ("slot", "length of a slot of time"),
    "interleave": ("list", "JSON pointer to the ranked list in an answer"),
    "ensemble": ("at", "JSON pointer to the value in an answer"),
}

Arms = Sequence[tuple[str, Mapping[str, Any]]]


def check_allocate(path: str, allocate: Mapping[str, Any], arms: Arms, report: Report) -> None:
    """Report what an allocator lacks, what it has no use for, and arms that it cannot do with.

    Args:
        path: Of the experiment.
        allocate: Its ``allocate``.
        arms: Path and contents of each of its arms.
        report: Takes mistakes.
    """
    use = allocate.get("use", "fixed")
    if use is BROKEN:
        return
    key, meaning = _NEEDS.get(use, ("use", ""))
    if meaning and key not in allocate:
        report(f"{path}.allocate", f'key "{key}" is missing: {meaning}; {use} needs it')
    for key, (owners, why) in _OWNERS.items():
        if key in allocate and use not in owners:
            report(f"{path}.allocate.{key}", f"has no effect, because {why}")
    if use in ("interleave", "ensemble"):
        _targets(path, use, arms, report)


def _targets(path: str, use: str, arms: Arms, report: Report) -> None:
    """Report arms that a request cannot be sent to, or that cannot be told apart."""
    if use == "interleave" and len(arms) > 2:
        report(f"{path}.arms", f"interleave compares two rankers, and there are {len(arms)} arms")
    seen: dict[object, str] = {}
    for at, arm in arms:
        if "value" in arm:
            report(f"{at}.value", f"{use} needs arms that are targets")
        if given(arm, "target"):
            target = arm["target"]
            if seen.setdefault(target, at) != at:
                report(f"{at}.target", f"target {show(target)} already is that of another arm; {use} asks each once")
