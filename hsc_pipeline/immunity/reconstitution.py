"""Reconstitution: cell counts against reference intervals for age."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

CELLS = {
    "cd3": ("cd4_t", "cd8_t"),
    "cd4_t": ("cd4_t",),
    "cd8_t": ("cd8_t",),
    "b_cell": ("b_cell",),
    "nk_cell": ("nk_cell",),
    "neutrophil": ("neutrophil",),
}

RECONSTITUTION = Table(
    "reconstitution",
    ("patient", "month", "cell"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "cell": Column(pa.string(), "", "cell type"),
        "count_per_ul": Column(pa.float64(), "cells/uL", "cells in blood", 0),
        "functional_per_ul": Column(
            pa.float64(), "cells/uL", "cells in blood, uncorrected ones weighted by their function", 0
        ),
        "normal_per_ul": Column(pa.float64(), "cells/uL", "median for age", 0),
        "centile": Column(pa.float64(), "", "of the count, for age", 0, 1),
        "score": Column(pa.float64(), "points", "100 from the limiting centile for age up", 0, 100),
        "functional_score": Column(pa.float64(), "points", "the same of the functional count", 0, 100),
    },
)


def reconstitute(patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings) -> dict[str, pa.Table]:
    """Return one patient's `RECONSTITUTION`.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``counts``.
    settings : Settings
        Of the stage ``immunity``.
    """
    norms = Norms(settings.rows("cell_norms"))
    counts, parts = by_lineage(tables["counts"]), []
    for cell, lineages in CELLS.items():
        first = counts[lineages[0]]
        total = sum(counts[lineage]["count_per_ul"] for lineage in lineages)
        functional = sum(
            functional_count(
                counts[lineage], uncorrected_function(lineage, patient["null_genotype"], settings)
            )
            for lineage in lineages
        )
        z = norms.z_score(cell, total, first["age_years"])
        parts.append(
            {
                "patient": np.full(len(z), patient["patient"]),
                "month": first["month"],
                "cell": np.full(len(z), cell),
                "count_per_ul": total,
                "functional_per_ul": functional,
                "normal_per_ul": norms.median(cell, first["age_years"]),
                "centile": normal_cdf(z),
                "score": count_score(z, settings["score.full_centile"]),
                "functional_score": count_score(
                    norms.z_score(cell, functional, first["age_years"]), settings["score.full_centile"]
                ),
            }
        )
    return {
        "reconstitution": RECONSTITUTION.build(
            {name: np.concatenate([p[name] for p in parts]) for name in RECONSTITUTION.columns}
        )
    }


def uncorrected_function(lineage: str, null_genotype: bool, settings: Settings) -> float:
    """Return the function of an uncorrected cell against a normal one; one where the disease spares it."""
    name = f"disease.uncorrected_function.{lineage}"
    function = settings.values.get(name, 1.0)
    return function * settings["disease.null_function_factor"] if null_genotype and function < 1 else function


def functional_count(lineage: Mapping[str, np.ndarray], uncorrected: float) -> np.ndarray:
    """Return cells per microlitre with uncorrected ones weighted by their function."""
    corrected = lineage["corrected_per_ul"]
    return corrected + uncorrected * np.maximum(lineage["count_per_ul"] - corrected, 0)


def count_score(z: np.ndarray, full_centile: float) -> np.ndarray:
    """Return 100 min(1, Phi(z) / full_centile): full from that centile up, no reward for excess."""
    return 100 * np.minimum(1, normal_cdf(z) / full_centile)


def normal_cdf(z: np.ndarray) -> np.ndarray:
    """Return Phi(z), the centile of a standard normal variable."""
    return np.vectorize(NormalDist().cdf, otypes=[float])(z)
