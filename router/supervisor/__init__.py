"""The process that holds what must outlive the others: sockets, counters, children.

``run``        the loop: boot, serve, drain, and what each signal does
``spec``       what to run, and the phases of a router's life
``posts``      the places that children hold, and who has left one
``children``   starting one child and judging whether it still lives
``restart``    how long to wait before a dead child is replaced, and when to give up (pure)
``rolling``    a planned restart: successors first, one at a time
``channel``    the conversation with the control process
``signals``    signals as bytes that a blocking wait sees
``limits``     as many open files as this user may have
``listeners``  the sockets that callers connect to, made once and kept

Rules: one thread, nothing heavy imported, no fork without exec, safe as PID 1. It never reads the configuration; the
control process tells it the four numbers that it needs.

Mutable state: *Per process* one ``Supervisor`` and its ``Child`` objects.
"""
