"""Virtual trials: patients enrol, wait, are infused, get lost, and are analysed."""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.trials.analyses import log_rank_rejects, significant, significant_against_share
from hsc_pipeline.trials.cohort import Cohort, Plan
from hsc_pipeline.trials.stopping import (
    final_set,
    looks_of,
    predictive_probability,
    safety_bounds,
)


@dataclass(frozen=True)
class Trials:
    """What came of virtual trials of one size.

    Attributes
    ----------
    rejected : numpy.ndarray of bool, shape (replicates,)
        Whether the test was significant.
    months : numpy.ndarray of float, shape (replicates,)
        From the first enrolment to the analysis.
    evaluable : numpy.ndarray of float, shape (replicates,)
        Share of patients with a known endpoint at the analysis.
    """

    rejected: np.ndarray
    months: np.ndarray
    evaluable: np.ndarray


def simulate_trials(
    arm: Cohort,
    control: Cohort | None,
    n_arm: int,
    plan: Plan,
    replicates: int,
    rng: np.random.Generator,
    uncertain: bool = False,
) -> Trials:
    """Simulate trials of one size, all the same but for who enrols and when.

    Patients are drawn with replacement, each arm apart: a cohort stands for the population it
    was drawn from, and a patient drawn twice for two persons.  Arms that share virtual patients
    are drawn apart too, so that nobody's counterfactual self takes part.

    Parameters
    ----------
    arm, control : Cohort
        Without a control, the arm is held against the past.
    n_arm : int
        Patients of the arm; the control's follow from the allocation.
    plan : Plan
    replicates : int
    rng : numpy.random.Generator
    uncertain : bool
        Weigh the cohort's patients anew for each trial, as the Bayesian bootstrap does (Rubin 1981,
        10.1214/aos/1176345338), so that the answer holds the cohort's own error.
    """
    n_control = 0 if control is None else plan.controls(n_arm)
    chosen = [_draw(arm, n_arm, replicates, rng, uncertain)]
    if control is not None:
        chosen.append(_draw(control, n_control, replicates, rng, uncertain))
    yes, months, wait = (np.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True))
    n = n_arm + n_control
    enrolled = np.cumsum(rng.exponential(1 / plan.trial.enrolment_per_month, (replicates, n)), axis=1)
    enrolled = rng.permuted(enrolled, axis=1)  # patients are allocated at random
    infused = enrolled + wait
    analysis = infused.max(axis=1) + plan.follow_up
    followed = analysis[:, None] - infused
    lost = _losses(plan, (replicates, n), rng)
    in_arm = np.arange(n) < n_arm
    if plan.analysis == "log_rank":
        rejected = _over_time(months, np.minimum(np.minimum(followed, lost), plan.last_visit), in_arm, plan)
        known = np.minimum(lost, followed) >= np.minimum(months, plan.horizon)
    else:
        known, rejected = _yes_or_no(yes, followed, lost, in_arm, plan)
    return Trials(rejected, analysis, known.mean(axis=1))


def _draw(
    cohort: Cohort, n: int, replicates: int, rng: np.random.Generator, uncertain: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw patients of a cohort with replacement: endpoint, its month and the wait for infusion."""
    index = rng.integers(cohort.n, size=(replicates, n))
    for patient in range(1, n if uncertain else 0):
        # Polya's urn: the same law as weights drawn for every patient of the cohort, in less memory.
        again = np.flatnonzero(rng.random(replicates) < patient / (cohort.n + patient))
        index[again, patient] = index[again, rng.integers(patient, size=len(again))]
    return cohort.yes[index], cohort.months[index], cohort.wait[index]


def _losses(plan: Plan, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw the month after infusion at which each patient is lost."""
    if plan.loss_per_year == 0:
        return np.full(shape, np.inf)
    return rng.exponential(-12 / np.log1p(-plan.loss_per_year), shape)


def _yes_or_no(
    yes: np.ndarray, followed: np.ndarray, lost: np.ndarray, in_arm: np.ndarray, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """Return whose endpoint is known, and which trials are significant."""
    due = followed >= plan.horizon - 1e-9
    known = due & (lost >= plan.horizon)
    counted = due if plan.trial.missing == "failure" else known
    successes, analysed = yes & known, counted
    x, n = successes[:, in_arm].sum(axis=1), analysed[:, in_arm].sum(axis=1)
    y, m = successes[:, ~in_arm].sum(axis=1), analysed[:, ~in_arm].sum(axis=1)
    rejected = np.zeros(len(yes), bool)
    level = (plan.trial.alpha, plan.trial.sides)
    for size in np.unique(np.column_stack([n, m]), axis=0):
        rows = (n == size[0]) & (m == size[1])
        n_arm, n_control = map(int, size)
        if plan.past_share is not None:
            rejected[rows] = significant_against_share(n_arm, plan.past_share, *level)[x[rows]]
        else:
            rejected[rows] = significant(plan.analysis, n_arm, n_control, *level)[x[rows], y[rows]]
    return known, rejected


def _over_time(months: np.ndarray, censored: np.ndarray, in_arm: np.ndarray, plan: Plan) -> np.ndarray:
    seen = months <= censored
    time = np.where(seen, months, censored)
    return np.array(
        [
            log_rank_rejects(t, s, in_arm, plan.trial.alpha, plan.trial.sides)
            for t, s in zip(time, seen, strict=True)
        ]
    )


def simulate_rules(
    arm: Cohort,
    control: Cohort | None,
    n_arm: int,
    plan: Plan,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate trials with the rules for futility and for safety together.

    Each patient's endpoint and harm are drawn together.  An arm that is stopped for harm stops the trial.

    Returns
    -------
    stopped, rejected : numpy.ndarray of bool, shape (replicates,)
    patients : numpy.ndarray of int, shape (replicates,)
        Of both arms, until the stop.
    """
    final = (n_arm, 0 if control is None else plan.controls(n_arm))
    results, harmed_at = [], np.full(replicates, np.inf)  # when, as a share of the trial
    for cohort, n in zip((arm, control), final, strict=True):
        if cohort is None:
            results.append(np.zeros((replicates, 1), int))
            continue
        index = rng.integers(cohort.n, size=(replicates, n))
        kept = rng.random((replicates, n)) < plan.known
        successes = np.cumsum(cohort.yes[index] & kept, axis=1)
        results.append(np.concatenate([np.zeros((replicates, 1), int), successes], axis=1))
        harm = np.cumsum(cohort.events[plan.trial.safety.event][index], axis=1)
        crossed = harm >= safety_bounds(plan.trial.safety, n)
        at = np.where(crossed.any(axis=1), (crossed.argmax(axis=1) + 1) / n, np.inf)
        harmed_at = np.minimum(harmed_at, at)
    sets, every = final_set(plan, *final), np.arange(replicates)
    stop_at = harmed_at
    for size in looks_of(plan, *final)[:-1]:
        futile = predictive_probability(sets, size, final) < plan.trial.futility.limit
        x, y = results[0][every, size[0]], results[1][every, size[1]]
        stop_at = np.minimum(stop_at, np.where(futile[x, y], size[0] / n_arm, np.inf))
    stopped = np.isfinite(stop_at)
    rejected = sets[results[0][:, -1], results[1][:, -1]] & ~stopped
    share = np.minimum(stop_at, 1.0)
    return stopped, rejected, sum(np.ceil(share * n - 1e-9).astype(int) for n in final)
