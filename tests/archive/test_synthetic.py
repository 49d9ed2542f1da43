"""The synthetic archives that benchmarks and other tests use are what they say."""

from pathlib import Path

from benchmarks.synthetic import Shape, make
from router.archive.reading import open_archive


def test_exposures_outcomes_and_the_effect_are_as_asked(tmp_path: Path) -> None:
    """Rows, units, days and the share of units in both arms; outcomes find their units by assignment."""
    make(tmp_path, Shape(exposures=3000, outcomes=6000, units=500, days=3, crossed=0.1, lift=1.0, keyed="assignment"))
    with open_archive(tmp_path, salts={("ranker-v2", 1): "ranker-v2"}) as archive:
        ask = archive.connection.execute
        assert ask("SELECT count(*), count(DISTINCT exchange) FROM exposures").fetchall() == [(3000, 3000)]
        arms = (
            "SELECT unit, min(unit_hash) AS h, min(arm) AS arm, count(DISTINCT arm) AS n FROM exposures GROUP BY unit"
        )
        crossed = ask(f"SELECT avg((n > 1)::INTEGER) FROM ({arms})").fetchall()[0][0]  # noqa: S608 - see above
        assert 0.05 < crossed < 0.15
        joined = f"SELECT arm, count(*) FROM outcomes JOIN ({arms}) ON h = unit_hash GROUP BY arm"  # noqa: S608 - see above
        counts = dict(ask(joined).fetchall())
        assert 1.3 < counts["treatment"] / counts["control"] < 2.4
        # Each outcome is of a unit that was exposed; units in both arms, here control, weaken the ratio of 2.
        assert ask("SELECT count(*) FROM outcomes").fetchall()[0][0] == sum(counts.values())
