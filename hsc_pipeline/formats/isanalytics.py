"""VISPA2 and ISAnalytics: matrices of sites by amplification, and the association file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats.assemble import PREFERRED, Options, Rows, assemble, is_estimate, refuse_repeats
from hsc_pipeline.formats.files import MOST_FILES, Header, Spot, header, safe, write_table
from hsc_pipeline.formats.long import Layout, read_layout
from hsc_pipeline.formats.names import Prefix, check_strand, posids
from hsc_pipeline.formats.sheets import (
    check_names,
    check_sites,
    month_cell,
    read_samples,
    sample_rows,
    whole_days,
    write_samples,
)
from hsc_pipeline.formats.tables import NAME, Observations, whole_array
from hsc_pipeline.formats.wide import blocks, read_matrix, rows_of_groups, sample_index

ASSOCIATION_FILE = "association_file.tsv"
QUANTIFICATIONS = {
    "fragmentEstimate": "fragments",
    "seqCount": "reads",
    "barcodeCount": "barcodes",
    "cellCount": "cells",
    "ShsCount": "fragments",
}
SITE = ("chr", "integration_locus", "strand")
OLD_SITE = "IS_genomicID"  # chr_locus_strand, in older files
DESCRIBES = {
    "chr": NAME,
    "integration_locus": pa.int64(),
    "strand": NAME,
    "GeneName": NAME,
    "GeneStrand": NAME,
    OLD_SITE: NAME,
}
# Columns of the association file in its own order; its misspelling is kept.
ASSOCIATION = (
    "ProjectID FUSIONID PoolID TagSequence SubjectID VectorType VectorID ExperimentID Tissue TimePoint "
    "DNAFragmentation PCRMethod TagIDextended Keywords CellMarker TagID NGSProvider NGSTechnology "
    "ConverrtedFilesDir ConverrtedFilesName SourceFileFolder SourceFileNameR1 SourceFileNameR2 DNAnumber "
    "ReplicateNumber DNAextractionDate DNAngUsed LinearPCRID LinearPCRDate SonicationDate LigationDate "
    "1stExpoPCRID 1stExpoPCRDate 2ndExpoID 2ndExpoDate FusionPrimerPCRID FusionPrimerPCRDate PoolDate "
    "SequencingDate VCN Genome SequencingRound Genotype TestGroup MOI Engraftment Transduction Notes "
    "AddedField1 AddedField2 AddedField3 AddedField4 concatenatePoolIDSeqRun "
    "AddedField6_RelativeBloodPercentage AddedField7_PurityTestFeasibility AddedField8_FacsSeparationPurity "
    "Kapa ulForPool CompleteAmplificationID UniqueID StudyTestID StudyTestGroup MouseID Tigroup Tisource "
    "PathToFolderProjectID SamplesNameCheck TimepointDays TimepointMonths TimepointYears"
)  # one text, as 70 quoted names would fill the page
_SHEET = {
    "sample": "CompleteAmplificationID",
    "subject": "SubjectID",
    "tissue": "Tissue",
    "marker": "CellMarker",
    "replicate": "ReplicateNumber",
    "trial": "ProjectID",
    "dna_ng": "DNAngUsed",
    "vcn": "VCN",
}
_AGGREGATED = ("SubjectID", "CellMarker", "Tissue")


def read(path: Path, options: Options) -> Observations:
    """Read a tree of matrices with its association file, or one matrix.

    Without an association file, columns must be called as the aggregation key, such as
    ``BTHAL010_CD3_BM_12``; time points of four digits are days, others months.
    """
    if path.is_dir():
        by_assay = find_matrices(path)
        association = options.metadata or _find_association(path)
        options = replace(options, metadata=association)
    else:
        by_assay = {_assay_of(path) or options.assay or "unstated": [path]}
    assay = options.assay or next(name for name in PREFERRED if name in by_assay)
    if assay not in by_assay:
        raise UserError(f"{path}: holds no matrix of {assay}, but of {', '.join(by_assay)}")
    heads = [options.header(file) for file in by_assay[assay]]
    if "CompleteAmplificationID" in heads[0].names or "SubjectID" in heads[0].names:
        return _read_tidy(heads, options)
    sheet = None if options.metadata is None else read_samples(options.metadata, options)
    parts = [_read_wide(head, assay, sheet, options) for head in heads]
    if sheet is not None:
        parts = [*parts, *_absent(parts, sheet, heads[0], options)]
    return assemble(parts, assay, path, options)


def find_matrices(root: Path) -> dict[str, list[Path]]:
    """Return the matrices below a folder by assay; of one in several forms, the annotated without zeros."""
    found: dict[tuple[str, Path, str], dict[str, Path]] = {}
    for number, file in enumerate(sorted(root.rglob("*_matrix*.tsv*"))):
        if number == MOST_FILES:
            raise UserError(f"{root}: more than {MOST_FILES:,} matrices, the limit")
        match = re.fullmatch(r"(.+_matrix)((?:\.\w+)*?)\.tsv(?:\.gz)?", file.name)
        if match and (quantification := _quantification(match[1])):
            found.setdefault((quantification, file.parent, match[1]), {})[match[2]] = file
    if not found:
        raise UserError(f"{root}: no file below it is called such as *_seqCount_matrix.tsv.gz")
    by_assay: dict[str, list[Path]] = {}
    estimated = any(quantification == "fragmentEstimate" for quantification, *_ in found)
    for (quantification, *_), forms in found.items():
        if quantification == "ShsCount" and estimated:
            continue
        best = max(forms, key=lambda form: ("annotated" in form, "no0" in form))
        by_assay.setdefault(QUANTIFICATIONS[quantification], []).append(forms[best])
    return by_assay


def _quantification(text: str) -> str | None:
    return next((name for name in QUANTIFICATIONS if name.casefold() in text.casefold()), None)


def _assay_of(path: Path) -> str | None:
    quantification = _quantification(path.name)
    return None if quantification is None else QUANTIFICATIONS[quantification]


def _find_association(root: Path) -> Path | None:
    """Return the association file below a folder, told by its columns."""
    files = sorted([*root.rglob("*.tsv"), *root.rglob("*.txt"), *root.rglob("*.csv")])[:MOST_FILES]
    tables = [file for file in files if "_matrix" not in file.name]
    found = [file for file in tables if {"CompleteAmplificationID", "SubjectID"} <= set(header(file).names)]
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]} are both association files; say metadata=")
    return found[0] if found else None


def _read_tidy(heads: Sequence[Header], options: Options) -> Observations:
    """Read the long form, ``CompleteAmplificationID`` and ``Value`` or a column a quantification."""
    if len(heads) > 1:
        raise UserError(f"{heads[0].path}: more than one matrix in the long form; read them one by one")
    head = heads[0]
    head.need(SITE, "a matrix of sites in the long form")
    counts = {
        QUANTIFICATIONS[q]: name for q in QUANTIFICATIONS for name in (q, f"{q}_sum") if name in head.names
    }
    if "Value" in head.names:
        counts.setdefault(_assay_of(head.path) or "unstated", "Value")
    place = {"chromosome": "chr", "position": "integration_locus", "strand": "strand"}
    if "GeneName" in head.names:
        place["gene"] = "GeneName"
    return read_layout(head, Layout("", counts, place), options)


def _read_wide(head: Header, assay: str, sheet: Mapping[str, dict] | None, options: Options) -> Rows:
    """Read one matrix."""
    old = OLD_SITE in head.names and "chr" not in head.names
    head.need((OLD_SITE,) if old else SITE, "a matrix of sites")
    columns = [name for name in head.names if name not in DESCRIBES]
    samples = (
        _aggregated(columns, head, options) if sheet is None else _looked_up(columns, sheet, head, options)
    )
    kept = [(name, row) for name, row in zip(columns, samples, strict=True) if options.wants(row["subject"])]
    names = {name: DESCRIBES[name] for name in (*SITE, OLD_SITE, "GeneName") if name in head.names}
    matrix = read_matrix(head, names, [name for name, _ in kept], is_estimate(assay, options))
    place = _split_old(matrix.names[OLD_SITE], head) if old else _places(matrix.names, head)
    clone = posids(place["chromosome"], place["position"], place["strand"]).dictionary_encode().cast(NAME)
    if "GeneName" in matrix.names.column_names:
        place["gene"] = whole_array(matrix.names["GeneName"])
    row = pa.array(matrix.row, pa.int64())
    rows = Rows(
        [sample for _, sample in kept],
        matrix.column,
        clone.take(row),
        matrix.count,
        {name: array.take(row) for name, array in place.items()},
        head,
        matrix.line,
    )
    refuse_repeats(rows)
    return rows


def _places(names: pa.Table, head: Header) -> dict[str, pa.Array]:
    strand = names["strand"].cast(pa.string()).combine_chunks()
    check_strand(strand, head.path, "strand")
    position = names["integration_locus"].combine_chunks()
    if position.null_count:
        raise UserError(f"{head.path}, column integration_locus: an empty cell")
    chromosome = Prefix(head.path, "chr").strip(names["chr"].combine_chunks())
    return {"chromosome": chromosome, "position": position, "strand": strand}


def _split_old(column: pa.ChunkedArray, head: Header) -> dict[str, pa.Array]:
    """Return the parts of ``chr_locus_strand``."""
    parts = pc.extract_regex(
        column.cast(pa.string()), r"^(?P<chr>.+)_(?P<locus>[0-9]{1,10})_(?P<strand>[+-])$"
    )
    parts = parts.combine_chunks()
    if parts.null_count:
        row = parts.is_null().index(True).as_py()
        raise UserError(f"{head.path}, column {OLD_SITE}: {column[row].as_py()!r} is not chr_locus_strand")
    return {
        "chromosome": Prefix(head.path, OLD_SITE).strip(parts.field("chr")),
        "position": parts.field("locus").cast(pa.int64()),
        "strand": parts.field("strand"),
    }


def _looked_up(
    columns: Sequence[str], sheet: Mapping[str, dict], head: Header, options: Options
) -> list[dict]:
    unknown = [name for name in columns if name not in sheet]
    if unknown:
        raise UserError(
            f"{head.path}, column {unknown[0]}: no such CompleteAmplificationID in {options.metadata}"
        )
    return [sheet[name] for name in columns]


def _aggregated(columns: Sequence[str], head: Header, options: Options) -> list[dict]:
    """Return the samples that columns such as ``BTHAL010_CD3_BM_12`` name."""
    parts = [name.rsplit("_", 3) for name in columns]
    for name, split in zip(columns, parts, strict=True):
        if len(split) != 4 or not re.fullmatch(r"-?\d+(\.\d+)?", split[3]):
            raise UserError(
                f"{head.path}, column {name}: not Subject_CellMarker_Tissue_Time, and there is no "
                "association file; say metadata="
            )
    long = [re.fullmatch(r"\d{4,}", split[3]) is not None for split in parts]
    if any(long) and not all(long) and options.time_unit is None:
        raise UserError(
            f"{head.path}: {columns[long.index(True)]} seems to be in days and "
            f"{columns[long.index(False)]} in months; say time_unit"
        )
    time = "days" if all(long) else "months"
    names = [*_AGGREGATED, time]
    rows = [
        (Spot(head, name=name), dict(zip(names, split, strict=True)))
        for name, split in zip(columns, parts, strict=True)
    ]
    samples = sample_rows(rows, names, head.path, options)
    return [{**row, "sample": name} for name, row in zip(columns, samples, strict=True)]


def _absent(parts: Sequence[Rows], sheet: Mapping[str, dict], head: Header, options: Options) -> list[Rows]:
    """Return the samples of the association file that no matrix holds, as rows of none."""
    held = {sample["sample"] for part in parts for sample in part.samples}
    absent = [row for name, row in sheet.items() if name not in held and options.wants(row["subject"])]
    if not absent:
        return []
    none = np.zeros(0, np.int64)
    clone = whole_array(pa.chunked_array([], NAME))
    return [Rows(absent, none, clone, np.zeros(0), {}, replace(head, path=options.metadata), none)]


# Writing


def write(observations: Sequence[Observations], folder: Path) -> list[Path]:
    """Write a tree of annotated matrices without zeros, by project and pool, and the association file."""
    quantification = {"reads": "seqCount", "fragments": "fragmentEstimate", "barcodes": "barcodeCount"}
    quantification["cells"] = "cellCount"
    samples = observations[0].samples
    check_names(samples)
    if taken := set(DESCRIBES) & set(samples["sample"].to_pylist()):
        raise UserError(f"isanalytics: a sample cannot be called {min(taken)}, a column of every matrix")
    pools = _pools(samples)
    made = []
    for observed in observations:
        if observed.assay not in quantification:
            raise UserError(
                f"isanalytics has no matrix of {observed.assay}; allowed: {', '.join(quantification)}"
            )
        check_sites(observed.clones, "isanalytics", exact=True)
    for observed in observations:
        name = quantification[observed.assay]
        index = sample_index(observed)
        mine = rows_of_groups(index, list(pools.values()))
        for ((project, pool), members), rows in zip(pools.items(), mine, strict=True):
            file = f"{project}_{pool}_{name}_matrix.no0.annotated.tsv.gz"
            path = folder / project / "quantification" / pool / file
            _write_matrix(path, observed, np.array(members), rows, index)
            made.append(path)
    write_samples(folder / ASSOCIATION_FILE, samples, _SHEET, _times, ASSOCIATION.split())
    return [*made, folder / ASSOCIATION_FILE]


def _pools(samples: pa.Table) -> dict[tuple[str, str], list[int]]:
    """Return the rows of samples by folder of project and of pool."""
    pools: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(samples.to_pylist()):
        other = dict(row["other"])
        pool = other.get("concatenatePoolIDSeqRun") or other.get("PoolID") or "POOL"
        pools.setdefault((safe(row["trial"] or "PROJECT"), safe(pool)), []).append(at)
    return pools


def _write_matrix(
    path: Path, observed: Observations, members: np.ndarray, mine: np.ndarray, index: np.ndarray
) -> None:
    """Write the matrix of some samples, whose rows are `mine`, sites by chromosome and position."""
    clones = observed.clones.take(pa.array(mine))
    site = pa.table(
        {
            "chr": clones["chromosome"].cast(pa.string()),
            "integration_locus": clones["position"],
            "strand": clones["strand"].cast(pa.string()),
            "GeneName": clones["gene"].cast(pa.string()),
        }
    )
    rows = (
        site.group_by(site.column_names, use_threads=False)
        .aggregate([])
        .sort_by([(name, "ascending") for name in site.column_names])
    )
    number = rows.append_column("row", pa.array(np.arange(rows.num_rows)))
    lookup = site.append_column("at", pa.array(np.arange(site.num_rows)))
    row = lookup.join(number, site.column_names, use_threads=False).sort_by("at")["row"].to_numpy()
    _refuse_two_genes(rows)
    names = rows.append_column("GeneStrand", pa.nulls(rows.num_rows, pa.string()))
    samples = observed.samples.take(pa.array(members))["sample"].to_pylist()
    column = np.searchsorted(members, index[mine])
    write_table(path, blocks(names, row, column, clones["count"], samples))


def _refuse_two_genes(rows: pa.Table) -> None:
    sites = rows.group_by(list(SITE), use_threads=False).aggregate(
        [("GeneName", "count"), ("GeneName", "min")]
    )
    twice = sites.filter(pc.greater(sites["GeneName_count"], 1)).to_pylist()
    if twice:
        row = twice[0]
        raise UserError(
            f"the site chr{row['chr']}{row['strand']}{row['integration_locus']} has two genes, such as "
            f"{row['GeneName_min']!r}; a matrix holds one"
        )


def _times(month: float | None) -> dict[str, str]:
    return {"TimePoint": whole_days(month), "TimepointMonths": month_cell(month)}
