"""Patients of an arm as a trial meets them, and how their shares are known from a finite cohort."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hsc_pipeline.study_trial import SAFETY_EVENTS, TIME_ENDPOINTS, Trial

JEFFREYS = 0.5  # of each share, before any patient: events and no events


@dataclass(frozen=True)
class Plan:
    """A trial with everything filled in that follows from the study and the outcomes.

    Attributes
    ----------
    trial : Trial
    control : str
        Arm that the others are compared with.
    analysis : str
    horizon : float
        Month after infusion by which the endpoint is read.
    last_visit : float
        Month after infusion of the last visit.
    loss_per_year : float
        Share of patients lost to follow-up in a year.
    same_patients : bool
        Whether patients of one number in two arms are the same virtual person.
    """

    trial: Trial
    control: str
    analysis: str
    horizon: float
    last_visit: float
    loss_per_year: float
    same_patients: bool = True

    @property
    def follow_up(self) -> float:
        """Months from the last infusion to the analysis."""
        return self.horizon if self.trial.follow_up_months is None else self.trial.follow_up_months

    @property
    def seen(self) -> float:
        """Chance that a patient is still followed when the endpoint is read."""
        return float((1 - self.loss_per_year) ** (self.horizon / 12))

    @property
    def known(self) -> float:
        """Factor on a share that reaches the endpoint: whom loss makes a failure is not seen to."""
        return self.seen if self.trial.missing == "failure" else 1.0

    @property
    def past_share(self) -> float | None:
        """Share of the historical patients who reached the endpoint; nothing without them."""
        past = self.trial.historical
        if past is None:
            return None
        return past.share if past.share is not None else past.events / past.patients

    def others(self, arms: list[str]) -> list[str]:
        """Return the arms that are compared: all against the past, all but the control otherwise."""
        return [arm for arm in arms if self.trial.historical or arm != self.control]

    def controls(self, n_arm: int) -> int:
        """Return the control's patients beside `n_arm` of the arm; none against the past."""
        return 0 if self.trial.historical else max(1, round(n_arm / self.trial.allocation))


