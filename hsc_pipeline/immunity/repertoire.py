"""Repertoire: T- and B-cell clonotypes of a patient, and the stem-cell clones that they come from.

Naive clonotypes pass a bottleneck, the progenitors that settle in the thymus or commit in the
marrow, and expand in the periphery; memory clonotypes are few and large.  `spectra` holds the laws.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.clones import clone_outputs
from hsc_pipeline.blood.lineages import BRANCHES, T_CELLS, ratio
from hsc_pipeline.engraftment.thymus import settle_in_thymus
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.immunity.reconstitution import uncorrected_function
from hsc_pipeline.immunity.spectra import Spectrum, distinct_share, memory_spectrum, naive_spectrum
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table

CELLS = (*T_CELLS, "b_cell")
NAIVE_OF = {**{cell: pools[0] for cell, pools in T_CELLS.items()}, "b_cell": "b_cell"}
BRANCH_OF = {"cd4_t": "t_cell", "cd8_t": "t_cell", "b_cell": "b_cell"}
UL_PER_ML = 1000
MOST_IN_ONE = 0.9  # of memory cells, in the largest clonotype

Pools = dict[str, tuple[float, float]]  # naive and memory cells of the body: corrected, others

_COUNT: dict[str, Any] = {"unit": "clonotypes", "least": 0}
_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

REPERTOIRE = Table(
    "repertoire",
    ("patient", "month", "cell"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "cell": Column(pa.string(), "", "cd4_t, cd8_t or b_cell"),
        "clonotypes": Column(pa.float64(), meaning="expected in the whole body", **_COUNT),
        "corrected_clonotypes": Column(pa.float64(), meaning="of them, in corrected cells", **_COUNT),
        "functional_clonotypes": Column(
            pa.float64(), meaning="uncorrected ones weighted by their function", **_COUNT
        ),
        "normal_clonotypes": Column(pa.float64(), meaning="of a median person of this age", **_COUNT),
        "progenitors": Column(
            pa.float64(), "cells", "corrected progenitors of thymus or marrow that they descend from", 0
        ),
        "hsc_clones": Column(
            pa.float64(), "clones", "corrected stem-cell clones that these progenitors come from, expected", 0
        ),
        "evenness": Column(pa.float64(), meaning="Pielou's, over all clonotypes of the cell type", **_SHARE),
        "top_clonotype_share": Column(pa.float64(), meaning="share of the largest, median", **_SHARE),
        "sampled_clonotypes": Column(
            pa.float64(), meaning="expected in a sequenced sample of repertoire.sample_cells", **_COUNT
        ),
        "normal_sampled_clonotypes": Column(
            pa.float64(), meaning="the same of a median person of this age", **_COUNT
        ),
        "score": Column(
            pa.float64(), "points", "functional clonotypes for age, on a scale of logarithms", 0, 100
        ),
    },
)

CLONE_CLONOTYPES = Table(
    "clone_clonotypes",
    ("patient", "branch", "clone"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "the last visit", 0),
        "branch": Column(pa.string(), "", "t_cell or b_cell"),
        "clone": Column(pa.int32(), "", "clone of the product, a corrected stem cell's", 0),
        "progenitors": Column(pa.int64(), "cells", "progenitors of thymus or marrow that it gave", 1),
        "clonotypes": Column(
            pa.float64(), meaning="expected naive clonotypes that descend from it", **_COUNT
        ),
    },
)


def repertoire_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `REPERTOIRE` at every visit and `CLONE_CLONOTYPES` at the last.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``products``, ``clones``, ``marrow``, ``clone_sizes`` and ``counts``.
    settings : Settings
        Of the stage ``immunity``.
    """
    norms = Norms(settings.rows("cell_norms"))
    counts = by_lineage(tables["counts"])
    months, ages = (next(iter(counts.values()))[name] for name in ("month", "age_years"))
    weights = {
        branch: clone_weights(patient, tables, branch, months, settings) for branch in ("t_cell", "b_cell")
    }
    founders = {branch: progenitors(patient, tables, branch, months, settings) for branch in weights}
    rows = []
    for cell in CELLS:
        branch = BRANCH_OF[cell]
        for visit, (month, age) in enumerate(zip(months, ages, strict=True)):
            own, other, thymic = (part[visit] for part in founders[branch])
            pools = split_pools(cell, counts, visit, patient["weight_kg"], settings)
            rows.append(
                {
                    "patient": patient["patient"],
                    "month": month,
                    "cell": cell,
                    "progenitors": own + thymic,
                    "hsc_clones": distinct_in_draws(weights[branch][visit], own),
                    **against_normal(
                        cell, pools, (own + thymic, other), float(age), patient, norms, settings
                    ),
                }
            )
    return {
        "repertoire": REPERTOIRE.build({name: [row[name] for row in rows] for name in REPERTOIRE.columns}),
        "clone_clonotypes": link(patient, months, weights, founders, counts, float(ages[-1]), settings),
    }


