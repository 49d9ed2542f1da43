"""From what is known of an experiment to what is said of it: effects, checks, a decision with its reason.

Pure; shown by ``router analyze``, ``GET /v1/experiments/NAME/report`` and a page.
"""
