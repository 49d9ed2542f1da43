"""Guardrails: whether a new arm is worse than it may be, from counters, and how sure that is.

Pure; needs numpy at most. A map of the package:

- ``evidence``: what the shared counters say of the arms of a phase
- ``judge``: the verdicts of all guardrails that read counters, at one look
- ``rate``: a guardrail on a rate of events: pass, fail, inconclusive
- ``pace``: a guardrail on a quantile of times
- ``change``: a guardrail against control on a metric of the log
- ``latency``: e-values of quantiles from histograms, and slow exchanges as events
- ``obvious``: the fast path: that nothing answers
- ``compare``: e-values and bounds of a ratio of two rates, valid at any time
- ``track``: the sums that they are made of: blocks, marks
- ``limit``: margins against control
- ``shadowing``: what copies of requests say of a release that has no traffic yet
- ``offline``: what an offline check says of one
- ``share``: how alpha is shared
- ``forms``: guardrails that are no comparison of a metric with control, and which of the following judges them
- ``condition``, ``comparison``, ``grounds``, ``logged``: conditions and limits, such as ``error_rate > 5% for 5m``
- ``burn``: service-level objectives by burn rates; ``trend``: robust slopes
- ``stretch``, ``likelihood``: whether a share has been above a value for some time, at any look
- ``windows``: what was counted over any recent span; ``seen``: what forms are judged from
- ``memory``: what is remembered between looks
"""
