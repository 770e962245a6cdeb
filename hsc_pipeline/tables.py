"""Tables between stages: one schema each, checked when written and when read.

Parquet through pyarrow.  A table is written aside and renamed, so that what has its name is whole,
and its bytes depend on its rows alone: row groups by number of rows, one codec, no time stamps.
"""

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from hsc_pipeline import runs
from hsc_pipeline.errors import ModelError, UserError

CODEC = "zstd"
AT_ONCE = 50  # patients whose clones a job holds in memory
# Rows that make a row group of a gathered table.  One a patient would cost each reader 20 us for every
# group of the cohort, whichever patients it asks for.
ROWS_OF_A_GROUP = 200_000


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
                        f"{label}: {name} runs from {least} to {most}; "
                        f"allowed {column.least} to {column.most}"
                    )
        self._check_key(table, label)
        return table

    def _check_key(self, table: pa.Table, label: str) -> None:
        distinct = table.group_by(list(self.key), use_threads=False).aggregate([]).num_rows
        if distinct != table.num_rows:
            raise ModelError(f"{label}: {table.num_rows - distinct} rows repeat the key {self.key}")

    def read(
        self,
        path: str | Path,
        patients: tuple[int, int] | None = None,
        among: np.ndarray | None = None,
    ) -> pa.Table:
        """Read and check a table, or the rows of some patients only; see `read_patients`."""
        return self.check(read_patients(path, patients, among), str(path))


def read_patients(
    path: str | Path,
    patients: tuple[int, int] | None = None,
    among: np.ndarray | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read a table unchecked, or the rows of some patients only.

    Parameters
    ----------
    path : str or pathlib.Path
    patients : tuple of int, optional
        First and last.
    among : array of int, optional
        Those wanted; the others are never in memory together.
    columns : sequence of str, optional
        All by default.
    """
    chosen = None
    if patients is not None:
        first, last = patients
        chosen = (pc.field("patient") >= first) & (pc.field("patient") <= last)
    if among is not None:
        wanted = pc.field("patient").isin(pa.array(among))
        chosen = wanted if chosen is None else chosen & wanted
    with whole(path):
        return pq.read_table(path, columns=columns, filters=chosen, use_threads=False)


@contextmanager
def whole(path: str | Path) -> Iterator[None]:
    """Say in one sentence that a table read in here is cut short or broken.

    Raises
    ------
    UserError
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"{path}: not a whole Parquet file; delete it and run again, and it is made anew"
        ) from error


def write(path: str | Path, table: pa.Table) -> None:
    """Write one checked table as one Parquet file."""
    name = Path(path).name
    write_together({name: path}, [{name: table}])


def write_csv(path: str | Path, table: pa.Table) -> None:
    """Write a table that a person opens."""
    with replacing(path) as aside:
        pyarrow.csv.write_csv(table, aside)


def copy_csv(source: str | Path, path: str | Path) -> None:
    """Write a table for a person to open, one row group at a time, so that memory stays flat."""
    with ExitStack() as stack:
        stack.enter_context(whole(source))
        file = stack.enter_context(pq.ParquetFile(source))
        aside = stack.enter_context(replacing(path))
        writer = stack.enter_context(pyarrow.csv.CSVWriter(aside, file.schema_arrow))
        for index in range(file.num_row_groups):
            writer.write_table(file.read_row_group(index, use_threads=False))


def write_together(paths: Mapping[str, str | Path], parts: Iterable[Mapping[str, pa.Table]]) -> None:
    """Write several tables of the same patients, each part of each as one row group.

    Parameters
    ----------
    paths : mapping of str to path
        Where each table goes, by its name.
    parts : iterable of mapping of str to pyarrow.Table
        A patient's checked tables by name; a patient without rows leaves no row group.
    """
    with ExitStack() as stack:
        asides = {name: stack.enter_context(replacing(path)) for name, path in paths.items()}
        writers: dict[str, pq.ParquetWriter] = {}
        for part in parts:
            for name, table in part.items():
                if name not in writers:
                    writer = pq.ParquetWriter(asides[name], table.schema, compression=CODEC)
                    writers[name] = stack.enter_context(writer)
                if table.num_rows:
                    writers[name].write_table(table, row_group_size=table.num_rows)


def gather(sources: Sequence[str | Path], path: str | Path) -> None:
    """Join the batches of an arm in order, some patients at a time, so that memory stays flat.

    A row group ends with the patient who fills it, whichever batch that is in.
    """
    name = Path(path).name
    write_together({name: path}, ({name: group} for group in _filled(_row_groups(sources))))


def _filled(groups: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for group in groups:
        held.append(group)
        if sum(part.num_rows for part in held) >= ROWS_OF_A_GROUP:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _row_groups(sources: Sequence[str | Path]) -> Iterator[pa.Table]:
    for source in sources:
        with whole(source), pq.ParquetFile(source) as file:
            yield file.schema_arrow.empty_table()
            for index in range(file.num_row_groups):
                yield file.read_row_group(index, use_threads=False)


def turns(patients: tuple[int, int], at_once: int = AT_ONCE) -> Iterator[tuple[int, int]]:
    """Cut patients, first to last, into turns, so that the memory of a job is flat in their number."""
    first, last = patients
    for start in range(first, last + 1, at_once):
        yield start, min(start + at_once - 1, last)


def read_turns(
    tables: Sequence[Table], files: Mapping[str, str | Path], patients: tuple[int, int]
) -> Iterator[dict[str, pa.Table]]:
    """Read some tables by name, for one turn of patients after the other."""
    for turn in turns(patients):
        yield {table.name: table.read(files[table.name], turn) for table in tables}


def by_patient(table: pa.Table, patients: Iterable[int]) -> dict[int, dict[str, np.ndarray]]:
    """Return the columns of each patient; empty ones where a patient has no rows.

    Rows of one patient must stand together and patients in order, as `write_together` leaves them.
    """
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    patients = list(patients)
    starts = np.searchsorted(columns["patient"], patients, side="left")
    stops = np.searchsorted(columns["patient"], patients, side="right")
    return {
        patient: {name: column[start:stop] for name, column in columns.items()}
        for patient, start, stop in zip(patients, starts, stops, strict=True)
    }


def split_by_patient(table: pa.Table, patients: Iterable[int]) -> dict[int, pa.Table]:
    """Return each patient's rows, none where a patient has none; order as for `by_patient`."""
    patients, column = list(patients), table.column("patient").to_numpy()
    starts = np.searchsorted(column, patients, side="left")
    stops = np.searchsorted(column, patients, side="right")
    return {
        patient: table.slice(start, stop - start)
        for patient, start, stop in zip(patients, starts, stops, strict=True)
    }


class replacing:
    """Write aside, then rename: what has the final name is whole.

    Two copies of a job that write the same file, perhaps on two nodes, each have an aside of their
    own; the bytes are the same, so whichever comes last changes nothing.  A job of an earlier run
    fails here with `Superseded`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.aside = self.path.with_name(f"{_aside_prefix(self.path)}{uuid.uuid4().hex}")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.aside

    def __exit__(self, failed: type | None, *rest: object) -> None:
        try:
            if failed is None:
                runs.check()
                os.replace(self.aside, self.path)
        finally:
            self.aside.unlink(missing_ok=True)


def _aside_prefix(path: Path) -> str:
    return f".{path.name}.part-"


def sweep(path: str | Path) -> None:
    """Remove what killed jobs left aside of a finished file."""
    path = Path(path)
    for aside in path.parent.glob(f"{_aside_prefix(path)}*"):
        aside.unlink()
