"""Blood lineages: cells per microlitre, their corrected fraction and copies.

A lineage's pool recovers with a delay (an Erlang law: a chain of equal compartments) and is fed
by the short-lived infused progenitors first and the long-term stem cells later.  Selection on the
way to blood is an odds ratio on the corrected fraction; a few host lymphocytes outlive the
conditioning.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread, stream
from hsc_pipeline.tables import Column, Table

LINEAGES = ("neutrophil", "monocyte", "platelet", "b_cell", "nk_cell", "cd4_t", "cd8_t")
THYMIC = ("cd4_t", "cd8_t")
# Lymphocytes expand in the periphery to a set-point; platelets number what the marrow makes.
SELF_FILLING = ("neutrophil", "monocyte", "b_cell", "nk_cell", "cd4_t", "cd8_t")

COUNTS = Table(
    "counts",
    ("patient", "month", "lineage"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "age_years": Column(pa.float64(), "years", "age at the visit", 0),
        "lineage": Column(pa.string(), "", "cell type"),
        "count_per_ul": Column(pa.float64(), "cells/uL", "cells in blood", 0),
        "corrected_per_ul": Column(pa.float64(), "cells/uL", "corrected cells in blood", 0),
        "corrected_fraction": Column(pa.float64(), "", "corrected cells among all of the lineage", 0, 1),
        "stem_cell_share": Column(
            pa.float64(), "", "part of the corrected cells that comes from long-term stem cells", 0, 1
        ),
        "vcn": Column(pa.float64(), "copies/cell", "vector copies per cell of the lineage", 0),
        "vcn_measured": Column(pa.float64(), "copies/cell", "the same with the error of one measurement", 0),
    },
)

RECOVERY = Table(
    "recovery",
    ("patient",),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "neutrophil_recovery_day": Column(pa.float64(), "days", "day of neutrophil engraftment", 0),
        "platelet_recovery_day": Column(
            pa.float64(), "days", "day a healthy marrow's platelets would engraft", 0
        ),
    },
)


def count_blood(
    patient: Mapping, product: Mapping, marrow: Mapping[str, np.ndarray], settings: Settings
) -> tuple[pa.Table, pa.Table]:
    """Return one patient's `COUNTS` and `RECOVERY`.

    Parameters
    ----------
    patient, product : mapping
        Rows of `plan.PATIENTS` and `product.PRODUCTS`.
    marrow : mapping of str to array
        Columns of `engraftment.MARROW` of this patient, month 0 first.
    settings : Settings
        Of the stage ``blood``.
    """
    seed, months = patient["patient_seed"], np.asarray(settings.study["visits_months"], float)
    ages = patient["age_years"] + months / 12
    norms = Norms(settings.rows("cell_norms"))
    source = production(months, product, marrow, settings)
    days = recovery_days(seed, product, settings)
    parts = []
    for lineage in LINEAGES:
        setpoint = float(
            np.exp(
                norms.ln_sd(lineage, patient["age_years"])
                * stream(seed, f"blood.{lineage}").standard_normal()
            )
        )
        visit_noise = np.exp(
            settings["blood.visit_ln_sd"]
            * stream(seed, f"blood.{lineage}.visit").standard_normal(len(months))
        )
        normal = norms.median(lineage, ages) * setpoint * visit_noise
        recovered = recovered_fraction(lineage, months, patient["age_years"], days, norms, settings)
        recovered = recovered * source["running"]
        total, corrected = fill_pool(lineage, source["corrected"], recovered, months, settings)
        fraction = np.divide(corrected, total, out=np.zeros_like(total), where=total > 0)
        vcn = fraction * source["copies_per_corrected"]
        error = stream(seed, f"lab.vcn.{lineage}").standard_normal(len(months))
        parts.append(
            {
                "patient": np.full(len(months), patient["patient"]),
                "month": months,
                "age_years": ages,
                "lineage": np.full(len(months), lineage),
                "count_per_ul": normal * total,
                "corrected_per_ul": normal * corrected,
                "corrected_fraction": fraction,
                "stem_cell_share": source["stem_cell_share"],
                "vcn": vcn,
                "vcn_measured": vcn * np.exp(settings["lab.vcn_ln_sd"] * error),
            }
        )
    counts = {name: np.concatenate([part[name] for part in parts]) for name in COUNTS.columns}
    recovery = {
        "patient": [patient["patient"]],
        **{f"{cell}_recovery_day": [day] for cell, day in days.items()},
    }
    return COUNTS.build(counts), RECOVERY.build(recovery)


def production(
    months: np.ndarray,
    product: Mapping,
    marrow: Mapping[str, np.ndarray],
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return what feeds the blood at each visit.

    Returns
    -------
    dict of str to array, shape (visits,)
        ``corrected``: corrected fraction of the production; ``running``: 1, or what the early wave still
        makes over a marrow without any stem cell; ``stem_cell_share``: part of that from
        long-term stem cells; ``copies_per_corrected``.
    """
    cells = marrow["host"] + marrow["uncorrected"] + marrow["corrected"]
    stem = marrow["corrected"] / np.maximum(cells, 1)
    born = np.maximum(months - settings["blood.stem_cell_transit_months"], 0)
    from_stem = np.interp(born, marrow["month"], stem)
    copies = np.asarray(marrow["copies_per_corrected"], float)
    known = np.isfinite(copies)
    stem_copies = (
        np.interp(born, marrow["month"][known], copies[known]) if known.any() else np.zeros(len(months))
    )

    residual = float(marrow["residual_host_fraction"][0])
    early = early_infused_share(
        residual,
        product["cd34_per_kg"] / settings["conditioning.full_dose"],
        settings["conditioning.progenitor_weight"],
    )
    from_early = early * product["corrected_fraction"]
    wave = 1 - erlang_cdf(months, settings["blood.early_wave_months"], settings["blood.early_wave_stages"])
    corrected = wave * from_early + (1 - wave) * from_stem
    share = np.divide((1 - wave) * from_stem, corrected, out=np.zeros_like(corrected), where=corrected > 0)
    return {
        "corrected": corrected,
        "running": wave + (1 - wave) * np.interp(born, marrow["month"], cells > 0),
        "stem_cell_share": share,
        "copies_per_corrected": share * stem_copies + (1 - share) * product["copies_per_corrected"],
    }


