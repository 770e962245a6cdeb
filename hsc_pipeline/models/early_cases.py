"""What is foreseen early, of whom, and from what: targets at late visits, and knowledge by month."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd

from hsc_pipeline.models.early_learners import HeldOut, hold_out
from hsc_pipeline.models.evaluation import grouped_folds
from hsc_pipeline.models.features import design_matrix

HORIZONS = (0.0, 1.0, 3.0, 6.0, 12.0)  # months of knowledge; 0: at infusion
GOALS = (24.0, 60.0)
LAB = "lab_"
FEWEST_EACH = 10  # patients with an event, and without; twice as many with a known amount


@dataclass(frozen=True)
class Target:
    """What is foreseen of a later visit.

    Attributes
    ----------
    column : str
        Of `visits.VISITS`.
    events : bool
        Whether it happens, or how much there is.
    act_on : bool
        Of events: which of the two a clinician would act on.
    lasting : bool
        Whether an event that has come stays.
    when_seen : bool
        Whether it can be told only of a patient who comes to the visit.
    logarithm : bool
    """

    column: str
    events: bool = False
    act_on: bool = True
    lasting: bool = False
    when_seen: bool = False
    logarithm: bool = False


TARGETS = {
    "benefit": Target("benefit", events=True, act_on=False),
    "alarm": Target("alarm", events=True, lasting=True, when_seen=True),
    "immune_score": Target("immune_score"),
    "corrected_t_cells": Target("corrected_t_cells"),
    "top_share": Target("lab_top_share_neutrophil", when_seen=True, logarithm=True),
}


@dataclass(frozen=True)
class Case:
    """One target at one visit: the rows of whom it can be told, and the folds they stand in.

    Attributes
    ----------
    name : str
        Of the target.
    target : Target
    goal : float
        Month.
    rows : numpy.ndarray of int
        Places among the patients infused.
    y : numpy.ndarray of float, shape (rows,)
    groups : list of numpy.ndarray, shape (rows,)
        Patients, and design points in a sweep.
    folds : list of (training, held_out)
        Places within `rows`.
    seed : int
    """

    name: str
    target: Target
    goal: float
    rows: np.ndarray
    y: np.ndarray
    groups: list[np.ndarray]
    folds: list[tuple[np.ndarray, np.ndarray]]
    seed: int

    @property
    def who(self) -> dict[str, object]:
        """The columns that name the case."""
        return {"target": self.name, "goal_month": self.goal}

    @property
    def patients(self) -> np.ndarray:
        """The patient of each row."""
        return self.groups[0]

    def known(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the case's rows of what is known, without what was measured in none of them."""
        own = features.iloc[self.rows]
        return own.loc[:, own.notna().any()]

    def hold_out(self, features: pd.DataFrame, most_patients: int | None = None) -> HeldOut:
        """Return predictions of the case from the features of everybody infused."""
        return hold_out(
            self.known(features).to_numpy(float),
            self.y,
            self.groups,
            self.folds,
            events=self.target.events,
            seed=self.seed,
            most_patients=most_patients,
        )


def horizons(months: Sequence[float]) -> list[float]:
    """Return infusion and the months of `HORIZONS` that bring a visit which the one before lacks."""
    visits = np.asarray(months, float)
    pairs = itertools.pairwise(HORIZONS)
    return [0.0, *(month for before, month in pairs if ((visits > before) & (visits <= month)).any())]


def goals(months: Sequence[float]) -> list[tuple[str, float]]:
    """Return each target with each visit it is asked of: the last ones until `GOALS`."""
    visits = np.asarray(months, float)
    last = [float(visits[visits <= goal].max()) for goal in GOALS if (visits <= goal).any()]
    return [(name, month) for name in TARGETS for month in dict.fromkeys(last)]


def key_of(outcomes: pd.DataFrame) -> list[str]:
    """Return the columns that name a row: arm and patient, and the design point in a sweep."""
    return [name for name in ("point", "arm", "patient") if name in outcomes]


