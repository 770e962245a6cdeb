"""Reading a product's release data named in a study file; checked before any job."""

from collections.abc import Mapping
from pathlib import Path

from hsc_pipeline.errors import UserError

MOST_SITES = 50_000  # they travel with every job of the arm
GENE_CLASSES = ("oncogene", "hot_spot", "")


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
    readers = {"colonies": _colonies, "alleles": _alleles, "sites": _sites}
    fits = ("colonies", "sites") if modification in ("lentiviral", "gammaretroviral") else ("alleles",)
    found: dict = {}
    for kind, path in files.items():
        if kind not in fits or modification in ("unmodified", "none"):
            raise UserError(f"product_data.{kind}: a {modification} product has no {kind} to measure")
        if not Path(path).is_file():
            raise UserError(f"product_data.{kind}: {path}: there is no such file")
        found |= readers[kind](path, modification)
    return found


def _colonies(path: str, modification: str) -> dict:
    from collections import Counter

    from hsc_pipeline.formats import read

    copies = Counter(read(path, "colonies")["copies"].to_pylist())
    return {"copies": [[int(c), n] for c, n in sorted(copies.items())]}


def _alleles(path: str, modification: str) -> dict:
    raise NotImplementedError


def _sites(path: str, modification: str) -> dict:
    raise NotImplementedError


def read_gene_table(path: str, chromosomes: Mapping[str, int]) -> list[list]:
    """Read a user's gene table: gene, class, frequency, chromosome, start, end.

    Raises
    ------
    UserError
        Naming the file and the line.
    """
    import csv

    names = ["gene", "class", "frequency", "chromosome", "start", "end"]
    where = f"gene_table: {path}"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
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
