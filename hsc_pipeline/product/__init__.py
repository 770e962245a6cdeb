"""Product: from CD34+ cells to long-term stem cells, clone by clone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hsc_pipeline.product import editing, vector
from hsc_pipeline.product.fitness import deregulating, existing_drivers
from hsc_pipeline.product.genome import Genome
from hsc_pipeline.product.graft import lt_hsc_frequency, make_graft
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.product.tables import CLONES, DRIVERS, PRODUCTS, SITES
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread, stream

__all__ = ["CLONES", "DRIVERS", "PRODUCTS", "SITES", "make_products"]

VECTORS = ("lentiviral", "gammaretroviral")
EDITS = ("nhej", "hdr", "base_edit", "prime_edit")
MOST_COPIES = 200  # of a cell's law: above, less than 1e-9 of cells even at 20 copies a cell


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
    edit, rearrangement : array of str, shape (LT-HSC,)
    mean_copies, corrected_fraction, copies_per_corrected, mean_function : float
        Of all cells of the product; the last two of corrected ones.
    """

    copies: np.ndarray
    corrected: np.ndarray
    function: np.ndarray
    edit: np.ndarray
    rearrangement: np.ndarray
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
    names = ("chromosomes", "chromosome_genes", "genes")
    return Genome(*(settings.rows(name) for name in names), settings)


