"""Alleles of an edited product as CRISPResso2 counts them."""

from collections import Counter

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.product.rows import Rows, read_rows

ALLELES = ("n_deleted", "n_inserted", "n_mutated", "#Reads", "%Reads")
SUMMARY = ("Amplicon", "Reads_aligned", "Unmodified", "Modified", "Discarded", "Only Substitutions")
KINDS_OF_CHANGE = (
    "Only Insertions",
    "Only Deletions",
    "Only Substitutions",
    "Insertions and Deletions",
    "Insertions and Substitutions",
    "Deletions and Substitutions",
    "Insertions Deletions and Substitutions",
)
EDITED_AMPLICON = {"hdr": "HDR", "prime_edit": "Prime-edited", "base_edit": "HDR"}
SCAFFOLD = "Scaffold-incorporated"
AMBIGUOUS = "AMBIGUOUS"
TRANSITIONS = (("A", "G"), ("T", "C"), ("C", "T"), ("G", "A"))  # what base editors make, on either strand
REACH = 10  # bases from the target in which the same change is a bystander edit
TOLERATED = 0.5, 0.1  # per cent, of the sum of all shares and of one: tables are rounded


def read_alleles(path: str, modification: str) -> dict[str, float]:
    """Read the share of alleles by outcome from an allele table or a summary of CRISPResso2.

    Parameters
    ----------
    path : str
        ``Alleles_frequency_table``, whole or around the guide; or ``quantification_of_editing_frequency``
        of a run or a batch.
    modification : str
        Of the arm's product, which says what is intended: any indel where ends are joined, reads
        of the expected amplicon where there is one, else the commonest transition.

    Returns
    -------
    dict of str to float
        ``intended``, ``indel`` and ``bystander``; the rest is unedited.

    Raises
    ------
    UserError
        If the file is neither, does not add up, or does not tell what is intended.
    """
    rows = read_rows(path, f"product_data.alleles: {path}")
    if set(ALLELES) <= set(rows.columns):
        reads, outcome = _of_alleles(rows, modification)
    elif set(SUMMARY) <= set(rows.columns):
        reads, outcome = _of_summary(rows, modification)
    else:
        raise UserError(
            f"{rows.where}: is no table of CRISPResso2; allowed: an allele frequency table, with the columns "
            f"{', '.join(ALLELES)}, or a quantification of editing frequency, with {', '.join(SUMMARY)}"
        )
    total = reads.sum()
    return {name: float(reads[outcome == name].sum() / total) for name in ("intended", "indel", "bystander")}


def _of_alleles(rows: Rows, modification: str) -> tuple[np.ndarray, np.ndarray]:
    """Return reads and outcome of each allele."""
    reads = rows.numbers("#Reads", whole=True)
    _check_shares(rows, reads, rows.numbers("%Reads"))
    places = [i for i, name in enumerate(rows.columns) if name not in ("#Reads", "%Reads")]
    rows.refuse_repeats([tuple(row[i] for i in places) for row in rows.cells], "the same allele")
    indel = (rows.numbers("n_deleted", whole=True) + rows.numbers("n_inserted", whole=True)) > 0
    mutated = rows.numbers("n_mutated", whole=True) > 0
    amplicon = np.array(
        rows.text("Reference_Name") if "Reference_Name" in rows.columns else [""] * len(reads), str
    )
    known = ~np.char.startswith(amplicon, AMBIGUOUS)
    if modification == "base_edit" and not (amplicon == EDITED_AMPLICON["base_edit"]).any():
        outcome = _base_edits(rows, reads, indel, mutated)
    else:
        outcome = _by_amplicon(rows, amplicon, indel, mutated, modification)
    return _some(rows, reads[known]), outcome[known]


def _check_shares(rows: Rows, reads: np.ndarray, percent: np.ndarray) -> None:
    """Refuse alleles whose shares do not add up, or are not those of their reads."""
    whole, single = TOLERATED
    if abs(percent.sum() - 100) > whole:
        raise UserError(f"{rows.where}: %Reads add up to {percent.sum():.4g}; allowed: 100, all alleles once")
    off = np.flatnonzero(np.abs(percent - 100 * reads / max(reads.sum(), 1)) > single)
    if len(off):
        raise UserError(
            f"{rows.where}, line {rows.lines[off[0]]}: %Reads = {percent[off[0]]:.4g} of {reads[off[0]]:.0f} "
            f"in {reads.sum():.0f} reads; allowed: {100 * reads[off[0]] / max(reads.sum(), 1):.4g}"
        )


