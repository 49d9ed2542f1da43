"""The control plane: decides which revision is served, and tells the workers.

=========  ==========================================================================================================
state      what a new configuration, a restore or a new certificate makes of the present revision, or why not (pure)
switch     what killing and resuming an experiment make of it (pure)
kill       the weights under kills, which kills a configuration keeps, and an experiment's tag (pure)
phases     which run and phase an experiment is in after a change (pure)
refuse     what may not change while the router runs, and what makes an experiment another one (pure)
edits      which values a change of the files changed, from which file and line, and whose file that is (pure)
watch      notices that the bytes of files have changed, whatever way they were saved
publish    a revision on its way to the workers, and their acknowledgements
decisions  the decision log, off the loop, with an alarm instead of an error
notices    who is told what, once, over restarts
outbox     what waits for one notifier: tries, pauses, giving up
deliver    one try to deliver a notification: a request, or a program
postmortems  writes a report when a release was taken back
ledger     the journal, in order and off the loop, with an alarm instead of an error
private    files that workers read for themselves: certificates and signing keys
seat       what goes in and out of the loop, as frozen data
loop       the control process's own tasks: start, restore, kill, one change at a time
intake     the way of configuration into the process: when it is read, what was refused
upkeep     what is done all the time: heartbeat, run directory, readiness
probe      whom to ask for readiness and when, and telling the workers
ask        one such question over HTTP
evidence   what the shared counters say of a release, for its guardrails
notice     saying in the log when an endpoint is left alone, and when it is back
allocated  which weights of bandits other changes keep (pure)
tick       what a tick of the bandits makes of the present revision (pure)
ticker     when bandits tick, and what is known of them
allot      one tick: from the event log to what allocators say
driver     drives releases: looks at them, and carries out what is decided
releases   has decisions about releases, and kills, come into force: traffic first, then what follows
aftermath  what follows from a decision once traffic was moved
sense      what the shared counters say of releases
rehearse   what a release shows before it has traffic: copies of requests, counted, and its offline check
errand     offline checks: a process of their own, or a file
observe    what the event log says of them
pre_post   what failed before a switch and after it
readiness_now  how the endpoints of a release stand, and what a target still works on
trials     when smoke tests run, and what they said last
smoke      one round of them over HTTP
switched   how long a switch took: acknowledged, drained
drill      the revisions of a drill (pure)
drilling   holding one: its order and its clock
trusted    whether a version served before, and may skip stages (pure)
checkpoint a small file that something is kept in over restarts
clocks     how long their steps have lasted, also over restarts
streams    watching: when streams are looked at, and what follows from anomalies
watching   the watched streams: points when they are due, what each has learned, one round of looking
subjects   what is watched: each entry of ``watch`` on each arm or target (pure)
detecting  from an entry of ``watch`` to a detector at work
reckon     points from the shared counters
sampled    values of sampled bodies, from the event log
scored     points from labels, from the archive
scrape     gauges that targets say of themselves
anomaly    what an anomaly is told as (pure)
steer      what a decision about a release makes of the present revision (pure)
produce    the seam between a tick and what learns
learn      what a bandit that needs no features learns from the log
beside     work in a thread of low priority
terms      what the control process and the supervisor say to each other; light, for the same reason
address    why an address cannot be listened on; light, because the supervisor imports it
=========  ==========================================================================================================

Mutable state: *Per process* one ``Control``, one ``Intake`` with its ``Watch``, one ``Publisher``, one ``Ledger``, one
``Ticker``, one ``Driver`` with its ``Clocks``, ``Senses`` and ``Trials``, one ``Releases``, one ``Upkeep``, one
``Drills``, one ``Switched``, one ``Streams`` with its ``Watching``.
"""
