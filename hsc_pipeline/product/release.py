"""Reading a product's release data named in a study file; checked before any job."""

import csv
import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hsc_pipeline.catalogue import tables
from hsc_pipeline.errors import UserError
from hsc_pipeline.limits import bounded_lines, exists
from hsc_pipeline.product.crispresso import read_alleles
from hsc_pipeline.product.rows import EMPTY, Rows, limited, open_text, read_rows
from hsc_pipeline.product.vector import MOST_COPIES

MOST_SITES = 50_000  # they travel with every job of the arm
GENE_CLASSES = ("oncogene", "hot_spot", "")
VECTOR_DATA, EDIT_DATA = ("colonies", "sites"), ("alleles",)
CHROMOSOME = ("chromosome", "chr", "seqnames")
POSITION = ("position", "integration_locus", "start")
# Sonic fragments before reads, where a table has both: reads count the amplification.
ABUNDANCE = (
    "fragmentEstimate",
    "fragmentEstimate_sum",
    "estAbund",
    "sonicLengths",
    "abundance",
    "weight",
    "seqCount",
    "seqCount_sum",
    "reads",
    "Value",
)


def read_release(files: Mapping[str, str], modification: str) -> dict:
    """Read release data as `measured.Measured` takes it.

    Parameters
    ----------
    files : mapping of str to str
        ``colonies``, ``alleles`` or ``sites``: paths.
    modification : str
        Of the arm's product.

    Raises
    ------
    UserError
        If a file does not fit the product or cannot be read.
    """
    fits = {"lentiviral": VECTOR_DATA, "gammaretroviral": VECTOR_DATA, "unmodified": (), "none": ()}
    found: dict = {}
    for kind, path in files.items():
        if kind not in fits.get(modification, EDIT_DATA):
            raise UserError(f"product_data.{kind}: a {modification} product has no {kind} to measure")
        if not (exists(path) and Path(path).is_file()):
            raise UserError(f"product_data.{kind}: {path[:200]}: there is no such file")
        if kind == "colonies":
            found["copies"] = read_colonies(path)
        elif kind == "alleles":
            found["alleles"] = read_alleles(path, modification)
        else:
            found["sites"] = read_sites(path, dict(tables()["chromosomes"]["rows"]))
    return found


def read_colonies(path: str) -> list[list[int]]:
    """Read vector copies of single colonies: a row each, or a row for so many colonies.

    Copies measured by droplets are no whole numbers; the nearest is taken.

    Returns
    -------
    list of [copies, colonies]

    Raises
    ------
    UserError
        Naming the file and, where there is one, the line.
    """
    rows = read_rows(path, f"product_data.colonies: {path}")
    if (name := rows.first_of(("colony", "colony_id"))) is not None:
        rows.refuse_repeats(rows.text(name), "this colony")
    column = rows.needed(("copies", "vcn", "vcn_by_vis"), "copies")
    copies = np.floor(rows.numbers(column) + 0.5).astype(np.int64)
    if copies.max() > MOST_COPIES:
        line = rows.lines[int(copies.argmax())]
        raise UserError(
            f"{rows.where}, line {line}: {column} = {copies.max()}; allowed: at most {MOST_COPIES}"
        )
    counted = rows.first_of(("colonies", "n_colonies"))
    colonies = rows.numbers(counted, whole=True) if counted else np.ones(len(copies))
    number = np.bincount(copies, colonies)
    if not number.sum():
        raise UserError(f"{rows.where}: holds no colony; allowed: one or more")
    return [[int(c), int(number[c])] for c in np.flatnonzero(number)]


def read_sites(path: str, chromosomes: Mapping[str, int]) -> list[list]:
    """Read a product's integration sites, as ISAnalytics, gt23, INSPIIRED or AAVengeR write them.

    Returns
    -------
    list of [chromosome, position, strand, gene, weight]
        The weight is the site's abundance, summed over its rows and samples, or 1 each.

    Raises
    ------
    UserError
        Naming the file and, where there is one, the line.
    """
    rows = read_rows(path, f"product_data.sites: {path}")
    _check_assembly(rows)
    places = _places(rows)
    gene = rows.first_of(("gene", "GeneName", "nearestFeature", "nearestGene"))
    # Of a site in several genes, the first.
    genes = [name.split(",")[0] for name in rows.text(gene)] if gene else [""] * len(places)
    found: dict[tuple, list] = {}
    for line, place, name, weight in zip(rows.lines, places, genes, _abundance(rows), strict=True):
        chromosome, position, strand = place
        if not (1 <= position <= chromosomes.get(chromosome, 0) and strand in ("+", "-")):
            raise UserError(
                f"{rows.where}, line {line}: {chromosome}:{position}, strand {strand!r}; "
                "allowed: places on chromosomes 1 to 22, X or Y of GRCh38, strand + or -"
            )
        if weight > 0:
            found.setdefault(place, [*place, "" if name in EMPTY else name, 0.0])[-1] += float(weight)
    if not found:
        raise UserError(f"{rows.where}: holds no site; allowed: one or more")
    if len(found) > MOST_SITES:
        raise UserError(f"{rows.where}: holds {len(found):,} sites; allowed: at most {MOST_SITES:,}")
    return list(found.values())


