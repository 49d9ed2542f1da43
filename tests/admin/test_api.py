"""What the admin API answers."""

import asyncio
import json
import os
import pwd
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from router import counters
from router.admin.api import application
from router.admin.openapi import DOCUMENT
from router.control.state import replay
from tests.admin.serving import Client, served
from tests.control.build import yaml
from tests.control.desk import Desk
from tests.flags.driven import SECTION


def _run(desk: Desk, use: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served(desk) as client:
            await use(client)

    asyncio.run(run())


async def _get(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


async def _assign(client: Client, parameters: dict[str, str], status: int = 200) -> Any:
    async with client.get("/v1/assign", params=parameters) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


def test_health_is_the_process_being_alive(tmp_path: Path) -> None:
    """Alive is not ready: without any worker it is alive."""

    async def use(client: Client) -> None:
        assert await _get(client, "/healthz") == {"alive": True}

    _run(Desk(tmp_path), use)


def test_readiness_waits_for_every_worker_and_ends_with_the_drain(tmp_path: Path) -> None:
    """503 with the reason until all workers serve, 200 then, and 503 from the beginning of the shutdown."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.acknowledge(1, workers=1)
        answer = await _get(client, "/readyz", 503)
        assert (answer["ready"], answer["detail"]) == (False, "1 of 2 workers have no revision yet")
        desk.acknowledge(1)
        assert await _get(client, "/readyz") == {"ready": True}
        desk.segment.words[counters.DRAINING] = 1
        assert (await _get(client, "/readyz", 503))["detail"] == "draining"

    _run(desk, use)


def test_workers_behind_a_revision_are_still_ready(tmp_path: Path) -> None:
    """A reload under way does not take the router out of its balancer."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.acknowledge(1)
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        assert await _get(client, "/readyz") == {"ready": True}

    _run(desk, use)


def test_the_present_revision_says_how_far_it_has_come(tmp_path: Path) -> None:
    """Number, cause, author, digest, and how many workers serve it; the ETag is the number."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.acknowledge(1, workers=1)
        async with client.get("/v1/revision") as response:
            answer = await response.json()
            assert response.headers["ETag"] == '"1"'
        assert answer.pop("time") > 1.7e9
        assert re.fullmatch("[0-9a-f]{64}", answer.pop("digest"))
        assert answer == {
            "number": 1,
            "cause": "start",
            "author": f"{pwd.getpwuid(os.getuid()).pw_name}, owner of {desk.config}",
            "held": False,
            "workers": 2,
            "acknowledged": 1,
            "rejected": None,
        }

    _run(desk, use)


def test_refused_configurations_are_shown_with_every_mistake(tmp_path: Path) -> None:
    """File, line, path and message, and the line that ``router check`` would print."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.config.write_text(yaml(top="nonsense: 1\nserver: {port: 2}"))
        await desk.control.reload()
        answer = await _get(client, "/v1/revision")
        assert answer["number"] == 1
        mistakes = answer["rejected"]["mistakes"]
        assert [(mistake["line"], mistake["path"]) for mistake in mistakes] == [(1, "$.nonsense"), (2, "$.server.port")]
        assert mistakes[0]["text"].startswith(f"{desk.config}:1: $.nonsense: ")
        assert desk.segment.words[counters.RELOAD_OK] == 0

    _run(desk, use)


def test_history_is_newest_first_with_what_changed(tmp_path: Path) -> None:
    """What happened, by whom, and what it changed."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        revisions = (await _get(client, "/v1/revisions"))["revisions"]
        assert [(entry["number"], entry["cause"]) for entry in revisions] == [(2, "reload"), (1, "start")]
        assert any("50%" in change for change in revisions[0]["changes"])

    _run(desk, use)


def test_a_restore_is_a_new_revision_with_its_author(tmp_path: Path) -> None:
    """The answer is the new revision; the author is who says so, and from where."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        async with client.post(
            "/v1/revisions/1/restore", json={"author": "ann"}, headers={"If-Match": '"2"'}
        ) as response:
            assert response.status == 200
            assert response.headers["ETag"] == '"3"'
            answer = await response.json()
        assert (answer["number"], answer["cause"], answer["held"]) == (3, "restore", True)
        assert answer["author"] == "ann (admin API from 127.0.0.1)"
        assert desk.notes.entries[-1].weights == {"ramp": {"old": 95.0, "new": 5.0}}
        assert desk.segment.words[counters.PUBLISHED] == 3

    _run(desk, use)


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/revisions/1/restore", {"If-Match": '"7"'}, b"", 412),
        ("/v1/revisions/1/restore", {"If-Match": "nonsense"}, b"", 400),
        ("/v1/revisions/9/restore", {}, b"", 404),
        ("/v1/revisions/x/restore", {}, b"", 404),
        ("/v1/revisions/1/restore", {"Content-Type": "text/plain"}, b"{}", 400),
        ("/v1/revisions/1/restore", {"Content-Type": "application/json"}, b"[]", 400),
        ("/v1/revisions/1/restore", {"Content-Type": "application/json"}, b'{"auhtor": "ann"}', 400),
        ("/v1/revisions/1/restore", {"Content-Type": "application/json"}, b" " * 70_000, 413),
        ("/v1/revision", {}, b"", 405),
    ],
)
def test_a_change_that_is_not_right_changes_nothing(
    tmp_path: Path, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Each failure is a problem document with the status that HTTP has for it."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        async with client.post(path, headers=headers, data=body) as response:
            assert response.status == status
            assert response.content_type == "application/problem+json"
            problem = await response.json(content_type=None)
            assert (problem["status"], problem["type"]) == (status, "about:blank")
            assert problem["detail"]
        assert desk.control.revision.number == 1

    _run(desk, use)


def test_what_only_a_restart_could_restore_is_a_conflict(tmp_path: Path) -> None:
    """The mistakes say which key stands in the way."""
    desk = Desk(tmp_path, yaml(top="server: {workers: 3}"))

    async def use(client: Client) -> None:
        desk.config.write_text(yaml())
        desk.control = desk.another()
        desk.control.state = replay(desk.notes.entries)
        await desk.begin()
        async with served(desk) as second:
            async with second.post("/v1/revisions/1/restore") as response:
                assert response.status == 409
                problem = await response.json(content_type=None)
            assert [mistake["path"] for mistake in problem["mistakes"]] == ["$.server.workers"]
        del client

    _run(desk, use)


def test_the_configuration_says_where_each_value_came_from(tmp_path: Path) -> None:
    """A written value has file and line, any other is a default."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        values = {value["path"]: value for value in (await _get(client, "/v1/config"))["values"]}
        weight = values["$.experiments[0].arms[1].weight"]
        assert (weight["value"], weight["origin"]) == (5.0, f"{desk.config}:10")
        assert values["$.server.listen"] == {
            "path": "$.server.listen",
            "value": "0.0.0.0:8080",
            "origin": "default",
        }

    _run(desk, use)


def test_header_values_that_may_be_credentials_are_hidden(tmp_path: Path) -> None:
    """A route that matches on a key does not publish it."""
    route = "match: {headers: {X-Api-Key: hunter2, x-model: big}}"

    async def use(client: Client) -> None:
        text = json.dumps(await _get(client, "/v1/config"))
        assert "hunter2" not in text
        assert "big" in text

    _run(Desk(tmp_path, yaml(route=route)), use)


def test_a_restored_configuration_names_its_revision_as_origin(tmp_path: Path) -> None:
    """The lines of the file on disk would be those of another configuration."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        async with client.post("/v1/revisions/1/restore"):
            pass
        values = (await _get(client, "/v1/config"))["values"]
        assert {value["origin"] for value in values} == {"revision 3"}

    _run(desk, use)


def test_targets_show_their_counts(tmp_path: Path) -> None:
    """Requests by status and faults, summed over workers."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        slots = desk.control.revision.slots
        for worker in range(2):
            block = desk.segment.block(worker)
            block[slots[counters.pair_key("r", "b")] + counters.CODE_SLOT[200]] += 3
            block[slots[counters.target_key("b")] + counters.TARGET_FAULTS + counters.FAULTS.index("reset")] += 1
        found = {target["name"]: target for target in (await _get(client, "/v1/targets"))["targets"]}
        assert (found["b"]["requests"], found["b"]["codes"], found["b"]["faults"]["reset"]) == (6, {"200": 6}, 2)
        assert found["a"]["requests"] == 0
        assert found["a"]["endpoints"] == [
            {
                "url": "http://127.0.0.1:8001",
                "weight": 1,
                "active": 0,
                "in_use": True,
                "breaker": {"state": "closed", "since": None, "openings": 0},
                "health": None,
            }
        ]

    _run(desk, use)


def test_targets_show_their_agreement_as_shadows(tmp_path: Path) -> None:
    """Of the answers that could be compared, the share that agreed; nothing is said before there is one."""
    desk = Desk(tmp_path, yaml(route="shadow: [{target: b, share: 10%}]"))

    async def use(client: Client) -> None:
        base = desk.control.revision.slots[counters.shadow_key("r", "b")] + counters.SHADOW_COUNTS
        found = {target["name"]: target["shadows"] for target in (await _get(client, "/v1/targets"))["targets"]}
        assert found["a"] == []
        assert found["b"][0]["agreement"] is None
        for worker, (result, count) in enumerate((("agree", 6), ("differ", 2))):
            desk.segment.block(worker)[base + counters.SHADOW_RESULTS.index(result)] += count
            desk.segment.block(worker)[base + counters.SHADOW_RESULTS.index("failed")] += 1
        (shadow,) = (await _get(client, "/v1/targets"))["targets"][1]["shadows"]
        assert (shadow["route"], shadow["share"], shadow["inflight"]) == ("r", 0.1, 0)
        assert (shadow["agreement"], shadow["agreed"], shadow["compared"]) == (0.75, 6, 8)
        assert shadow["results"]["failed"] == 2

    _run(desk, use)


def test_experiments_show_arms_and_the_counts_of_their_phase(tmp_path: Path) -> None:
    """Weights, shares, run, phase, and exchanges and failures of each arm."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        base = desk.control.revision.slots[counters.arm_key("ramp", 1, 1, "new")]
        desk.segment.block(0)[base + counters.ARM_EXCHANGES + 7] += 5
        desk.segment.block(1)[base + counters.ARM_FAILURES + 7] += 2
        (listed,) = (await _get(client, "/v1/experiments"))["experiments"]
        one = await _get(client, "/v1/experiments/ramp")
        assert one == listed
        assert (one["run"], one["phase"], one["control"], one["salt"]) == (1, 1, "old", "ramp")
        assert one["arms"][1] == {
            "name": "new",
            "target": "b",
            "value": None,
            "weight": 5.0,
            "share": 0.05,
            "exchanges": 5,
            "failed": 2,
        }
        assert "nobody" in (await _get(client, "/v1/experiments/nobody", 404))["detail"]

    _run(desk, use)


@pytest.mark.parametrize(
    "source", ["header:x-user-id", "cookie:uid", "query:user", "json:/user/id", "client_ip", "request"]
)
def test_a_unit_is_assigned_whatever_source_the_route_reads(tmp_path: Path, source: str) -> None:
    """``unit=`` stands for the route's first source, and the answer is what a worker would do."""
    desk = Desk(tmp_path, yaml("0, 1").replace("header:x-user-id", source))

    async def use(client: Client) -> None:
        answer = await _assign(client, {"route": "r", "unit": "ann lee"})
        assert (answer["unit"], answer["unit_source"]) == ("ann lee", source)
        assert (answer["experiment"], answer["arm"], answer["target"], answer["propensity"]) == (
            "ramp",
            "new",
            "b",
            1.0,
        )
        assert answer["steps"][-1]["kind"] == "target"

    _run(desk, use)


def test_an_assignment_says_why_each_experiment_was_entered_or_not(tmp_path: Path) -> None:
    """All experiments of the route are there, with their arms, targets, points and reasons."""
    text = yaml("0, 1", experiment="layer: l\nsegment: [0%, 100%]") + (
        "  - name: size\n"
        "    route: r\n"
        "    flag: page-size\n"
        "    prerequisites: [{experiment: ramp, arms: [old]}]\n"
        "    arms: [{name: small, value: 10, weight: 1}, {name: large, value: 20, weight: 1}]\n"
        "layers: [{name: l}]\n"
        "holdouts: [{name: h, segment: [0%, 0.001%]}]\n" + SECTION
    )

    async def use(client: Client) -> None:
        answer = await _assign(client, {"route": "r", "unit": "ann"})
        ramp, size = answer["experiments"]
        assert (ramp["layer"], ramp["result"], ramp["arm"], ramp["target"], ramp["run"]) == (
            "l",
            "entered",
            "new",
            "b",
            1,
        )
        assert (size["layer"], size["result"], size["arm"]) == (None, "in arm new of ramp", None)
        assert answer["holdouts"] == []
        assert [step["kind"] for step in answer["steps"]][-5:] == ["experiment", "arm", "arm", "experiment", "target"]
        steps = {step["kind"]: step for step in answer["steps"]}
        assert 0 <= steps["holdout"]["u"] < 1

    _run(Desk(tmp_path, text), use)


def test_an_assignment_finds_its_route_as_a_request_does(tmp_path: Path) -> None:
    """Without ``route=``, path, method, host, headers, query, cookies and body find one."""
    desk = Desk(tmp_path, yaml(route="match: {path: /v2/, methods: [POST], headers: {x-model: big}}"))

    async def use(client: Client) -> None:
        described = {"path": "/v2/x", "header.x-model": "big", "header.X-User-Id": "ann"}
        answer = await _assign(client, described)
        assert (answer["route"], answer["unit"]) == ("r", "ann")
        assert (await _assign(client, {"path": "/other"}))["route"] is None
        assert (await _assign(client, {**described, "method": "get"}))["route"] is None

    _run(desk, use)


def test_an_assignment_takes_claims_for_granted(tmp_path: Path) -> None:
    """Who asks says what a token would, and rules know the time at which they are asked."""
    (tmp_path / "jwks.json").write_text('{"keys": [{"kty": "oct", "k": "' + "c2VjcmV0" * 8 + '"}]}')
    server = f"server: {{jwt: {{keys_file: '{tmp_path / 'jwks.json'}', algorithms: [HS256]}}}}\n"
    rule = 'eligible: {and: [{in: [{var: tier}, [gold]]}, {">": [{var: $flagd.timestamp}, 0]}]}'
    text = server + yaml(route="attributes: {tier: jwt:/plan/tier}", experiment=rule)
    desk = Desk(tmp_path, text.replace("header:x-user-id", "jwt:/sub"))

    async def use(client: Client) -> None:
        claims = '{"sub": "ann", "plan": {"tier": "gold"}}'
        answer = await _assign(client, {"route": "r", "claims": claims})
        assert (answer["unit"], answer["experiments"][0]["result"]) == ("ann", "entered")
        answer = await _assign(client, {"route": "r", "unit": "ann"})
        assert (answer["unit"], answer["experiments"][0]["result"]) == ("ann", 'not eligible: "tier" is absent')

    _run(desk, use)


def test_an_assignment_that_is_asked_wrongly_says_so(tmp_path: Path) -> None:
    """An unknown route is 404, an unknown parameter 400 with those that there are."""

    async def use(client: Client) -> None:
        assert "'q'" in (await _assign(client, {"route": "q"}, 404))["detail"]
        assert "client_ip" in (await _assign(client, {"user": "ann"}, 400))["detail"]

    _run(Desk(tmp_path), use)


def test_metrics_are_prometheus_text(tmp_path: Path) -> None:
    """The names of the contract, with the content type that scrapers expect."""

    async def use(client: Client) -> None:
        async with client.get("/metrics") as response:
            assert response.content_type == "text/plain"
            assert "router_revision 1.0" in await response.text()

    _run(Desk(tmp_path), use)


def test_the_openapi_document_lists_exactly_the_routes(tmp_path: Path) -> None:
    """No route is undocumented and none is promised that is not there."""
    desk = Desk(tmp_path)
    asyncio.run(desk.begin())
    found = {
        (route.method.lower(), route.resource.canonical)
        for route in application(desk.control).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert found == {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}


def test_the_openapi_document_names_every_parameter_of_a_path() -> None:
    """Each ``{name}`` in a path is a required parameter, each operation has a summary and a success."""
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"]
            assert "200" in operation["responses"]
            for parameter in operation.get("parameters", []):
                Draft202012Validator.check_schema(parameter["schema"])


def test_the_index_links_what_can_be_looked_at(tmp_path: Path) -> None:
    """Every link of the first page works."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.acknowledge(1)
        async with client.get("/") as response:
            assert response.content_type == "text/html"
            links = re.findall('href="([^"]+)"', await response.text())
        assert "/v1/revision" in links
        for link in links:
            async with client.get(link) as response:
                assert response.status == 200, link

    _run(desk, use)


async def _post(client: Client, path: str, status: int, **options: Any) -> tuple[Any, str]:
    async with client.post(path, **options) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None), response.headers.get("ETag", "")


def test_a_kill_shows_who_and_why_until_it_is_resumed(tmp_path: Path) -> None:
    """The answer is the experiment with its ETag, and how far the change has come."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.acknowledge(2, workers=1)
        killed, etag = await _post(
            client, "/v1/experiments/ramp/kill", 200, json={"author": "ann", "reason": "p99\r\ndoubled \x1b[2J"}
        )
        assert killed["killed"]["by"] == "ann (admin API from 127.0.0.1)"
        assert killed["killed"]["reason"] == "p99 doubled \ufffd[2J"
        assert [(arm["name"], arm["share"]) for arm in killed["arms"]] == [("old", 1.0), ("new", 0.0)]
        assert (killed["run"], killed["phase"]) == (1, 2)
        assert killed["revision"] == {"number": 2, "workers": 2, "acknowledged": 1, "journal": "written"}
        async with client.get("/v1/experiments/ramp") as response:
            assert (response.headers["ETag"], (await response.json())["killed"]) == (etag, killed["killed"])
        resumed, _ = await _post(client, "/v1/experiments/ramp/resume", 200, headers={"If-Match": etag})
        assert (resumed["killed"], resumed["phase"]) == (None, 3)
        causes = [entry["cause"] for entry in (await _get(client, "/v1/revisions"))["revisions"]]
        assert causes == ["resume", "kill", "start"]

    _run(desk, use)


def test_killing_and_resuming_twice_is_as_once(tmp_path: Path) -> None:
    """A repeated request makes no further revision and keeps the first author."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        for what, number in (("kill", 2), ("resume", 3)):
            for _ in range(2):
                answer, _ = await _post(client, f"/v1/experiments/ramp/{what}", 200)
                assert answer["revision"]["number"] == number

    _run(desk, use)


@pytest.mark.parametrize("what", ["kill", "resume"])
@pytest.mark.parametrize(
    ("name", "options", "status"),
    [
        ("nobody", {}, 404),
        ("ramp", {"json": {"because": "x"}}, 400),
        ("ramp", {"json": {"reason": 1}}, 400),
        ("ramp", {"data": b"reason=x"}, 400),
        ("ramp", {"headers": {"If-Match": "12"}}, 400),
    ],
)
def test_a_switch_that_is_not_right_changes_nothing(
    tmp_path: Path, what: str, name: str, options: dict[str, Any], status: int
) -> None:
    """An unknown experiment, another body, or another kind of tag."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        await _post(client, f"/v1/experiments/{name}/{what}", status, **options)
        assert desk.control.revision.number == 1

    _run(desk, use)


def test_a_switch_of_what_somebody_else_changed_is_refused(tmp_path: Path) -> None:
    """412, with what to do."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        answer, _ = await _post(client, "/v1/experiments/ramp/kill", 412, headers={"If-Match": '"0badc0de"'})
        assert "look again" in answer["detail"]

    _run(desk, use)


def test_a_kill_that_workers_cannot_be_told_is_said(tmp_path: Path) -> None:
    """503 with the reason: nothing is worse than a kill that only seems to be one."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        (desk.run_dir / "revision.next").mkdir()
        answer, _ = await _post(client, "/v1/experiments/ramp/kill", 503)
        assert "cannot be handed to the workers" in answer["mistakes"][0]["message"]
        assert desk.control.revision.number == 1

    _run(desk, use)
