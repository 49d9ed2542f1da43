"""The releases that this router is told to make, as configuration text that it loads like any other.

Responsible for: targets, metrics and stages of each recipe.
Does not know: scenarios, what becomes of a release.

Rules: guardrails are those that DESIGN and the reference show: errors at most twice control's, the 99th percentile at
most one and a half times. Small stages go by time alone (a guardrail that fails rolls back in any case); the last
before full share has to show that every guardrail holds. ``patient`` asks for that nowhere: a service with a few
requests a minute cannot show within days that its errors have not doubled.
"""

from functools import cache
from typing import Final, NamedTuple

from router.config.load import load_text
from router.config.schema import Experiment, Metric

NAME: Final = "release"
CONTROL: Final = "control"
NEW: Final = "treatment"

_STAGES: Final = {
    "fast": "[{share: 5%, hold: 10m, require: []}, {share: 25%, hold: 10m, require: []}, {share: 50%, hold: 30m}, "
    "{share: 100%, hold: 10m, require: []}]",
    "halves": "[{share: 50%, hold: 30m}, {share: 100%, hold: 10m, require: []}]",
    "patient": "[{share: 10%, hold: 1h, require: []}, {share: 50%, hold: 2h, require: []}, "
    "{share: 100%, hold: 1h, require: []}]",
    "slow": "[{share: 1%, hold: 2h, require: []}, {share: 5%, hold: 12h, require: []}, {share: 25%, hold: 12h, "
    "require: []}, {share: 50%, hold: 12h}, {share: 100%, hold: 1h, require: []}]",
    "judged": "[{share: 50%, hold: 1h, require: [primary]}, {share: 100%, hold: 1h, require: []}]",
}

_TEXT: Final = """
version: 1
targets:
  - {{name: v1, endpoints: [http://127.0.0.1:8001]}}
  - {{name: v2, endpoints: [http://127.0.0.1:8002]}}
routes:
  - {{name: api, match: {{path: /}}, target: v1, unit: [header:x-user-id]}}
metrics:
  - {{name: converts, kind: proportion, outcome: converts, window: 10m, goal: up}}
  - {{name: errors, kind: ratio, exchange: failed, goal: down}}
  - {{name: p99, kind: quantile, exchange: duration, q: 0.99, goal: down}}
experiments:
  - name: {name}
    route: api
    arms: [{{name: {control}, target: v1}}, {{name: {new}, target: v2}}]
    allocate: {{use: rollout, stages: {stages}, bake: 10m}}
    metrics:
      primary: converts
      guardrails:
        - {{metric: errors, ratio: 2.0, action: rollback}}
        - {{metric: p99, ratio: 1.5, action: rollback}}
"""


class Recipe(NamedTuple):
    """What the router loaded.

    Attributes:
        experiment: The experiment with its stages and guardrails.
        metrics: Name to metric.
    """

    experiment: Experiment
    metrics: dict[str, Metric]


@cache
def recipe(name: str) -> Recipe:
    """Load a recipe.

    Args:
        name: ``fast``, ``halves``, ``patient``, ``slow`` or ``judged``.
    """
    text = _TEXT.format(name=NAME, control=CONTROL, new=NEW, stages=_STAGES[name])
    config = load_text(text.encode(), f"{name}.yaml").config
    return Recipe(config.experiments[0], {metric.name: metric for metric in config.metrics})
