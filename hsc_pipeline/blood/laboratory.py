"""The laboratory: blood, sorted cells, DNA, captured fragments and reads of integration sites."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table

# Which blood lineages a sorted sample holds.
SORTED = {"neutrophil": ("neutrophil",), "t_cell": ("cd4_t", "cd8_t"), "b_cell": ("b_cell",)}

INTEGRATION_SITES = Table(
    "integration_sites",
    ("patient", "month", "lineage", "clone", "site"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "lineage": Column(pa.string(), "", "sorted cells"),
        "clone": Column(pa.int32(), "", "true clone, which a laboratory does not know", 0),
        "site": Column(pa.int16(), "", "number of the insertion within the true clone", 0),
        "chromosome": Column(pa.string(), "", "GRCh38, without prefix"),
        "position": Column(pa.int32(), "bp", "1-based", 1),
        "strand": Column(pa.string(), "", "+ or -"),
        "gene": Column(pa.string(), "", "named gene in or nearest to the site"),
        "fragments": Column(pa.int32(), "fragments", "distinct shear lengths, the sonic abundance", 1),
        "reads": Column(pa.int64(), "reads", "sequencing reads, the other instrument", 1),
    },
)


def read_integration_sites(
    patient: Mapping,
    counts: pa.Table,
    clone_sizes: Mapping[str, np.ndarray],
    sites: Mapping[str, np.ndarray],
    settings: Settings,
) -> pa.Table:
    """Sequence one patient's sorted cells: `INTEGRATION_SITES` as the laboratory would list them.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    counts : pyarrow.Table
        `lineages.COUNTS` of the patient.
    clone_sizes, sites : mapping of str to array
        Columns of `engraftment.CLONE_SIZES` and `product.SITES` of the patient, sites by clone.
    settings : Settings
        Of the stage ``blood``.
    """
    seed = patient["patient_seed"]
    clones = int(sites["clone"].max()) + 1 if len(sites["clone"]) else 0
    output = np.exp(
        settings["marrow.clone_output_sigma"] * stream(seed, "blood.clone_output").standard_normal(clones)
    )
    samples = []
    for month in settings.study["sampling"]["months"]:
        at_visit = clone_sizes["month"] == month
        weight = np.zeros(clones)
        weight[clone_sizes["clone"][at_visit]] = clone_sizes["cells"][at_visit]
        weight *= output
        for lineage in settings.study["sampling"]["lineages"]:
            rng = stream(seed, f"lab.sites.{lineage}.{month:g}")
            corrected = corrected_from_stem_cells(counts, month, lineage)
            found = sequence_sample(rng, corrected, weight, sites["clone"], lineage, settings)
            samples.append({**found, "month": month, "lineage": lineage})
    found = stack(samples, ("index", "fragments", "reads"))
    sizes = [len(sample["index"]) for sample in samples]
    places = ("clone", "site", "chromosome", "position", "strand", "gene")
    return INTEGRATION_SITES.build(
        {
            "patient": np.full(len(found["index"]), patient["patient"]),
            "month": np.repeat([float(sample["month"]) for sample in samples], sizes),
            "lineage": np.repeat(np.array([sample["lineage"] for sample in samples], dtype=object), sizes),
            **{name: sites[name][found["index"]] for name in places},
            "fragments": found["fragments"],
            "reads": found["reads"],
        }
    )


def stack(samples: list[dict], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Join whole-number columns of samples; empty where the programme has no sample."""
    return {name: np.concatenate([*(s[name] for s in samples), np.zeros(0, np.int64)]) for name in names}


def corrected_from_stem_cells(counts: pa.Table, month: float, lineage: str) -> float:
    """Return the fraction of a sorted sample's cells that stem from corrected long-term stem cells."""
    rows = [row for row in counts.to_pylist() if row["month"] == month and row["lineage"] in SORTED[lineage]]
    total = sum(row["count_per_ul"] for row in rows)
    stem = sum(row["corrected_per_ul"] * row["stem_cell_share"] for row in rows)
    return stem / total if total > 0 else 0.0


def sequence_sample(
    rng: np.random.Generator,
    corrected: float,
    weight: np.ndarray,
    owner: np.ndarray,
    lineage: str,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Draw what one sample's sequencing finds.

    Genomes in the DNA fall to clones by their output; each insertion of each genome is captured
    or not; a captured fragment has one of a limited number of shear lengths, so abundant sites
    saturate; amplification spreads the reads.

    Parameters
    ----------
    rng : numpy.random.Generator
    corrected : float
        Fraction of the sample's cells in corrected clones.
    weight : array of float, shape (clones,)
        Relative output of each clone.
    owner : array of int, shape (sites,)
        Clone of each site.
    lineage : str
    settings : Settings

    Returns
    -------
    dict of str to array
        ``index`` of the sites found, their ``fragments`` and ``reads``.
    """
    if corrected == 0 or weight.sum() == 0:
        return {name: np.zeros(0, np.int64) for name in ("index", "fragments", "reads")}
    genomes = settings[f"lab.dna_ng.{lineage}"] * settings["lab.genomes_per_ng"]
    cells = rng.poisson(genomes * corrected * weight / weight.sum())
    captured = rng.binomial(cells[owner], settings["lab.capture_efficiency"])
    site = np.repeat(np.arange(len(owner)), captured)
    lengths = int(settings["lab.fragment_lengths"])
    length = rng.integers(lengths, size=len(site))
    mean_reads = settings["lab.reads_per_fragment"] * np.exp(
        settings["lab.reads_ln_sd"] * rng.standard_normal(len(site))
    )
    reads = np.bincount(site, weights=1 + rng.poisson(mean_reads), minlength=len(owner)).astype(np.int64)
    distinct = np.bincount(np.unique(site * lengths + length) // lengths, minlength=len(owner))
    index = np.flatnonzero(captured)
    return {"index": index, "fragments": distinct[index], "reads": reads[index]}
