"""Matrices of counts: a row a clone, a column a sample, mostly empty."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from hsc_pipeline.formats.assemble import check_counts
from hsc_pipeline.formats.files import Header, stream, whole
from hsc_pipeline.formats.tables import Observations, whole_array

_MOST_CELLS = 1 << 23  # of a block that is written at a time


@dataclass(frozen=True)
class Matrix:
    """What a matrix holds, without its zeros.

    Attributes
    ----------
    names : pyarrow.Table
        The columns that describe rows, of the rows that hold anything.
    row, column : array of int, shape (n,)
        Into `names` and the samples asked for.
    count : array of float, shape (n,)
    line : array of int, shape (n,)
        Row of the file.
    """

    names: pa.Table
    row: np.ndarray
    column: np.ndarray
    count: np.ndarray
    line: np.ndarray


def read_matrix(
    head: Header, names: Mapping[str, pa.DataType], samples: Sequence[str], estimate: bool
) -> Matrix:
    """Read some samples of a matrix, block by block; empty cells and zeros are the same.

    Parameters
    ----------
    head : Header
    names : mapping of str to pyarrow.DataType
        Columns that describe rows.
    samples : sequence of str
        Columns of counts.
    estimate : bool
        Whether counts may be fractional.
    """
    types = {**names, **dict.fromkeys(samples, pa.float64())}
    kept, rows, columns, counts, lines = [], [], [], [], []
    first = filled = 0
    for batch in stream(head, types):
        cells = _cells(batch, samples)
        row, column = np.nonzero(cells)
        count = cells[row, column]
        check_counts(head, count, first + row, _Lookup(samples, column), estimate)
        held, index = np.unique(row, return_inverse=True)
        kept.append(batch.select(list(names)).take(pa.array(held)))
        rows.append(filled + index)
        columns.append(column)
        counts.append(count)
        lines.append(first + row)
        first, filled = first + batch.num_rows, filled + len(held)
    schema = pa.schema(list(names.items()))
    return Matrix(
        pa.Table.from_batches(kept, schema).unify_dictionaries().combine_chunks(),
        row=np.concatenate([np.zeros(0, np.int64), *rows]),
        column=np.concatenate([np.zeros(0, np.int64), *columns]),
        count=np.concatenate([np.zeros(0), *counts]),
        line=np.concatenate([np.zeros(0, np.int64), *lines]),
    )


class _Lookup(Sequence):
    """The name of the column of each count."""

    def __init__(self, names: Sequence[str], index: np.ndarray):
        self._names, self._index = names, index

    def __getitem__(self, at):
        return self._names[self._index[at]]

    def __len__(self) -> int:
        return len(self._index)


def _cells(batch: pa.RecordBatch, samples: Sequence[str]) -> np.ndarray:
    cells = np.zeros((batch.num_rows, len(samples)))
    for at, name in enumerate(samples):
        column = batch.column(name)
        cells[:, at] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return cells


def blocks(
    names: pa.Table,
    row: np.ndarray,
    column: np.ndarray,
    count: pa.ChunkedArray,
    samples: Sequence[str],
    empty: bool = True,
) -> Iterator[pa.Table]:
    """Yield a matrix in blocks of rows.

    Parameters
    ----------
    names : pyarrow.Table
        Describes rows, in their order.
    row, column : array of int, shape (n,)
        Into `names` and `samples`.
    count : array, length n
    samples : sequence of str
    empty : bool
        Whether to leave zeros empty.
    """
    values = whole(count)
    type_ = values.type
    values = values.to_numpy()
    order = np.argsort(row, kind="stable")
    row, column, values = row[order], column[order], values[order]
    size = max(1, _MOST_CELLS // max(len(samples), 1))
    for start in range(0, max(names.num_rows, 1), size):
        block = names.slice(start, size)
        low, high = np.searchsorted(row, [start, start + size])
        cells = np.zeros((len(samples), block.num_rows), values.dtype)
        cells[column[low:high], row[low:high] - start] = values[low:high]
        for name, filled in zip(samples, cells, strict=True):
            block = block.append_column(name, pa.array(filled, type_, mask=(filled == 0) & empty))
        yield block


def sample_index(observed: Observations) -> np.ndarray:
    """Return the row in the table of samples of each row of clones."""
    order = {name: at for at, name in enumerate(observed.samples["sample"].to_pylist())}
    names = whole_array(observed.clones["sample"])
    lookup = np.array([order.get(name, -1) for name in names.dictionary.to_pylist()], np.int64)
    return lookup[names.indices.to_numpy()] if len(lookup) else np.zeros(0, np.int64)


def rows_of_groups(index: np.ndarray, groups: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Return the rows of each group of samples, in their order.

    Parameters
    ----------
    index : array of int, shape (n,)
        Sample of each row.
    groups : sequence of sequence of int
        Samples of each group; a sample is in one.
    """
    group_of = np.empty(sum(len(members) for members in groups), np.int64)
    for number, members in enumerate(groups):
        group_of[list(members)] = number
    group = group_of[index]
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(len(groups) + 1))
    return [order[low:high] for low, high in pairwise(ends)]
