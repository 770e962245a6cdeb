"""Likelihoods that are known exactly: posteriors on a grid, and weights for draws of other fits.

Where a likelihood is known, its statistics need no simulation: their posterior is computed on a grid, or
draws of a fit to all other statistics are weighed by it and drawn anew.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.infer import spread_over
from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.dynamics.rates import kendall_parameters
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.coalescence import FOUNDERS, MARROWS, log_likelihood

LEAST_EFFECTIVE = 50  # independent draws that weights must leave
MOST_TERMS = 100_000  # of the sum over founders with progeny


def grid_posterior(ln_likelihood: np.ndarray, grid: np.ndarray, prior: Prior | None = None) -> pd.DataFrame:
    """Return the posterior of one parameter on a grid.

    Parameters
    ----------
    ln_likelihood : array of float, shape (values,)
    grid : array of float, shape (values,)
        Ascending.
    prior : Prior, optional
        Each value stands for its cell, up to halfway to its neighbours (on the logarithm for a logarithmic
        prior); None is flat over the values of the grid.

    Returns
    -------
    pandas.DataFrame
        ``value`` and ``probability``, which sums to 1.

    Raises
    ------
    UserError
        If no value is both possible under the prior and compatible with the data.
    """
    grid = np.asarray(grid, float)
    weight = np.ones(len(grid)) if prior is None else _cells(grid, prior)
    ln = np.asarray(ln_likelihood, float)
    possible = (weight > 0) & np.isfinite(ln)
    if not possible.any():
        raise UserError(
            f"prior: no value from {grid[0]:g} to {grid[-1]:g} is compatible with the data; allowed: a prior "
            "with mass where they are possible"
        )
    weight = np.where(possible, weight * np.exp(np.where(possible, ln, 0) - ln[possible].max()), 0)
    return pd.DataFrame({"value": grid, "probability": weight / weight.sum()})


def _cells(grid: np.ndarray, prior: Prior) -> np.ndarray:
    at = np.log(grid) if prior.logarithmic else grid
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[at[0] - (middle[0] - at[0])], middle, [at[-1] + (at[-1] - middle[-1])]])
    return np.diff(prior.cdf(np.exp(edges) if prior.logarithmic else edges))


def grid_quantile(posterior: pd.DataFrame, level: float) -> float:
    """Return the least value at which the cumulative probability reaches `level`."""
    running = np.cumsum(posterior["probability"].to_numpy())
    at = min(np.searchsorted(running, level), len(running) - 1)
    return float(posterior["value"].to_numpy()[at])


def founders_log_likelihood(
    colonies: int, coalescences: int, founders: np.ndarray, marrows: np.ndarray = MARROWS
) -> np.ndarray:
    """Return ln P(coalescences | founders), the mean over sizes of the regrown marrow.

    Parameters
    ----------
    colonies, coalescences : int
        Of single cells, and of their phylogeny since the graft.
    founders : array_like of float
        Rounded to whole ones.
    marrows : array_like of float, optional
        As likely as one another.

    Returns
    -------
    array of float, shape of `founders`

    Raises
    ------
    UserError
        If the colonies cannot have so many coalescences.

    See Also
    --------
    hsc_pipeline.tracking.coalescence.log_likelihood
    """
    from scipy.special import logsumexp

    if colonies < 2 or not 0 <= coalescences < colonies:
        raise UserError(
            f"coalescences: {coalescences} among {colonies} colonies; allowed: from 0 to one less than the "
            "colonies, of two or more colonies"
        )
    rows = np.round(np.asarray(founders, float))[..., None]
    with np.errstate(divide="ignore"):
        ln = log_likelihood(colonies, coalescences, rows, np.asarray(marrows, float))
        return logsumexp(ln, axis=-1) - np.log(len(marrows))


def founders_posterior(
    colonies: int, coalescences: int, prior: Prior | None = None, grid: np.ndarray = FOUNDERS
) -> pd.DataFrame:
    """Return the posterior of the number of engrafted stem cells from coalescences, see `grid_posterior`."""
    return grid_posterior(founders_log_likelihood(colonies, coalescences, grid), grid, prior)


def captures_log_likelihood(
    caught: np.ndarray, seen: int, population: np.ndarray, efficiency: np.ndarray | None = None
) -> np.ndarray:
    """Return ln P(capture histories) of a closed population, but for what does not depend on its size.

    With N clones, u of them ever caught, and n_t at occasion t with chance p_t,
    L = N! / (N - u)! prod_t p_t^n_t (1 - p_t)^(N - n_t), model Mt of Otis et al. 1978 (Wildlife Monographs
    62).  Unknown p_t, flat from 0 to 1, are integrated out: each factor is B(n_t + 1, N - n_t + 1).

    Parameters
    ----------
    caught : array of int, shape (occasions,)
        Clones caught at each.
    seen : int
        Clones caught at any.
    population : array_like of float
        N; rounded to whole clones.
    efficiency : array_like of float, shape (..., occasions) or (..., 1), optional
        Chance that a clone is caught at each occasion; the other axes are those of `population`.

    Returns
    -------
    array of float, shape of `population`
        Minus infinity where the population is smaller than the clones seen.

    Raises
    ------
    UserError
        If fewer clones were seen in all than at one occasion, or more than at all occasions.
    """
    from scipy.special import betaln, gammaln, xlog1py, xlogy

    caught = np.asarray(caught, float)
    if not caught.max() <= seen <= caught.sum():
        raise UserError(
            f"captures: {seen} clones seen in all, {', '.join(f'{n:g}' for n in caught)} by occasion; "
            "allowed: no fewer than at one occasion, no more than at all together"
        )
    size = np.round(np.asarray(population, float))
    held = np.maximum(size, seen)
    each = held[..., None]
    if efficiency is None:
        chances = betaln(caught + 1, each - caught + 1)
    else:
        p = np.asarray(efficiency, float)
        chances = xlogy(caught, p) + xlog1py(each - caught, -p)
    value = gammaln(held + 1) - gammaln(held - seen + 1) + chances.sum(axis=-1)
    return np.where(size >= seen, value, -np.inf)


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

    Raises
    ------
    UserError
        If cells are negative, or so many that the sum has more than `MOST_TERMS` terms.

    References
    ----------
    .. [1] Kendall 1948, Ann Math Stat 19:1, 10.1214/aoms/1177730285
    """
    from scipy.special import logsumexp

    if total < 0 or founders < 1 or min(total, founders) > MOST_TERMS:
        raise UserError(
            f"birth-death totals: {total} cells from {founders}; allowed: none or more from one or more, the "
            f"fewer of them up to {MOST_TERMS}"
        )
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