def _of_summary(rows: Rows, modification: str) -> tuple[np.ndarray, np.ndarray]:
    """Return reads and outcome, of each amplicon three times: intact, substituted and with an indel."""
    if "Batch" in rows.columns and len(names := list(dict.fromkeys(rows.text("Batch")))) > 1:
        raise UserError(
            f"{rows.where}: holds {len(names)} samples ({', '.join(names[:5])}); allowed: one, the product's"
        )
    rows.refuse_repeats(rows.text("Amplicon"), "the same amplicon")
    intact, modified = rows.numbers("Unmodified", whole=True), rows.numbers("Modified", whole=True)
    kinds = [
        rows.numbers(rows.needed([name], "reads by kind of change"), whole=True) for name in KINDS_OF_CHANGE
    ]
    aligned = rows.numbers("Reads_aligned", whole=True) - rows.numbers("Discarded", whole=True)
    _check_sum(rows, intact + modified, aligned, "Unmodified, Modified and Discarded")
    _check_sum(rows, np.sum(kinds, axis=0), modified, "the kinds of change")
    substituted = kinds[KINDS_OF_CHANGE.index("Only Substitutions")]
    reads = np.concatenate([intact, substituted, modified - substituted])
    amplicon = np.tile(np.array(rows.text("Amplicon"), str), 3)
    kind = np.repeat(["intact", "substituted", "indel"], len(intact))
    if modification == "base_edit" and not (amplicon == EDITED_AMPLICON["base_edit"]).any():
        names = {"intact": "unedited", "substituted": "intended", "indel": "indel"}
        return _some(rows, reads), np.array([names[k] for k in kind])
    outcome = _by_amplicon(rows, amplicon, kind == "indel", kind == "substituted", modification)
    return _some(rows, reads), outcome


def _check_sum(rows: Rows, parts: np.ndarray, total: np.ndarray, what: str) -> None:
    for i in np.flatnonzero(parts != total)[:1]:
        raise UserError(
            f"{rows.where}, line {rows.lines[i]}: {what} add up to {parts[i]:.0f} reads; "
            f"allowed: {total[i]:.0f}"
        )


def _by_amplicon(
    rows: Rows, amplicon: np.ndarray, indel: np.ndarray, mutated: np.ndarray, modification: str
) -> np.ndarray:
    """Return outcomes told by the amplicon that a read fits best, and by its indels.

    Substitutions alone are reading errors, except of a base editor.
    """
    if modification == "nhej":
        return np.where(indel, "intended", "unedited")
    edited = EDITED_AMPLICON[modification]
    if edited not in amplicon:
        raise UserError(
            f"{rows.where}: has no reads of the amplicon {edited!r}, so it does not tell the intended edit; "
            f"allowed: the whole allele table or the summary of a run that was given the edited amplicon"
        )
    bystander = mutated & (amplicon != edited) & (modification == "base_edit")
    return np.select(
        [indel | (amplicon == SCAFFOLD), amplicon == edited, bystander],
        ["indel", "intended", "bystander"],
        "unedited",
    )


def _base_edits(rows: Rows, reads: np.ndarray, indel: np.ndarray, mutated: np.ndarray) -> np.ndarray:
    """Return outcomes of a base editor: its target is the transition that most reads have.

    The same change nearby, beside or instead of it, is a bystander edit; other ones are reading errors.
    """
    columns = ("Aligned_Sequence", "Reference_Sequence")
    pairs = list(zip(*(rows.text(rows.needed([name], "sequences")) for name in columns), strict=True))
    for line, (read, reference) in zip(rows.lines, pairs, strict=True):
        if len(read) != len(reference):
            raise UserError(f"{rows.where}, line {line}: {' and '.join(columns)} differ in length")
    changes = [
        _transitions(*pair) if edited else set() for pair, edited in zip(pairs, mutated & ~indel, strict=True)
    ]
    weight: Counter = Counter()
    for found, number in zip(changes, reads, strict=True):
        weight.update(dict.fromkeys(found, number))
    target = max(weight, key=lambda change: (weight[change], change), default=None)
    outcome = np.where(indel, "indel", "unedited").astype("<U9")
    for i, found in enumerate(changes):
        alike = {at for at, *kind in found if kind == list(target[1:]) and abs(at - target[0]) <= REACH}
        if alike:
            outcome[i] = "intended" if alike == {target[0]} else "bystander"
    return outcome


def _transitions(read: str, reference: str) -> set[tuple[int, str, str]]:
    """Return the transitions of an aligned read: place in the reference, base there, base read."""
    places = np.cumsum([base != "-" for base in reference])
    pairs = zip(places.tolist(), reference.upper(), read.upper(), strict=True)
    return {(at, base, found) for at, base, found in pairs if (base, found) in TRANSITIONS}


def _some(rows: Rows, reads: np.ndarray) -> np.ndarray:
    if not reads.sum():
        raise UserError(f"{rows.where}: holds no reads; allowed: a product that was sequenced")
    return reads
