"""From the rows of a file to `Observations`: what every format has in common, and every refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats.files import Header, header, line_of
from hsc_pipeline.formats.names import Lineages, check_unit
from hsc_pipeline.formats.tables import ASSAYS, CLONES, ESTIMATES, NAME, SAMPLES, Observations, whole_array

PREFERRED = ("fragments", "barcodes", "cells", "reads", "unstated")
PLACE = ("chromosome", "position", "strand", "gene")
_TYPES = {"position": pa.int64()}


@dataclass(frozen=True)
class Options:
    """How to read; see `hsc_pipeline.formats.read`."""

    assay: str | None = None
    metadata: Path | None = None
    subjects: frozenset[str] | None = None
    subject: str | None = None
    lineages: Lineages = field(default_factory=Lineages)
    lineages_given: bool = False
    time_unit: str | None = None
    empty: str = "refuse"
    repeated: str = "refuse"
    estimate: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    def header(self, path: Path) -> Header:
        """Read the header of the main table, columns renamed as the user says."""
        return header(path).renamed(self.columns)

    def __post_init__(self):
        check_unit(self.time_unit)
        for name, allowed in (
            ("assay", (None, *ASSAYS)),
            ("empty", ("refuse", "keep", "drop")),
            ("repeated", ("refuse", "drop")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise UserError(f"{name}: {value!r}; {suggest(str(value), [a for a in allowed if a])}")

    def wants(self, subject: str) -> bool:
        """Whether to read a subject."""
        return self.subjects is None or subject in self.subjects


@dataclass(frozen=True)
class Rows:
    """Rows of one file, checked, zeros left out.

    Attributes
    ----------
    samples : list of dict
        Rows of `SAMPLES`.
    sample : array of int, shape (n,)
        Index into `samples`.
    clone : pyarrow.DictionaryArray, length n
    count : array of float, shape (n,)
    place : mapping of str to pyarrow.Array, length n
        Columns of `PLACE` that the file has.
    head : Header
    row : array of int, shape (n,)
        Rows of the file, for sentences.
    """

    samples: list[dict]
    sample: np.ndarray
    clone: pa.Array
    count: np.ndarray
    place: Mapping[str, pa.Array]
    head: Header
    row: np.ndarray


def check_counts(
    head: Header, counts: np.ndarray, rows: np.ndarray, column: str | Sequence[str], estimate: bool
) -> None:
    """Fail on a count that is NaN, infinite, negative, or fractional where it may not be.

    Parameters
    ----------
    head : Header
    counts : array of float, shape (n,)
    rows : array of int, shape (n,)
        Row of the file of each.
    column : str or sequence of str
        Name of the column, or of each count's own.
    estimate : bool
        Whether counts may be fractional.
    """
    fractional = False if estimate else counts != np.round(counts)
    bad = np.flatnonzero(~np.isfinite(counts) | (counts < 0) | fractional)
    if len(bad) == 0:
        return
    first = bad[np.argmin(rows[bad])]
    value, name = counts[first], column if isinstance(column, str) else column[first]
    if not np.isfinite(value):
        wrong = f"{value} is not a count"
    elif value < 0:
        wrong = f"a count below 0: {value:g}"
    else:
        wrong = f"a fractional count, {value:g}, in a column not declared an estimate (estimate=True)"
    raise UserError(f"{head.path}, line {line_of(head, int(rows[first]))}, column {name}: {wrong}")


def refuse_repeats(rows: Rows) -> None:
    """Fail where a sample holds a clone twice."""
    clones = max(len(rows.clone.dictionary), 1)
    key = rows.sample.astype(np.int64) * clones + rows.clone.indices.to_numpy()
    order = np.argsort(key, kind="stable")
    twice = order[1:][np.diff(key[order]) == 0]
    if len(twice):
        at = twice[np.argmin(rows.row[twice])]
        line = line_of(rows.head, int(rows.row[at]))
        sample = rows.samples[rows.sample[at]]["sample"]
        raise UserError(
            f"{rows.head.path}, line {line}: clone {rows.clone[at].as_py()!r} stands twice in sample "
            f"{sample!r}"
        )


def assemble(parts: Sequence[Rows], assay: str, where: Path, options: Options) -> Observations:
    """Join the rows of files into `Observations`.

    Raises
    ------
    UserError
        On a sample of two files, a sample without a clone, or nothing at all.
    """
    samples = [sample for part in parts for sample in part.samples]
    _refuse_shared(parts)
    if not samples:
        wanted = f" of {', '.join(sorted(options.subjects))}" if options.subjects else ""
        raise UserError(f"{where}: holds no sample{wanted}")
    starts = np.cumsum([0, *(len(part.samples) for part in parts)])
    index = np.concatenate([part.sample + start for part, start in zip(parts, starts, strict=False)])
    seen = np.bincount(index, minlength=len(samples)) > 0
    samples, index = _without_empty(samples, index, seen, where, options)
    clone = _unified([part.clone for part in parts]) if len(parts) > 1 else parts[0].clone
    columns = {
        **{name: _of_samples(samples, index, name) for name in ("subject", "tissue", "lineage", "sample")},
        "month": pa.array([sample["month"] for sample in samples], pa.float64()).take(pa.array(index)),
        "clone": clone,
        "count": np.concatenate([part.count for part in parts]),
        **{name: _place(parts, name) for name in PLACE},
    }
    return Observations(CLONES.build(columns), sample_table(samples), assay)


def _refuse_shared(parts: Sequence[Rows]) -> None:
    owner: dict[str, Path] = {}
    for part in parts:
        for sample in part.samples:
            name = sample["sample"]
            if name in owner:
                raise UserError(f"{part.head.path}: sample {name!r} also stands in {owner[name]}")
            owner[name] = part.head.path


def _without_empty(
    samples: list[dict], index: np.ndarray, seen: np.ndarray, where: Path, options: Options
) -> tuple[list[dict], np.ndarray]:
    """Refuse, keep or drop samples without a clone."""
    empty = [sample["sample"] for sample, found in zip(samples, seen, strict=True) if not found]
    if empty and options.empty == "refuse":
        raise UserError(
            f"{where}: {len(empty)} of {len(samples)} samples hold no clone, the first {empty[0]!r}; "
            "say empty='keep' or empty='drop'"
        )
    if options.empty != "drop":
        return samples, index
    kept = [sample for sample, found in zip(samples, seen, strict=True) if found]
    return kept, (np.cumsum(seen) - 1)[index]


def sample_table(samples: Sequence[Mapping]) -> pa.Table:
    """Return `SAMPLES` of rows; what a row lacks is not stated."""
    columns: dict[str, list] = {name: [] for name in SAMPLES.columns}
    for sample in samples:
        for name, column in columns.items():
            value = sample.get(name, None if SAMPLES.columns[name].nullable else "")
            column.append(sorted(dict(value or {}).items()) if name == "other" else value)
    return SAMPLES.build(columns)


def _of_samples(samples: Sequence[Mapping], index: np.ndarray, name: str) -> pa.Array:
    """Return a name of each row's sample, dictionary-encoded."""
    names = pa.array([sample[name] for sample in samples], pa.string()).dictionary_encode()
    codes = names.indices.take(pa.array(index, pa.int64()))
    return pa.DictionaryArray.from_arrays(codes, names.dictionary)


