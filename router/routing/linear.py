"""Linear policies in the worker: from a request's attributes to the probability of each arm, and the arm.

Responsible for: the features of one request, linear Thompson sampling from published draws, LinUCB, the floor, and the
arm with its exact propensity.
Does not know: how a model was learned, when another one is published.

Rules: the arm is still a function of salt, unit and weights (``router.routing.bucket``): the policy only says the
weights, for this request. So its propensity is exact: with n arms, a floor f, and s the share of draws that an arm won
(of LinUCB, 1 for the arm with the largest bound), it is f + (1 - n f) s.

Shares are a function of the features alone, so those of late are kept: most requests have features that another one
had. numpy is loaded when a policy is compiled, and by no worker without one.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf, log
from typing import Any, Final, NamedTuple

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct
from msgspec.structs import replace

from router.events.policy import Feature, LinearModel, number
from router.routing.bucket import SCALE
from router.routing.request import Request
from router.routing.source import Source

Score = Callable[[list[float]], list[float]]
"""From the columns of a request to the share of each arm."""

PLACES: Final = 4096  # shares that are kept: 2 MB when all are taken, for features of 256 characters
_LONGEST: Final = 256
_FIRST: Final = 1.0


class Columns(NamedTuple):
    """Where a feature's columns are.

    Attributes:
        start: The first.
        places: Value to column; None for a number.
        absent: That of its absence.
        mean: Of a number.
        scale: Of a number.
    """

    start: int
    places: Mapping[str, int] | None
    absent: int
    mean: float
    scale: float


def lay_out(features: Sequence[Feature]) -> tuple[tuple[Columns, ...], int]:
    """Return where the columns of features are, and how many there are."""
    start, found = 1, []
    for feature in features:
        places = None if feature.number else {value: start + index for index, value in enumerate(feature.values)}
        found.append(Columns(start, places, start + feature.width - 1, feature.mean, feature.scale))
        start += feature.width
    return tuple(found), start


def row_of(columns: Sequence[Columns], width: int, texts: Sequence[str | None]) -> list[float]:
    """Return the columns of a request.

    Args:
        columns: What ``lay_out`` returns, and its width.
        width: Number of columns.
        texts: The attribute of each feature; None where it is absent.
    """
    row = [0.0] * width
    row[0] = _FIRST
    for text, (start, places, absent, mean, scale) in zip(texts, columns, strict=True):
        if places is not None:
            row[absent if text is None else places.get(text, absent - 1)] = _FIRST
            continue
        value = number(text)
        if value is None:
            row[absent] = _FIRST
        else:
            row[start] = (value - mean) / scale
    return row


class LinearPolicy(Struct, frozen=True):
    """A policy, compiled.

    Attributes:
        names: Names of the features, in order.
        sources: Where each is read.
        columns: Where its columns are.
        width: Number of columns.
        score: From columns to shares.
        floor: Least probability of each arm.
        arms: Hash prefix of each arm, in the order of the shares.
        kept: Features to the weights that they gave.
    """

    names: tuple[str, ...]
    sources: tuple[Source, ...]
    columns: tuple[Columns, ...]
    width: int
    score: Score
    floor: float
    arms: tuple[tuple[bytes, Any], ...]
    kept: dict[tuple[str | None, ...], tuple[float, ...]]

    def weights(self, request: Request) -> tuple[float, ...]:
        """Return the probability of each arm for a request, in the order of ``arms``."""
        texts = tuple([source.read(request) for source in self.sources])
        found = self.kept.get(texts)
        if found is None:
            found = self.weigh(texts)
            if sum([len(text) for text in texts if text]) <= _LONGEST:
                if len(self.kept) >= PLACES:
                    self.kept.clear()
                self.kept[texts] = found
        return found

    def weigh(self, texts: Sequence[str | None]) -> tuple[float, ...]:
        """Return the probability of each arm for features, computed anew."""
        shares = self.score(row_of(self.columns, self.width, texts))
        rest = 1 - len(shares) * self.floor
        return tuple([self.floor + rest * share for share in shares])

    def choose(self, request: Request, unit: bytes) -> Any:
        """Return the arm of a unit, with the propensity that it had for this request."""
        weights = self.weights(request)
        lowest, chosen = inf, 0
        for place, (prefix, _) in enumerate(self.arms):
            weight = weights[place]
            if weight > 0:
                score = -log(((digest(prefix + unit)[0] >> 11) + 0.5) * SCALE) / weight
                if score < lowest:
                    lowest, chosen = score, place
        arm = self.arms[chosen][1]
        return replace(arm, enrolments=(replace(arm.enrolments[0], propensity=weights[chosen]),))


def compile_policy(
    model: LinearModel, attributes: Mapping[str, Source], arms: Mapping[str, tuple[bytes, Any]]
) -> LinearPolicy:
    """Compile a model.

    Args:
        model: The model.
        attributes: Attributes of the route, compiled.
        arms: Arm to its hash prefix and its plan.

    Raises:
        KeyError: If a feature is no attribute, or an arm is none.
        ValueError: If the model's numbers do not fit its arms and features.
    """
    columns, width = lay_out(model.features)
    return LinearPolicy(
        names=tuple(feature.name for feature in model.features),
        sources=tuple(attributes[feature.name] for feature in model.features),
        columns=columns,
        width=width,
        score=(thompson if model.use == "linear_thompson" else ucb)(model),
        floor=model.floor,
        arms=tuple(arms[name] for name in model.arms),
        kept={},
    )


def load() -> None:
    """Load numpy now, before requests wait for it: the first model comes while they run."""
    import numpy as np  # noqa: F401, PLC0415 - only workers with such a policy load it


def thompson(model: LinearModel) -> Score:
    """Return what says in which share of the draws each arm is the best; of equal ones the first is.

    Raises:
        ValueError: If the numbers do not fit.
    """
    import numpy as np  # noqa: PLC0415 - only workers with such a policy load it

    arms, width = len(model.arms), model.width
    numbers = np.frombuffer(model.numbers, dtype="<f4").reshape(-1, arms, width)
    draws = len(numbers)
    # One product for all draws; arms outermost, so that the best of a draw is found along the first axis.
    flat = np.ascontiguousarray(numbers.transpose(1, 0, 2).reshape(arms * draws, width).T)
    array, bincount, kind = np.array, np.bincount, np.float32

    def score(row: list[float]) -> list[float]:
        best = array(row, kind).dot(flat).reshape(arms, draws).argmax(0)
        return [wins / draws for wins in bincount(best, None, arms).tolist()]

    return score


def ucb(model: LinearModel) -> Score:
    """Return what gives everything to the arm with the largest upper bound; of equal ones to the first.

    Raises:
        ValueError: If the numbers do not fit.
    """
    import numpy as np  # noqa: PLC0415 - only workers with such a policy load it

    arms, width = len(model.arms), model.width
    numbers = np.frombuffer(model.numbers, dtype="<f4").reshape(arms, 1 + width, width)
    flat = np.ascontiguousarray(numbers.reshape(arms * (1 + width), width).T)

    def score(row: list[float]) -> list[float]:
        found = np.array(row, np.float32).dot(flat).reshape(arms, 1 + width)
        roots = found[:, 1:]
        bounds = found[:, 0] + np.sqrt((roots * roots).sum(axis=1))
        shares = [0.0] * arms
        shares[int(bounds.argmax())] = 1.0
        return shares

    return score
