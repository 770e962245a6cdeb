"""Product: from CD34+ cells to long-term stem cells, clone by clone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.product import editing, vector
from hsc_pipeline.product.fitness import deregulating, existing_drivers
from hsc_pipeline.product.genome import ONCOGENE, Genome
from hsc_pipeline.product.graft import lt_hsc_frequency, make_graft
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.product.tables import CLONES, DRIVERS, PRODUCTS, SITES
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread, stream

__all__ = ["CLONES", "DRIVERS", "PRODUCTS", "SITES", "make_products"]

VECTORS = ("lentiviral", "gammaretroviral")
EDITS = ("nhej", "hdr", "base_edit", "prime_edit")


@dataclass(frozen=True)
class Cells:
    """What a modification did to the cells of one patient's product.

    Attributes
    ----------
    copies : array of int, shape (LT-HSC,)
        Vector copies, or alleles with the intended edit.
    corrected : array of bool, shape (LT-HSC,)
    function : array of float, shape (LT-HSC,)
        Against a normal cell.
    edit, rearrangement : pyarrow.Array of string, shape (LT-HSC,)
    mean_copies, corrected_fraction, copies_per_corrected, mean_function : float
        Of all cells of the product; the last two of corrected ones.
    """

    copies: np.ndarray
    corrected: np.ndarray
    function: np.ndarray
    edit: pa.Array
    rearrangement: pa.Array
    mean_copies: float
    corrected_fraction: float
    copies_per_corrected: float
    mean_function: float


def make_products(patients: Sequence[Mapping], settings: Settings) -> Iterator[dict[str, pa.Table]]:
    """Draw each patient's product.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    settings : Settings
        Of the stage ``product``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `PRODUCTS`, `CLONES`, `SITES` and `DRIVERS`.
    """
    genome = genome_of(settings)
    measured = Measured(settings)
    k = vector.dispersion(settings) if "product.copies_law" in settings.values else None
    for patient in patients:
        yield make_product(patient, k, genome, measured, settings)


def genome_of(settings: Settings) -> Genome | None:
    """Return where the vector of an arm lands, or None if it has none."""
    if settings["product.modification"] not in VECTORS:
        return None
    rows = settings.rows
    return Genome(rows("chromosomes"), rows("chromosome_genes"), rows("genes"), settings)


def make_product(
    patient: Mapping, k: float | None, genome: Genome | None, measured: Measured, settings: Settings
) -> dict[str, pa.Table]:
    """Draw one patient's product; `k` is the dispersion of vector copies per cell."""
    number, seed = patient["patient"], patient["patient_seed"]
    graft = make_graft(seed, settings)
    frequency = lt_hsc_frequency(seed, patient["donor_age_years"], settings)
    dose = graft.cd34_per_kg * patient["weight_kg"]
    lt_hsc = int(stream(seed, "product.lt_hsc").poisson(dose * frequency))
    cells = _modify(seed, lt_hsc, k, measured, settings)
    own_frequency = lt_hsc_frequency(seed, patient["age_years"], settings)
    backup = graft.backup_cd34_per_kg * patient["weight_kg"] * own_frequency
    drivers = _drivers(patient, settings)
    return {
        "products": PRODUCTS.build(
            {
                "patient": [number],
                "infused": [dose > 0],
                "harvests": [graft.harvests],
                "months_to_infusion": [graft.months_to_infusion],
                "cd34_per_kg": [graft.cd34_per_kg],
                "cd34_cells": [dose],
                "backup_lt_hsc": [int(stream(seed, "product.backup").poisson(backup))],
                "mean_copies": [cells.mean_copies],
                "corrected_fraction": [cells.corrected_fraction],
                "copies_per_corrected": [cells.copies_per_corrected],
                "function": [cells.mean_function],
                "lt_hsc": [len(cells.copies)],
                "lt_hsc_corrected": [int(cells.corrected.sum())],
            }
        ),
        **_clones(patient, cells, drivers[_origin(settings)], genome, measured, settings),
        "drivers": DRIVERS.build(
            {
                "patient": np.full(sum(len(d["share"]) for d in drivers.values()), number),
                "origin": np.repeat(list(drivers), [len(d["share"]) for d in drivers.values()]),
                "driver": np.concatenate([np.arange(len(d["share"])) for d in drivers.values()]),
                **{
                    name: np.concatenate([d[name] for d in drivers.values()])
                    for name in ("share", "advantage_per_year")
                },
            }
        ),
    }


def _clones(
    patient: Mapping,
    cells: Cells,
    drivers: Mapping[str, np.ndarray],
    genome: Genome | None,
    measured: Measured,
    settings: Settings,
) -> dict[str, pa.Table]:
    """Return the clones that need a name, corrected or with a driver, and their insertions."""
    number, seed = patient["patient"], patient["patient_seed"]
    driver = _carried(seed, drivers["share"], len(cells.copies))
    kept = np.flatnonzero(cells.corrected | (driver >= 0))
    n, rows = len(kept), pa.array(kept)
    copies = cells.copies[kept]
    owner = np.repeat(np.arange(n), copies) if genome is not None else np.zeros(0, np.int64)
    sites = measured.draw_sites(seed, len(owner), genome)
    hits, gained = np.zeros(0, bool), np.zeros(0)
    if len(owner):
        oncogene = pc.equal(sites["gene_class"], ONCOGENE).to_numpy(zero_copy_only=False)
        hits, gained = deregulating(seed, oncogene, settings)
    carried = np.append(drivers["advantage_per_year"], 0.0)[driver[kept]]  # the last one: no driver
    return {
        "clones": CLONES.build(
            {
                "patient": np.full(n, number),
                "clone": np.arange(n),
                "corrected": cells.corrected[kept],
                "copies": copies,
                "edit": cells.edit.take(rows),
                "rearrangement": cells.rearrangement.take(rows),
                "function": cells.function[kept],
                "driver": driver[kept],
                "insertional": np.bincount(owner, hits, n) > 0,
                "advantage_per_year": carried + np.bincount(owner, gained, n),
            }
        ),
        "sites": SITES.build(
            {
                "patient": np.full(len(owner), number),
                "clone": owner,
                "site": _within(copies) if len(owner) else owner,
                **sites,
                "deregulates": hits,
            }
        ),
    }


