"""Data quality on the interfaces of the admin API: marks, findings, families of metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from router.analysis.finding import Finding, Insufficient
from router.analysis.quality import Observed, judge
from router.analysis.sample_ratio import Block
from router.control.measure import Snapshot
from tests.admin.serving import Client, served
from tests.control.desk import Desk

REASON = (
    "the arms do not have the units that their weights promise (new has 5000, was due 488, old has 4750, was due 9262)"
)
LOG = (Finding("clock_skew", "warn", 0.2, 0.01, "clocks differ"), Insufficient("dropped_events", "nothing happened"))


def _snapshot(new: int) -> Snapshot:
    block = Block(0, {"old": 95.0, "new": 5.0}, {"old": 4750, "new": new})
    observed = Observed(
        experiment="ramp", run=1, phase=1, control="old", units=4750 + new, crossed=900, blocks=(block,)
    )
    return Snapshot(1_800_000_000.0, 0.25, {"ramp": (judge(observed),)}, LOG, unread=("a part cannot be read",))


def _run(desk: Desk, snapshot: Snapshot | None, use: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served(desk) as client:
            if snapshot is not None:
                desk.control.fold.snapshot = snapshot
                await desk.control._judge(snapshot)
            await use(client)

    asyncio.run(run())


async def _get(client: Client, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


async def _samples(client: Client) -> dict[tuple[str, ...], float]:
    async with client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


def test_a_mark_is_on_every_answer_about_its_experiment(tmp_path: Path) -> None:
    """The list, the experiment, its report, assignments, the history of revisions and the metrics."""

    async def use(client: Client) -> None:
        for view in (
            (await _get(client, "/v1/experiments"))["experiments"][0],
            await _get(client, "/v1/experiments/ramp"),
        ):
            assert view["invalid"]["reason"] == REASON
            assert view["quality"] == {"status": "invalid", "time": 1_800_000_000.0, "problem": None}
        assigned = await _get(client, "/v1/assign?route=r&unit=u")
        assert assigned["invalid"] == REASON
        assert [each["invalid"] for each in assigned["experiments"]] == [REASON]
        newest = (await _get(client, "/v1/revisions"))["revisions"][0]
        assert newest["cause"] == "invalid"
        assert REASON in newest["changes"][0]
        samples = await _samples(client)
        assert samples["router_experiment_invalid", "ramp"] == 1
        assert samples["router_sample_ratio_p", "ramp"] < 1e-100
        assert samples["router_data_quality", "sample_ratio", "ramp"] == 2

    _run(Desk(tmp_path), _snapshot(5000), use)


def test_the_report_has_every_finding_and_whether_it_may_be_promoted(tmp_path: Path) -> None:
    """With values, thresholds, sentences; those of the log; and what could not be read of it."""

    async def use(client: Client) -> None:
        report = await _get(client, "/v1/experiments/ramp/report")
        assert (report["run"], report["phase"], report["time"]) == (1, 1, 1_800_000_000.0)
        assert report["promotion"] == {"allowed": False, "reason": f"it is invalid until fixed: {REASON}"}
        (phase,) = report["quality"]
        assert (phase["present"], phase["status"]) == (True, "invalid")
        assert phase["sample_ratio"]["observed"] == {"new": 5000, "old": 4750}
        found = {each["check"]: each for each in phase["findings"]}
        assert found["sample_ratio"]["sentence"] == REASON
        assert found["multiple_exposure"]["status"] == "warn"
        assert found["outcome_gap"]["status"] == "insufficient data"
        assert "value" not in found["outcome_gap"]
        assert [each["check"] for each in report["log"]] == ["clock_skew", "dropped_events"]
        assert report["unread"] == ["a part cannot be read"]
        await _get(client, "/v1/experiments/other/report", 404)

    _run(Desk(tmp_path), _snapshot(5000), use)


def test_sound_data_have_no_mark(tmp_path: Path) -> None:
    """And what is too little has no sample, so that nobody takes it for fine."""

    async def use(client: Client) -> None:
        view = await _get(client, "/v1/experiments/ramp")
        assert (view["invalid"], view["quality"]["status"]) == (None, "warn")
        assert (await _get(client, "/v1/assign?route=r&unit=u"))["invalid"] is None
        samples = await _samples(client)
        assert samples["router_experiment_invalid", "ramp"] == 0
        assert samples["router_data_quality", "sample_ratio", "ramp"] == 0
        assert samples["router_log_quality", "clock_skew"] == 1
        assert ("router_log_quality", "dropped_events") not in samples
        assert ("router_data_quality", "outcome_gap", "ramp") not in samples
        assert samples[("router_fold_seconds",)] == 0.25
        assert ("router_fold_lag_seconds",) in samples

    _run(Desk(tmp_path), _snapshot(250), use)


def test_before_the_first_look_nothing_is_said(tmp_path: Path) -> None:
    """Neither in answers nor in metrics; a problem is told as such."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        view = await _get(client, "/v1/experiments/ramp")
        assert (view["invalid"], view["quality"]) == (None, {"status": None, "time": None, "problem": None})
        report = await _get(client, "/v1/experiments/ramp/report")
        assert (report["time"], report["lag"], report["quality"], report["log"]) == (None, None, [], [])
        assert report["promotion"] == {"allowed": False, "reason": "the data of this phase were not looked at yet"}
        samples = await _samples(client)
        assert ("router_sample_ratio_p", "ramp") not in samples
        assert ("router_fold_lag_seconds",) not in samples
        assert samples[("router_fold_failed",)] == 0
        desk.control.fold.problem = "pip install it"
        assert (await _get(client, "/v1/experiments/ramp"))["quality"]["problem"] == "pip install it"
        assert (await _samples(client))[("router_fold_failed",)] == 1
        assert (await _get(client, "/v1/assign?path=/nowhere&method=GET&host=h"))["revision"] == 1

    _run(desk, None, use)
