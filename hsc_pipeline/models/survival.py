"""Times to an event: chances per interval between visits, and scores that allow for censoring.

Patients are seen at visits, so an event is known by the interval in which it fell.  The chance of the
event in an interval, given that it did not come before, is learnt by a classifier whose rows are the
intervals that each patient was followed [1]_.  Any classifier of scikit-learn then is a survival model,
ties need no care, hazards need not be proportional, and the model is kept by skops like the
others.  A Kaplan-Meier curve is the same model without features.

References
----------
.. [1] Suresh, Severn and Ghosh 2022, BMC Med Res Methodol 22:207, 10.1186/s12874-022-01679-6
"""

import numpy as np

from hsc_pipeline.models.evaluation import skill


def followed(features: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a row for each interval that each patient was followed, and whether the event came in it.

    Parameters
    ----------
    features : numpy.ndarray, shape (rows, features)
    y : numpy.ndarray of int, shape (rows, 2)
        Interval and whether the event came in it; otherwise follow-up ended with it.

    Returns
    -------
    features : numpy.ndarray, shape (intervals followed, features + 1)
        The last column is the place of the interval.
    happened : numpy.ndarray of int, shape (intervals followed,)
    """
    lengths = y[:, 0] + 1
    row = np.repeat(np.arange(len(y)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    happened = (y[row, 1] == 1) & (place == y[row, 0])
    return np.column_stack([features[row], place]), happened.astype(int)


def event_free(classifier, features: np.ndarray, intervals: int) -> np.ndarray:
    """Return the chance of no event by the end of each interval, shape (rows, intervals)."""
    place = np.tile(np.arange(intervals), len(features))
    each = np.column_stack([np.repeat(features, intervals, axis=0), place])
    hazards = classifier.predict_proba(each)[:, 1].reshape(len(features), intervals)
    return np.cumprod(1 - hazards, axis=1)


def kaplan_meier(y: np.ndarray, intervals: int) -> np.ndarray:
    """Return the share without event by the end of each interval, shape (intervals,).

    Who leaves with an interval was followed through it.
    """
    return _curve(y[:, 0], y[:, 1], intervals)


def _curve(place: np.ndarray, status: np.ndarray, intervals: int) -> np.ndarray:
    from statsmodels.duration.survfunc import SurvfuncRight

    if not status.any():
        return np.ones(intervals)
    found = SurvfuncRight(place, status)
    at = np.searchsorted(found.surv_times, np.arange(intervals), side="right") - 1
    return np.where(at >= 0, found.surv_prob[np.maximum(at, 0)], 1.0)


def survival_scores(y: np.ndarray, curves: np.ndarray, months: np.ndarray) -> dict[str, float]:
    """Return the integrated Brier score, its skill over Kaplan-Meier, and concordance of curves.

    Parameters
    ----------
    y : numpy.ndarray of int, shape (rows, 2)
    curves : numpy.ndarray, shape (rows, intervals)
        Chance of no event by the end of each interval.
    months : numpy.ndarray, shape (intervals,)
        Ends of the intervals.
    """
    own = np.broadcast_to(kaplan_meier(y, len(months)), curves.shape)
    score = integrated_brier(y, curves, months)
    return {
        "skill": skill(score, integrated_brier(y, own, months)),
        "integrated_brier": score,
        "concordance": concordance(y, 1 - curves[:, -1]),
    }


def integrated_brier(y: np.ndarray, curves: np.ndarray, months: np.ndarray) -> float:
    """Return the mean over follow-up of the Brier score of being without event, censoring weighted away.

    Rows that are censored before a visit count for nothing there, and the others for one over the chance
    of still being followed [1]_.

    References
    ----------
    .. [1] Graf et al. 1999, Stat Med 18:2529,
       10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5
    """
    place, event = y[:, 0], y[:, 1] == 1
    intervals = len(months)
    # Censored with an interval: followed through it, so lost at its end, when those with the event in it
    # are no longer there to be lost.
    lost = ~event & (place < intervals - 1)
    followed_on = _curve(place - 0.5 * event, lost.astype(int), intervals)
    before = np.concatenate([[1.0], followed_on])[place]  # chance of being followed into the row's interval
    scores = np.empty(intervals)
    for at in range(intervals):
        known_event, still = event & (place <= at), (place > at) | (~event & (place == at))
        until = 1.0 if at == 0 else followed_on[at - 1]
        weight = np.where(known_event, 1 / np.maximum(before, 1e-12), 0) + still / max(until, 1e-12)
        scores[at] = np.mean(weight * (still - curves[:, at]) ** 2)
    lengths = np.diff(months, prepend=0.0)
    return float(scores @ lengths / lengths.sum())


def concordance(y: np.ndarray, risk: np.ndarray) -> float:
    """Return the share of pairs whose order is known that the risk orders rightly, ties counting half.

    The one with the earlier event should have the higher risk (Harrell 1982,
    10.1001/jama.1982.03320430047030); empty where no pair has an order.
    """
    place, event = y[:, 0], y[:, 1] == 1
    right = pairs = 0.0
    for interval in np.unique(place[event]):
        early = np.sort(risk[event & (place == interval)])
        late = risk[(place > interval) | (~event & (place == interval))]
        below = np.searchsorted(early, late, side="left")
        upto = np.searchsorted(early, late, side="right")
        right += (len(early) - upto).sum() + 0.5 * (upto - below).sum()
        pairs += len(early) * len(late)
    return float(right / pairs) if pairs else np.nan
