"""The laboratory: blood, sorted cells, DNA, captured fragments, reads, copies and alleles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.alleles import ALLELES, Amplicons
from hsc_pipeline.blood.clones import (
    BRANCH_OF,
    Progenitors,
    clone_outputs,
    progenitor_pools,
    stem_cell_weights,
)
from hsc_pipeline.blood.count import digital_pcr
from hsc_pipeline.blood.lineages import BRANCHES, NUCLEATED, PARTS, Blood, ratio
from hsc_pipeline.product.genome import Genome
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import patient_seed, stream
from hsc_pipeline.tables import Column, Table

# Which pools of blood a sorted sample holds.
SORTED = {
    "neutrophil": ("neutrophil",),
    "monocyte": ("monocyte",),
    "b_cell": ("b_cell",),
    "nk_cell": ("nk_cell",),
    "t_cell": ("cd4_naive", "cd4_memory", "cd8_naive", "cd8_memory"),
}
STATES = ("ok", "not_sampled", "no_cells", "no_dna", "no_vector")
ORIGINS = ("stem_cell", "thymic_progenitor", "short_term")  # in the order of the clones' numbers

_SAMPLE = {
    "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
    "month": Column(pa.float64(), "months", "after infusion", 0),
    "lineage": Column(pa.string(), "", "sorted cells"),
}
_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

SAMPLES = Table(
    "samples",
    ("patient", "month", "lineage"),
    {
        **_SAMPLE,
        "state": Column(
            pa.string(),
            "",
            "ok; not_sampled: never infused; no_cells; no_dna: too little to read; no_vector: nothing "
            "inserts, copies and alleles only",
        ),
        "blood_ml": Column(pa.float64(), "mL", "blood drawn", 0),
        "cells_sorted": Column(pa.int64(), "cells", "cells in the tube", 0),
        "purity": Column(pa.float64(), meaning="cells in the tube that are of the lineage; true", **_SHARE),
        "dna_ng": Column(pa.float64(), "ng", "DNA used", 0),
        "corrected_fraction": Column(
            pa.float64(), meaning="corrected cells in the tube, other lineages included; true", **_SHARE
        ),
        "stem_cell_share": Column(
            pa.float64(), meaning="of these, from long-term stem cells; true", **_SHARE
        ),
        "vcn": Column(pa.float64(), "copies/cell", "copies per cell in the tube; true", 0),
        "vcn_measured": Column(
            pa.float64(), "copies/cell", "by one digital PCR; empty without DNA", 0, None, True
        ),
        "sites": Column(pa.int32(), "sites", "distinct integration sites found", 0),
        "fragments": Column(pa.int64(), "fragments", "of all sites, as the fragment-based assay counts", 0),
        "reads": Column(pa.int64(), "reads", "of all sites, as the reads-only assay counts", 0),
    },
)

INTEGRATION_SITES = Table(
    "integration_sites",
    ("patient", "month", "lineage", "clone", "site"),
    {
        **_SAMPLE,
        "clone": Column(
            pa.int32(), "", "true clone, which a laboratory does not know; progenitors after stem cells", 0
        ),
        "site": Column(pa.int16(), "", "number of the insertion within the true clone", 0),
        "origin": Column(pa.string(), "", "true: stem_cell, thymic_progenitor or short_term"),
        "chromosome": Column(pa.string(), "", "GRCh38, without prefix"),
        "position": Column(pa.int32(), "bp", "1-based", 1),
        "strand": Column(pa.string(), "", "+ or -"),
        "gene": Column(pa.string(), "", "named gene in or nearest to the site"),
        "fragments": Column(pa.int32(), "fragments", "distinct shear lengths, the sonic abundance", 1),
        "reads": Column(pa.int64(), "reads", "sequencing reads, the other instrument", 1),
    },
)
PLACE = ("chromosome", "position", "strand", "gene")


@dataclass(frozen=True)
class Tube:
    """A sorted sample.

    Attributes
    ----------
    blood_ml, purity, dna_ng, genomes : float
    cells : int
    share : dict of str to float
        Of the cells, by pool; sums to 1 unless there is none.
    parts : dict of str to array of float, shape (8,)
        `PARTS` per cell of the tube, by pool.
    """

    blood_ml: float
    cells: int
    purity: float
    dna_ng: float
    genomes: float
    share: Mapping[str, float]
    parts: Mapping[str, np.ndarray]

    def part(self, name: str) -> float:
        """Return a part of all cells of the tube."""
        return float(sum(of[PARTS.index(name)] for of in self.parts.values()))


@dataclass(frozen=True)
class Clones:
    """The clones of one patient, as sequencing meets them.

    Attributes
    ----------
    outputs : array of float, shape (branches, clones)
    is_corrected : array of bool, shape (clones,)
    sizes, sites : mapping of str to array
        Columns of `engraftment.CLONE_SIZES` and `product.SITES` of the patient, sites by clone.
    edit : array of str, shape (clones,)
        Pair of alleles of each.
    pools : dict of str to Progenitors
    """

    outputs: np.ndarray
    is_corrected: np.ndarray
    sizes: Mapping[str, np.ndarray]
    sites: Mapping[str, np.ndarray]
    edit: np.ndarray
    pools: Mapping[str, Progenitors]


def meet_clones(
    patient: Mapping,
    product: Mapping,
    blood: Blood,
    clones: Mapping[str, np.ndarray],
    clone_sizes: Mapping[str, np.ndarray],
    sites: Mapping[str, np.ndarray],
    settings: Settings,
) -> Clones:
    """Return one patient's `Clones`."""
    seed, named = patient["patient_seed"], len(clones["clone"])
    return Clones(
        clone_outputs(seed, named, settings),
        np.asarray(clones["corrected"], bool),
        clone_sizes,
        sites,
        clones["edit"],
        progenitor_pools(seed, named, blood, product, settings),
    )


