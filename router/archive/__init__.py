"""The event log at rest: sealed segments as Parquet, and one view over what is sealed and what is not."""
