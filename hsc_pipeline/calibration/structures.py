"""Which model structure the data speak for: calibrated probabilities from simulations of each.

Classifiers learn the structure from the statistics [1]_; their held-out log probabilities are stacked and
calibrated by a multinomial regression, so that the probabilities are shares of right calls among
simulations not seen.

References
----------
.. [1] Pudlo et al. 2016, Bioinformatics 32:859, 10.1093/bioinformatics/btv684
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.cleaning import clean
from hsc_pipeline.calibration.infer import one_thread
from hsc_pipeline.calibration.learners import FOLDS, NormalScores
from hsc_pipeline.errors import UserError

TREES = 200
SMALLEST_LEAF = 5  # simulations
NEURONS = (64,)
EPOCHS = 200
MOST_STEPS = 2000  # of the optimiser of a regression
FEWEST_OF_EACH = 50  # simulations of a structure
BINS = 10  # of a reliability table


@dataclass(frozen=True)
class Chooser:
    """What tells structures apart.

    Attributes
    ----------
    names : tuple of str
        Structures, in alphabetical order.
    prior : array of float, shape (structures,)
        Their shares of the simulations that gave statistics.
    statistics : tuple of str
    held_out : pandas.DataFrame
        ``structure``, the truth, and the probability of each, for simulations not seen.
    """

    names: tuple[str, ...]
    prior: np.ndarray
    statistics: tuple[str, ...]
    held_out: pd.DataFrame
    _to_scores: NormalScores
    _folds: tuple[tuple[Any, ...], ...]
    _calibrate: Any

    def probabilities(self, observed: Mapping[str, float]) -> pd.DataFrame:
        """Return the posterior probability of each structure.

        Returns
        -------
        pandas.DataFrame
            structure; prior; probability; low and high, least and most over the learners of the folds;
            bayes_factor, against all others together.
        """
        values = np.array([[float(observed[name]) for name in self.statistics]])
        features = self._to_scores(values)
        with one_thread():
            logs = [_logs(fold, features) for fold in self._folds]
            by_fold = np.stack([self._calibrate.predict_proba(log)[0] for log in logs])
        # A table of so many simulations cannot tell a smaller probability from none.
        least = 0.5 / len(self.held_out)
        probability = np.maximum(by_fold.mean(axis=0), least)
        probability /= probability.sum()
        odds = probability / (1 - probability) if len(self.names) > 1 else np.full(1, np.nan)
        return pd.DataFrame(
            {
                "structure": self.names,
                "prior": self.prior,
                "probability": probability,
                "low": np.minimum(by_fold.min(axis=0), probability),
                "high": np.maximum(by_fold.max(axis=0), probability),
                "bayes_factor": odds / (self.prior / (1 - self.prior)),
            }
        )


def choose(
    label: pd.Series, stats: pd.DataFrame, observed: Mapping[str, float], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how probable each structure is given the data, and how well they are told apart.

    Parameters
    ----------
    label : pandas.Series of str, shape (simulations,)
        Structure of each simulation; their shares are the prior.
    stats : pandas.DataFrame, shape (simulations, statistics)
        Under parameters from the prior of the structure.
    observed : mapping of str to float
    seed : int

    Returns
    -------
    probabilities : pandas.DataFrame
        See `Chooser.probabilities`.
    confusion : pandas.DataFrame
        See `confusion`.

    Raises
    ------
    UserError
        If there are fewer than two structures, or too few simulations of one.
    """
    clean_stats = clean(pd.DataFrame(index=stats.index), stats, {}, observed)
    chooser = learn(label, stats[list(clean_stats.stats)], seed)
    return chooser.probabilities(observed), confusion(chooser.held_out)


