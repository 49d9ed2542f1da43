"""DuckDB within bounds.

Responsible for: connections that use no more threads, memory and disk than they were given, and that load nothing from
elsewhere.
Does not know: tables, files of the archive.

Rules: DuckDB is in the extra ``analysis``, so this module and those above it are imported where it is needed, and
``installed`` can be asked without it (``router.archive.upkeep``).
"""

from pathlib import Path
from typing import Final

import duckdb
from msgspec import Struct

MIB: Final = 1024 * 1024


class Limits(Struct, frozen=True):
    """What a connection may use.

    Attributes:
        threads: Threads that work on a query.
        memory_bytes: Memory of DuckDB's buffers; beyond it, what can be is spilled to disk.
        spill_bytes: Disk for that; a query that needs more fails.
    """

    threads: int = 2
    memory_bytes: int = 512 * MIB
    spill_bytes: int = 8192 * MIB


def connect(limits: Limits, spill: Path) -> duckdb.DuckDBPyConnection:
    """Open a database in memory.

    Args:
        limits: What it may use.
        spill: Folder for what does not fit in memory.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": limits.threads,
            "memory_limit": f"{limits.memory_bytes}B",
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            # Extensions come from the network, and the built-in ones suffice.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    # As an option of `connect` it is shown, but not obeyed: only an open database tells its buffer manager.
    connection.execute(f"SET max_temp_directory_size = '{limits.spill_bytes}B'")
    return connection


def write_part(connection: duckdb.DuckDBPyConnection, query: str, path: Path, compression: str = "zstd") -> int:
    """Write the rows of a query to a Parquet file; return how many they are.

    Raises:
        duckdb.Error: If the query fails, or the disk.
    """
    target = "'" + str(path).replace("'", "''") + "'"
    rows = connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet, COMPRESSION {compression})").fetchall()
    return int(rows[0][0])
