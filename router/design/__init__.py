"""Before an experiment: how many units, how long, which boundaries.

variance     how much a proportion, a mean or a ratio varies
question     what a design is for: test, arms, clusters, covariate, looks
size         sample size, power and the smallest effect that is found
duration     how long units take to come

Boundaries are in ``router.inference``: they are needed during an experiment as well. Pure; ``router plan`` shows what
these return. ``docs/statistics.md`` has formulas and sources.
"""
