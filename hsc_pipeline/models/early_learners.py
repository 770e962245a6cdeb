"""Learners of early prediction: a baseline, a linear model, a forest, and a nested choice of the two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsc_pipeline.models.evaluation import grouped_folds

# Weights of the squared coefficients; three decades around one part in ten of some hundred patients.
PENALTIES = (3.0, 30.0, 300.0)
TREES = 40
SMALLEST_LEAF = 5
FEATURES_TRIED = 1 / 3  # of all at each branch
INNER_FOLDS = 3
MODELS = ("constant", "linear", "forest", "chosen")
MOST_TRAINING_ROWS = 3000  # more cost minutes, and the learning curve is flat by then


@dataclass(frozen=True)
class HeldOut:
    """Predictions of rows by models that met neither the row's patient nor its design point.

    Attributes
    ----------
    predicted : dict of str to numpy.ndarray, shape (rows,)
        By model; NaN in rows that no fold holds out, as where patients and points are crossed.
    fold : numpy.ndarray of int, shape (rows,)
        That held out the row; -1 if none did.
    fits : list of (dict of str to estimator, numpy.ndarray of int)
        Models of each fold, and the places of the rows that it held out.
    training_patients : float
        Patients that a fold learnt from, mean over folds.
    """

    predicted: Mapping[str, np.ndarray]
    fold: np.ndarray
    fits: Sequence[tuple[Mapping[str, object], np.ndarray]]
    training_patients: float

    @property
    def scored(self) -> np.ndarray:
        """Whether each row was held out."""
        return self.fold >= 0


def hold_out(
    matrix: np.ndarray,
    y: np.ndarray,
    groups: Sequence[np.ndarray],
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    events: bool,
    seed: int,
    most_patients: int | None = None,
) -> HeldOut:
    """Fit every model in each fold and predict the rows that the fold holds out.

    Parameters
    ----------
    matrix : numpy.ndarray, shape (rows, features)
        NaN where not measured.
    y : numpy.ndarray of float, shape (rows,)
        0 or 1 where `events`.
    groups : sequence of numpy.ndarray, shape (rows,)
        Patients, and design points if there are any.
    folds : sequence of (training, held_out)
        Of `grouped_folds`.
    events : bool
        Whether y says what happens, or how much there is.
    seed : int
    most_patients : int, optional
        Learn from so many patients of each fold only.
    """
    predicted = {name: np.full(len(y), np.nan) for name in MODELS}
    which, fits, learnt = np.full(len(y), -1), [], []
    for fold, (training, held) in enumerate(folds):
        training = _thinned(training, groups[0], most_patients, seed + fold)
        learnt.append(len(np.unique(groups[0][training])))
        models = fit_models(
            matrix[training], y[training], [group[training] for group in groups], events, seed + fold
        )
        for name, model in models.items():
            predicted[name][held] = predict(model, matrix[held])
        which[held] = fold
        fits.append((models, held))
    return HeldOut(predicted, which, fits, float(np.mean(learnt)))


def _thinned(training: np.ndarray, patients: np.ndarray, most_patients: int | None, seed: int) -> np.ndarray:
    """Keep so many patients drawn at random, and never more rows than `MOST_TRAINING_ROWS`."""
    own = patients[training]
    order = np.random.default_rng(seed % 2**32).permutation(np.unique(own))
    if most_patients is None or most_patients > len(order):
        most_patients = len(order)
    if len(own) > MOST_TRAINING_ROWS:
        most_patients = min(most_patients, max(1, MOST_TRAINING_ROWS * len(order) // len(own)))
    return training[np.isin(own, order[:most_patients])]


def fit_models(
    matrix: np.ndarray, y: np.ndarray, groups: Sequence[np.ndarray], events: bool, seed: int
) -> dict[str, object]:
    """Return `MODELS` fitted: penalty and kind of the chosen one follow from folds within these rows.

    Everything is the constant where nothing varies.
    """
    from sklearn.base import clone
    from sklearn.dummy import DummyRegressor

    constant = DummyRegressor().fit(matrix, y)
    if np.ptp(y) == 0:
        return dict.fromkeys(MODELS, constant)
    options = candidates(events, seed)
    losses = dict.fromkeys(options, 0.0)
    for training, held in grouped_folds(*groups, seed=seed, folds=INNER_FOLDS):
        for name, option in options.items():
            varies = np.ptp(y[training]) > 0
            model = (clone(option) if varies else DummyRegressor()).fit(matrix[training], y[training])
            losses[name] += float(np.sum((predict(model, matrix[held]) - y[held]) ** 2))
    best_linear = min((name for name in options if name != "forest"), key=losses.__getitem__)
    fitted = {
        "constant": constant,
        "linear": clone(options[best_linear]).fit(matrix, y),
        "forest": clone(options["forest"]).fit(matrix, y),
    }
    better = "forest" if losses["forest"] < losses[best_linear] else "linear"
    return {**fitted, "chosen": fitted[better]}


def predict(model: Any, matrix: np.ndarray) -> np.ndarray:
    """Return probabilities of the event, or amounts."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(matrix)[:, 1]
    return model.predict(matrix)


def candidates(events: bool, seed: int) -> dict[str, object]:
    """Return the models between which the inner folds choose, not yet fitted.

    The linear ones see logarithms, imputed medians and indicators of what is missing; trees see
    the numbers, and send what is missing to the side that fits.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    trees = dict(
        min_samples_leaf=SMALLEST_LEAF, max_features=FEATURES_TRIED, n_jobs=1, random_state=seed % 2**32
    )
    if events:
        lines = {
            penalty: LogisticRegression(C=1 / penalty, max_iter=1000, random_state=0) for penalty in PENALTIES
        }
        forest = ExtraTreesClassifier(TREES, **trees)
    else:
        lines = {penalty: Ridge(alpha=penalty) for penalty in PENALTIES}
        forest = ExtraTreesRegressor(TREES, **trees)
    return {f"linear, penalty {penalty:g}": _line(line) for penalty, line in lines.items()} | {
        "forest": forest
    }


def _line(model: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    # Counts and copies spread over decades, and none of the features is negative.
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(FunctionTransformer(np.log1p), impute, StandardScaler(), model)
