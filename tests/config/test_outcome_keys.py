"""The keys about outcomes: defaults, and how late an outcome may come."""

import pytest

from router.config.load import load_text
from router.config.mistake import ConfigError
from router.config.schema import Config, Outcomes


def config(top: str) -> Config:
    """Load a small configuration with some keys at the top."""
    text = f"{top}\ntargets: [{{name: t, endpoints: ['http://h']}}]\nroutes: [{{name: r, target: t}}]\n"
    return load_text(text.encode(), "test.yaml").config


def test_the_defaults_follow_the_retention() -> None:
    """Who writes nothing takes what is as old as ids are kept."""
    assert config("").outcomes == Outcomes(max_future=300.0, max_late=None)


def test_what_is_written_is_read() -> None:
    """Each key has its unit."""
    assert config("outcomes: {max_future: 0s, max_late: 7d}").outcomes == Outcomes(max_future=0, max_late=7 * 86400)


@pytest.mark.parametrize("events", ["", "events: {keep: {age: 1d}}"])
def test_nothing_is_taken_so_late_that_a_repeat_is_unknown(events: str) -> None:
    """Once is only once while ids are known."""
    with pytest.raises(ConfigError, match=r"max_late: .* is longer than events\.keep\.age"):
        config(f"{events}\noutcomes: {{max_late: 31d}}")
    assert config("events: {keep: {age: 31d}}\noutcomes: {max_late: 31d}").outcomes.max_late == 31 * 86400
