"""Folds on the ClickHouse that chdb embeds: ``clickhouse.py FOLDER …`` writes what it finds in each, as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from chdb.session import Session

from router.analysis.document import experiment_document
from router.analysis.engine import SqlEngine
from router.analysis.fold import fold_one
from router.analysis.history import History
from router.analysis.plan import Plan
from tests.analysis import logs
from tests.analysis.test_attribution import METRICS

SLICES = ("country", "new_unit", "weekday", "volume", "cache", "latency")


def engine(session: Any, folder: Path) -> SqlEngine:
    """Return an engine over Parquet files, as ``clickhouse_engine`` makes one over a server."""
    for setting in ("join_use_nulls = 1", "max_threads = 1", "compile_expressions = 0"):
        session.query(f"SET {setting}")
    for name in ("exposures", "outcomes"):
        source = f"file('{folder}/{name}.parquet', Parquet)"
        session.query(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {source}")  # noqa: S608 - a file of ours

    def query(sql: str) -> list[dict[str, Any]]:
        text = str(session.query(sql, "JSONEachRow"))
        return [json.loads(line) for line in text.splitlines()]

    return SqlEngine("clickhouse", session.query, query)


def main() -> None:
    """Fold, and write the documents; a folder named ``clustered`` has clusters for units."""
    session: Any = Session()  # type: ignore[no-untyped-call]
    found = []
    try:
        for folder in map(Path, sys.argv[1:]):
            plan = Plan("e", METRICS, SLICES, ("tier",), clustered=folder.name == "clustered")
            runner = engine(session, folder)
            found.append(experiment_document(fold_one(runner, plan, History({"e": logs.PHASES}), 70.0)))
            runner.forget()
            session.query("DROP TABLE exposures")
            session.query("DROP TABLE outcomes")
    finally:
        session.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
