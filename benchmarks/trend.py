"""How often a trend is called where there is none, and found where there is one: ``python -m benchmarks.trend``.

Responsible for: series of windows whose neighbours are alike, looked at whenever a window is over, within one ``over``.
Does not know: counters; what is drawn here is what ``router.guardrail.trend`` makes a slope of.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from router.guardrail.trend import LOOKS, MOST, slope_of

ALIKE: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
SPREAD: Final = 0.05
"""Standard deviation of a window's value, as a share of its level."""
_SETTLED: Final = 50


def called(windows: int, alike: float, creep: float, margin: float, runs: int) -> float:
    """Return the share of series that are called a trend at one of the looks within one ``over``.

    Args:
        windows: Windows of a slope.
        alike: Correlation of neighbouring windows.
        creep: Change along ``over``, as a share of the level.
        margin: The change that is too much.
        runs: How many series.
    """
    generator = np.random.default_rng(11)
    length = 2 * windows - 1
    shocks = generator.normal(size=(runs, length + _SETTLED))
    values = shocks.copy()
    for step in range(1, length + _SETTLED):
        values[:, step] = alike * values[:, step - 1] + shocks[:, step]
    series = 1 + SPREAD * np.sqrt(1 - alike * alike) * values[:, _SETTLED:] + creep * np.arange(length) / windows
    return float(np.mean([_any(row, windows, margin) for row in series]))


def _any(row: np.ndarray, windows: int, margin: float) -> bool:
    looks = (slope_of(row[first : first + windows], 0.01 / LOOKS) for first in range(windows))
    return any(low > 0 and slope > margin for slope, low, _ in looks)


def main(runs: int = 1000, sizes: Sequence[int] = (LOOKS, MOST)) -> None:
    """Print the table."""
    print("windows  neighbours alike  called without a trend  with a margin of 10 %  20 % creep found")
    for windows in sizes:
        for alike in ALIKE:
            wrong = [called(windows, alike, 0.0, margin, runs) for margin in (0.0, 0.1)]
            found = called(windows, alike, 0.2, 0.1, runs // 4)
            print(f"{windows:7}  {alike:16}  {wrong[0]:22.1%}  {wrong[1]:21.1%}  {found:16.0%}", flush=True)


if __name__ == "__main__":
    main()
