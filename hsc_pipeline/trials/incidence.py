"""Harm and endpoint over time, with patients lost and with competing events."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.study_trial import TIME_ENDPOINTS
from hsc_pipeline.trials.power import TAIL, interval

# Kinds of the first event, by what `outcomes.OUTCOMES` calls it; 0 is censored.
HARM, COMPETING = 1, 2
KIND = {"none": 0, "transformation": HARM, "graft_failure": COMPETING, "rescue": COMPETING}
NAMES = {HARM: "transformation", COMPETING: "graft failure or rescue"}
COLUMNS = ["arm", "month", "event", "incidence", "low", "high", "events", "at_risk", "spans"]
SPANS = "between virtual patients, 90 %"


def incidence_table(outcomes: pd.DataFrame, visits: Sequence[float], endpoint: str) -> pd.DataFrame:
    """Return the cumulative incidence of transformation and of its competing events at each visit.

    A failed graft or a rescue ends the exposure to transformation of the product's cells, so each of the
    two takes patients from the other: the estimate is that of Aalen and Johansen, not one minus Kaplan and
    Meier's [1]_.  Patients are censored when lost and at the last visit.  An endpoint that is a time is
    added, as one minus Kaplan and Meier's estimate.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES`; only the infused count.
    visits : sequence of float
        Months after infusion.
    endpoint : str

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`.

    References
    ----------
    .. [1] Putter, Fiocco & Geskus 2007, Statistics in Medicine 26:2389, 10.1002/sim.2712
    """
    months, rows = np.asarray(visits, float), []
    for arm, patients in outcomes[outcomes["infused"]].groupby("arm", sort=False):
        time = patients["event_month"].to_numpy(float)
        status = patients["event"].map(KIND).to_numpy(int)
        for event, name in NAMES.items():
            rows += _rows(str(arm), name, months, cumulative(time, status, event, months))
        if endpoint in TIME_ENDPOINTS:
            censored = patients["lost_month"].fillna(months[-1]).clip(upper=months[-1]).to_numpy(float)
            reached = patients[endpoint].to_numpy(float, na_value=np.inf)
            seen = reached <= censored
            found = cumulative(np.where(seen, reached, censored), seen.astype(int), HARM, months)
            rows += _rows(str(arm), endpoint, months, found)
    return pd.DataFrame(rows, columns=COLUMNS)


def cumulative(time: np.ndarray, status: np.ndarray, event: int, months: np.ndarray) -> pd.DataFrame:
    """Return the cumulative incidence of one kind of event at each month.

    Parameters
    ----------
    time : numpy.ndarray of float, shape (n,)
        Of the first event, or of censoring.  An event at time 0 counts as just after it.
    status : numpy.ndarray of int, shape (n,)
        Kind of the event, 0 if censored.
    event : int
        The kind wanted.
    months : numpy.ndarray of float, shape (m,)

    Returns
    -------
    pandas.DataFrame
        ``incidence``, ``low``, ``high``, ``events`` so far and patients still ``at_risk``.  The interval is
        that of log(-log); without any event so far it is Clopper and Pearson's of those at risk.
    """
    time = np.maximum(time, np.finfo(float).tiny)
    at_risk = (time[None, :] >= months[:, None]).sum(axis=1)
    events = ((time[None, :] <= months[:, None]) & (status == event)[None, :]).sum(axis=1)
    share, error = np.zeros(len(months)), np.zeros(len(months))
    if (status == event).any():
        times, shares, errors = _estimated(time, status, event)
        place = np.searchsorted(times, months, side="right") - 1
        share = np.where(place < 0, 0.0, shares[np.maximum(place, 0)])
        error = np.where(place < 0, 0.0, errors[np.maximum(place, 0)])
    low, high = np.array([_bounds(*row) for row in zip(share, error, at_risk, strict=True)]).T
    return pd.DataFrame({"incidence": share, "low": low, "high": high, "events": events, "at_risk": at_risk})


def _estimated(time: np.ndarray, status: np.ndarray, event: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, estimates and standard errors: of Kaplan and Meier where nothing competes."""
    from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

    with np.errstate(divide="ignore", invalid="ignore"):  # the variance when nobody is left
        if set(np.unique(status)) <= {0, event}:
            found = SurvfuncRight(time, (status == event).astype(int))
            return found.surv_times, 1 - found.surv_prob, np.nan_to_num(found.surv_prob_se)
        found = CumIncidenceRight(time, status)
    return found.times, found.cinc[event - 1], np.nan_to_num(found.cinc_se[event - 1])


def _bounds(share: float, error: float, at_risk: int) -> tuple[float, float]:
    from scipy.stats import norm

    if 0 < share < 1 and error > 0:
        spread = norm.isf(TAIL) * error / (share * np.log(share))
        low, high = sorted((share ** np.exp(spread), share ** np.exp(-spread)))
        return float(low), float(high)
    if at_risk == 0:
        return (0.0, 1.0) if share < 1 else (1.0, 1.0)
    return interval(int(at_risk) if share > 0.5 else 0, int(at_risk))


def _rows(arm: str, event: str, months: np.ndarray, found: pd.DataFrame) -> list[dict]:
    whole = found.assign(arm=arm, month=months, event=event, spans=SPANS)
    return whole.to_dict("records")
