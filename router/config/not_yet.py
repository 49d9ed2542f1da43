"""Keys and values that the format has a place for and that this version cannot do.

Responsible for: their list, so that they are refused as not supported yet, neither ignored nor called unknown.
Does not know: what they will do.

Rules: a path ends in the key, and ``[]`` stands for any item of a list; a key or value is here or in ``schema``, never
in both.
"""

KEYS: frozenset[str] = frozenset(
    {
        "$.targets[].rewrite",
        "$.targets[].headers",
    }
)

VALUES: dict[str, frozenset[str]] = {}
