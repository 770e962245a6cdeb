"""Posterior draws of parameters from one table of simulations, for any observation.

Each parameter is worked on as its score under the prior, so draws stay within the prior.  Learned
summaries reduce all statistics to one per parameter; the simulations nearest to the observation are
moved onto it by local linear regression of mean and spread [1]_ [2]_.  Nothing but the last step
depends on the observation: one table serves all patients and all checks.

References
----------
.. [1] Beaumont, Zhang & Balding 2002, Genetics 162:2025, 10.1093/genetics/162.4.2025
.. [2] Blum & Francois 2010, Stat Comput 20:63, 10.1007/s11222-009-9116-0
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.cleaning import clean, continuous
from hsc_pipeline.calibration.learners import KINDS, NormalScores, Summaries, learn
from hsc_pipeline.calibration.priors import Prior, at_scores, scores

DRAWS = 1000
# The local regressions use the largest of a share of the simulations, a number, and so many for each
# coefficient: with fewer than these, posteriors of five parameters came out too narrow.
NEAREST = 0.1
FEWEST_NEAREST = 500
NEAREST_PER_COEFFICIENT = 100
BINS = 20  # of a profile, of equal prior mass
NEAREST_OF_BIN = 0.05  # share of a bin's simulations whose mean distance is the profile
WIDEST_CHANGE = np.log(3.0)  # of a spread between a simulation and the observation


@dataclass(frozen=True)
class Reference:
    """What one table of simulations knows, for any observation.

    Attributes
    ----------
    priors : mapping of str to Prior
    statistics : tuple of str
    z : array of float, shape (simulations, parameters)
        Scores of the parameters.
    to_scores : NormalScores
        Of the statistics.
    summaries : Summaries
    precision : array of float, shape (parameters, parameters)
        Inverse covariance of what the summaries leave unknown: its distance counts in posterior sds.
    """

    priors: Mapping[str, Prior]
    statistics: tuple[str, ...]
    z: np.ndarray
    to_scores: NormalScores
    summaries: Summaries
    precision: np.ndarray

    def summarise(self, stats: pd.DataFrame) -> np.ndarray:
        """Return learned summaries of other simulations, shape (folds, rows, parameters)."""
        return self.summaries.of(self.to_scores(stats[list(self.statistics)].to_numpy(float)))

    def near(self, summary: np.ndarray) -> "Near":
        """Return the simulations near an observation.

        Parameters
        ----------
        summary : array of float, shape (folds, parameters)
            Of the observation: one row of `summarise`.
        """
        # Either side of a difference comes from the same learner, which has seen neither.
        apart = self.summaries.values - summary[self.summaries.fold]
        distance = np.sqrt(np.einsum("ij,jk,ik->i", apart, self.precision, apart))
        fewest = max(FEWEST_NEAREST, NEAREST_PER_COEFFICIENT * (apart.shape[1] + 2))
        kept = min(len(distance), max(fewest, round(NEAREST * len(distance))))
        chosen = np.argsort(distance, kind="stable")[:kept]
        widest = max(distance[chosen[-1]], np.finfo(float).tiny)
        weights = np.maximum(1 - (distance[chosen] / widest) ** 2, 1e-6)
        return Near(chosen, weights / weights.sum(), apart[chosen], distance)

    def posterior(self, summary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the adjusted scores and their weights, shapes (kept, parameters) and (kept,)."""
        near = self.near(summary)
        return adjusted(self.z[near.chosen], near.apart, near.weights), near.weights


