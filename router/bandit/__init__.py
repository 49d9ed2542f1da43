"""Allocators: from what arms have earned to the weights they get next.

Pure: posteriors in, weights out, with a generator where a policy draws; ``router.control`` says when and publishes.
"""
