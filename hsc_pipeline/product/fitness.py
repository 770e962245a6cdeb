"""What makes a clone grow: deregulated oncogenes, and drivers that were there before."""

from functools import cache

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

NODES = 32  # of a quadrature that is exact to 1e-9 for advantages up to 2 a year and a plateau at 20 years
LEAST_GEOMETRIC = 1e-12  # so that the size of a clone that has taken over fits an integer


def deregulating(seed: int, oncogene: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Draw which insertions deregulate their oncogene, and the advantage per year that each gives.

    Parameters
    ----------
    seed : int
        Of the patient.
    oncogene : array of bool, shape (insertions,)
        Whether the insertion lies at an oncogene.

    Returns
    -------
    deregulates : array of bool, shape (insertions,)
    advantage : array of float, shape (insertions,)
        0 where nothing is deregulated.
    """
    chance = settings[f"genotoxicity.activated_fraction.{settings['vector.promoter']}"]
    least, most = settings["genotoxicity.advantage_least"], settings["genotoxicity.advantage_most"]
    hit, size = stream(seed, "product.genotoxicity").random((len(oncogene), 2)).T
    deregulates = oncogene & (hit < chance)
    return deregulates, np.where(deregulates, least + (most - least) * size, 0.0)


class GrowingMarrow:
    """The stem cells of a healthy marrow: linear in age from birth to a plateau.

    Parameters
    ----------
    settings : Settings
        Values ``marrow.capacity_``.
    """

    def __init__(self, settings: Settings):
        self.birth = settings["marrow.capacity_birth"]
        self.adult = settings["marrow.capacity_adult"]
        self.grown = settings["marrow.capacity_plateau_age"]

    def cells(self, age: np.ndarray | float) -> np.ndarray:
        """Return the stem cells at an age in years."""
        return self.birth + (self.adult - self.birth) * np.minimum(np.asarray(age) / self.grown, 1)

    def cell_years(self, age: float) -> float:
        """Return the stem-cell years lived from birth to an age."""
        child = min(age, self.grown)
        return (self.birth + self.cells(child)) / 2 * child + self.adult * (age - child)

    def age_at(self, cell_years: np.ndarray) -> np.ndarray:
        """Return the age at which so many stem-cell years were lived; the inverse of `cell_years`."""
        as_child = np.minimum(cell_years, self.cell_years(self.grown))
        slope = (self.adult - self.birth) / self.grown
        child = 2 * as_child / (self.birth + np.sqrt(self.birth**2 + 2 * slope * as_child))
        return child + (cell_years - as_child) / self.adult


def existing_drivers(seed: int, whose: str, age: float, settings: Settings) -> dict[str, np.ndarray]:
    """Draw the clones with a driver of clonal haematopoiesis in a person's marrow.

    Drivers arise at a constant rate per stem cell and year since birth, so a child, whose marrow is
    smaller, has fewer of them; each grows as a birth-death process with its advantage while the
    marrow grows around it, and the survivors share the marrow with its other cells.

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
    marrow = GrowingMarrow(settings)
    lived = marrow.cell_years(age)
    number = rng.poisson(settings["drivers.per_cell_year"] * lived)
    arose = np.minimum(marrow.age_at(lived * rng.random(number)), age)
    advantage = truncated_gamma(
        rng,
        number,
        settings["drivers.shape"],
        settings["drivers.years_per_advantage"],
        settings["drivers.least_advantage"],
    )
    cells = clone_sizes(rng, settings["marrow.division_per_year"], advantage, arose, age, marrow)
    order = np.argsort(-cells, kind="stable")[: np.count_nonzero(cells)]
    share = cells[order] / (marrow.cells(age) + cells.sum())
    return {"share": share, "advantage_per_year": advantage[order]}


def truncated_gamma(
    rng: np.random.Generator, size: int, shape: float, rate: float, least: float
) -> np.ndarray:
    """Draw from a gamma law cut below `least`; one uniform number each.

    Raises
    ------
    UserError
        If the law has next to nothing above `least`.
    """
    from scipy.special import gammaincc, gammainccinv

    above = gammaincc(shape, least * rate)
    if above < 1e-12:
        raise UserError(
            f"drivers.least_advantage = {least:g}: the law of drivers.shape = {shape:g} and "
            f"drivers.years_per_advantage = {rate:g} has none so large; allowed: a smaller one"
        )
    return gammainccinv(shape, above * (1 - rng.random(size))) / rate


def clone_sizes(
    rng: np.random.Generator,
    loss: float,
    advantage: np.ndarray,
    arose: np.ndarray,
    age: float,
    marrow: GrowingMarrow,
) -> np.ndarray:
    """Draw the size at `age` of clones that arose from one cell each in a growing marrow.

    A birth-death process whose division exceeds `loss` by the advantage and by the growth of the
    marrow, so that a neutral clone keeps its share in the mean [1]_.

    Parameters
    ----------
    loss : float
        Per cell and year.
    advantage, arose : array of float, shape (clones,)
        Per year; years of age.

    Returns
    -------
    array of float, shape (clones,)
        0 where the clone died out.

    References
    ----------
    .. [1] Kendall 1948, 10.1214/aoms/1177730285: with R(u) the net growth until u, a clone lives with
       chance 1/(1+J), J the integral of loss e^-R(u), and is then geometric with mean e^R (1 + J).
    """
    from scipy.special import exprel

    start = marrow.cells(arose)
    growing = np.maximum(np.minimum(age, marrow.grown) - arose, 0)
    full = np.maximum(age - np.maximum(arose, marrow.grown), 0)
    lost = np.exp(-advantage * growing) * start / marrow.adult * full * exprel(-advantage * full)
    early = np.flatnonzero(growing)
    nodes, weights = _quadrature()
    since = growing[early, None] * nodes
    net_growth = np.exp(advantage[early, None] * since) * marrow.cells(arose[early, None] + since)
    lost[early] += growing[early] * start[early] * ((1 / net_growth) @ weights)
    lives = 1 / (1 + loss * lost)
    per_mean = np.exp(-advantage * (age - arose)) * start / marrow.cells(age)
    size = rng.geometric(np.clip(lives * per_mean, LEAST_GEOMETRIC, 1))
    return np.where(rng.random(len(arose)) < lives, size, 0).astype(float)


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss-Legendre nodes and weights of the interval from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2
