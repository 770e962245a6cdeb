"""The chosen design, simulated with patients whom the search has not seen."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.settings import Settings
from hsc_pipeline.trials.cohort import Plan, reached
from hsc_pipeline.trials.power import LEVEL, interval

MOST_PATIENTS = 200  # simulated anew
COLUMNS = [
    "arm",
    "status",
    "predicted",
    "predicted_low",
    "predicted_high",
    "simulated",
    "simulated_low",
    "simulated_high",
    "patients",
    "target",
    "agrees",
    "verdict",
    "spans",
]
SPANS = "predicted: the surrogate's bootstrap; simulated: between fresh virtual patients; 90 % each"


def verify(
    chosen: pd.DataFrame,
    settings: Mapping[str, Mapping[str, Settings]],
    plan: Plan,
    patients: int,
    first: int,
    simulate: Any = None,
) -> pd.DataFrame:
    """Simulate the chosen designs with fresh patients and compare with what was predicted.

    Parameters
    ----------
    chosen : pandas.DataFrame
        Of `design_search.search`.
    settings : mapping of str to mapping of str to Settings
        By arm and stage.
    plan : Plan
    patients : int
        To simulate; at most `MOST_PATIENTS` are.
    first : int
        Number of the first fresh patient.
    simulate : callable, optional
        In place of `points.simulate_point`.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`; no row where nothing was chosen.
    """
    if simulate is None:
        from hsc_pipeline.points import simulate_point as simulate
    rows = []
    for arm, part in chosen.dropna(subset=["value"]).groupby("arm", sort=False):
        values = dict(zip(part["parameter"], part["value"].astype(float), strict=True))
        fresh = range(first, first + min(patients, MOST_PATIENTS))
        outcomes = simulate(settings[str(arm)], str(arm), values, fresh)["outcomes"].to_pandas()
        yes = reached(outcomes, plan.trial.endpoint, plan.horizon)
        rows.append(compare(part.iloc[0], int(yes.sum()), len(yes)))
    return pd.DataFrame(rows, columns=COLUMNS)


def compare(predicted: pd.Series, successes: int, patients: int) -> dict:
    """Return one row of `COLUMNS`.

    Prediction and simulation agree where their difference is within the interval that both errors make
    together (Newcombe 1998, 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I).
    """
    low, high = interval(successes, patients)
    share = successes / patients
    difference = share - predicted["share"]
    below = np.hypot(share - low, predicted["high"] - predicted["share"])
    above = np.hypot(high - share, predicted["share"] - predicted["low"])
    agrees = bool(difference - below <= 0 <= difference + above)
    target = predicted["target"]
    reaches = f"reaches {target:g}" if low >= target else f"misses {target:g}" if high < target else None
    words = "as predicted" if agrees else "not as predicted"
    unsure = f"{target:g} lies within the {LEVEL:.0%} interval".replace("%", " %")
    return {
        "arm": predicted["arm"],
        "status": predicted["status"],
        "predicted": predicted["share"],
        "predicted_low": predicted["low"],
        "predicted_high": predicted["high"],
        "simulated": share,
        "simulated_low": low,
        "simulated_high": high,
        "patients": patients,
        "target": target,
        "agrees": agrees,
        "verdict": f"{words}; {reaches or unsure}",
        "spans": SPANS,
    }
