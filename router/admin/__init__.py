"""The listener for operators, and the process that it lives in.

process     the control process: built, joined to the supervisor, ended
guard       who may talk to the admin API: token, Host, Origin, body cap
api         the routes and what each answers
asking      who asks for a change, why, and on the ground of what they saw
changes     kill and resume, and what people ask of a release
index       the first page, and where a release is on an experiment's page
endpoints   breaker, health and load of each endpoint, from the shared counters
views       revisions, configuration, targets and experiments as JSON (pure)
bandits     what bandits have learned, as JSON and as Prometheus families
release     where releases are, as JSON (pure)
openapi     the OpenAPI document of those routes
ofrep       OFREP: flags for other programs, one and all
driven      flags whose value an experiment gives, for a context
stream      OFREP's change stream
incidents   post-mortem reports
events      the event stream: decisions and revisions as they come
sse         server-sent events, whatever they say
releases    what was decided about releases
watched     what is watched, as JSON and as Prometheus families
metrics     the shared counters as Prometheus families

Mutable state: *Per process* one application, one ``Control`` (``router.control.loop``).
"""