def make_product(
    patient: Mapping, k: float | None, genome: Genome | None, measured: Measured, settings: Settings
) -> dict[str, pa.Table]:
    """Draw one patient's product; `k` is the dispersion of vector copies per cell."""
    number, seed = patient["patient"], patient["patient_seed"]
    graft = make_graft(seed, settings)
    frequency = lt_hsc_frequency(seed, patient["donor_age_years"], settings)
    own_frequency = lt_hsc_frequency(seed, patient["age_years"], settings)
    dose = graft.cd34_per_kg * patient["weight_kg"]
    lt_hsc = int(stream(seed, "product.lt_hsc").poisson(dose * frequency))
    cells = _modify(seed, lt_hsc, k, measured, settings)

    drivers = _drivers(patient, settings)
    whose = drivers["donor" if settings["product.donor"] == "allogeneic" else "patient"]
    driver = _carried(seed, whose["share"], len(cells.copies))
    kept = np.flatnonzero(cells.corrected | (driver >= 0))
    advantage = np.append(whose["advantage_per_year"], 0.0)[driver[kept]]
    owner = (
        np.repeat(np.arange(len(kept)), cells.copies[kept]) if genome is not None else np.zeros(0, np.int64)
    )
    sites = measured.draw_sites(seed, len(owner), genome)
    hits, gained = (
        deregulating(seed, sites["gene_class"], settings) if len(owner) else (np.zeros(0, bool), np.zeros(0))
    )
    n = len(kept)
    return {
        "products": PRODUCTS.build(
            {
                "patient": [number],
                "infused": [dose > 0],
                "harvests": [graft.harvests],
                "months_to_infusion": [graft.months_to_infusion],
                "cd34_per_kg": [graft.cd34_per_kg],
                "cd34_cells": [dose],
                "backup_lt_hsc": [
                    int(
                        stream(seed, "product.backup").poisson(
                            graft.backup_cd34_per_kg * patient["weight_kg"] * own_frequency
                        )
                    )
                ],
                "mean_copies": [cells.mean_copies],
                "corrected_fraction": [cells.corrected_fraction],
                "copies_per_corrected": [cells.copies_per_corrected],
                "function": [cells.mean_function],
                "lt_hsc": [len(cells.copies)],
                "lt_hsc_corrected": [int(cells.corrected.sum())],
            }
        ),
        "clones": CLONES.build(
            {
                "patient": np.full(n, number),
                "clone": np.arange(n),
                "corrected": cells.corrected[kept],
                "copies": cells.copies[kept],
                "edit": cells.edit[kept],
                "rearrangement": cells.rearrangement[kept],
                "function": cells.function[kept],
                "driver": driver[kept],
                "insertional": np.bincount(owner, hits, n) > 0,
                "advantage_per_year": advantage + np.bincount(owner, gained, n),
            }
        ),
        "sites": SITES.build(
            {
                "patient": np.full(len(owner), number),
                "clone": owner,
                "site": _within(owner),
                **sites,
                "deregulates": hits,
            }
        ),
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


def _modify(seed: int, lt_hsc: int, k: float | None, measured: Measured, settings: Settings) -> Cells:
    kind = settings["product.modification"]
    if kind in VECTORS:
        return _transduce(seed, lt_hsc, k, measured, settings)
    if kind in EDITS:
        return _edit(seed, lt_hsc, measured, settings)
    # A transplant: every cell is what the patient lacks if a donor's, and nothing new if their own.
    healthy = settings["product.donor"] == "allogeneic" and kind != "none"
    text, share = np.full(lt_hsc, "", dtype=object), float(healthy)
    return Cells(
        copies=np.zeros(lt_hsc, np.int64),
        corrected=np.full(lt_hsc, healthy),
        function=np.full(lt_hsc, share),
        edit=text,
        rearrangement=text,
        mean_copies=0.0,
        corrected_fraction=share,
        copies_per_corrected=0.0,
        mean_function=share,
    )


def _transduce(seed: int, lt_hsc: int, k: float, measured: Measured, settings: Settings) -> Cells:
    mean = settings["product.mean_copies"] * spread(
        seed, "product.mean_copies", settings["product.mean_copies_ln_sd"]
    )
    rng = stream(seed, "product.copies")
    chance = vector.copies_law(mean, k, MOST_COPIES)
    if measured.copies is not None:
        copies, chance = measured.draw_copies(rng, lt_hsc), measured.copies
    else:
        copies = vector.draw_copies(rng, mean * settings["product.lt_copies_ratio"], k, lt_hsc)
    number = np.arange(len(chance))
    transduced, bulk = float(chance[1:].sum()), float(chance @ number)
    function = float(chance @ vector.function_of(number, settings))
    text = np.full(lt_hsc, "", dtype=object)
    return Cells(
        copies=copies,
        corrected=copies > 0,
        function=vector.function_of(copies, settings),
        edit=text,
        rearrangement=text,
        mean_copies=bulk if measured.copies is not None else mean,
        corrected_fraction=transduced,
        copies_per_corrected=bulk / transduced if transduced else 0.0,
        mean_function=function / transduced if transduced else 0.0,
    )


def _edit(seed: int, lt_hsc: int, measured: Measured, settings: Settings) -> Cells:
    counted = editing.counted_alleles(settings)
    corrects, function = editing.pair_function(settings)
    bulk = measured.bulk_alleles(settings) or editing.bulk_alleles(seed, settings)
    alleles, survival = editing.long_term_alleles(bulk, settings)
    survivors = int(stream(seed, "product.survival").binomial(lt_hsc, survival))
    pair = editing.draw_pairs(stream(seed, "product.alleles"), alleles, survivors)
    names = np.array([editing.label(i) for i in range(len(editing.PAIRS))], dtype=object)
    corrected = float(bulk.share @ corrects)
    return Cells(
        copies=counted[pair],
        corrected=corrects[pair],
        function=function[pair],
        edit=names[pair],
        rearrangement=editing.draw_rearrangements(stream(seed, "product.rearrangements"), pair, settings),
        mean_copies=float(bulk.share @ counted),
        corrected_fraction=corrected,
        copies_per_corrected=float(bulk.share @ (counted * corrects)) / corrected if corrected else 0.0,
        mean_function=float(bulk.share @ function) / corrected if corrected else 0.0,
    )


def _drivers(patient: Mapping, settings: Settings) -> dict[str, dict[str, np.ndarray]]:
    seed = patient["patient_seed"]
    people = {"patient": patient["age_years"]}
    if settings["product.donor"] == "allogeneic":
        people = {"donor": patient["donor_age_years"], **people}
    return {whose: existing_drivers(seed, whose, age, settings) for whose, age in people.items()}


def _carried(seed: int, share: np.ndarray, cells: int) -> np.ndarray:
    """Draw the driver of each cell, -1 for none; one uniform number a cell."""
    ends = np.cumsum(share)
    found = np.searchsorted(ends, stream(seed, "product.carried").random(cells), side="right")
    return np.where(found < len(share), found, -1)


def _within(owner: np.ndarray) -> np.ndarray:
    """Return the number of each row within its owner; rows of one owner stand together."""
    return np.arange(len(owner)) - np.searchsorted(owner, owner)
