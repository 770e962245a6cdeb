"""Peptides of a protein that are new to a patient, and which of them the patient's HLA would show.

Binding is predicted by a matrix method of the library epytope, whose matrices come with it.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.tables import write_csv

METHODS = ("smm", "smmpmbec")
LENGTHS = (8, 9, 10, 11)
BINDS_NM = 500.0  # the field's usual limit of a binder
BINDS_WELL_NM = 50.0
RESIDUES = frozenset("ACDEFGHIKLMNPQRSTVWY")


def new_peptides(protein: str, own: str = "", lengths: Sequence[int] = (9,)) -> list[tuple[int, str]]:
    """Return the peptides of a protein that the patient's own does not have.

    Parameters
    ----------
    protein, own : str
        Amino acids; `own` is empty where the genotype allows no protein.
    lengths : sequence of int

    Returns
    -------
    list of (int, str)
        Position, from 1, and peptide; a peptide that repeats stands at its first position.
    """
    first: dict[str, int] = {}
    for length in lengths:
        known = {own[i : i + length] for i in range(len(own) - length + 1)}
        for i in range(len(protein) - length + 1):
            peptide = protein[i : i + length]
            if peptide not in known:
                first.setdefault(peptide, i + 1)
    return sorted((position, peptide) for peptide, position in first.items())


def score_peptides(
    peptides: Sequence[tuple[int, str]], alleles: Sequence[str], method: str = "smm"
) -> pa.Table:
    """Predict which peptides bind to which HLA.

    Parameters
    ----------
    peptides : sequence of (int, str)
        As of `new_peptides`.
    alleles : sequence of str
        Such as ``HLA-A*02:01``.
    method : str
        One of `METHODS`.

    Returns
    -------
    pyarrow.Table
        A row for each peptide and allele whose matrices have its length: ``position``, ``peptide``,
        ``allele``, ``ic50_nm``, ``binds`` and ``binds_well``, best first.

    Raises
    ------
    UserError
        If the library is missing, or has no such method or allele.
    """
    predictor, known = _predictor(method)
    for allele in alleles:
        if allele not in known:
            raise UserError(f"alleles: {method} has none {allele!r}; {suggest(allele, sorted(known))}")
    found = _predict(predictor, [peptide for _, peptide in peptides], alleles)
    position = {peptide: at for at, peptide in peptides}
    rows = sorted((ic50, position[peptide], peptide, allele) for (peptide, allele), ic50 in found.items())
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return pa.table(
        {
            "position": pa.array(columns[1], pa.int32()),
            "peptide": pa.array(columns[2], pa.string()),
            "allele": pa.array(columns[3], pa.string()),
            "ic50_nm": pa.array(columns[0], pa.float64()),
            "binds": pa.array([ic50 < BINDS_NM for ic50 in columns[0]], pa.bool_()),
            "binds_well": pa.array([ic50 < BINDS_WELL_NM for ic50 in columns[0]], pa.bool_()),
        }
    )


def _predictor(method: str):
    if method not in METHODS:
        raise UserError(f"method: {method!r}; allowed: {', '.join(METHODS)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own imports
            from epytope.EpitopePrediction import EpitopePredictorFactory
    except ImportError:
        raise UserError("epitopes: needs the library epytope; pip install hsc_pipeline[epitopes]") from None
    predictor = EpitopePredictorFactory(method)
    return predictor, {str(allele) for allele in predictor.supportedAlleles if str(allele).startswith("HLA")}


def _predict(predictor, peptides: Sequence[str], alleles: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return IC50 in nM by peptide and allele."""
    from epytope.Core import Allele, Peptide

    if not peptides:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lengths that an allele has no matrix for
        table = predictor.predict(
            [Peptide(p) for p in peptides], alleles=[Allele(allele) for allele in alleles]
        )
    return {
        (str(peptide), allele): float(ic50)
        for allele in alleles
        if allele in {str(name) for name in table.columns.get_level_values(0)}
        for peptide, ic50 in table.xs(allele, axis=1, level=0).iloc[:, 0].dropna().items()
    }


def read_protein(path: str | Path) -> str:
    """Return the one protein of a FASTA file.

    Raises
    ------
    UserError
        If there is no such file, not one protein in it, or a letter that is no amino acid.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    lines = path.read_text(encoding="utf-8").splitlines()
    headers = sum(line.startswith(">") for line in lines)
    if headers > 1:
        raise UserError(f"{path}: holds {headers} proteins; allowed: one")
    protein = "".join(line.strip() for line in lines if not line.startswith(">")).upper().rstrip("*")
    if foreign := set(protein) - RESIDUES:
        raise UserError(
            f"{path}: holds {', '.join(sorted(foreign))}; allowed: the 20 amino acids, one letter each"
        )
    if not protein:
        raise UserError(f"{path}: holds no protein")
    return protein


def write_epitopes(
    protein: str | Path,
    out: str | Path,
    *,
    alleles: Sequence[str],
    own: str | Path | None = None,
    lengths: Sequence[int] = (9,),
    method: str = "smm",
) -> pa.Table:
    """Score the peptides of a protein that are new to a patient, and write them as CSV.

    Parameters
    ----------
    protein : path
        FASTA of the product.
    out : path
        The CSV to write.
    alleles : sequence of str
        Of the patient.
    own : path, optional
        FASTA of what the patient's genotype makes; nothing by default.
    lengths : sequence of int
        Of peptides, some of `LENGTHS`.
    method : str

    Returns
    -------
    pyarrow.Table
        As of `score_peptides`.
    """
    for length in lengths:
        if length not in LENGTHS:
            raise UserError(f"lengths: {length}; allowed: {', '.join(map(str, LENGTHS))}")
    peptides = new_peptides(read_protein(protein), read_protein(own) if own else "", lengths)
    scored = score_peptides(peptides, alleles, method)
    write_csv(out, scored)
    return scored
