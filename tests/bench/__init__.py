"""Tests of `router bench`."""
