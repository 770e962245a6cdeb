"""Simulators with a known posterior."""

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.exact import grid_posterior
from hsc_pipeline.calibration.priors import Prior, sample
from hsc_pipeline.dynamics.rates import kendall_parameters, transition

# Linear: four statistics follow two parameters, two are noise, and one parameter moves none.
GAUSSIAN = {
    "a": Prior("normal", median=1, spread=2),
    "b": Prior("normal", median=0, spread=1),
    "idle": Prior("log_uniform", least=1, most=1000),
}
SLOPES = np.array([[1, 1], [1, 0.6], [0.8, 1], [0.3, 0.2]])
FOLLOWING = list("uvwx")

# Birth-death: the total of founders that divide at an unknown rate.
DIVISION = {"division": Prior("log_uniform", least=0.1, most=2)}
FOUNDERS, LOSS, YEARS = 12, 0.3, 2.0


def gaussian(theta: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    following = theta[["a", "b"]].to_numpy() @ SLOPES.T + rng.standard_normal((len(theta), len(SLOPES)))
    noise = rng.standard_normal((len(theta), 2))
    return pd.DataFrame(np.hstack([following, noise]), columns=[*FOLLOWING, "y", "z"])


def gaussian_posterior(stats: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Means, shape (rows, 2), and the covariance that all share."""
    before = np.diag([1 / 4, 1])
    covariance = np.linalg.inv(before + SLOPES.T @ SLOPES)
    return (stats[FOLLOWING].to_numpy() @ SLOPES + before @ [1, 0]) @ covariance, covariance


def gaussian_table(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    theta = sample(GAUSSIAN, n, seed)
    return theta, gaussian(theta, seed + 1000)


def births(theta: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    division = theta["division"].to_numpy()
    alpha, beta = kendall_parameters(division, np.full_like(division, LOSS), YEARS)
    _, total = transition(rng, np.full(len(theta), FOUNDERS), alpha, beta)
    return pd.DataFrame({"total": total.astype(float), "noise": rng.standard_normal(len(theta))})


def births_table(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    theta = sample(DIVISION, n, seed)
    return theta, births(theta, seed + 1000)


def births_posterior(total: int) -> pd.DataFrame:
    """The exact posterior on a grid of 400 rates."""
    grid = np.geomspace(0.1, 2, 400)
    return grid_posterior(
        birth_death_log_likelihood(total, FOUNDERS, grid, LOSS, YEARS), grid, DIVISION["division"]
    )


def birth_death_log_likelihood(
    total: int, founders: int, division: np.ndarray, loss: np.ndarray, years: float
) -> np.ndarray:
    """Return ln P(total) of a linear birth-death process.

    Of one founder the total is zero-modified geometric [1]_: zero with chance alpha, else one and a
    geometric number with ratio beta (`dynamics.rates.kendall_parameters`).  The founders with progeny are
    summed over.

    Parameters
    ----------
    total, founders : int
        Cells at the end and at the start.
    division, loss : array_like of float
        Per year and cell; broadcast.
    years : float

    Returns
    -------
    array of float

    References
    ----------
    .. [1] Kendall 1948, Ann Math Stat 19:1, 10.1214/aoms/1177730285
    """
    from scipy.special import logsumexp

    birth, death = np.broadcast_arrays(np.asarray(division, float), np.asarray(loss, float))
    alpha, beta = kendall_parameters(birth, death, years)
    with np.errstate(divide="ignore"):
        ln_alpha, ln_beta = np.log(alpha), np.log(beta)
    ln_one = np.log1p(-alpha) + np.log1p(-beta)
    if total == 0:
        return founders * ln_alpha
    j = np.arange(1, min(founders, total) + 1)
    ways = _ln_choose(founders, j) + _ln_choose(total - 1, j - 1)
    found = np.empty(ln_alpha.shape)
    for at in np.ndindex(found.shape):
        none = _times(founders - j, ln_alpha[at]) + _times(total - j, ln_beta[at])
        found[at] = logsumexp(ways + none + j * ln_one[at])
    return found


def _times(n: np.ndarray, ln: float) -> np.ndarray:
    """Return n ln, where none of an impossible is certain: 0 times minus infinity is 0."""
    return np.where(n == 0, 0.0, n * ln) if np.isfinite(ln) else np.where(n == 0, 0.0, -np.inf)


def _ln_choose(n: float, k: np.ndarray) -> np.ndarray:
    from scipy.special import gammaln

    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
