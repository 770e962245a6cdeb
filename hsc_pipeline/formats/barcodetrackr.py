"""barcodetrackR: a matrix of barcodes or sites by sample, and a table of samples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats.assemble import PLACE, Options, Rows, assemble, is_estimate, refuse_repeats
from hsc_pipeline.formats.files import Header, header, safe, stream, write_table
from hsc_pipeline.formats.long import places_of_names
from hsc_pipeline.formats.names import plain
from hsc_pipeline.formats.sheets import check_names, month_cell, read_samples, write_samples
from hsc_pipeline.formats.tables import ASSAYS, NAME, Observations, whole_array
from hsc_pipeline.formats.wide import blocks, read_matrix, rows_of_groups, sample_index

COUNTS, METADATA, SITES = "counts.tsv.gz", "metadata.tsv", "sites.tsv.gz"
_SHEET = {"sample": "SAMPLENAME", "subject": "subject", "marker": "celltype", "tissue": "tissue"}
_ROW = ""  # the column of row names, which R leaves without one


def read(path: Path, options: Options) -> Observations:
    """Read a matrix of counts with its metadata, or all pairs of a folder.

    Counts are reads, unless a column ``assay`` of the metadata says otherwise.
    """
    files = sorted(path.glob(f"*{COUNTS}")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: holds no *{COUNTS}")
    if len(files) > 1 and options.metadata is not None:
        raise UserError(f"{path}: holds {len(files)} matrices, which one table of metadata cannot describe")
    assays: list[str] = []
    parts = [_read(file, options, assays) for file in files]
    if len(set(assays)) > 1:
        raise UserError(
            f"{path}: {' and '.join(dict.fromkeys(assays))} are different assays; read one by one"
        )
    return assemble(parts, assays[0], path, options)


def _read(path: Path, options: Options, assays: list[str]) -> Rows:
    """Read one matrix, and add its assay to `assays`."""
    head = options.header(path)
    metadata = options.metadata or metadata_beside(path)
    if metadata is None:
        raise UserError(f"{path}: there is no table of samples beside it, such as {METADATA}; say metadata=")
    sheet = read_samples(metadata, options)
    row_name, *columns = head.names
    missing, foreign = sheet.keys() - set(columns), set(columns) - sheet.keys()
    if foreign:
        raise UserError(f"{path}, column {min(foreign)}: no such SAMPLENAME in {metadata}")
    if missing:
        raise UserError(f"{metadata}: sample {min(missing)!r} has no column in {path}")
    assay = _assay(sheet.values(), metadata, options)
    assays.append(assay)
    for row in sheet.values():
        row["other"].pop("assay", None)
    kept = [name for name in columns if options.wants(sheet[name]["subject"])]
    matrix = read_matrix(head, {row_name: NAME}, kept, is_estimate(assay, options))
    names = whole_array(matrix.names[row_name])
    place = _places(names, path, head)
    row = pa.array(matrix.row, pa.int64())
    rows = Rows(
        [sheet[name] for name in kept],
        matrix.column,
        names.take(row),
        matrix.count,
        {name: array.take(row) for name, array in place.items()},
        head,
        matrix.line,
    )
    refuse_repeats(rows)
    return rows


def _assay(rows, metadata: Path, options: Options) -> str:
    """Return what the counts are, as the metadata say."""
    stated = {row["other"].get("assay", "reads") for row in rows}
    if len(stated) > 1:
        raise UserError(f"{metadata}, column assay: {' and '.join(sorted(stated))} are different assays")
    assay = stated.pop() if stated else "reads"
    if assay not in ASSAYS:
        raise UserError(f"{metadata}, column assay: {assay!r}; {suggest(assay, list(ASSAYS))}")
    said = any("assay" in row["other"] for row in rows)
    if said and options.assay not in (None, assay):
        raise UserError(f"{metadata}: the counts are {assay}, not {options.assay}")
    return assay if said else options.assay or assay


def metadata_beside(path: Path) -> Path | None:
    """Return the table of samples that lies beside a matrix, told by its name and its SAMPLENAME."""
    stem, _, ending = path.name.removesuffix(".gz").rpartition(".")
    names = [stem.replace("count_matrix", "metadata"), stem.replace("counts", "metadata"), f"{stem}_metadata"]
    for name in names:
        for packed in ("", ".gz"):
            beside = path.with_name(f"{name}.{ending}{packed}")
            if beside.name != path.name and beside.is_file() and is_metadata(header(beside).names):
                return beside
    return None


def is_metadata(names: Sequence[str]) -> bool:
    """Whether columns are those of a table of samples."""
    return "samplename" in {plain(name) for name in names}


def _places(names: pa.DictionaryArray, path: Path, head: Header) -> dict[str, pa.Array]:
    """Return where clones sit: from the table of sites beside the matrix, else from names."""
    beside = path.with_name(path.name.removesuffix(COUNTS) + SITES)
    if not (path.name.endswith(COUNTS) and beside.is_file()):
        return places_of_names(names, head)
    sites = header(beside)
    sites.need(("clone", *PLACE), "a table of sites")
    types = {"clone": pa.string(), **dict.fromkeys(PLACE, pa.string()), "position": pa.int64()}
    table = pa.Table.from_batches(list(stream(sites, types)), pa.schema(list(types.items())))
    at = pc.index_in(names.cast(pa.string()), table["clone"].combine_chunks())
    if at.null_count:
        clone = names[at.is_null().index(True).as_py()].as_py()
        raise UserError(f"{beside}: clone {clone!r} of {path.name} is not in it")
    return {name: table[name].combine_chunks().take(at) for name in PLACE}


# Writing


def write(observations: Sequence[Observations], folder: Path) -> list[Path]:
    """Write counts, metadata and, of clones with sites or genes, a table of them, subject by subject."""
    if len(observations) > 1:
        raise UserError("a matrix of barcodetrackR holds one assay; write them one by one")
    observed = observations[0]
    check_names(observed.samples)
    groups: dict[str, list[int]] = {}
    for at, subject in enumerate(observed.samples["subject"].to_pylist()):
        groups.setdefault(safe(subject), []).append(at)
    index = sample_index(observed)
    made: list[Path] = []
    for (name, members), rows in zip(
        groups.items(), rows_of_groups(index, list(groups.values())), strict=True
    ):
        made += _write_subject(folder, name, observed, np.array(members), rows, index)
    return made


def _write_subject(
    folder: Path,
    name: str,
    observed: Observations,
    members: np.ndarray,
    mine: np.ndarray,
    index: np.ndarray,
) -> list[Path]:
    clones, samples = observed.clones.take(pa.array(mine)), observed.samples.take(pa.array(members))
    known = pa.table(
        {n: clones[n].cast(pa.string()) if n != "position" else clones[n] for n in ("clone", *PLACE)}
    )
    sites = known.group_by(known.column_names, use_threads=False).aggregate([]).sort_by("clone")
    rows = pc.unique(sites["clone"])
    if len(rows) < sites.num_rows:
        raise UserError("barcodetrackR: a clone has two places or genes; a matrix holds one row of it")
    row = pc.index_in(known["clone"], rows).to_numpy()
    column = np.searchsorted(members, index[mine])
    table = pa.table({_ROW: rows})
    path = folder / f"{name}.{COUNTS}"
    write_table(path, blocks(table, row, column, clones["count"], samples["sample"].to_pylist(), empty=False))
    assay = {} if observed.assay == "reads" else {"assay": observed.assay}
    made = [path, folder / f"{name}.{METADATA}"]
    write_samples(made[1], samples, _SHEET, lambda month: {"months": month_cell(month), **assay})
    if not _is_blank(sites):
        made.append(folder / f"{name}.{SITES}")
        write_table(made[2], sites)
    return made


def _is_blank(sites: pa.Table) -> bool:
    texts = [sites[name] for name in ("chromosome", "strand", "gene")]
    return sites["position"].null_count == sites.num_rows and all(
        pc.all(pc.equal(t, "")).as_py() for t in texts
    )
