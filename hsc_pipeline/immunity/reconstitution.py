"""Reconstitution: cell counts against reference intervals for age, markers of their function, milestones."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import of_lineage
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.immunity.markers import (
    functional_count,
    igg_drive,
    igg_norms,
    own_igg,
    trec,
    trec_normal,
    uncorrected_function,
)
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

CELLS = {
    "cd3": ("cd4_t", "cd8_t"),
    "cd4_t": ("cd4_t",),
    "cd8_t": ("cd8_t",),
    "cd4_naive": ("cd4_naive",),
    "b_cell": ("b_cell",),
    "nk_cell": ("nk_cell",),
    "neutrophil": ("neutrophil",),
}
# Cells whose count reaches a normal centile, and markers that hold, as milestones.
NORMAL_COUNTS = {
    "cd3_normal": "cd3",
    "naive_cd4_normal": "cd4_naive",
    "b_cell_normal": "b_cell",
    "nk_cell_normal": "nk_cell",
}
HELD = {"igg_independence": "igg_independent", "thymus_recovered": "thymus_recovered"}
HELPERS = {"cd4_200": "reconstitution.cd4_safe", "cd4_500": "reconstitution.cd4_ample"}
LOWEST_Z = -40.0  # Phi of this is 0 in double precision; stands for no cells at all

_PATIENT = Column(pa.int32(), "", "number of the virtual patient", 0)
_MONTH = Column(pa.float64(), "months", "after infusion", 0)

RECONSTITUTION = Table(
    "reconstitution",
    ("patient", "month", "cell"),
    {
        "patient": _PATIENT,
        "month": _MONTH,
        "cell": Column(pa.string(), "", "cell type"),
        "count_per_ul": Column(pa.float64(), "cells/uL", "cells in blood", 0),
        "functional_per_ul": Column(
            pa.float64(), "cells/uL", "cells in blood, uncorrected ones weighted by their function", 0
        ),
        "normal_per_ul": Column(pa.float64(), "cells/uL", "median for age", 0),
        "z_score": Column(
            pa.float64(), "sd", f"of the logarithm of the count, for age; {LOWEST_Z:g} at the least", LOWEST_Z
        ),
        "centile": Column(pa.float64(), "", "of the count, for age", 0, 1),
        "score": Column(pa.float64(), "points", "100 from the limiting centile for age up", 0, 100),
        "functional_score": Column(
            pa.float64(), "points", "the same of functional cells, which need be a share of all", 0, 100
        ),
    },
)

IMMUNE_MARKERS = Table(
    "immune_markers",
    ("patient", "month"),
    {
        "patient": _PATIENT,
        "month": _MONTH,
        "trec_per_ul": Column(pa.float64(), "copies/uL", "T-cell receptor excision circles in blood", 0),
        "trec_normal_per_ul": Column(pa.float64(), "copies/uL", "the same at median counts for age", 0),
        "thymic_share": Column(
            pa.float64(), "", "TREC or naive CD4+ cells, whichever is nearer to normal, against normal", 0
        ),
        "thymus_recovered": Column(pa.bool_(), "", "whether that share is large enough"),
        "igg_g_per_l": Column(pa.float64(), "g/L", "IgG of one's own, without any replacement", 0),
        "igg_normal_g_per_l": Column(pa.float64(), "g/L", "median for age", 0),
        "igg_normal": Column(pa.bool_(), "", "whether own IgG lies above the lower reference limit for age"),
        "igg_independent": Column(pa.bool_(), "", "whether own IgG does without replacement"),
    },
)

MILESTONES = Table(
    "milestones",
    ("patient", "milestone"),
    {
        "patient": _PATIENT,
        "milestone": Column(pa.string(), "", "what is reached"),
        "month": Column(
            pa.float64(), "months", "of the first visit that shows it; empty if none does", 0, nullable=True
        ),
    },
)


def reconstitute(patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings) -> dict[str, pa.Table]:
    """Return one patient's `RECONSTITUTION`, `IMMUNE_MARKERS` and `MILESTONES`.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``products`` and ``counts``.
    settings : Settings
        Of the stage ``immunity``.
    """
    norms = Norms(settings.rows("cell_norms"))
    counts = by_lineage(tables["counts"])
    functional = functional_counts(patient, counts, settings)
    cells = {
        cell: cell_rows(cell, lineages, counts, functional, norms, settings)
        for cell, lineages in CELLS.items()
    }
    infused = tables["products"].column("infused").to_pylist()[0]
    markers = marker_rows(patient, counts, functional, infused, norms, settings)
    number, months = patient["patient"], markers["month"]
    reached = milestones(cells, markers, settings)
    return {
        "reconstitution": RECONSTITUTION.build(
            {
                "patient": np.full(len(cells) * len(months), number),
                **{
                    name: np.concatenate([rows[name] for rows in cells.values()])
                    for name in RECONSTITUTION.columns
                    if name != "patient"
                },
            }
        ),
        "immune_markers": IMMUNE_MARKERS.build({"patient": np.full(len(months), number), **markers}),
        "milestones": MILESTONES.build(
            {
                "patient": np.full(len(reached), number),
                "milestone": list(reached),
                "month": [first_visit(months, seen) for seen in reached.values()],
            }
        ),
    }


def functional_counts(
    patient: Mapping, counts: Mapping[str, Mapping[str, np.ndarray]], settings: Settings
) -> dict[str, np.ndarray]:
    """Return functional cells per microlitre by lineage."""
    null = patient["null_genotype"]
    return {
        lineage: functional_count(row, uncorrected_function(lineage, null, settings))
        for lineage, row in counts.items()
    }


def cell_rows(
    cell: str,
    lineages: tuple[str, ...],
    counts: Mapping[str, Mapping[str, np.ndarray]],
    functional: Mapping[str, np.ndarray],
    norms: Norms,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return the columns of `RECONSTITUTION` of one cell type, without the patient."""
    first = counts[lineages[0]]
    age, full = first["age_years"], settings["score.full_centile"]
    total = np.sum([counts[lineage]["count_per_ul"] for lineage in lineages], axis=0)
    working = np.sum([functional[lineage] for lineage in lineages], axis=0)
    sound = np.sum([counts[lineage]["corrected_per_ul"] for lineage in lineages], axis=0)
    # A minority of sound cells does the work of all; those of the disease count as far as they function.
    enough = settings.values.get(f"score.sufficient_share.{cell}", 1.0)
    doing = np.minimum(sound / enough + (working - sound), total)
    z = norms.z_score(cell, total, age)
    return {
        "month": first["month"],
        "cell": np.full(len(z), cell),
        "count_per_ul": total,
        "functional_per_ul": working,
        "normal_per_ul": norms.median(cell, age),
        "z_score": np.maximum(z, LOWEST_Z),
        "centile": normal_cdf(z),
        "score": count_score(z, full),
        "functional_score": count_score(norms.z_score(cell, doing, age), full),
    }


