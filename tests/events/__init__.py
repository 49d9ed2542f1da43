"""What the event log and the journal promise."""
