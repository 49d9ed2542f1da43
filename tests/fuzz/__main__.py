"""Run the tests that draw their input, with many examples, one seed after another: `make fuzz`.

Responsible for: seeds, time, and saying how to see a failure again.
Does not know: what is tested; it runs whatever is marked `fuzz`.

Rules: a pass is begun only while there is time left, and has a bounded number of examples. The seed of each pass is
said before it begins. The first failure ends the run.
"""

import argparse
import os
import subprocess
import sys
import time
from random import SystemRandom

LONGEST_TEST_S = 600


def main() -> int:
    """Run passes until the time is over; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=main.__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="begin no further pass after this time (default 60)"
    )
    parser.add_argument("--seed", type=int, help="run one pass with this seed, as a failed run has said it")
    options = parser.parse_args()
    begun = time.monotonic()
    passes = 0
    while not passes or (options.seed is None and time.monotonic() - begun < options.seconds):
        seed = SystemRandom().getrandbits(32) if options.seed is None else options.seed
        print(f"fuzz: {time.monotonic() - begun:.0f} s, pass {passes + 1}, seed {seed}", flush=True)
        if _pass(seed):
            print(f"fuzz: failed; see it again with: make fuzz SEED={seed}")
            return 1
        passes += 1
    print(f"fuzz: {passes} passes in {time.monotonic() - begun:.0f} s, no failure")
    return 0


def _pass(seed: int) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "fuzz", f"--timeout={LONGEST_TEST_S}"]
    # The same seed for pytest-randomly: the order of the tests comes again, too.
    command += [f"--hypothesis-seed={seed}", "-p", "randomly", f"--randomly-seed={seed}", "tests"]
    return subprocess.run(command, env={**os.environ, "HYPOTHESIS_PROFILE": "fuzz"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
