"""Decides from data: attribution, aggregates, data quality. Pure: no files, no clock, no hidden randomness."""
