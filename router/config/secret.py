"""Values of a configuration that are not shown.

Responsible for: which paths lead to what may be a credential.
Does not know: who is shown what.

Rules: header fields whose name says so are hidden, wherever a configuration names fields, and so are options of sinks
and notifiers, which may be anybody's. The router's own keys and tokens are files, whose names are no secret.
"""

from typing import Any, Final

HIDDEN: Final = "(hidden)"
_PLUGINS: Final = ("$.events.sinks[", "$.notify[")
_PLAIN: Final = frozenset({"key", "properties_file", "secret_file"})  # options of built-ins that only sound like it
_FIELDS: Final = ("authorization", "cookie", "proxy-authorization", "token", "secret", "key", "password")


def shown(path: str, value: Any) -> Any:
    """Give a value as people may see it.

    Args:
        path: where it stands, such as ``$.routes[0].match.headers.authorization``.
        value: plain data.
    """
    name = path.partition(".headers")[2]
    if path.startswith(_PLUGINS):
        name = path.partition("].")[2]
        if name == "url":  # of Slack and others the URL itself is the credential
            return HIDDEN
    if name not in _PLAIN and any(word in name.lower() for word in _FIELDS):
        return HIDDEN
    if isinstance(value, dict):
        return {key: shown(f"{path}.{key}", part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [shown(f"{path}[{index}]", part) for index, part in enumerate(value)]
    return value
