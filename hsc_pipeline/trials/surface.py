"""The chance to reach the endpoint as a function of the design, with what it is worth where not fitted.

The designs are points; each has some patients.  Everything is fitted to counts by point.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
SKILL_COLUMNS = ["arm", "model", "fold", "brier", "skill", "patients"]
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
    middle = np.average(x, axis=0, weights=n)
    stacked = np.vstack([x, x, middle, middle])
    label = np.repeat([1, 0, 1, 0], [len(x), len(x), 1, 1])
    weight = np.concatenate([yes, n - yes, [PRIOR, PRIOR]])
    pipeline, last = _pipeline(model, seed)
    pipeline.fit(stacked, label, **{f"{last}__sample_weight": weight})
    return lambda wanted: pipeline.predict_proba(designs.scaled(np.asarray(wanted, float)))[:, 1]


def _pipeline(model: str, seed: int) -> tuple[object, str]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    if model == "forest":
        forest = RandomForestClassifier(
            TREES, min_weight_fraction_leaf=LEAST_LEAF, n_jobs=1, random_state=seed % 2**32
        )
        return make_pipeline(forest), "randomforestclassifier"
    steps = [StandardScaler()]
    if model == "quadratic":
        steps += [PolynomialFeatures(2, include_bias=False), StandardScaler()]
    line = LogisticRegression(C=RIDGE, max_iter=2000)
    return make_pipeline(*steps, line), "logisticregression"


def judge(designs: Designs, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return skill and calibration of every model in held-out points (and patients, where they are shared).

    Returns
    -------
    skill : pandas.DataFrame
        `SKILL_COLUMNS`: Brier score by model and fold, and skill against the held-out rows' own mean.
    calibration : pandas.DataFrame
        `CALIBRATION_COLUMNS`, held-out rows of all folds together; Wilson's interval between patients.
    """
    from hsc_pipeline.models.evaluation import calibration, chance_scores, grouped_folds

    rows = designs.rows.reset_index(drop=True)
    groups = [rows["point"], rows["patient"]] if designs.crossed else [rows["point"]]
    scores, held = [], {model: [] for model in MODELS}
    for fold, (training, out) in enumerate(grouped_folds(*groups, seed=seed % 2**31)):
        counts, left_out = designs.counts(rows.iloc[training]), rows.iloc[out]
        for model in MODELS:
            chance = fit(model, designs, counts, seed)(left_out[designs.names].to_numpy(float))
            found = chance_scores(left_out["yes"].to_numpy(), chance)
            scores.append((designs.arm, model, fold, found["brier"], found["skill"], len(out)))
            held[model].append(left_out.assign(chance=chance))
    tables = []
    for model, parts in held.items():
        together = pd.concat(parts)
        who = (together["patient"] if designs.crossed else together.index).to_numpy()
        table = calibration(together["yes"].to_numpy(), together["chance"].to_numpy(), who)
        tables.append(table.assign(arm=designs.arm, model=model)[CALIBRATION_COLUMNS])
    return pd.DataFrame(scores, columns=SKILL_COLUMNS), pd.concat(tables, ignore_index=True)


def choose(skill: pd.DataFrame) -> tuple[str, bool]:
    """Return the model to use, and whether it beats one share for every design.

    The simplest model within a standard error of the best Brier score (Breiman et al. 1984,
    10.1201/9781315139470).  It beats the constant if a one-sided t test over folds says so, the level
    divided over the models; the error is widened because folds share training rows.
    """
    from scipy.stats import t

    from hsc_pipeline.models.evaluation import gains

    brier = skill.pivot(index="fold", columns="model", values="brier")[list(MODELS)]
    best = brier.mean().idxmin()
    behind = brier.sub(brier[best], axis=0)
    near = behind.mean() <= behind.std(ddof=1) / np.sqrt(len(brier)) + 1e-12
    chosen = next(model for model in MODELS if near[model])
    candidates = [model for model in MODELS if model != "constant"]
    lost = brier.rename_axis(columns="model").stack().rename("skill").mul(-1).reset_index().assign(target="")
    ts = {model: gains(lost, model, "constant").iloc[0] for model in candidates}
    limit = t.ppf(1 - FALSE_CLAIMS / len(candidates), len(brier) - 1)
    beats = {model: bool(found["t"] > limit) for model, found in ts.items()}
    if chosen == "constant" and any(beats.values()):
        chosen = next(model for model in candidates if beats[model])
    return chosen, beats.get(chosen, False)


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
