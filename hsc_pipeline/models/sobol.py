"""Sobol indices of a function, or of a surrogate that was learnt from a few hundred points.

The surrogates are linear in the outcome once their scales are chosen (ridge regressions and a Gaussian
process), so that a whole bootstrap is one more fit with many columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

LEVEL = 0.90  # of the indices' intervals
BASE = 1024  # of Saltelli's sample; times the parameters and two are the evaluations
RESAMPLES = 100  # of SALib, for a function that is known
BOOTSTRAPS = 40  # of the surrogate
RESAMPLES_EACH = 5  # of SALib for each of them
FOLDS = 5
SUBSTITUTES = 20  # values that replace a parameter's at a held-out point
POINTS_PER_PARAMETER = 5  # of the surrogate: more parameters than that are screened first
MOST_ENTERED = 20
RIDGES = np.logspace(-6, 4, 21)
KERNEL_STEPS = 40  # of the search for the length scales of the Gaussian process


@dataclass(frozen=True)
class Indices:
    """First-order and total indices with their intervals, each an array over the parameters."""

    s1: np.ndarray
    s1_low: np.ndarray
    s1_high: np.ndarray
    st: np.ndarray
    st_low: np.ndarray
    st_high: np.ndarray


@dataclass(frozen=True)
class Surrogate:
    """A surrogate with what it makes of points that it has not seen.

    Attributes
    ----------
    name : str
        ``linear``, ``quadratic`` or ``gaussian process``.
    entered : numpy.ndarray of int
        Columns that it uses.
    model : fitted estimator of scikit-learn
    held_out : numpy.ndarray
        Prediction of each point by models that did not learn from it; choice of columns and of the
        surrogate are theirs too.
    excess : numpy.ndarray
        Points x parameters: squared error that a held-out point gains when the parameter's value is
        another point's.  Its mean over the variance is twice the total index.
    """

    name: str
    entered: np.ndarray
    model: Any
    held_out: np.ndarray
    excess: np.ndarray


def sobol_indices(
    evaluate: Callable[[np.ndarray], np.ndarray],
    quantiles: Callable[[np.ndarray], np.ndarray],
    parameters: int,
    seed: int,
    base: int = BASE,
) -> Indices:
    """Return the indices of a known function, with intervals of SALib's resampling.

    Parameters
    ----------
    evaluate : callable
        From points x parameters to one value a point.
    quantiles : callable
        From numbers between 0 and 1, points x parameters, to the parameters' values.
    parameters : int
    seed : int
    base : int
        A power of two.

    References
    ----------
    .. [1] Saltelli et al. 2010, Comput Phys Commun 181:259, 10.1016/j.cpc.2009.09.018
    .. [2] Iwanaga, Usher & Herman 2022, SESMO 4:18155, 10.18174/sesmo.18155 (SALib)
    """
    y = evaluate(quantiles(saltelli_sample(parameters, base, seed)))
    found, s1, st = _analyse(y, parameters, seed, RESAMPLES)
    return _with_intervals(found, s1, st)


def saltelli_sample(parameters: int, base: int, seed: int) -> np.ndarray:
    """Return SALib's design for first-order and total indices in the unit cube."""
    from SALib.sample import sobol

    return sobol.sample(_problem(parameters), base, calc_second_order=False, seed=_seed(seed))


def _analyse(y: np.ndarray, parameters: int, seed: int, resamples: int) -> tuple:
    """Return both indices, and SALib's resamples of each."""
    from SALib.analyze import sobol

    if np.ptp(y) <= 1e-12 * max(1.0, np.abs(y).max()):
        nothing = np.zeros((resamples, parameters))
        return (nothing[0], nothing[0]), nothing, nothing
    found = sobol.analyze(
        _problem(parameters),
        y,
        calc_second_order=False,
        num_resamples=resamples,
        keep_resamples=True,
        seed=_seed(seed),
    )
    return (found["S1"], found["ST"]), found["S1_conf_all"], found["ST_conf_all"]