@dataclass(frozen=True)
class Near:
    """The simulations near an observation.

    Attributes
    ----------
    chosen : array of int, shape (kept,)
        Their rows.
    weights : array of float, shape (kept,)
        Epanechnikov's, which sum to 1.
    apart : array of float, shape (kept, parameters)
        Their summaries less that of the observation.
    distance : array of float, shape (simulations,)
        Of all simulations from the observation, in posterior standard deviations.
    """

    chosen: np.ndarray
    weights: np.ndarray
    apart: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class Fit:
    """The posterior of one observation.

    Attributes
    ----------
    draws : pandas.DataFrame, shape (draws, parameters)
        Of the joint posterior.
    summary : pandas.DataFrame
        One row a parameter: prior and posterior median, 5 % and 95 %; ``contraction``, 1 - sd of the
        posterior over that of the prior, in scores of the prior; its Monte Carlo error; ``shift``, mean
        score of the posterior; ``r2``, share of the prior variance that the statistics foresee in
        simulations not seen.
    learners : pandas.DataFrame
        One row a parameter: weights of the kinds of regression in the stack.
    profile : pandas.DataFrame
        See `profile`.
    simulations, failed, used : int
        Simulations in all, those that gave nothing, and those that were learnt from.
    effective : float
        Independent draws that the posterior is worth.
    warnings : tuple of str
        Each a sentence.
    """

    draws: pd.DataFrame
    summary: pd.DataFrame
    learners: pd.DataFrame
    profile: pd.DataFrame
    simulations: int
    failed: int
    used: int
    effective: float
    warnings: tuple[str, ...]


def fit(
    theta: pd.DataFrame,
    stats: pd.DataFrame,
    observed: Mapping[str, float],
    priors: Mapping[str, Prior],
    seed: int,
    *,
    draws: int = DRAWS,
    whole: Mapping[str, Prior] | None = None,
) -> Fit:
    """Draw from the posterior of an observation.

    Parameters
    ----------
    theta : pandas.DataFrame, shape (simulations, parameters)
        Drawn from the priors.
    stats : pandas.DataFrame, shape (simulations, statistics)
        What each of them gave; a failed simulation has no number in its row.
    observed : mapping of str to float
        The same statistics of the patient.
    priors : mapping of str to Prior
        From which `theta` was drawn.
    seed : int
    draws : int, optional
    whole : mapping of str to Prior, optional
        The priors before they were narrowed to a later round, against which contraction counts.

    Returns
    -------
    Fit

    Raises
    ------
    UserError
        If the table cannot be learnt from: see `cleaning.clean`.
    """
    table = clean(theta, stats, priors, observed)
    with one_thread():
        reference = refer(table.theta, table.stats, priors, seed)
        summary = reference.summarise(pd.DataFrame([table.observed]))[:, 0]
        z, weights = reference.posterior(summary)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    drawn = at_scores(z[spread_over(weights, draws, rng)], priors)
    effective = float(1 / (weights**2).sum())
    return Fit(
        draws=drawn,
        summary=summarise(drawn, whole or priors, effective, reference.summaries.r2),
        learners=_learners(reference),
        profile=profile(reference, summary, drawn),
        simulations=table.simulations,
        failed=table.failed,
        used=len(table.theta),
        effective=effective,
        warnings=table.warnings,
    )


def refer(theta: pd.DataFrame, stats: pd.DataFrame, priors: Mapping[str, Prior], seed: int) -> Reference:
    """Learn all that does not depend on the observation, from a clean table.

    Parameters
    ----------
    theta, stats : pandas.DataFrame
        As of `Cleaned`.
    priors : mapping of str to Prior
    seed : int

    Returns
    -------
    Reference
    """
    values = stats.to_numpy(float)
    z = scores(continuous(theta, priors, seed), priors)
    to_scores = NormalScores.of(values)
    summaries = learn(to_scores(values), z, seed)
    unknown = np.atleast_2d(np.cov(z - summaries.values, rowvar=False))
    return Reference(priors, tuple(stats), z, to_scores, summaries, np.linalg.inv(unknown))


