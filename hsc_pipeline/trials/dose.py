"""Dose finding: the share that reaches the endpoint against one value of the design."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.trials.cohort import Cohort
from hsc_pipeline.trials.power import TAIL, interval
from hsc_pipeline.trials.surface import Designs, fit, resampled

FEWEST_DOSES = 3  # a line through two always fits
ED_SHARE = 0.9  # of the share at the highest dose
BOOTSTRAPS = 200
CURVE_POINTS = 41
COLUMNS = [
    "arm",
    "parameter",
    "kind",
    "what",
    "dose",
    "dose_low",
    "dose_high",
    "share",
    "low",
    "high",
    "patients",
    "lack_of_fit_p",
    "spans",
]
OBSERVED = "between virtual patients, 90 %"
FITTED = "of the fit over the simulated patients and points, 90 % bootstrap"


def designs_of_arms(
    cohorts: Mapping[str, Cohort], values: Mapping[str, Mapping[str, object]], same_patients: bool
) -> Iterator[Designs]:
    """Yield the designs among the arms: at least three doses of one value, all else alike.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
    values : mapping of str to mapping of str to value
        All values of each arm.
    same_patients : bool
        Whether the arms hold the same virtual patients.
    """
    table = pd.DataFrame.from_dict({arm: dict(own) for arm, own in values.items()}, orient="index")
    varying = [name for name in table if table[name].map(repr).nunique() > 1]
    for name in varying:
        if not table[name].map(lambda value: isinstance(value, int | float)).all():
            continue
        others = [other for other in varying if other != name]
        alike = table[others].map(repr).agg("|".join, axis=1) if others else pd.Series("", table.index)
        for _, group in table.groupby(alike, sort=False):
            if group[name].nunique() >= FEWEST_DOSES:
                yield _of_arms(name, [cohorts[arm] for arm in group.index], values, same_patients)


def _of_arms(name: str, arms: Sequence[Cohort], values: Mapping, same_patients: bool) -> Designs:
    parts = []
    for place, cohort in enumerate(arms):
        patients = cohort.patients if same_patients else cohort.patients + place * (cohort.patients.max() + 1)
        dose = float(values[cohort.arm][name])
        parts.append(pd.DataFrame({"point": place, "patient": patients, "yes": cohort.yes, name: dose}))
    doses = np.unique([float(values[cohort.arm][name]) for cohort in arms])
    return Designs("all arms", {name: doses}, {name: is_logarithmic(doses)}, pd.concat(parts))


def is_logarithmic(doses: np.ndarray) -> bool:
    """Return whether doses are nearer to equal ratios than to equal steps."""
    if doses.min() <= 0:
        return False
    spread = [np.diff(scaled).std() / np.ptp(scaled) for scaled in (doses, np.log(doses))]
    return bool(spread[1] < spread[0])


def dose_table(designs: Designs, target: float, seed: int) -> pd.DataFrame:
    """Return observed shares, logistic curve and doses that answer, for each swept value.

    Other swept values stand at the middle of their axes.  ``lack_of_fit_p`` is Pearson's chi-square of
    the points against the curve: a small one says that the line does not fit.

    Parameters
    ----------
    designs : Designs
    target : float
        Share that should reach the endpoint.
    seed : int

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`.  ``kind`` is ``observed`` (by dose, only where one value is swept), ``curve`` or
        ``answer``; an answer has no dose where none in the range tried is enough, and the least
        dose tried where that is enough already.
    """
    counts = designs.counts()
    chance = fit("logistic", designs, counts, seed)
    rng = np.random.default_rng([seed % 2**63, 7])
    draws = [fit("logistic", designs, sample, seed) for sample in resampled_within(designs, rng)]
    p = lack_of_fit(chance, counts)
    parts = [_observed(designs)] if len(designs.names) == 1 else []
    for name in designs.names:
        doses, grid = _line(designs, name)
        share, shares = chance(grid), np.stack([draw(grid) for draw in draws])
        low, high = np.quantile(shares, [TAIL, 1 - TAIL], axis=0)
        curve = {"kind": "curve", "dose": doses, "share": share, "low": low, "high": high}
        parts.append(pd.DataFrame(curve).assign(parameter=name, spans=FITTED))
        parts.append(_answers(name, doses, share, shares, target))
    table = pd.concat(parts, ignore_index=True).assign(arm=designs.arm, lack_of_fit_p=p)
    return table.reindex(columns=COLUMNS)


def resampled_within(designs: Designs, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Yield bootstrap counts; where points are few doses, their patients alone are drawn anew."""
    values, yes, n = designs.counts()
    if len(values) > 2 * FEWEST_DOSES:
        yield from resampled(designs, BOOTSTRAPS, rng)
        return
    table = designs.rows.pivot(index="point", columns="patient", values="yes").astype(float)
    for _ in range(BOOTSTRAPS):
        if designs.crossed:
            drawn = rng.multinomial(table.shape[1], np.full(table.shape[1], 1 / table.shape[1]))
            yield [values, table.to_numpy() @ drawn, np.full(len(values), float(drawn.sum()))]
        else:
            yield [values, rng.binomial(n.astype(int), yes / n).astype(float), n]


def lack_of_fit(chance: Any, counts: Sequence[np.ndarray]) -> float:
    """Return the p of Pearson's chi-square between points and curve; nothing without degrees of freedom."""
    from scipy.stats import chi2

    values, yes, n = counts
    freedom = len(values) - values.shape[1] - 1
    if freedom < 1:
        return np.nan
    share = np.clip(chance(values), 1e-9, 1 - 1e-9)
    return float(chi2.sf(((yes - n * share) ** 2 / (n * share * (1 - share))).sum(), freedom))


def _observed(designs: Designs) -> pd.DataFrame:
    name = designs.names[0]
    grouped = designs.rows.groupby(name)["yes"].agg(["sum", "size"])
    rows = [
        (dose, row["sum"] / row["size"], *interval(int(row["sum"]), int(row["size"])), row["size"])
        for dose, row in grouped.iterrows()
    ]
    table = pd.DataFrame(rows, columns=["dose", "share", "low", "high", "patients"])
    return table.assign(kind="observed", parameter=name, spans=OBSERVED)


def _line(designs: Designs, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return doses over the range of one value, and designs with the others at their middle."""
    space = np.geomspace if designs.logarithmic[name] else np.linspace
    axis = designs.axes[name]
    doses = space(axis.min(), axis.max(), CURVE_POINTS)
    middle = {other: _middle(axis, designs.logarithmic[other]) for other, axis in designs.axes.items()}
    return doses, np.column_stack([doses if n == name else np.full(len(doses), middle[n]) for n in middle])


def _middle(axis: np.ndarray, logarithmic: bool) -> float:
    if logarithmic:
        return float(np.sqrt(axis.min() * axis.max()))
    return float((axis.min() + axis.max()) / 2)


def _answers(
    name: str, doses: np.ndarray, share: np.ndarray, shares: np.ndarray, target: float
) -> pd.DataFrame:
    rows = []
    wanted = {
        f"least dose with a share of {target:g}": lambda curve: target,
        f"dose with {ED_SHARE:g} of the share at the highest dose": lambda curve: ED_SHARE * curve[-1],
    }
    for what, level in wanted.items():
        found = np.array([first_dose(doses, curve, level(curve)) for curve in shares])
        low, high = np.quantile(found, [TAIL, 1 - TAIL], method="inverted_cdf")
        rows.append((what, first_dose(doses, share, level(share)), low, high, float(level(share))))
    table = pd.DataFrame(rows, columns=["what", "dose", "dose_low", "dose_high", "share"])
    table = table.replace([np.inf, -np.inf], np.nan)
    return table.assign(kind="answer", parameter=name, spans=FITTED + "; empty: above the highest dose")


def first_dose(doses: np.ndarray, curve: np.ndarray, level: float) -> float:
    """Return the least dose whose share reaches a level, linear between doses; infinite if none does."""
    enough = np.flatnonzero(curve >= level - 1e-12)
    if not len(enough):
        return np.inf
    first = int(enough[0])
    if first == 0:
        return float(doses[0])
    step = (level - curve[first - 1]) / (curve[first] - curve[first - 1])
    return float(doses[first - 1] + step * (doses[first] - doses[first - 1]))