def against_normal(
    cell: str,
    pools: Pools,
    founders: tuple[float, float],
    age: float,
    patient: Mapping,
    norms: Norms,
    settings: Settings,
) -> dict[str, float]:
    """Return the columns of `REPERTOIRE` of one visit that compare it with a median person of that age."""
    function = uncorrected_function(cell, patient["null_genotype"], settings)
    normal = normal_pools(cell, age, patient["weight_kg"], norms, settings)
    whole = settings[f"repertoire.{BRANCH_OF[cell]}.progenitors"]
    measured = measure(cell, pools, founders, age, settings)
    healthy = measure(cell, normal, (0.0, whole), age, settings)
    corrected, others = measured["corrected_clonotypes"], measured.pop("other_clonotypes")
    return {
        **measured,
        "functional_clonotypes": corrected + function * others,
        "normal_clonotypes": healthy["clonotypes"],
        "normal_sampled_clonotypes": healthy["sampled_clonotypes"],
        "score": richness_score(corrected, others, function, healthy["clonotypes"], settings),
    }


def body_cells(per_ul: float, weight_kg: float, settings: Settings) -> float:
    """Return lymphocytes of the whole body from those in a microlitre of blood."""
    blood = weight_kg * settings["repertoire.blood_ml_per_kg"] * UL_PER_ML
    return per_ul * blood / settings["repertoire.blood_share"]


def split_pools(
    cell: str, counts: Mapping[str, Mapping], visit: int, weight_kg: float, settings: Settings
) -> Pools:
    """Return a patient's naive and memory cells at a visit."""

    def cells(lineage: str, share: float = 1.0) -> tuple[float, float]:
        row = counts[lineage]
        whole = body_cells(share * row["count_per_ul"][visit], weight_kg, settings)
        corrected = min(body_cells(share * row["corrected_per_ul"][visit], weight_kg, settings), whole)
        return corrected, whole - corrected

    if cell in T_CELLS:
        naive, memory = T_CELLS[cell]
        return {"naive": cells(naive), "memory": cells(memory)}
    share = settings["repertoire.b_cell.naive_share"]
    return {"naive": cells(cell, share), "memory": cells(cell, 1 - share)}


def normal_pools(cell: str, age: float, weight_kg: float, norms: Norms, settings: Settings) -> Pools:
    """Return the naive and memory cells of a median person of this age and weight, none corrected."""
    whole = body_cells(float(norms.median(cell, age)), weight_kg, settings)
    share = settings["repertoire.b_cell.naive_share"]
    if cell in T_CELLS:
        naive, memory = (float(norms.median(pool, age)) for pool in T_CELLS[cell])
        share = naive / (naive + memory)
    return {"naive": (0.0, share * whole), "memory": (0.0, (1 - share) * whole)}


