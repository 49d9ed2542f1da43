"""Finding a salt under which strata are balanced: the measure, the assignment, the files, the command."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import chisquare
from typer.testing import CliRunner, Result

from router.analysis.salt_balance import Cells, standardised_differences
from router.cli import app
from router.command import roster
from router.command.plan_salt import Asked, assign, candidates, parse_arms, search
from router.command.roster import Roster, RosterError
from router.routing.bucket import choose

Integers = npt.NDArray[np.int64]


def _counted(arms: Integers, codes: Integers, levels: tuple[int, ...], arm_count: int = 2) -> Cells:
    cells = Cells(levels, arm_count, 1)
    for piece in (slice(0, 7), slice(7, None)):
        cells.add_units(codes[piece])
        cells.add_assignment(0, arms[piece], codes[piece])
    return cells


# --- The measure -----------------------------------------------------------------------------------------------------


def test_of_one_stratum_the_distance_is_pearsons() -> None:
    """M is the chi-square statistic of the table of arms and levels against what the weights promise."""
    random = np.random.default_rng(1)
    arms, codes = random.integers(0, 3, 500), random.integers(0, 4, (500, 1))
    shares = np.array((0.2, 0.3, 0.5))
    table = np.array([[((arms == arm) & (codes[:, 0] == level)).sum() for level in range(4)] for arm in range(3)])
    expected = shares[:, None] * table.sum(axis=0)
    found = _counted(arms, codes, (4,), 3).distances(shares)
    assert found == pytest.approx([chisquare(table, expected, axis=None).statistic])


def test_of_two_arms_the_distance_is_that_of_morgan_and_rubin() -> None:
    """With arms of the promised sizes: the Mahalanobis distance of the mean indicators, for two strata together."""
    random = np.random.default_rng(2)
    codes = np.column_stack((random.integers(0, 3, 400), random.integers(0, 2, 400)))
    arms = random.permutation(np.repeat((0, 1), 200))
    indicators = np.column_stack((codes[:, 0] == 1, codes[:, 0] == 2, codes[:, 1] == 1)).astype(float)
    difference = indicators[arms == 1].mean(axis=0) - indicators[arms == 0].mean(axis=0)
    covariance = np.cov(indicators, rowvar=False, bias=True) * (1 / 200 + 1 / 200)
    known = difference @ np.linalg.inv(covariance) @ difference
    assert _counted(arms, codes, (3, 2)).distances(np.array((0.5, 0.5))) == pytest.approx([known])


def test_salts_have_the_distances_that_theory_gives() -> None:
    """Their mean is (arms - 1) times the rank: two arms, 1 + 2 + 1 independent indicators; bound 5 standard errors."""
    units = [b"user-%d" % number for number in range(1000)]
    codes = np.column_stack((np.arange(1000) % 3, np.arange(1000) // 500)).astype(np.int64)
    cells = Cells((3, 2), 2, 400)
    cells.add_units(codes)
    for index, salt in enumerate(candidates("s", 400, 1)):
        cells.add_assignment(index, assign(salt, [("a", 1.0), ("b", 1.0)], units), codes)
    found = cells.distances(np.array((0.5, 0.5)))
    assert found.mean() == pytest.approx(4, abs=5 * np.sqrt(2 * 4 / 400))


def test_standardised_differences_are_of_levels_shares() -> None:
    """Shares 0.3 and 0.4 of a level; an arm without units, or a level that all have, differs by 0."""
    found = standardised_differences(np.array([[30, 70], [40, 60]]))
    assert found[1] == pytest.approx([0.1 / ((0.21 + 0.24) / 2) ** 0.5, -0.1 / ((0.21 + 0.24) / 2) ** 0.5])
    assert standardised_differences(np.array([[10], [20]])).tolist() == [[0.0], [0.0]]


# --- The assignment ---------------------------------------------------------------------------------------------------


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=30),
    st.lists(st.just(0.0) | st.floats(1e-9, 100), min_size=2, max_size=4).filter(
        lambda weights: sum(w > 0 for w in weights) > 1
    ),
    st.text(min_size=1, max_size=8),
)
def test_units_are_assigned_as_the_router_does(units: list[str], weights: list[float], salt: str) -> None:
    """The same arm as the request path's own function gives, unit by unit."""
    units = [unit.encode("utf-8", "ignore").decode() or "u" for unit in units]
    salt = salt.encode("utf-8", "ignore").decode() or "s"
    named = list(zip("dbca", weights, strict=False))
    arms = sorted((name, weight) for name, weight in named if weight > 0)
    found = assign(salt, arms, [unit.encode() for unit in units])
    assert [arms[index][0] for index in found] == [choose(salt, named, unit) for unit in units]