def reweight(
    draws: pd.DataFrame, ln_likelihoods: Mapping[str, np.ndarray], seed: int, n: int | None = None
) -> tuple[pd.DataFrame, float]:
    """Draw anew in proportion to likelihoods: sampling importance resampling [1]_.

    Parameters
    ----------
    draws : pandas.DataFrame
        Of a posterior, or prior, that has not seen these data.
    ln_likelihoods : mapping of str to array of float, shape (draws,)
        By name of the data; independent given the parameters.
    seed : int
    n : int, optional
        Draws to return; as many as there are.

    Returns
    -------
    draws : pandas.DataFrame
    effective : float
        Independent draws that the weights leave, at most those given.

    Raises
    ------
    UserError
        If the weights leave fewer than `LEAST_EFFECTIVE`: the draws and these data disagree, or the draws
        are too few.

    References
    ----------
    .. [1] Rubin 1988, Bayesian Statistics 3:395
    """
    total = np.sum([np.asarray(ln, float) for ln in ln_likelihoods.values()], axis=0)
    top = total.max()
    weights = np.exp(total - top) if np.isfinite(top) else np.zeros(len(draws))
    effective = float(weights.sum() ** 2 / max((weights**2).sum(), np.finfo(float).tiny))
    if effective < min(LEAST_EFFECTIVE, len(draws)):
        raise UserError(
            f"likelihood of {', '.join(ln_likelihoods)}: leaves {effective:.0f} of {len(draws)} draws; "
            f"needed: {LEAST_EFFECTIVE} or more, from more draws or priors nearer to these data"
        )
    rows = spread_over(weights / weights.sum(), n or len(draws), np.random.default_rng(seed))
    return draws.iloc[rows].reset_index(drop=True), effective