def _check_assembly(rows: Rows) -> None:
    column = rows.first_of(("refGenome",))
    for line, name in zip(rows.lines, rows.text(column), strict=True) if column else ():
        if name.lower() not in ("hg38", "grch38"):
            raise UserError(f"{rows.where}, line {line}: {column} = {name!r}; allowed: hg38, GRCh38")


def _places(rows: Rows) -> list[tuple[str, int, str]]:
    """Return chromosome, position and strand of each row, from three columns or from one."""
    if (name := rows.first_of(("posid",))) and not rows.first_of(CHROMOSOME):
        return [_posid(rows, line, text) for line, text in zip(rows.lines, rows.text(name), strict=True)]
    chromosome = [text.removeprefix("chr") for text in rows.text(rows.needed(CHROMOSOME, "chromosomes"))]
    position = rows.numbers(rows.needed(POSITION, "positions"), whole=True).astype(np.int64).tolist()
    return list(zip(chromosome, position, rows.text(rows.needed(("strand",), "strands")), strict=True))


def _posid(rows: Rows, line: int, text: str) -> tuple[str, int, str]:
    found = re.fullmatch(r"(?:chr)?(\w+?)([+-])(\d{1,12})(?:\.\d+)?", text)
    if found is None:
        raise UserError(f"{rows.where}, line {line}: posid = {text!r}; allowed: such as chr10-103758677")
    chromosome, strand, position = found.groups()
    return chromosome, int(position), strand


def _abundance(rows: Rows) -> np.ndarray:
    """Return the abundance of each row: a column of it, a matrix' samples together, or 1."""
    if (column := rows.first_of(ABUNDANCE)) is not None:
        return rows.numbers(column, empty=0.0)
    if rows.first_of(("integration_locus",)) is None:
        return np.ones(len(rows.lines))
    about = {"chr", "integration_locus", "strand", "genename", "genestrand", "is_genomicid"}
    samples = [column for column in rows.columns if column.lower() not in about]
    if not samples:
        return np.ones(len(rows.lines))
    return np.sum([rows.numbers(column, empty=0.0) for column in samples], axis=0)


def read_gene_table(path: str, chromosomes: Mapping[str, int]) -> list[list]:
    """Read a user's gene table: gene, class, frequency, chromosome, start, end.

    Raises
    ------
    UserError
        Naming the file and the line.
    """
    names = ["gene", "class", "frequency", "chromosome", "start", "end"]
    where = f"gene_table: {path}"
    try:
        with ExitStack() as opened:
            rows = list(limited(csv.DictReader(bounded_lines(open_text(path, opened)))))
    except (OSError, EOFError, ValueError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{where}: cannot be read: {error}") from None
    if not rows or list(rows[0]) != names:
        raise UserError(f"{where}: its columns must be {', '.join(names)}, with a row or more")
    found = {}
    for line, row in enumerate(rows, 2):
        gene = row["gene"]
        try:
            if gene in found:
                raise ValueError(f"{gene} stands twice; each gene may stand once")
            found[gene] = _gene(row, chromosomes)
        except ValueError as error:
            raise UserError(f"{where}, line {line}: {error}") from None
    if sum(row[2] for row in found.values()) > 1:
        raise UserError(f"{where}: frequencies add up to more than 1")
    return list(found.values())


def _gene(row: Mapping[str, str], chromosomes: Mapping[str, int]) -> list:
    """Return one gene of a user's table, or raise a ValueError that says what is wrong."""
    if not row["gene"]:
        raise ValueError("the gene has no name")
    if row["class"] not in GENE_CLASSES:
        raise ValueError(f"class {row['class']!r}; allowed: {', '.join(GENE_CLASSES[:-1])}, or empty")
    try:
        frequency, start, end = float(row["frequency"]), int(row["start"]), int(row["end"])
    except (TypeError, ValueError):
        raise ValueError("frequency, start and end must be numbers") from None
    length = chromosomes.get(row["chromosome"], 0)
    if not (0 <= frequency <= 1 and 1 <= start <= end <= length):
        raise ValueError(
            "allowed: a frequency from 0 to 1 and places on chromosomes 1 to 22, X or Y of GRCh38"
        )
    return [row["gene"], row["class"], frequency, row["chromosome"], start, end]
