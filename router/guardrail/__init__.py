"""Guardrails: whether a new arm is worse than it may be, from counters, and how sure that is.

Pure; needs numpy at most. A map of the package:

- ``evidence``: what the shared counters say of the arms of a phase
"""
