"""Sealing, merging, retention, reading and sinks of the event log."""
