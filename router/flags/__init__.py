"""Feature flags in the format of flagd, evaluated by its own core."""
