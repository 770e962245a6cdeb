"""Twins of a patient at infusion: one with a healthy person's cells, one whom nobody treated.

A twin is a set of input tables like the patient's own, so that every part scores it by the same code.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import COUNTS, LINEAGES, T_CELLS, T_OF, of_lineage
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column

TWINS = ("healthy", "untreated")
WHO = Column(pa.string(), "", "patient, healthy (twin with median cells) or untreated (twin)")
_OF_A_CLONE = ("clones", "clone_sizes", "events")


def twin_of(
    patient: Mapping, tables: Mapping[str, pa.Table], who: str, settings: Settings
) -> dict[str, pa.Table]:
    """Return the input tables of a patient's twin: median counts for age, or those of the disease.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        `immunity.INPUTS` of the patient.
    who : str
        One of `TWINS`.
    settings : Settings
        Of the stage ``immunity``.
    """
    healthy = who == "healthy"
    return {
        **{name: tables[name].slice(0, 0) for name in _OF_A_CLONE},
        "products": with_column(tables["products"], infused=False, cd34_per_kg=0.0),
        # Sound cells are those that need no correction: they count as corrected.
        "marrow": with_column(
            tables["marrow"].slice(0, 1),
            month=0.0,
            host=0 if healthy else 1,
            uncorrected=0,
            corrected=int(healthy),
        ),
        "counts": twin_counts(patient, healthy, settings),
    }


def with_column(table: pa.Table, **values: float) -> pa.Table:
    """Return a table of one row with some of its values replaced."""
    for name, value in values.items():
        index, field = table.schema.get_field_index(name), table.schema.field(name)
        table = table.set_column(index, field, pa.array([value], field.type))
    return table


def twin_counts(patient: Mapping, healthy: bool, settings: Settings) -> pa.Table:
    """Return `blood.COUNTS` of a twin at month 0."""
    norms, age = Norms(settings.rows("cell_norms")), patient["age_years"]
    normal = np.array([median_count(lineage, age, norms) for lineage in LINEAGES])
    found = np.array(
        [1.0 if healthy else of_lineage(settings, "disease.untreated_count", name) for name in LINEAGES]
    )
    sound = np.full(len(LINEAGES), float(healthy))
    zero = np.zeros(len(LINEAGES))
    return COUNTS.build(
        {
            "patient": np.full(len(LINEAGES), patient["patient"]),
            "month": zero,
            "age_years": np.full(len(LINEAGES), age),
            "lineage": np.array(LINEAGES),
            "count_per_ul": normal * found,
            "corrected_per_ul": normal * found * sound,
            "corrected_fraction": sound,
            "stem_cell_share": sound,
            "thymic_share": zero,
            "function": sound,
            "vcn": zero,
            "vcn_measured": zero,
        }
    )


def median_count(lineage: str, age: float, norms: Norms) -> float:
    """Return the median for age; naive and memory T cells share that of their kind, as in `blood`."""
    if lineage not in T_OF:
        return float(norms.median(lineage, age))
    cell = T_OF[lineage]
    kinds = {pool: float(norms.median(pool, age)) for pool in T_CELLS[cell]}
    return float(norms.median(cell, age)) * kinds[lineage] / sum(kinds.values())
