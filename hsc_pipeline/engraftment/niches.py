"""Niches: how many there are at an age, and how many infused cells find a free one.

The niche model is the quasi-steady limit of the two compartments of `two_compartments`: the time
that a stem cell spends in blood is short against its stay in a niche, so blood is empty and only
one number of it remains, the chance p that a cell in blood finds a niche before it dies.  A
division puts the daughter into blood, and niche cells are released and home again or die, so that
cells in niches divide at ``beta p`` and are lost at ``d (1 - p)``, with
``p = rho v / (1 + rho v)`` at a share v of free niches [1]_.

References
----------
.. [1] Ashcroft, Manz and Bonhoeffer 2017, 10.1371/journal.pcbi.1005803
"""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.dynamics.rates import kendall_parameters, transition
from hsc_pipeline.dynamics.urn import ancestors, deal
from hsc_pipeline.settings import Settings

LONGEST_STEP_YEARS = 0.02
MOST_EXPONENT = 500.0
NEWTON_STEPS = 6
MOST_RELAXED = 0.1  # step times relaxation rate of the total


def marrow_capacity(age_years: np.ndarray | float, settings: Settings) -> np.ndarray:
    """Return the stem cells of a full marrow: linear from birth to the plateau."""
    grown = np.minimum(np.asarray(age_years) / settings["marrow.capacity_plateau_age"], 1)
    birth, adult = settings["marrow.capacity_birth"], settings["marrow.capacity_adult"]
    return birth + (adult - birth) * grown


def take_probability(residual: float, room: float, infused: int, turnover_share: float) -> float:
    """Return the chance that an infused stem cell finds a free niche, in the well-mixed model.

    Niches are free where conditioning killed the host's cells, and a small share of occupied ones
    turns over; no more cells take than there are niches.

    Parameters
    ----------
    residual : float
        Occupied share of the niches.
    room : float
        Niches.
    infused : int
        Stem cells given together.
    turnover_share : float
        Occupied niches that come free meanwhile.
    """
    free = (1 - residual) + residual * turnover_share
    return min(free, free * room / infused) if infused else free


@dataclass(frozen=True)
class Niches:
    """Niches that are filled from blood in no time.

    Attributes
    ----------
    free_share : float
        Niches that stand empty in a full marrow, f.
    reattachment : float
        Chance p* that a cell in blood finds a niche there before it dies.
    """

    free_share: float
    reattachment: float

    @property
    def affinity(self) -> float:
        """Attachment to an empty marrow against death in blood, rho; p* = rho f / (1 + rho f)."""
        return self.reattachment / ((1 - self.reattachment) * self.free_share)

    def finding(self, free: np.ndarray | float) -> np.ndarray | float:
        """Return the chance p that a cell in blood finds a niche at a share of free niches."""
        return self.affinity * free / (1 + self.affinity * free)

    def take_probability(self, occupied: float, full: float, infused: int) -> float:
        """Return the chance that an infused cell takes, as the cells fill niches one after another.

        dv/dx = -p(v) / niches along the cells x, so that v + ln(v) / rho falls by infused / niches.

        Parameters
        ----------
        occupied : float
            Cells in niches against a full marrow.
        full : float
            Cells of a full marrow.
        infused : int
        """
        from scipy.special import lambertw

        niches = full / (1 - self.free_share)
        free = max(1 - occupied * (1 - self.free_share), 0.0)
        if not infused or free == 0:
            return float(self.finding(free))
        # With y = rho v: y + ln y = c, so y = W(e^c); by Newton's steps where e^c overflows.
        c = self.affinity * (free - infused / niches) + np.log(self.affinity * free)
        y = float(lambertw(np.exp(min(c, MOST_EXPONENT))).real)
        for _ in range(NEWTON_STEPS if c > MOST_EXPONENT else 0):
            y -= (y + np.log(y) - c) * y / (1 + y)
        return min((free - y / self.affinity) * niches / infused, float(self.finding(free)))


def simulate_niches(
    sizes: np.ndarray,
    kinds: np.ndarray,
    division: tuple[np.ndarray, np.ndarray],
    loss: tuple[np.ndarray, np.ndarray],
    turnover: np.ndarray,
    times: np.ndarray,
    seed: np.random.SeedSequence,
    capacity: tuple[np.ndarray, np.ndarray],
    niches: Niches,
) -> np.ndarray:
    """Simulate competing clones in niches; the counterpart of `dynamics.simulate_clones`.

    Class totals go by Kendall steps with p at the start of the step, and are dealt to clones at
    the visits, as in the engine.

    Parameters
    ----------
    sizes, kinds : array of int, shape (clones,)
        Cells and class of each clone.
    division, loss : step tables, values of shape (starts, classes)
        Rates per year in a full marrow.
    turnover : array of float, shape (starts, classes)
        Part of `loss` that is release into blood without return; the rest kills in the niche.
    times : array of float, shape (visits,)
        Years.
    seed : numpy.random.SeedSequence
    capacity : step table
        Cells of a full marrow.
    niches : Niches

    Returns
    -------
    array of int, shape (visits, clones)
    """
    rng = np.random.default_rng(seed)
    starts, cells, now = division[0], np.array(sizes), 0.0
    classes = division[1].shape[1]
    out = np.zeros((len(times), len(cells)), np.int64)
    for visit, stop in enumerate(times):
        totals = np.bincount(kinds, cells, classes).astype(np.int64)
        families, after = [], []
        while now < stop and totals.any():
            row = np.searchsorted(starts, now, side="right") - 1
            following = starts[row + 1] if row + 1 < len(starts) else np.inf
            rates = division[1][row], loss[1][row], turnover[row]
            birth, death, relaxation = niche_rates(totals, *rates, capacity[1][row], niches)
            years = min(LONGEST_STEP_YEARS, MOST_RELAXED / relaxation, stop - now, following - now)
            alpha, beta = kendall_parameters(birth, death, years)
            came_from, totals = transition(rng, totals, alpha, beta)
            families.append(came_from)
            after.append(totals)
            now = stop if years >= stop - now else now + years
        founders = totals
        for came_from, count in zip(reversed(families), reversed(after), strict=True):
            founders = ancestors(rng, came_from, count, founders)
        for kind in range(classes):
            own = np.flatnonzero((kinds == kind) & (cells > 0))
            if len(own):
                _, cells[own] = deal(rng, cells[own], int(founders[kind]), int(totals[kind]))
        out[visit], now = cells, stop
    return out


def niche_rates(
    totals: np.ndarray,
    division: np.ndarray,
    loss: np.ndarray,
    turnover: np.ndarray | float,
    full: float,
    niches: Niches,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return division and loss of each class, and the relaxation rate of the total, per year."""
    kept = niches.reattachment
    occupied = float(totals.sum()) / full * (1 - niches.free_share)
    free = max(1 - occupied, 0.0)
    p = niches.finding(free)
    steepness = niches.affinity * occupied / (1 + niches.affinity * free) ** 2
    relaxation = steepness * float((division / kept + turnover / (1 - kept)).max())
    return division * p / kept, turnover * (1 - p) / (1 - kept) + loss - turnover, max(relaxation, 1e-9)
