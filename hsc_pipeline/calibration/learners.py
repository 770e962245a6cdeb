"""Learned summaries: what each parameter's posterior mean is, as a function of all statistics.

The posterior means are the summaries that lose least for the estimation of the parameters [1]_.
Several kinds of regression learn them, and are stacked by their held-out predictions [2]_.  A
simulation is only ever summarised by learners that have not seen it: otherwise simulations would look
better known than the patient does.

References
----------
.. [1] Fearnhead & Prangle 2012, J R Stat Soc B 74:419, 10.1111/j.1467-9868.2011.01010.x
.. [2] Breiman 1996, Mach Learn 24:49, 10.1007/BF00117832
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FOLDS = 5
MOST_PRODUCTS = 1000  # terms of the quadratic surface; with more, products of statistics are left out
RIDGES = tuple(10.0 ** np.arange(-1, 5))  # penalties that are tried
CURVED_RIDGES = tuple(10.0 ** np.arange(0, 7))
NETWORKS = ((64,), (128, 64))  # neurons by layer; averaged
EPOCHS = 200
STEPS = 100  # of boosting

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class NormalScores:
    """Maps each statistic to the normal score of its rank among the simulations, ties in the middle.

    Whatever unit and tail a statistic has, its score is near linear in that of a parameter which it
    follows closely.  Beyond all simulations the score is that of the last one.

    Attributes
    ----------
    knots, levels : tuple of array of float
        Values that were met, ascending, and their scores; one array a statistic.
    """

    knots: tuple[np.ndarray, ...]
    levels: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> "NormalScores":
        """Learn the map from values, shape (simulations, statistics)."""
        from scipy.special import ndtri

        knots, levels = [], []
        for column in values.T:
            met, counts = np.unique(column, return_counts=True)
            knots.append(met)
            levels.append(ndtri((np.cumsum(counts) - counts / 2) / len(column)))
        return cls(tuple(knots), tuple(levels))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return scores of values, same shape."""
        return np.column_stack(
            [
                np.interp(column, met, level)
                for column, met, level in zip(values.T, self.knots, self.levels, strict=True)
            ]
        )


@dataclass(frozen=True)
class Summaries:
    """Learned summaries of simulations, and the learners that summarise others.

    Attributes
    ----------
    values : array of float, shape (simulations, parameters)
        Of each simulation, by learners that have not seen it.
    fold : array of int, shape (simulations,)
        In which it was left out.
    learners : tuple of callable
        By fold; of features, return predictions of shape (rows, kinds, parameters).
    weights : array of float, shape (kinds, parameters)
        Of the kinds of learners in the stack, in the order of `KINDS`.
    r2 : array of float, shape (parameters,)
        Share of the variance of each parameter's scores that is foreseen in simulations not seen.
    """

    values: np.ndarray
    fold: np.ndarray
    learners: tuple[Predict, ...]
    weights: np.ndarray
    r2: np.ndarray

    def of(self, features: np.ndarray) -> np.ndarray:
        """Summarise features, shape (rows, statistics), by the learners of each fold.

        Returns
        -------
        array of float, shape (folds, rows, parameters)
        """
        return np.stack([stacked(predict(features), self.weights) for predict in self.learners])


def learn(features: np.ndarray, z: np.ndarray, seed: int) -> Summaries:
    """Learn a summary per parameter in folds.

    Parameters
    ----------
    features : array of float, shape (simulations, statistics)
        `NormalScores`.
    z : array of float, shape (simulations, parameters)
        Scores of the parameters.
    seed : int

    Returns
    -------
    Summaries
    """
    from scipy.optimize import nnls

    fold = np.random.default_rng(seed).permutation(len(z)) % FOLDS
    held_out = np.empty((len(z), len(KINDS), z.shape[1]))
    learners = []
    for number in range(FOLDS):
        there = fold == number
        predict = _fit(features[~there], z[~there], seed)
        held_out[there] = predict(features[there])
        learners.append(predict)
    weights = np.column_stack([nnls(held_out[:, :, i], z[:, i])[0] for i in range(z.shape[1])])
    values = stacked(held_out, weights)
    r2 = 1 - ((z - values) ** 2).mean(axis=0) / z.var(axis=0)
    return Summaries(values, fold, tuple(learners), weights, r2)


def stacked(predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum over kinds, shape (rows, parameters)."""
    return (predictions * weights).sum(axis=1)


def _fit(x: np.ndarray, z: np.ndarray, seed: int) -> Predict:
    """Fit the linear learner, and all others to what it leaves."""
    linear = _linear(x, z)
    left = z - linear(x)
    others = [fit(x, left, seed) for fit in CURVED.values()]

    def predict(features: np.ndarray) -> np.ndarray:
        return np.stack([linear(features), *(other(features) for other in others)], axis=1)

    return predict


def _linear(x: np.ndarray, z: np.ndarray) -> Predict:
    from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(alphas=RIDGES, alpha_per_target=True).fit(x, z)
    return lambda features: ridge.predict(features).reshape(len(features), -1)


def _surface(x: np.ndarray, z: np.ndarray, seed: int) -> Predict:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

    k = x.shape[1]
    if k * (k + 3) / 2 <= MOST_PRODUCTS:
        terms = PolynomialFeatures(2, include_bias=False)
    else:
        terms = FunctionTransformer(_with_squares)
    ridge = RidgeCV(alphas=CURVED_RIDGES, alpha_per_target=True)
    model = make_pipeline(terms, StandardScaler(), ridge).fit(x, z)
    return lambda features: model.predict(features).reshape(len(features), -1)


def _with_squares(x: np.ndarray) -> np.ndarray:
    return np.hstack([x, x**2])


def _boosting(x: np.ndarray, z: np.ndarray, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings = dict(
        max_iter=STEPS,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    models = [HistGradientBoostingRegressor(**settings).fit(x, column) for column in z.T]
    return lambda features: np.column_stack([model.predict(features) for model in models])


def _networks(x: np.ndarray, z: np.ndarray, seed: int) -> Predict:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    settings = dict(
        alpha=3.0, max_iter=EPOCHS, early_stopping=True, learning_rate_init=2e-3, random_state=seed % 2**32
    )
    models = [MLPRegressor(hidden_layer_sizes=neurons, **settings) for neurons in NETWORKS]
    target = z if z.shape[1] > 1 else z[:, 0]
    with warnings.catch_warnings():
        # The weight in the stack says whether a network was trained for long enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for model in models:
            model.fit(x, target)
    return lambda features: np.mean(
        [model.predict(features).reshape(len(features), -1) for model in models], axis=0
    )


CURVED = {"quadratic surface": _surface, "gradient boosting": _boosting, "neural networks": _networks}
KINDS = ("linear", *CURVED)
