"""OFREP 0.3.0, request by request; every answer is held against the protocol's own document."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from router.admin.ofrep import BODY_MAX, CONTEXT_DEPTH
from router.config.flags import Flags
from tests.admin.flagging import FLAGS, changed, flag_desk, write_flags
from tests.admin.ofrep_schema import check_response, document
from tests.admin.serving import Client, served
from tests.control.desk import Desk

ALL = "/ofrep/v1/evaluate/flags"
ONE = "/ofrep/v1/evaluate/flags/{key}"
TOKEN = "a-token-of-some-length"  # noqa: S105 - made for this test


def run(desk: Desk, use: Callable[[Client], Awaitable[None]]) -> None:
    """Serve a desk and use it."""

    async def whole() -> None:
        async with served(desk) as client:
            await use(client)

    asyncio.run(whole())


async def ask(client: Client, key: str | None, context: Any, **headers: str) -> tuple[int, Any, ClientResponse]:
    """Evaluate a flag, or all without a key; return status, body and response."""
    body = context if isinstance(context, bytes) else json.dumps({"context": context}).encode()
    path = ALL if key is None else f"{ALL}/{key}"
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    async with client.post(path, data=body, headers=given) as response:
        data = await response.read()
        answer = json.loads(data) if data else None
        if response.status not in (401, 403):
            check_response(ALL if key is None else ONE, response.status, answer)
        return response.status, answer, response


@pytest.mark.parametrize(
    ("key", "context", "expected"),
    [
        ("bool", {}, {"value": True, "variant": "on", "reason": "STATIC"}),
        ("text", {}, {"value": "A", "variant": "a", "reason": "STATIC"}),
        ("whole", {}, {"value": 10, "variant": "ten", "reason": "STATIC"}),
        ("object", {}, {"value": {"k": [1, {"d": None}]}, "variant": "x", "reason": "STATIC"}),
        ("staff", {"email": "a@example.com"}, {"value": True, "variant": "on", "reason": "TARGETING_MATCH"}),
        ("staff", {"email": "a@example.org"}, {"value": False, "variant": "off", "reason": "UNKNOWN"}),
        ("disabled", {}, {"variant": "", "reason": "DISABLED"}),
        ("code", {}, {"variant": "", "reason": "UNKNOWN"}),
        ("nested/key", {}, {"value": True, "variant": "on", "reason": "STATIC"}),
    ],
)
def test_one_flag_is_answered_as_the_document_says(
    tmp_path: Path, key: str, context: dict[str, Any], expected: dict[str, Any]
) -> None:
    """``variant`` and ``reason`` are always there; there is no ``value`` where the caller's default is meant."""

    async def use(client: Client) -> None:
        status, answer, response = await ask(client, key, {"targetingKey": "u", **context})
        metadata = answer.pop("metadata")
        assert (status, answer) == (200, {"key": key, **expected})
        assert response.content_type == "application/json"
        expected_metadata = {"flagSetId": "demo", "version": "8" if key == "staff" else "7"}
        assert metadata == ({**expected_metadata, "team": "ranking"} if key == "staff" else expected_metadata)

    run(flag_desk(tmp_path), use)


def test_a_number_with_fractions_is_never_written_as_a_whole_one(tmp_path: Path) -> None:
    """Providers in typed languages refuse ``1`` where a float is meant."""

    async def use(client: Client) -> None:
        async with client.post(f"{ALL}/float", json={"context": {"targetingKey": "u"}}) as response:
            assert b'"value":1.0' in await response.read()
        async with client.post(ALL, json={"context": {"targetingKey": "u"}}) as response:
            assert b'"value":1.0' in await response.read()

    run(flag_desk(tmp_path), use)


