"""What ``router sign`` does: make an override that a running router honours.

Responsible for: reading what is asked for, the key, and writing the header field.
Does not know: whether the experiment exists; the router ignores an override of one that does not.
"""

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from router.config.keys import read_keys
from router.config.scalars import parse_duration
from router.routing.source import MAX_UNIT_BYTES
from router.routing.token import Override, bound_unit
from router.routing.token import sign as make

LONGEST_S: Final = 30 * 86400.0
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ASKED: Final = re.compile(f"({_NAME})=({_NAME})")


class SignError(Exception):
    """It cannot be signed; the message is one sentence for the user."""


def sign(asked: str, keys_file: Path, unit: str | None, lasting: str, *, as_json: bool) -> int:
    """Write the header field of an override.

    Args:
        asked: ``EXPERIMENT=ARM``.
        keys_file: File with the keys; the first one signs.
        unit: The only unit that may use it; None is any.
        lasting: How long it counts, as the configuration writes durations.
        as_json: Whether to write it for programs.

    Raises:
        SignError: If anything of this is not right.
    """
    found = _ASKED.fullmatch(asked)
    if found is None:
        raise SignError(f"{asked!r} is not EXPERIMENT=ARM")
    if unit is not None and not 0 < len(unit.encode()) <= MAX_UNIT_BYTES:
        raise SignError(f"--unit has 1 to {MAX_UNIT_BYTES} bytes")
    key = _key(keys_file)
    expires = int(time.time() + _seconds(lasting))
    bound = None if unit is None else bound_unit(key, unit.encode())
    token = make(key, Override(found[1], found[2], expires, bound)).decode()
    value = f"{asked}; {token}"
    if as_json:
        document = {"header": "x-router-override", "value": value, "expires": expires}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        sys.stderr.write(f"counts until {until}, for {'every unit' if unit is None else 'that unit alone'}\n")
        sys.stdout.write(f"x-router-override: {value}\n")
    return 0


def _key(path: Path) -> bytes:
    try:
        return read_keys(str(path))[0]
    except OSError as error:
        raise SignError(f"--keys {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SignError(f"--keys {path}: {error}") from error


def _seconds(lasting: str) -> float:
    try:
        seconds = parse_duration(lasting)
    except ValueError as error:
        raise SignError(f"--for {error}") from error
    if not 0 < seconds <= LONGEST_S:
        raise SignError(f"--for {lasting} is not more than 0 and at most 30d")
    return seconds
