"""Columns of one patient's tables as arrays."""

import numpy as np
import pyarrow as pa


def of_table(table: pa.Table) -> dict[str, np.ndarray]:
    """Return the columns of a table by name."""
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def by_lineage(counts: pa.Table) -> dict[str, dict[str, np.ndarray]]:
    """Return the columns of `blood.COUNTS` by lineage."""
    columns = of_table(counts)
    return {
        lineage: {name: column[columns["lineage"] == lineage] for name, column in columns.items()}
        for lineage in dict.fromkeys(columns["lineage"])
    }


def lineage_column(counts: pa.Table, lineage: str, name: str) -> np.ndarray:
    """Return one column of `blood.COUNTS` of one lineage, a value a visit."""
    return by_lineage(counts)[lineage][name]
