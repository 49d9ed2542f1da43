"""Who had which arm: the plain reading and the database give the same."""

from pathlib import Path

import msgspec
import pytest

from router.archive.exposures import archived_exposures
from router.events import exposures
from router.events.exposures import Exposures, live_exposures
from router.events.model import Enrolment, Exchange


def exchange(number: int, *enrolments: Enrolment, failed: bool = False, unit: str | None = None) -> Exchange:
    """Make an exchange that took a hundredth of its number in seconds."""
    return Exchange(
        f"{number:032x}", 100.0 + number, f"r{number}", 1, "r", "GET", "/", 200, 1, number / 100, None, 0, 0, "b",
        unit if unit is not None else f"u{number % 5}", "header:x", enrolments, failed=failed,
    )  # fmt: skip


def enrolled(arm: str, phase: int = 2, run: int = 1, experiment: str = "ramp") -> Enrolment:
    """Make an enrolment."""
    return Enrolment(experiment, run, phase, 0, arm, 0.5, "b")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a segment with exchanges of two arms, another run, another experiment and a line that is none."""
    events = [
        exchange(number, enrolled("new" if number % 2 else "old"), failed=number in (3, 7)) for number in range(20)
    ]
    events += [exchange(30, enrolled("new", run=2)), exchange(31, enrolled("new", experiment="other")), exchange(32)]
    events += [exchange(33, enrolled("new", phase=3), unit="late")]
    encode = msgspec.json.Encoder().encode
    (tmp_path / "exchange-20251122T120000Z-w0-1-000001.ndjson").write_bytes(
        b"".join(encode(event) + b"\n" for event in events)
    )
    return tmp_path


def test_both_readings_agree(log: Path) -> None:
    """Counts, units, failures and times exactly; quantiles as near as a histogram is."""
    span = (100.0, 121.0)
    plain, sealed = (read(log, "ramp", 1, span, 10.0) for read in (live_exposures, archived_exposures))
    assert plain.held == sealed.held
    assert [held[:5] for held in plain.held] == [(2, "new", 10, 5, 2), (2, "old", 10, 5, 0), (3, "new", 1, 1, 0)]
    assert (plain.held[0].first, plain.held[0].last) == (101.0, 119.0)
    assert [each[:4] for each in plain.buckets] == [each[:4] for each in sealed.buckets]
    assert [each.p50 for each in plain.buckets] == pytest.approx([each.p50 for each in sealed.buckets], rel=0.3)


def test_the_plain_reading_is_bounded(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it left out; too many units are not known rather than counted wrong."""
    monkeypatch.setattr(exposures, "EVENTS", 10)
    monkeypatch.setattr(exposures, "UNITS", 1)
    found = live_exposures(log, "ramp", 1, (0.0, 200.0), 10.0)
    assert sum(held.exchanges for held in found.held) == 10
    assert [held.units for held in found.held] == [None, None]
    assert found.missing == "only the first 10 events were read"


def test_no_log_is_no_exposure(tmp_path: Path) -> None:
    """A folder that is not there holds none."""
    assert live_exposures(tmp_path / "none", "ramp", 1, (0.0, 1.0), 1.0) == Exposures()