class Laboratory:
    """A laboratory that reads blood samples of an arm.

    Parameters
    ----------
    settings : Settings
        Of the stage ``blood``.
    genome : Genome or None
        Where the vector lands; None if the product has none.
    """

    def __init__(self, settings: Settings, genome: Genome | None):
        self._settings = settings
        self._genome = genome
        self._measured = Measured(settings)
        self._amplicons = Amplicons.of(settings, self._measured)

    def read(self, patient: Mapping, product: Mapping, blood: Blood, clones: Clones) -> dict[str, pa.Table]:
        """Sort, extract and sequence one patient's blood: `SAMPLES`, `INTEGRATION_SITES` and `ALLELES`."""
        programme = self._settings.study["sampling"]
        seed = patient["patient_seed"]
        samples, found, alleles = [], [], []
        pairs = self._amplicons.of_patient(seed, clones.edit) if self._amplicons else None
        for month in programme["months"]:
            weights = stem_cell_weights(blood, clones.outputs, clones.sizes, clones.is_corrected, month)
            for lineage in programme["lineages"]:
                tube = sort_cells(patient, blood, month, lineage, self._settings)
                state = self._state(tube, product)
                row = {"month": float(month), "lineage": lineage}
                fragments = NOTHING
                if state == "ok":
                    rng = stream(seed, f"lab.sites.{lineage}.{month:g}")
                    fragments = sequence_tube(rng, tube, weights, clones, self._settings)
                    found.append({**row, **fragments})
                if pairs is not None and state == "no_vector":
                    rng = stream(seed, f"lab.amplicon.{lineage}.{month:g}")
                    alleles.append({**row, **pairs.read(rng, tube, weights, self._settings)})
                samples.append({**row, **self._summary(seed, row, tube, state, fragments)})
        return {
            "samples": SAMPLES.build(_columns(samples, SAMPLES, patient["patient"])),
            "integration_sites": self._sites(patient, clones, found),
            "alleles": ALLELES.build(_joined(alleles, ALLELES, patient["patient"])),
        }

    def _state(self, tube: Tube, product: Mapping) -> str:
        if not product["infused"]:
            return "not_sampled"
        if tube.cells == 0:
            return "no_cells"
        if tube.dna_ng < self._settings["lab.least_dna_ng"]:
            return "no_dna"
        return "ok" if self._genome is not None else "no_vector"

    def _summary(
        self, seed: int, row: Mapping, tube: Tube, state: str, fragments: Mapping[str, np.ndarray]
    ) -> dict:
        """Return the columns of `SAMPLES` of one tube; a tube that was never drawn is empty."""
        drawn = state != "not_sampled"
        corrected = sum(tube.part(name) for name in ("stem", "early", "thymic"))
        vcn, measured = tube.part("copies"), None
        if state in ("ok", "no_vector"):
            rng = stream(seed, f"lab.sample_vcn.{row['lineage']}.{row['month']:g}")
            genomes = min(tube.genomes, self._settings["lab.ddpcr_ng"] * self._settings["lab.genomes_per_ng"])
            measured = float(
                digital_pcr(rng, np.array([vcn]), np.array([genomes]), self._settings["lab.vcn_ln_sd"])[0]
            )
        return {
            "state": state,
            "blood_ml": tube.blood_ml * drawn,
            "cells_sorted": tube.cells * drawn,
            "purity": tube.purity * drawn,
            "dna_ng": tube.dna_ng * drawn,
            "corrected_fraction": min(corrected, 1.0) * drawn,
            "stem_cell_share": min(tube.part("stem") / corrected, 1.0) * drawn if corrected > 0 else 0.0,
            "vcn": vcn * drawn,
            "vcn_measured": measured,
            "sites": len(fragments["fragments"]),
            "fragments": int(fragments["fragments"].sum()),
            "reads": int(fragments["reads"].sum()),
        }

    def _sites(self, patient: Mapping, clones: Clones, found: list[dict]) -> pa.Table:
        """Place what was found: stem cells where the product says, progenitors where the vector lands."""
        rows = _joined(found, INTEGRATION_SITES, patient["patient"], skip=("origin", *PLACE))
        named = len(clones.is_corrected)
        thymic = len(clones.pools["thymus"].copies) if "thymus" in clones.pools else 0
        kind = np.searchsorted([named, named + thymic], rows["clone"], side="right")
        rows["origin"] = pa.array(ORIGINS).take(pa.array(kind))
        key = rows["clone"] * MOST_SITES + rows["site"]
        known = clones.sites["clone"].astype(np.int64) * MOST_SITES + clones.sites["site"]
        of_stem, others = np.flatnonzero(kind == 0), np.flatnonzero(kind > 0)
        at = np.searchsorted(known, key[of_stem])
        new, index = np.unique(key[others], return_inverse=True)
        # A seed of their own: the sites of stem cells are drawn from the patient's.
        seed = patient_seed(patient["patient_seed"], patient["patient"], "progenitors")
        drawn = self._measured.draw_sites(seed, len(new), self._genome)
        order = pa.array(np.argsort(np.concatenate([of_stem, others]), kind="stable"))
        for name in PLACE:
            of_type = INTEGRATION_SITES.columns[name].type
            parts = pa.array(clones.sites[name][at], of_type), pa.array(drawn[name]).take(pa.array(index))
            rows[name] = pa.concat_arrays([parts[0], parts[1].cast(of_type)]).take(order)
        return INTEGRATION_SITES.build(rows)


