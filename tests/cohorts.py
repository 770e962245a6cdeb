"""Made-up cohorts whose outcomes follow from what is known at infusion in a way that is known."""

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.models import estimators, surrogates
from hsc_pipeline.models.features import design_matrix

ARMS = ("full", "half")
MONTHS = (1.0, 3.0, 6.0, 12.0, 24.0, 60.0)
WEIGHTS = np.array([1.0, -2, 0.5, 0.3, 0, 0.2])  # of the standardised features
REGRESSION, CLASSIFICATION, TIME = "vcn_neutrophil", "benefit", "t_protection_month"


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Search less, with smaller models: the same laws in a quarter of the time."""
    small = {"TREES": 10, "STEPS": 20, "RIDGES": (3.0,), "INNER_FOLDS": 2}
    for name, value in small.items():
        patch.setattr(estimators, name, value)
    patch.setattr(surrogates, "PERMUTATIONS", 2)


def cohort(patients: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return covariates of patients under two arms; the same person stands in both."""
    rng = np.random.default_rng(seed)
    person = pd.DataFrame(
        {
            "patient": np.arange(patients),
            "age_years": rng.uniform(1, 16, patients),
            "weight_kg": rng.uniform(8, 60, patients),
            "null_genotype": rng.random(patients) < 0.7,
            "infused": True,
            "mean_copies": rng.lognormal(0.7, 0.25, patients),
            "busulfan_auc": rng.lognormal(3.8, 0.2, patients),
            "landmark_month": MONTHS[-1],
        }
    )
    dose = rng.lognormal(16, 0.35, patients)
    return pd.concat(
        [person.assign(arm=arm, cd34_per_kg=dose / (1 + i)) for i, arm in enumerate(ARMS)], ignore_index=True
    )


def driver(rows: pd.DataFrame) -> np.ndarray:
    """Return the linear combination of standardised features that drives the outcomes."""
    features = design_matrix(rows)
    return ((features - features.mean()) / features.std()).to_numpy() @ WEIGHTS


def with_outcomes(rows: pd.DataFrame, signal: np.ndarray, seed: int = 1, noise: float = 0.0) -> pd.DataFrame:
    """Return rows with an outcome of each kind: a value, a class, and a time that the signal shortens."""
    rng, n = np.random.default_rng(seed), len(rows)
    chance = 1 / (1 + np.exp(-1.5 * signal))
    time = rng.exponential(30 * np.exp(-signal))
    visit = np.searchsorted(MONTHS, time)
    protected = np.append(MONTHS, np.nan)[visit]
    return rows.assign(
        **{
            REGRESSION: 10 + signal + noise * rng.standard_normal(n),
            CLASSIFICATION: rng.random(n) < chance,
            TIME: protected,
        }
    )


def shuffled(rows: pd.DataFrame, seed: int = 3) -> pd.DataFrame:
    """Return rows with each outcome handed to other rows."""
    rng = np.random.default_rng(seed)
    names = (REGRESSION, CLASSIFICATION, TIME)
    return rows.assign(**{name: rng.permutation(rows[name].to_numpy()) for name in names})


def sweep(points: int, patients: int, same_patients: bool, seed: int = 0) -> pd.DataFrame:
    """Return outcomes of the points of a sweep over the dose, as `features.join_sweep` leaves them."""
    rng, parts = np.random.default_rng(seed), []
    for point in range(points):
        rows = cohort(patients, 0 if same_patients else seed + point).iloc[:patients]
        number = rows["patient"] + (0 if same_patients else 1000 * (point + 1))
        dose = 1e6 * (1 + point)
        parts.append(
            rows.assign(arm="full", patient=number, point=f"point {point}", **{"product.cd34_per_kg": dose})
        )
    rows = pd.concat(parts, ignore_index=True)
    return with_outcomes(rows, rng.standard_normal(len(rows)))
