"""What is known at infusion: the columns from which outcomes are foreseen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hsc_pipeline.outcomes import OUTCOMES

if TYPE_CHECKING:
    pass

FEATURES = {
    "log_cd34_per_kg": "log10 CD34+ dose per kg",
    "busulfan_auc": "busulfan exposure",
    "mean_copies": "VCN of the product",
    "age_years": "age at infusion",
    "weight_kg": "weight",
    "null_genotype": "null genotype",
}
# Columns of a table of patients from which they are made, in the same order.
SOURCES = ("cd34_per_kg", "busulfan_auc", "mean_copies", "age_years", "weight_kg", "null_genotype")
STEM_CELL_SHARE = "product.lt_hsc_per_cd34"
# log(dose x share of stem cells), exposure and copies: the least that a surrogate has to beat.
CLOSED_FORM = ("log_cd34_per_kg", STEM_CELL_SHARE, "busulfan_auc", "mean_copies")


@dataclass(frozen=True)
class Swept:
    """A catalogue value that the study varies.

    Attributes
    ----------
    unit : str
    logarithmic : bool
        Whether its log10 is the feature.
    by_arm : mapping of str to float
        The value in each arm.
    """

    unit: str
    logarithmic: bool
    by_arm: Mapping[str, float]


def join_sweep(
    outcomes: pd.DataFrame,
    swept: Mapping[str, Swept],
    sweep: pd.DataFrame | None = None,
    points: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the rows of the arms and of the sweep, with each swept value as a column.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES` of the arms.
    swept : mapping of str to Swept
    sweep : pandas.DataFrame, optional
        The same columns and ``point``, of the sweep.
    points : pandas.DataFrame, optional
        `points.POINTS`: point, arm, parameter, value.

    Returns
    -------
    pandas.DataFrame
        With ``point`` as text, ``arm <name>`` for an arm itself, and a column for each swept value.
    """
    own = {name: outcomes["arm"].map(value.by_arm).astype(float) for name, value in swept.items()}
    arms = outcomes.assign(point="arm " + outcomes["arm"].astype(str), **own)
    if sweep is None or points is None:
        return arms
    values = points.pivot(index=["point", "arm"], columns="parameter", values="value")[list(swept)]
    values.columns.name = None
    rows = sweep.merge(values.reset_index(), on=["point", "arm"], how="left", validate="many_to_one")
    rows = rows.assign(point="point " + rows["point"].astype(str))
    return pd.concat([arms, rows[list(arms)]], ignore_index=True)


def names(swept: Mapping[str, Swept]) -> list[str]:
    """Return the columns of `design_matrix`."""
    return [*FEATURES, *swept]


def sources(swept: Mapping[str, Swept]) -> dict[str, str]:
    """Return the unit of each column that a table of patients must have."""
    known = {name: OUTCOMES.columns[name].unit for name in SOURCES}
    return known | {name: value.unit for name, value in swept.items()}


def design_matrix(rows: pd.DataFrame, swept: Mapping[str, Swept] | None = None) -> pd.DataFrame:
    """Return what is known at infusion, one column of floats per feature."""
    swept = swept or {}
    known = rows.assign(log_cd34_per_kg=np.log10(rows["cd34_per_kg"]))
    known = known[names(swept)].astype(float)
    logarithms = {name: np.log10(known[name]) for name, value in swept.items() if value.logarithmic}
    return known.assign(**logarithms)
