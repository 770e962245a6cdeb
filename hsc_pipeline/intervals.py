"""Intervals of shares, medians and differences: closed forms, so that a report needs no random numbers.

All span the Monte-Carlo error between virtual patients at `LEVEL`, and nothing else.
"""

from collections.abc import Sequence
from math import isnan, nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

LEVEL = 0.90
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Estimate(NamedTuple):
    """A number with its interval; NaN where too few patients allow none."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Estimate":
        """Return the estimate in another unit."""
        return Estimate(*(factor * part for part in self))


def wilson(successes: int, n: int) -> Estimate:
    """Return a share with its score interval, Wilson 1927, 10.1080/01621459.1927.10502953."""
    share, shrink = successes / n, 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / shrink
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / shrink
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


def median_interval(values: Sequence[float]) -> Estimate:
    """Return a median with the interval of the sign test: two order statistics, whatever the law.

    No two of fewer than five values cover 90 %; then there is no interval.
    """
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    if n == 0:
        return Estimate(nan, nan, nan)
    # Fewer than `rank` of n values lie below the median with probability under (1 - LEVEL) / 2.
    rank = int(binom.ppf((1 - LEVEL) / 2, n, 0.5))
    if rank == 0:
        return Estimate(float(np.median(ordered)), nan, nan)
    return Estimate(float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[n - rank]))


def paired_share_difference(reference: Sequence[bool], other: Sequence[bool]) -> Estimate:
    """Return the difference of two shares of the same patients, `other` minus `reference`.

    The adjusted Wald interval of Bonett & Price 2012, 10.3102/1076998611411915: one imaginary
    patient is added to each kind of discordant pair, so that it has a width without any.
    """
    reference, other = np.asarray(reference, bool), np.asarray(other, bool)
    n = len(reference)
    gained, lost = int(np.sum(other & ~reference)), int(np.sum(reference & ~other))
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = Z * sqrt((up + down - (up - down) ** 2) / (n + 2))
    return Estimate((gained - lost) / n, max(-1.0, up - down - half), min(1.0, up - down + half))


def independent_difference(reference: Estimate, other: Estimate) -> Estimate:
    """Return `other` minus `reference` of different patients, from the interval of each.

    Square-and-add, Newcombe 1998, 10.1002/(sici)1097-0258(19980430)17:8<873::aid-sim779>3.0.co;2-i,
    for medians after Zou & Donner 2008, 10.1002/sim.3095.
    """
    value = other.value - reference.value
    if any(isnan(part) for part in (*reference, *other)):
        return Estimate(value, nan, nan)
    below = sqrt((other.value - other.low) ** 2 + (reference.high - reference.value) ** 2)
    above = sqrt((other.high - other.value) ** 2 + (reference.value - reference.low) ** 2)
    return Estimate(value, value - below, value + above)
