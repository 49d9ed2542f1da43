"""`router bench URL`: load at a given rate, and how long answers take, for users' own deployments.

- ``command``    what the command line calls: ``bench(url, options) -> exit status``
- ``plan``       what is asked for, checked, as frozen data; the bytes of the requests
- ``schedule``   when each request is meant to be sent, and what is due now (pure)
- ``tally``      latencies and failures, counted as they come (pure)
- ``generator``  the connections and the loop that sends what is due
- ``connection`` one HTTP/1.1 connection as a client
- ``ticks``      a timer finer than the event loop's
- ``report``     the result as a table, a histogram in text, and JSON
- ``plot``       the result as a drawing

The load is an open loop: requests are sent when the schedule says, not when earlier ones were answered, and latency
counts from the moment a request was *meant* to be sent. A server that stalls for a second so shows a second of slow
answers, as its callers would feel it, and not one slow answer (Gil Tene's "coordinated omission").
"""
