"""Made-up outcomes for the tests of trials: what a trial reads, with shares that are known."""

import numpy as np
import pandas as pd

from hsc_pipeline.study_trial import Trial, analysis_of
from hsc_pipeline.trials.cohort import Cohort, Plan

LANDMARK, LAST_VISIT = 24.0, 60.0
VISITS = [1, 3, 6, 12, 24, 60]
OVER = {
    "product.cd34_per_kg": {"values": None, "least": 2e6, "most": 2e7, "scale": "log"},
    "conditioning.busulfan_auc": {"values": None, "least": 20.0, "most": 70.0, "scale": "linear"},
}


def plan(loss=0.0, control="control", same_patients=True, **trial):
    asked = Trial(**trial)
    horizon = asked.by_month or LANDMARK
    return Plan(asked, control, analysis_of(asked), horizon, LAST_VISIT, loss, same_patients)


def cohort(share, n=1000, arm="arm", months=None, harm=0.0):
    """A cohort with exactly this share, as near as n patients can have it."""
    yes = np.arange(n) < round(share * n)
    reached = np.full(n, np.inf) if months is None else months
    harmed = np.arange(n)[::-1] < round(harm * n)
    return Cohort(arm, np.arange(n), yes, reached, np.zeros(n), {"graft_failure": harmed})


def outcomes(shares, patients=60, seed=0):
    """Rows of outcomes, benefit drawn with a share by arm; the rest is uneventful."""
    rng, parts = np.random.default_rng(seed), []
    for arm, share in shares.items():
        death = rng.exponential(300, patients)
        parts.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "patient": np.arange(patients),
                    "infused": True,
                    "benefit": rng.random(patients) < share,
                    "t_protection_month": np.where(rng.random(patients) < share, 6.0, np.nan),
                    "graft_failure": rng.random(patients) < 0.05,
                    "dominance_alarm": False,
                    "transformation_month": np.where(death < LAST_VISIT, death, np.nan),
                    "rescue_month": np.nan,
                    "months_to_infusion": 4.0,
                    "landmark_month": LANDMARK,
                    "event": np.where(death < LAST_VISIT, "transformation", "none"),
                    "event_month": np.minimum(death, LAST_VISIT),
                    "lost_month": np.nan,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def study(arms, trial=None, **more):
    """What a trial reads of study.yaml; `arms` maps names to values that differ."""
    return {
        "seed": 3,
        "trial": Trial(**(trial or {})).model_dump(mode="json"),
        "values": {
            "followup.lost_per_year": {"value": 0.03, "unit": "1/year"},
            "product.cd34_per_kg": {"value": 9e6, "unit": "cells/kg"},
            "conditioning.busulfan_auc": {"value": 45.0, "unit": "mg*h/L"},
        },
        "arms": [{"name": name, "set": own} for name, own in arms.items()],
        "visits_months": VISITS,
        "independent_arms": False,
        "patients": 60,
        **more,
    }


def true_chance(dose, exposure):
    """A share that rises with log dose and exposure; 0.9 at a dose of 5.3e6 and an exposure of 45."""
    return 1 / (1 + np.exp(-(2.4 * np.log(dose / 4e6) + 0.08 * (exposure - 45) + 1.5)))


def sweep(points=60, patients=10, seed=1, chance=true_chance, crossed=False):
    """Points and outcomes of a sweep over dose and exposure, other patients at each unless crossed."""
    rng = np.random.default_rng(seed)
    dose, exposure = 10 ** rng.uniform(np.log10(2e6), np.log10(2e7), points), rng.uniform(20, 70, points)
    columns = {"product.cd34_per_kg": dose, "conditioning.busulfan_auc": exposure}
    long = pd.concat(
        [
            pd.DataFrame({"point": np.arange(points), "arm": "a", "parameter": name, "value": value})
            for name, value in columns.items()
        ]
    )
    share, rows = chance(dose, exposure), []
    for point in range(points):
        first = 0 if crossed else point * patients
        rows.append(
            pd.DataFrame(
                {
                    "point": point,
                    "arm": "a",
                    "patient": first + np.arange(patients),
                    "infused": True,
                    "benefit": rng.random(patients) < share[point],
                    "landmark_month": LANDMARK,
                }
            )
        )
    return long, pd.concat(rows, ignore_index=True)
