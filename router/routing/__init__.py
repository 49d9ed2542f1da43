"""Which route a request takes, which arm its unit gets, which endpoint serves: pure functions of data.

==========  =====================================================================================================
bucket      units to numbers: the hash of an arm, the choice of an arm, points and buckets (``hash_version`` 1)
request     what routing sees of a request, and its body read as JSON when somebody asks
source      ``header:``, ``cookie:``, ``query:``, ``json:``, ``jwt:``, ``client_ip``, ``request`` → the text of a unit
path        the one spelling of a path that routes are matched against, or that there is none
match       the conditions of one route, and runs of routes that differ in one value
sites       which region's and cluster's plan of a route decides about a request
table       a revision compiled: ``compile_table``, ``Table.find``
decide      ``RoutePlan.decide``: unit, arm, target, and everything about them that was known at compile
targeting   who is eligible for an experiment: its rule, together with what it asks for
facts       what a rule can ask about a request, read when it asks
jwt         tokens that callers bring: from a field to claims, or why there are none
bots        which user agents are crawlers and other machines
steps       what answers when the chosen target cannot: the steps of a route's fallback, rules included
logic       JSONLogic: rules as data, compiled to functions of data
operators   what those operators of JSONLogic give that are functions of their arguments' values
loops       its operators that look at the items of a list, or at what is missing
node        the parts that a compiled rule consists of
flagd       the operators of rules that only flagd has: ``fractional`` and ``sem_ver``
lookup      paths of keys and indices into the data of a rule
coerce      truth, numbers, text, equality and order of values in rules, as flagd's engine has them
linear      policies that give each request weights of its own, by its attributes; the only place with numpy
sample      which requests shadows get a copy of
fanout      experiments that send a request to several arms, and what their answers come to
interleave  two ranked lists as one: team draft, balanced
ensemble    several values as one: mean, median, vote
answer      lists and values in the body of an answer, and another one in their place
compare     whether a shadow's answer is that of the primary
explain     the same answers, step by step and in words
rate        token buckets that several workers share
admission   whether a target takes one more exchange now, later, or not at all
degrade     what gives way at which load of a target
balance     an endpoint among those that are usable
breaker     when an endpoint that fails gets no requests, and how it comes back; agreed on by all workers
window      what happened lately, from counts that only grow
readiness   whether an endpoint says that it is ready
standing    both together: whether an endpoint may be used, and for what share of its requests
==========  =====================================================================================================

Nothing here reads a clock, a file, a socket or a generator of its own; a ``random`` is passed in where one is needed.

Mutable state: *Per process* the credits of a round-robin ``Balancer``; *Per table* the decisions it has ``Kept`` and
the shares that a ``LinearPolicy`` has; *Per request* ``Request`` (its parsed body).
"""
