"""What a control from the past costs and saves: power, and type I error when the past is not today."""

import numpy as np

from hsc_pipeline.trials.analyses import significant
from hsc_pipeline.trials.cohort import Plan
from hsc_pipeline.trials.power import analysed, binomial, past_known


def better_than_known(n: int, past: np.ndarray, level: float) -> np.ndarray:
    """Return which successes of `n` are significantly more than each share of the past, taken as known.

    Returns
    -------
    numpy.ndarray of bool, shape (shares, n + 1)
    """
    from scipy.stats import binom

    return binom.sf(np.arange(n + 1)[None, :] - 1, n, np.asarray(past, float)[:, None]) <= level


def fixed_share_claims(n: int, past: float, arm: float, level: float) -> float:
    """Return the chance to find the arm better than a share of the past that is known exactly."""
    return float((binomial(n, arm)[0] * better_than_known(n, np.array([past]), level)[0]).sum())


def estimated_share_claims(n: int, patients: int, past: float, arm: float, level: float) -> float:
    """Return the chance to find the arm better where the past share is an estimate but taken as known.

    Parameters
    ----------
    n : int
        Patients of the arm.
    patients : int
        Of the past, of whom a binomial number reached the endpoint.
    past, arm : float
        True shares.
    level : float
        One-sided.
    """
    seen = np.arange(patients + 1) / patients
    claims = better_than_known(n, seen, level) @ binomial(n, arm)[0]
    return float(binomial(patients, past)[0] @ claims)


def counted_claims(n: int, patients: int, past: float, arm: float, level: float) -> float:
    """Return the chance that Fisher's test finds the arm better than the patients of the past, counted."""
    sets = significant("fisher", n, patients, level, 1)
    return float(binomial(n, arm)[0] @ sets @ binomial(patients, past)[0])


def comparisons(plan: Plan, n: int, past: float, arm: float, patients: int, drift: float) -> list[dict]:
    """Return power and type I error of three ways to compare an arm with its control.

    All are one-sided for the arm, at half the plan's level for two sides.

    Parameters
    ----------
    plan : Plan
    n : int
        Patients of the arm.
    past, arm : float
        Shares of simulated outcomes that reach the endpoint.
    patients : int
        Of the past.
    drift : float
        Share by which today's untreated patients do better than the past ones.

    Returns
    -------
    list of dict
        ``method``, ``power``, ``type_one_error`` where the arm is as the past, ``type_one_estimated``
        where moreover the past share is estimated from `patients`, and ``type_one_drift`` where the arm
        is as today's control, which drifted.
    """
    (n_now,), _ = analysed(plan, n)
    beside = max(1, round(n_now / plan.trial.allocation))
    level = plan.trial.alpha / plan.trial.sides
    share, null = arm * plan.known, past_known(plan, past)
    today = past_known(plan, min(1.0, past + drift))
    known = {
        "method": "share taken as known",
        "power": fixed_share_claims(n_now, null, share, level),
        "type_one_error": fixed_share_claims(n_now, null, null, level),
        "type_one_estimated": estimated_share_claims(n_now, patients, null, null, level),
        "type_one_drift": fixed_share_claims(n_now, null, today, level),
    }
    counted = {
        "method": "past patients counted",
        "power": counted_claims(n_now, patients, null, share, level),
        "type_one_error": counted_claims(n_now, patients, null, null, level),
        "type_one_estimated": counted_claims(n_now, patients, null, null, level),
        "type_one_drift": counted_claims(n_now, patients, null, today, level),
    }
    concurrent = {
        "method": "control beside the arm",
        "power": counted_claims(n_now, beside, null, share, level),
        "type_one_error": counted_claims(n_now, beside, null, null, level),
        "type_one_estimated": counted_claims(n_now, beside, null, null, level),
        "type_one_drift": counted_claims(n_now, beside, today, today, level),
    }
    return [known, counted, concurrent]
