"""Stopping rules with their exact operating characteristics.

The law of the patients' results is carried from look to look by convolution, and what stops is taken
out; nothing is simulated.  With two arms the state is the pair of their successes.
"""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.study_trial import Safety
from hsc_pipeline.trials.analyses import significant, significant_against_share
from hsc_pipeline.trials.cohort import JEFFREYS, Plan

HALVINGS = 40  # of the bisection for the Pocock-type level


@dataclass(frozen=True)
class Course:
    """How a trial with looks goes.

    Attributes
    ----------
    sizes : list of tuple of int
        Patients of arm and control at each look and at the end.
    stops : numpy.ndarray of float
        Chance to stop at each look; its last place, the end, is the chance to get there.
    significant : float
        Chance of a significant result at the end.
    expected : float
        Expected patients of both arms.
    """

    sizes: list[tuple[int, int]]
    stops: np.ndarray
    significant: float
    expected: float


def futility_course(plan: Plan, n_arm: int, arm: float, control: float | None) -> Course:
    """Return how a trial goes that is given up for futility.

    At each look the trial stops if the predictive probability of a significant result at the end, with
    Jeffreys' prior in each arm, is below the plan's limit [1]_.

    Parameters
    ----------
    plan : Plan
    n_arm : int
        Patients of the arm at the end.
    arm, control : float
        Shares with the endpoint known and reached; no control against the past.

    References
    ----------
    .. [1] Lee & Liu 2008, Clinical Trials 5:93, 10.1177/1740774508089279
    """
    final = (n_arm, plan.controls(n_arm))
    sizes = looks_of(plan, *final)
    sets = final_set(plan, *final)
    shares = (arm, 0.0 if control is None else control)
    state, before, stops = np.ones((1, 1)), (0, 0), []
    for size in sizes[:-1]:
        state = _grow(state, before, size, shares)
        futile = predictive_probability(sets, size, final) < plan.trial.futility.limit
        stops.append(state[futile].sum())
        state = np.where(futile, 0.0, state)
        before = size
    state = _grow(state, before, final, shares)
    stops.append(state.sum())
    expected = float(sum(share * sum(size) for share, size in zip(stops, sizes, strict=True)))
    return Course(sizes, np.array(stops), float(state[sets].sum()), expected)


def looks_of(plan: Plan, n_arm: int, n_control: int) -> list[tuple[int, int]]:
    """Return patients of arm and control at each look and at the end."""
    looks = [(round(n_arm * look), round(n_control * look)) for look in plan.trial.looks]
    inner = [size for size in looks if 0 < size[0] < n_arm]
    return [*dict.fromkeys(inner), (n_arm, n_control)]


def final_set(plan: Plan, n_arm: int, n_control: int) -> np.ndarray:
    """Return what is significant at the end, shape (n_arm + 1, n_control + 1)."""
    level = (plan.trial.alpha, plan.trial.sides)
    if plan.past_share is not None:
        return significant_against_share(n_arm, plan.past_share, *level)[:, None]
    return significant(plan.analysis, n_arm, n_control, *level)


def predictive_probability(sets: np.ndarray, now: tuple[int, int], final: tuple[int, int]) -> np.ndarray:
    """Return the predictive probability of a significant result for every state at a look.

    Returns
    -------
    numpy.ndarray of float, shape (now[0] + 1, now[1] + 1)
    """
    first, second = (_ahead(n, end) for n, end in zip(now, final, strict=True))
    return first @ sets @ second.T


def _ahead(now: int, final: int) -> np.ndarray:
    """Return the beta-binomial law of the final successes given those now, shape (now + 1, final + 1)."""
    from scipy.stats import betabinom

    x, total = np.arange(now + 1)[:, None], np.arange(final + 1)[None, :]
    return betabinom.pmf(total - x, final - now, x + JEFFREYS, now - x + JEFFREYS)


def _grow(
    state: np.ndarray, before: tuple[int, int], now: tuple[int, int], shares: tuple[float, float]
) -> np.ndarray:
    """Carry the law of the successes on by the patients between two looks."""
    first, second = (_step(old, new, share) for old, new, share in zip(before, now, shares, strict=True))
    return first.T @ state @ second


def _step(before: int, now: int, share: float) -> np.ndarray:
    """Return the chance of each number of successes now given each before, shape (before + 1, now + 1)."""
    from scipy.stats import binom

    x, total = np.arange(before + 1)[:, None], np.arange(now + 1)[None, :]
    return binom.pmf(total - x, now - before, share)


def safety_bounds(rule: Safety, n: int) -> np.ndarray:
    """Return the fewest events that stop an arm after each patient.

    ``posterior``: the posterior probability that the share of events is above the limit reaches its
    bound [1]_.  ``pocock``: at least as many events have at most the same chance after every patient,
    where the share is just the limit; that chance is the largest that keeps false stops wanted [2]_.

    Parameters
    ----------
    rule : Safety
    n : int
        Patients of the arm.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        After 1 to `n` patients; more events than patients where no number stops.

    References
    ----------
    .. [1] Thall & Simon 1994, Biometrics 50:337, 10.2307/2533377
    .. [2] Ivanova, Qaqish & Schell 2005, Biometrics 61:540, 10.1111/j.1541-0420.2005.00311.x
    """
    from scipy.stats import beta, binom

    patients = np.arange(1, n + 1)[:, None]
    events = np.arange(n + 2)[None, :]
    possible = (events <= patients) & (patients >= rule.first_patients)
    if rule.rule == "posterior":
        a, b = rule.limit * rule.prior_patients, (1 - rule.limit) * rule.prior_patients
        bad = beta.sf(rule.limit, a + events, b + np.maximum(patients - events, 0)) >= rule.posterior
        return _first(bad & possible)
    tail = binom.sf(events - 1, patients, rule.limit)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        stops = safety_course(_first((tail <= middle) & possible), rule.limit)
        low, high = (middle, high) if stops.sum() <= rule.false_stops else (low, middle)
    return _first((tail <= low) & possible)


def _first(bad: np.ndarray) -> np.ndarray:
    return np.where(bad.any(axis=1), bad.argmax(axis=1), np.arange(1, len(bad) + 1) + 1)


def safety_course(bounds: np.ndarray, share: float) -> np.ndarray:
    """Return the chance to stop after each patient, where a share of patients has the event.

    Parameters
    ----------
    bounds : numpy.ndarray of int, shape (n,)
        Of `safety_bounds`.
    share : float

    Returns
    -------
    numpy.ndarray of float, shape (n,)
    """
    state, stops = np.zeros(len(bounds) + 1), np.zeros(len(bounds))
    state[0] = 1.0
    for i, bound in enumerate(bounds):
        state[1:] = state[1:] * (1 - share) + state[:-1] * share
        state[0] *= 1 - share
        stops[i] = state[bound:].sum()
        state[bound:] = 0.0
    return stops


def expected_patients(stops: np.ndarray) -> float:
    """Return the expected patients of an arm that may stop after each."""
    n = len(stops)
    return float(stops @ np.arange(1, n + 1) + (1 - stops.sum()) * n)