@dataclass(frozen=True)
class Cohort:
    """The simulated patients of an arm.

    Attributes
    ----------
    arm : str
    patients : numpy.ndarray of int, shape (n,)
    yes : numpy.ndarray of bool
        Whether the endpoint is reached by the plan's horizon.
    months : numpy.ndarray of float
        Visit at which it was reached; infinite if never, or for an endpoint without a time.
    wait : numpy.ndarray of float
        Months from enrolment to infusion; 0 if never infused.
    events : mapping of str to numpy.ndarray of bool
        Harm by its name.
    """

    arm: str
    patients: np.ndarray
    yes: np.ndarray
    months: np.ndarray
    wait: np.ndarray
    events: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Simulated patients."""
        return len(self.patients)

    @property
    def share(self) -> float:
        """Share of them that reaches the endpoint."""
        return float(self.yes.mean())


def cohorts(outcomes: pd.DataFrame, plan: Plan) -> dict[str, Cohort]:
    """Return the patients of each arm, in the order of the arms.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES`.
    plan : Plan
    """
    return {str(arm): _cohort(str(arm), rows, plan) for arm, rows in outcomes.groupby("arm", sort=False)}


def reached(outcomes: pd.DataFrame, endpoint: str, horizon: float) -> np.ndarray:
    """Return who reaches the endpoint, a time by month `horizon`."""
    if endpoint in TIME_ENDPOINTS:
        return (outcomes[endpoint].to_numpy(float, na_value=np.inf) <= horizon) & outcomes[
            "infused"
        ].to_numpy(bool)
    return outcomes[endpoint].to_numpy(bool)


def _cohort(arm: str, rows: pd.DataFrame, plan: Plan) -> Cohort:
    endpoint = plan.trial.endpoint
    months = np.full(len(rows), np.inf)
    if endpoint in TIME_ENDPOINTS:
        known = rows[endpoint].to_numpy(float, na_value=np.inf)
        months = np.where(rows["infused"], known, np.inf)
    return Cohort(
        arm,
        rows["patient"].to_numpy(),
        reached(rows, endpoint, plan.horizon),
        months,
        rows["months_to_infusion"].fillna(0.0).to_numpy(float),
        {event: _harmed(rows, event, plan.horizon) for event in SAFETY_EVENTS},
    )


def _harmed(rows: pd.DataFrame, event: str, horizon: float) -> np.ndarray:
    if event in rows:
        return rows[event].to_numpy(bool)
    return rows[f"{event}_month"].to_numpy(float, na_value=np.inf) <= horizon


def share_draws(
    arm: Cohort, control: Cohort, draws: int, rng: np.random.Generator, same_patients: bool
) -> np.ndarray:
    """Draw what the shares of two arms may be, given that the cohorts are finite.

    Where both arms hold the same virtual patients, who agree, the four kinds of pairs have a Dirichlet
    law; a quarter of a patient before the data leaves each arm Jeffreys' prior.  Otherwise each arm
    has a beta law of its own.

    Parameters
    ----------
    arm, control : Cohort
    draws : int
    rng : numpy.random.Generator
    same_patients : bool
        Whether a patient's number means the same person in both.

    Returns
    -------
    numpy.ndarray of float, shape (draws, 2)
        Share of the arm and of the control.
    """
    if same_patients and np.array_equal(arm.patients, control.patients):
        a, c = arm.yes, control.yes
        counts = np.array([(a & c).sum(), (a & ~c).sum(), (~a & c).sum(), (~a & ~c).sum()])
        both, only_arm, only_control, _ = rng.dirichlet(counts + JEFFREYS / 2, draws).T
        return np.column_stack([both + only_arm, both + only_control])
    return np.column_stack([one_share_draws(arm, draws, rng), one_share_draws(control, draws, rng)])


def one_share_draws(cohort: Cohort, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what the share of one arm may be."""
    yes = int(cohort.yes.sum())
    return rng.beta(yes + JEFFREYS, cohort.n - yes + JEFFREYS, draws)


def catalogue_tables(outcomes: pd.DataFrame, plan: Plan) -> dict[str, np.ndarray]:
    """Return who reaches the endpoint over the uncertain values of the catalogue, by arm.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES` with ``point``: each a draw of the catalogue, with the same patients everywhere.
    plan : Plan

    Returns
    -------
    dict of str to numpy.ndarray of float, shape (points, patients)
        Points that failed in an arm are left out of all; nothing where fewer than two are left.
    """
    rows = outcomes.assign(yes=reached(outcomes, plan.trial.endpoint, plan.horizon))
    tables = {
        str(arm): part.pivot(index="point", columns="patient", values="yes").dropna().astype(float)
        for arm, part in rows.groupby("arm", sort=False)
    }
    common = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if len(common) < 2:
        return {}
    return {arm: table.loc[common].to_numpy() for arm, table in tables.items()}


def catalogue_draws(
    arm: np.ndarray, control: np.ndarray | None, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the shares of one or two arms over the uncertain values of the catalogue.

    Each draw of the catalogue has few patients.  What their shares vary by beyond the patients' own noise is
    the variance component of the points in a two-way layout (Searle, Casella & McCulloch 1992,
    10.1002/9780470316856).  The kinds of patients (both arms reach it, one, none) of each draw are shrunk to
    their mean as a Dirichlet law with that variance is; patients and points stay paired, so that a draw that
    is bad for one arm is as bad for the other.

    Parameters
    ----------
    arm, control : numpy.ndarray of float, shape (points, patients)
        Of `catalogue_tables`; no control against the past.
    draws : int
    rng : numpy.random.Generator

    Returns
    -------
    arm, control : numpy.ndarray of float, shape (draws,)
    """
    other = np.zeros_like(arm) if control is None else control
    kinds = np.stack([arm * other, arm * (1 - other), (1 - arm) * other, (1 - arm) * (1 - other)])
    counts = kinds.sum(axis=2).T
    tables = [table for table in (arm, control) if table is not None]
    between = sum(point_variance(table) for table in tables)
    within = sum(table.mean() * (1 - table.mean()) for table in tables)
    strength = within / between - 1 if between > 0 else np.inf
    pooled = (counts.sum(axis=0) + JEFFREYS / 2) / (counts.sum() + 2 * JEFFREYS)
    if not 0 < strength < np.inf:  # the points do not differ, or hold one kind of patient each
        strength = counts.sum() if strength > 0 else JEFFREYS
    chosen = rng.integers(len(counts), size=draws)
    laws = np.maximum(strength * pooled + counts[chosen], np.finfo(float).tiny)
    gammas = rng.standard_gamma(laws)
    both, only_arm, only_control, _ = (gammas / gammas.sum(axis=1, keepdims=True)).T
    return both + only_arm, None if control is None else both + only_control


def point_variance(table: np.ndarray) -> float:
    """Return the variance of the points' shares beyond the noise of patients, at least zero.

    Parameters
    ----------
    table : numpy.ndarray of float, shape (points, patients)
        Whether each patient reaches the endpoint at each point.
    """
    points, patients = table.shape
    if points < 2 or patients < 2:
        return 0.0
    by_point, by_patient, mean = table.mean(1, keepdims=True), table.mean(0, keepdims=True), table.mean()
    noise = ((table - by_point - by_patient + mean) ** 2).sum() / ((points - 1) * (patients - 1))
    spread = patients * ((by_point - mean) ** 2).sum() / (points - 1)
    return float(max(0.0, (spread - noise) / patients))
