"""Requests that get the configuration of their own region and cluster."""

from typing import Any

import pytest
from msgspec.structs import replace

from router.events.model import Kill
from router.routing.decide import Decision, RoutePlan
from router.routing.explain import explain
from router.routing.match import NeedBody
from router.routing.table import Table, compile_table
from tests.routing.build import request, revision

ARMS = [{"name": "control", "target": "t0", "weight": 1}, {"name": "treatment", "target": "t1", "weight": 0}]
FLIPPED = [{"name": "control", "target": "t0", "weight": 0}, {"name": "treatment", "target": "t1", "weight": 3}]
ROUTE: dict[str, Any] = {
    "name": "r",
    "unit": ["header:x-user-id"],
    "attributes": {"group": "header:x-group", "cell": "query:cell"},
}
EXPERIMENT: dict[str, Any] = {"name": "e", "route": "r", "arms": ARMS}
VARIANTS = [
    {"region": "eu", "experiments": [{**EXPERIMENT, "arms": FLIPPED}]},
    {"region": "eu", "cluster": "a"},
    {"region": "us", "routes": [{**ROUTE, "target": "t2"}]},
    {"region": "us", "cluster": "a", "routes": [{**ROUTE, "target": "t3"}]},
    {"cluster": "a", "overrides": [{"unit": "u", "experiment": "e", "arm": "treatment"}]},
]
LAYERED = {"region": "group", "cluster": "cell"}


def _table(route: dict[str, Any] = ROUTE, layered: dict[str, str] = LAYERED, **more: Any) -> Table:
    return compile_table(revision([route], [EXPERIMENT], variants=VARIANTS, layered_by=layered, **more))


def _decide(table: Table, group: str | None, cell: str | None = None, unit: str | None = "u") -> Decision:
    headers = {name: value for name, value in (("x-group", group), ("x-user-id", unit)) if value is not None}
    plan = table.find(request(f"/?cell={cell}" if cell else "/", headers=headers))
    assert isinstance(plan, RoutePlan)
    return plan.decide(request("/", headers=headers))


@pytest.mark.parametrize(
    ("group", "cell", "arm", "site", "propensity"),
    [
        (None, None, "control", None, 1.0),
        ("nowhere", "b", "control", None, 1.0),
        ("eu", None, "treatment", "eu", 1.0),
        ("eu", "b", "treatment", "eu", 1.0),
        ("eu", "a", "control", None, 1.0),
        (None, "a", "treatment", None, 1.0),
        ("us", "a", "control", None, 1.0),
    ],
)
def test_a_request_gets_the_weights_of_its_region_and_cluster(
    group: str | None, cell: str | None, arm: str, site: str | None, propensity: float
) -> None:
    """Unknown and absent ones are the process's own; the event says whose weights they were where they differ."""
    decision = _decide(_table(), group, cell)
    enrolment = decision.enrolments[0]
    assert (decision.arm, enrolment.site, enrolment.propensity) == (arm, site, propensity)


@pytest.mark.parametrize(("group", "cell", "target"), [("us", None, "t2"), ("us", "a", "t3"), ("eu", "a", "t0")])
def test_a_request_in_no_experiment_gets_the_target_of_its_region(group: str, cell: str | None, target: str) -> None:
    """Also without a unit."""
    assert _decide(_table(), group, cell, unit=None).target == target


def test_decisions_that_are_kept_are_kept_apart() -> None:
    """One unit in two regions has two decisions, each time it asks."""
    table = _table()
    assert [_decide(table, group).arm for group in ("eu", None, "eu", "us", "eu")] == [
        "treatment", "control", "treatment", "control", "treatment",
    ]  # fmt: skip


def test_one_attribute_alone_picks_as_well() -> None:
    """The other is the process's own for all."""
    assert _decide(_table(layered={"region": "group"}), "eu", "a").arm == "treatment"
    assert _decide(_table(layered={"cluster": "cell"}), "eu", "a").arm == "treatment"
    assert _decide(_table(layered={"cluster": "cell"}), "eu").arm == "control"


def test_a_kill_holds_in_every_region() -> None:
    """Whatever weights its file has."""
    kill = Kill(by="ann", reason=None, time=0.0, arm="control", identity="")
    plain = revision([ROUTE], [EXPERIMENT], variants=VARIANTS, layered_by=LAYERED)
    table = compile_table(replace(plain, killed={"e": kill}))
    assert [_decide(table, group).arm for group in ("eu", "us", None)] == ["control"] * 3


def test_a_release_has_its_share_in_every_region() -> None:
    """Where it is decides, not the weights that a region's file has for it."""
    release = {**EXPERIMENT, "allocate": {"use": "blue_green"}}
    own = [{"region": "eu", "experiments": [{**release, "arms": FLIPPED}]}]
    weights = {"e": {"control": 1.0, "treatment": 0.0}}
    table = compile_table(revision([ROUTE], [release], variants=own, layered_by=LAYERED, weights=weights))
    assert [_decide(table, group).arm for group in ("eu", "us", None)] == ["control"] * 3


def test_a_region_in_the_body_waits_for_it() -> None:
    """And is absent when the body may not be read."""
    table = _table({**ROUTE, "attributes": {"group": "json:/group", "cell": "query:cell"}})
    asked = request("/", headers={"x-user-id": "u"})
    assert table.find(asked) == NeedBody(1024 * 1024)
    for body, arm in ((b'{"group": "eu"}', "treatment"), (b"", "control"), (b"{", "control")):
        asked = request("/", headers={"x-user-id": "u"}, body=body)
        plan = table.find(asked)
        assert isinstance(plan, RoutePlan)
        assert plan.decide(asked).arm == arm


def test_a_route_without_the_attribute_is_the_same_for_all() -> None:
    """There is nothing to tell its requests apart by."""
    plain = {**ROUTE, "attributes": {}}
    table = _table(plain)
    assert table.sites is None
    assert _decide(table, "eu").arm == "control"


def test_explain_says_whose_configuration_decides() -> None:
    """For a route that was found and for one that is given."""
    table = _table()
    asked = request("/?cell=b", headers={"x-group": "eu", "x-user-id": "u"})
    for steps in (explain(table, asked), explain(table, asked, "r")):
        (site,) = [step for step in steps if step.kind == "site"]
        assert (site.name, site.result) == ("eu", "the request says region eu and cluster b")
        assert [step.name for step in steps if step.kind == "target"] == ["t1"]
    (own,) = [step for step in explain(table, request("/")) if step.kind == "site"]
    assert (own.name, own.result) == ("own", "the request says region absent and cluster absent")


def test_a_configuration_without_variants_has_no_sites() -> None:
    """It costs requests nothing."""
    assert compile_table(revision([ROUTE], [EXPERIMENT], layered_by=LAYERED)).sites is None
