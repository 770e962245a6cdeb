"""AIRR Rearrangement tables: receptor sequences, their clones and repertoires."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats.assemble import Options, Rows, assemble, check_counts, choose, is_estimate
from hsc_pipeline.formats.files import Header, Spot, stream, whole, write_table
from hsc_pipeline.formats.sheets import check_names, month_cell, read_samples, write_samples
from hsc_pipeline.formats.tables import NAME, Observations

REARRANGEMENTS_FILE, SAMPLES_FILE = "rearrangements.tsv", "samples.tsv"
# The columns that every such table has, schema 1.4 and 2.0.
REQUIRED = (
    "sequence_id",
    "sequence",
    "rev_comp",
    "productive",
    "v_call",
    "d_call",
    "j_call",
    "sequence_alignment",
    "germline_alignment",
    "junction",
    "junction_aa",
    "v_cigar",
    "d_cigar",
    "j_cigar",
)
COUNTS = {"reads": ("duplicate_count", "consensus_count"), "barcodes": ("umi_count",)}
_OF_SAMPLE = ("repertoire_id", "sample_processing_id")


def read(path: Path, options: Options) -> Observations:
    """Read rearrangements, the rows of a clone in a repertoire added up.

    Clones are ``clone_id``, repertoires ``repertoire_id`` or else ``sample_processing_id``; months
    and cells come from a table of samples, if any; without one, the repertoire is the subject.
    """
    metadata = options.metadata
    if path.is_dir():
        metadata = metadata or path / SAMPLES_FILE
        path = path / REARRANGEMENTS_FILE
    head = options.header(path)
    head.need((*REQUIRED, "clone_id"), "an AIRR table of clones")
    of_sample = next((name for name in _OF_SAMPLE if name in head.names), None)
    if of_sample is None:
        raise UserError(f"{path}: needs repertoire_id or sample_processing_id, to tell samples apart")
    assay, column = choose(head, _counts(head), options)
    table = _load(head, of_sample, column)
    samples = _samples(table[of_sample], head, metadata, options)
    return assemble([_rows(table, head, of_sample, column, samples, assay, options)], assay, path, options)


def _counts(head: Header) -> dict[str, str]:
    found = {assay: [name for name in names if name in head.names] for assay, names in COUNTS.items()}
    return {assay: names[0] for assay, names in found.items() if names}


def _load(head: Header, of_sample: str, column: str) -> pa.Table:
    types = {"sequence_id": pa.string(), of_sample: NAME, "clone_id": NAME, column: pa.float64()}
    table = pa.Table.from_batches(list(stream(head, types)), pa.schema(list(types.items())))
    table = table.unify_dictionaries().combine_chunks()
    if not table.num_rows:
        raise UserError(f"{head.path}: holds no rearrangement")
    for name in ("sequence_id", of_sample, "clone_id"):
        empty = pc.equal(table[name].cast(pa.string()), "")
        if pc.any(empty).as_py():
            raise UserError(f"{Spot(head, row=empty.index(True).as_py(), name=name)}: an empty cell")
    return table


def _samples(
    repertoire: pa.ChunkedArray, head: Header, metadata: Path | None, options: Options
) -> dict[str, dict]:
    """Return rows of `SAMPLES` by repertoire."""
    names = repertoire.chunk(0).dictionary.to_pylist()
    if metadata is None:
        texts = ("tissue", "lineage", "marker")
        blank = {"month": None, **dict.fromkeys(texts, "")}
        return {name: {"sample": name, "subject": options.subject or name, **blank} for name in names}
    sheet = read_samples(metadata, options)
    unknown = [name for name in names if name not in sheet]
    if unknown:
        raise UserError(f"{head.path}: repertoire {unknown[0]!r} is not in {metadata}")
    return sheet


def _rows(
    table: pa.Table,
    head: Header,
    of_sample: str,
    column: str,
    samples: Mapping[str, dict],
    assay: str,
    options: Options,
) -> Rows:
    """Check counts and sequences, and add up the sequences of a clone."""
    _refuse_repeats(table, of_sample, head)
    if table[column].null_count:
        row = table[column].combine_chunks().is_null().index(True).as_py()
        raise UserError(f"{Spot(head, row=row, name=column)}: the count is empty")
    counts = table[column].to_numpy()
    check_counts(head, counts, np.arange(len(counts)), column, is_estimate(assay, options))
    wanted = [name for name, row in samples.items() if options.wants(row["subject"])]
    at = {name: place for place, name in enumerate(wanted)}
    repertoire, clone = table[of_sample].chunk(0), table["clone_id"].chunk(0)
    lookup = np.array([at.get(name, -1) for name in repertoire.dictionary.to_pylist()], np.int64)
    index = lookup[repertoire.indices.to_numpy()]
    kept = np.flatnonzero((index >= 0) & (counts > 0))
    key = index[kept] * len(clone.dictionary) + clone.indices.to_numpy()[kept]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    row = kept[first]
    total = np.bincount(group, weights=counts[kept], minlength=len(first))
    return Rows(
        [samples[name] for name in wanted], index[row], clone.take(pa.array(row)), total, {}, head, row
    )


def _refuse_repeats(table: pa.Table, of_sample: str, head: Header) -> None:
    """Fail where a sequence stands twice in a repertoire."""
    key = pa.table({"sequence_id": table["sequence_id"], "sample": table[of_sample].cast(pa.string())})
    if key.group_by(key.column_names, use_threads=False).aggregate([]).num_rows == key.num_rows:
        return
    seen: set[tuple[str, str]] = set()
    for row, pair in enumerate(zip(*(column.to_pylist() for column in key.columns), strict=True)):
        if pair in seen:
            raise UserError(f"{Spot(head, row=row)}: sequence_id {pair[0]!r} stands twice in {pair[1]!r}")
        seen.add(pair)


# Writing


def write(observations: Sequence[Observations], folder: Path) -> list[Path]:
    """Write clones as rearrangements without sequences, one a clone and repertoire, and samples."""
    one = observations[0]
    if len(observations) > 1 or one.assay not in COUNTS:
        raise UserError(f"airr holds one assay, {' or '.join(COUNTS)}, not {observations[-1].assay}")
    check_names(one.samples)
    clones = one.clones
    for name in ("chromosome", "gene"):
        if not pc.all(pc.equal(clones[name].cast(pa.string()), "")).as_py():
            raise UserError("airr holds receptor sequences and has no place for sites or genes of insertions")
    count = whole(clones["count"])
    if not pa.types.is_integer(count.type):
        raise UserError("airr holds whole counts, and some of these have a fraction")
    empty = pa.array([""] * clones.num_rows, pa.string())
    number = pa.array([f"s{at}" for at in range(clones.num_rows)], pa.string())
    columns = {name: number if name == "sequence_id" else empty for name in REQUIRED}
    columns |= {
        COUNTS[one.assay][0]: count,
        "clone_id": clones["clone"],
        "repertoire_id": clones["sample"],
    }
    write_table(folder / REARRANGEMENTS_FILE, pa.table(columns))
    write_samples(
        folder / SAMPLES_FILE,
        one.samples,
        {"sample": "repertoire_id", "subject": "subject", "marker": "marker"},
        lambda month: {"month": month_cell(month)},
    )
    return [folder / REARRANGEMENTS_FILE, folder / SAMPLES_FILE]
