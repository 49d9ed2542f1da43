"""Routes live traffic between model versions, measures what each does, and decides from evidence what happens next.

==========  =======================================================================================
cli         the command line: check, explain, serve, …
demo        real model servers, real traffic, the router between them
serve       composition root: builds the processes, joins them, drains them in order
supervisor  keeps sockets, shared counters and children alive; holds no policy
admin       the listener for operators: health, metrics, revisions
control     reads the configuration again when it changes, makes revisions, publishes them
proxy       the data plane: callers in, targets out
routing     which route, unit, arm and endpoint; pure
events      what happened, as one JSON object a line
config      what the YAML may say, and every mistake in it
counters    counts and histograms in shared memory
==========  =======================================================================================

Imports go downwards in this list only (``lint-imports`` checks it).
"""
