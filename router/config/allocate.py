"""The part of the schema about allocators: what produces an experiment's weights.

Responsible for: its keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what an allocator computes (``router.bandit``), experiments.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from router.config.contextual import Feature
from router.config.preview import Preview
from router.config.rehearsal import Mirroring, OfflineCheck
from router.config.release import HOUR_S, RECIPE, Hold, Stage
from router.config.smoke import SmokeTest
from router.config.terms import Name, Pointer, Share, Slot

Patience = Annotated[float, Meta(ge=0.001, le=3600, extra={"scalar": "duration"})]
Held = Annotated[int, Meta(ge=1, le=16 * 1024**2, extra={"scalar": "size"})]
Update = Annotated[float, Meta(ge=1, le=86_400, extra={"scalar": "duration"})]
Part = Annotated[float, Meta(ge=0.001, le=0.999, extra={"scalar": "share"})]
Batch = Annotated[float, Meta(ge=0.01, le=1, extra={"scalar": "share"})]
Patient = Annotated[float, Meta(ge=1, le=86_400, extra={"scalar": "duration"})]
Impact = Annotated[float, Meta(gt=0, le=1e12)]
KeptShare = Annotated[float, Meta(ge=0, le=0.5, extra={"scalar": "share"})]
Observations = Annotated[int, Meta(ge=1, le=1_000_000_000)]

CONTEXTUAL: Final = frozenset({"linear_thompson", "lin_ucb"})
"""Policies that give each request an arm by its features, and leave the weights alone."""
BANDITS: Final = CONTEXTUAL | {
    "thompson",
    "top_two_thompson",
    "ucb",
    "kl_ucb",
    "epsilon_greedy",
    "successive_elimination",
}
"""Policies that learn from a reward."""
DRIVEN: Final = frozenset({"rollout", "blue_green", "rolling"})
"""Releases: weights follow from where the release is, step by step."""


class WarmUp(Struct, frozen=True, kw_only=True):
    """How long a bandit leaves the weights of the file alone: until all of it is over."""

    units: Annotated[Observations, Meta(description="observations that each arm needs")] = 100
    time: Annotated[Slot | None, Meta(description="how long after the run began")] = None


class Allocate(Struct, frozen=True, kw_only=True):
    """What produces the weights."""

    use: Annotated[
        Literal[
            "fixed",
            "switchback",
            "interleave",
            "ensemble",
            "thompson",
            "top_two_thompson",
            "ucb",
            "kl_ucb",
            "epsilon_greedy",
            "successive_elimination",
            "linear_thompson",
            "lin_ucb",
            "rollout",
            "blue_green",
            "rolling",
        ],
        Meta(
            description="`fixed`: the weights of the file; `switchback`: likewise, but what is assigned to an arm is a "
            "slot of time (for each of the experiment's `unit`, if it has one); `interleave`: each request goes to "
            "both arms, and the answer has a merge of their ranked lists; `ensemble`: to all arms, and the answer has "
            "what their values come to (docs/interleaving.md); `rollout`: the new arm's share grows stage by stage, "
            "and goes back to nothing when a guardrail fails; `blue_green`: from nobody to everybody at once, and back "
            "at once; `rolling`: endpoint by endpoint of the old target gives way to one of the new "
            "(docs/rollouts.md); the others are bandits (docs/statistics.md)"
        ),
    ] = "fixed"
    slot: Annotated[Slot | None, Meta(description="length of a slot of time; `switchback` needs it")] = None
    list: Annotated[Pointer | None, Meta(description="of `interleave`: where the ranked list is in an answer")] = None
    id: Annotated[
        Pointer | None,
        Meta(description="of `interleave`: where the id is in an item of the list; default the item itself, a scalar"),
    ] = None
    merge: Annotated[
        Literal["team_draft", "balanced"],
        Meta(
            description="of `interleave`: `team_draft` (Radlinski, Kurup, Joachims 2008) or `balanced` (Joachims 2002)"
        ),
    ] = "team_draft"
    at: Annotated[Pointer | None, Meta(description="of `ensemble`: where the value is in an answer")] = None
    combine: Annotated[
        Literal["mean", "median", "vote"],
        Meta(description="of `ensemble`: what numbers come to, or `vote`: the value that most arms have"),
    ] = "mean"
    deadline: Annotated[
        Patience | None,
        Meta(
            description="of `interleave` and `ensemble`: how long after the request was sent the answer waits for all "
            "arms, as far as one has answered; default 1s",
        ),
    ] = None
    body_bytes: Annotated[
        Held | None,
        Meta(
            description="of both: longest request body that goes to several arms; a longer one goes to the unit's arm "
            "alone; default 256KiB",
        ),
    ] = None
    answer_bytes: Annotated[
        Held | None,
        Meta(
            description="of both: longest answer that is read; an arm with a longer one serves alone, or not; default "
            "256KiB",
        ),
    ] = None
    reward: Annotated[
        Name | None, Meta(description="of a bandit: metric that it learns from, one of the experiment's")
    ] = None
    period: Annotated[
        Slot | None,
        Meta(
            description="of a bandit: how long a unit keeps its arm before it is drawn anew; not with `unit: [request]`"
        ),
    ] = None
    floor: Annotated[
        Share, Meta(description="of a bandit: least share of each arm, mixed into what the allocator says")
    ] = 0.01
    update: Annotated[
        Update,
        Meta(
            description="of a bandit: how often weights are computed anew; on units that stay, they change only when a "
            "period begins"
        ),
    ] = 10.0
    half_life: Annotated[
        Slot | None, Meta(description="of a bandit: after how long an observation counts half; default it never fades")
    ] = None
    control_share: Annotated[
        Part | None, Meta(description="of a bandit: share that control has, whatever it earns; default it competes")
    ] = None
    warm_up: Annotated[WarmUp, Meta(description="of a bandit: how long the weights of the file stay")] = field(
        default_factory=WarmUp
    )
    range: Annotated[
        tuple[float, ...],
        Meta(
            max_length=2,
            description="of a bandit: lowest and highest value of a `mean` or `count`, which then is a reward between "
            "0 and 1; values beyond are taken for the nearest",
        ),
    ] = ()
    leader: Annotated[Part, Meta(description="of `top_two_thompson`: share of the leader among the two")] = 0.5
    epsilon: Annotated[Share, Meta(description="of `epsilon_greedy`: share that all arms have alike")] = 0.1
    delta: Annotated[
        Part, Meta(description="of `successive_elimination`: chance that the best arm is ever taken out")
    ] = 0.05

    offline: Annotated[
        OfflineCheck | None,
        Meta(description="of `rollout`: what has to hold on recorded requests before anything else is sent"),
    ] = None
    shadow: Annotated[
        Annotated[Mirroring, Meta(extra={"shorthand": "for"})] | None,
        Meta(
            description="of `rollout`: before the first stage the new arm's target gets copies of requests, for so "
            "long or as a map says; its answers have to hold up against those that callers get"
        ),
    ] = None

    features: Annotated[
        tuple[Annotated[Feature, Meta(extra={"shorthand": "category"})], ...],
        Meta(
            max_length=16,
            description="of a linear policy: attributes it looks at: names, `{category: …}` or `{number: …}`; logged",
        ),
    ] = ()
    draws: Annotated[
        int,
        Meta(ge=128, le=1024, description="of `linear_thompson`: draws of the coefficients that workers score by"),
    ] = 128
    ridge: Annotated[
        float,
        Meta(
            gt=0,
            le=1e6,
            description="of a linear policy: what the belief that features do not matter weighs, as requests",
        ),
    ] = 1.0
    alpha: Annotated[
        float,
        Meta(ge=0, le=1e6, description="of `lin_ucb`: standard errors of its upper bounds, in units of the reward"),
    ] = 1.0
    preview: Annotated[
        Preview | None, Meta(description="of a release: which requests the new version serves before it has traffic")
    ] = None
    tests: Annotated[
        tuple[SmokeTest, ...],
        Meta(
            max_length=32,
            description="of `blue_green` and `rolling`: requests that each endpoint of the new version has to answer "
            "well before it gets traffic",
        ),
    ] = ()
    ready_within: Annotated[
        Patient,
        Meta(
            description="of both: how long new endpoints may take to be ready and pass `tests`, before the release is "
            "given up"
        ),
    ] = 600.0
    approve: Annotated[
        bool, Meta(description="of `blue_green`: whether a person has to let the switch happen; default by itself")
    ] = False
    hold: Annotated[
        Hold | None,
        Meta(
            description="of `blue_green`: how long green has to be ready and to pass `tests` before the switch, "
            "default 0s; of `rolling`: how long each batch is watched before the next, default 5m"
        ),
    ] = None
    keep_warm: Annotated[
        Hold,
        Meta(description="of `blue_green`: how long blue is kept to switch back to, under guard, before it is done"),
    ] = 600.0
    batch: Annotated[
        Batch, Meta(description="of `rolling`: share of the endpoints that each batch replaces, rounded up")
    ] = 0.25

    stages: Annotated[
        tuple[Stage, ...],
        Meta(
            max_length=32,
            description="of `rollout`: the stages, each with a larger share; default 1% for 24h, 5% for 24h, 25% for "
            "12h, 100% for 1h",
        ),
    ] = ()
    keep_control: Annotated[
        KeptShare,
        Meta(description="of `rollout`: share that control keeps to compare with until the bake is over"),
    ] = 0.05
    bake: Annotated[Hold, Meta(description="of `rollout`: how long guardrails go on guarding after the last stage")] = (
        600.0
    )
    holdout: Annotated[
        KeptShare, Meta(description="of `rollout`: share that control keeps after it is done, for the long term")
    ] = 0.0

    repromote: Annotated[
        Slot | None,
        Meta(
            description="of `rollout`: how long after a version had everybody it begins at the last stage when it is "
            "released again, if it was not rolled back since; default never"
        ),
    ] = None
    impact: Annotated[
        Impact,
        Meta(
            description="of `rollout`: what a failure would cost if everybody had it, in a unit of your own; the risk "
            "of a stage is the chance of a failure, times this, times its share"
        ),
    ] = 1.0
    max_risk: Annotated[
        Impact | None, Meta(description="of `rollout`: a stage with more risk than this is not entered; default any")
    ] = None

    @property
    def hold_s(self) -> float:
        """How long a blue-green switch or a batch holds, in seconds."""
        return self.hold if self.hold is not None else 300.0 if self.use == "rolling" else 0.0

    @property
    def ladder(self) -> tuple[Stage, ...]:
        """The stages of a rollout, those of the recipe when none are named."""
        return self.stages or RECIPE

    @property
    def rehearsal(self) -> Mirroring | None:
        """The time in which a rollout gets copies first; the recipe's when no stages are named."""
        if self.use != "rollout" or self.shadow is not None or self.stages:
            return self.shadow
        return Mirroring(hold=HOUR_S)

    @property
    def bandit(self) -> bool:
        """Whether weights follow a reward."""
        return self.use in BANDITS

    @property
    def driven(self) -> bool:
        """Whether weights follow from where a release is."""
        return self.use in DRIVEN

    @property
    def steered(self) -> bool:
        """Whether weights are not those of the file: they follow a reward, or where a release is."""
        return self.bandit or self.driven

    @property
    def slotted(self) -> float | None:
        """Length of the slots of time in which a unit is drawn anew, in seconds; None when it keeps its arm."""
        return self.slot if self.slot is not None else self.period
