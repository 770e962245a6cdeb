"""Integration sites of INSPIIRED, gt23 and AAVengeR: long tables with a layout of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats.assemble import Options
from hsc_pipeline.formats.files import whole, write_table
from hsc_pipeline.formats.long import Layout, read_layout
from hsc_pipeline.formats.names import DAYS_PER_MONTH
from hsc_pipeline.formats.sheets import check_names, check_sites, month_cell, write_samples
from hsc_pipeline.formats.tables import Observations

SITES_FILE, SAMPLES_FILE = "intSites.csv.gz", "sampleData.csv"
GT23 = Layout("posid", {"fragments": "estAbund", "reads": "reads"}, {"gene": "nearestFeature"})
AAVENGER = Layout(
    "posid",
    {"fragments": "sonicLengths", "barcodes": "rUMIs", "reads": "reads"},
    {"gene": "nearestGene"},
)
_SHEET = {
    "sample": "SpecimenAccNum",
    "trial": "Trial",
    "marker": "CellType",
    "subject": "Patient",
    "dna_ng": "ngDNA",
    "vcn": "VCN",
}
GENOME = "hg38"
_KEY = ("sample", "clone", "chromosome", "position", "strand", "gene")
_BLOCK = 1 << 18  # rows written at a time
# The columns that are written, in gt23's order; of the assays, those that there are.
_ORDER = (
    "seqnames",
    "start",
    "end",
    "width",
    "strand",
    "refGenome",
    "reads",
    "patient",
    "GTSP",
    "cellType",
    "timePoint",
    "timePointDays",
    "timePointMonths",
    "posid",
    "estAbund",
    "relAbund",
    "nearestFeature",
)


def read(path: Path, options: Options) -> Observations:
    """Read gt23's ``intSites.csv``, plain or gz, or a folder with it and ``sampleData.csv``."""
    if path.is_dir():
        beside = path / SAMPLES_FILE
        options = replace(options, metadata=options.metadata or (beside if beside.is_file() else None))
        plain = path / SITES_FILE.removesuffix(".gz")
        path = plain if plain.is_file() else path / SITES_FILE
    return _read(path, GT23, ("posid",), options)


def read_aavenger(path: Path, options: Options) -> Observations:
    """Read AAVengeR's ``sites.tsv.gz``; months and cells come from a table of samples, if any."""
    return _read(path, AAVENGER, ("subject", "sample", "posid"), options)


def _read(path: Path, layout: Layout, needed: Sequence[str], options: Options) -> Observations:
    head = options.header(path)
    head.need(needed, "a table of sites")
    counts = {assay: column for assay, column in layout.counts.items() if column in head.names}
    places = {name: column for name, column in layout.place.items() if column in head.names}
    return read_layout(head, Layout(layout.clone, counts, places), options)


def write(observations: Sequence[Observations], folder: Path) -> list[Path]:
    """Write ``intSites.csv.gz`` and ``sampleData.csv``, fragments and reads side by side."""
    one = observations[0]
    check_names(one.samples)
    by_assay = {observed.assay: observed.clones for observed in observations}
    foreign = by_assay.keys() - GT23.counts.keys()
    if foreign:
        raise UserError(f"gt23 holds fragments and reads, not {min(foreign)}")
    for clones in by_assay.values():
        check_sites(clones, "gt23")
    write_table(folder / SITES_FILE, _blocks(_joined(by_assay), one.samples))
    write_samples(folder / SAMPLES_FILE, one.samples, _SHEET, _times)
    return [folder / SITES_FILE, folder / SAMPLES_FILE]


def _joined(by_assay: dict[str, pa.Table]) -> pa.Table:
    """Return one row a sample and clone, with a column of each assay."""
    parts = [
        clones.select(list(_KEY)).append_column(assay, whole(clones["count"]))
        for assay, clones in by_assay.items()
    ]
    table = parts[0]
    for part, assay in zip(parts[1:], list(by_assay)[1:], strict=True):
        if table.select(list(_KEY)).equals(part.select(list(_KEY))):
            table = table.append_column(assay, part[assay])
        else:
            plain, other = _plain(table), _plain(part)
            table = plain.join(other, list(_KEY), join_type="full outer", use_threads=False)
    return table


def _plain(table: pa.Table) -> pa.Table:
    """Return names as text, which Arrow can join."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.string()))
    return table


def _blocks(table: pa.Table, samples: pa.Table) -> Iterator[pa.Table]:
    """Yield the columns of gt23 that follow from site, sample and counts, by sample and site."""
    index = pc.index_in(table["sample"].cast(pa.string()), samples["sample"].combine_chunks()).to_numpy()
    total = None
    if "fragments" in table.column_names:
        fragments = table["fragments"].cast(pa.float64()).fill_null(0).to_numpy()
        total = np.bincount(index, weights=fragments, minlength=samples.num_rows)
    order = np.argsort(index, kind="stable")
    for start in range(0, max(len(order), 1), _BLOCK):
        rows = order[start : start + _BLOCK]
        of = samples.take(pa.array(index[rows]))
        yield _columns(_plain(table.take(pa.array(rows))), of, None if total is None else total[index[rows]])


def _columns(table: pa.Table, of: pa.Table, total: np.ndarray | None) -> pa.Table:
    """Return the columns of some rows, given their samples and these samples' fragments."""
    rows, month = table.num_rows, of["month"]
    codes = {value: _code(value) for value in pc.unique(month).to_pylist()}
    columns = {
        "seqnames": pc.binary_join_element_wise("chr", table["chromosome"], ""),
        "start": table["position"],
        "end": table["position"],
        "width": pa.array(np.ones(rows, np.int64)),
        "strand": table["strand"],
        "refGenome": pa.array([GENOME] * rows, pa.string()),
        "patient": of["subject"],
        "GTSP": table["sample"],
        "cellType": of["marker"],
        "timePoint": pa.array([codes[value] for value in month.to_pylist()], pa.string()),
        "timePointDays": pc.multiply(month, DAYS_PER_MONTH),
        "timePointMonths": month,
        "posid": table["clone"],
        "nearestFeature": table["gene"],
    }
    if "reads" in table.column_names:
        columns["reads"] = table["reads"]
    if total is not None:
        share = pc.divide(pc.multiply(table["fragments"].cast(pa.float64()), 100.0), pa.array(total))
        columns |= {"estAbund": table["fragments"], "relAbund": share}
    return pa.table({name: columns[name] for name in _ORDER if name in columns})


def _code(month: float | None) -> str:
    return "" if month is None else f"M{month_cell(month)}"


def _times(month: float | None) -> dict[str, str]:
    days = "" if month is None else repr(round(month * DAYS_PER_MONTH, 4))
    return {"DaysPostTrtmnt": days, "Timepoint": _code(month)}