def early_infused_share(residual: float, dose: float, progenitor_weight: float) -> float:
    """Return the infused share of short-term output: r(1-h) / (r(1-h) + x h).

    Parameters
    ----------
    residual : float
        Host stem cells left by conditioning, h.
    dose : float
        CD34+ dose against a full one, r.
    progenitor_weight : float
        Output of a residual host cell against an infused one, x.
    """
    infused = dose * (1 - residual)
    weight = infused + progenitor_weight * residual
    return infused / weight if weight > 0 else 0.0


def fill_pool(
    lineage: str,
    production_corrected: np.ndarray,
    recovered: np.ndarray,
    months: np.ndarray,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray]:
    """Return total and corrected cells of a pool, both against its norm.

    Where the pool fills itself to a set-point, the odds ratio w acts on the corrected fraction,
    ``w p / (1 - p + w p)``, and the set-point lies between the untreated and the corrected count;
    where it does not, each kind of cell numbers what the marrow makes of it.  Host cells that
    outlive conditioning fill what is not yet recovered, and fade.
    """
    untreated = settings[f"disease.untreated_count.{lineage}"]
    full = settings.values.get(f"disease.corrected_count.{lineage}", 1.0)
    p = production_corrected
    if lineage in SELF_FILLING:
        share = select(p, settings[f"disease.odds_ratio.{lineage}"])
        made = share * full + (1 - share) * untreated
        corrected = recovered * made * share
    else:
        made = p * full + (1 - p) * untreated
        corrected = recovered * p * full
    survivors = settings.values.get(f"blood.{lineage}.host_survival", 0.0)
    life = settings.values.get(f"blood.{lineage}.host_life_years", np.inf)
    outlived = (1 - recovered) * untreated * survivors * np.exp(-months / 12 / life)
    return recovered * made + outlived, corrected


def select(fraction: np.ndarray, odds_ratio: float) -> np.ndarray:
    """Return a fraction after selection by an odds ratio w: w p / (1 - p + w p)."""
    return odds_ratio * fraction / (1 - fraction + odds_ratio * fraction)


def recovery_days(seed: int, product: Mapping, settings: Settings) -> dict[str, float]:
    """Draw a patient's days of neutrophil and platelet recovery, shorter with a larger dose."""
    dose = product["cd34_per_kg"] / settings["conditioning.full_dose"]
    quick = dose ** settings["conditioning.recovery_dose_exponent"]
    return {
        cell: settings[f"conditioning.{cell}_recovery_days"]
        * quick
        * spread(seed, f"blood.{cell}.recovery", settings["conditioning.recovery_ln_sd"])
        for cell in ("neutrophil", "platelet")
    }


def recovered_fraction(
    lineage: str, months: np.ndarray, age: float, days: Mapping[str, float], norms: Norms, settings: Settings
) -> np.ndarray:
    """Return how much of a lineage's pool has grown back at each visit, 0 to 1."""
    stages = settings[f"blood.{lineage}.delay_stages"]
    if lineage in days:
        threshold = settings[f"conditioning.{lineage}_threshold"] / norms.median(lineage, age)
        mean = days[lineage] * 12 / 365.25 / erlang_quantile(float(threshold), stages)
    else:
        mean = settings[f"blood.{lineage}.delay_months"]
    if lineage in THYMIC:
        mean *= np.exp(age / settings["blood.thymic_age_years"])
    return erlang_cdf(months, mean, stages)


def erlang_cdf(time: np.ndarray, mean: float, stages: float) -> np.ndarray:
    """Return P(passed by `time`) of a chain of equal compartments with a mean passage."""
    from scipy.special import gammainc

    return gammainc(stages, stages * np.asarray(time) / mean)


def erlang_quantile(probability: float, stages: float) -> float:
    """Return the time, in units of the mean, by which a chain lets `probability` pass."""
    from scipy.special import gammaincinv

    return float(gammaincinv(stages, probability) / stages)