def _modify(seed: int, lt_hsc: int, k: float | None, measured: Measured, settings: Settings) -> Cells:
    kind = settings["product.modification"]
    if kind in VECTORS:
        return _transduce(seed, lt_hsc, k, measured, settings)
    if kind in EDITS:
        return _edit(seed, lt_hsc, measured, settings)
    # A transplant: every cell is what the patient lacks if a donor's, and nothing new if their own.
    healthy = _origin(settings) == "donor" and kind != "none"
    share = float(healthy)
    return Cells(
        copies=np.zeros(lt_hsc, np.int64),
        corrected=np.full(lt_hsc, healthy),
        function=np.full(lt_hsc, share),
        edit=pa.repeat("", lt_hsc),
        rearrangement=pa.repeat("", lt_hsc),
        mean_copies=0.0,
        corrected_fraction=share,
        copies_per_corrected=0.0,
        mean_function=share,
    )


def _transduce(seed: int, lt_hsc: int, k: float, measured: Measured, settings: Settings) -> Cells:
    mean = settings["product.mean_copies"] * spread(
        seed, "product.mean_copies", settings["product.mean_copies_ln_sd"]
    )
    chance = vector.copies_law(mean, k, vector.MOST_COPIES)
    ratio = settings["product.lt_copies_ratio"]
    if measured.copies is not None:
        copies, chance = measured.draw_copies(seed, lt_hsc, ratio), measured.copies
        mean = float(chance @ np.arange(len(chance)))
    else:
        copies = vector.draw_copies(stream(seed, "product.copies"), mean * ratio, k, lt_hsc)
    transduced = float(chance[1:].sum())
    function = float(chance @ vector.function_of(np.arange(len(chance)), settings))
    return Cells(
        copies=copies,
        corrected=copies > 0,
        function=vector.function_of(copies, settings),
        edit=pa.repeat("", lt_hsc),
        rearrangement=pa.repeat("", lt_hsc),
        mean_copies=mean,
        corrected_fraction=transduced,
        copies_per_corrected=mean / transduced if transduced else 0.0,
        mean_function=function / transduced if transduced else 0.0,
    )


def _edit(seed: int, lt_hsc: int, measured: Measured, settings: Settings) -> Cells:
    counted = editing.counted_alleles(settings)
    corrects, function = editing.pair_function(settings)
    bulk = measured.bulk_alleles(settings) or editing.bulk_alleles(seed, settings)
    alleles, survival = editing.long_term_alleles(bulk, settings)
    survivors = int(stream(seed, "product.survival").binomial(lt_hsc, survival))
    pair = editing.draw_pairs(stream(seed, "product.alleles"), alleles, survivors)
    corrected = float(bulk.share @ corrects)
    return Cells(
        copies=counted[pair],
        corrected=corrects[pair],
        function=function[pair],
        edit=pa.array(editing.LABELS).take(pa.array(pair)),
        rearrangement=editing.draw_rearrangements(stream(seed, "product.rearrangements"), pair, settings),
        mean_copies=float(bulk.share @ counted),
        corrected_fraction=corrected,
        copies_per_corrected=float(bulk.share @ (counted * corrects)) / corrected if corrected else 0.0,
        mean_function=float(bulk.share @ function) / corrected if corrected else 0.0,
    )


def _origin(settings: Settings) -> str:
    """Return whose cells the product is made of, as `tables.DRIVERS` names it."""
    return "donor" if settings["product.donor"] == "allogeneic" else "patient"


def _drivers(patient: Mapping, settings: Settings) -> dict[str, dict[str, np.ndarray]]:
    """Return the driver clones of the patient's marrow, and of the donor's if there is one."""
    seed, ages = patient["patient_seed"], {"patient": patient["age_years"]}
    if _origin(settings) == "donor":
        ages = {"donor": patient["donor_age_years"], **ages}
    return {whose: existing_drivers(seed, whose, age, settings) for whose, age in ages.items()}


def _carried(seed: int, share: np.ndarray, cells: int) -> np.ndarray:
    """Draw the driver of each cell, -1 for none; one uniform number a cell."""
    ends = np.cumsum(share)
    found = np.searchsorted(ends, stream(seed, "product.carried").random(cells), side="right")
    return np.where(found < len(share), found, -1)


def _within(copies: np.ndarray) -> np.ndarray:
    """Return the number of each copy within its cell."""
    ends = np.cumsum(copies)
    return np.arange(ends[-1]) - np.repeat(ends - copies, copies)
