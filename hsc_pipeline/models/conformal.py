"""Prediction intervals by cross-conformal prediction: what was held out says how wrong models are.

Each row that was learnt from has a score: how strange its outcome was to the model that had not seen
its patient.  A new outcome is in the interval where enough of those scores are as large as its own
[1]_.  The patient is the unit: all rows of a patient share one weight [2]_, so that patients with many
rows count no more than others.

With K patients learnt from the coverage is at least 1 - 2 (1 - nominal) - a term of order sqrt(2/K),
whatever the model and the distribution, and the nominal one where models change little when a fold is
left out.  What was reached on the untouched patients is reported beside it.

References
----------
.. [1] Barber et al. 2021, Ann Stat 49:486, 10.1214/20-AOS1965
.. [2] Lee, Barber and Willett 2023, Distribution-free inference with hierarchical data,
   10.48550/arXiv.2306.06342
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NOMINAL = 0.9
GUARANTEED = 2 * NOMINAL - 1
MOST_CELLS = 2_000_000  # of scores by new row, held in memory together


@dataclass(frozen=True)
class Calibrated:
    """Scores of held-out rows.

    Attributes
    ----------
    fold : numpy.ndarray of int, shape (rows,)
        Fold in which the row was held out.
    score : numpy.ndarray, shape (rows,)
    weight : numpy.ndarray, shape (rows,)
        1 / ((patients + 1) x rows of the patient).
    """

    fold: np.ndarray
    score: np.ndarray
    weight: np.ndarray


def calibrate(fold: np.ndarray, score: np.ndarray, patients: Sequence) -> Calibrated:
    """Return scores with the weight of each patient shared by their rows."""
    _, place, rows = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    return Calibrated(fold, score, 1 / ((len(rows) + 1) * rows[place]))


def strangeness(kind: str, y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the score of each row's outcome: distance, or how little of the chance is left beyond it."""
    if kind == "regression":
        return np.abs(y - predicted)
    place = y if kind == "classification" else np.where(y[:, 1] == 1, y[:, 0], predicted.shape[1])
    return _strangeness_of_each(kind, predicted)[np.arange(len(y)), place]


def _strangeness_of_each(kind: str, predicted: np.ndarray) -> np.ndarray:
    """Return the score of each outcome that may come, shape (rows, outcomes).

    Classes: chance of the other one.  Times: distance of the middle of the interval from the median, in
    chances; the last outcome is no event within follow-up.
    """
    if kind == "classification":
        return np.stack([predicted, 1 - predicted], axis=1)
    start = np.column_stack([np.ones(len(predicted)), predicted])
    end = np.column_stack([predicted, np.zeros(len(predicted))])
    return np.abs((start + end) / 2 - 0.5)


def interval(
    kind: str,
    calibrated: Calibrated,
    foresee: Sequence[Callable[[np.ndarray], np.ndarray]],
    x: np.ndarray,
    nominal: float = NOMINAL,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the most likely outcome of each row within the nominal coverage.

    Parameters
    ----------
    kind : str
    calibrated : Calibrated
    foresee : sequence of callable
        The model of each fold, which has not seen the rows that the fold held out.
    x : numpy.ndarray, shape (rows, features)
    nominal : float

    Returns
    -------
    low, high : numpy.ndarray, shape (rows,)
        Regression: values, infinite where there are too few patients.  Classification: 0 to 0, 0 to 1 or
        1 to 1.  Time to event: first and last interval; one beyond the last is no event.
    """
    size = max(1, MOST_CELLS // max(1, len(calibrated.score)))
    parts = [x[first : first + size] for first in range(0, len(x), size)]
    of_kind = _values if kind == "regression" else _outcomes
    found = [of_kind(kind, calibrated, [model(part) for model in foresee], nominal) for part in parts]
    low, high = (np.concatenate(side) for side in zip(*found, strict=True))
    return low, high


def _values(
    kind: str, calibrated: Calibrated, predicted: list[np.ndarray], nominal: float
) -> tuple[np.ndarray, np.ndarray]:
    centre = np.array(predicted)[calibrated.fold]  # (calibrated rows, new rows)
    score = calibrated.score[:, None]
    high = _weighted_quantile(centre + score, calibrated.weight, nominal)
    return -_weighted_quantile(score - centre, calibrated.weight, nominal), high


def _weighted_quantile(values: np.ndarray, weight: np.ndarray, level: float) -> np.ndarray:
    """Return by column the least value with weight `level` up to it; infinite where there is none.

    The weight that is missing to 1 stands for the new patient, at infinity.
    """
    order = np.argsort(values, axis=0)
    reached = np.cumsum(weight[order], axis=0) >= level - 1e-12
    at = np.take_along_axis(values, order, axis=0)
    first = np.take_along_axis(at, reached.argmax(axis=0)[None], axis=0)[0]
    return np.where(reached.any(axis=0), first, np.inf)


def _outcomes(
    kind: str, calibrated: Calibrated, predicted: list[np.ndarray], nominal: float
) -> tuple[np.ndarray, np.ndarray]:
    each = np.array([_strangeness_of_each(kind, one) for one in predicted])  # (folds, rows, outcomes)
    p = np.zeros(each.shape[1:])
    for fold in range(len(predicted)):
        here = calibrated.fold == fold
        order = np.argsort(calibrated.score[here])
        score, weight = calibrated.score[here][order], calibrated.weight[here][order]
        left = np.concatenate([weight[::-1].cumsum()[::-1], [0.0]])
        p += left[np.searchsorted(score, each[fold] - 1e-12, side="left")]
    p += 1 - calibrated.weight.sum()  # of the new patient
    within = p > 1 - nominal
    within |= p == p.max(axis=1, keepdims=True)
    count = within.shape[1]
    return within.argmax(axis=1), count - 1 - within[:, ::-1].argmax(axis=1)


def covers(kind: str, y: np.ndarray, low: np.ndarray, high: np.ndarray, intervals: int) -> np.ndarray:
    """Tell whose outcome lies within the interval."""
    place = y if y.ndim == 1 else np.where(y[:, 1] == 1, y[:, 0], intervals)
    return (low <= place) & (place <= high)