def marker_rows(
    patient: Mapping,
    counts: Mapping[str, Mapping[str, np.ndarray]],
    functional: Mapping[str, np.ndarray],
    infused: bool,
    norms: Norms,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return the columns of `IMMUNE_MARKERS`, without the patient.

    Who was not infused is steady: IgG starts where the cells of the first visit keep it.
    """
    naive = counts["cd4_naive"]
    months, age = naive["month"], naive["age_years"]
    circles, normal = trec(counts, settings), trec_normal(age, norms, settings)
    thymic = np.maximum(circles / normal, naive["count_per_ul"] / norms.median("cd4_naive", age))
    b_cells, helpers = (functional[cell] / norms.median(cell, age) for cell in ("b_cell", "cd4_t"))
    drive = igg_drive(b_cells, helpers, settings)
    start = untreated_drive(patient, settings) if infused else float(drive[0])
    own = own_igg(months, drive, start, settings)
    igg = igg_norms(settings.rows("igg_norms"))
    median = igg.median("igg", age)
    return {
        "month": months,
        "trec_per_ul": circles,
        "trec_normal_per_ul": normal,
        "thymic_share": thymic,
        "thymus_recovered": thymic >= settings["trec.recovered_share"],
        "igg_g_per_l": own * median,
        "igg_normal_g_per_l": median,
        "igg_normal": igg.z_score("igg", own * median, age) >= NormalDist().inv_cdf(0.025),
        "igg_independent": own >= settings["igg.independent_share"],
    }


def untreated_drive(patient: Mapping, settings: Settings) -> float:
    """Return the IgG that the cells of the disease keep, against the norm."""
    b_cells, helpers = (
        of_lineage(settings, "disease.untreated_count", cell)
        * uncorrected_function(cell, patient["null_genotype"], settings)
        for cell in ("b_cell", "cd4_t")
    )
    return float(igg_drive(b_cells, helpers, settings))


def milestones(
    cells: Mapping[str, Mapping[str, np.ndarray]], markers: Mapping[str, np.ndarray], settings: Settings
) -> dict[str, np.ndarray]:
    """Return by milestone whether each visit shows it."""
    helpers, enough = cells["cd4_t"]["count_per_ul"], settings["reconstitution.normal_centile"]
    return {
        **{name: helpers > settings[least] for name, least in HELPERS.items()},
        **{name: cells[cell]["centile"] >= enough for name, cell in NORMAL_COUNTS.items()},
        **{name: markers[marker] for name, marker in HELD.items()},
    }


def first_visit(months: np.ndarray, seen: np.ndarray) -> float | None:
    """Return the month of the first visit that shows something, or None."""
    return float(months[np.argmax(seen)]) if np.any(seen) else None


def count_score(z: np.ndarray, full_centile: float) -> np.ndarray:
    """Return 100 min(1, Phi(z) / full_centile): full from that centile up, no reward for excess."""
    return 100 * np.minimum(1, normal_cdf(z) / full_centile)


def normal_cdf(z: np.ndarray) -> np.ndarray:
    """Return Phi(z), the centile of a standard normal variable."""
    return np.vectorize(NormalDist().cdf, otypes=[float])(z)
