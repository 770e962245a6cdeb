"""What varies: draws of the catalogue, patients, and the two together, told apart.

Every draw is simulated with a few virtual patients, the same ones in each draw or others.  The mean of a
draw's patients then holds the draw's effect and the noise of so few patients; the components below
separate them without any law of distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVEL = 0.90  # of intervals over the catalogue's ranges
NODES = 400  # of the integral over the unknown sd between draws
SHARE_NODES = 60  # of each of two, for shares
WIDEST = 12.0  # largest sd between draws thought of, in sds of the draws' means
FEWEST_DRAWS = 5  # fewer leave the sd between draws without a proper law


@dataclass(frozen=True)
class Components:
    """Variance components of one outcome over draws and patients.

    Attributes
    ----------
    mean : float
    draws : float
        Variance between draws of a draw's expectation; may be negative, which keeps it unbiased.
    patients : float
        Variance between patients of what they have in common under every draw, at least 0.
    within : float
        Variance between patients of one draw.
    noise : float
        Variance of a draw's mean that is due to its few patients: what they do differently under
        another draw.  What the same patients have in common under every draw is no part of it.
    spread : float
        Variance of the draws' means, the sum of `draws` and `noise`.
    """

    mean: float
    draws: float
    patients: float
    within: float
    noise: float
    spread: float

    @property
    def reliability(self) -> float:
        """Share of the variance of the draws' means that is no noise of patients."""
        return max(0.0, self.draws / self.spread) if self.spread > 0 else 0.0


def components(y: np.ndarray, least: float = 0.0) -> Components:
    """Return the variance components by the analysis of variance of a two-way table.

    Where patients of the same number are other persons in every draw, their common part is zero, and
    the same mean squares hold [1]_.

    Parameters
    ----------
    y : numpy.ndarray
        Draws x patients, at least 2 x 2.
    least : float
        Added to the residual mean square, so that few yes or no cannot pass for none.

    References
    ----------
    .. [1] Searle, Casella & McCulloch 1992, Variance Components, 10.1002/9780470316856, chapter 4
    """
    n, m = y.shape
    means = y.mean(axis=1)
    spread = float(means.var(ddof=1))
    residual = y - means[:, None] - y.mean(axis=0)[None] + y.mean()
    noise = (float((residual**2).sum()) / ((n - 1) * (m - 1)) + least) / m
    patients = max(0.0, float(y.mean(axis=0).var(ddof=1)) - noise * m / n)
    within = float(y.var(axis=1, ddof=1).mean())
    return Components(float(y.mean()), spread - noise, patients, within, noise, spread)


def centre_of_draws(
    parts: Components, shape: tuple[int, int], study: np.ndarray, of_same: np.ndarray
) -> tuple[float, float]:
    """Return the mean over the draws as many patients would have it, and its variance.

    The few patients of the draws are not the study's average: by how much is read from what the study
    has of the same persons (a control variate), as far as a person is like himself under another draw.

    Parameters
    ----------
    parts : Components
    shape : tuple of int
        Draws and patients.
    study, of_same : numpy.ndarray
        The study's patients, and those among them who are the draws'; the latter may be empty.
    """
    from scipy.stats import norm, t

    n, m = shape
    # As if one more patient had shown half of the study's variance to be his own: where few patients
    # never differ, that is no proof that patients do not.
    own = ((m - 1) * parts.patients + study.var() / 2) / m
    kept = own / (own + parts.noise * m) if own > 0 and len(of_same) else 0.0
    variance = own * (1 - kept) / m + parts.noise / n
    few = (t.ppf((1 + LEVEL) / 2, m - 1) / norm.ppf((1 + LEVEL) / 2)) ** 2
    shift = kept * (study.mean() - of_same.mean()) if kept > 0 else 0.0
    return parts.mean + shift, variance * few