def new_share(cell: str, age: float, settings: Settings) -> float:
    """Return the share of naive cells made by thymus or marrow, the rest by division in the periphery."""
    if cell not in T_CELLS:
        return settings["repertoire.b_cell.marrow_share"]
    return settings["repertoire.t_cell.thymic_share_at_birth"] * float(
        np.exp(-age / settings["blood.thymic_age_years"])
    )


def measure(
    cell: str, pools: Pools, founders: tuple[float, float], age: float, settings: Settings
) -> dict[str, float]:
    """Return the measures of a repertoire.

    Parameters
    ----------
    cell : str
        One of `CELLS`.
    pools : Pools
    founders : tuple of float
        Corrected and other progenitors.
    age : float
    settings : Settings
    """
    corrected, others = (spectrum(cell, pools, origin, founders[origin], age, settings) for origin in (0, 1))
    both = corrected + others
    return {
        "clonotypes": both.clonotypes,
        "corrected_clonotypes": corrected.clonotypes,
        "other_clonotypes": others.clonotypes,
        "evenness": both.evenness(),
        "top_clonotype_share": both.top_share(),
        "sampled_clonotypes": both.sampled(settings["repertoire.sample_cells"]),
    }


def spectrum(
    cell: str, pools: Pools, origin: int, founders: float, age: float, settings: Settings
) -> Spectrum:
    """Return the spectrum of corrected (0) or other (1) cells, naive and memory ones together."""
    naive, memory = (pools[subset][origin] for subset in ("naive", "memory"))
    return naive_part(cell, naive, founders, age, settings) + memory_part(cell, memory, age, settings)


def naive_part(cell: str, cells: float, founders: float, age: float, settings: Settings) -> Spectrum:
    """Return the spectrum of so many naive cells of so many progenitors."""
    clonotypes = naive_clonotypes(cell, cells, founders, age, settings)
    return naive_spectrum(cells, clonotypes, int(settings[f"repertoire.{BRANCH_OF[cell]}.burst"]))


def memory_part(cell: str, cells: float, age: float, settings: Settings) -> Spectrum:
    """Return the spectrum of so many memory cells; the largest clonotype grows with age."""
    return memory_spectrum(
        cells,
        settings[f"repertoire.{cell}.memory_exponent"],
        settings[f"repertoire.{cell}.memory_smallest"],
        min(settings[f"repertoire.{cell}.largest_share_per_year"] * age, MOST_IN_ONE),
    )


def naive_clonotypes(cell: str, cells: float, founders: float, age: float, settings: Settings) -> float:
    """Return expected naive clonotypes: S (1 - exp(-cap/S)), S of a steady pool, cap of the bottleneck."""
    branch = BRANCH_OF[cell]
    steady = cells * distinct_share(
        new_share(cell, age, settings), int(settings[f"repertoire.{branch}.burst"])
    )
    cap = founders * settings[f"repertoire.{branch}.clonotypes_per_progenitor"]
    return float(steady * -np.expm1(-cap / steady)) if steady > 0 else 0.0


