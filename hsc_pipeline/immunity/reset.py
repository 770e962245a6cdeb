"""Autoimmune reset: how much of the old memory conditioning leaves, and what that does to relapses.

Old lines are host T cells that outlive conditioning, as `blood` has them.  Naive cells that thymus
and marrow made since are new.  The hazard of a relapse is a power of autoreactive memory: the old, and
what arises anew.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.count import normal_count
from hsc_pipeline.blood.lineages import T_CELLS, ratio
from hsc_pipeline.blood.pools import outliving, untreated
from hsc_pipeline.blood.production import spared_share
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

POOLS = tuple(pool for pools in T_CELLS.values() for pool in pools)
MEMORY = tuple(pools[1] for pools in T_CELLS.values())

_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

RESET = Table(
    "autoimmune_reset",
    ("patient", "month"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "naive_renewed": Column(
            pa.float64(), meaning="naive T cells made since conditioning, among all naive ones", **_SHARE
        ),
        "cd4_memory_old": Column(
            pa.float64(),
            meaning="memory CD4+ cells of lines from before, among all memory CD4+ cells",
            **_SHARE,
        ),
        "cd8_memory_old": Column(pa.float64(), meaning="the same of CD8+", **_SHARE),
        "autoreactive": Column(pa.float64(), "of before", "autoreactive memory, old and new", 0),
        "relapse_per_year": Column(pa.float64(), "1/year", "hazard of a relapse", 0),
        "relapse_free": Column(pa.float64(), meaning="chance of no relapse by then", **_SHARE),
        "score": Column(pa.float64(), "points", "autoreactive memory that is gone", 0, 100),
    },
)


def reset_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `RESET`.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``products`` and ``counts``.
    settings : Settings
        Of the stage ``immunity``.
    """
    counts = by_lineage(tables["counts"])
    months = counts[POOLS[0]]["month"]
    infused = tables["products"].column("infused").to_pylist()[0]
    old, whole = old_lines(patient, counts, infused, settings)
    memory_old = {pool: np.minimum(ratio(old[pool], whole[pool]), 1) for pool in MEMORY}
    autoreactive = autoreactive_memory(months, old, infused, settings)
    hazard = settings["reset.relapse_per_year"] * autoreactive ** settings["reset.relapse_exponent"]
    naive_old, naive = (sum(part[pool] for pool in POOLS if pool not in MEMORY) for part in (old, whole))
    columns = {
        "patient": np.full(len(months), patient["patient"]),
        "month": months,
        "naive_renewed": 1 - np.minimum(ratio(naive_old, naive), 1),
        "cd4_memory_old": memory_old["cd4_memory"],
        "cd8_memory_old": memory_old["cd8_memory"],
        "autoreactive": autoreactive,
        "relapse_per_year": hazard,
        "relapse_free": np.exp(-summed(months, hazard)),
        "score": 100 * np.clip(1 - autoreactive, 0, 1),
    }
    return {"autoimmune_reset": RESET.build(columns)}


def old_lines(
    patient: Mapping, counts: Mapping[str, Mapping[str, np.ndarray]], infused: bool, settings: Settings
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return T cells of lines from before infusion, and all of them, against the norm, by pool.

    Memory lines that survive expand into the empty space by ``reset.<pool>.expansion``.
    """
    norms = Norms(settings.rows("cell_norms"))
    spared = spared_share(patient["busulfan_auc"], settings) if infused else 1.0
    old, whole = {}, {}
    for pool in POOLS:
        row = counts[pool]
        normal = normal_count(
            pool, patient["patient_seed"], patient["age_years"], row["age_years"], norms, settings
        )
        whole[pool] = ratio(row["count_per_ul"], normal)
        survivors = outliving(pool, row["month"], spared, settings)
        if pool in MEMORY:
            survivors = survivors * settings[f"reset.{pool}.expansion"]
        old[pool] = np.minimum(survivors + spared * untreated(pool, settings), whole[pool])
    return old, whole


def autoreactive_memory(
    months: np.ndarray, old: Mapping[str, np.ndarray], infused: bool, settings: Settings
) -> np.ndarray:
    """Return autoreactive memory against that before: old lines, and new ones since infusion."""
    helpers, killers = (ratio(old[pool], untreated(pool, settings)) for pool in MEMORY)
    left = settings["reset.cd4_share"] * helpers + (1 - settings["reset.cd4_share"]) * killers
    new = settings["reset.new_autoreactive_per_year"] * months / 12 if infused else 0.0
    return np.minimum(left + new * (1 - np.minimum(left, 1)), 1.0)


def summed(months: np.ndarray, hazard: np.ndarray) -> np.ndarray:
    """Return a hazard per year summed from infusion to each visit; before the first one it is as then."""
    times, at = np.concatenate([[0.0], months]), np.concatenate([hazard[:1], hazard])
    return np.cumsum(np.diff(times) / 12 * (at[1:] + at[:-1]) / 2)
