"""Chaos: whole routers as processes under steady load, while something is killed, full, flapping or exhausted."""
