"""From events to evidence: attribution, aggregates, data quality.

history     revisions of the journal to runs, phases and weights in force
plan        experiments and metrics to what is to be computed
attribute   exposures and outcomes to observations, and outcomes to the observations that they belong to (Ibis)
exchanges   what is measured on exchanges, by observation (Ibis)
measure     observations and their outcomes to one value for each metric (Ibis)
tabulate    values to sums by phase, arm and slice (Ibis); ``sums`` runs that, ``collect`` reads the rows
slots       sums of each slot of time of a switchback (Ibis)
credit      outcomes about items of interleaved lists to the ranker that they speak for
aggregates  those sums as frozen data that merges; ``sketch`` the distributions among them
fold        all of it in order, over an engine
rows        what became final in a span of time, an observation a row: what policies learn from
labelled    predictions with the labels that belong to them (Ibis)
quality     whether an experiment's data can be trusted: ``sample_ratio``, ``balance``, ``log_quality``, ``promotion``

Pure: no files, no clock, no hidden randomness. What is computed over events is written once in Ibis, and runs on DuckDB
here and on ClickHouse past one machine (``engine``).
"""
