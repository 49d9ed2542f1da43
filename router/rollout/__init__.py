"""Releases: what happens next to a staged rollout, a blue-green switch or a rolling replacement.

Pure: state, what was observed and the time in; state and effects out. A map of the package:

- ``effect``: what a decision asks of the world
- ``observed``: what a decision is made from
"""
