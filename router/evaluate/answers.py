"""From an answer to what is judged: a prediction, confidences, and whether it agrees with another answer.

Responsible for: reading them at JSON pointers, and what counts as an answer.
Does not know: how answers are got, what is computed from many of them.

Rules: an answer counts if it has a status of 2xx, or the one that was recorded. A prediction is a scalar, or the place
of the largest number in a list, or the key of the largest in a map. What is no prediction is None: for a share of right
answers that is wrong, for a mean it is no value.
"""

import math
from typing import Any

import msgspec
from msgspec import Struct

from router.evaluate.ask import Reply
from router.evaluate.recording import Recorded
from router.routing.compare import Answer, Rules, compare_answers
from router.routing.request import value_at

Scalar = str | float | bool
MOST_CLASSES = 1000


class Places(Struct, frozen=True):
    """Where things are in an answer, as tokens of JSON pointers.

    Attributes:
        prediction: The prediction; None when answers are only compared.
        probability: How sure it is: the chance of ``positive``, or a map or list of chances of all classes.
        positive: The class that one number is the chance of, as text.
    """

    prediction: tuple[str, ...] | None = None
    probability: tuple[str, ...] | None = None
    positive: str = "1"


class Read(Struct, frozen=True):
    """What an answer says.

    Attributes:
        seconds: Until its end.
        cause: Why it cannot be used; None when it can.
        prediction: A scalar; None where there is none.
        chances: Class, as text, to its chance; None where there are none.
        body: The answer's content, while it is to be compared.
        status: Its status.
    """

    seconds: float
    cause: str | None
    prediction: Scalar | None
    chances: dict[str, float] | None
    body: bytes
    status: int


def read(reply: Reply, recorded: Recorded, places: Places) -> Read:
    """Read an answer."""
    cause = reply.cause
    if cause is None and not 200 <= reply.status < 300 and reply.status != recorded.status:
        cause = f"status {reply.status}"
    prediction: Scalar | None = None
    chances: dict[str, float] | None = None
    if cause is None and places.prediction is not None:
        prediction = _prediction(_value(reply.body, places.prediction))
        if prediction is None and recorded.label is not None:
            cause = "no prediction"
    if cause is None and places.probability is not None:
        chances = _chances(_value(reply.body, places.probability), places.positive)
    return Read(reply.seconds, cause, prediction, chances, reply.body, reply.status)


def agrees(one: Read, other: Answer, rules: Rules) -> bool | None:
    """Return whether an answer agrees with another; None when that cannot be said."""
    if one.cause is not None:
        return None
    return {"agree": True, "differ": False}.get(compare_answers(other, Answer(one.status, one.body), rules).result)


def recorded_answer(recorded: Recorded, status: int) -> Answer | None:
    """Return the answer that a request had, as far as it was recorded; ``status`` where that was not."""
    if recorded.expected is None:
        return None
    return Answer(recorded.status if recorded.status is not None else status, recorded.expected)


def text_of(value: Scalar) -> str:
    """Return a label or prediction as the text that classes are told apart by: 1, 1.0 and true are ``1``."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _value(body: bytes, tokens: tuple[str, ...]) -> Any:
    raw = value_at(body, tokens)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None


def _prediction(value: Any) -> Scalar | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool):
        return value
    chances = _numbers(value)
    if not chances:
        return None
    best = max(chances, key=chances.__getitem__)
    return int(best) if isinstance(value, list) else best


def _chances(value: Any, positive: str) -> dict[str, float] | None:
    """Return chances of classes: those of ``positive`` alone stand for themselves."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {positive: float(value)} if 0 <= value <= 1 else None
    found = _numbers(value)
    if not found or min(found.values()) < 0 or not 0.98 <= sum(found.values()) <= 1.02:
        return None
    return found


def _numbers(value: Any) -> dict[str, float] | None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {
        str(key): float(number)
        for key, number in pairs
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    }
    return found if found and len(found) == len(value) <= MOST_CLASSES else None