def _unified(arrays: Sequence[pa.Array]) -> pa.Array:
    """Join dictionary-encoded arrays under one dictionary."""
    return whole_array(pa.chunked_array(arrays, NAME))


def _place(parts: Sequence[Rows], name: str) -> pa.Array:
    type_ = _TYPES.get(name, NAME)
    arrays = []
    for part in parts:
        array = part.place.get(name)
        if array is None and type_ is NAME:
            codes = pa.array(np.zeros(len(part.count), np.int32))
            array = pa.DictionaryArray.from_arrays(codes, pa.array([""]))
        elif array is None:
            array = pa.nulls(len(part.count), type_)
        arrays.append(array.dictionary_encode() if pa.types.is_string(array.type) else array)
    return _unified(arrays) if type_ is NAME else pa.concat_arrays([a.cast(type_) for a in arrays])


def choose(head: Header, columns: Mapping[str, str], options: Options) -> tuple[str, str]:
    """Return the assay to read and its column.

    Parameters
    ----------
    head : Header
    columns : mapping of str to str
        Column of each assay that the file holds.
    options : Options
    """
    if not columns:
        raise UserError(f"{head.path}: no column of counts; found {head.shown()}")
    if options.assay is None:
        assay = next(name for name in PREFERRED if name in columns)
        return assay, columns[assay]
    if options.assay not in columns and set(columns) == {"unstated"}:
        return options.assay, columns["unstated"]
    if options.assay not in columns:
        held = ", ".join(f"{name} ({column})" for name, column in columns.items())
        raise UserError(f"{head.path}: holds no {options.assay}, but {held}")
    return options.assay, columns[options.assay]


def is_estimate(assay: str, options: Options) -> bool:
    """Whether counts of an assay may be fractional."""
    return assay in ESTIMATES or options.estimate


def combine(*observations: Observations) -> Observations:
    """Join observations of one assay.

    Raises
    ------
    UserError
        If assays are mixed, or a sample stands in two of them.
    """
    assays = list(dict.fromkeys(one.assay for one in observations))
    if len(assays) > 1:
        raise UserError(
            f"{assays[0]} and {assays[1]} are different assays and cannot be compared; choose one of them"
        )
    samples = pa.concat_tables([one.samples for one in observations])
    names = samples["sample"].to_pylist()
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"sample {twice!r} stands in two of the tables")
    clones = pa.concat_tables([one.clones for one in observations]).unify_dictionaries().combine_chunks()
    return Observations(CLONES.check(clones), SAMPLES.check(samples), assays[0])
