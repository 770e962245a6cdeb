"""Likelihoods that are known exactly: the posterior of one number on a grid, without a simulation.

They stand beside the fit as a check that shares nothing with it but the data.
"""

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.calibration.statistics import Sample
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.coalescence import FOUNDERS, MARROWS, log_likelihood

POPULATIONS = np.geomspace(1, 1e7, 4000)  # clones, as likely as one another on the logarithm


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


def capture_history(one: Sample, other: Sample) -> tuple[list[int], int]:
    """Return the clones caught at two occasions, and those caught at either."""
    both = len(np.intersect1d(one.clones, other.clones, assume_unique=True))
    caught = [len(one.clones), len(other.clones)]
    return caught, sum(caught) - both


def population_posterior(caught: np.ndarray, seen: int) -> pd.DataFrame:
    """Return the posterior of the clones of a closed population by captures alone, see `grid_posterior`.

    Every clone is as easily caught as the next; where some are larger, this is of fewer than there are.
    """
    grid = np.unique(np.round(POPULATIONS[seen <= POPULATIONS]))
    return grid_posterior(captures_log_likelihood(caught, seen, grid), grid)
