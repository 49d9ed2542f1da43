"""Post-mortem reports and releases on the pages of the admin API."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from router.admin.reports import POLICY
from router.control.seat import Asked
from router.events.rollout import Found
from tests.admin.releasing import look, progress, release_desk
from tests.admin.serving import Client, served
from tests.control.desk import Desk

HTML = {"Accept": "text/html"}


def run(desk: Desk, use: Callable[[Client], Awaitable[None]]) -> None:
    """Serve a desk whose release is in its first stage, and use it within a deadline."""

    async def whole() -> None:
        async with asyncio.timeout(20), served(desk) as client:
            await look(desk.control, 3)
            await use(client)

    asyncio.run(whole())


def with_report(folder: Path) -> Desk:
    """Make a desk with a report about its release."""
    desk = release_desk(folder, top=f"events: {{dir: {folder / 'events'}}}")
    reports = folder / "events" / "postmortems"
    reports.mkdir(parents=True)
    for number in (17, 9):
        (reports / f"ramp-1-{number}.json").write_text('{"id":"x"}')
        (reports / f"ramp-1-{number}.html").write_text("<p>hello</p>")
    (reports / "other-1-5.json").write_text("{}")
    return desk


def test_reports_are_listed_and_given_as_a_page_or_as_json(tmp_path: Path) -> None:
    """The newest first; a page may load nothing; another experiment's report is not this one's."""

    async def use(client: Client) -> None:
        async with client.get("/v1/experiments/ramp/postmortems") as response:
            assert [each["time"] for each in (await response.json())["postmortems"]] == [17, 9]
        async with client.get("/v1/experiments/ramp/postmortems/ramp-1-17") as response:
            assert (await response.json(), response.headers["Vary"]) == ({"id": "x"}, "Accept")
        async with client.get("/v1/experiments/ramp/postmortems/ramp-1-17", headers=HTML) as response:
            assert await response.text() == "<p>hello</p>"
            assert response.headers["Content-Security-Policy"] == POLICY
        for path in (
            "ramp/postmortems/other-1-5",
            "ramp/postmortems/ramp-1-1",
            "none/postmortems",
            "ramp/postmortems/..",
        ):
            async with client.get(f"/v1/experiments/{path}") as response:
                assert response.status == 404

    run(with_report(tmp_path), use)


def test_a_page_shows_where_a_release_is(tmp_path: Path) -> None:
    """Its ladder, share, status and last decisions, and links to reports; also before the log was looked at."""
    desk = with_report(tmp_path)

    async def use(client: Client) -> None:
        async with client.get("/v1/experiments/ramp/report", headers=HTML) as response:
            page = await response.text()
        for said in (
            '<li class="here" aria-current="step">stage 1 5 %</li><li>stage 2 50 %</li>',
            "<strong>Stage 1, 5 %</strong>",
            "Holds (time) since",
            '<a href="postmortems/ramp-1-17">',
            "stage 1 with 0.05 of units on the new arm",
        ):
            assert said in page
        await desk.control.ask_release("ramp", "pause", Asked("ada <b>", "<script>"))
        async with client.get("/", headers=HTML) as response:
            page = await response.text()
            assert response.headers["Content-Security-Policy"] == POLICY
        assert "It is paused." in page
        assert "paused by ada &lt;b&gt;: &lt;script&gt;" in page
        assert '<a href="/v1/experiments/ramp/report">ramp</a>' in page

    run(desk, use)


def test_a_page_of_a_release_that_ended_says_how(tmp_path: Path) -> None:
    """Steps that it never had are not past; where it ended is beside them."""
    desk = with_report(tmp_path)

    async def use(client: Client) -> None:
        await desk.control.ask_release("ramp", "rollback", Asked("ada"))
        assert progress(desk.control).step == "rolled_back"
        async with client.get("/v1/experiments/ramp/report", headers=HTML) as response:
            page = await response.text()
        assert '<li class="here" aria-current="step">rolled back</li></ol>' in page
        assert '<div class="decision stop"><strong>Rolled back, 0 %' in page

    run(desk, use)


def test_a_found_of_the_present_is_in_the_json(tmp_path: Path) -> None:
    """Programs get what guardrails say now, and the steps of the release."""
    desk = with_report(tmp_path)

    async def use(client: Client) -> None:
        async with client.get("/v1/experiments/ramp") as response:
            release = (await response.json())["release"]
        assert [step["share"] for step in release["steps"]] == [0.05, 0.5, 0.95, 1.0]
        assert {each["name"] for each in release["observed"]["found"]} == {"nothing answers"}
        assert set(Found.__struct_fields__) >= set(release["observed"]["found"][0])

    run(desk, use)
