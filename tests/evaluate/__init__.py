"""Offline checks of a target on recorded requests."""