def test_candidates_begin_with_the_salt_itself_and_depend_on_the_seed_alone() -> None:
    """So the best is never worse, and anybody can find it again."""
    found = candidates("ranker", 5, 7)
    assert found[0] == "ranker"
    assert all(salt.startswith("ranker-") for salt in found[1:])
    assert len(set(found)) == 5
    assert found == candidates("ranker", 5, 7) != candidates("ranker", 5, 8)


def test_arms_of_weight_0_get_nobody() -> None:
    """They are left out, as in the router."""
    assert parse_arms("b=1, a=2,c=0") == [("a", 2.0), ("b", 1.0)]


@pytest.mark.parametrize("text", ["", "a", "a=x,b=1", "a=1,a=1", "=1,b=1", "a=-1,b=1", "a=nan,b=1", "a=1,b=0"])
def test_arms_that_are_none_are_refused(text: str) -> None:
    """With the item that is wrong, or how many arms there are."""
    with pytest.raises(ValueError, match="--arms"):
        parse_arms(text)


# --- The files --------------------------------------------------------------------------------------------------------


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def _read(path: Path, *columns: str) -> list[tuple[bytes, tuple[str, ...]]]:
    pieces = Roster(path, "unit", columns).pieces()
    return [pair for units, values in pieces for pair in zip(units, values, strict=True)]


