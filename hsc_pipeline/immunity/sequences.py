"""Receptor sequences: a sample of one patient's lymphocytes, as an AIRR Rearrangement table.

Which clonotypes a sample holds, and which stem-cell clone each comes from, follows `repertoire`; what
their receptors look like, and how likely such a recombination is, comes from the library righor.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats.airr import REQUIRED
from hsc_pipeline.formats.files import write_table
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.immunity.repertoire import (
    BRANCH_OF,
    CELLS,
    NAIVE_OF,
    clone_weights,
    draw_progenitors,
    memory_part,
    naive_part,
    progenitors,
    split_pools,
)
from hsc_pipeline.immunity.spectra import Spectrum
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES
from hsc_pipeline.streams import stream
from hsc_pipeline.yaml_files import read_yaml

LOCUS = {"t_cell": "TRB", "b_cell": "IGH"}
NO_CLONE = -1
MOST_CELLS = 1_000_000  # of a sample
RARE = 1000.0  # expected clonotypes of a size below which their number is drawn
# What a sample reads of a study that has run, by stage.
READS = {
    "plan": ("patients",),
    "product": ("products", "clones"),
    "engraftment": ("marrow", "clone_sizes"),
    "blood": ("counts",),
}
# Beyond those that every table has; the last four are this project's own.
COLUMNS = (
    *REQUIRED,
    "locus",
    "clone_id",
    "duplicate_count",
    "repertoire_id",
    "pgen",
    "subset",
    "origin",
    "hsc_clone",
)


def draw_sample(
    patient: Mapping,
    tables: Mapping[str, pa.Table],
    cell: str,
    month: float,
    cells: int,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Draw the clonotypes of a sequenced sample.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        As of `repertoire.repertoire_patient`.
    cell : str
        One of `repertoire.CELLS`.
    month : float
        A visit.
    cells : int
        Of the sample.
    settings : Settings
        Of the stage ``immunity``.

    Returns
    -------
    dict of str to array, shape (clonotypes,)
        ``cells`` in the sample; ``subset``, naive or memory; ``origin``, corrected or other;
        ``hsc_clone``, the stem-cell clone of the product, -1 where there is none.
    """
    branch, counts = BRANCH_OF[cell], by_lineage(tables["counts"])
    months = counts[cell]["month"]
    visit = int(np.searchsorted(months, month))
    age, seed = float(counts[cell]["age_years"][visit]), patient["patient_seed"]
    own, other, settled = (part[visit] for part in progenitors(patient, tables, branch, months, settings))
    pools = split_pools(cell, counts, visit, patient["weight_kg"], settings)
    founders = (own + settled, other)
    parts = [
        (subset, origin, spectrum)
        for origin in (0, 1)
        for subset, spectrum in (
            ("naive", naive_part(cell, pools["naive"][origin], founders[origin], age, settings)),
            ("memory", memory_part(cell, pools["memory"][origin], age, settings)),
        )
    ]
    rng = stream(seed, f"immunity.sample.{cell}.{month:g}")
    drawn = draw_cells(rng, [spectrum for _, _, spectrum in parts], cells)
    sizes = np.concatenate(drawn)
    of_part = np.repeat(np.arange(len(parts)), [len(part) for part in drawn])
    corrected = np.array([origin == 0 for _, origin, _ in parts])[of_part]
    stem = corrected & (rng.random(len(sizes)) < counts[NAIVE_OF[cell]]["stem_cell_share"][visit])
    clone, weight = clone_weights(patient, tables, branch, months[visit : visit + 1], settings)[0]
    hsc = np.full(len(sizes), NO_CLONE)
    if len(clone) and stem.any():
        gave = draw_progenitors(seed, branch, weight, own)
        hsc[stem] = rng.choice(clone, size=int(stem.sum()), p=gave / gave.sum())
    return {
        "cells": sizes,
        "subset": np.array([subset for subset, _, _ in parts])[of_part],
        "origin": np.where(corrected, "corrected", "other"),
        "hsc_clone": hsc,
    }


