"""Tests of ``router.cli`` and ``router.command``."""
