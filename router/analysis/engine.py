"""Where expressions are run: the one seam between the analysis and a database.

Responsible for: the relations of the data contract, keeping intermediate ones for the length of a fold, rows as plain
data, and the two expressions that Ibis has no portable form of: members of a JSON object, as text and as a number.
Does not know: what is computed, files, how a connection is made.

Rules: Ibis writes the SQL and the database's own client runs it. An engine is used by one fold at a time; what it keeps
is in temporary tables that ``forget`` drops.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import ibis
from ibis.expr import types as ir

Dialect = Literal["duckdb", "clickhouse"]

_TEXTS: Final = ("exchange", "request_id", "route", "experiment", "arm", "unit", "user", "site", "target", "fallback")
EXPOSURES: Final = {
    **dict.fromkeys((*_TEXTS, "attributes", "rewards", "unit_hash", "fanout"), "string"),
    **dict.fromkeys(("time", "propensity", "duration", "first_byte"), "float64"),
    **dict.fromkeys(("run", "phase", "epoch", "status"), "int32"),
    **dict.fromkeys(("override", "bot", "failed", "finished"), "boolean"),
}
"""One row for each exchange and experiment; ``fanout`` is JSON where its request went to several arms of it."""
OUTCOMES: Final = {
    **dict.fromkeys(("id", "outcome", "keyed", "experiment", "unit_hash", "request_id", "unit", "item"), "string"),
    **dict.fromkeys(("value", "time", "received"), "float64"),
    "run": "int32",
}
"""One row for each outcome; of one with several assignments, for each of them. ``item`` where it is about one."""
RELATIONS: Final = {"exposures": EXPOSURES, "outcomes": OUTCOMES}


class Engine(Protocol):
    """Runs expressions."""

    def table(self, name: Literal["exposures", "outcomes"]) -> ir.Table:
        """Return a relation of the data contract."""
        ...

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute a relation now, and return it as one that is read cheaply."""
        ...

    def forget(self) -> None:
        """Drop everything that was kept."""
        ...

    def rows(self, expression: ir.Table) -> list[dict[str, Any]]:
        """Compute a relation and return its rows."""
        ...

    def text(self, document: ir.StringValue, key: str) -> ir.StringValue:
        """Return a member of a JSON object as text; NULL when there is none."""
        ...

    def number(self, document: ir.StringValue, key: str) -> ir.FloatingValue:
        """Return a member of a JSON object as a number; NULL when there is none."""
        ...


@ibis.udf.scalar.builtin(name="json_extract_string")  # type: ignore[untyped-decorator]
def _duckdb_member(document: str, path: str) -> str:  # type: ignore[empty-body]
    """DuckDB's function."""


@ibis.udf.scalar.builtin(name="JSONExtractString")  # type: ignore[untyped-decorator]
def _clickhouse_text(document: str, key: str) -> str:  # type: ignore[empty-body]
    """ClickHouse's function: empty when there is no such member, or it is no text."""


@ibis.udf.scalar.builtin(name="JSONExtractRaw")  # type: ignore[untyped-decorator]
def _clickhouse_raw(document: str, key: str) -> str:  # type: ignore[empty-body]
    """ClickHouse's function: empty when there is no such member."""


@ibis.udf.scalar.builtin(name="toFloat64OrNull")  # type: ignore[untyped-decorator]
def _clickhouse_number(text: str) -> float:  # type: ignore[empty-body]
    """ClickHouse's function."""


class SqlEngine:
    """An engine over whatever runs SQL.

    Per fold: the names of what was kept.
    """

    def __init__(
        self,
        dialect: Dialect,
        execute: Callable[[str], object],
        query: Callable[[str], list[dict[str, Any]]],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Make an engine.

        Args:
            dialect: How Ibis writes the SQL.
            execute: Runs a statement that returns nothing.
            query: Runs a query and returns its rows.
            names: Relation to the table or view that it is, where that has another name.
        """
        self._names = names or {}
        self._dialect = dialect
        self._execute = execute
        self._query = query
        self._kept: list[str] = []

    def table(self, name: Literal["exposures", "outcomes"]) -> ir.Table:
        """Return a relation of the data contract."""
        return ibis.table(RELATIONS[name], name=self._names.get(name, name))

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute a relation into a temporary table."""
        table = f"fold_{name}"
        self._kept.append(table)
        self._execute(f"CREATE TEMPORARY TABLE {table} AS {self._sql(expression)}")
        return ibis.table(expression.schema(), name=table)

    def forget(self) -> None:
        """Drop the temporary tables."""
        while self._kept:
            self._execute(f"DROP TABLE IF EXISTS {self._kept.pop()}")

    def rows(self, expression: ir.Table) -> list[dict[str, Any]]:
        """Compute a relation and return its rows."""
        return self._query(self._sql(expression))

    def text(self, document: ir.StringValue, key: str) -> ir.StringValue:
        """Return a member of a JSON object as text."""
        if self._dialect == "clickhouse":
            return _clickhouse_text(document, key).nullif("")
        return _duckdb_member(document, _path(key))

    def number(self, document: ir.StringValue, key: str) -> ir.FloatingValue:
        """Return a member of a JSON object as a number."""
        if self._dialect == "clickhouse":
            return _clickhouse_number(_clickhouse_raw(document, key))
        return _duckdb_member(document, _path(key)).try_cast("float64")

    def _sql(self, expression: ir.Table) -> str:
        return str(ibis.to_sql(expression, dialect=self._dialect))


def _path(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'


def duckdb_engine(connection: Any, outcomes: str = "outcomes") -> SqlEngine:
    """Return an engine over a connection of DuckDB that has the relations as tables or views.

    Args:
        connection: The connection.
        outcomes: Name of the relation of outcomes.
    """

    def query(sql: str) -> list[dict[str, Any]]:
        found = connection.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return SqlEngine("duckdb", connection.execute, query, {"outcomes": outcomes})


def clickhouse_engine(client: Any) -> SqlEngine:
    """Return an engine over a client of ``clickhouse_connect``, which needs a session for temporary tables."""
    client.command("SET join_use_nulls = 1")  # an outer join without a match gives NULL, as everywhere else
    return SqlEngine("clickhouse", client.command, lambda sql: list(client.query(sql).named_results()))
