"""A donor's graft: graft-versus-host disease so far, and what the graft does to leukaemia."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import T_CELLS, ratio
from hsc_pipeline.events import months_of
from hsc_pipeline.immunity.columns import by_lineage, of_table
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

GRAFT_EFFECTS = Table(
    "graft_effects",
    ("patient", "month"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "donor_t_cells": Column(pa.float64(), "", "share of T cells that are the donor's", 0, 1),
        "gvhd_months": Column(pa.float64(), "months", "of graft-versus-host disease so far", 0),
        "relapse_ratio": Column(
            pa.float64(),
            "",
            "hazard of a relapse of leukaemia against a graft of one's own or a twin's",
            0,
            1,
        ),
        "score": Column(pa.float64(), "points", "relapses of leukaemia that the graft prevents", 0, 100),
    },
)


def graft_effects(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `GRAFT_EFFECTS`; without a donor the graft has none.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``counts``, ``events`` and ``products``.
    settings : Settings
        Of the stage ``immunity``.
    """
    counts = by_lineage(tables["counts"])
    months = counts["cd4_t"]["month"]
    donor, ill = np.zeros(len(months)), np.zeros(len(months))
    if settings["product.donor"] == "allogeneic" and tables["products"].column("infused").to_pylist()[0]:
        theirs, whole = (
            sum(counts[cell][name] for cell in T_CELLS) for name in ("corrected_per_ul", "count_per_ul")
        )
        donor = np.minimum(ratio(theirs, whole), 1)
        ill = months_of("gvhd", months, of_table(tables["events"]))
    relapse = relapse_ratio(donor, ill > 0, settings)
    return {
        "graft_effects": GRAFT_EFFECTS.build(
            {
                "patient": np.full(len(months), patient["patient"]),
                "month": months,
                "donor_t_cells": donor,
                "gvhd_months": ill,
                "relapse_ratio": relapse,
                "score": 100 * (1 - relapse),
            }
        )
    }


def relapse_ratio(donor: np.ndarray, gvhd: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the hazard of relapse against a graft of one's own: donor T cells act in proportion.

    Parameters
    ----------
    donor : array of float
        Share of T cells that are the donor's.
    gvhd : array of bool
        Whether there has been graft-versus-host disease.
    settings : Settings
    """
    full = settings["allogeneic.relapse_ratio"] * np.where(
        gvhd, settings["allogeneic.gvhd_relapse_ratio"], 1.0
    )
    return 1 - donor * (1 - full)
