"""Whether a fit can be trusted: ranks, coverage, identifiability, predictions, and one verdict."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.cleaning import FEWEST, clean, continuous
from hsc_pipeline.calibration.infer import one_thread, refer
from hsc_pipeline.calibration.learners import NormalScores
from hsc_pipeline.calibration.priors import Prior, scores
from hsc_pipeline.calibration.verdicts import some, verdict
from hsc_pipeline.errors import UserError

__all__ = [
    "coverage",
    "identifiability",
    "inside",
    "predictive",
    "simulation_based_calibration",
    "uniformity",
    "verdict",
]

RANKS = 200  # simulations that are held out
DRAWS_PER_RANK = 99
FALSE_ALARMS = 0.05  # chance that a check of a fit without fault fails, over all it looks at together
ORDER = 4  # of the smooth test: shift, width, skew, and tails of the ranks
LEVELS = (0.5, 0.9)  # of intervals whose coverage is counted
LEAST_CONTRACTION = 0.1  # below which data do not identify a parameter
GOOD_CONTRACTION = 0.5
LEAST_SHIFT = 0.5  # mean score of a posterior that has moved though it is no narrower
OUTLYING = 0.01  # least share of simulations farther out than data that count as inside
MOST_BEYOND = 0.5  # how far a statistic may lie beyond all simulations, in widths of their middle 90 %


def simulation_based_calibration(
    theta: pd.DataFrame, stats: pd.DataFrame, priors: Mapping[str, Prior], seed: int, ranks: int = RANKS
) -> pd.DataFrame:
    """Fit simulations of known parameters as if they were patients, and rank the truth among the draws.

    If the posterior is right, ranks are uniform [1]_.  The simulations are held out of all learning.

    Parameters
    ----------
    theta, stats : pandas.DataFrame
        Simulations, as of `infer.fit`.
    priors : mapping of str to Prior
        From which `theta` was drawn.
    seed : int
    ranks : int, optional
        Simulations held out.

    Returns
    -------
    pandas.DataFrame
        A row per simulation and parameter: simulation; parameter; truth, median, low and high (5 %,
        95 %) of its posterior; rank of the truth among `draws` draws, from 0.

    Raises
    ------
    UserError
        If too few simulations are left to learn from.

    References
    ----------
    .. [1] Talts et al. 2018, arXiv:1804.06788
    """
    table = clean(theta, stats, priors)
    if len(table.theta) - ranks < FEWEST:
        raise UserError(
            f"calibration: {len(table.theta)} simulations can be used; needed: {FEWEST} and {ranks} to check "
            "them with"
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    order = rng.permutation(len(table.theta))
    held_out, rest = order[:ranks], np.sort(order[ranks:])
    # Whole numbers are made continuous once, so that truths and draws are of one law.
    known = continuous(table.theta, priors, seed)
    truth = scores(known, priors)[held_out]
    found = []
    with one_thread():
        reference = refer(known.iloc[rest], table.stats.iloc[rest], priors, seed)
        summaries = reference.summarise(table.stats.iloc[held_out])
        for row in range(ranks):
            z, weights = reference.posterior(summaries[:, row])
            drawn = z[rng.choice(len(z), DRAWS_PER_RANK, p=weights)]
            found.append(_ranked(row, drawn, truth[row], priors))
    return pd.concat(found, ignore_index=True)


def _ranked(row: int, drawn: np.ndarray, truth: np.ndarray, priors: Mapping[str, Prior]) -> pd.DataFrame:
    low, median, high = np.quantile(drawn, [0.05, 0.5, 0.95], axis=0)

    def values(z: np.ndarray) -> list[float]:
        return [float(prior.at_score(at)) for prior, at in zip(priors.values(), z, strict=True)]

    return pd.DataFrame(
        {
            "simulation": row,
            "parameter": list(priors),
            "truth": values(truth),
            "median": values(median),
            "low": values(low),
            "high": values(high),
            "rank": (drawn < truth).sum(axis=0),
            "draws": len(drawn),
        }
    )


def uniformity(ranks: pd.DataFrame) -> pd.DataFrame:
    """Test whether ranks are uniform, over all parameters together.

    Neyman's smooth test [1]_: the mean squares of the first `ORDER` Legendre polynomials of the ranks;
    the first stands for a shift, the second for the width.  P values are adjusted after Holm 1979.

    Parameters
    ----------
    ranks : pandas.DataFrame
        With ``parameter``, ``rank`` and ``draws``.

    Returns
    -------
    pandas.DataFrame
        A row per parameter: ranks; mean_rank, 0.5 where right; excess, how many times its expected
        variance the ranks have (above 1: posteriors too narrow); p_value; p_adjusted; uniform; said.

    References
    ----------
    .. [1] Neyman 1937, Scand Actuar J 1937:149, 10.1080/03461238.1937.10404821
    """
    from scipy.special import eval_legendre
    from scipy.stats import chi2
    from statsmodels.stats.multitest import multipletests

    rows = []
    for number, (name, mine) in enumerate(ranks.groupby("parameter", sort=False)):
        # Ranks are whole: a uniform number within each makes them continuous.
        within = np.random.default_rng(number).random(len(mine))
        u = (mine["rank"].to_numpy(float) + within) / (mine["draws"].to_numpy(float) + 1)
        parts = np.array(
            [np.sqrt(2 * k + 1) * eval_legendre(k, 2 * u - 1).mean() for k in range(1, ORDER + 1)]
        )
        rows.append(
            {
                "parameter": name,
                "ranks": len(u),
                "mean_rank": float(u.mean()),
                "excess": float(((u - 0.5) ** 2).mean() * 12),
                "p_value": float(chi2.sf(len(u) * (parts**2).sum(), ORDER)),
            }
        )
    found = pd.DataFrame(rows)
    found["p_adjusted"] = multipletests(found["p_value"], FALSE_ALARMS, method="holm")[1]
    found["uniform"] = found["p_adjusted"] >= FALSE_ALARMS
    found["said"] = [_misfit(row) for row in found.itertuples()]
    return found


def _misfit(row) -> str:
    if row.uniform:
        return "uniform"
    # Standard errors of mean and variance of uniform numbers.
    shift = (row.mean_rank - 0.5) * np.sqrt(12 * row.ranks)
    width = (row.excess - 1) * np.sqrt(1.25 * row.ranks)
    if abs(shift) > abs(width):
        return "posteriors too low" if shift > 0 else "posteriors too high"
    return "posteriors too narrow" if width > 0 else "posteriors too wide"


def coverage(ranks: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Return how many truths lie in their central posterior intervals.

    Parameters
    ----------
    ranks : pandas.DataFrame
        As of `simulation_based_calibration`.
    levels : sequence of float, optional

    Returns
    -------
    pandas.DataFrame
        A row per parameter and level: ranks; covered, a share, with its exact 95 % interval (Clopper and
        Pearson 1934) over held-out simulations, low and high.
    """
    from scipy.stats import binomtest

    rows = []
    for name, mine in ranks.groupby("parameter", sort=False):
        u = (mine["rank"].to_numpy(float) + 0.5) / (mine["draws"].to_numpy(float) + 1)
        for level in levels:
            covered = int((np.abs(u - 0.5) <= level / 2).sum())
            interval = binomtest(covered, len(u)).proportion_ci(0.95)
            rows.append(
                {
                    "parameter": name,
                    "level": level,
                    "ranks": len(u),
                    "covered": covered / len(u),
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            )
    return pd.DataFrame(rows)


def identifiability(summary: pd.DataFrame, draws: pd.DataFrame, priors: Mapping[str, Prior]) -> pd.DataFrame:
    """Return which parameters the data move, and which other each is confounded with.

    Parameters
    ----------
    summary, draws : pandas.DataFrame
        Of an `infer.Fit`.
    priors : mapping of str to Prior
        Before they were narrowed.

    Returns
    -------
    pandas.DataFrame
        A row per parameter: contraction, its Monte Carlo error, shift and r2 of the summary; with, the
        parameter it is most correlated with in the posterior, and correlation, of their scores; said:
        ``identified``, ``weakly identified`` or ``unidentified``.
    """
    found = summary[["parameter", "contraction", "contraction_error", "shift", "r2"]].copy()
    names = list(priors)
    z = scores(draws, priors)
    sd = z.std(axis=0)
    moved = np.where(sd > 0, sd, np.inf)
    related = (z - z.mean(axis=0)).T @ (z - z.mean(axis=0)) / len(z) / np.outer(moved, moved)
    np.fill_diagonal(related, 0)
    strongest = np.abs(related).argmax(axis=1)
    found["with"] = [names[j] if len(names) > 1 else "" for j in strongest]
    found["correlation"] = related[np.arange(len(names)), strongest]
    sure = found["contraction"] - 2 * found["contraction_error"]
    unmoved = (sure < LEAST_CONTRACTION) & (found["shift"].abs() < LEAST_SHIFT)
    weak = found["contraction"] < GOOD_CONTRACTION
    found["said"] = np.where(unmoved, "unidentified", np.where(weak, "weakly identified", "identified"))
    return found


def inside(stats: pd.DataFrame, observed: Mapping[str, float]) -> dict:
    """Return whether the data lie among the simulations of the prior: a fit cannot reach beyond them.

    All statistics together by the Mahalanobis distance of their normal scores, with a shrunk covariance
    [1]_, ranked among those of the simulations; and each by itself by how far beyond all it lies.

    Parameters
    ----------
    stats : pandas.DataFrame
        Simulations; those with an undefined statistic are passed over.
    observed : mapping of str to float

    Returns
    -------
    dict
        inside (bool); said (str); distance, and the median of the simulations' own; farther, share of
        simulations that are farther out; outside, names of statistics beyond the simulations.

    References
    ----------
    .. [1] Ledoit & Wolf 2004, J Multivar Anal 88:365, 10.1016/S0047-259X(03)00096-4
    """
    from sklearn.covariance import LedoitWolf

    values = stats.to_numpy(float)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 2:
        raise UserError(f"statistics: {len(values)} simulations have all of them; needed: two or more")
    seen = np.array([float(observed[name]) for name in stats])
    low, high = np.quantile(values, [0.05, 0.95], axis=0)
    beyond = np.maximum(values.min(axis=0) - seen, seen - values.max(axis=0))
    # Where the middle 90 % is one value, anything beyond all simulations is far beyond.
    far = beyond > MOST_BEYOND * (high - low)
    outside = [name for name, out in zip(stats, far, strict=True) if out]
    to_scores = NormalScores.of(values)
    covariance = LedoitWolf().fit(to_scores(values))
    distances = np.sqrt(covariance.mahalanobis(to_scores(values)))
    distance = float(np.sqrt(covariance.mahalanobis(to_scores(seen[None]))[0]))
    farther = float((1 + (distances >= distance).sum()) / (1 + len(distances)))
    return {
        "inside": bool(not outside and farther >= OUTLYING),
        "said": _said_of_place(outside, farther, observed),
        "distance": distance,
        "median_distance": float(np.median(distances)),
        "farther": farther,
        "outside": outside,
    }


def _said_of_place(outside: list[str], farther: float, observed: Mapping[str, float]) -> str:
    if outside:
        named = some([f"{name} ({observed[name]:.4g})" for name in outside])
        return f"the data lie beyond all simulations in {named}"
    if farther < OUTLYING:
        return f"the data's statistics are together as they are in only {farther:.1%} of the simulations"
    return f"the data lie among the simulations, {farther:.0%} of which are farther out"


def predictive(replicated: pd.DataFrame, observed: Mapping[str, float]) -> pd.DataFrame:
    """Return where the data lie among simulations of the posterior, statistic by statistic.

    Parameters
    ----------
    replicated : pandas.DataFrame
        One simulation per draw of the posterior.
    observed : mapping of str to float

    Returns
    -------
    pandas.DataFrame
        A row per statistic: observed; median, low and high (5 %, 95 %) of the simulations; within_50 and
        within_90; p_value, two-sided share of simulations as far out, ties counted half; p_adjusted
        after Holm 1979; fits.
    """
    from statsmodels.stats.multitest import multipletests

    rows = []
    for name in replicated:
        values = replicated[name].to_numpy(float)
        values = values[np.isfinite(values)]
        seen = float(observed[name])
        if not len(values) or not np.isfinite(seen):
            rows.append(
                {"statistic": name, "observed": seen, "within_50": False, "within_90": False, "far": True}
            )
            continue
        low, quarter, median, three, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        below = (values < seen).sum() + (values == seen).sum() / 2
        side = min(below, len(values) - below)
        rows.append(
            {
                "statistic": name,
                "observed": seen,
                "median": median,
                "low": low,
                "high": high,
                "within_50": bool(quarter <= seen <= three),
                "within_90": bool(low <= seen <= high),
                # The data are one more simulation: no share is zero.
                "p_value": min(1.0, 2 * (side + 1) / (len(values) + 1)),
                "far": max(values.min() - seen, seen - values.max()) > MOST_BEYOND * (high - low),
            }
        )
    columns = ["statistic", "observed", "median", "low", "high", "within_50", "within_90", "p_value", "far"]
    found = pd.DataFrame(rows, columns=columns)
    p = found["p_value"].fillna(0).to_numpy(float)
    found["p_adjusted"] = multipletests(p, FALSE_ALARMS, method="holm")[1] if len(p) else p
    found["fits"] = (found["p_adjusted"] >= FALSE_ALARMS) & ~found.pop("far").astype(bool)
    return found
