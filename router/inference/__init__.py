"""Statistics over aggregates: effects with intervals, and tests that say what they are valid for.

effect         what every method returns: an effect, or that there is not enough data

Pure: sums in, frozen data out; whoever needs random numbers is given a generator. What scipy and statsmodels do is left
to them. ``docs/statistics.md`` has each method's formula, assumptions and source.
"""
