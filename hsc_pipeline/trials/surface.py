"""The chance to reach the endpoint as a function of the design, with what it is worth where not fitted.

The designs are points; each has some patients.  Everything is fitted to counts by point.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

# From the simplest to the most flexible.
MODELS = {
    "constant": "one share for every design",
    "logistic": "logistic in the swept values",
    "quadratic": "logistic in the values, their squares and products",
    "forest": "random forest of classification trees",
}
RIDGE = 10.0  # inverse of the penalty on standardised values: weak, so that separation has an end
PRIOR = 0.5  # patients with and without the endpoint at the middle of the design, before the data
TREES = 50
LEAST_LEAF = 0.05  # share of the patients
FALSE_CLAIMS = 0.05  # chance that noise passes for an effect of the design
PERMUTATIONS = 99
SMOOTH = ("logistic", "quadratic")  # whose gain over the constant is tested
SKILL_COLUMNS = ["arm", "model", "point", "brier", "patients", "p_design"]
CALIBRATION_COLUMNS = ["arm", "model", "bin", "predicted", "observed", "low", "high", "rows", "patients"]

Chance = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Designs:
    """Simulated designs of one arm.

    Attributes
    ----------
    arm : str
    axes : mapping of str to numpy.ndarray of float
        Values tried of each swept name, on which a search looks for a design.
    logarithmic : mapping of str to bool
    rows : pandas.DataFrame
        A row a patient: ``point``, ``patient``, ``yes``, and a column for each swept name.
    """

    arm: str
    axes: Mapping[str, np.ndarray]
    logarithmic: Mapping[str, bool]
    rows: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """Swept names."""
        return list(self.axes)

    @property
    def crossed(self) -> bool:
        """Whether the same patients stand at several points."""
        return bool((self.rows.groupby("patient")["point"].nunique() > 1).any())

    def counts(self, rows: pd.DataFrame | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return values, patients with the endpoint and patients by point."""
        grouped = (self.rows if rows is None else rows).groupby("point", sort=True)
        values = grouped[self.names].first().to_numpy(float)
        return values, grouped["yes"].sum().to_numpy(float), grouped["yes"].size().to_numpy(float)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return values, logarithms where the sweep is logarithmic."""
        flags = np.array([self.logarithmic[name] for name in self.names])
        return np.where(flags, np.log10(np.where(flags, values, 1.0)), values)


def fit(model: str, designs: Designs, counts: Sequence[np.ndarray], seed: int) -> Chance:
    """Fit one of `MODELS` to counts by point.

    Parameters
    ----------
    model : str
    designs : Designs
    counts : (values, yes, n)
        Of `Designs.counts`; points with weight 0 are left out.
    seed : int

    Returns
    -------
    callable
        From values, shape (k, names), to chances, shape (k,).
    """
    values, yes, n = (np.asarray(part, float) for part in counts)
    kept = n > 0
    x, yes, n = designs.scaled(values[kept]), yes[kept], n[kept]
    if model == "constant":
        share = (yes.sum() + PRIOR) / (n.sum() + 2 * PRIOR)
        return lambda wanted: np.full(len(wanted), share)
    middle, spread = np.average(x, axis=0, weights=n), x.std(axis=0)
    spread[spread == 0] = 1.0

    def features(values: np.ndarray) -> np.ndarray:
        z = (designs.scaled(np.asarray(values, float)) - middle) / spread
        return z if model != "quadratic" else np.hstack([z, _products(z)])

    known = features(values[kept])
    stacked = np.vstack([known, known, np.zeros((2, known.shape[1]))])
    label = np.repeat([1, 0, 1, 0], [len(x), len(x), 1, 1])
    weight = np.concatenate([yes, n - yes, [PRIOR, PRIOR]])
    fitted = _estimator(model, seed).fit(stacked, label, sample_weight=weight)
    return lambda wanted: fitted.predict_proba(features(wanted))[:, 1]


def _products(z: np.ndarray) -> np.ndarray:
    """Return squares and products of columns."""
    first, second = np.triu_indices(z.shape[1])
    return z[:, first] * z[:, second]


def _estimator(model: str, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if model == "forest":
        return RandomForestClassifier(
            TREES, min_weight_fraction_leaf=LEAST_LEAF, n_jobs=1, random_state=seed % 2**32
        )
    return LogisticRegression(C=RIDGE, solver="newton-cholesky")


def judge(designs: Designs, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return skill and calibration of every model in held-out points (and patients, where they are shared).

    Returns
    -------
    skill : pandas.DataFrame
        `SKILL_COLUMNS`: Brier score of the held-out patients by model and point; ``p_design`` of
        `permutation_p`.
    calibration : pandas.DataFrame
        `CALIBRATION_COLUMNS`, held-out rows of all folds together; Wilson's interval between patients.
    """
    from hsc_pipeline.models.evaluation import calibration

    rows, folds = designs.rows.reset_index(drop=True), _folds(designs, seed)
    p = permutation_p(designs, folds, seed)
    skills, calibrations = [], []
    for model in MODELS:
        parts = []
        for training, out in folds:
            left_out = rows.iloc[out]
            chance = fit(model, designs, designs.counts(rows.iloc[training]), seed)
            parts.append(left_out.assign(chance=chance(left_out[designs.names].to_numpy(float))))
        together = pd.concat(parts)
        loss = ((together["yes"] - together["chance"]) ** 2).groupby(together["point"])
        scores = pd.DataFrame({"brier": loss.mean(), "patients": loss.size()}).reset_index()
        skills.append(scores.assign(arm=designs.arm, model=model, p_design=p)[SKILL_COLUMNS])
        who = (together["patient"] if designs.crossed else together.index).to_numpy()
        table = calibration(together["yes"].to_numpy(), together["chance"].to_numpy(), who)
        calibrations.append(table.assign(arm=designs.arm, model=model)[CALIBRATION_COLUMNS])
    return pd.concat(skills, ignore_index=True), pd.concat(calibrations, ignore_index=True)


