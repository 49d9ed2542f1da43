"""Off-policy evaluation: what another way of choosing would have earned on logged traffic.

Pure over logged decisions with their true propensities; ``router replay --policy`` shows what it returns.
"""