def learn(label: pd.Series, stats: pd.DataFrame, seed: int) -> Chooser:
    """Learn to tell structures apart.

    Parameters
    ----------
    label, stats, seed
        As of `choose`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    values = stats.to_numpy(float)
    rows = np.isfinite(values).all(axis=1)
    names, y, counts = np.unique(label.to_numpy(str)[rows], return_inverse=True, return_counts=True)
    _check(names, counts)
    to_scores = NormalScores.of(values[rows])
    features = to_scores(values[rows])
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    logs = np.empty((len(y), len(KINDS) * len(names)))
    folds = []
    with one_thread():
        for train, held_out in splits.split(features, y):
            fold = tuple(_fit(make(seed), features[train], y[train]) for make in KINDS.values())
            logs[held_out] = _logs(fold, features[held_out])
            folds.append(fold)
        calibrate = LogisticRegression(max_iter=MOST_STEPS)
        probability = cross_val_predict(calibrate, logs, y, cv=splits, method="predict_proba")
        calibrate.fit(logs, y)
    held_out = pd.DataFrame(probability, columns=list(names))
    held_out.insert(0, "structure", names[y])
    return Chooser(
        tuple(map(str, names)), counts / len(y), tuple(stats), held_out, to_scores, tuple(folds), calibrate
    )


def confusion(held_out: pd.DataFrame) -> pd.DataFrame:
    """Return which structure is the most probable one, by the true one, among simulations not seen.

    Returns
    -------
    pandas.DataFrame
        A row per true structure: structure; simulations; one column per structure, the share for which it
        was the most probable; probability_of_truth, mean.
    """
    names = list(held_out.columns[1:])
    best = held_out[names].to_numpy().argmax(axis=1)
    rows = []
    for name in names:
        mine = (held_out["structure"] == name).to_numpy()
        shares = {other: float((best[mine] == i).mean()) for i, other in enumerate(names)}
        truth = float(held_out.loc[mine, name].mean())
        rows.append(
            {"structure": name, "simulations": int(mine.sum()), **shares, "probability_of_truth": truth}
        )
    return pd.DataFrame(rows)


def reliability(held_out: pd.DataFrame) -> pd.DataFrame:
    """Return how often a structure was the true one, by the probability that it was given.

    Returns
    -------
    pandas.DataFrame
        A row per structure and tenth of probability that was met: structure; simulations; probability,
        mean; share, of them with this structure; low and high, exact 95 % interval of the share.
    """
    from scipy.stats import binomtest

    rows = []
    for name in held_out.columns[1:]:
        given = held_out[name].to_numpy()
        true = (held_out["structure"] == name).to_numpy()
        bins = np.minimum((given * BINS).astype(int), BINS - 1)
        for number in np.unique(bins):
            mine = bins == number
            interval = binomtest(int(true[mine].sum()), int(mine.sum())).proportion_ci(0.95)
            rows.append(
                {
                    "structure": name,
                    "simulations": int(mine.sum()),
                    "probability": float(given[mine].mean()),
                    "share": float(true[mine].mean()),
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            )
    return pd.DataFrame(rows)


def _check(names: np.ndarray, counts: np.ndarray) -> None:
    if len(names) < 2:
        raise UserError(
            f"structures: {len(names)} with simulations that gave statistics; needed: two or more"
        )
    fewest = int(counts.argmin())
    if counts[fewest] < FEWEST_OF_EACH:
        raise UserError(
            f"structure {str(names[fewest])!r}: {counts[fewest]} simulations gave statistics; "
            f"needed: {FEWEST_OF_EACH} or more"
        )


def _logs(fold: tuple[Any, ...], features: np.ndarray) -> np.ndarray:
    """Return log probabilities by each classifier, shape (rows, kinds x structures)."""
    least = 1e-4  # a forest says never, of which the logarithm is infinite
    return np.hstack([np.log(np.maximum(model.predict_proba(features), least)) for model in fold])


def _fit(classifier, features: np.ndarray, y: np.ndarray):
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # The calibration weighs a classifier that was not trained for long enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(features, y)


def _linear(seed: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=MOST_STEPS)


def _forest(seed: int):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=SMALLEST_LEAF, n_jobs=1, random_state=seed % 2**32)


def _network(seed: int):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=NEURONS, alpha=1.0, max_iter=EPOCHS, early_stopping=True, random_state=seed % 2**32
    )


KINDS: Mapping[str, Callable[[int], Any]] = {"linear": _linear, "forest": _forest, "network": _network}
