"""Plan: who the virtual patients are, what each arm gives them and what befalls them."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from hsc_pipeline.events import BY_CHANCE, KINDS
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
        "genotype_class": Column(
            pa.string(),
            "",
            "null: no protein; missense: one that does not work; mild: one that works in part",
        ),
        "donor_age_years": Column(
            pa.float64(), "years", "age of whoever gives the cells; the patient's own if autologous", 0, 120
        ),
        "busulfan_auc": Column(
            pa.float64(),
            "mg*h/L",
            "cumulative busulfan exposure achieved, if the patient is infused; 0 under any other agent",
            0,
        ),
    },
)

LONGEST_MONTHS = 240  # events are drawn so far ahead, so that a later last visit changes none of them

EVENTS = Table(
    "events",
    ("patient", "event"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "event": Column(pa.int32(), "", "number within the patient, in order of month", 0),
        "month": Column(pa.float64(), "months", "after infusion, when it begins", 0),
        "kind": Column(pa.string(), "", "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())),
        "duration_months": Column(pa.float64(), "months", "how long it lasts", 0),
        "size": Column(pa.float64(), "by kind", "how severe it is, see kind", 0),
        "scheduled": Column(pa.bool_(), "", "whether the study file names it; else it came by chance"),
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
    genotype = draw_genotype(seed, settings)
    return {
        "patient": patient,
        "patient_seed": seed,
        "age_years": age,
        "weight_kg": np.interp(age, ages, weights)
        * spread(seed, "plan.weight", settings["cohort.weight_ln_sd"]),
        "null_genotype": genotype == "null",
        "genotype_class": genotype,
        "donor_age_years": settings["donor.age_median"]
        * spread(seed, "plan.donor_age", settings["donor.age_ln_sd"])
        if settings["product.donor"] == "allogeneic"
        else age,
        "busulfan_auc": settings["conditioning.busulfan_auc"]
        * spread(seed, "plan.exposure", settings["conditioning.auc_ln_sd"])
        if settings["conditioning.agent"] == "busulfan"
        else 0.0,
    }


def landmark_month(visits_months: Sequence[float], wanted: float) -> float:
    """Return the last visit not after the wanted month, or the first visit."""
    return max((month for month in visits_months if month <= wanted), default=visits_months[0])


def plan_events(patients: Sequence[Mapping], settings: Settings) -> pa.Table:
    """Return what befalls the patients of one arm: by chance, and as the study file schedules it.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `PATIENTS`.
    settings : Settings
        Of the stage ``plan``.

    Returns
    -------
    pyarrow.Table
        `EVENTS`, in order of patient and month.
    """
    rows = []
    for patient in patients:
        own = scheduled_events(settings)
        for kind in BY_CHANCE:
            own += chance_events(patient, kind, settings)
        own.sort(key=lambda event: (event["month"], event["kind"]))
        rows += [{"patient": patient["patient"], "event": n, **event} for n, event in enumerate(own)]
    return EVENTS.build({name: [row[name] for row in rows] for name in EVENTS.columns})


def scheduled_events(settings: Settings) -> list[dict]:
    """Return the events of the study file, the catalogue's length and size where it names none."""
    return [
        {
            "month": event["month"],
            "kind": event["kind"],
            "duration_months": _or(event["duration_months"], settings[f"events.{event['kind']}.months"]),
            "size": _or(event["size"], settings[f"events.{event['kind']}.size"]),
            "scheduled": True,
        }
        for event in settings.study["events"]
    ]


def chance_events(patient: Mapping, kind: str, settings: Settings) -> list[dict]:
    """Draw the events of one kind that befall a patient by chance: a Poisson process."""
    follow_up = settings.study["visits_months"][-1]
    if kind == "gvhd" and settings["product.donor"] != "allogeneic":
        return []
    rng = stream(patient["patient_seed"], f"plan.events.{kind}")
    window = settings.values.get(f"events.{kind}.until_month", LONGEST_MONTHS)
    rate = (
        rejection_per_year(patient, settings) if kind == "rejection" else settings[f"events.{kind}.per_year"]
    )
    number = rng.poisson(rate * window / 12)
    months, lasts = rng.random(number) * window, rng.standard_exponential(number)
    return [
        {
            "month": float(month),
            "kind": kind,
            "duration_months": float(length) * settings[f"events.{kind}.months"],
            "size": settings[f"events.{kind}.size"],
            "scheduled": False,
        }
        for month, length in zip(months, lasts, strict=True)
        if month < follow_up
    ]


def rejection_per_year(patient: Mapping, settings: Settings) -> float:
    """Return the rate of immune responses that reject corrected cells.

    It is that of a null genotype with all its T cells, times ratios of the genotype's class and of the
    product, times the T cells that are left to respond.

    Parameters
    ----------
    patient : mapping
        Row of `PATIENTS`.
    settings : Settings
        With ``events.rejection.``, ``product.modification`` and what `t_cells_left` reads.
    """
    return (
        settings["events.rejection.per_year"]
        * settings[f"events.rejection.class_ratio.{patient['genotype_class']}"]
        * settings[f"events.rejection.modification_ratio.{settings['product.modification']}"]
        * t_cells_left(patient, settings)
    )


def t_cells_left(patient: Mapping, settings: Settings) -> float:
    """Return functional CD4+ cells after conditioning against a healthy person's, at most 1."""
    function = settings["disease.uncorrected_function.cd4_t"]
    if patient["null_genotype"] and function < 1:
        function *= settings["disease.null_function_factor"]
    agent = settings["conditioning.agent"]
    spared = agent == "none" or (agent == "busulfan" and patient["busulfan_auc"] == 0)
    depleted = 1.0 if spared else settings["blood.cd4_t.host_survival"]
    return min(settings["disease.untreated_count.cd4_t"] * function * depleted, 1.0)


def draw_genotype(seed: int, settings: Settings) -> str:
    """Draw the class of a patient's genotype: null, missense or mild."""
    u = stream(seed, "plan.genotype").random()
    if u < settings["cohort.null_fraction"]:
        return "null"
    return "mild" if u > 1 - settings["cohort.mild_fraction"] else "missense"


def _or(given: float | None, default: float) -> float:
    return default if given is None else given


def draw_age(rng: np.random.Generator, median: float, ln_sd: float, least: float, most: float) -> float:
    """Draw an age in years: log-normal, cut to [`least`, `most`]."""
    if ln_sd == 0:
        return median
    law = NormalDist(np.log(median), ln_sd)
    low, high = law.cdf(np.log(least)), law.cdf(np.log(most))
    return float(np.clip(np.exp(law.inv_cdf(low + (high - low) * rng.random())), least, most))