@pytest.mark.parametrize("key", ["nobody", "nobody%20here", "a/b", "%F0%9F%98%80"])
def test_an_unknown_flag_is_404(tmp_path: Path, key: str) -> None:
    """With the key and the code."""

    async def use(client: Client) -> None:
        status, answer, _ = await ask(client, key, {"targetingKey": "u"})
        assert (status, answer["errorCode"]) == (404, "FLAG_NOT_FOUND")
        assert answer["errorDetails"]

    run(flag_desk(tmp_path), use)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "u"}} x', "PARSE_ERROR"),
        (b'{"context": {"x": NaN}}', "PARSE_ERROR"),
        (b"\xff", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b"null", "PARSE_ERROR"),
        (b"{}", "INVALID_CONTEXT"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": {}}}', "INVALID_CONTEXT"),
        (b'{"context": {"x": ' + b"[" * CONTEXT_DEPTH + b"]" * CONTEXT_DEPTH + b"}}", "INVALID_CONTEXT"),
        (b'{"context": {"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}", "PARSE_ERROR"),
        (b'{"context": {"x": "' + b"x" * BODY_MAX + b'"}}', "INVALID_CONTEXT"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else value,
)
def test_a_request_that_is_none_is_400_with_its_code(tmp_path: Path, body: bytes, code: str) -> None:
    """The same of one flag and of all; nothing is evaluated, and memory and recursion are bounded."""

    async def use(client: Client) -> None:
        for key in ("bool", None):
            status, answer, _ = await ask(client, key, body)
            assert (status, answer["errorCode"], answer.get("key")) == (400, code, key)
            assert answer["errorDetails"]

    run(flag_desk(tmp_path), use)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_refused(tmp_path: Path, kind: str) -> None:
    """Such a body is what a page of another origin can send without asking first."""

    async def use(client: Client) -> None:
        status, answer, _ = await ask(client, "bool", {"targetingKey": "u"}, Content_Type=kind)
        assert (status, answer["errorCode"]) == (400, "PARSE_ERROR")
        status, _, _ = await ask(client, "bool", {}, Content_Type="application/json; charset=utf-8")
        assert status == 200

    run(flag_desk(tmp_path), use)


def test_a_flag_that_cannot_be_evaluated_is_400_and_one_failure_among_all(tmp_path: Path) -> None:
    """A rule that gives a variant that is none fails alone."""

    async def use(client: Client) -> None:
        context = {"targetingKey": "u", "x": "nonsense"}
        status, answer, _ = await ask(client, "broken", context)
        assert (status, answer["key"], answer["errorCode"]) == (400, "broken", "GENERAL")
        status, answer, _ = await ask(client, None, context)
        assert status == 200
        failed = [one["key"] for one in answer["flags"] if "errorCode" in one]
        assert (failed, len(answer["flags"])) == (["broken"], len(FLAGS["flags"]))

    run(flag_desk(tmp_path), use)


def test_all_flags_need_nothing_beside_the_context(tmp_path: Path) -> None:
    """Also an empty context gets every flag; rules over what is absent give the default."""

    async def use(client: Client) -> None:
        status, answer, _ = await ask(client, None, {})
        assert status == 200
        assert [one["key"] for one in answer["flags"]] == list(FLAGS["flags"])
        assert all("reason" in one and "variant" in one for one in answer["flags"])
        assert answer["metadata"] == {"flagSetId": "demo", "version": "7"}
        assert answer["eventStreams"] == [
            {"type": "sse", "endpoint": {"requestUri": "/ofrep/v1/events"}, "inactivityDelaySec": 120}
        ]

    run(flag_desk(tmp_path), use)


@pytest.mark.parametrize("context", [{}, {"targetingKey": ""}, {"targetingKey": None}])
def test_a_targeting_key_is_asked_for_only_where_it_is_required(tmp_path: Path, context: dict[str, Any]) -> None:
    """By default a flag is evaluated without one, as flagd does; ``require_targeting_key`` keeps to the document."""

    async def lenient(client: Client) -> None:
        status, answer, _ = await ask(client, "split", context)
        assert (status, answer["variant"], answer["reason"]) == (200, "red", "UNKNOWN")

    async def strict(client: Client) -> None:
        for key in ("bool", None):
            status, answer, _ = await ask(client, key, context)
            assert (status, answer["errorCode"]) == (400, "TARGETING_KEY_MISSING")

    run(flag_desk(tmp_path), lenient)
    run(flag_desk(tmp_path, keys=", require_targeting_key: true"), strict)


# --- Entity tags ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"x", {0}', "{1}", "*"])
def test_what_the_caller_has_already_is_304(tmp_path: Path, form: str) -> None:
    """In all ways of writing If-None-Match, also the bare one that the document shows."""

    async def use(client: Client) -> None:
        context = {"targetingKey": "u", "email": "a@example.com"}
        _, _, first = await ask(client, None, context)
        tag = first.headers["ETag"]
        assert tag[0] == tag[-1] == '"'
        status, answer, again = await ask(client, None, context, If_None_Match=form.format(tag, tag.strip('"')))
        assert (status, answer, again.headers["ETag"]) == (304, None, tag)

    run(flag_desk(tmp_path), use)


def test_the_tag_is_of_the_context_too(tmp_path: Path) -> None:
    """Another context is never told that nothing changed, even where its flags are the same."""

    async def use(client: Client) -> None:
        _, _, first = await ask(client, None, {"targetingKey": "u", "plan": "free"})
        tag = first.headers["ETag"]
        for context in ({"targetingKey": "v", "plan": "free"}, {"targetingKey": "u", "plan": "paid"}, {"plan": "free"}):
            status, _, response = await ask(client, None, context, If_None_Match=tag)
            assert (status, response.headers["ETag"] == tag) == (200, False)
        status, _, _ = await ask(client, None, {"plan": "free", "targetingKey": "u"}, If_None_Match=tag)
        assert status == 304

    run(flag_desk(tmp_path), use)


def test_another_flag_file_is_another_tag(tmp_path: Path) -> None:
    """A flag edit is served as soon as it is a revision; other edits change no tag."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        context = {"targetingKey": "u"}
        _, _, first = await ask(client, None, context)
        tag = first.headers["ETag"]
        desk.config.write_text(f"# a comment\n{desk.config.read_text()}")
        await desk.control.reload()
        assert (await ask(client, None, context, If_None_Match=tag))[0] == 304
        write_flags(tmp_path, changed("bool", defaultVariant="off"))
        await desk.control.reload()
        status, answer, _ = await ask(client, None, context, If_None_Match=tag)
        assert (status, answer["flags"][0]["value"]) == (200, False)

    run(desk, use)


@pytest.mark.parametrize(
    ("moment", "status"),
    [("1771622898", 200), ("2026-02-20T21:28:18Z", 200), ("yesterday", 400), ("-1", 400), ("1.5", 400), ("", 400)],
)
def test_what_an_event_said_may_be_echoed(tmp_path: Path, moment: str, status: int) -> None:
    """``flagConfigEtag`` and ``flagConfigLastModified`` change no answer; nonsense in them is refused."""

    async def use(client: Client) -> None:
        query = {"flagConfigEtag": "abc", "flagConfigLastModified": moment}
        async with client.post(ALL, params=query, json={"context": {"targetingKey": "u"}}) as response:
            assert response.status == status
            check_response(ALL, status, await response.json())

    run(flag_desk(tmp_path), use)


# --- Revisions ------------------------------------------------------------------------------------------------------


def test_a_broken_flag_file_refuses_the_whole_change_and_the_last_good_one_serves_on(tmp_path: Path) -> None:
    """Also the part of the change that was fine; the mistakes are shown with their lines."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        file = write_flags(tmp_path, changed("bool", defaultVariant="maybe"))
        desk.config.write_text(desk.config.read_text().replace("weight: 95", "weight: 50"))
        await desk.control.reload()
        assert desk.control.revision.number == 1
        assert desk.control.rejected is not None
        assert [mistake.file for mistake in desk.control.rejected.mistakes] == [str(file)]
        assert (await ask(client, "bool", {}))[1]["value"] is True
        file.unlink()
        await desk.control.reload()
        assert (await ask(client, "bool", {}))[1]["value"] is True
        write_flags(tmp_path, changed("bool", defaultVariant="off"))
        await desk.control.reload()
        assert (await ask(client, "bool", {}))[1]["value"] is False

    run(desk, use)


def test_a_flag_edit_is_a_revision_that_can_be_restored(tmp_path: Path) -> None:
    """Its changes say what changed, and a restore brings the flags back that it had."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        write_flags(tmp_path, changed("bool", state="DISABLED"))
        await desk.control.reload()
        assert desk.notes.entries[-1].changes == ('flag "bool": is DISABLED instead of ENABLED',)
        assert (await ask(client, "bool", {}))[1]["reason"] == "DISABLED"
        assert desk.control.revision.number == 2
        await desk.control.restore(1, "ann", None)
        assert (await ask(client, "bool", {}))[1]["value"] is True

    run(desk, use)


def test_a_mended_file_is_noticed_whatever_was_wrong(tmp_path: Path) -> None:
    """Also a file that the last good configuration did not have is followed while it is what is wrong."""
    desk = flag_desk(tmp_path)

    async def use(_client: Client) -> None:
        other = tmp_path / "elsewhere" / "2.json"
        other.parent.mkdir()
        other.write_text("{")
        desk.config.write_text(desk.config.read_text().replace("flags/*.json", "flags/*.json, elsewhere/2.json"))
        await desk.control.reload()
        assert desk.control.rejected is not None
        working = asyncio.create_task(desk.control.run("here"))
        try:
            async with asyncio.timeout(10):
                news = desk.control.news
                other.write_text('{"flags": {"late": {"state": "ENABLED", "variants": {"on": true}}}}')
                await news.wait()
                news = desk.control.news
                (tmp_path / "flags" / "3.json").write_text('{"flags": {}}')
                await news.wait()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        assert len(desk.control.revision.config.flags.sets) == 3

    run(desk, use)


# --- Who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"X_API_Key": TOKEN}, 200),
        ({"X_API_Key": "another-token-of-that-length"}, 401),
        ({"X_API_Key": ""}, 401),
        ({"Authorization": "Bearer wrong", "X_API_Key": TOKEN}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://elsewhere.example"}, 403),
    ],
)
def test_the_token_is_asked_for_in_either_header(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """As a bearer token or as OFREP's API key; pages of other origins are turned away."""
    (tmp_path / "token").write_text(TOKEN)
    desk = flag_desk(tmp_path, top=f"admin: {{token_file: {tmp_path / 'token'}}}")

    async def use(client: Client) -> None:
        for key in ("bool", None):
            assert (await ask(client, key, {}, **headers))[0] == status

    run(desk, use)


def test_the_api_key_header_opens_nothing_else(tmp_path: Path) -> None:
    """A key that is written into programs for flags is not one for the operator's routes by another header."""
    (tmp_path / "token").write_text(TOKEN)
    desk = flag_desk(tmp_path, top=f"admin: {{token_file: {tmp_path / 'token'}}}")

    async def use(client: Client) -> None:
        async with client.get("/v1/revision", headers={"X-API-Key": TOKEN}) as response:
            assert response.status == 401

    run(desk, use)


def test_a_failure_of_our_own_is_500_as_the_document_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says where to look, and not what went wrong."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        monkeypatch.setattr("router.admin.ofrep.read_context", lambda *_, **__: 1 / 0)
        for key in ("bool", None):
            status, answer, _ = await ask(client, key, {})
            assert (status, list(answer)) == (500, ["errorDetails"])

    run(desk, use)


def test_without_flag_files_there_are_no_flags(tmp_path: Path) -> None:
    """The routes are there, and empty."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        assert (await ask(client, "bool", {}))[0] == 404
        assert (await ask(client, None, {}))[1]["flags"] == []

    assert Flags() == Flags(files=())
    run(desk, use)


def test_an_evaluation_is_no_exposure(tmp_path: Path) -> None:
    """Nothing of it is in the counters, the journal or the event log."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        def state() -> tuple[list[bytes], int, set[str]]:
            files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
            blocks = [desk.segment.block(block).tobytes() for block in range(desk.segment.workers + 1)]
            return blocks, len(desk.notes.entries), files

        before = state()
        for unit in range(20):
            await ask(client, "split", {"targetingKey": f"u{unit}"})
            await ask(client, None, {"targetingKey": f"u{unit}"})
        assert state() == before

    run(desk, use)


def test_the_document_is_the_one_that_is_named() -> None:
    """The schemas that answers are held against are those of 0.3.0."""
    assert document()["info"]["version"] == "0.3.0"


def test_the_effective_configuration_names_the_flag_files(tmp_path: Path) -> None:
    """What they say is asked for with the flags; the configuration shows where they are."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        async with client.get("/v1/config") as response:
            values = {each["path"]: each["value"] for each in (await response.json())["values"]}
        assert values["$.flags.sets[0]"] == str(tmp_path / "flags" / "1.json")
        assert values["$.flags.files[0]"] == "flags/*.json"  # as it is written
        assert not any("defaultVariant" in str(value) for value in values.values())

    run(desk, use)


def test_programs_that_ask_for_all_flags_leave_threads_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask at once, two threads evaluate, and a change of the configuration need not wait for them."""
    held, release = threading.Semaphore(0), threading.Event()

    def slow(*_: object) -> bytes:
        held.release()
        assert release.wait(10)
        return b"{}"

    monkeypatch.setattr("router.admin.ofrep._bulk", slow)
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        asking = [asyncio.create_task(client.post(ALL, json={"context": {}})) for _ in range(40)]
        for _ in range(2):
            assert await asyncio.to_thread(held.acquire, timeout=10)
        desk.config.write_text(desk.config.read_text().replace("weight: 95", "weight: 50"))
        await desk.control.reload()
        assert desk.control.revision.number == 2
        assert not held.acquire(blocking=False)
        release.set()
        assert {response.status for response in await asyncio.gather(*asking)} == {200}

    run(desk, use)