def draw_cells(rng: np.random.Generator, spectra: Sequence[Spectrum], cells: int) -> list[np.ndarray]:
    """Draw how many cells of a sample each clonotype has, by pool; those without any are left out.

    Large clonotypes are few, so that their number is drawn (Poisson) before the sample is.
    """
    number = [
        np.where(s.number < RARE, rng.poisson(np.minimum(s.number, RARE)), np.round(s.number))
        for s in spectra
    ]
    mass = np.concatenate([n * s.sizes for n, s in zip(number, spectra, strict=True)])
    if mass.sum() == 0:
        return [np.zeros(0, np.int64) for _ in spectra]
    by_class = rng.multinomial(cells, mass / mass.sum())
    found, at = [], 0
    for clonotypes in number:
        own = [
            np.unique(rng.integers(0, int(n), size=k), return_counts=True)[1]
            for n, k in zip(clonotypes, by_class[at : at + len(clonotypes)], strict=True)
            if k
        ]
        found.append(np.concatenate(own) if own else np.zeros(0, np.int64))
        at += len(clonotypes)
    return found


class Recombination:
    """A model of V(D)J recombination: draws receptors and says how likely they are.

    Parameters
    ----------
    locus : str
        ``TRB`` or ``IGH``.

    Raises
    ------
    UserError
        If the library righor is not installed.
    """

    def __init__(self, locus: str):
        try:
            import righor
        except ImportError:
            raise UserError(
                "repertoire: needs the library righor; pip install hsc_pipeline[repertoire]"
            ) from None
        self._library = righor
        self._model = righor.load_model("human", locus.lower())
        self._model.error = righor.ErrorParameters.constant_error(0.0)  # a recombination, not a read of it
        self._genes = list(self._model.v_segments), list(self._model.j_segments)

    def draw(self, seed: int, number: int) -> list[dict[str, str]]:
        """Draw productive receptors: sequence, junction and genes by AIRR name."""
        generator = self._model.generator(seed=seed)
        genes_d = self._model.d_segments
        made = []
        for _ in range(number):
            result = generator.generate_without_errors(functional=True)
            made.append(
                {
                    "sequence": result.full_seq,
                    "v_call": result.v_gene,
                    "d_call": genes_d[result.recombination_event.d_index].name,
                    "j_call": result.j_gene,
                    "junction": result.junction_nt,
                    "junction_aa": result.junction_aa,
                }
            )
        return made

    def probability(self, junction: str) -> float:
        """Return the chance that a recombination gives this junction, in nucleotides, over all genes."""
        return self._model.pgen((self._library.NT(junction), *self._genes)).likelihood

    def amino_acid_probability(self, junction_aa: str) -> float:
        """Return the same of a junction in amino acids."""
        return self._model.pgen((self._library.AA(junction_aa), *self._genes)).likelihood


def rearrangements(
    sample: Mapping[str, np.ndarray], locus: str, name: str, seed: int, *, probabilities: bool = True
) -> pa.Table:
    """Return a sample as an AIRR Rearrangement table.

    Parameters
    ----------
    sample : mapping of str to array
        As of `draw_sample`.
    locus : str
        One of `LOCUS`.
    name : str
        Of the repertoire.
    seed : int
        Of the sequences.
    probabilities : bool
        Whether to add the generation probability, some hundredths of a second each.
    """
    model = Recombination(locus)
    drawn = model.draw(seed, len(sample["cells"]))
    order = np.argsort(-sample["cells"], kind="stable")
    rows = []
    for number, at in enumerate(order, start=1):
        receptor = drawn[number - 1]
        clone = int(sample["hsc_clone"][at])
        rows.append(
            dict.fromkeys(COLUMNS, "")
            | receptor
            | {
                "sequence_id": f"{name}_{number}",
                "rev_comp": "F",
                "productive": "T",
                "locus": locus,
                "clone_id": str(number),
                "duplicate_count": str(sample["cells"][at]),
                "repertoire_id": name,
                "pgen": f"{model.probability(receptor['junction']):.6g}" if probabilities else "",
                "subset": str(sample["subset"][at]),
                "origin": str(sample["origin"][at]),
                "hsc_clone": "" if clone == NO_CLONE else str(clone),
            }
        )
    return pa.table({column: pa.array([row[column] for row in rows], pa.string()) for column in COLUMNS})


