"""Before an experiment: how many units, how long, which boundaries.

Pure; ``router plan`` shows what it returns.
"""