def _problem(parameters: int) -> dict:
    names = [f"x{i}" for i in range(parameters)]
    return {"num_vars": parameters, "names": names, "bounds": [[0.0, 1.0]] * parameters}


def _seed(seed: int) -> int:
    return seed % 2**31 + 1  # SALib takes 0 for none


def _with_intervals(found: tuple, s1: np.ndarray, st: np.ndarray) -> Indices:
    """Return indices with the basic bootstrap interval: what resampling adds is taken off.

    An inert parameter's total index is a mean of squares, and above zero however little it does; the
    resamples are as much above the estimate as that is above the truth.
    """
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = []
    for estimate, resamples in zip(found, (s1, st), strict=True):
        low, high = np.quantile(resamples, tails, axis=0)
        middle = 2 * estimate - np.median(resamples, axis=0)
        ends += [np.clip(part, 0, 1) for part in (middle, 2 * estimate - high, 2 * estimate - low)]
    return Indices(*ends)


def surrogate_indices(
    surrogate: Surrogate, x: np.ndarray, y: np.ndarray, explained: np.ndarray, seed: int
) -> Indices:
    """Return the indices of the entered parameters as shares of the variance of the expectation.

    The surrogate is learnt anew from its own predictions with held-out errors drawn with
    replacement, and each time SALib resamples its sample, so that the intervals hold both errors.  What
    the surrogate leaves unexplained may belong to any parameter, and is added to the upper ends.

    Parameters
    ----------
    surrogate : Surrogate
    x : numpy.ndarray
        Points x parameters, scaled.
    y : numpy.ndarray
    explained : numpy.ndarray
        Share of the variance that the surrogate explains: the estimate, then `BOOTSTRAPS` resamples.
    seed : int
    """
    inner = x[:, surrogate.entered]
    rng = np.random.default_rng([seed % 2**32, 1])
    errors = y - surrogate.held_out
    drawn = rng.choice(errors - errors.mean(), size=(BOOTSTRAPS, len(y))).T
    fitted = surrogate.model.predict(inner)
    again = relearnt(surrogate, inner, fitted[:, None] + drawn, float(errors.var()))
    sample = saltelli_sample(inner.shape[1], BASE, seed)
    points = marginal_quantiles(inner, sample)
    parts = inner.shape[1]
    found, *_ = _analyse(surrogate.model.predict(points), parts, seed, RESAMPLES_EACH)
    resamples = [
        _analyse(column, parts, seed + i, RESAMPLES_EACH)[1:] for i, column in enumerate(again(points).T)
    ]
    s1, st = (
        np.concatenate([share * kind for share, kind in zip(explained[1:], kinds, strict=True)])
        for kinds in zip(*resamples, strict=True)
    )
    indices = _with_intervals(tuple(explained[0] * part for part in found), s1, st)
    unexplained = 1 - explained[0]
    return replace(
        indices,
        s1_high=np.minimum(1, indices.s1_high + unexplained),
        st_high=np.minimum(1, indices.st_high + unexplained),
    )


