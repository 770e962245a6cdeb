"""What the sections of a tracking report are made of."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.report.page import TextTable
from hsc_pipeline.report.wording import number
from hsc_pipeline.tracking.run import LINEAGES

MOST_SUBJECTS = 8  # drawn; all stand in the tables
INTERVAL = "Intervals are 90 %."


def table(rows: pd.DataFrame, columns: Mapping[str, str], caption: str, most: int = 60) -> TextTable:
    """Return the first rows as a table of texts, with these headers."""
    shown = rows.head(most)
    kinds = [pd.api.types.is_numeric_dtype(rows[name]) for name in columns]
    cells = [[_cell(row[name]) for name in columns] for _, row in shown.iterrows()]
    if len(rows) > most:
        caption = f"{caption} The first {most} of {len(rows)} rows; all are in the CSV."
    numbers = tuple(at for at, kind in enumerate(kinds) if kind)
    return TextTable(caption, list(columns.values()), cells, numbers, tall=len(shown) > 14)


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, int | float | np.number):
        return str(value)
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    # Places and whole numbers stand as they are; three digits are enough for the rest.
    return f"{value:,.0f}".replace("-", "−") if float(value).is_integer() else number(float(value))


def same(*names: str) -> dict[str, str]:
    """Return columns whose headers are their names."""
    return {name: name for name in names}


def first(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the subjects that are drawn."""
    return rows[rows["subject"].isin(list(dict.fromkeys(rows["subject"]))[:MOST_SUBJECTS])]


def by_lineage(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the lineages that share no cell first."""
    order = {name: at for at, name in enumerate(LINEAGES)}
    return rows.sort_values(
        "lineage", key=lambda names: names.map(lambda name: order.get(name, 9)), kind="stable"
    )