def _folds(designs: Designs, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from hsc_pipeline.models.evaluation import grouped_folds

    groups = [designs.rows["point"], designs.rows["patient"]] if designs.crossed else [designs.rows["point"]]
    return list(grouped_folds(*groups, seed=seed % 2**31))


def permutation_p(designs: Designs, folds: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> float:
    """Return the chance that designs without effect foresee held-out points as well as these do.

    The designs are dealt out to the points at random, with the patients of each point kept together; the
    statistic is the largest gain of `SMOOTH` models in held-out Brier score over the constant
    (Ojala & Garriga 2010, JMLR 11:1833).
    """
    rng = np.random.default_rng([seed % 2**63, 13])
    values, _, _ = designs.counts()
    points, point = np.unique(designs.rows["point"], return_inverse=True)
    yes = designs.rows["yes"].to_numpy(float)

    def counted(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        where = point[rows]
        return np.bincount(where, yes[rows], len(points)), np.bincount(where, minlength=len(points))

    counts = [(counted(training), counted(out)) for training, out in folds]

    def gain(order: np.ndarray) -> float:
        loss = dict.fromkeys(("constant", *SMOOTH), 0.0)
        for training, (hits, n) in counts:
            for model in loss:
                chance = fit(model, designs, (values[order], *training), seed)(values[order])
                loss[model] += float((hits * (1 - chance) ** 2 + (n - hits) * chance**2).sum())
        return max(loss["constant"] - loss[model] for model in SMOOTH)

    seen = gain(np.arange(len(points)))
    dealt = [gain(rng.permutation(len(points))) for _ in range(PERMUTATIONS)]
    return (1 + sum(other >= seen for other in dealt)) / (1 + PERMUTATIONS)


def choose(skill: pd.DataFrame) -> tuple[list[str], bool]:
    """Return the models that the data do not tell apart, and whether they beat one share for every design.

    Those within a standard error of the best Brier score (Breiman et al. 1984, 10.1201/9781315139470), the
    simplest first; where designs have an effect by `permutation_p`, without the constant.  They beat it if
    designs have that effect and the first has a better score.

    Parameters
    ----------
    skill : pandas.DataFrame
        Of `judge`, one arm.
    """
    brier = skill.pivot(index="point", columns="model", values="brier")[list(MODELS)]
    behind = brier.sub(brier[brier.mean().idxmin()], axis=0)
    near = behind.mean() <= behind.sem() + 1e-12
    matters = bool(skill["p_design"].iloc[0] <= FALSE_CLAIMS)
    models = [model for model in MODELS if near[model] and (model != "constant" or not matters)]
    models = models or ["constant"]
    return models, matters and bool(brier[models[0]].mean() < brier["constant"].mean())


def resampled(designs: Designs, draws: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Yield counts by point of bootstrap samples of points, and of patients where points share them.

    Both factors of a crossed table are drawn anew, the weights multiply: the pigeonhole bootstrap (Owen
    2007, 10.1214/07-AOAS122), whose intervals are not too narrow.
    """
    rows = designs.rows
    values, _, _ = designs.counts()
    points, point = np.unique(rows["point"], return_inverse=True)
    patients, patient = np.unique(rows["patient"], return_inverse=True)
    yes = rows["yes"].to_numpy(float)
    for _ in range(draws):
        weight = rng.multinomial(len(points), np.full(len(points), 1 / len(points)))[point].astype(float)
        if designs.crossed:
            weight *= rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)))[patient]
        else:  # patients stand at one point: they are drawn within it
            weight *= _within(point, len(points), rng)
        yield [
            values,
            np.bincount(point, weight * yes, len(points)),
            np.bincount(point, weight, len(points)),
        ]


def _within(point: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each row is drawn when as many rows as a point has are drawn from it."""
    weight = np.zeros(len(point))
    for one in range(points):
        rows = np.flatnonzero(point == one)
        weight[rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)))
    return weight
