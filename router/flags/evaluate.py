"""What a flag is for a context, by flagd's own evaluator.

Responsible for: giving each flag file to flagd's core, asking it with the type that the flag has, and making of its
answers and errors plain data.
Does not know: where flags come from, HTTP, experiments.

Rules: a thin wrapper; what a rule means is the core's business (``openfeature-flagd-core``). An evaluation never
raises: whatever a rule does with a context is an answer. The core's logger reports what callers send, so it is left to
the process to silence it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from router.config.flags import FlagSet, kind_of

Metadata = Mapping[str, bool | str | int | float]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a flag is.

    Attributes:
        key: Key of the flag.
        reason: ``STATIC``, ``TARGETING_MATCH``, ``DEFAULT``, ``DISABLED`` or ``SPLIT``.
        variant: Name of the variant; None when the caller's own default is to be used.
        value: Its value; of a flag of numbers of which one has a fraction, always a float.
        metadata: Metadata of the flag over that of its file.
    """

    key: str
    reason: str
    variant: str | None
    value: Any = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a flag is nothing.

    Attributes:
        key: Key of the flag.
        code: OpenFeature's error code.
        details: What went wrong, for people.
    """

    key: str
    code: str
    details: str


Evaluation = Resolved | Failed


class Flags:
    """The flags of one configuration.

    Attributes:
        kinds: Key to type (``router.config.flags.kind_of``), in the order of the files.
        metadata: What the metadata of all files have in common.
    """

    def __init__(self, sets: Iterable[FlagSet]) -> None:
        # Per configuration
        self.kinds: dict[str, str] = {}
        self.metadata: dict[str, Any] = {}
        self._cores: dict[str, FlagdCore] = {}
        shared: list[dict[str, Any]] = []
        for one in sets:
            document = msgspec.json.decode(one.text)
            core = FlagdCore()
            core.set_flags(one.text)
            shared.append(document.get("metadata", {}))
            for key, flag in document["flags"].items():
                self.kinds[key] = kind_of(flag["variants"].values()) or "object"
                self._cores[key] = core
        if shared:
            first, *others = shared
            self.metadata = {
                key: value for key, value in first.items() if all(other.get(key) == value for other in others)
            }

    def evaluate(self, key: str, unit: str | None, attributes: Mapping[str, Any]) -> Evaluation:
        """Return what a flag is for a context.

        Args:
            key: Key of the flag.
            unit: The targeting key; None without one.
            attributes: The rest of the context, as JSON has it.
        """
        core = self._cores.get(key)
        if core is None:
            return Failed(key, "FLAG_NOT_FOUND", f"there is no flag {key!r}")
        resolve: Callable[..., Any] = getattr(core, _RESOLVERS[self.kinds[key]])
        try:
            details = resolve(key, None, EvaluationContext(unit, dict(attributes)))
        except OpenFeatureError as error:
            return Failed(key, error.error_code.value, error.error_message or "the flag cannot be evaluated")
        except Exception as error:  # noqa: BLE001 - what operators do with odd operands is theirs; the answer says it
            return Failed(key, "GENERAL", f"the rule cannot be evaluated: {type(error).__name__}: {error}")
        # Without a variant the core gives back the default that it was called with: there is no value.
        variant = details.variant or None
        value = details.value if variant is not None else None
        return Resolved(key, str(details.reason), variant, value, dict(details.flag_metadata))


_RESOLVERS: Final[Mapping[str, str]] = {
    "boolean": "resolve_boolean_value",
    "string": "resolve_string_value",
    "integer": "resolve_integer_value",
    "float": "resolve_float_value",
    "object": "resolve_object_value",
}
