"""The control plane: decides which revision is served, and tells the workers.

=========  ==========================================================================================================
state      what a new configuration, a restore or a new certificate makes of the present revision, or why not (pure)
refuse     what may not change while the router runs, and what makes an experiment another one (pure)
watch      notices that the bytes of files have changed, whatever way they were saved
publish    a revision on its way to the workers, and their acknowledgements
loop       the control process's own tasks: start, reload, restore, watch, retention, heartbeat
probe      whom to ask for readiness and when, and telling the workers
ask        one such question over HTTP
notice     saying in the log when an endpoint is left alone, and when it is back
terms      what the control process and the supervisor say to each other; light, for the same reason
address    why an address cannot be listened on; light, because the supervisor imports it
=========  ==========================================================================================================

Mutable state: *Per process* one ``Control``, one ``Watch``, one ``Publisher``.
"""
