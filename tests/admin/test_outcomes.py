"""The ingest of outcomes over HTTP: bodies, answers, bounds, counts."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.admin import outcomes as ingest
from router.config.keys import read_keys
from router.counters import OUTCOME_FATES, OUTCOMES
from router.events import group_commit
from router.events.outcomes import Row, connect, rows
from router.routing.token import Assignment, sign, unit_hash
from tests.admin.serving import Client, served
from tests.control.build import yaml
from tests.control.desk import Desk

ONE = {"id": "a", "outcome": "click", "unit": "u"}
JSON, LINES = "application/json", "application/x-ndjson"
KEYS = ("a" * 43 + "=", "b" * 43 + "=")


class Answered(NamedTuple):
    """An answer."""

    status: int
    body: dict[str, Any]
    again: str | None


Post = Callable[..., Awaitable[Answered]]


def desk_in(folder: Path, top: str = "") -> Desk:
    """Configure a router whose events are in a folder."""
    return Desk(folder, yaml(top=f"events: {{dir: '{folder / 'events'}'}}\n{top}"))


def asking(desk: Desk, ask: Callable[[Post], Awaitable[None]]) -> None:
    """Run some requests against the admin API of a desk."""

    async def run() -> None:
        async with served(desk) as client:
            await ask(lambda *args, **headers: _post(client, *args, **headers))

    asyncio.run(run())


async def _post(client: Client, body: Any, kind: str = JSON, **headers: str) -> Answered:
    data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with client.post(
        ingest.PATH, data=data, headers={"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
    ) as response:
        said = await response.json(content_type=None)
        assert response.content_type == (JSON if response.status == 200 else "application/problem+json")
        return Answered(response.status, said, response.headers.get("Retry-After"))


def stored(folder: Path) -> list[Row]:
    """Return what is on the disk."""
    with closing(connect(folder / "events")) as connection:
        return rows(connection)


def counted(desk: Desk) -> dict[str, int]:
    """Return the counts that are not 0."""
    words = desk.segment.words
    return {fate: words[OUTCOMES + place] for place, fate in enumerate(OUTCOME_FATES) if words[OUTCOMES + place]}


@pytest.mark.parametrize(
    ("body", "kind", "idents"),
    [
        (ONE, JSON, ["a"]),
        ([ONE, {**ONE, "id": "b"}], JSON, ["a", "b"]),
        (b'{"id":"a","outcome":"o","unit":1}\n\n {"id":"b","outcome":"o","unit":1}\r\n', LINES, ["a", "b"]),
        ([], JSON, None),
        (b"", LINES, None),
        ([ONE], f"{JSON}; charset=utf-8", ["a"]),
    ],
)
def test_one_an_array_or_lines(tmp_path: Path, body: Any, kind: str, idents: list[str] | None) -> None:
    """Each is taken, and on the disk when it is answered; nothing at all is fine too."""

    async def ask(post: Post) -> None:
        count = len(idents or ())
        expected = {"accepted": count, "duplicate": 0, "conflicting": 0, "refused": []}
        assert await post(body, kind) == (200, expected, None)
        assert idents is None or [row.id for row in stored(tmp_path)] == idents

    asking(desk_in(tmp_path), ask)


def test_a_repeated_batch_changes_nothing(tmp_path: Path) -> None:
    """All of it is a duplicate, what says something else is counted as conflicting, and what was first stays."""
    desk = desk_in(tmp_path)

    async def ask(post: Post) -> None:
        batch = [{**ONE, "id": str(number)} for number in range(300)]
        assert (await post(batch)).body["accepted"] == 300
        again = [{**ONE, "id": "0", "value": 7}, *batch[1:]]
        assert (await post(again)).body == {"accepted": 0, "duplicate": 300, "conflicting": 1, "refused": []}

    asking(desk, ask)
    assert [row.value for row in stored(tmp_path)] == [1.0] * 300
    assert counted(desk) == {"accepted": 300, "duplicate": 299, "conflicting": 1}


def test_what_is_wrong_with_one_concerns_that_one(tmp_path: Path) -> None:
    """The others are taken; each refusal says which and why, and is counted by its fate."""
    desk = desk_in(tmp_path)

    async def ask(post: Post) -> None:
        status, body, _ = await post(
            [
                ONE,
                {"id": "m"},
                {**ONE, "id": "f", "time": 9e9},
                {**ONE, "id": "l", "time": 1},
                5,
                {"id": "s", "outcome": "o", "assignment": "x"},
            ]
        )
        assert (status, body["accepted"]) == (200, 1)
        assert [(each["index"], each["id"], each["fate"]) for each in body["refused"]] == [
            (1, "m", "malformed"),
            (2, "f", "future"),
            (3, "l", "too_late"),
            (4, None, "malformed"),
            (5, "s", "bad_signature"),
        ]
        assert all(each["reason"] for each in body["refused"])

    asking(desk, ask)
    assert counted(desk) == {"accepted": 1, "malformed": 2, "future": 1, "too_late": 1, "bad_signature": 1}


def test_lines_are_refused_one_by_one(tmp_path: Path) -> None:
    """A line that is no JSON does not take the others along; empty lines have no index."""

    async def ask(post: Post) -> None:
        lines = b"\n".join([json.dumps(ONE).encode(), b"", b"{oops", json.dumps({**ONE, "id": "b"}).encode()])
        status, body, _ = await post(lines, LINES)
        assert (status, body["accepted"], [each["index"] for each in body["refused"]]) == (200, 2, [1])

    asking(desk_in(tmp_path), ask)


def test_a_batch_of_which_nothing_is_taken_is_an_error(tmp_path: Path) -> None:
    """Whoever looks at the status alone finds out; the counts and reasons are there as well."""

    async def ask(post: Post) -> None:
        status, body, _ = await post({"id": "a", "outcome": "o"})
        assert (status, body["accepted"], body["refused"][0]["id"]) == (422, 0, "a")
        assert body["refused"][0]["reason"] in body["detail"]

    asking(desk_in(tmp_path), ask)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"[1, 2", JSON, 400),
        (b"", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'[{"id": "a"}]]', JSON, 400),
        (json.dumps(ONE).encode(), "text/plain", 415),
        (json.dumps(ONE).encode(), "application/x-www-form-urlencoded", 415),
        (b"[" + b"1," * ingest.ITEMS_MAX + b"1]", JSON, 413),
        (b"1\n" * (ingest.ITEMS_MAX + 1), LINES, 413),
        (b" " * (ingest.BODY_MAX + 1), JSON, 413),
    ],
)
def test_a_body_that_cannot_be_read_changes_nothing(tmp_path: Path, body: bytes, kind: str, status: int) -> None:
    """It is a problem document, and no outcome is counted."""
    desk = desk_in(tmp_path)

    async def ask(post: Post) -> None:
        assert (await post(body, kind)).status == status

    asking(desk, ask)
    assert counted(desk) == {}


def test_a_compressed_body_is_taken_within_the_same_bounds(tmp_path: Path) -> None:
    """A small body that becomes a huge one is refused like a huge one."""

    async def ask(post: Post) -> None:
        small = gzip.compress(json.dumps(ONE).encode())
        assert (await post(small, Content_Encoding="gzip")).body["accepted"] == 1
        assert (await post(gzip.compress(bytes(1 << 26)), Content_Encoding="gzip")).status == 413

    asking(desk_in(tmp_path), ask)


def test_a_body_that_is_not_as_it_says_is_refused(tmp_path: Path) -> None:
    """The connection ends, because nobody knows where the next request begins."""

    async def ask(post: Post) -> None:
        assert (await post(b"no gzip", Content_Encoding="gzip")).status == 400

    asking(desk_in(tmp_path), ask)


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its share of the room is free again."""
    monkeypatch.setattr(ingest, "READ_S", 0.0)

    async def run() -> None:
        async with served(desk_in(tmp_path)) as client:
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(b"POST /v1/outcomes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: 100\r\n\r\n[")
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_assignments_verify_with_the_keys_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    """Every key of the file counts, a new one at once; keys that cannot be read stay what they were."""
    file = tmp_path / "keys"
    file.write_text(KEYS[0])

    def keyed(ident: str, key: str) -> dict[str, Any]:
        raw = read_keys(str(_written(tmp_path / f"only-{key[0]}", key)))[0]
        token = sign(raw, Assignment("ramp", "new", 1, 1, unit_hash("ramp", 1, "u"), 0.05, 1)).decode()
        return {"id": ident, "outcome": "o", "assignment": token}

    async def ask(post: Post) -> None:
        assert (await post([keyed("a", KEYS[0]), keyed("b", KEYS[1])])).body["accepted"] == 1
        file.write_text(f"{KEYS[1]}\n{KEYS[0]}\n")
        assert (await post([keyed("b", KEYS[1]), keyed("c", KEYS[0])])).body["accepted"] == 2
        file.unlink()
        assert (await post(keyed("d", KEYS[1]))).body["accepted"] == 1

    asking(desk_in(tmp_path, f"server: {{signing: {{keys_file: '{file}'}}}}"), ask)
    assert {(row.keyed, row.experiment, row.run) for row in stored(tmp_path)} == {("assignment", "ramp", 1)}


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_keys_that_were_never_read_make_no_signature_wrong(tmp_path: Path) -> None:
    """The caller is asked to come again instead of being told that its assignment is forged."""
    file = _written(tmp_path / "keys", KEYS[0])

    async def ask(post: Post) -> None:
        file.unlink()
        assert (await post(ONE)).status == 503

    asking(desk_in(tmp_path, f"server: {{signing: {{keys_file: '{file}'}}}}"), ask)


