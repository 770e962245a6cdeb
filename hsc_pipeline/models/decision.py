"""What a predicted probability is worth: whom it ranks rightly, and whether to act on it."""

import numpy as np
import pandas as pd

LEVEL = 0.90  # of every interval, as in the report
THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def patient_sums(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the sums of each patient's rows.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, ...)
    patients : numpy.ndarray, shape (rows,)

    Returns
    -------
    numpy.ndarray, shape (patients, ...)
    """
    codes = np.unique(patients, return_inverse=True)[1]
    sums = np.zeros((codes.max() + 1, *values.shape[1:]))
    np.add.at(sums, codes, values)
    return sums


def ratio_interval(
    parts: np.ndarray, wholes: np.ndarray, patients: np.ndarray
) -> tuple[float, float, float, float]:
    """Return the ratio of two sums over rows, its interval and standard error between patients.

    Rows of one patient count together: the standard error is of the linearised ratio over sums by
    patient, the interval of Student's t.

    Parameters
    ----------
    parts, wholes : numpy.ndarray, shape (rows,)
        With wholes of one, the ratio is the mean of `parts`.
    patients : numpy.ndarray, shape (rows,)

    Returns
    -------
    value, low, high, standard_error : float
    """
    from scipy.stats import t

    sums = patient_sums(np.stack([parts, wholes], axis=1), patients)
    n, whole = len(sums), sums[:, 1].sum()
    value = sums[:, 0].sum() / whole
    residuals = sums[:, 0] - value * sums[:, 1]
    error = float(np.sqrt(n / (n - 1) * np.sum(residuals**2)) / whole) if n > 1 else np.nan
    half = t.ppf((1 + LEVEL) / 2, n - 1) * error if n > 1 else np.nan
    return float(value), float(value - half), float(value + half), error


def decision_curve(event: np.ndarray, risk: np.ndarray, patients: np.ndarray) -> pd.DataFrame:
    """Return the net benefit of acting on whose risk reaches a threshold, against acting on all or none.

    The threshold is the risk at which acting and waiting weigh the same, so that one action in vain
    costs threshold / (1 - threshold) of an event acted upon [1]_.

    Parameters
    ----------
    event : numpy.ndarray of bool, shape (rows,)
    risk : numpy.ndarray, shape (rows,)
    patients : numpy.ndarray, shape (rows,)

    Returns
    -------
    pandas.DataFrame
        threshold; net_benefit with low and high; act_on_all; gain over the better of all and none with
        gain_low and gain_high.  Per row, in events acted upon; intervals between patients.

    References
    ----------
    .. [1] Vickers and Elkin 2006, Medical Decision Making 26:565, 10.1177/0272989X06295361
    """
    event, ones = np.asarray(event, bool), np.ones(len(event))
    rows = []
    for threshold in THRESHOLDS:
        worth = np.where(event, 1.0, -threshold / (1 - threshold))
        acted = np.where(risk >= threshold, worth, 0.0)
        value, low, high, _ = ratio_interval(acted, ones, patients)
        act_on_all = float(worth.mean())
        best = worth if act_on_all > 0 else 0.0 * worth
        gain, gain_low, gain_high, _ = ratio_interval(acted - best, ones, patients)
        rows.append((threshold, value, low, high, act_on_all, gain, gain_low, gain_high))
    names = ["threshold", "net_benefit", "low", "high", "act_on_all", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=names)


def clustered_auc(
    event: np.ndarray, score: np.ndarray, patients: np.ndarray, folds: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Return the area under the ROC curve and its interval, rows of one patient counting together.

    DeLong's structural components summed by patient [1]_; the interval is made on the logit, and none is
    given where all pairs or none are in order.

    Parameters
    ----------
    event : numpy.ndarray of bool, shape (rows,)
    score : numpy.ndarray, shape (rows,)
    patients : numpy.ndarray, shape (rows,)
    folds : numpy.ndarray, shape (rows,), optional
        Only rows of the same fold are compared: a model that learnt from many events says more to
        its held-out rows, which have few, and pairs across folds would count that against it.

    Returns
    -------
    value, low, high : float
        NaN where no pair can be compared.

    References
    ----------
    .. [1] Obuchowski 1997, Biometrics 53:567, 10.2307/2533958
    """
    from scipy.stats import norm

    event = np.asarray(event, bool)
    folds = np.zeros(len(event)) if folds is None else folds
    ordered, opposite = np.zeros(len(event)), np.zeros(len(event))
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        ordered[own], opposite[own] = _pairs(event[own], score[own])
    pairs = opposite[event].sum()
    if not pairs:
        return np.nan, np.nan, np.nan
    value = float(ordered[event].sum() / pairs)
    if value in (0.0, 1.0):
        return value, np.nan, np.nan
    sums = patient_sums(ordered - value * opposite, np.asarray(patients))
    n = len(sums)
    error = np.sqrt(n / (n - 1) * np.sum(sums**2)) / pairs if n > 1 else np.nan
    half = norm.ppf((1 + LEVEL) / 2) * error / (value * (1 - value))
    logit = np.log(value / (1 - value))
    low, high = (1 / (1 + np.exp(-(logit + side * half))) for side in (-1, 1))
    return value, float(low), float(high)


def _pairs(event: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by row with how many of the other class it is in order, ties as half, and how many there are."""
    from scipy.stats import rankdata

    positive = event.sum()
    opposite = np.where(event, len(event) - positive, positive).astype(float)
    below = rankdata(score)
    for kind in (event, ~event):
        below[kind] -= rankdata(score[kind])
    return np.where(event, below, opposite - below), opposite
