"""The data plane: carries exchanges between callers and targets.

============= ==================================================================
worker        the process: listener, tick, signals, revisions in, heartbeat out
acceptor      takes connections from the listener, while descriptors last
server        what all connections of a worker share; accepts, swaps tables, drains
downstream    one caller connection: heads in, pipelining, deadlines, answers out
exchange      one request and its response: its state, and its ends
gather        its first phases: the request body, and the decision
picking       an endpoint of the target, a connection, and the request on its way
sending       what is sent of the request, and what of it is kept
receive       its last phases: the response
leaving       what an attempt held, given back
rescue        another way to an answer after a failed attempt
phase         what it can wait for
judge         what an attempt says about its endpoint
admit         whether a route's rate and a target's load let a request go on
gate          the slots of a target with a limit, and the queue for them
limiter       a route's rate
record        what it leaves behind: counters and an event
hedge         a second request when the first takes long
fanout        a request that goes to several targets, and one answer of theirs
member        one of those targets
answering     what a caller gets of their answers
fans          what a worker keeps over such requests: room, and which arms are left out
question      the key of what a request asks, and which answers may be given again
last_good     those answers, each worker's share of them
remember      from an exchange to them, and from them to another exchange
shadow        its copies to shadows: room, comparison, counters and an event
tally         what they count for a release that has no traffic yet
copy          one of them, on its way to a shadow and back
upstream      one connection to an endpoint
endpoint      one endpoint of a target: connections kept, names resolved
pool          the endpoints of a target, and the choice among them
heads         request heads: the ordinary ones in one pass
careful       request heads: all others, rule by rule
request_head  what a request head is once it is read
response_head the same for responses, and reading them
grammar       what both kinds of head share
framing       where a chunked body ends
bodies        bodies that come in pieces
deadlines     one coarse wheel for every time-out
problem       the router's own answers
============= ==================================================================
"""
