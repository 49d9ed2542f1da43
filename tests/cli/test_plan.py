"""``router plan``: what its commands answer, and one sentence for each mistake."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from router.cli import app
from router.command.plan_boundaries import Asked, boundaries_of, plot


def plan(command: str) -> Result:
    """Run ``router plan`` in this process; an exception that would be a traceback fails the test."""
    result = CliRunner().invoke(app, ["plan", *command.split()])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(command: str) -> dict[str, Any]:
    """Return what a command answers as JSON, which holds no NaN and no infinity."""
    result = plan(f"{command} --json")
    assert result.exit_code == 0, result.output

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found: dict[str, Any] = json.loads(result.stdout, parse_constant=refuse)
    return found


@pytest.mark.parametrize("command", ["sample-size", "power", "mde", "duration", "boundaries", "salt"])
def test_every_command_shows_an_example(command: str) -> None:
    """Help ends in a command line that can be copied."""
    result = plan(f"{command} --help")
    assert result.exit_code == 0
    assert f"Example: router plan {command}" in result.stdout


def test_boundaries_have_z_and_alpha_spent() -> None:
    """Five looks of O'Brien-Fleming type, as Lan and DeMets spend 2.5 %."""
    found = answer("boundaries --looks 5 --alpha 0.025 --sided 1 --spending obrien_fleming")
    assert found["z"] == pytest.approx([4.8769, 3.3570, 2.6803, 2.2898, 2.0310], abs=6e-5)
    assert found["alpha_spent"][-1] == pytest.approx(0.025)
    assert found["information"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found["inflation"] > 1


@pytest.mark.parametrize(
    ("spending", "parameter"),
    [("pocock", None), ("kim_demets", "2"), ("hwang_shih_decani", "-4"), ("hwang-shih-decani", "0"),
     ("classical_pocock", None), ("classical_obrien_fleming", None), ("wang_tsiatis", "0.25")],
)  # fmt: skip
def test_each_family_takes_uneven_looks(spending: str, parameter: str | None) -> None:
    """All of them spend alpha, at any information."""
    more = f"--parameter {parameter}" if parameter else ""
    found = answer(f"boundaries --information 0.5,0.75,1 --spending {spending} {more}")
    assert len(found["z"]) == 3
    assert found["alpha_spent"][-1] == pytest.approx(0.05)
    assert found["lower"] == pytest.approx([-z for z in found["z"]])


def test_boundaries_for_people_are_a_table_and_a_plot() -> None:
    """Each look has a row and a column, and what it costs is said."""
    shown = plan("boundaries --looks 3 --sided 1 --futility kim_demets --futility-parameter 2")
    assert shown.exit_code == 0
    assert "futility z" in shown.stdout
    assert "times the units of one look" in shown.stdout
    lines = plot(boundaries_of(Asked(alpha=0.05, sided=2, spending="obrien_fleming", looks=4)))
    drawn = "".join(line.partition("|")[2] for line in lines)
    assert (drawn.count("+"), drawn.count("-")) == (4, 4)


def test_the_sample_size_of_the_issue() -> None:
    """Ten against twelve per cent takes 3841 units in each arm."""
    command = "sample-size --metric proportion --baseline 0.10 --mde 0.02 --absolute --power 0.8 --alpha 0.05"
    found = answer(command)
    assert (found["per_arm"], found["total"]) == (3841, 7682)
    assert "3841 units in each arm, 7682 in all" in plan(command).stdout


def test_an_effect_is_relative_unless_it_is_said_to_be_absolute() -> None:
    """20 % of a baseline of 10 % is two percentage points; of a mean without a baseline it is the unit's."""
    relative = answer("sample-size --baseline 0.1 --mde 20%")
    assert relative["effect"] == pytest.approx(0.02)
    assert relative["per_arm"] == 3841
    assert answer("sample-size --baseline 0.1 --mde 0.2")["per_arm"] == 3841
    assert answer("sample-size --metric mean --sd 1 --mde 1 --power 0.9")["per_arm"] == 23
    assert answer("sample-size --baseline 10% --mde 20% --alpha 5% --power 80%")["per_arm"] == 3841
    assert answer("sample-size --metric mean --sd 10 --baseline -50 --mde 2%")["effect"] == pytest.approx(1.0)


def test_margins_arms_clusters_and_looks_are_taken_into_account() -> None:
    """Each option changes the answer the way it has to."""
    plain = answer("sample-size --baseline 0.1 --mde 0.02 --absolute")["total"]
    assert answer("sample-size --baseline 0.1 --margin 0.02 --absolute")["sided"] == 1
    assert answer("sample-size --baseline 0.1 --margin 0.02")["margin"] == pytest.approx(0.02)
    assert answer("sample-size --baseline 0.1 --margin 20%")["margin"] == pytest.approx(0.02)
    assert answer("sample-size --baseline 0.1 --margin 2% --absolute")["margin"] == pytest.approx(0.02)
    assert answer("sample-size --baseline 0.1 --margin 0.02 --absolute --equivalence")["aim"] == "equivalence"
    split = answer("sample-size --baseline 0.1 --mde 0.02 --absolute --split 0.9,0.1")
    assert split["per_arm"] == split["arms"]
    assert split["total"] > plain
    one_share = answer("sample-size --baseline 0.1 --mde 0.02 --absolute --split 0.1")
    assert one_share["total"] == split["total"]
    for more in ("--arms 3", "--icc 0.05 --cluster-size 20", "--looks 5 --spending pocock"):
        assert answer(f"sample-size --baseline 0.1 --mde 0.02 --absolute {more}")["total"] > plain
    assert answer("sample-size --baseline 0.1 --mde 0.02 --absolute --rho 0.7")["total"] < 0.52 * plain


def test_a_ratio_is_planned_from_its_parts() -> None:
    """Clicks per view, by the delta method."""
    parts = "--metric ratio --baseline 0.2 --denominator 5 --sd-numerator 1.2 --sd-denominator 3 --correlation 0.6"
    found = answer(f"sample-size {parts} --mde 5%")
    assert found["sd"] == pytest.approx((1.44 - 0.4 * 0.6 * 3.6 + 0.36) ** 0.5 / 5)
    assert found["effect"] == pytest.approx(0.01)


def test_power_and_mde_are_the_sizes_inverse() -> None:
    """What was planned for 0.02 has its power, and finds 0.02."""
    found = answer("power --baseline 0.1 --mde 0.02 --absolute --per-arm 3841")
    assert found["power"] == pytest.approx(0.8, abs=1e-4)
    effect = answer("mde --baseline 0.1 --total 7682")
    assert effect["mde"] == pytest.approx(0.02, abs=1e-5)
    assert effect["relative"] == pytest.approx(0.2, abs=1e-4)
    assert answer("mde --baseline 0.1 --days 14 --units-per-day 1000 --enrolled 50%")["total"] == 7000
    assert "power 0.80" in plan("power --baseline 0.1 --mde 20% --total 7682").stdout


def test_duration_is_in_days_and_whole_weeks() -> None:
    """7 682 units at 400 enrolled a day take 20 days, so three weeks, and a window more."""
    found = answer("duration --baseline 0.1 --mde 20% --units-per-day 2000 --enrolled 20% --window 2")
    assert (found["days"], found["run_days"], found["read_days"]) == (20, 21, 23)
    assert found["total"] == 7682
    assert any("new units" in each for each in found["assumptions"])
    assert answer("duration --total 100 --units-per-day 100")["days"] == 1


MISTAKES = (
    ("sample-size --baseline 0.1 --mde 2% --alpha 0", "alpha"),
    ("sample-size --baseline 0.1 --mde 0", "effect of 0"),
    ("sample-size --baseline 1.2 --mde 2%", "baseline"),
    ("sample-size --baseline 0.1", "--mde is missing"),
    ("sample-size --mde 2%", "--baseline"),
    ("sample-size --baseline 0.1 --mde two", "neither a number nor a percentage"),
    ("sample-size --baseline 0.1 --mde nan", "not finite"),
    ("sample-size --baseline 0.6 --mde 0.5 --absolute", "not between 0 and 1"),
    ("sample-size --baseline 0.1 --mde 2% --power 1", "power"),
    ("sample-size --baseline 0.1 --mde 2% --sd 3", "--sd"),
    ("sample-size --metric mean --mde 1", "--sd"),
    ("sample-size --metric mean --sd 0 --mde 1", "standard deviation"),
    ("sample-size --metric mean --sd 1 --baseline 0 --mde 1%", "--baseline of 0"),
    ("sample-size --metric median --mde 1", "--metric"),
    ("sample-size --metric ratio --baseline 1 --mde 1%", "--sd-numerator"),
    ("sample-size --metric ratio --baseline 1 --sd 1 --denominator 2 --mde 1%", "leave out"),
    ("sample-size --baseline 0.1 --mde 2% --sided 3", "sides"),
    ("sample-size --baseline 0.1 --mde 2% --split 1,0", "weight"),
    ("sample-size --baseline 0.1 --mde 2% --split 1,1 --arms 3", "contradict"),
    ("sample-size --baseline 0.1 --mde 2% --arms 1", "--arms"),
    ("sample-size --baseline 0.1 --mde 2% --icc 0.1", "--cluster-size"),
    ("sample-size --baseline 0.1 --mde 2% --correction holm", "--correction"),
    ("sample-size --baseline 0.1 --mde 2% --equivalence", "--margin"),
    ("sample-size --baseline 0.1 --margin 0.02 --equivalence --looks 3", "looks"),
    ("sample-size --baseline 0.1 --mde 2% --looks 0", "looks"),
    ("power --baseline 0.1 --mde 2%", "--total"),
    ("power --baseline 0.1 --mde 2% --per-arm 10 --split 9,1", "--per-arm"),
    ("power --baseline 0.1 --mde 2% --days -1 --units-per-day 5", "--days"),
    ("mde --baseline 0.1 --mde 2% --total 100", "leave out"),
    ("mde --baseline 0.1 --total 0", "2 units"),
    ("duration --baseline 0.1 --mde 2%", "--units-per-day"),
    ("duration --total -1 --units-per-day 5", "--total"),
    ("duration --total 10 --units-per-day 0", "units per day"),
    ("duration --total 10 --units-per-day 5 --enrolled 0%", "enrolled"),
    ("duration --total 10 --route r --admin http://127.0.0.1:1 --requests-per-unit 1", "admin API"),
    ("duration --total 10 --route r --sample 0 --requests-per-unit 1", "--sample"),
    ("boundaries --alpha 0", "alpha"),
    ("boundaries --sided 3", "sides"),
    ("boundaries --information 0.5,0.4,1", "increase"),
    ("boundaries --information 0.5,x", "not numbers"),
    ("boundaries --information 0.5,2", "at 1"),
    ("boundaries --information 0.5,1 --looks 3", "contradict"),
    ("boundaries --looks 0", "looks"),
    ("boundaries --spending holm", "--spending"),
    ("boundaries --spending kim_demets", "parameter"),
    ("boundaries --spending pocock --parameter 1", "parameter"),
    ("boundaries --spending wang_tsiatis", "--parameter"),
    ("boundaries --spending classical_pocock --parameter 1", "--parameter"),
    ("boundaries --futility pocock", "one-sided"),
    ("boundaries --binding", "--futility"),
    ("boundaries --sided 1 --futility linear", "--futility"),
    ("boundaries --power 0.01", "power"),
)


@pytest.mark.parametrize(("command", "match"), MISTAKES)
def test_each_mistake_is_one_sentence(command: str, match: str) -> None:
    """Nothing is computed, the status is 1, and the sentence names the command and what is wrong."""
    result = plan(f"{command} --json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"router plan {command.split(maxsplit=1)[0]}: ")
    assert match in result.stderr
    assert result.stderr.count("\n") == 1