def one_thread():
    """Return a context in which numerical libraries use one thread, so that cores change no digit."""
    import sklearn.ensemble  # noqa: F401  (threads of a library can be limited once it is loaded)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def adjusted(z: np.ndarray, apart: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Move simulations onto the observation by weighted linear regressions of mean and log spread.

    Parameters
    ----------
    z : array of float, shape (kept, parameters)
    apart : array of float, shape (kept, summaries)
        Summaries less that of the observation.
    weights : array of float, shape (kept,)

    Returns
    -------
    array of float, shape (kept, parameters)
    """
    design = np.column_stack([np.ones(len(z)), apart])
    root = np.sqrt(weights)[:, None]
    mean = np.linalg.lstsq(design * root, z * root, rcond=None)[0]
    left = z - design @ mean
    slopes = _slopes_of_spread(left, apart, weights)
    change = np.clip(-apart @ slopes / 2, -WIDEST_CHANGE, WIDEST_CHANGE)
    return mean[0] + left * np.exp(change)


def _slopes_of_spread(left: np.ndarray, apart: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Regress log squared residuals on summaries; return slopes, shape (summaries, parameters).

    They are shrunk together towards no change [1]_: where the spread is the same everywhere, noise of its
    slopes would widen one posterior and narrow the next.

    References
    ----------
    .. [1] James & Stein 1961, Proc 4th Berkeley Symp 1:361
    """
    log_square = np.log(left**2 + np.finfo(float).tiny)
    centred, around = apart - weights @ apart, log_square - weights @ log_square
    root = np.sqrt(weights)[:, None]
    slopes = np.linalg.lstsq(centred * root, around * root, rcond=None)[0]
    noise = weights @ (around - centred @ slopes) ** 2 * (weights**2).sum()
    explained = weights @ (centred @ slopes) ** 2
    kept = 1 - len(slopes) * noise / np.maximum(explained, np.finfo(float).tiny)
    return slopes * np.maximum(kept, 0)


def spread_over(weights: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows drawn by weight, as evenly as the weights allow, in random order."""
    at = (np.arange(draws) + rng.random()) / draws
    rows = np.minimum(np.searchsorted(np.cumsum(weights), at), len(weights) - 1)
    return rng.permutation(rows)


def summarise(
    draws: pd.DataFrame, priors: Mapping[str, Prior], effective: float, r2: np.ndarray | None = None
) -> pd.DataFrame:
    """Return `Fit.summary` of draws.

    Parameters
    ----------
    draws : pandas.DataFrame
    priors : mapping of str to Prior
    effective : float
        Independent draws that they are worth.
    r2 : array of float, optional
    """
    levels = {"median": 0.5, "low": 0.05, "high": 0.95}
    z = scores(draws, priors)
    sd = z.std(axis=0, ddof=1)
    return pd.DataFrame(
        {
            "parameter": list(priors),
            **{f"prior_{end}": [float(p.quantile(u)) for p in priors.values()] for end, u in levels.items()},
            **{end: [float(np.quantile(draws[name], u)) for name in priors] for end, u in levels.items()},
            "contraction": 1 - sd,
            "contraction_error": sd / np.sqrt(2 * effective),
            "shift": z.mean(axis=0),
            "r2": np.full(len(priors), np.nan) if r2 is None else r2,
        }
    )


def profile(reference: Reference, summary: np.ndarray, draws: pd.DataFrame) -> pd.DataFrame:
    """Return how near the observation simulations come with a parameter held at each of its values.

    A parameter that the data inform has a valley; a flat profile says that the other parameters make up
    for any value of this one.

    Parameters
    ----------
    reference : Reference
    summary : array of float, shape (folds, parameters)
        Of the observation.
    draws : pandas.DataFrame
        Of the posterior.

    Returns
    -------
    pandas.DataFrame
        parameter; value, the middle of a bin of equal prior mass; distance, mean of the nearest
        `NEAREST_OF_BIN` simulations of the bin, in posterior standard deviations; ratio of posterior to
        prior mass in the bin.
    """
    distance = reference.near(summary).distance
    z = scores(draws, reference.priors)
    rows = []
    for i, (name, prior) in enumerate(reference.priors.items()):
        edges = np.quantile(reference.z[:, i], np.linspace(0, 1, BINS + 1)[1:-1])
        bins, drawn = np.searchsorted(edges, reference.z[:, i]), np.searchsorted(edges, z[:, i])
        for number in range(BINS):
            inside = bins == number
            nearest = np.sort(distance[inside])[: max(1, round(NEAREST_OF_BIN * inside.sum()))]
            rows.append(
                {
                    "parameter": name,
                    "value": float(prior.at_score(np.median(reference.z[inside, i]))),
                    "distance": float(nearest.mean()),
                    "ratio": float((drawn == number).mean() / inside.mean()),
                }
            )
    return pd.DataFrame(rows)


def _learners(reference: Reference) -> pd.DataFrame:
    weights = pd.DataFrame(reference.summaries.weights.T, columns=list(KINDS))
    weights.insert(0, "parameter", list(reference.priors))
    return weights
