"""What is foreseen: outcomes of every kind, declared once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.outcomes import OUTCOMES

KINDS = ("regression", "classification", "time_to_event")
MOST_INTERVALS = 12  # of a time to an event; more visits than that are joined
FEWEST_EVENTS = 10  # patients with the event, and without it where there are classes, among those learnt from


@dataclass(frozen=True)
class Target:
    """An outcome to foresee.

    Attributes
    ----------
    title : str
        As readers see it.
    kind : str
        One of `KINDS`.
    logarithmic : bool
        Whether log10(1 + outcome) is what is learnt and judged; predictions are turned back.
    """

    title: str
    kind: str
    logarithmic: bool = False

    def learnt(self, values: np.ndarray) -> np.ndarray:
        """Return outcomes on the scale on which they are learnt."""
        return np.log10(1 + values) if self.logarithmic else values

    def told(self, values: np.ndarray) -> np.ndarray:
        """Return what was learnt on the scale of the outcome."""
        return 10.0**values - 1 if self.logarithmic else values


TARGETS: Mapping[str, Target] = {
    "vcn_neutrophil": Target("VCN of neutrophils", "regression"),
    "corrected_t_cells": Target("corrected fraction of T cells", "regression"),
    "stem_cell_chimerism": Target("corrected fraction of stem cells", "regression"),
    "cd4_per_ul": Target("CD4+ T cells", "regression", logarithmic=True),
    "platelets_per_ul": Target("platelets", "regression"),
    "immune_score": Target("immune competence score", "regression"),
    "live_clones": Target("live corrected clones", "regression", logarithmic=True),
    "benefit": Target("benefit", "classification"),
    "t_protected": Target("protection by T cells", "classification"),
    "graft_failure": Target("graft failure", "classification"),
    "dominance_alarm": Target("dominance alarm", "classification"),
    "t_protection_month": Target("time to protection by T cells", "time_to_event"),
    "transformation_month": Target("time to transformation", "time_to_event"),
}


def unit(target: str) -> str:
    """Return the unit of a target; of a class, none."""
    return OUTCOMES.columns[target].unit


def possible(target: str) -> tuple[float, float]:
    """Return the limits that the outcome cannot pass."""
    column = OUTCOMES.columns[target]
    least = -np.inf if column.least is None else column.least
    return float(least), np.inf if column.most is None else float(column.most)


def visit_grid(months: np.ndarray) -> np.ndarray:
    """Return the ends of the intervals in which events are counted: the visits, `MOST_INTERVALS` at most."""
    months = np.unique(np.asarray(months, float))
    months = months[months > 0]
    chosen = np.linspace(0, len(months) - 1, min(len(months), MOST_INTERVALS)).round().astype(int)
    return months[np.unique(chosen)]


def observed(target: Target, values: pd.Series, months: np.ndarray) -> np.ndarray:
    """Return an outcome as it is learnt.

    Returns
    -------
    numpy.ndarray
        Regression: values, shape (rows,).  Classification: 0 or 1, shape (rows,).  Time to event: the
        place of the interval between visits, and 1 for an event in it or 0 where follow-up ended with
        it, shape (rows, 2).
    """
    if target.kind == "time_to_event":
        month = values.to_numpy(float)
        event = month <= months[-1]  # an empty month is none
        place = np.searchsorted(months, np.where(event, month, months[-1]))
        return np.stack([place, event], axis=1).astype(int)
    if target.kind == "classification":
        return values.to_numpy(bool).astype(int)
    return target.learnt(values.to_numpy(float))


def too_few(kind: str, y: np.ndarray, patients: np.ndarray) -> str:
    """Say why a target cannot be learnt from these rows, or nothing."""
    if kind == "regression":
        return "" if np.ptp(y) > 0 else "it is the same in every patient"
    happened = y if kind == "classification" else y[:, 1]
    with_it = len(np.unique(patients[happened == 1]))
    without = len(np.unique(patients[happened == 0]))
    what = "seen in" if kind == "classification" else "an event in"
    if with_it < FEWEST_EVENTS:
        return f"{what} {with_it} patients to learn from, {FEWEST_EVENTS} are needed"
    if kind == "classification" and without < FEWEST_EVENTS:
        return f"absent in {without} patients to learn from, {FEWEST_EVENTS} are needed"
    return ""