def marginal_quantiles(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the quantiles of the points' own values, so that levels of a grid stay levels."""
    return np.column_stack([np.quantile(x[:, i], u[:, i]) for i in range(x.shape[1])])


def learn(x: np.ndarray, y: np.ndarray, seed: int) -> Surrogate:
    """Return the surrogate of `y`, chosen by leave-one-out error, and its held-out predictions.

    Parameters
    ----------
    x : numpy.ndarray
        Points x parameters, scaled to about 0 to 1.
    y : numpy.ndarray
    seed : int
    """
    from sklearn.model_selection import KFold

    rng = np.random.default_rng([seed % 2**32, 2])
    held_out, excess = np.empty(len(y)), np.zeros(x.shape)
    for train, test in KFold(min(FOLDS, len(y)), shuffle=True, random_state=seed % 2**32).split(x):
        entered = entering(x[train], y[train])
        _, model = best(x[np.ix_(train, entered)], y[train])
        at = x[np.ix_(test, entered)]
        held_out[test] = model.predict(at)
        error = (y[test] - held_out[test]) ** 2
        for place, column in enumerate(entered):
            other = np.repeat(at, SUBSTITUTES, axis=0)
            other[:, place] = rng.choice(x[:, column], len(other))
            moved = (np.repeat(y[test], SUBSTITUTES) - model.predict(other)) ** 2
            excess[test, column] = moved.reshape(len(test), SUBSTITUTES).mean(axis=1) - error
    entered = entering(x, y)
    name, model = best(x[:, entered], y)
    return Surrogate(name, entered, model, held_out, excess)


def entering(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the columns that a surrogate may use: all if points allow, else the first by main effect."""
    from hsc_pipeline.models.screening import main_effects

    most = min(MOST_ENTERED, max(2, len(y) // POINTS_PER_PARAMETER))
    if x.shape[1] <= most:
        return np.arange(x.shape[1])
    return np.sort(np.argsort(-main_effects(x, y[:, None])[:, 0], kind="stable")[:most])


def best(x: np.ndarray, y: np.ndarray) -> tuple[str, Any]:
    """Return name and model with the least leave-one-out error, each from its closed form."""
    fitted = {"linear": _ridge(1, x, y), "quadratic": _ridge(2, x, y), "gaussian process": _process(x, y)}
    name = min(fitted, key=lambda one: fitted[one][1])
    return name, fitted[name][0]


def _ridge(degree: int, x: np.ndarray, y: np.ndarray) -> tuple[object, float]:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    steps = (PolynomialFeatures(degree, include_bias=False), StandardScaler(), RidgeCV(RIDGES))
    model = make_pipeline(*steps).fit(x, y)
    return model, -model[-1].best_score_


def _process(x: np.ndarray, y: np.ndarray) -> tuple[object, float]:
    """Return a Gaussian process with a length scale a parameter, and its leave-one-out error [1]_.

    References
    ----------
    .. [1] Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, equation 5.12
    """
    from scipy.linalg import cho_solve
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    scales = RBF(np.full(x.shape[1], 1.0), (0.05, 100.0))
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * scales + WhiteKernel(0.1, (1e-6, 2.0))
    with catch_warnings():
        # An inert parameter's length scale, or no noise, ends at its bound, as it should.
        simplefilter("ignore", ConvergenceWarning)
        model = GaussianProcessRegressor(kernel, optimizer=_few_steps, normalize_y=True).fit(x, y)
    inverse = cho_solve((model.L_, True), np.eye(len(y)))
    residual = model.alpha_ / np.diag(inverse) * float(np.std(y))
    return model, float(np.mean(residual**2))


def _few_steps(objective: Callable, start: np.ndarray, bounds: np.ndarray) -> tuple:
    from scipy.optimize import minimize

    found = minimize(objective, start, jac=True, bounds=bounds, options={"maxiter": KERNEL_STEPS})
    return found.x, found.fun


def relearnt(surrogate: Surrogate, x: np.ndarray, y: np.ndarray, noise: float) -> Callable:
    """Return the predictions of the same surrogate learnt from other outcomes, a column each."""
    from sklearn.base import clone
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    if surrogate.name != "gaussian process":
        *steps, ridge = (step for _, step in surrogate.model.steps)
        return make_pipeline(*map(clone, steps), Ridge(ridge.alpha_)).fit(x, y).predict
    signal = surrogate.model.kernel_.k1
    centre, scale = y.mean(), y.std()
    alpha = max(noise / scale**2, surrogate.model.kernel_.k2.noise_level)
    model = GaussianProcessRegressor(signal, alpha=alpha, optimizer=None).fit(x, (y - centre) / scale)
    return lambda at: model.predict(at) * scale + centre
