"""The lineages of blood: their names, their tables, and what is common to all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

# Pools that are simulated; the T cells of a kind are then the sum of their naive and memory cells.
T_CELLS = {"cd4_t": ("cd4_naive", "cd4_memory"), "cd8_t": ("cd8_naive", "cd8_memory")}
T_OF = {pool: cell for cell, pools in T_CELLS.items() for pool in pools}
POOLS = ("neutrophil", "monocyte", "platelet", "b_cell", "nk_cell", *T_OF)
LINEAGES = ("neutrophil", "monocyte", "platelet", "b_cell", "nk_cell", *T_CELLS, "red_cell", *T_OF)
# Lineages that share a clone's bias.
BRANCHES = {
    "myeloid": ("neutrophil", "monocyte"),
    "erythroid": ("platelet", "red_cell"),
    "b_cell": ("b_cell",),
    "nk_cell": ("nk_cell",),
    "t_cell": tuple(T_OF),
}
NUCLEATED = tuple(pool for pool in POOLS if pool != "platelet")

# What cells of a pool are, in the order of the first axis of `Blood.parts`: corrected cells from
# long-term stem cells, short-term progenitors and thymic progenitors; infused uncorrected ones from
# stem cells and progenitors; and three sums over the corrected ones.
PARTS = (
    "stem",
    "early",
    "thymic",
    "uncorrected_stem",
    "uncorrected_early",
    "copies",
    "function",
    "wave",
)
CORRECTED = slice(0, 3)

_PER_UL: dict[str, Any] = {"unit": "cells/uL", "least": 0}
_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}
_DAY: dict[str, Any] = {"unit": "days", "least": 0, "nullable": True}

COUNTS = Table(
    "counts",
    ("patient", "month", "lineage"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "age_years": Column(pa.float64(), "years", "age at the visit", 0),
        "lineage": Column(pa.string(), "", "cell type"),
        "count_per_ul": Column(pa.float64(), meaning="cells in blood", **_PER_UL),
        "corrected_per_ul": Column(pa.float64(), meaning="corrected cells in blood", **_PER_UL),
        "corrected_fraction": Column(
            pa.float64(), meaning="corrected cells among all of the lineage", **_SHARE
        ),
        "stem_cell_share": Column(
            pa.float64(), meaning="part of the corrected cells that comes from long-term stem cells", **_SHARE
        ),
        "thymic_share": Column(
            pa.float64(),
            meaning="part of the corrected cells that comes from long-lived thymic progenitors",
            **_SHARE,
        ),
        "function": Column(
            pa.float64(),
            "of normal",
            "what corrected cells make, averaged over all cells of the lineage; 1 in health",
            0,
        ),
        "vcn": Column(
            pa.float64(),
            "copies/cell",
            "vector copies, or intended alleles of corrected cells, per cell of the lineage",
            0,
        ),
        "vcn_measured": Column(
            pa.float64(), "copies/cell", "the same by one digital PCR; 0 where there is no cell", 0
        ),
    },
)

RECOVERY = Table(
    "recovery",
    ("patient",),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "neutrophil_recovery_day": Column(
            pa.float64(), meaning="day of neutrophil engraftment; empty unless recovered", **_DAY
        ),
        "platelet_recovery_day": Column(
            pa.float64(),
            meaning="day a healthy marrow's platelets would engraft; empty unless recovered",
            **_DAY,
        ),
        "neutrophil_state": Column(pa.string(), "", "recovered, no_aplasia or not_recovered"),
        "platelet_state": Column(pa.string(), "", "recovered, no_aplasia or not_recovered"),
    },
)


@dataclass(frozen=True)
class Blood:
    """The true blood of one patient.

    Attributes
    ----------
    months, ages : array of float, shape (visits,)
    per_ul : dict of str to array of float, shape (visits,)
        Cells per microlitre by lineage.
    parts : dict of str to array of float, shape (8, visits)
        `PARTS` by lineage, per microlitre.
    seeded : int
        Corrected progenitors that settled in the thymus.
    """

    months: np.ndarray
    ages: np.ndarray
    per_ul: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    seeded: int

    def corrected(self, lineage: str) -> np.ndarray:
        """Return corrected cells per microlitre."""
        return np.minimum(self.parts[lineage][CORRECTED].sum(axis=0), self.per_ul[lineage])


def of_lineage(settings: Settings, stem: str, lineage: str, default: float | None = None) -> float:
    """Return ``<stem>.<lineage>``; of a naive or memory T cell, that of its kind where it has none itself.

    Raises
    ------
    KeyError
        If there is neither, and no default.
    """
    for name in (lineage, T_OF.get(lineage, lineage)):
        if f"{stem}.{name}" in settings.values:
            return settings[f"{stem}.{name}"]
    if default is None:
        raise KeyError(f"{stem}.{lineage}")
    return default


def ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """Return `part` / `whole`, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=np.asarray(whole) > 0)


def select(fraction: Any, odds_ratio: float) -> Any:
    """Return a fraction after selection by an odds ratio w: w p / (1 - p + w p)."""
    return odds_ratio * fraction / (1 - fraction + odds_ratio * fraction)
