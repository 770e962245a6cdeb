"""Whose uncertainty: between patients, Monte Carlo, or the ranges of the catalogue's values.

The study itself holds the catalogue's values; its intervals know of patients alone.  The draws of the
catalogue simulate a few of the same patients under other values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.intervals import (
    Estimate,
    Z,
    independent_difference,
    median_interval,
    paired_share_difference,
    wilson,
)
from hsc_pipeline.models.variance import (
    Components,
    centre_of_draws,
    components,
    least_square,
    number_interval,
    share_interval,
)

# Yes or no, of which the share of patients is read; and numbers, of which the median is.
SHARES = ("benefit", "t_protected", "graft_failure", "dominance_alarm")
NUMBERS = (
    "immune_score",
    "stem_cell_chimerism",
    "vcn_neutrophil",
    "corrected_t_cells",
    "cd4_per_ul",
    "platelets_per_ul",
    "infections_per_year",
    "months_to_infusion",
)
ENDPOINTS = (*SHARES, *NUMBERS)
PATIENTS_RANGE = (0.05, 0.95)  # centiles of patients
SOURCES = ("patients", "monte_carlo", "catalogue")
COLUMNS = (
    "arm",
    "reference",
    "endpoint",
    "kind",
    "patients",
    "estimate",
    "patients_low",
    "patients_high",
    "monte_carlo_low",
    "monte_carlo_high",
    "catalogue_low",
    "catalogue_high",
    "patients_share",
    "monte_carlo_share",
    "catalogue_share",
    "ranges",
    "draws",
    "patients_per_draw",
    "failed_draws",
)


@dataclass(frozen=True)
class Link:
    """A scale on which a draw moves all patients alike, and back."""

    there: Any
    slope: Any
    back: Any


IDENTITY = Link(lambda x: x, np.ones_like, lambda x: x)
LOG = Link(np.log, lambda x: 1 / x, np.exp)


def logit(most: float) -> Link:
    """Return the scale of a number between 0 and `most`."""
    from scipy.special import expit, logit

    return Link(lambda x: logit(x / most), lambda x: most / (x * (most - x)), lambda x: most * expit(x))


def whose_uncertainty(
    study: pd.DataFrame,
    draws: pd.DataFrame,
    failed: pd.DataFrame,
    limits: Mapping[str, tuple],
    independent_arms: bool,
    ranges: str,
) -> pd.DataFrame:
    """Return each endpoint of each arm with three intervals, and its difference from the first arm.

    Parameters
    ----------
    study : pandas.DataFrame
        `outcomes.OUTCOMES`, under the catalogue's values.
    draws : pandas.DataFrame
        The same with ``point``, under draws of the uncertain values; patients of the same number are
        the same persons as in the study.
    failed : pandas.DataFrame
        ``point``, ``arm`` of the draws that are impossible.
    limits : mapping of str to (least, most)
        Of the endpoints; None for no limit.
    independent_arms : bool
        Whether the arms of the study hold different persons.
    ranges : str
        Whose ranges were drawn: ``"catalogue"`` or ``"posterior"``.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`.  All intervals are 90 %.  ``patients``: 5th to 95th centile of the study's patients, for
        numbers; ``monte_carlo``: of the estimate, as the study has so many patients;
        ``catalogue``: of the expectation under another draw of the values, noise of patients removed.
        Shares are of the variance with which the study foretells one more patient.
    """
    arms = list(dict.fromkeys(study["arm"]))
    lost = set(failed["point"])
    draws = draws[~draws["point"].isin(lost)]
    rows = []
    for arm in arms:
        own, drawn = _by_patient(study, arm), draws[draws["arm"] == arm]
        gone = int((failed["arm"] == arm).sum())
        for endpoint in ENDPOINTS:
            head = {"arm": arm, "reference": "", "endpoint": endpoint, "failed_draws": gone}
            rows.append({**head, **_endpoint(own[endpoint], _grid(drawn, endpoint), limits[endpoint])})
            if arm != arms[0]:
                first, other = _by_patient(study, arms[0]), draws[draws["arm"] == arms[0]]
                change = _difference(
                    first[endpoint],
                    own[endpoint],
                    _grid(other, endpoint),
                    _grid(drawn, endpoint),
                    independent_arms,
                )
                rows.append({**head, "reference": arms[0], **change})
    return pd.DataFrame(rows).assign(ranges=ranges)[list(COLUMNS)]


def _by_patient(study: pd.DataFrame, arm: str) -> pd.DataFrame:
    return study[study["arm"] == arm].set_index("patient").sort_index()


def _grid(draws: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Return the endpoint by draw and patient, of the patients who have it under every draw."""
    grid = draws.pivot(index="point", columns="patient", values=endpoint).astype(float)
    return grid.dropna(axis="columns").sort_index()


def _endpoint(study: pd.Series, grid: pd.DataFrame, limits: tuple) -> dict:
    """Return estimate, intervals and shares of variance of one endpoint in one arm."""
    share = study.name in SHARES
    values, estimate = study.dropna().astype(float), _estimate(study)
    between = (np.nan, np.nan) if share or values.empty else np.quantile(values, PATIENTS_RANGE)
    found = _head("share" if share else "median", estimate, between, len(values), grid)
    if not _enough(grid, values):
        return found
    y = grid.to_numpy()
    parts = components(y, least_square(y) if share else 0.0)
    interval = _share_over_draws(values, grid) if share else _median_over_draws(values, grid, limits)
    return {**found, **_catalogue(interval), **shares_of_variance(parts, estimate)}


def _estimate(study: pd.Series) -> Estimate:
    values = study.dropna().astype(float)
    return wilson(int(values.sum()), len(values)) if study.name in SHARES else median_interval(values)


def _difference(
    first: pd.Series, other: pd.Series, first_grid: pd.DataFrame, grid: pd.DataFrame, independent: bool
) -> dict:
    """Return the same for an arm's difference from the first, over the same draws and patients."""
    share = first.name in SHARES
    change = (other.astype(float) - first.astype(float)).dropna()
    grid = (grid - first_grid).dropna(axis="index", how="all").dropna(axis="columns")
    if independent:
        one, two = (
            wilson(int(values.sum()), len(values))
            if share
            else median_interval(values.dropna().astype(float))
            for values in (first, other)
        )
        estimate = independent_difference(one, two)
    elif share:
        estimate = paired_share_difference(first, other)
    else:
        estimate = median_interval(change)
    between = (np.nan, np.nan)
    if not (share or independent or change.empty):
        between = np.quantile(change, PATIENTS_RANGE)
    found = _head("difference", estimate, between, len(change), grid)
    if not _enough(grid, change):
        return found
    y = grid.to_numpy()
    parts = components(y, least_square(y) if share else 0.0)
    low, high = _moved(change, grid, estimate.value, IDENTITY)
    interval = (max(-1.0, low), min(1.0, high)) if share else (low, high)
    return {**found, **_catalogue(interval), **shares_of_variance(parts, estimate)}


def _head(kind: str, estimate: Estimate, between: tuple, patients: int, grid: pd.DataFrame) -> dict:
    empty = {f"catalogue_{side}": np.nan for side in ("low", "high")}
    return {
        "kind": kind,
        "patients": patients,
        "estimate": estimate.value,
        "patients_low": between[0],
        "patients_high": between[1],
        "monte_carlo_low": estimate.low,
        "monte_carlo_high": estimate.high,
        **empty,
        **{f"{source}_share": np.nan for source in SOURCES},
        "draws": grid.shape[0],
        "patients_per_draw": grid.shape[1],
    }


def _enough(grid: pd.DataFrame, values: pd.Series) -> bool:
    """Tell whether draws and patients can be told apart at all."""
    return min(grid.shape) >= 2 and len(values) > 0


def _catalogue(interval: tuple) -> dict:
    return {"catalogue_low": interval[0], "catalogue_high": interval[1]}


def _share_over_draws(study: pd.Series, grid: pd.DataFrame) -> tuple:
    y = grid.to_numpy()
    same = study.reindex(grid.columns).dropna().to_numpy()
    parts = components(y, least_square(y))
    centre, variance = centre_of_draws(parts, y.shape, study.to_numpy(), same)
    # None of n says no more than that about one of n + 2 would, give or take one (Laplace); and the
    # same few patients in many draws are no more persons than the study has.
    edge = 1 / (min(y.size, len(study)) + 2)
    return share_interval(y, float(np.clip(centre, edge, 1 - edge)), max(variance, edge**2))


def _median_over_draws(study: pd.Series, grid: pd.DataFrame, limits: tuple) -> tuple:
    """Move the study's median as the draws move the mean, on a scale that keeps the limits."""
    median, means = study.median(), np.array([*grid.mean(axis=1), study.mean()])
    least, most = limits
    link = IDENTITY
    if least == 0 and most is None and min(means.min(), median) > 0:
        link = LOG
    elif (
        least == 0 and most is not None and min(means.min(), median, (most - means).min(), most - median) > 0
    ):
        link = logit(most)
    low, high = _moved(study, grid, median, link)
    return (
        low if least is None else max(least, low),
        high if most is None else min(most, high),
    )


def _moved(study: pd.Series, grid: pd.DataFrame, value: float, link: Link) -> tuple:
    """Return `value` moved by what the draws do to the mean of patients, on the scale of `link`.

    On that scale a patient stands for the straight line through the mean (his influence on it), so
    that the components hold for any smooth scale.
    """
    y, mean = grid.to_numpy(), grid.to_numpy().mean(axis=1, keepdims=True)
    level = study.mean()
    z = link.there(mean) + link.slope(mean) * (y - mean)
    own = (link.there(level) + link.slope(level) * (study - level)).astype(float)
    parts = components(z, least_square(y) if study.name in SHARES else 0.0)
    same = own.reindex(grid.columns).dropna().to_numpy()
    centre, variance = centre_of_draws(parts, y.shape, own.to_numpy(), same)
    low, high = number_interval(centre - link.there(level), variance, parts, len(y))
    return tuple(float(link.back(link.there(value) + moved)) for moved in (low, high))


def shares_of_variance(parts: Components, estimate: Estimate) -> dict:
    """Return what share each source has in the variance of one more patient about the study's estimate.

    The variance between patients is that within draws, the catalogue's that between the expectations
    of draws, Monte Carlo's that of the estimate, from the width of its interval.
    """
    monte_carlo = ((estimate.high - estimate.low) / (2 * Z)) ** 2
    variances = (parts.within, monte_carlo, max(0.0, parts.draws))
    total = sum(variances)
    if not variances[0] + variances[2] > 0 or not total > 0:  # nobody differed, or no interval
        return {f"{source}_share": np.nan for source in SOURCES}
    return {f"{source}_share": part / total for source, part in zip(SOURCES, variances, strict=True)}