def test_both_formats_give_the_same(tmp_path: Path) -> None:
    """JSON scalars are their text, as the router reads units; null, missing and empty are one level."""
    comma = _file(tmp_path, "u.csv", '\ufeffage,unit,tier\r\n1,"a,b",gold\r\n2,17,\r\n3,true,\r\n\r\n4,1.50,x\r\n')
    lines = (
        '{"unit": "a,b", "tier": "gold"}\n{"unit": 17, "tier": null}\n{"unit": true}\n\n{"unit": 1.50, "tier": "x"}\n'
    )
    known = [(b"a,b", ("gold",)), (b"17", ("",)), (b"true", ("",)), (b"1.50", ("x",))]
    assert _read(comma, "tier") == known
    assert _read(_file(tmp_path, "u.ndjson", lines), "tier") == known
    assert _read(_file(tmp_path, "u.jsonl", lines)) == [(unit, ()) for unit, _ in known]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("u.txt", "", "is neither"),
        ("u.csv", "", "no column 'unit'"),
        ("u.csv", "unit,unit,tier\na,b,c\n", "no column 'unit' of its own"),
        ("u.csv", "unit,tier\na\n", "u.csv:2: 1 fields, not 2"),
        ("u.csv", "unit,tier\n,x\n", "u.csv:2: 'unit' has 0 bytes"),
        ("u.csv", "unit,tier\n", "holds no units"),
        ("u.csv", "unit,tier\na,x\na,y\nb,x\n", "gives 1 units more than once"),
        ("u.csv", "unit,tier\n" + "".join(f"u{n},{n}\n" for n in range(1001)), "more than 1000 levels"),
        ("u.csv", 'unit,tier\n"' + "x" * 200_000, "is not CSV"),
        ("u.ndjson", "{\n", "u.ndjson:1: not an object"),
        ("u.ndjson", '{"unit": {}}\n', "u.ndjson:1: not an object of scalars"),
        ("u.ndjson", '{"unit": "' + "x" * 513 + '"}\n', "has 513 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    """One sentence, with the line where there is one."""
    path = _file(tmp_path, name, text)
    with pytest.raises(RosterError) as caught:
        Roster(path, "unit", ("tier",)).survey()
    assert said in str(caught.value)


def test_what_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    """As a sentence, too."""
    (tmp_path / "u.csv").write_bytes(b"unit\n\xff\n")
    with pytest.raises(RosterError, match="not UTF-8"):
        Roster(tmp_path / "u.csv", "unit", ()).survey()
    with pytest.raises(RosterError, match="No such file"):
        Roster(tmp_path / "none.csv", "unit", ()).survey()


# --- The command ------------------------------------------------------------------------------------------------------


def _users(folder: Path, count: int = 600) -> Path:
    rows = (
        f"user-{number},{('gold', 'silver', '')[number % 3]},{'US' if number % 7 else 'DE'}" for number in range(count)
    )
    return _file(folder, "users.csv", "unit,tier,country\n" + "\n".join(rows) + "\n")


def _asked(path: Path, tries: int = 50) -> Asked:
    strata = ("tier", "country")
    return Asked(units=path, unit="unit", strata=strata, arms="control=9,treatment=1", salt="s", tries=tries, seed=0)


def test_the_best_salt_is_found_and_is_what_it_is_said_to_be(tmp_path: Path) -> None:
    """Its counts are those that the router's own assignment gives, and no candidate is nearer."""
    found = search(_asked(_users(tmp_path)), Console(quiet=True))
    assert found.after.distance < found.median_distance
    assert found.after.distance <= found.before.distance
    assert found.yaml == f"salt: {found.salt}"
    arms = [choose(found.salt, [("control", 9), ("treatment", 1)], f"user-{number}") for number in range(0, 600, 3)]
    assert found.after.levels["tier"]["gold"] == {arm: arms.count(arm) for arm in ("control", "treatment")}


def test_it_does_not_matter_how_the_file_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of a piece; pieces of 7 units give the same answer."""
    path = _users(tmp_path)
    whole = search(_asked(path, 5), Console(quiet=True))
    monkeypatch.setattr(roster, "PIECE", 7)
    assert search(_asked(path, 5), Console(quiet=True)) == whole


def test_a_single_try_is_the_salt_itself(tmp_path: Path) -> None:
    """Which says how good the default is."""
    found = search(_asked(_users(tmp_path), 1), Console(quiet=True))
    assert (found.salt, found.before) == ("s", found.after)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["plan", "salt", *arguments])


def test_people_get_the_balance_the_line_to_paste_and_the_caveat(tmp_path: Path) -> None:
    """Before and after, for each level, and what rerandomisation means for inference."""
    path = str(_users(tmp_path))
    shown = _run("--units", path, "--strata", "tier", "--salt", "ranker", "--tries", "9")
    assert shown.exit_code == 0
    assert "600 units, 9 salts compared" in shown.stdout
    assert "\nsalt: ranker" in shown.stdout
    assert "(none)" in shown.stdout
    assert "conservative" in shown.stdout
    alone = _run("--units", path, "--tries", "3")
    assert "largest standardised difference" in alone.stdout


def test_programs_get_json(tmp_path: Path) -> None:
    """All of it, and nothing else on standard output."""
    shown = _run("--units", str(_users(tmp_path)), "--strata", "tier", "--tries", "3", "--json")
    document = json.loads(shown.stdout)
    assert document["yaml"] == f"salt: {document['salt']}"
    assert sum(document["after"]["units"].values()) == document["units"] == 600


def test_mistakes_are_a_sentence(tmp_path: Path) -> None:
    """And exit status 1."""
    for arguments in (("--units", str(tmp_path / "x.csv")), ("--units", str(_users(tmp_path)), "--arms", "a")):
        shown = _run(*arguments)
        assert shown.exit_code == 1
        assert shown.stderr.startswith("router plan salt: ")
