"""Engraftment: conditioning, free niches, competition; stem cells per clone at every visit."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from hsc_pipeline.dynamics import simulate_clones
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import sequence, spread, stream
from hsc_pipeline.tables import Column, Table

MARROW = Table(
    "marrow",
    ("patient", "month"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion; 0: after homing", 0),
        "capacity": Column(pa.float64(), "cells", "stem cells of a full marrow at this age", 1),
        "residual_host_fraction": Column(
            pa.float64(), "", "host stem cells that conditioning left; 1 where nobody was conditioned", 0, 1
        ),
        "host": Column(pa.int64(), "cells", "host stem cells", 0),
        "uncorrected": Column(pa.int64(), "cells", "infused stem cells that are not corrected", 0),
        "corrected": Column(pa.int64(), "cells", "infused stem cells that are corrected", 0),
        "live_clones": Column(pa.int64(), "clones", "corrected clones with at least one stem cell", 0),
        "copies_per_corrected": Column(
            pa.float64(), "copies/cell", "copies per corrected stem cell", 0, nullable=True
        ),
        "function_per_corrected": Column(
            pa.float64(), "of normal", "mean function of the corrected stem cells", 0, nullable=True
        ),
    },
)

CLONE_SIZES = Table(
    "clone_sizes",
    ("patient", "month", "clone"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "clone": Column(pa.int32(), "", "clone of the product", 0),
        "cells": Column(pa.int64(), "cells", "its stem cells", 1),
    },
)

HOST, UNCORRECTED, NAMED = 0, 1, 2  # the two pools, then every clone that has a name
CAPACITY_STEP_YEARS = 0.25
ADVANTAGE_STEP = 0.005  # per year: clones within half of it share a class of the engine


def engraft_patients(
    patients: Sequence[Mapping],
    products: Mapping[int, Mapping],
    clones: Mapping[int, Mapping],
    settings: Settings,
) -> Iterator[dict[str, pa.Table]]:
    """Simulate the marrow of each patient.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    products : mapping of int to mapping
        Rows of `product.PRODUCTS` by patient.
    clones : mapping of int to mapping of str to array
        Columns of `product.CLONES` by patient.
    settings : Settings
        Of the stage ``engraftment``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `MARROW` and `CLONE_SIZES`.
    """
    for patient in patients:
        number = patient["patient"]
        yield engraft_patient(patient, products[number], clones[number], settings)


def engraft_patient(
    patient: Mapping, product: Mapping, clones: Mapping[str, np.ndarray], settings: Settings
) -> dict[str, pa.Table]:
    """Simulate one patient's marrow from conditioning to the last visit."""
    seed, age = patient["patient_seed"], patient["age_years"]
    months = np.array([0.0, *settings.study["visits_months"]])
    residual = 1.0
    if product["infused"]:
        residual = residual_host_fraction(
            patient["busulfan_auc"],
            a50=settings["conditioning.a50"]
            * spread(seed, "engraftment.sensitivity", settings["conditioning.a50_ln_sd"]),
            hill=settings["conditioning.hill"],
        )
    room = marrow_capacity(age, settings)
    take = take_probability(residual, room, product["lt_hsc"], settings["marrow.niche_turnover_share"])
    host = int(stream(seed, "engraftment.host").poisson(room * residual))
    named = len(clones["clone"])
    pooled = product["lt_hsc"] - named
    uncorrected = int(stream(seed, "engraftment.uncorrected").binomial(pooled, take))
    engrafted = np.flatnonzero(stream(seed, "engraftment.corrected").random(named) < take)

    # Only corrected and driver-carrying clones need a name; all others grow as two pools.
    is_corrected = clones["corrected"][engrafted]
    advantage = (
        np.where(is_corrected, settings["disease.corrected_advantage_per_year"], 0.0)
        + clones["advantage_per_year"][engrafted]
    )
    steps, fitness = np.unique(np.round(advantage / ADVANTAGE_STEP).astype(int), return_inverse=True)
    turnover = settings["marrow.division_per_year"]
    sizes = np.array([host, uncorrected, *np.ones(len(engrafted), int)])
    years = np.arange(0, months[-1] / 12 + CAPACITY_STEP_YEARS, CAPACITY_STEP_YEARS)
    later = simulate_clones(
        sizes,
        np.array([HOST, UNCORRECTED, *(fitness + NAMED)]),
        np.maximum([turnover, turnover, *(turnover + steps * ADVANTAGE_STEP)], 0),
        np.full(len(steps) + NAMED, turnover),
        months[1:] / 12,
        sequence(seed, "engraftment.competition"),
        capacity=(years, marrow_capacity(age + years, settings)),
        regrowth=settings["marrow.regrowth_per_year"],
    )
    at_visits = np.vstack([sizes, later])
    cells = at_visits[:, NAMED:]
    corrected = cells[:, is_corrected]
    visit, index = np.nonzero(cells[1:])
    return {
        "marrow": MARROW.build(
            {
                "patient": np.full(len(months), patient["patient"]),
                "month": months,
                "capacity": marrow_capacity(age + months / 12, settings),
                "residual_host_fraction": np.full(len(months), residual),
                "host": at_visits[:, HOST],
                "uncorrected": at_visits[:, UNCORRECTED] + cells[:, ~is_corrected].sum(axis=1),
                "corrected": corrected.sum(axis=1),
                "live_clones": (corrected > 0).sum(axis=1),
                **{
                    f"{name}_per_corrected": mean_by_visit(corrected, clones[name][engrafted][is_corrected])
                    for name in ("copies", "function")
                },
            }
        ),
        "clone_sizes": CLONE_SIZES.build(
            {
                "patient": np.full(len(visit), patient["patient"]),
                "month": months[1:][visit],
                "clone": clones["clone"][engrafted][index],
                "cells": cells[1:][visit, index],
            }
        ),
    }


def mean_by_visit(cells: np.ndarray, of_clone: np.ndarray) -> list[float | None]:
    """Return a mean over cells at each visit, None where there is no cell."""
    total = cells.sum(axis=1)
    return [float(c) / n if n else None for c, n in zip(cells @ of_clone, total, strict=True)]


def residual_host_fraction(auc: float, a50: float, hill: float) -> float:
    """Return the share of host stem cells that busulfan leaves: 1 / (1 + (AUC/A50)^hill).

    Parameters
    ----------
    auc, a50 : float
        Cumulative exposure and the exposure that leaves half, mg*h/L.
    """
    return float(1 / (1 + (auc / a50) ** hill))


def take_probability(residual: float, room: float, infused: int, turnover_share: float) -> float:
    """Return the chance that an infused stem cell finds a free niche.

    Niches are free where conditioning killed the host's cells, and a small share of occupied ones
    turns over; no more cells take than there are niches.
    """
    free = (1 - residual) + residual * turnover_share
    return min(free, free * room / infused) if infused else free


def marrow_capacity(age_years: np.ndarray | float, settings: Settings) -> np.ndarray:
    """Return the stem cells of a full marrow: linear from birth to the plateau."""
    grown = np.minimum(np.asarray(age_years) / settings["marrow.capacity_plateau_age"], 1)
    birth, adult = settings["marrow.capacity_birth"], settings["marrow.capacity_adult"]
    return birth + (adult - birth) * grown
