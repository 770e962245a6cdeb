"""Tests at the end of a trial, as the set of results that each of them calls significant.

A set of results needs no data: power, predictive probability and type I error are sums of binomial
probabilities over it, without Monte-Carlo error.
"""

from functools import lru_cache
from typing import Any

import numpy as np

TIES = 1e-7  # relative; tables as probable as the one seen count as extreme, as in scipy.stats.fisher_exact


@lru_cache(maxsize=512)
def significant(analysis: str, n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Return which numbers of patients who reach the endpoint are significant between two arms.

    Parameters
    ----------
    analysis : {"fisher", "boschloo", "barnard", "chi_square", "score"}
    n_arm, n_control : int
        Patients analysed.
    alpha : float
    sides : {1, 2}
        One side: the arm does better than the control.

    Returns
    -------
    numpy.ndarray of bool, shape (n_arm + 1, n_control + 1)
        By numbers of successes.  A trial without patients in an arm shows nothing.
    """
    if not n_arm or not n_control:
        return np.zeros((n_arm + 1, n_control + 1), bool)
    found = _MAKERS[analysis](n_arm, n_control, alpha, sides)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=4096)
def significant_against_share(n: int, share: float, alpha: float, sides: int) -> np.ndarray:
    """Return which numbers of successes of `n` patients differ from a fixed share.

    Exact binomial; two sides of alpha / 2 each, so that it agrees with the interval of Clopper and
    Pearson 1934, 10.1093/biomet/26.4.404.

    Returns
    -------
    numpy.ndarray of bool, shape (n + 1,)
    """
    from scipy.stats import binom

    k = np.arange(n + 1)
    found = binom.sf(k - 1, n, share) <= alpha / sides
    if sides == 2:
        found |= binom.cdf(k, n, share) <= alpha / 2
    found.flags.writeable = False
    return found


def _fisher(n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Fisher's exact test: hypergeometric given the total; two sides by probability."""
    from scipy.stats import hypergeom

    found = np.zeros((n_arm + 1, n_control + 1), bool)
    for total in range(n_arm + n_control + 1):
        x = np.arange(max(0, total - n_control), min(n_arm, total) + 1)
        pmf = hypergeom.pmf(x, n_arm + n_control, total, n_arm)
        if sides == 1:
            p = np.cumsum(pmf[::-1])[::-1]
        else:
            order = np.argsort(pmf, kind="stable")
            ascending = pmf[order]
            upto = np.searchsorted(ascending, pmf * (1 + TIES), side="right")
            p = np.cumsum(ascending)[upto - 1]
        found[x, total - x] = p <= alpha * (1 + TIES)
    return found


def _chi_square(n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    return _pooled(n_arm, n_control, alpha, sides, 1.0)


def _score(n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Score test with the variance of Miettinen & Nurminen 1985, 10.1002/sim.4780040211."""
    n = n_arm + n_control
    return _pooled(n_arm, n_control, alpha, sides, n / (n - 1))


def _pooled(n_arm: int, n_control: int, alpha: float, sides: int, widened: float) -> np.ndarray:
    """Normal test of two shares with the pooled variance, without correction for continuity."""
    from scipy.stats import norm

    arm, control = np.arange(n_arm + 1)[:, None], np.arange(n_control + 1)[None, :]
    pooled = (arm + control) / (n_arm + n_control)
    variance = pooled * (1 - pooled) * (1 / n_arm + 1 / n_control) * widened
    difference = arm / n_arm - control / n_control
    z = np.divide(difference, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)
    return (z if sides == 1 else np.abs(z)) >= norm.isf(alpha / sides)


def _boschloo(n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Boschloo 1970, 10.1111/j.1467-9574.1970.tb00104.x: Fisher's p made unconditional."""
    from scipy.stats import boschloo_exact

    return _stairs(boschloo_exact, n_arm, n_control, alpha, sides)


def _barnard(n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Barnard 1945, 10.1038/156177a0: the pooled normal statistic made unconditional."""
    from scipy.stats import barnard_exact

    return _stairs(barnard_exact, n_arm, n_control, alpha, sides)


def _stairs(test: Any, n_arm: int, n_control: int, alpha: float, sides: int) -> np.ndarray:
    """Tabulate an unconditional exact test along the border of its set of significant results.

    More successes of the arm, or fewer of the control, never lose significance (Barnard's convexity),
    so that one walk along the border finds it in `n_arm` + `n_control` tests.  Two sides are one side
    each at half the level, as scipy has them.
    """

    def better(n_x: int, n_y: int) -> np.ndarray:
        found, x = np.zeros((n_x + 1, n_y + 1), bool), 0
        for y in range(n_y + 1):
            while x <= n_x and not _is_significant(test, x, n_x, y, n_y, alpha / sides):
                x += 1
            found[x:, y] = True
        return found

    found = better(n_arm, n_control)
    return found if sides == 1 else found | better(n_control, n_arm).T


def _is_significant(test: Any, x: int, n_x: int, y: int, n_y: int, level: float) -> bool:
    if x * n_y <= y * n_x:  # no better than the other arm
        return False
    # The arm compared stands in the first column; scipy's "greater" is about the first column.
    return test([[x, y], [n_x - x, n_y - y]], alternative="greater").pvalue <= level


_MAKERS = {
    "fisher": _fisher,
    "boschloo": _boschloo,
    "barnard": _barnard,
    "chi_square": _chi_square,
    "score": _score,
}


def log_rank_rejects(
    months: np.ndarray, reached: np.ndarray, in_arm: np.ndarray, alpha: float, sides: int
) -> bool:
    """Return whether the log-rank test tells the arm from the control.

    Parameters
    ----------
    months : numpy.ndarray of float, shape (n,)
        Until the endpoint or the end of follow-up.
    reached, in_arm : numpy.ndarray of bool, shape (n,)
    alpha, sides
        One side: the arm reaches it earlier.
    """
    from statsmodels.duration.survfunc import survdiff

    if reached.sum() == 0 or in_arm.all() or not in_arm.any():
        return False
    p = survdiff(months, reached, in_arm.astype(int))[1]
    if not np.isfinite(p):
        return False
    if sides == 2:
        return bool(p <= alpha)
    return bool(p / 2 <= alpha and reached[in_arm].mean() > reached[~in_arm].mean())
