"""Screening: which of many parameters an outcome follows at all, with one error rate for the whole table."""

from collections.abc import Sequence

import numpy as np

DEGREE = 2  # of the polynomial in one parameter: a rise, and a rise with a fall
FALSE_ALARMS = 0.05  # chance of any parameter resolved for any outcome where nothing matters
PERMUTATIONS = 999
LEVEL = 0.90


def basis(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal polynomials of each parameter, and how many it has.

    Returns
    -------
    numpy.ndarray
        Parameters x `DEGREE` x points, zero where a parameter has too few levels.
    numpy.ndarray of int
    """
    n, parameters = x.shape
    found, rank = np.zeros((parameters, DEGREE, n)), np.zeros(parameters, int)
    for i in range(parameters):
        rank[i] = min(DEGREE, len(np.unique(x[:, i])) - 1)
        if rank[i] > 0:
            centred = (x[:, i] - x[:, i].mean()) / np.ptp(x[:, i])
            columns = np.column_stack([centred**power for power in range(rank[i] + 1)])
            found[i, : rank[i]] = np.linalg.qr(columns)[0][:, 1:].T
    return found, rank


def r_squared(polynomials: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return R2 of each outcome on each parameter alone, parameters x outcomes."""
    centred = y - y.mean(axis=0)
    total = (centred**2).sum(axis=0)
    explained = np.einsum("pdn,nk->pdk", polynomials, centred, optimize=True)
    return (explained**2).sum(axis=1) / np.where(total > 0, total, np.inf)


def main_effects(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return R2 of each outcome on a polynomial of each parameter, adjusted to a mean of zero for noise."""
    polynomials, rank = basis(x)
    r2 = r_squared(polynomials, y)
    left = len(y) - 1 - rank[:, None]
    return 1 - (1 - r2) * (len(y) - 1) / np.maximum(left, 1)


def main_effect_intervals(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of the population's R2 of each, parameters x outcomes.

    The intervals of all parameters hold together at `LEVEL`: the largest of hundreds is no accident of
    one.  By inversion of the noncentral F law, whose noncentrality is n R2 / (1 - R2) [1]_.

    References
    ----------
    .. [1] Smithson 2001, Educ Psychol Meas 61:605, 10.1177/00131640121971392
    """
    from scipy.special import ncfdtrinc

    polynomials, rank = basis(x)
    r2, n = np.clip(r_squared(polynomials, y), 0, 1 - 1e-9), len(y)
    up = np.broadcast_to(np.maximum(rank, 1)[:, None], r2.shape).astype(float)
    down = n - 1 - up
    f = r2 / (1 - r2) * down / up
    ends = []
    beyond = (1 - LEVEL) / 2 / x.shape[1]
    for tail in (1 - beyond, beyond):
        moved = np.nan_to_num(np.maximum(0, ncfdtrinc(up, down, tail, np.maximum(f, 1e-9))))
        ends.append(moved / (moved + n))
    return ends[0], ends[1]


def resolved_main_effects(
    designs: Sequence[np.ndarray], outcomes: Sequence[np.ndarray], seed: int, rate: float
) -> list[np.ndarray]:
    """Tell which parameters have a main effect on which outcomes, over several arms at once.

    The points' outcomes are permuted together, in every arm alike, and each R2 is held against the
    best of the whole table [1]_: the least p among all parameters, outcomes and arms.

    Parameters
    ----------
    designs : sequence of numpy.ndarray
        Points x parameters of each arm; the points are the same.
    outcomes : sequence of numpy.ndarray
        Points x outcomes of each arm.
    seed : int
    rate : float
        Chance of any false one.

    Returns
    -------
    list of numpy.ndarray of bool
        Parameters x outcomes of each arm.

    References
    ----------
    .. [1] Westfall & Young 1993, Resampling-Based Multiple Testing, Wiley, chapter 2
    """
    n = len(designs[0])
    rng = np.random.default_rng([seed % 2**32, 3])
    parts = [basis(x) for x in designs]

    def log_p(order: np.ndarray) -> list[np.ndarray]:
        return [
            _log_p(r_squared(polynomials, y[order]), rank, n)
            for (polynomials, rank), y in zip(parts, outcomes, strict=True)
        ]

    observed = log_p(np.arange(n))
    least = np.array([min(p.min() for p in log_p(rng.permutation(n))) for _ in range(PERMUTATIONS)])
    limit = np.sort(least)[int(np.floor(rate * (PERMUTATIONS + 1))) - 1]
    return [p < limit for p in observed]


def _log_p(r2: np.ndarray, rank: np.ndarray, n: int) -> np.ndarray:
    """Return ln p of R2 under the F law of each parameter's degrees of freedom."""
    from scipy.special import betainc

    rest = np.clip(1 - r2, 1e-300, 1)
    found = np.zeros_like(r2)
    two, one = rank == 2, rank == 1
    found[two] = 0.5 * (n - 3) * np.log(rest[two])
    if one.any():
        found[one] = np.log(np.maximum(betainc(0.5 * (n - 2), 0.5, rest[one]), 1e-300))
    return found