def knowledge(outcomes: pd.DataFrame, visits: pd.DataFrame, month: float) -> pd.DataFrame:
    """Return what is known of each patient in a month: infusion, and the laboratory's reports so far.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        Of the infused.
    visits : pandas.DataFrame
        Read at or before `month`, where the patient came, and in the columns of the laboratory only.
    month : float

    Returns
    -------
    pandas.DataFrame
        A row per row of `outcomes`; ``lab_vcn_neutrophil@3`` is a column of the visit in month 3, NaN where
        not measured.
    """
    key = key_of(outcomes)
    infusion = design_matrix(outcomes).replace([np.inf, -np.inf], np.nan)
    early = visits[visits["month"] <= month]
    if early.empty:
        return infusion
    columns = [name for name in visits if name.startswith(LAB)]
    reports = early[columns].astype(float).where(early["seen"].astype(bool))
    wide = pd.concat([early[[*key, "month"]], reports], axis=1).set_index([*key, "month"]).unstack("month")
    wide.columns = [f"{name}@{visit:g}" for name, visit in wide.columns]
    wide = wide.reindex(pd.MultiIndex.from_frame(outcomes[key])).set_axis(outcomes.index)
    return pd.concat([infusion, wide], axis=1)


def measurement(feature: str) -> str:
    """Return the measurement of a feature, whatever the visit: ``lab_vcn_neutrophil``."""
    return feature.partition("@")[0]


def make_case(outcomes: pd.DataFrame, visits: pd.DataFrame, name: str, goal: float, seed: int) -> Case | str:
    """Return a target at a visit with its rows and folds, or why it cannot be learnt."""
    target = TARGETS[name]
    at_goal = _at(visits, outcomes, goal)
    y = at_goal[target.column].to_numpy(float, na_value=np.nan)
    told = ~np.isnan(y)
    if target.when_seen:
        told &= at_goal["seen"].to_numpy(float, na_value=0) > 0
    if target.logarithm:
        told &= np.nan_to_num(y) > 0
        y = np.log(np.where(told, y, 1.0))
    rows = np.flatnonzero(told)
    y, groups = y[rows], [outcomes[by].to_numpy()[rows] for by in ("patient", "point") if by in outcomes]
    if reason := too_few(y, groups[0], target.events):
        return reason
    path = (crc32(f"early.{name}@{goal:g}".encode()),)
    own = int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0])
    # Points and patients that are crossed may leave a fold nothing to learn from or to be asked.
    folds = [fold for fold in grouped_folds(*groups, seed=own) if min(map(len, fold))]
    return Case(name, target, goal, rows, y, groups, folds, own) if folds else "no rows can be held out"


def too_few(y: np.ndarray, patients: np.ndarray, events: bool) -> str:
    """Return why there is too little to learn from, nothing if there is enough."""
    if events:
        having, lacking = (len(np.unique(patients[y == value])) for value in (1, 0))
        if min(having, lacking) < FEWEST_EACH:
            return f"patients with: {having}, without: {lacking}; at least {FEWEST_EACH} of each are needed"
        return ""
    n = len(np.unique(patients))
    if n < 2 * FEWEST_EACH:
        return f"patients with a value: {n}; at least {2 * FEWEST_EACH} are needed"
    return "" if np.ptp(y) > 0 else "it is the same in all patients"


def events_so_far(
    visits: pd.DataFrame, outcomes: pd.DataFrame, case: Case, months: Sequence[float]
) -> dict[float, np.ndarray]:
    """Return by month of knowledge to whom a lasting event had come by then, for judging only."""
    if not case.target.lasting:
        return {}
    found = {}
    for month in months:
        had = np.zeros(len(outcomes))
        for visit in sorted(visit for visit in visits["month"].unique() if visit <= month):
            had = np.maximum(
                had, _at(visits, outcomes, visit)[case.target.column].to_numpy(float, na_value=0)
            )
        found[month] = had[case.rows] > 0
    return found


def _at(visits: pd.DataFrame, outcomes: pd.DataFrame, month: float) -> pd.DataFrame:
    """Return the visit of a month, a row per row of `outcomes`, empty where there is none."""
    key = key_of(outcomes)
    rows = visits[visits["month"] == month].set_index(key)
    return rows.reindex(pd.MultiIndex.from_frame(outcomes[key]))
