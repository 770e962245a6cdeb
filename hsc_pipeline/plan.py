"""Plan: who the virtual patients are and what each arm gives them."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import patient_seed, spread, stream
from hsc_pipeline.tables import Column, Table

PATIENTS = Table(
    "patients",
    ("patient",),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient, the same person in every arm", 0),
        "patient_seed": Column(pa.uint64(), "", "seed of all of this patient's random streams"),
        "age_years": Column(pa.float64(), "years", "age at infusion", 0, 120),
        "weight_kg": Column(pa.float64(), "kg", "body weight at infusion", 1, 300),
        "null_genotype": Column(pa.bool_(), "", "whether the genotype allows no protein at all"),
        "donor_age_years": Column(
            pa.float64(), "years", "age of whoever gives the cells; the patient's own if autologous", 0, 120
        ),
        "busulfan_auc": Column(
            pa.float64(), "mg*h/L", "cumulative busulfan exposure achieved, if the patient is infused", 0
        ),
    },
)


def plan_patients(patients: Sequence[int], settings: Settings, arm: str) -> pa.Table:
    """Draw the virtual patients of one arm.

    Parameters
    ----------
    patients : sequence of int
        Their numbers.
    settings : Settings
        Of the stage ``plan``.
    arm : str
        Enters the seeds only where the study asks for independent arms.

    Returns
    -------
    pyarrow.Table
        `PATIENTS`, one row per patient.
    """
    seed = settings.study["seed"]
    path = arm if settings.study["independent_arms"] else None
    rows = [plan_patient(patient, patient_seed(seed, patient, path), settings) for patient in patients]
    return PATIENTS.build({name: [row[name] for row in rows] for name in PATIENTS.columns})


def plan_patient(patient: int, seed: int, settings: Settings) -> dict:
    """Draw one virtual patient: a row of `PATIENTS`."""
    age = draw_age(
        stream(seed, "plan.age"),
        median=settings["cohort.age_median"],
        ln_sd=settings["cohort.age_ln_sd"],
        least=settings["cohort.age_min"],
        most=settings["cohort.age_max"],
    )
    ages, weights = zip(*settings.rows("weight_for_age"), strict=True)
    return {
        "patient": patient,
        "patient_seed": seed,
        "age_years": age,
        "weight_kg": np.interp(age, ages, weights)
        * spread(seed, "plan.weight", settings["cohort.weight_ln_sd"]),
        "null_genotype": stream(seed, "plan.genotype").random() < settings["cohort.null_fraction"],
        "donor_age_years": settings["donor.age_median"]
        * spread(seed, "plan.donor_age", settings["donor.age_ln_sd"])
        if settings["product.donor"] == "allogeneic"
        else age,
        "busulfan_auc": settings["conditioning.busulfan_auc"]
        * spread(seed, "plan.exposure", settings["conditioning.auc_ln_sd"]),
    }


def draw_age(rng: np.random.Generator, median: float, ln_sd: float, least: float, most: float) -> float:
    """Draw an age in years: log-normal, cut to [`least`, `most`]."""
    if ln_sd == 0:
        return median
    law = NormalDist(np.log(median), ln_sd)
    low, high = law.cdf(np.log(least)), law.cdf(np.log(most))
    return float(np.clip(np.exp(law.inv_cdf(low + (high - low) * rng.random())), least, most))
