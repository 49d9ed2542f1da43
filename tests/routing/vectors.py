"""How ``vectors.json`` was made: ``python -m tests.routing.vectors``. Uses nothing of the router but its own murmur.

Each vector has salt, arms with weights, the unit (or a JSON body and a pointer that lead to it), u of each arm as
``float.hex`` writes it, and the arm that version 1 gives. Implementations in other languages may use the file as it is.
"""

import json
import math
import sys
from typing import Any

from tests.routing.murmur import x64_128

SALTS = ("ranker-v2", "s", "Größe-1", "pricing 2026", "x" * 64)
ARMS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("control", 95), ("treatment", 5)),
    (("control", 19), ("treatment", 1)),
    (("a", 1), ("b", 1), ("c", 1)),
    (("control", 0.9999), ("tiny", 0.0001)),
    (("off", 0), ("on", 3)),
    (("off", 0), ("dead", 0)),
    (("z", 1e9), ("y", 1e-9), ("x", 0.1), ("w", 250)),
)
UNITS = (
    "user-123", "0", " ", "a", "\t", "false", "null", "00000000-0000-4000-8000-000000000000", "Ünïcode", "用户-42",
    "🦊", "e\u0301", "\u00e9", "user\u0000nul", "exactly-16-bytes", "exactly-15-byte", "exactly-17-bytes-", "x" * 511,
    "é" * 256, "192.0.2.1", "2001:db8::1", "1", "1.0",
)  # fmt: skip
JSON_UNITS = (
    ('{"id": 1}', "/id", "1"),
    ('{"id": 1.0}', "/id", "1.0"),
    ('{"id": 1e3}', "/id", "1e3"),
    ('{"id": 1E+3}', "/id", "1E+3"),
    ('{"id": -0}', "/id", "-0"),
    ('{"id": 9007199254740993}', "/id", "9007199254740993"),
    ('{"id": 123456789012345678901234567890}', "/id", "123456789012345678901234567890"),
    ('{"id": 0.30000000000000004441}', "/id", "0.30000000000000004441"),
    ('{"id": true}', "/id", "true"),
    ('{"id": "1"}', "/id", "1"),
    ('{"id": "\\u7528\\u6237"}', "/id", "用户"),
    ('{"user": {"ids": [7, "seven"]}}', "/user/ids/1", "seven"),
    ('{"a/b": {"m~n": 8}}', "/a~1b/m~0n", "8"),
)


def uniform(salt: str, arm: str, unit: str) -> float:
    """Return u as the design states it."""
    first, _ = x64_128(b"\0".join((salt.encode(), arm.encode(), unit.encode())))
    return ((first >> 11) + 0.5) / 2**53


def vector(salt: str, arms: tuple[tuple[str, float], ...], unit: str) -> dict[str, Any]:
    """Return one vector."""
    u = {name: uniform(salt, name, unit) for name, _ in arms}
    scores = sorted((-math.log(u[name]) / weight, name) for name, weight in arms if weight)
    return {
        "salt": salt,
        "arms": [list(arm) for arm in arms],
        "unit": unit,
        "u": {name: value.hex() for name, value in u.items()},
        "arm": scores[0][1] if scores else None,
    }


def main() -> None:
    """Write all vectors to standard output."""
    vectors = [
        vector(SALTS[(place + offset) % len(SALTS)], arms, unit)
        for offset, arms in enumerate(ARMS)
        for place, unit in enumerate(UNITS)
    ]
    for place, (body, pointer, unit) in enumerate(JSON_UNITS):
        vectors.append({"json": body, "pointer": pointer, **vector(SALTS[place % len(SALTS)], ARMS[2], unit)})
    lines = ",\n".join(json.dumps(found, ensure_ascii=True) for found in vectors)
    sys.stdout.write(f'{{"hash_version": 1, "vectors": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
