"""Allocators: from what arms have earned to the weights they get next.

Pure: posteriors in, weights out, with a generator where a policy draws; ``router.control`` says when and publishes.

- ``earned``: what an allocator knows of each arm, as sums that merge and age
- ``posterior``: what these sums say of an arm's mean: Beta, Normal-Inverse-Gamma
- ``best``: the probability that an arm is the best, by quadrature
- ``allocator``: the seam, and the built-in allocators by name
- ``thompson``, ``confidence``, ``greedy``, ``elimination``: the allocators
- ``mix``: from an allocator's shares to weights: floor, control's share, arms that were stopped, warm-up
- ``ridge``: linear models of what arms earn in a context; linear Thompson sampling and LinUCB
- ``linear``: from observations with their attributes to the model that workers score
"""
