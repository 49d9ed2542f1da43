"""Whole releases on a simulated clock: ``python -m benchmarks.rollouts [--seeds N] [--only NAME] [--json FILE]``.

Nothing here is a measurement of speed. The same generated traffic is decided about by this router's own deciding code
and by two other systems' documented loops. A map of the package:

- ``traffic``     users, and the requests that they make
- ``versions``    what a version of a model makes of a request
- ``scenarios``   what happens to a new version, and what ought to follow
- ``replay``      one release of one scenario under one controller
- ``router``      this router: ``router.rollout`` and ``router.guardrail`` as they are
- ``recipes``     the releases that it is told to make, as configuration text
- ``flagger``     Flagger's loop
- ``argo``        Argo Rollouts' loop
- ``run``         the controllers by name
- ``kept``        endings in a file, so that a long run can go on
- ``table``       what came of many seeds
- ``goals``       what is promised, and whether it is kept
"""
