"""Product: from CD34+ cells to long-term stem cells, their vector copies and integration sites."""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, inf, log1p

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread, stream
from hsc_pipeline.tables import Column, Table

PRODUCTS = Table(
    "products",
    ("patient",),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "cd34_cells": Column(pa.float64(), "cells", "CD34+ cells infused", 0),
        "mean_copies": Column(pa.float64(), "copies/cell", "vector copies per cell of the product (VCN)", 0),
        "transduced_fraction": Column(pa.float64(), "", "cells of the product with a copy", 0, 1),
        "copies_per_transduced": Column(
            pa.float64(), "copies/cell", "copies per transduced cell of the product", 1
        ),
        "lt_hsc": Column(pa.int64(), "cells", "long-term stem cells that engraft under full conditioning", 0),
        "lt_hsc_corrected": Column(pa.int64(), "cells", "those with at least one copy", 0),
    },
)

CLONES = Table(
    "clones",
    ("patient", "clone"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "clone": Column(pa.int32(), "", "corrected long-term stem cell of the product", 0),
        "copies": Column(pa.int16(), "copies", "vector copies in the cell", 1),
    },
)

SITES = Table(
    "sites",
    ("patient", "clone", "site"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "clone": Column(pa.int32(), "", "corrected long-term stem cell of the product", 0),
        "site": Column(pa.int16(), "", "number of the insertion within the cell", 0),
        "chromosome": Column(pa.string(), "", "GRCh38, without prefix"),
        "position": Column(pa.int32(), "bp", "1-based", 1),
        "strand": Column(pa.string(), "", "+ or -"),
        "gene": Column(pa.string(), "", "named gene in or nearest to the site, empty for all others"),
    },
)

POISSON_FROM = 1e4  # dispersion above which the negative binomial is the Poisson law to 1e-4


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
        One patient's `PRODUCTS`, `CLONES` and `SITES`.
    """
    k = solve_dispersion(settings["product.mean_copies"], settings["product.transduced_fraction"])
    genome = Genome(settings.rows("chromosomes"), settings.rows("genes"))
    for patient in patients:
        yield make_product(patient, k, genome, settings)


def make_product(patient: Mapping, k: float, genome: "Genome", settings: Settings) -> dict[str, pa.Table]:
    """Draw one patient's product; `k` is the dispersion of copies per cell."""
    number, seed = patient["patient"], patient["patient_seed"]
    mean = settings["product.mean_copies"] * spread(
        seed, "product.mean_copies", settings["product.mean_copies_ln_sd"]
    )
    cd34_cells = patient["cd34_per_kg"] * patient["weight_kg"]
    frequency = draw_lt_hsc_frequency(
        seed, settings["product.lt_hsc_per_cd34"], settings["product.lt_hsc_log10_sd"]
    )
    lt_hsc = int(stream(seed, "product.lt_hsc").poisson(cd34_cells * frequency))

    copies = draw_copies(
        stream(seed, "product.copies"), mean * settings["product.lt_copies_ratio"], k, lt_hsc
    )
    copies = copies[copies > 0]
    clone = np.arange(len(copies))
    owner = np.repeat(clone, copies)
    transduced = 1 - no_copy_probability(mean, k)
    return {
        "products": PRODUCTS.build(
            {
                "patient": [number],
                "cd34_cells": [cd34_cells],
                "mean_copies": [mean],
                "transduced_fraction": [transduced],
                "copies_per_transduced": [mean / transduced],
                "lt_hsc": [lt_hsc],
                "lt_hsc_corrected": [len(copies)],
            }
        ),
        "clones": CLONES.build(
            {"patient": np.full(len(clone), number), "clone": clone, "copies": copies},
        ),
        "sites": SITES.build(
            {
                "patient": np.full(len(owner), number),
                "clone": owner,
                "site": np.arange(len(owner)) - np.repeat(np.cumsum(copies) - copies, copies),
                **genome.draw_sites(stream(seed, "product.sites"), len(owner)),
            }
        ),
    }


def draw_lt_hsc_frequency(seed: int, median: float, log10_sd: float) -> float:
    """Draw the long-term stem cells per CD34+ cell of one patient; at most one."""
    return min(1.0, median * 10 ** (log10_sd * stream(seed, "product.lt_hsc_frequency").standard_normal()))


def no_copy_probability(mean: float, k: float) -> float:
    """Return P(no copy) = (k/(k+m))^k, or its Poisson limit e^-m for infinite `k`."""
    return exp(-mean) if k == inf else exp(-k * log1p(mean / k))


def solve_dispersion(mean: float, transduced_fraction: float) -> float:
    """Return the dispersion k at which copies of mean `mean` leave 1 - `transduced_fraction` cells without.

    Copies per cell are overdispersed: a negative binomial beats the Poisson in every patient with
    sequenced colonies [1]_.

    Raises
    ------
    ValueError
        If even the Poisson law leaves more cells without a copy.

    References
    ----------
    .. [1] Spencer Chapman 2023, 10.1038/s41591-023-02636-6, colonies' copies.
    """
    from scipy.optimize import brentq

    none = 1 - transduced_fraction
    if not exp(-mean) < none < 1:
        raise ValueError(f"mean copies {mean:g} cannot transduce {transduced_fraction:g} of cells")
    if no_copy_probability(mean, POISSON_FROM) > none:
        return inf
    return float(brentq(lambda k: no_copy_probability(mean, k) - none, 1e-6, POISSON_FROM))


def draw_copies(rng: np.random.Generator, mean: float, k: float, cells: int) -> np.ndarray:
    """Draw vector copies of `cells` cells: negative binomial, variance/mean = 1 + mean/k."""
    if k == inf:
        return rng.poisson(mean, cells)
    return rng.negative_binomial(k, k / (k + mean), cells)


class Genome:
    """Where insertions land: named genes at their measured frequencies, the rest anywhere.

    Parameters
    ----------
    chromosomes : sequence of (chromosome, length)
    genes : sequence of (gene, class, frequency, chromosome, start, end)
        Catalogue tables.
    """

    def __init__(self, chromosomes: Sequence[tuple], genes: Sequence[tuple]):
        names, lengths = zip(*chromosomes, strict=True)
        gene, _, frequency, on, start, end = zip(*genes, strict=True)
        share = np.array(lengths) / np.sum(lengths) * (1 - np.sum(frequency))
        self._ends = np.cumsum(np.concatenate([frequency, share]))
        self._gene = np.array([*gene, *[""] * len(names)])
        self._chromosome = np.array([*on, *names])
        self._first = np.array([*start, *[1] * len(names)])
        self._last = np.array([*end, *lengths])

    def draw_sites(self, rng: np.random.Generator, insertions: int) -> dict[str, np.ndarray]:
        """Draw independent insertion sites: columns chromosome, position, strand and gene.

        One triple of uniform numbers per insertion, so that the first sites stay the same
        whatever the number drawn.
        """
        where, along, side = rng.random((insertions, 3)).T
        place = np.searchsorted(self._ends, where * self._ends[-1], side="right")
        first, last = self._first[place], self._last[place]
        return {
            "chromosome": self._chromosome[place],
            "position": first + (along * (last - first + 1)).astype(np.int64),
            "strand": np.where(side < 0.5, "+", "-"),
            "gene": self._gene[place],
        }
