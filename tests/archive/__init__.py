"""What the event log at rest promises."""
