"""How well intervals hold what was published: ranks, coverage, and what coverage the model itself expects."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, rankdata


class Rank(NamedTuple):
    """Where an observed value stands among simulated ones, from 0 to 1: an interval, for ties."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Probability integral transform, ties split evenly."""
        return (self.low + self.high) / 2


def rank(observed: float, simulated: np.ndarray) -> Rank:
    """Return where a value stands; if it is one more draw of the same law its place is uniform."""
    held = np.asarray(simulated, float)
    held = held[np.isfinite(held)]
    below, ties = int((held < observed).sum()), int((held == observed).sum())
    return Rank(below / (len(held) + 1), (below + ties + 1) / (len(held) + 1))


def inside(low: np.ndarray | float, high: np.ndarray | float, level: float) -> np.ndarray:
    """Return how much of a rank lies in the central interval of a level: 0, 1, or in between where it is cut.

    The mean of it over draws of the same law is the level, ties or not (Czado 2009,
    10.1111/j.1541-0420.2009.01191.x).
    """
    least, most = (1 - level) / 2, (1 + level) / 2
    overlap = np.minimum(high, most) - np.maximum(low, least)
    return np.clip(overlap, 0, None) / (np.asarray(high) - low)


def out_of_reach(place: Rank, simulations: int) -> bool:
    """Whether no simulation reaches a value."""
    end = 1 / (simulations + 1)
    return place.high <= end + 1e-12 or place.low >= 1 - end - 1e-12


def ranks_of_worlds(simulated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks of each world among the others.

    Parameters
    ----------
    simulated : array of float, shape (rows, worlds)
        NaN where a world has no value.

    Returns
    -------
    low, high : array of float, shape (rows, worlds)
    """
    low, high = np.full(simulated.shape, np.nan), np.full(simulated.shape, np.nan)
    for row, values in enumerate(simulated):
        held = np.isfinite(values)
        n = int(held.sum())
        if n:
            low[row, held] = (rankdata(values[held], "min") - 1) / n
            high[row, held] = rankdata(values[held], "max") / n
    return low, high


def by_unit(each: np.ndarray, units: list) -> np.ndarray:
    """Return the mean of the rows of each unit; NaN are left out.

    Parameters
    ----------
    each : array of float, shape (rows, ...)
    units : list
        To which unit each row belongs.
    """
    names = list(dict.fromkeys(units))
    of = np.array([names.index(unit) for unit in units])
    return np.array([_mean(each[of == number]) for number in range(len(names))])


def _mean(values: np.ndarray) -> np.ndarray:
    held = np.isfinite(values)
    return np.where(held, values, 0).sum(axis=0) / np.maximum(held.sum(axis=0), 1)


@dataclass(frozen=True)
class Coverage:
    """How many units lie in their intervals of one level.

    Attributes
    ----------
    level : float
    units : int
    share : float
        Of the units, inside.
    expected : (float, float)
        Where the model itself puts the share.
    worth : float
        Independent rows whose binomial spread is as wide as the model's.
    binomial : (float, float)
        90 % interval of the share from so many independent rows, Clopper and Pearson.
    """

    level: float
    units: int
    share: float
    expected: tuple[float, float]
    worth: float
    binomial: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Met, too narrow or too wide."""
        if self.share < self.expected[0] - 1e-9:
            return "too narrow"
        return "too wide" if self.share > self.expected[1] + 1e-9 else "met"


def coverage(
    ranks: list[Rank], simulated: np.ndarray, units: list, level: float, chance: float = 0.9
) -> Coverage:
    """Return the coverage of observed values, beside what it is in worlds that are taken for the truth.

    Rows of a unit share one count.  Units are not independent either: they share patients and values.
    So the spread is not binomial; it is that over the worlds.

    Parameters
    ----------
    ranks : list of Rank
        Of the observed values.
    simulated : array of float, shape (rows, worlds)
    units : list
        To which unit each row belongs.
    level, chance : float
        Of the intervals; of the worlds whose coverage is expected.
    """
    observed = inside(np.array([r.low for r in ranks]), np.array([r.high for r in ranks]), level)
    share = float(by_unit(observed, units).mean())
    in_worlds = by_unit(inside(*ranks_of_worlds(simulated), level), units).mean(axis=0)
    expected = np.quantile(in_worlds, [(1 - chance) / 2, (1 + chance) / 2])
    spread = float(np.var(in_worlds, ddof=1))
    n = len(set(units))
    worth = float(np.clip(level * (1 - level) / spread, 1, n)) if spread else float(n)
    return Coverage(
        level, n, share, tuple(map(float, expected)), worth, clopper_pearson(share, worth, chance)
    )


def clopper_pearson(share: float, n: float, chance: float) -> tuple[float, float]:
    """Return the interval of a share of `n` rows, which need not be whole numbers."""
    k, tail = share * n, (1 - chance) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return low, high
