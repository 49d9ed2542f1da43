"""What the operands of flagd's operators must be, as far as a rule says them itself.

Responsible for: weights of ``fractional``, versions and comparisons of ``sem_ver``, texts of ``starts_with`` and
``ends_with``, what ``reduce`` begins with.
Does not know: what an operation gives; which operators there are (``logic``).

Rules: an operand that is an operation itself is known only when there are data, and nothing is said of it.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from router.config.mistake import child, show

Report = Callable[[str, str], None]

MAX_TOTAL_WEIGHT: Final = 2_147_483_647  # the largest signed 32-bit integer, as flagd's schema has it
COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=", "^", "~")
# https://semver.org, "Is there a suggested regular expression", as flagd's schema has it.
_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_PRE: Final = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def padded(version: str) -> str:
    """Return a version without its ``v`` and with ``.0`` for parts left out: ``v1.2-rc`` is ``1.2.0-rc``."""
    version = version[1:] if version[:1] in {"v", "V"} else version
    numeric = version.split("-")[0].split("+")[0]
    dots = numeric.count(".")
    return numeric + ".0" * (2 - dots) + version[len(numeric) :] if dots < 2 else version


def check_operands(operator: str, given: list[Any], at: str, report: Report) -> None:
    """Report operands that no data make right.

    Args:
        operator: An operator that exists.
        given: Its arguments, in the right number.
        at: Where the operation stands.
        report: Takes the path and the message of each mistake.
    """
    check = _CHECKS.get(operator)
    if check is not None:
        check(given, at, report)


def _computed(value: Any) -> bool:
    return isinstance(value, dict)


def _fractional(given: list[Any], at: str, report: Report) -> None:
    own = isinstance(given[0], list)
    pairs = given if own else given[1:]
    start = 0 if own else 1
    if not pairs:
        report(at, '"fractional" has nothing to choose from; write [RESULT, WEIGHT] for each choice')
    if not own and given[0] is None:
        report(child(at, 0), "is null, which is nothing to hash by")
    total = 0
    for index, pair in enumerate(pairs, start):
        if isinstance(pair, list) and 1 <= len(pair) <= 2:
            total += _weight(pair, child(at, index), report)
        elif not _computed(pair):
            report(child(at, index), f"{show(pair)} is not [RESULT, WEIGHT]")
    if total > MAX_TOTAL_WEIGHT:
        report(at, f"the weights add up to {total}; the most is {MAX_TOTAL_WEIGHT}")
    if pairs and all(isinstance(pair, list) and len(pair) == 2 and pair[1] == 0 for pair in pairs):
        report(at, "every weight is 0; one needs more")


def _weight(pair: list[Any], at: str, report: Report) -> int:
    weight = pair[1] if len(pair) == 2 else 1
    if _computed(weight):
        return 0
    if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
        report(child(at, 1), f"{show(weight)} is not a weight; weights are whole numbers from 0 on")
        return 0
    return weight


def _sem_ver(given: list[Any], at: str, report: Report) -> None:
    for index in (0, 2):
        version = given[index]
        if not _computed(version) and not (isinstance(version, str) and _VERSION.fullmatch(padded(version))):
            report(child(at, index), f"{show(version)} is not a version such as 1.2.0 (https://semver.org)")
    if not _computed(given[1]) and given[1] not in COMPARISONS:
        report(child(at, 1), f"{show(given[1])} is not a comparison; there are: {' '.join(COMPARISONS)}")


def _texts(given: list[Any], at: str, report: Report) -> None:
    for index, value in enumerate(given):
        if not _computed(value) and not isinstance(value, str):
            report(child(at, index), f"{show(value)} is not text, so the answer is always null")


def _reduce(given: list[Any], at: str, report: Report) -> None:
    if len(given) > 2 and _operation(given[2]):
        report(child(at, 2), "holds an operation, and flagd takes what a reduce begins with as it is written")


def _operation(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_operation, value)))


_CHECKS: Final[Mapping[str, Callable[[list[Any], str, Report], None]]] = MappingProxyType(
    {
        "fractional": _fractional,
        "sem_ver": _sem_ver,
        "starts_with": _texts,
        "ends_with": _texts,
        "reduce": _reduce,
    }
)
