"""Tests of routing: assignment, sources, the table, decisions, explanations, balancers."""
