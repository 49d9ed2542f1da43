"""Releases: what happens next to a staged rollout, a blue-green switch or a rolling replacement.

Pure: state, what was observed and the time in; state and effects out. A map of the package:

- ``machine``: begin, step and act of whatever drives a release
- ``ladder``: a staged rollout, step by step
- ``rung``: its steps as one list
- ``blue_green``: everybody at once, and back at once
- ``rolling``: endpoint by endpoint; ``batches``: which are in use after each batch
- ``coming``: which endpoints get traffic next, and are tested first
- ``fitness``: whether a side can serve, by its endpoints
- ``hold``: what keeps a release from its next step
- ``risk``: what a release may cost
- ``times``: how long a staged rollout takes
- ``stand``: staying where it is, for a reason, for a person, or paused
- ``soft``: soft guardrails and trials: told once, and nothing else
- ``clock``: how long a step has lasted, in time that counts
- ``retreat``: the way back, and when there is none
- ``turn``: the shape of a decision, and its line in the decision log
- ``effect``: what a decision asks of the world
- ``observed``: what a decision is made from
"""
