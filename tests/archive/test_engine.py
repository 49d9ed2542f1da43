"""DuckDB keeps to what it was given."""

from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from router.archive.engine import MIB, Limits, connect

ROWS = "CREATE TABLE t AS SELECT md5(range::VARCHAR) AS h FROM range(1_000_000)"


def test_what_does_not_fit_in_memory_is_spilled_within_its_bound(tmp_path: Path) -> None:
    """Beyond both bounds a query fails; neither the process nor the disk grows."""
    spill = tmp_path / "spill"
    with closing(connect(Limits(threads=1, memory_bytes=16 * MIB, spill_bytes=256 * MIB), spill)) as connection:
        connection.execute(ROWS)
        assert 0 < sum(path.stat().st_size for path in spill.iterdir()) <= 256 * MIB
    with (
        closing(connect(Limits(threads=1, memory_bytes=16 * MIB, spill_bytes=8 * MIB), spill)) as connection,
        pytest.raises(duckdb.OutOfMemoryException),
    ):
        connection.execute(ROWS)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """An extension that is not built in is an error, not a download."""
    with closing(connect(Limits(), tmp_path)) as connection, pytest.raises(duckdb.Error):
        connection.execute("SELECT * FROM sqlite_scan('x', 'y')")
