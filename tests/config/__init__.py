"""Tests of ``router.config``."""
