"""Changes to YAML text that leave everything else as it is, comments included.

Responsible for: the few edits that the demo makes to its copy of ``config/demo.yaml``, as a person would in an editor.
Does not know: YAML's grammar; it edits lines of the shape that file has, and refuses anything else.

Rules: text in, text out. An edit that does not find exactly what it looks for is an error, never a no-op.
"""

import re
from collections.abc import Mapping
from pathlib import Path


def replace_once(text: str, old: str, new: str) -> str:
    """Replace the only occurrence of a piece of text.

    Raises:
        ValueError: it occurs never or more than once.
    """
    if (found := text.count(old)) != 1:
        raise ValueError(f'"{old}" occurs {found} times, not once')
    return text.replace(old, new)


def set_weights(text: str, weights: Mapping[str, float]) -> str:
    """Set the weight of each named arm, written as ``{name: ARM, …, weight: N}`` on one line.

    Raises:
        ValueError: an arm has no such line, or more than one.
    """
    for arm, weight in weights.items():
        line = re.compile(rf"(\{{name: {re.escape(arm)},[^\n}}]*\bweight: )[0-9.]+(?=[,}}\s])")
        text, found = line.subn(rf"\g<1>{weight:g}", text)
        if found != 1:
            raise ValueError(f'arm "{arm}" has {found} lines with a weight, not one')
    return text


def weights_in(text: str) -> dict[str, float]:
    """Return the weight of each arm that is written on one line, in the order of the file."""
    lines = re.findall(r"\{name: ([\w.-]+),[^\n}]*\bweight: ([0-9.]+)", text)
    return {arm: float(weight) for arm, weight in lines}


def save(path: Path, text: str) -> None:
    """Replace the file at once, as editors do: a reader sees the old text or the new one, never a part."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
