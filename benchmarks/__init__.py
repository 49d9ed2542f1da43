"""Benchmarks of the router against nginx, HAProxy and Envoy; `make bench` runs them, no test asserts them.

- ``run``        the whole benchmark: every case in turn, ``RESULTS.md`` and the plots at the end
- ``quick``      one number in a minute: CPU time per request of any proxy, beside the peers
- ``peers``      installing nginx, HAProxy, wrk and Envoy where they are missing
- ``configs``    what each proxy is told to do, as configuration text
- ``process``    starting programs on one core, their CPU time and memory, ending them by pid
- ``load``       closed-loop load by wrk
- ``error_budget``  no speed at all: how often statistical methods are wrong; its parts are ``budget_*``
- ``rollouts``   no speed either: whole releases on a simulated clock, beside Flagger and Argo Rollouts
"""
