"""The part of the schema about verdicts: by which method, how sure, and what else has to hold.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: how anything is decided (``router.report``), metrics.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from router.config.terms import Duration, Share

Method = Literal["sequential", "group_sequential", "fixed", "sprt"]
Spending = Literal["obrien_fleming", "pocock", "kim_demets", "hwang_shih_decani"]
Correction = Literal["holm", "bonferroni", "benjamini_hochberg"]
Level = Annotated[float, Meta(ge=0.000001, le=0.5, extra={"scalar": "share"})]
Looks = Annotated[int, Meta(ge=1, le=100)]
Parameter = Annotated[float, Meta(ge=-40, le=40)]
Units = Annotated[int, Meta(ge=2)]
Note = Annotated[str, Meta(max_length=4096)]
Size = Annotated[float, Meta(ge=0.0001, le=10, extra={"scalar": "change"})]


class Decide(Struct, frozen=True, kw_only=True):
    """How it is decided whether an arm is better."""

    method: Annotated[
        Method,
        Meta(
            description="`sequential`: always valid, read it as often as you like; `group_sequential`: at planned "
            "looks; `fixed`: once, at a size chosen beforehand; `sprt`: one size of effect against none"
        ),
    ] = "sequential"
    alpha: Annotated[Level, Meta(description="wrong verdicts when nothing differs, both sides together")] = 0.05
    power: Annotated[
        Share, Meta(description="probability of a verdict when the effect is `mde`; plans looks, and sets SPRT's β")
    ] = 0.8
    mde: Annotated[
        Size | None,
        Meta(description="least effect that matters, as a share of control's value; tunes methods and plans looks"),
    ] = None
    min_units: Annotated[
        int, Meta(ge=2, description="units that each arm needs, with their windows over, before anything is decided")
    ] = 100
    min_duration: Annotated[
        Duration | None, Meta(description="how long a phase has to last before anything is decided")
    ] = None
    correction: Annotated[
        Correction, Meta(description="over arms, and over secondary metrics and slices each for themselves")
    ] = "holm"
    looks: Annotated[Looks | None, Meta(description="of `group_sequential`: how many, evenly spaced; default 5")] = None
    information: Annotated[
        tuple[Share, ...],
        Meta(description="of `group_sequential`: instead of `looks`, the share of all data at each, the last 100%"),
    ] = ()
    spending: Annotated[
        Spending | None,
        Meta(description="of `group_sequential`: how alpha is spent over looks; default `obrien_fleming`"),
    ] = None
    parameter: Annotated[
        Parameter | None, Meta(description="of `kim_demets` (rho, above 0) and `hwang_shih_decani` (gamma)")
    ] = None
    effect: Annotated[
        Size | None,
        Meta(description="of `sprt`: effect that is tested against none, as a share of control's value; default `mde`"),
    ] = None
    units: Annotated[
        Units | None,
        Meta(
            description="of `fixed` and `group_sequential`: units that each arm has at the end, their windows over",
        ),
    ] = None
    duration: Annotated[
        Duration | None,
        Meta(description="of `fixed` and `group_sequential`: instead of `units`, how long a phase lasts"),
    ] = None


class Notes(Struct, frozen=True, kw_only=True):
    """What people make of an experiment; reported with it."""

    learned: Annotated[Note | None, Meta(description="what was learned")] = None
    next: Annotated[Note | None, Meta(description="the next bet")] = None