MOST_SITES = 1 << 15  # insertions of a clone; the column is a 16-bit number
NOTHING = {name: np.zeros(0, np.int64) for name in ("clone", "site", "fragments", "reads")}


def sort_cells(patient: Mapping, blood: Blood, month: float, lineage: str, settings: Settings) -> Tube:
    """Draw blood, sort one lineage and take its DNA.

    The gate lets a small share of every other nucleated cell through, so a rare lineage is less
    pure than a common one.
    """
    seed, visit = patient["patient_seed"], int(np.searchsorted(blood.months, month))
    name = f"{lineage}.{month:g}"
    leak = settings[f"lab.leak.{lineage}"] * np.exp(
        settings["lab.leak_ln_sd"] * stream(seed, f"lab.sort.{name}").standard_normal()
    )
    per_ul = {pool: float(blood.per_ul[pool][visit]) for pool in NUCLEATED}
    share, gated = gate(per_ul, SORTED[lineage], min(leak, 1.0))
    blood_ml = min(settings["lab.blood_ml"], settings["lab.blood_ml_per_kg"] * patient["weight_kg"])
    expected = gated * 1000 * blood_ml * settings["lab.sort_recovery"]
    cells = int(stream(seed, f"lab.cells.{name}").poisson(expected))
    wanted = settings[f"lab.dna_ng.{lineage}"] * np.exp(
        settings["lab.dna_ln_sd"] * stream(seed, f"lab.dna.{name}").standard_normal()
    )
    dna = min(wanted, cells * settings["lab.dna_yield"] / settings["lab.genomes_per_ng"])
    return Tube(
        blood_ml=blood_ml,
        cells=cells,
        purity=min(sum(share[pool] for pool in SORTED[lineage]), 1.0),
        dna_ng=float(dna),
        genomes=float(dna) * settings["lab.genomes_per_ng"],
        share=share,
        parts={
            pool: share[pool] * ratio(blood.parts[pool][:, visit], np.full(len(PARTS), per_ul[pool]))
            for pool in NUCLEATED
        },
    )


