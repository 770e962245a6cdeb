"""What makes a clone grow: deregulated oncogenes, and drivers that were there before."""

import numpy as np

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream


def deregulating(seed: int, gene_class: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Draw which insertions deregulate their oncogene, and the advantage per year that each gives.

    Parameters
    ----------
    seed : int
        Of the patient.
    gene_class : array of str, shape (insertions,)

    Returns
    -------
    deregulates : array of bool, shape (insertions,)
    advantage : array of float, shape (insertions,)
        0 where nothing is deregulated.
    """
    chance = settings[f"genotoxicity.activated_fraction.{settings['vector.promoter']}"]
    least, most = settings["genotoxicity.advantage_least"], settings["genotoxicity.advantage_most"]
    hit, size = stream(seed, "product.genotoxicity").random((len(gene_class), 2)).T
    deregulates = (gene_class == "oncogene") & (hit < chance)
    return deregulates, np.where(deregulates, least + (most - least) * size, 0.0)


def existing_drivers(seed: int, whose: str, age: float, settings: Settings) -> dict[str, np.ndarray]:
    """Draw the clones with a driver of clonal haematopoiesis in a person's marrow.

    Drivers arise at a constant rate per stem cell and year since birth; each grows as a
    birth-death process with its advantage, and the survivors share the marrow with its other cells.

    Parameters
    ----------
    seed : int
        Of the patient.
    whose : str
        ``"patient"`` or ``"donor"``, whose marrow it is.
    age : float
        Years.

    Returns
    -------
    dict of str to array
        ``share`` of the marrow and ``advantage_per_year`` of each surviving clone, largest first.
    """
    rng = stream(seed, f"product.drivers.{whose}")
    marrow = settings["marrow.capacity_adult"]
    arose = rng.poisson(settings["drivers.per_cell_year"] * marrow * age)
    years = age * rng.random(arose)
    advantage = truncated_gamma(
        rng,
        arose,
        settings["drivers.shape"],
        settings["drivers.years_per_advantage"],
        settings["drivers.least_advantage"],
    )
    cells = birth_death_sizes(rng, settings["marrow.division_per_year"], advantage, years)
    order = np.argsort(-cells, kind="stable")[: np.count_nonzero(cells)]
    return {"share": cells[order] / (marrow + cells.sum()), "advantage_per_year": advantage[order]}


def truncated_gamma(
    rng: np.random.Generator, size: int, shape: float, rate: float, least: float
) -> np.ndarray:
    """Draw from a gamma law cut below `least`, by rejection."""
    found = np.zeros(0)
    while len(found) < size:
        more = rng.standard_gamma(shape, 64 + 16 * size) / rate
        found = np.concatenate([found, more[more >= least]])
    return found[:size]


def birth_death_sizes(
    rng: np.random.Generator, loss: float, advantage: np.ndarray, years: np.ndarray
) -> np.ndarray:
    """Draw the size of birth-death clones from one cell, of division loss + advantage (Kendall 1948)."""
    growth = np.expm1(advantage * years)
    # P(extinct) = d(e^rt - 1)/(b e^rt - d), and a geometric law of the survivors' size.
    share = growth / ((loss + advantage) * (growth + 1) - loss)
    survives = rng.random(len(years)) >= loss * share
    size = rng.geometric(np.maximum(1 - (loss + advantage) * share, 1e-9))
    return np.where(survives, size, 0).astype(float)
