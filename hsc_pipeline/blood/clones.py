"""Which clones a lineage's corrected cells belong to.

Long-term stem cells differ in output and half of them in the lineages that they prefer.  Many
more short-term progenitors, each of one branch, give the early waves and are gone within months;
progenitors in the thymus give T cells for years.  Only those that a laboratory finds get
integration sites of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.blood.lineages import BRANCHES, NUCLEATED, Blood
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

BRANCH_OF = {lineage: branch for branch, lineages in BRANCHES.items() for lineage in lineages}
SEQUENCED = tuple(dict.fromkeys(BRANCH_OF[lineage] for lineage in NUCLEATED))
MOST_SHORT_TERM = 50_000  # of a branch: samples of some thousand fragments cannot tell more apart


def clone_outputs(seed: int, clones: int, settings: Settings) -> np.ndarray:
    """Draw what each stem-cell clone gives to each branch, per stem cell; mean bias 1.

    Log-normal, the same in every branch of a balanced clone; a biased one spreads it by a
    Dirichlet law.

    Returns
    -------
    array of float, shape (branches, clones)
    """
    sigma = settings["marrow.clone_output_sigma"]
    size = np.exp(sigma * stream(seed, "blood.clone_output").standard_normal(clones))
    rng = stream(seed, "blood.clone_bias")
    biased = np.flatnonzero(rng.random(clones) < settings["blood.biased_share"])
    drawn = rng.standard_gamma(settings["blood.bias_concentration"], (len(BRANCHES), len(biased)))
    drawn = np.maximum(drawn, 1e-12)
    bias = np.ones((len(BRANCHES), clones))
    bias[:, biased] = len(BRANCHES) * drawn / drawn.sum(axis=0)
    return size * bias


def stem_cell_weights(
    blood: Blood,
    outputs: np.ndarray,
    clone_sizes: Mapping[str, np.ndarray],
    is_corrected: np.ndarray,
    month: float,
) -> np.ndarray:
    """Return the share of each corrected clone in a branch's cells of stem-cell origin, at a visit.

    Returns
    -------
    array of float, shape (branches, clones)
        Each row sums to 1, or to 0 where no corrected clone is alive.
    """
    at_visit = clone_sizes["month"] == month
    cells = np.zeros(outputs.shape[1])
    cells[clone_sizes["clone"][at_visit]] = clone_sizes["cells"][at_visit]
    weight = outputs * (cells * is_corrected)
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)


@dataclass(frozen=True)
class Progenitors:
    """Progenitor clones without a stem cell.

    Attributes
    ----------
    first : int
        Number of the first clone.
    copies : array of int, shape (clones,)
        Vector copies of each, at least one.
    ends : array of float, shape (clones,)
        Running sum of output times copies.
    """

    first: int
    copies: np.ndarray
    ends: np.ndarray

    def draw(self, rng: np.random.Generator, active: float, fragments: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the clone and the insertion of captured fragments.

        Clones leave in the order of their numbers, so that a share `active` of them is the first ones.
        """
        left = max(1, round(active * len(self.copies)))
        index = np.searchsorted(self.ends[: left - 1], rng.random(fragments) * self.ends[left - 1], "right")
        return self.first + index, (rng.random(fragments) * self.copies[index]).astype(np.int64)


def progenitor_pools(
    seed: int, first: int, blood: Blood, product: Mapping, settings: Settings
) -> dict[str, Progenitors]:
    """Return the pools of progenitor clones: of each branch with nuclei, and of the thymus.

    Parameters
    ----------
    seed : int
    first : int
        Number of the first clone; stem cells have the lower ones.
    blood : Blood
    product : mapping
        Row of `product.PRODUCTS`.
    settings : Settings
    """
    ratio = settings["blood.early_clones_per_stem_cell"]
    short_term = int(min(MOST_SHORT_TERM, ratio * product["lt_hsc_corrected"]))
    pools = {}
    if blood.seeded:
        pools["thymus"] = Progenitors(first, *_draw_pool(seed, "thymus", blood.seeded, product, settings))
    if short_term:
        # Branches share no clone, so nothing shows that they share one draw.
        drawn = _draw_pool(seed, "short_term", short_term, product, settings)
        first += blood.seeded
        for number, branch in enumerate(SEQUENCED):
            pools[branch] = Progenitors(first + number * short_term, *drawn)
    return pools


def _draw_pool(
    seed: int, name: str, clones: int, product: Mapping, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    rng = stream(seed, f"blood.progenitors.{name}")
    size = np.exp(settings["marrow.clone_output_sigma"] * rng.standard_normal(clones))
    copies = 1 + rng.poisson(max(product["copies_per_corrected"] - 1, 0), clones)
    return copies, np.cumsum(size * copies)
