"""The control plane: decides which revision is served, and tells the workers.

=========  ==========================================================================================================
state      what a new configuration, a restore or a new certificate makes of the present revision, or why not (pure)
refuse     what may not change while the router runs, and what makes an experiment another one (pure)
changes    what differs between two configurations, one sentence each (pure)
watch      notices that the bytes of files have changed, whatever way they were saved
publish    a revision on its way to the workers, and their acknowledgements
loop       the control process's own tasks: start, reload, restore, watch, retention, heartbeat
address    why an address cannot be listened on; light, because the supervisor says it too
=========  ==========================================================================================================

Mutable state: *Per process* one ``Control``, one ``Watch``, one ``Publisher``.
"""
