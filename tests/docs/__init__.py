"""The documentation is under test."""
