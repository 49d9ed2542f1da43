"""Novelty: whether several measurements together are unlike all that was seen.

Responsible for: a reference window of rows, a model of it (isolation forest or autoencoder), how unlike it the next row
is, and handing that to the charts of ``router.detect.stream``.
Does not know: what is measured.

An isolation forest (Liu, Ting & Zhou 2008) says how few random splits set a row apart; an autoencoder, a network with a
narrow middle that is to give back what it gets, how far off it is. scikit-learn has both. Neither number has a scale,
so it is ranked among those of reference rows that the model has not seen: under exchangeability the rank is a p-value
(conformal anomaly detection, Laxhammar & Falkman 2010), whose normal score is charted by a one-sided CUSUM. So the rate
of false alarms is stated, not set by hand. One row is never enough: with 250 rows to rank among a p-value is at least
1/251.

Rules: rows of the reference are used in turn for the model and for the ranks. A model is a function of the reference
and the plan alone, so it is not written down but made again. Needs scikit-learn, which is imported then.
"""

import warnings
from bisect import bisect_left
from collections.abc import Sequence
from statistics import NormalDist
from typing import Annotated, Any, Final, Literal

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from router.detect.baseline import measured
from router.detect.chart import Chart
from router.detect.stream import Plan, Point, Said, State, take

MISSING: Final = "isolation forests and autoencoders need scikit-learn: pip install router[watch]"
_NORMAL: Final = NormalDist()
_SEED: Final = 20_771
_TREES: Final = 100
_ROUNDS: Final = 500

Row = tuple[float, ...]


class NoveltyPlan(Struct, frozen=True, kw_only=True):
    """How rows are watched.

    Attributes:
        model: Which.
        chart: Of the normal scores of the ranks.
        reference: Rows of the reference window.
        hidden: Of an autoencoder: width of its middle.
        calm: As ``router.detect.stream.Plan``.
        adopt: Likewise.
    """

    model: Literal["isolation_forest", "autoencoder"]
    chart: Chart
    reference: Annotated[int, Meta(ge=40, le=5000)] = 500
    hidden: Annotated[int, Meta(ge=1, le=32)] = 2
    calm: Annotated[int, Meta(ge=1)] = 5
    adopt: Annotated[int, Meta(ge=1)] = 1440


class NoveltyState(Struct, frozen=True, omit_defaults=True):
    """What is remembered.

    Attributes:
        rows: The reference.
        scores: Of the chart.
    """

    rows: tuple[Row, ...] = ()
    scores: State = State()


class Model:
    """A model of a reference; a function of plan and rows."""

    def __init__(self, plan: NoveltyPlan, rows: Sequence[Row]) -> None:
        """Learn.

        Args:
            plan: What.
            rows: The reference, oldest first.

        Raises:
            ImportError: If scikit-learn is not installed.
        """
        table = np.asarray(rows, dtype=float)
        train, rest = table[0::2], table[1::2]
        self._center = train.mean(axis=0)
        spread = train.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._forest = plan.model == "isolation_forest"
        self._model = _forest(self._scaled(train)) if self._forest else _autoencoder(self._scaled(train), plan.hidden)
        self._ranks = sorted(self._unlike(rest).tolist())

    def score(self, row: Row) -> float:
        """Return the normal score of the rank of a row among those of the reference."""
        return self.scores([row])[0]

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """Return the normal score of each of some rows."""
        whole = len(self._ranks)
        above = [whole - bisect_left(self._ranks, each) for each in self._unlike(np.asarray(rows, float)).tolist()]
        return [-_NORMAL.inv_cdf((each + 0.5) / (whole + 1)) for each in above]

    def _scaled(self, rows: Any) -> Any:
        # A value beyond all measure says no more than one far out, and the network's arithmetic survives it.
        return np.clip((rows - self._center) / self._spread, -1e6, 1e6)

    def _unlike(self, rows: Any) -> Any:
        scaled = self._scaled(rows)
        if self._forest:
            return -self._model.score_samples(scaled)
        return np.square(self._model.predict(scaled).reshape(scaled.shape) - scaled).mean(axis=1)


def take_row(
    plan: NoveltyPlan, state: NoveltyState, model: Model | None, row: Sequence[float | None]
) -> tuple[NoveltyState, Model | None, Said]:
    """Take one row.

    Args:
        plan: How rows are watched.
        state: What is remembered; ``NoveltyState()`` begins.
        model: The model that came of the last row; None makes it from the state, when there is enough in it.
        row: The measurements; a row with a missing one is missing.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    known = tuple(value for value in map(measured, row) if value is not None)
    width = len(state.rows[0]) if state.rows else len(known)
    if len(known) != len(row) or len(row) != width or not row:
        return state, model, Said(status="missing")
    if len(state.rows) < plan.reference:
        return replace(state, rows=(*state.rows, known)), None, Said(status="learning")
    if model is None:
        model = Model(plan, state.rows)
    charted = Plan(chart=plan.chart, kind="score", direction="up", learn=10, calm=plan.calm, adopt=plan.adopt)
    scores, said = take(charted, replace(state.scores, seen=max(state.scores.seen, 10)), Point(model.score(known)))
    if said.change == "adopted":
        return NoveltyState(), None, said
    return replace(state, scores=scores), model, said


def _forest(rows: Any) -> Any:
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - see the module's rules

    return IsolationForest(n_estimators=_TREES, random_state=_SEED).fit(rows)


def _autoencoder(rows: Any, hidden: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - see the module's rules
    from sklearn.neural_network import MLPRegressor  # noqa: PLC0415 - the same

    network = MLPRegressor(
        hidden_layer_sizes=(hidden,),
        activation="tanh",
        solver="lbfgs",
        alpha=1e-3,
        max_iter=_ROUNDS,
        random_state=_SEED,
    )
    with warnings.catch_warnings():  # after so many rounds it is good enough, and ranks make up for the rest
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(rows, rows if rows.shape[1] > 1 else rows.ravel())