def clone_weights(
    patient: Mapping, tables: Mapping[str, pa.Table], branch: str, months: np.ndarray, settings: Settings
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return live corrected clones and their shares of a branch's progenitors, at each visit."""
    clones, sizes = tables["clones"], tables["clone_sizes"]
    numbers = clones.column("clone").to_numpy()
    corrected = clones.column("corrected").to_numpy(zero_copy_only=False).astype(bool)
    output = clone_outputs(patient["patient_seed"], len(numbers), settings)[list(BRANCHES).index(branch)]
    when, clone, cells = (sizes.column(name).to_numpy() for name in ("month", "clone", "cells"))
    found = []
    for month in months:
        here = (when == month) & corrected[clone]
        weight = output[clone[here]] * cells[here]
        found.append((clone[here], weight / weight.sum() if len(weight) else weight))
    return found


def progenitors(
    patient: Mapping, tables: Mapping[str, pa.Table], branch: str, months: np.ndarray, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return progenitors of a branch at each visit: of corrected stem cells, of others, settled early.

    Those that settled in an empty thymus at infusion descend from no stem cell that is alive.
    """
    marrow = {
        name: tables["marrow"].column(name).to_numpy()
        for name in ("month", "host", "uncorrected", "corrected")
    }
    at = np.searchsorted(marrow["month"], months)
    own = marrow["corrected"][at].astype(float)
    share = ratio(own, own + marrow["host"][at] + marrow["uncorrected"][at])
    number = settings[f"repertoire.{branch}.progenitors"]
    settled = 0
    if branch == "t_cell":
        settled = settle_in_thymus(patient, tables["products"].to_pylist()[0], settings)
    return number * share, number * (1 - share), np.full(len(months), float(settled))


def distinct_in_draws(weights: tuple[np.ndarray, np.ndarray], draws: float) -> float:
    """Return the clones expected among `draws` progenitors: sum of 1 - (1 - w_i)^draws."""
    with np.errstate(divide="ignore"):
        missed = np.exp(draws * np.log1p(-np.minimum(weights[1], 1)))
    return float((1 - missed).sum())


def link(
    patient: Mapping,
    months: np.ndarray,
    weights: Mapping[str, list],
    founders: Mapping[str, tuple],
    counts: Mapping[str, Mapping],
    age: float,
    settings: Settings,
) -> pa.Table:
    """Draw which clone each progenitor comes from at the last visit: `CLONE_CLONOTYPES`."""
    columns: dict[str, list] = {name: [] for name in CLONE_CLONOTYPES.columns}
    for branch, by_visit in weights.items():
        clone, weight = by_visit[-1]
        own, _, settled = (part[-1] for part in founders[branch])
        drawn = draw_progenitors(patient["patient_seed"], branch, weight, own)
        clonotypes = 0.0
        for cell in (cell for cell, its in BRANCH_OF.items() if its == branch):
            cells = split_pools(cell, counts, len(months) - 1, patient["weight_kg"], settings)["naive"][0]
            from_stem = counts[NAIVE_OF[cell]]["stem_cell_share"][-1]
            clonotypes += from_stem * naive_clonotypes(cell, cells, own + settled, age, settings)
        some = np.flatnonzero(drawn)
        columns["clone"].append(clone[some])
        columns["progenitors"].append(drawn[some])
        columns["clonotypes"].append(clonotypes * drawn[some] / max(drawn.sum(), 1))
        columns["branch"].append(np.full(len(some), branch))
        columns["patient"].append(np.full(len(some), patient["patient"]))
        columns["month"].append(np.full(len(some), months[-1]))
    return CLONE_CLONOTYPES.build({name: np.concatenate(parts) for name, parts in columns.items()})


def draw_progenitors(seed: int, branch: str, weights: np.ndarray, number: float) -> np.ndarray:
    """Draw how many progenitors each stem-cell clone gave."""
    if not len(weights):
        return np.zeros(0, np.int64)
    return stream(seed, f"immunity.progenitors.{branch}").multinomial(max(round(number), 1), weights)


def richness_score(
    corrected: float, others: float, function: float, normal: float, settings: Settings
) -> float:
    """Return (1 - phi) L(corrected) + phi L(all), so that cells without function hide nothing.

    L runs in logarithms from 0 at a share ``repertoire.least_share`` of the normal number for age to
    100 at ``repertoire.full_share`` of it.

    Parameters
    ----------
    corrected, others : float
        Clonotypes.
    function : float
        Of an uncorrected cell, phi.
    normal : float
        Clonotypes of a median person of this age.
    settings : Settings
    """
    least, full = settings["repertoire.least_share"], settings["repertoire.full_share"]

    def scale(clonotypes: float) -> float:
        share = max(clonotypes / normal, least)
        return min(100 * np.log(share / least) / np.log(full / least), 100.0)

    return float(min((1 - function) * scale(corrected) + function * scale(corrected + others), 100.0))
