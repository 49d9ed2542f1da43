"""The data plane: carries exchanges between callers and targets.

========== =====================================================================
worker     the process: listener, tick, signals, revisions in, heartbeat out
server     what all connections of a worker share; accepts, swaps tables, drains
downstream one caller connection: heads in, pipelining, deadlines, answers out
exchange   one request and its response, phase by phase
attempt    the try at one endpoint: connection, request out, response in
upstream   one connection to an endpoint
pool       endpoints of a target: connections, names, balancing
heads      request and response heads: parse, refuse, rewrite
framing    where a body ends: length, chunks, close
deadlines  one coarse wheel for every time-out
problem    the router's own answers
========== =====================================================================
"""
