"""Tables between stages: one schema each, checked when written and when read.

Parquet through pyarrow.  A table is written aside and renamed, so that what has its name is whole,
and its bytes depend on its rows alone: one row group per patient, one codec, no time stamps.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from hsc_pipeline.errors import ModelError


@dataclass(frozen=True)
class Column:
    """A column: its type, unit, meaning and the values that make sense.

    Attributes
    ----------
    type : pyarrow.DataType
    unit : str
        ``""`` for names and flags.
    meaning : str
    least, most : float, optional
        Inclusive limits.
    nullable : bool
        Whether "not measured" is a valid state.
    """

    type: pa.DataType
    unit: str
    meaning: str
    least: float | None = None
    most: float | None = None
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """The schema of one table.

    Attributes
    ----------
    name : str
        File name without its ending.
    key : tuple of str
        Columns that together name a row.
    columns : mapping of str to Column
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def schema(self) -> pa.Schema:
        """The pyarrow schema, with unit and meaning as field metadata."""
        return pa.schema(
            pa.field(name, c.type, c.nullable, {"unit": c.unit, "meaning": c.meaning})
            for name, c in self.columns.items()
        )

    def build(self, columns: Mapping[str, object]) -> pa.Table:
        """Make a checked table from arrays by column name."""
        if columns.keys() != self.columns.keys():
            odd = ", ".join(sorted(columns.keys() ^ self.columns.keys()))
            raise ModelError(f"table {self.name}: columns missing or foreign: {odd}")
        arrays = [
            pa.array(columns[f.name], type=f.type, from_pandas=self.columns[f.name].nullable)
            for f in self.schema
        ]
        return self.check(pa.Table.from_arrays(arrays, schema=self.schema))

    def check(self, table: pa.Table, where: str = "") -> pa.Table:
        """Return `table` if it keeps the schema, or fail loudly.

        Raises
        ------
        ModelError
            On a foreign column or type, a null or NaN where none may be, a value beyond its
            limits or a repeated key.
        """
        label = where or f"table {self.name}"
        if not table.schema.equals(self.schema):
            raise ModelError(f"{label}: columns {table.schema.names} do not fit {self.schema.names}")
        for name, column in self.columns.items():
            values = table.column(name)
            if not column.nullable and values.null_count:
                raise ModelError(f"{label}: {name} has {values.null_count} empty cells")
            if pa.types.is_floating(column.type) and pc.any(pc.is_nan(values)).as_py():
                raise ModelError(f"{label}: {name} holds NaN")
            if len(values) and column.least is not None and pc.min(values).as_py() is not None:
                least, most = pc.min(values).as_py(), pc.max(values).as_py()
                if least < column.least or (column.most is not None and most > column.most):
                    raise ModelError(
                        f"{label}: {name} runs from {least} to {most}; allowed {column.least} to {column.most}"
                    )
        self._check_key(table, label)
        return table

    def _check_key(self, table: pa.Table, label: str) -> None:
        distinct = table.group_by(list(self.key), use_threads=False).aggregate([]).num_rows
        if distinct != table.num_rows:
            raise ModelError(f"{label}: {table.num_rows - distinct} rows repeat the key {self.key}")

    def read(self, path: str | Path, patients: Sequence[int] | None = None) -> pa.Table:
        """Read and check a table, or the rows of some patients without loading the rest."""
        chosen = None if patients is None else pc.field("patient").isin(list(patients))
        table = pq.read_table(path, filters=chosen, use_threads=False)
        return self.check(table, str(path))


def write(path: str | Path, table: Table, parts: Iterable[pa.Table]) -> None:
    """Write checked parts as one Parquet file, one row group a part, then give it its name."""
    with replacing(path) as aside, pq.ParquetWriter(aside, table.schema, compression="zstd") as writer:
        for part in parts:
            writer.write_table(table.check(part), row_group_size=max(1, part.num_rows))


def write_csv(path: str | Path, table: pa.Table) -> None:
    """Write a table that a person opens."""
    with replacing(path) as aside:
        pyarrow.csv.write_csv(table, aside)


def gather(table: Table, sources: Sequence[str | Path], path: str | Path) -> None:
    """Join the batches of an arm in order, one row group at a time, so that memory stays flat."""
    write(path, table, _row_groups(sources))


def _row_groups(sources: Sequence[str | Path]) -> Iterator[pa.Table]:
    for source in sources:
        with pq.ParquetFile(source) as file:
            for index in range(file.num_row_groups):
                yield file.read_row_group(index, use_threads=False)


def stack(parts: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """Concatenate columns of several patients."""
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


class replacing:
    """Write aside, then rename: what has the final name is whole.

    Two runs that write the same file each have an aside of their own; the bytes are the same, so
    whichever comes last changes nothing.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.aside

    def __exit__(self, failed: type | None, *rest: object) -> None:
        if failed is None:
            os.replace(self.aside, self.path)
        else:
            self.aside.unlink(missing_ok=True)