def deviations_between_draws(spread: float, noise: float, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sds between draws with their posterior weights.

    The draws' means are taken as normal and the sd between draws as equally likely anywhere [1]_: the
    sum of squares of `draws` means is a chi-square times the sum of both variances.

    References
    ----------
    .. [1] Gelman 2006, Bayesian Analysis 1:515, 10.1214/06-BA117A
    """
    sd = (np.arange(NODES) + 0.5) / NODES * WIDEST * np.sqrt(spread + noise)
    total = sd**2 + noise
    log_weight = -0.5 * (draws - 1) * (np.log(total) + spread / total)
    weight = np.exp(log_weight - log_weight.max())
    return sd, weight / weight.sum()


def number_interval(centre: float, centre_variance: float, parts: Components, draws: int) -> tuple:
    """Return the interval in which the expectation of another draw lies, with the noise taken off.

    Parameters
    ----------
    centre, centre_variance : float
        Mean of the draws, and its variance due to patients.
    parts : Components
    draws : int

    Returns
    -------
    tuple of float
        Low and high at `LEVEL`; NaN with fewer than `FEWEST_DRAWS` draws.
    """
    from scipy.special import ndtr

    if draws < FEWEST_DRAWS:
        return np.nan, np.nan
    if parts.spread + parts.noise <= 0:  # nothing differed anywhere
        return centre, centre
    sd, weight = deviations_between_draws(parts.spread, parts.noise, draws)
    width = np.sqrt(sd**2 * (1 + 1 / draws) + centre_variance)
    far = 20 * width.max()
    return _quantiles(lambda x: float(weight @ ndtr((x - centre) / width)), centre - far, centre + far)


def share_interval(y: np.ndarray, centre: float, centre_variance: float) -> tuple:
    """Return the interval in which the share of yes under another draw lies, with the noise taken off.

    Shares follow a beta law over the draws, the yes of a draw's patients a binomial one.  Patients who
    meet every draw are worth more than so many others: their number is raised by the ratio of the mean
    square within draws to the residual one, as Rao and Scott lower it for clusters [1]_.  Mean and sd
    in units of the largest possible one are equally likely anywhere before the draws are seen.

    Parameters
    ----------
    y : numpy.ndarray of float
        Draws x patients, 0 or 1.
    centre, centre_variance : float
        Mean share over the draws, and its variance due to patients.

    Returns
    -------
    tuple of float
        As `number_interval`.

    References
    ----------
    .. [1] Rao & Scott 1992, Biometrics 48:577, 10.2307/2532311
    """
    from scipy.special import betainc, betaln

    n, m = y.shape
    if n < FEWEST_DRAWS:
        return np.nan, np.nan
    parts = components(y, least_square(y))
    patients = m * max(1.0, (parts.within + least_square(y)) / (parts.noise * m))
    yes, times = np.unique(y.mean(axis=1) * patients, return_counts=True)
    mean, relative = np.meshgrid(*2 * [(np.arange(SHARE_NODES) + 0.5) / SHARE_NODES], indexing="ij")
    a, b = _beta(mean, relative**2)
    log_weight = -n * betaln(a, b)
    log_weight += sum(t * betaln(k + a, patients - k + b) for k, t in zip(yes, times, strict=True))
    weight = np.exp(log_weight - log_weight.max())
    weight = weight.sum(axis=0) / weight.sum()
    # An unknown mean is one more draw's worth of spread, and the noise of patients.
    predictive = relative[0] ** 2 * (1 + 1 / n) + centre_variance / (centre * (1 - centre))
    predictive = np.minimum(predictive, 1 - 1e-9)
    a, b = _beta(np.full_like(predictive, centre), predictive)
    low, high = _quantiles(lambda x: float(weight @ betainc(a, b, x)), 0.0, 1.0)
    # Where nearly every draw has none, or all, both quantiles may fall on that one side of the mean.
    return min(low, centre), max(high, centre)


def least_square(y: np.ndarray) -> float:
    """Return the mean square of half a yes or no among all of `y`, below which none is trusted."""
    return 0.25 / y.size


def _beta(mean: np.ndarray, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both parameters of a beta law from its mean and its variance, relative to the largest."""
    size = 1 / relative - 1
    return mean * size, (1 - mean) * size


def _quantiles(law: Callable[[float], float], low: float, high: float) -> tuple:
    from scipy.optimize import brentq

    return tuple(
        float(brentq(lambda x, p=p: law(x) - p, low, high, xtol=1e-10 * (high - low)))
        for p in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
