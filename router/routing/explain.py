"""The same answers as ``find`` and ``decide``, step by step and in words.

Responsible for: ``explain``, for people who ask why a request went where it went.
Does not know: how its steps are shown.

Rules: it calls the request path's own code for every answer and only adds what led there, so it cannot say anything
else; tests hold the two together. It may be slow.
"""

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from router.routing.bucket import arm_prefix, score, uniform
from router.routing.decide import RoutePlan
from router.routing.match import Switch, json_key
from router.routing.path import canonical
from router.routing.request import Request
from router.routing.sites import Sites
from router.routing.source import MAX_UNIT_BYTES, text
from router.routing.structure import HoldoutPlan, Seen
from router.routing.table import Node, Table
from router.routing.trial import WHOLE

# A switch may hold hundreds of routes that miss for one reason; a reader wants the reason once.
_NAMED: Final = 3


class Step(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        kind: What sort of thing.
        name: Which of its sort.
        result: What came of it.
        chosen: Whether it is what was taken.
        u: Uniform hash of the unit, 0 to 1: of an arm, or where it stands in a layer or among those of a holdout.
        score: What the arms compete with, the smallest wins; None at weight 0.
    """

    kind: Literal[
        "path", "route", "site", "source", "attribute", "holdout", "experiment", "override", "arm", "target", "shadow"
    ]
    name: str
    result: str
    chosen: bool = False
    u: float | None = None
    score: float | None = None


def explain(table: Table, request: Request, route: str | None = None) -> list[Step]:
    """Return what leads to the decision about a request, in order.

    Args:
        table: The table that decides.
        request: The request; its body as far as it is known.
        route: Name of a route to take for granted.

    Raises:
        KeyError: If there is no route of that name.
    """
    if route is None:
        steps = list(_routing(table, request))
        plan = table.find(request)
    else:
        steps = [Step("route", route, "given", chosen=True)]
        plan = table.pick(table.routes[route], request)
    if isinstance(plan, RoutePlan) and table.sites is not None and plan.name in table.sites:
        steps += _site(table.sites[plan.name], request)
    if isinstance(plan, RoutePlan):
        steps += _deciding(plan, request)
    return steps


def _site(sites: Sites, request: Request) -> Iterator[Step]:
    """Say whose configuration it is that decides."""
    said = [
        f"{what} {source.read(request) or 'absent'}"
        for what, source in (("region", sites.region), ("cluster", sites.cluster))
        if source is not None
    ]
    yield Step("site", sites.where(request) or "own", f"the request says {' and '.join(said)}", chosen=True)


def _routing(table: Table, request: Request) -> Iterator[Step]:
    spelled = canonical(request.path)
    name = text(request.path)
    if spelled is None:
        yield Step("path", name, "matches no route: servers disagree about where its dot segments lead")
        return
    yield Step("path", name, f"compared as {text(spelled)}")
    node = table.node(request.path)
    while node is not None:
        for switch in node.switches(request.host):
            found = switch.find(request)
            if isinstance(found, RoutePlan):
                yield Step("route", found.name, f"{_place(node)}; its conditions are met", chosen=True)
                return
            if found is not None:
                yield Step("route", _names(switch), f"the body decides; at most {found.inspect_bytes} bytes are read")
                return
            yield Step("route", _names(switch), f"{_place(node)}; {_obstacle(switch, request)}")
        node = node.parent


def _deciding(plan: RoutePlan, request: Request) -> Iterator[Step]:
    decision = plan.decide(request)
    yield from _sources(plan, request)
    for name, source in plan.attributes.items():
        value = source.read(request)
        yield Step("attribute", name, f"{source.label} is {value}" if value else f"{source.label} is absent")
    yield from _experiments(plan, request)
    named = any(enrolment.target is not None for enrolment in decision.enrolments)
    why = "the arm's target" if named else "the route's target"
    yield Step("target", decision.target, why, chosen=True)
    for shadow in plan.shadows:
        sampled = shadow in decision.shadows
        yield Step("shadow", shadow.target, "gets a copy" if sampled else "this unit is not sampled", chosen=sampled)


def _sources(plan: RoutePlan, request: Request) -> Iterator[Step]:
    found = plan.find_unit(request)
    for source in plan.sources:
        unit = source.read(request)
        if found is not None and source.label == found[0]:
            yield Step("source", source.label, found[1], chosen=True)
            return
        if source.json and request.body is None:
            yield Step("source", source.label, "absent: the body is not there")
        else:
            yield Step("source", source.label, f"absent: longer than {MAX_UNIT_BYTES} bytes" if unit else "absent")


def _experiments(plan: RoutePlan, request: Request) -> Iterator[Step]:
    if plan.structure is None:
        return
    enrolled = plan.enrol(request, told=True)
    found = plan.find_unit(request)
    if found is not None:
        for holdout in plan.structure.holdouts:
            held, u = holdout.name in enrolled.held, holdout.point(found[2]) / WHOLE
            yield Step("holdout", holdout.name, _share(holdout, held=held), held, u)
    for seen in enrolled.seen or ():
        yield from _experiment(seen, request)


def _share(holdout: HoldoutPlan, *, held: bool) -> str:
    return f"{'holds' if held else 'does not hold'} the unit: {_range(holdout.start, holdout.end)} are held out"


def _range(start: int, end: int) -> str:
    return f"{100 * start / WHOLE:.6g}% to {100 * end / WHOLE:.6g}%"


def _experiment(seen: Seen, request: Request) -> Iterator[Step]:
    trial = seen.trial
    where = f"layer {seen.layer.name}" if seen.layer.name is not None else "no layer"
    if seen.point is not None:
        where += f", {_range(trial.start, trial.end)} of it"
    whom = f"; unit {seen.unit}" if seen.unit is not None and (seen.layer.sources or seen.layer.slot) else ""
    result = f"{seen.result}; {where}{whom}"
    u = None if seen.point is None else seen.point / WHOLE
    yield Step("experiment", trial.experiment, result, seen.arm is not None, u)
    if seen.arm is None:
        return
    if seen.forced:
        preview = trial.preview if seen.result == "previewed" else None
        who = "this unit" if preview is None else f"requests with {text(preview.field)}"
        yield Step("override", seen.arm.label.decode(), f"given to {who}, whatever the weights", chosen=True)
    if seen.unit is None:
        return
    whose = "" if trial.policy is None else ", by the policy for these features"
    for name, weight in trial.shares(request).items():
        u = uniform(arm_prefix(trial.salt, name), seen.unit.encode())
        yield Step(
            "arm", name, f"weight {weight:g}{whose}", seen.arm.name == name, u, score(u, weight) if weight else None
        )


def _place(node: Node) -> str:
    return f"under {text(node.start)}" if node.start else "under any path"


def _names(switch: Switch) -> str:
    names = [plan.name for plan in switch.plans.values()]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _obstacle(switch: Switch, request: Request) -> str:
    """Return the first condition that is not met, in the order in which ``Switch.find`` asks them."""
    if switch.methods and request.method not in switch.methods:
        return f"the method is {text(request.method)}"
    for field, value in switch.headers:
        if request.fields.get(field) != value:
            return f"{text(field)} is not {text(value)}"
    if switch.pointer is None:
        return f"{text(switch.field or b'')} has another value"
    if not request.body or len(request.body) > switch.inspect_bytes:
        return f"no body of at most {switch.inspect_bytes} bytes"
    for pointer, wanted in switch.json:
        if json_key(request, pointer) != wanted:
            return f"/{'/'.join(pointer)} is not {wanted!r}"
    return f"/{'/'.join(switch.pointer)} has another value"