def test_a_store_that_cannot_be_written_acknowledges_nothing(tmp_path: Path) -> None:
    """503 and when to come again, counted; it heals without a restart."""
    desk = desk_in(tmp_path)

    async def ask(post: Post) -> None:
        (tmp_path / "events").write_text("a file where the folder should be")
        found = await post([ONE, {}])
        assert (found.status, found.again) == (503, "5")
        (tmp_path / "events").unlink()
        assert (await post(ONE)).body["accepted"] == 1

    asking(desk, ask)
    assert counted(desk) == {"failed": 2, "accepted": 1}


def test_a_full_queue_turns_callers_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After, counted; nothing of the batch is taken."""
    monkeypatch.setattr(group_commit, "QUEUE", 1)
    desk = desk_in(tmp_path)

    async def ask(post: Post) -> None:
        found = await post([ONE, {**ONE, "id": "b"}])
        assert (found.status, found.again) == (503, "1")
        assert (await post(ONE)).body["accepted"] == 1

    asking(desk, ask)
    assert counted(desk) == {"overloaded": 2, "accepted": 1}


def test_bodies_under_way_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is asked to come again, and gives back what it had taken."""
    monkeypatch.setattr(ingest, "BODIES_MAX", 100)

    async def ask(post: Post) -> None:
        for _ in range(3):
            found = await post([ONE] * 10)
            assert (found.status, found.again) == (503, "1")
            assert (await post(ONE)).status == 200

    asking(desk_in(tmp_path), ask)


def test_what_an_outcome_may_be_late_follows_the_configuration(tmp_path: Path) -> None:
    """Without ``max_late`` it is as long as ids are kept."""

    async def ask(post: Post) -> None:
        (refused,) = (await post({**ONE, "time": 1})).body["refused"]
        assert "outcomes.max_late is 2h" in refused["reason"]

    events = f"events: {{dir: '{tmp_path / 'events'}', keep: {{age: 2h}}}}"
    asking(Desk(tmp_path, yaml(top=events)), ask)


def test_a_page_of_another_origin_sends_no_outcomes(tmp_path: Path) -> None:
    """As with every change."""

    async def ask(post: Post) -> None:
        assert (await post(ONE, Origin="http://attacker.example")).status == 403

    asking(desk_in(tmp_path), ask)
