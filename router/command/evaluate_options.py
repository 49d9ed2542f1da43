"""Options of ``router evaluate`` that are text, and what has to fit together among them.

Responsible for: reading them as the configuration reads such values, and a sentence for each mistake.
Does not know: what is done with them.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from router.config.scalars import parse_duration, parse_share
from router.events.evaluation import Asked, Job

_POINTER: Final = re.compile(r"(/([^~/]|~[01])*)*")


class OptionError(ValueError):
    """An option cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Values as they were written."""

    timeout: str
    max_time: str
    confidence: str
    no_worse: str | None
    kind: str


def job_of(texts: Texts, **options: Any) -> Job:
    """Make a job whose candidate is to be filled in.

    Raises:
        OptionError: If an option cannot be used.
    """
    for name in ("prediction", "probability", "label"):
        _pointer(f"--{name}", options[name])
    for pointer in options["ignore"]:
        _pointer("--ignore", pointer)
    if texts.kind not in ("class", "number", "auto"):
        raise OptionError(f"--kind {texts.kind!r} is not class, number or auto")
    confidence = _share("--confidence", texts.confidence)
    if not 0.5 <= confidence < 1:
        raise OptionError(f"--confidence {texts.confidence} is not from 50% to below 100%")
    return Job(
        candidate=Asked(name="", endpoints=()),
        timeout=_time("--timeout", texts.timeout),
        seconds=_time("--max-time", texts.max_time),
        confidence=confidence,
        no_worse=None if texts.no_worse is None else _share("--no-worse", texts.no_worse),
        kind=texts.kind,
        **options,
    )


def _pointer(option: str, text: str | None) -> None:
    if text is not None and not _POINTER.fullmatch(text):
        raise OptionError(f"{option} {text!r} is no JSON pointer, such as /outputs/0/label")


def _share(option: str, text: str) -> float:
    try:
        return parse_share(text)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from error


def _time(option: str, text: str) -> float:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from error
    if not 0.001 <= found <= 31_536_000:
        raise OptionError(f"{option} {text} is not between 1ms and 365d")
    return found
