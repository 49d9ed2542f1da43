"""Events of days gone by, in Parquet, and all events as tables.

``layout``   folders, the names of parts, which parts count, and the mark of a batch that is being sealed
``columns``  the tables: columns, and the SQL that makes them out of lines of the event log
``engine``   DuckDB within bounds
``ingest``   segments of the event log into a table, whatever is in them
``seal``     closed segments and outcomes to parts, in batches that a crash cannot break
``merge``    many small parts to few large ones
``retain``   the oldest days first
``upkeep``   rounds of all that
``aside``    what could not be sealed, to be looked at
``durable``  the order of writing, syncing and renaming
``salts``    salts of runs, from the journal
``reading``  ``open_archive``: archive and live events together, as views of DuckDB

Mutable state: the folder itself; *per reader* one DuckDB connection with the files it holds open.
"""
