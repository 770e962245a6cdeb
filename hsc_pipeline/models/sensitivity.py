"""Sensitivity: which uncertain values an outcome follows, and which are worth measuring better."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.models import screening
from hsc_pipeline.models.screening import FALSE_ALARMS
from hsc_pipeline.models.sobol import (
    BOOTSTRAPS,
    POINTS_PER_PARAMETER,
    Surrogate,
    learn,
    surrogate_indices,
)
from hsc_pipeline.models.uncertainty import ENDPOINTS
from hsc_pipeline.models.variance import components

PRIMARY = ("benefit", "t_protected", "immune_score")
FEWEST_POINTS = 8  # below, not even one parameter is asked about
FEWEST_FOR_MANY = 40  # fewer points cannot choose among more parameters than points
# What measuring is worth at the same index: nobody has measured what is assumed, and a choice is none.
WORTH = {"assumed": 1.0, "derived": 0.75, "computed": 0.5, "published": 0.5, "study file": 0.0}
INDICES = ("s1", "s1_low", "s1_high", "st", "st_low", "st_high")
COLUMNS = ("source", "arm", "outcome", "parameter", *INDICES, "method", "resolved")
SURROGATE_COLUMNS = (
    "source",
    "arm",
    "outcome",
    "points",
    "parameters",
    "entered",
    "surrogate",
    "r2",
    "patients_noise",
    "unexplained",
    "resolved",
    "verdict",
)
RANK_COLUMNS = ("source", "outcome", "rank", "parameter", "index", "arms", "evidence", "worth", "reference")
ALONE = "regression on the parameter alone"
SAME = "the same at every point"
DROWNED = "points differ no more than their few patients do"


@dataclass(frozen=True)
class Design:
    """The points of one arm: parameters that vary, scaled, and each outcome's mean over patients.

    Attributes
    ----------
    names : list of str
    x : numpy.ndarray
        Points x parameters, 0 to 1, on a logarithmic scale where that is the more even one.
    y : numpy.ndarray
        Points x outcomes.
    noise : numpy.ndarray
        Variance of each outcome's mean that is due to the few patients of a point.
    """

    arm: str
    names: list[str]
    outcomes: list[str]
    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray


def sensitivity_tables(
    ensembles: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], values: Mapping[str, Mapping], seed: int
) -> dict[str, pd.DataFrame]:
    """Return ``sensitivity``, ``sensitivity_surrogates`` and ``worth_measuring`` of all points of a study.

    Parameters
    ----------
    ensembles : mapping of str to (points, outcomes)
        ``uncertainty`` and ``sweep``, where the study has them; as `analyse_sensitivity`.
    values, seed
        As `rank_parameters` and `analyse_sensitivity`.
    """
    found = [_frames([], [], "")]
    found += [analyse_sensitivity(*tables, source, seed) for source, tables in ensembles.items()]
    filled = [tables for tables in found if len(tables["sensitivity"])] or found[:1]
    joined = {name: pd.concat([tables[name] for tables in filled], ignore_index=True) for name in found[0]}
    return {**joined, "worth_measuring": rank_parameters(joined["sensitivity"], values)}


def analyse_sensitivity(
    points: pd.DataFrame, outcomes: pd.DataFrame, source: str, seed: int
) -> dict[str, pd.DataFrame]:
    """Return indices of every endpoint to every parameter, and how far they can be trusted.

    Parameters
    ----------
    points : pandas.DataFrame
        `points.POINTS`.
    outcomes : pandas.DataFrame
        `points.POINT_OUTCOMES`.
    source : str
        ``"uncertainty"`` or ``"sweep"``.
    seed : int

    Returns
    -------
    dict of str to pandas.DataFrame
        ``sensitivity`` (`COLUMNS`): indices are shares of the variance of a point's expectation, noise of
        patients removed, with 90 % intervals; ``resolved``: beyond chance, at `FALSE_ALARMS` for the
        whole table.  ``sensitivity_surrogates`` (`SURROGATE_COLUMNS`).
    """
    from threadpoolctl import threadpool_limits

    designs = arrange(points, outcomes)
    rows, verdicts = [], []
    if not designs or len(designs[0].x) < FEWEST_POINTS:
        return _frames(rows, verdicts, source)
    asked = sum(design.x.shape[1] * design.y.shape[1] for design in designs)
    with threadpool_limits(1):
        found = screening.resolved_main_effects(
            [design.x for design in designs], [design.y for design in designs], seed, FALSE_ALARMS / 2
        )
        for design, resolved in zip(designs, found, strict=True):
            alone = _alone(design)
            for i, outcome in enumerate(design.outcomes):
                parts = {key: column[:, i] for key, column in alone.items()}
                table, verdict = _of_outcome(design, i, parts, resolved[:, i], asked, seed)
                rows.append(table.assign(arm=design.arm, outcome=outcome))
                verdicts.append({"arm": design.arm, "outcome": outcome, **verdict})
    return _frames(rows, verdicts, source)


def arrange(points: pd.DataFrame, outcomes: pd.DataFrame) -> list[Design]:
    """Return the design of each arm, over the points that every arm has."""
    arms = list(dict.fromkeys(outcomes["arm"]))
    kept = set.intersection(*(set(rows["point"]) for _, rows in outcomes.groupby("arm"))) if arms else set()
    designs = []
    for arm in arms:
        values = points[(points["arm"] == arm) & points["point"].isin(kept)]
        x = values.pivot(index="point", columns="parameter", values="value").sort_index().sort_index(axis=1)
        x = x.loc[:, x.nunique() > 1]
        if x.shape[1] == 0:
            continue
        here = outcomes[(outcomes["arm"] == arm) & outcomes["point"].isin(kept)]
        means, noise = {}, {}
        for endpoint in ENDPOINTS:
            grid = here.pivot(index="point", columns="patient", values=endpoint).astype(float).sort_index()
            means[endpoint], noise[endpoint] = grid.mean(axis=1).to_numpy(), patients_noise(grid)
        whole = [name for name, mean in means.items() if np.isfinite(mean).all()]
        y = np.column_stack([means[name] for name in whole])
        scaled = np.column_stack([scaled_evenly(x[name].to_numpy()) for name in x])
        designs.append(Design(arm, list(x), whole, scaled, y, np.array([noise[name] for name in whole])))
    return designs


def patients_noise(grid: pd.DataFrame) -> float:
    """Return the variance of a point's mean that is due to its few patients.

    Where the same patients stand at every point, what they have in common cancels.
    """
    same = grid.dropna(axis="columns")
    if min(same.shape) >= 2:
        return components(same.to_numpy()).noise
    counts, variances = grid.count(axis=1), grid.var(axis=1)
    return float((variances / counts).mean()) if (counts > 1).any() else 0.0


def scaled_evenly(values: np.ndarray) -> np.ndarray:
    """Return values between 0 and 1, on a logarithmic scale where they lie more evenly there."""
    from scipy.stats import skew

    chosen = values
    if values.min() > 0 and abs(skew(np.log(values))) < abs(skew(values)):
        chosen = np.log(values)
    return (chosen - chosen.min()) / np.ptp(chosen)


def _alone(design: Design) -> dict[str, np.ndarray]:
    """Return the first-order index of each parameter by itself, parameters x outcomes."""
    low, high = screening.main_effect_intervals(design.x, design.y)
    s1 = np.maximum(0, screening.main_effects(design.x, design.y))
    reliability = np.maximum(_reliability(design), 1e-9)
    return {
        name: np.minimum(1, part / reliability)
        for name, part in (("s1", s1), ("s1_low", low), ("s1_high", high))
    }


def _reliability(design: Design) -> np.ndarray:
    """Return the share of the variance between points that is no noise of patients, of each outcome."""
    spread = design.y.var(axis=0, ddof=1)
    return np.clip(1 - design.noise / np.where(spread > 0, spread, np.inf), 0, 1)


def _of_outcome(
    design: Design, i: int, alone: Mapping, resolved: np.ndarray, asked: int, seed: int
) -> tuple[pd.DataFrame, dict]:
    """Return the rows of one outcome of one arm, and what is to be said of them."""
    x, y, reliability = design.x, design.y[:, i], float(_reliability(design)[i])
    n, parameters = x.shape
    table = pd.DataFrame({"parameter": design.names, **alone, "method": ALONE})
    table = table.assign(**dict.fromkeys(("st", "st_low", "st_high"), np.nan), resolved=resolved)
    verdict = {"points": n, "parameters": parameters, "entered": 0, "surrogate": "none", "r2": np.nan}
    verdict |= {"patients_noise": 1 - reliability, "unexplained": 1.0}
    if np.ptp(y) == 0 or reliability == 0:
        empty = dict.fromkeys(INDICES, np.nan)
        said = (
            "the same at every point"
            if np.ptp(y) == 0
            else "points differ no more than their few patients do"
        )
        return table.assign(**empty), {**verdict, "resolved": int(resolved.sum()), "verdict": said}
    if n >= FEWEST_FOR_MANY or parameters <= n // POINTS_PER_PARAMETER:
        surrogate = learn(x, y, seed)
        verdict |= {"r2": r_squared(y, surrogate.held_out), "entered": len(surrogate.entered)}
        if better_than_the_mean(y, surrogate.held_out):
            explained = explained_share(y, surrogate.held_out, reliability, seed)
            table = _with_surrogate(table, surrogate, x, y, explained, asked, seed)
            verdict |= {"surrogate": surrogate.name, "unexplained": 1 - explained[0]}
    verdict["resolved"] = int(table["resolved"].sum())
    return table, {**verdict, "verdict": _verdict(verdict)}


def _with_surrogate(
    table: pd.DataFrame,
    surrogate: Surrogate,
    x: np.ndarray,
    y: np.ndarray,
    explained: np.ndarray,
    asked: int,
    seed: int,
) -> pd.DataFrame:
    indices = surrogate_indices(surrogate, x, y, explained, seed)
    table, rows = table.copy(), surrogate.entered
    for name in INDICES:
        table.loc[rows, name] = getattr(indices, name)
    table.loc[rows, "method"] = f"Sobol on the {surrogate.name} surrogate"
    table["resolved"] |= resolved_totals(surrogate.excess, FALSE_ALARMS / 2 / asked)
    return table


def resolved_totals(excess: np.ndarray, rate: float) -> np.ndarray:
    """Tell for which parameters held-out points are foreseen worse with another point's value.

    Of an inert parameter the error changes as often for the better: one-sided t test at `rate` each.
    """
    from scipy.stats import t

    n = len(excess)
    error = excess.std(axis=0, ddof=1) / np.sqrt(n)
    return excess.mean(axis=0) > t.ppf(1 - rate, n - 1) * np.where(error > 0, error, np.inf)


def r_squared(observed: np.ndarray, foreseen: np.ndarray) -> float:
    """Return the R2 of held-out predictions."""
    return float(1 - np.mean((observed - foreseen) ** 2) / observed.var())


def better_than_the_mean(observed: np.ndarray, foreseen: np.ndarray) -> bool:
    """Tell whether held-out squared errors are less than those of the mean: one-sided t test at 5 %."""
    from scipy.stats import t

    n = len(observed)
    left_out = (observed - observed.mean()) * n / (n - 1)  # from the mean of the others
    gain = left_out**2 - (observed - foreseen) ** 2
    return bool(gain.mean() > t.ppf(1 - FALSE_ALARMS, n - 1) * gain.std(ddof=1) / np.sqrt(n))


def explained_share(observed: np.ndarray, foreseen: np.ndarray, reliability: float, seed: int) -> np.ndarray:
    """Return what share of the variance of expectations is explained, and bootstraps of it over points."""
    rng = np.random.default_rng([seed % 2**32, 4])
    chosen = rng.integers(len(observed), size=(BOOTSTRAPS, len(observed)))
    errors = ((observed - foreseen) ** 2)[chosen].mean(axis=1)
    again = 1 - errors / np.maximum(observed[chosen].var(axis=1), 1e-300)
    return np.clip(np.array([r_squared(observed, foreseen), *again]) / reliability, 0, 1)


def _verdict(found: Mapping) -> str:
    """Say in words how far the indices go."""
    of = f"{found['points']} points for {found['parameters']} parameters"
    if found["surrogate"] != "none":
        share = 100 * (1 - found["unexplained"])
        return f"the {found['surrogate']} surrogate explains {share:.0f} % of what the values do; {of}"
    tried = "no surrogate foresees more than the mean" if found["entered"] else "no surrogate tried"
    if found["resolved"]:
        return f"main effects only, {tried}; {of}"
    if found["points"] < found["parameters"]:
        return f"nothing resolved: {of} are too few to tell the parameters apart"
    return f"nothing resolved, {tried}; {of}"


def rank_parameters(sensitivity: pd.DataFrame, values: Mapping[str, Mapping]) -> pd.DataFrame:
    """Return what is worth measuring better: resolved parameters by index times what measuring is worth.

    Parameters
    ----------
    sensitivity : pandas.DataFrame
        `COLUMNS`.
    values : mapping of str to mapping
        Of the study: ``evidence`` and ``source`` by name of the value.

    Returns
    -------
    pandas.DataFrame
        `RANK_COLUMNS`, of each outcome, and of the primary endpoints together (``outcome`` is
        ``primary endpoints``).  ``index``: total index, or first-order where no surrogate stands, mean
        over arms, with 0 where not resolved; ``arms``: those in which it is resolved.
    """
    known = sensitivity.assign(
        index=sensitivity["st"].fillna(sensitivity["s1"]).where(sensitivity["resolved"], 0.0)
    )
    both = [known, known[known["outcome"].isin(PRIMARY)].assign(outcome="primary endpoints")]
    by = ["source", "outcome", "parameter"]
    groups = pd.concat(both).groupby(by, sort=False)
    table = groups["index"].mean().to_frame().assign(arms=groups["resolved"].sum()).reset_index()
    evidence = {name: values.get(name, {}).get("evidence", "study file") for name in set(table["parameter"])}
    table = table[table["arms"] > 0].assign(
        evidence=lambda rows: rows["parameter"].map(evidence),
        reference=lambda rows: [values.get(name, {}).get("source", "") for name in rows["parameter"]],
    )
    table["worth"] = table["index"] * table["evidence"].map(WORTH).astype(float)
    table = table.sort_values(
        ["source", "outcome", "worth", "parameter"], ascending=[True, True, False, True]
    )
    table["rank"] = table.groupby(["source", "outcome"]).cumcount() + 1
    return table[list(RANK_COLUMNS)].reset_index(drop=True)


def _frames(rows: list, verdicts: list, source: str) -> dict[str, pd.DataFrame]:
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))
    surrogates = pd.DataFrame(verdicts, columns=[name for name in SURROGATE_COLUMNS if name != "source"])
    return {
        "sensitivity": table.assign(source=source)[list(COLUMNS)],
        "sensitivity_surrogates": surrogates.assign(source=source)[list(SURROGATE_COLUMNS)],
    }