def gate(per_ul: Mapping[str, float], wanted: tuple[str, ...], leak: float) -> tuple[dict[str, float], float]:
    """Return the shares of pools among the cells that pass a gate, and how many pass.

    Parameters
    ----------
    per_ul : mapping of str to float
    wanted : tuple of str
        Pools that the gate is for; all of them pass.
    leak : float
        Chance of any other cell.
    """
    passed = {pool: n if pool in wanted else leak * n for pool, n in per_ul.items()}
    total = sum(passed.values())
    return {pool: n / total if total > 0 else 0.0 for pool, n in passed.items()}, total


def sequence_tube(
    rng: np.random.Generator, tube: Tube, weights: np.ndarray, clones: Clones, settings: Settings
) -> dict[str, np.ndarray]:
    """Draw what sequencing finds in a tube: stem-cell clones, then progenitors.

    Parameters
    ----------
    rng : numpy.random.Generator
    tube : Tube
    weights : array of float, shape (branches, clones)
        `clones.stem_cell_weights` at the visit.
    clones : Clones
    settings : Settings

    Returns
    -------
    dict of str to array
        ``clone``, ``site``, ``fragments`` and ``reads`` of the sites found.
    """
    efficiency = settings["lab.capture_efficiency"]
    by_branch = np.zeros(len(BRANCHES))
    index = {branch: i for i, branch in enumerate(BRANCHES)}
    for pool, parts in tube.parts.items():
        by_branch[index[BRANCH_OF[pool]]] += parts[PARTS.index("stem")]
    owner = clones.sites["clone"]
    site = capture(rng, tube.genomes * (by_branch @ weights), owner, efficiency)
    found = [(owner[site].astype(np.int64), clones.sites["site"][site].astype(np.int64))]
    for pool, active, cells in progenitors_in(tube):
        if pool in clones.pools:
            progenitors = clones.pools[pool]
            mean = progenitors.copies.mean() * efficiency * tube.genomes * cells
            found.append(progenitors.draw(rng, active, rng.poisson(mean)))
    clone, within = (np.concatenate(column) for column in zip(*found, strict=True))
    return count_fragments(rng, clone * MOST_SITES + within, settings)


