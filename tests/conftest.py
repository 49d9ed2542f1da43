"""Settings of Hypothesis for all tests."""

import os

from hypothesis import settings

# A deadline for each example would be a timed assertion, and fail on a busy machine.
settings.register_profile("untimed", deadline=None)
# `make fuzz`: the tests marked `fuzz` with many more examples, none of them from earlier runs.
settings.register_profile("fuzz", deadline=None, max_examples=300, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
