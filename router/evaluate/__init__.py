"""Offline checks: recorded requests with labels, sent to a target before it has any traffic.

recording    a file of recorded requests, line by line
ask          one request and its answer, whatever the target does
run          all requests, a bounded number at once, and what is kept of each answer
answers      from an answer to a prediction, confidences, and whether it agrees
sides        what is known of a target's answers, as columns
statistics   the numbers of a side: shares, means, F1, quantiles, calibration
intervals    intervals of them: Wilson, t, order statistics, bootstrap over units
measure      all numbers of a side, and those of target and baseline, request by request
requirement  verdicts on requirements, by intervals
child        a check in a process of its own, for a release

Requests are sent as they were recorded, POSTs included, and marked as copies are. Nothing here knows a running router.
"""
