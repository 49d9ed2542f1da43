"""From an entry of ``watch`` to a detector at work.

Responsible for: the plan that an entry stands for, and one stream's detector with what it remembers.
Does not know: how measurements are made, what follows from an anomaly.

Rules: what is remembered can be written down and goes on after a restart, but not under another plan. Detectors that
need a library are imported when there is one to be made; without the library the stream says so and nothing else stops.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from router.config.schema import Metric, Watch
from router.config.watching import DETECTORS, EVERY
from router.detect import drift, novelty, season
from router.detect.change_point import ChangePoint, with_rate
from router.detect.chart import Chart, Cusum, Direction, Ewma, PageHinkley, Shewhart
from router.detect.drift import DriftPlan, DriftState, Value, take_values
from router.detect.novelty import Model, NoveltyPlan, NoveltyState, take_row
from router.detect.run_length import with_run_length
from router.detect.season import SeasonPlan, SeasonState, take_slot
from router.detect.stream import Kind, Plan, Point, Said, State, take

AnyPlan = Plan | SeasonPlan | NoveltyPlan | DriftPlan
AnyState = State | SeasonState | NoveltyState | DriftState
Values = tuple[tuple[int, Value], ...]
Row = tuple[float | None, ...]
Measure = Point | Values | Row

EXTRA: Final = "this detector needs more libraries: pip install 'router[watch]'"
_SHARES: Final = ("error_rate", "accuracy", "precision", "recall")
_LATENCY: Final = ("p50", "p90", "p95", "p99")
_INTERVALS: Final = {"seasonal": 300.0, "score": 3600.0}
_INTERVAL: Final = 60.0
_ADOPT_S: Final = 86_400.0  # after a day, what was a departure is the new usual
_LEAST_ADOPT: Final = 30
_ROWS: Final = 500
_POINTS: Final = 60
_VALUES: Final = 2000
_DAY: Final = 86_400.0


def interval_s(watch: Watch) -> float:
    """Return the time that one point of a stream is about."""
    if watch.interval is not None:
        return watch.interval
    return _INTERVALS.get("score" if watch.score is not None else watch.by, _INTERVAL)


def kind_of(watch: Watch, metric: Metric | None) -> Kind:
    """Return what a point of a stream is.

    Args:
        watch: The entry.
        metric: The metric that it names; None when that is a stream that is built in.
    """
    name = watch.score or watch.metric
    if name in _SHARES or (metric is not None and metric.exchange == "failed"):
        return "share"
    return "log" if watch.metric is not None else "value"


def plan_of(watch: Watch, metric: Metric | None = None) -> AnyPlan:
    """Return how a stream is watched.

    Args:
        watch: The entry.
        metric: As of ``kind_of``.
    """
    every = watch.every if watch.every is not None else EVERY[watch.severity]
    told, by = watch.parameters, watch.by
    if by in ("psi", "ks"):
        return DriftPlan(
            test="ks" if by == "ks" else "psi",
            reference=max(50, watch.reference or _VALUES),
            window=max(50, watch.window or _VALUES // 4),
            at_least=told.get("at_least", 0.1),
            every=every,
        )
    points = max(2.0, every / interval_s(watch))
    adopt = max(_LEAST_ADOPT, int(_ADOPT_S / interval_s(watch)))
    if by in ("isolation_forest", "autoencoder"):
        return NoveltyPlan(
            model="autoencoder" if by == "autoencoder" else "isolation_forest",
            chart=_chart("cusum", {"slack": 1.0, **told}, points, "up"),
            reference=max(40, watch.reference or _ROWS),
            hidden=int(told.get("hidden", 2)),
            adopt=adopt,
        )
    direction, kind = watch.direction or _direction(watch, metric), kind_of(watch, metric)
    learn = watch.reference or _POINTS
    if by == "seasonal":
        slots = max(4, round((watch.period or _DAY) / interval_s(watch)))
        chart = _chart("ewma", {"weight": 0.2, **told}, points, direction)
        rest = Plan(chart=chart, direction=direction, learn=learn, adopt=max(adopt, slots))
        return SeasonPlan(rest=rest, slots=slots, positive=kind == "log")
    chart_of = _change_point(told, points) if by == "change_point" else _chart(by, told, points, direction)
    return Plan(chart=chart_of, kind=kind, direction=direction, learn=learn, adopt=adopt)


class Detecting:
    """The detector of one stream.

    Attributes:
        plan: How it is watched.
        state: What is remembered.
        said: What was said last.
        problem: Why nothing can be said; None when it can.
        begun: When the present episode began, in unix seconds; None outside of one.
        episodes: How many began.
        worst: What was said when the present episode began.
    """

    def __init__(self, plan: AnyPlan) -> None:
        # Per stream
        self.plan = plan
        self.state: AnyState = _begin(plan)
        self.said = Said(status="learning")
        self.problem: str | None = None
        self.begun: float | None = None
        self.episodes = 0
        self.worst: Said | None = None
        self._model: Model | None = None

    def take(self, measure: Measure, slot: int, now: float) -> Said:
        """Take what was measured.

        Args:
            measure: A point, values, or a row, as the plan has it.
            slot: Number of the interval since any moment.
            now: Unix seconds.
        """
        try:
            self.said = self._take(measure, slot, now)
        except ImportError as error:
            self.problem = f"{EXTRA} ({error})"
            return self.said
        self.problem = None
        if self.said.change == "begun":
            self.begun, self.episodes, self.worst = now, self.episodes + 1, self.said
        elif self.said.change is not None:
            self.begun, self.worst = None, None
        return self.said

    def written(self) -> dict[str, Any]:
        """Return what is remembered, as plain data."""
        return {
            "state": msgspec.to_builtins(self.state),
            "begun": self.begun,
            "episodes": self.episodes,
            "worst": None if self.worst is None else msgspec.to_builtins(self.worst),
            "said": msgspec.to_builtins(self.said),
        }

    def read(self, written: dict[str, Any]) -> None:
        """Go on with what was remembered.

        Raises:
            ValueError: If it is of another kind.
        """
        state: AnyState = msgspec.convert(written.get("state"), type(self.state))
        said = msgspec.convert(written.get("said"), Said)
        worst = msgspec.convert(written.get("worst"), Said | None)
        begun = msgspec.convert(written.get("begun"), float | None)
        self.episodes = msgspec.convert(written.get("episodes"), int)
        self.state, self.said, self.worst, self.begun = state, replace(said, change=None), worst, begun

    def _take(self, measure: Measure, slot: int, now: float) -> Said:
        plan, state = self.plan, self.state
        if isinstance(plan, Plan) and isinstance(state, State) and isinstance(measure, Point):
            self.state, said = take(plan, state, measure)
        elif isinstance(plan, SeasonPlan) and isinstance(state, SeasonState) and isinstance(measure, Point):
            self.state, said = take_slot(plan, state, slot, measure.value)
        elif isinstance(plan, NoveltyPlan) and isinstance(state, NoveltyState):
            self.state, self._model, said = take_row(plan, state, self._model, _row(measure))
        elif isinstance(plan, DriftPlan) and isinstance(state, DriftState):
            self.state, said = take_values(plan, state, _values(measure), now)
        else:
            raise TypeError(f"{type(plan).__name__} does not take {type(measure).__name__}")
        return said


def missing(watch: Watch) -> str | None:
    """Return why a detector cannot work here, before there is anything for it to do; None when it can."""
    if not DETECTORS[watch.by].extra:
        return None
    needed = {
        "seasonal": ("statsmodels.tsa.seasonal", season.MISSING),
        "isolation_forest": ("sklearn.ensemble", novelty.MISSING),
        "autoencoder": ("sklearn.neural_network", novelty.MISSING),
        "change_point": ("ruptures", "change points need ruptures: pip install router[watch]"),
        "psi": ("scipy.stats", drift.MISSING),
        "ks": ("scipy.stats", drift.MISSING),
    }
    from importlib.util import find_spec  # noqa: PLC0415 - only asked once for each stream

    module, sentence = needed[watch.by]
    return None if find_spec(module.partition(".")[0]) is not None else sentence


def _row(measure: Measure) -> Row:
    if isinstance(measure, Point):
        return (measure.value,)
    return tuple(value for value in measure if not isinstance(value, tuple))


def _values(measure: Measure) -> Values:
    if isinstance(measure, Point):
        return ()
    return tuple(value for value in measure if isinstance(value, tuple))


def _begin(plan: AnyPlan) -> AnyState:
    if isinstance(plan, Plan):
        return State()
    if isinstance(plan, SeasonPlan):
        return SeasonState()
    return NoveltyState() if isinstance(plan, NoveltyPlan) else DriftState()


def _direction(watch: Watch, metric: Metric | None) -> Direction:
    """Return where changes matter, where the entry does not say it."""
    if watch.score is not None:
        return "up" if watch.score == "calibration" else "down"
    if metric is not None or watch.metric in ("error_rate", *_LATENCY):
        return "up"
    return "both"


def _chart(by: str, told: dict[str, float], points: float, direction: Direction) -> Chart:
    """Return a chart with the limit that was told, or that follows from how often it may be wrong."""
    kinds = {"shewhart": Shewhart, "ewma": Ewma, "cusum": Cusum, "page_hinkley": PageHinkley}
    known = kinds[by].__struct_fields__
    chart: Chart = kinds[by](**{name: value for name, value in told.items() if name in known})
    limit = "threshold" if by == "page_hinkley" else "limit"
    return chart if limit in told else with_run_length(chart, points, direction)


def _change_point(told: dict[str, float], points: float) -> ChangePoint:
    whole = {name: int(value) for name, value in told.items() if name != "penalty"}
    chart = ChangePoint(**whole)
    return replace(chart, penalty=told["penalty"]) if "penalty" in told else with_rate(chart, points)
