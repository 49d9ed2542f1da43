"""Off-policy evaluation: what another way of choosing would have earned on logged traffic.

Pure over logged decisions with their true propensities; ``router replay --policy`` shows what it returns.

- ``log``: logged decisions, as columns
- ``propensity``: what proves that logged propensities are not true
- ``context``: attributes as features
- ``target``: policies that do not learn: weights, one arm, a rule
- ``learner``: running policies that learn over a log: ``progressive`` and ``rejection``
- ``arms``, ``linear``: allocators, linear Thompson sampling and LinUCB as such policies
- ``spec``: how policies are written down
- ``overlap``: importance weights, effective sample size
- ``reward_model``: what an arm would earn in a context
- ``value``: IPS, clipped IPS, SNIPS, direct method, doubly robust, switch
- ``advice``: which estimate to believe, if any
- ``evaluate``: all of it, in order
"""