def progenitors_in(tube: Tube) -> list[tuple[str, float, float]]:
    """Return the pools of progenitors with cells in a tube: name, share still active, share of cells.

    Cells that live long show clones that have left, so the share is that when the cells were made.
    """
    early, wave = np.zeros(len(BRANCHES)), np.zeros(len(BRANCHES))
    index = {branch: i for i, branch in enumerate(BRANCHES)}
    for pool, parts in tube.parts.items():
        early[index[BRANCH_OF[pool]]] += parts[PARTS.index("early")]
        wave[index[BRANCH_OF[pool]]] += parts[PARTS.index("wave")]
    thymic = tube.part("thymic")
    pools = [
        (branch, float(wave[i] / early[i]), float(early[i])) for branch, i in index.items() if early[i] > 0
    ]
    return pools + ([("thymus", 1.0, float(thymic))] if thymic > 0 else [])


def capture(
    rng: np.random.Generator, expected: np.ndarray, owner: np.ndarray, efficiency: float
) -> np.ndarray:
    """Draw the insertions captured from a number of cells of each clone.

    Genomes in the DNA fall to clones by their output; each insertion of each genome is captured
    or not.

    Parameters
    ----------
    rng : numpy.random.Generator
    expected : array of float, shape (clones,)
        Genomes of each clone in the DNA, on average.
    owner : array of int, shape (sites,)
        Clone of each site, ascending.
    efficiency : float

    Returns
    -------
    array of int
        Index of the site of every captured fragment.
    """
    cells = rng.poisson(expected)
    here = np.flatnonzero(cells[owner])
    return np.repeat(here, rng.binomial(cells[owner[here]], efficiency))


def count_fragments(rng: np.random.Generator, key: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """Count captured fragments and reads by site, as two assays do.

    A fragment has one of a limited number of shear lengths, so abundant sites saturate;
    amplification spreads the reads.

    Parameters
    ----------
    rng : numpy.random.Generator
    key : array of int, shape (captured,)
        Clone and site of each captured fragment: clone x `MOST_SITES` + site.
    settings : Settings
    """
    lengths = int(settings["lab.fragment_lengths"])
    sites, index = np.unique(key, return_inverse=True)
    length = rng.integers(lengths, size=len(key))
    mean_reads = settings["lab.reads_per_fragment"] * np.exp(
        settings["lab.reads_ln_sd"] * rng.standard_normal(len(key))
    )
    reads = np.bincount(index, weights=1 + rng.poisson(mean_reads), minlength=len(sites))
    distinct = np.bincount(np.unique(index * lengths + length) // lengths, minlength=len(sites))
    return {
        "clone": sites // MOST_SITES,
        "site": sites % MOST_SITES,
        "fragments": distinct.astype(np.int64),
        "reads": reads.astype(np.int64),
    }


def _columns(rows: list[dict], table: Table, patient: int) -> dict[str, list]:
    """Return the columns of a table from one row a sample."""
    return {
        name: [patient] * len(rows) if name == "patient" else [row[name] for row in rows]
        for name in table.columns
    }


def _joined(samples: list[dict], table: Table, patient: int, skip: tuple[str, ...] = ()) -> dict:
    """Return the columns of a table from arrays of each sample."""
    arrays = [name for name in table.columns if name not in ("patient", "month", "lineage", *skip)]
    sizes = [len(sample[arrays[0]]) for sample in samples]
    return {
        "patient": np.full(sum(sizes), patient),
        "month": np.repeat(np.array([sample["month"] for sample in samples], float), sizes),
        "lineage": pa.array([s["lineage"] for s in samples], pa.string()).take(
            pa.array(np.repeat(np.arange(len(sizes)), sizes))
        ),
        **{
            name: np.concatenate([s[name] for s in samples]) if samples else np.zeros(0, dtype)
            for name, dtype in ((n, table.columns[n].type.to_pandas_dtype()) for n in arrays)
        },
    }