def write_repertoire(
    study: str | Path,
    out: str | Path,
    *,
    arm: str,
    patient: int,
    cell: str = "cd4_t",
    month: float | None = None,
    cells: int = 1000,
    probabilities: bool = True,
) -> int:
    """Write a sequenced sample of one patient of a study that has run.

    Parameters
    ----------
    study : path
        ``results/<study>``.
    out : path
        The TSV to write.
    arm : str
    patient : int
    cell : str
        One of `repertoire.CELLS`.
    month : float, optional
        A visit; the last one by default.
    cells : int
        Of the sample.
    probabilities : bool
        Whether to add generation probabilities.

    Returns
    -------
    int
        Clonotypes in the sample.

    Raises
    ------
    UserError
        If the study has no such arm, patient or visit, or the patient no such cell then.
    """
    study = Path(study)
    if cell not in CELLS:
        raise UserError(f"cell: {cell!r}; {suggest(cell, list(CELLS))}")
    if not 1 <= cells <= MOST_CELLS:
        raise UserError(f"cells: {cells}; allowed: 1 to {MOST_CELLS}")
    row, tables, settings = read_patient(study, arm, patient)
    months = by_lineage(tables["counts"])[cell]["month"]
    month = float(months[-1]) if month is None else month
    if month not in months:
        raise UserError(f"month: {month:g}; allowed: {', '.join(f'{m:g}' for m in months)}")
    sample = draw_sample(row, tables, cell, month, cells, settings)
    if not len(sample["cells"]):
        raise UserError(f"{study}: patient {patient} of arm {arm!r} has no {cell} in month {month:g}")
    seed = int(stream(row["patient_seed"], f"immunity.sequences.{cell}").integers(2**32))
    name = f"{arm}_{patient}_{cell}_{month:g}"
    table = rearrangements(sample, LOCUS[BRANCH_OF[cell]], name, seed, probabilities=probabilities)
    write_table(Path(out), table)
    return table.num_rows


def read_patient(study: Path, arm: str, patient: int) -> tuple[dict, dict[str, pa.Table], Settings]:
    """Read one patient of a study that has run: row of the plan, tables and settings."""
    known = sorted(path.parent.name for path in study.glob("blood/*/counts.parquet"))
    if not known:
        raise UserError(f"{study}: no study that has run; its blood/<arm>/counts.parquet is not there")
    if arm not in known:
        raise UserError(f"{study}: no arm {arm!r}; {suggest(arm, known)}")
    mine = pc.field("patient") == patient
    tables = {
        name: pq.read_table(study / stage / arm / f"{name}.parquet", filters=mine)
        for stage, names in READS.items()
        for name in names
    }
    rows = tables["patients"].to_pylist()
    if not rows:
        raise UserError(f"{study}: arm {arm!r} has no patient {patient}")
    return rows[0], tables, settings_of(study, arm)


def settings_of(study: Path, arm: str) -> Settings:
    """Return what the stage ``immunity`` could read in an arm, from the study's ``study.yaml``."""
    from hsc_pipeline.catalogue import tables

    content = read_yaml(study / "study.yaml")
    own = next(entry["values"] for entry in content["arms"] if entry["name"] == arm)
    reads = STAGES["immunity"]
    values = {
        name: value["value"]
        for name, value in {**content["values"], **own}.items()
        if name.startswith(reads.values)
    }
    if "repertoire.sample_cells" not in values:
        raise UserError(f"{study}: ran under an earlier version, without repertoires; run it again")
    return Settings(values, {name: tables()[name]["rows"] for name in reads.tables})
