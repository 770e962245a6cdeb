"""Competition: cells of a marrow from one visit to the next, whatever holds their number."""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.dynamics import simulate_clones
from hsc_pipeline.engraftment.cells import POOL, Cells
from hsc_pipeline.engraftment.niches import Niches, niche_rates, simulate_niches, take_probability
from hsc_pipeline.engraftment.stress import Course
from hsc_pipeline.settings import Settings

# Clones whose advantages differ by less share a class of the engine, which has the mean of its cells: per
# year below REFERENCE, and in proportion above.
ADVANTAGE_STEP = 0.015
REFERENCE = 0.1
LEAST_ROOM = 0.1  # so that cells without a driver never crowd a marrow of no size


@dataclass(frozen=True)
class Room:
    """What holds stem cells in number: crowding of a well-mixed marrow, or niches.

    Attributes
    ----------
    regrowth : float
        Extra divisions per year in an empty well-mixed marrow.
    turnover_share : float
        Occupied niches that come free while infused cells circulate, in the well-mixed model.
    engine : str
        Of the well-mixed model.
    niches : Niches or None
        None: well-mixed.
    """

    regrowth: float
    turnover_share: float
    engine: str
    niches: Niches | None

    @classmethod
    def of(cls, settings: Settings) -> "Room":
        """Return the room that an arm's settings describe."""
        niches = Niches(settings["marrow.niche_free_share"], settings["marrow.niche_reattachment"])
        return cls(
            settings["marrow.regrowth_per_year"],
            settings["marrow.niche_turnover_share"],
            settings["marrow.engine"],
            niches if settings["marrow.model"] == "niche" else None,
        )

    def take_probability(self, occupied: float, full: float, infused: int) -> float:
        """Return the chance that an infused cell takes; `occupied` cells against a full marrow."""
        occupied = min(occupied, 1.0)
        if self.niches:
            return self.niches.take_probability(occupied, full, infused)
        return take_probability(occupied, full, infused, self.turnover_share)

    def crowded(
        self, totals: np.ndarray, division: np.ndarray, loss: np.ndarray, turnover: float, full: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return division and loss per year of classes at their totals."""
        if self.niches:
            birth, death, _ = niche_rates(totals, division, loss, turnover, full, self.niches)
            return birth, death
        return np.maximum(division + self.regrowth * (1 - totals.sum() / full), 0), loss

    def simulate(
        self,
        sizes: np.ndarray,
        kinds: np.ndarray,
        classes: Cells,
        course: Course,
        span: tuple[float, float],
        others: tuple[int, int],
        seed: np.random.SeedSequence,
    ) -> np.ndarray:
        """Simulate clones from one time to another.

        Parameters
        ----------
        sizes, kinds : array of int, shape (clones,)
        classes : Cells
            An entry for each class.
        course : Course
        span : tuple of float
            Years after infusion.
        others : tuple of int
            Cells beside these that take up room, at the start and the end.
        seed : numpy.random.SeedSequence

        Returns
        -------
        array of int, shape (clones,)
        """
        start, times = span[0], np.array([span[1] - span[0]])
        pieces = np.arange(course.at(start), course.at(span[1]) + 1)
        starts = np.maximum(course.starts[pieces] - start, 0.0)
        middle = (starts + np.append(starts[1:], times[0])) / 2
        beside = np.interp(middle, [0.0, times[0]], others)
        full = room_beside(course.capacity[pieces], beside)
        division, loss = (table[pieces] for table in course.rates(classes))
        if self.niches:
            turnover = np.broadcast_to(course.division[pieces, None], division.shape)
            return simulate_niches(
                sizes,
                kinds,
                (starts, division),
                (starts, loss),
                turnover,
                times,
                seed,
                (starts, full),
                self.niches,
            )[0]
        # Classes with the same rates throughout are one to the engine.
        rates, merged = np.unique(np.vstack([division, loss]), axis=1, return_inverse=True)
        return simulate_clones(
            sizes,
            merged.ravel()[kinds],
            (starts, rates[: len(starts)]),
            (starts, rates[len(starts) :]),
            times,
            seed,
            capacity=(starts, full),
            regrowth=self.regrowth,
            engine=self.engine,
        )[0]


def room_beside(full: np.ndarray | float, others: np.ndarray | float) -> np.ndarray:
    """Return the capacity that acquired drivers leave to all other cells: at least a tenth of it."""
    return np.maximum(np.maximum(full - others, LEAST_ROOM * np.asarray(full)), 1.0)


def group(cells: Cells, sizes: np.ndarray, tell_origins: bool) -> tuple[np.ndarray, Cells]:
    """Put entries into classes of nearly the same advantage, and of one origin where that matters.

    Returns
    -------
    kinds : array of int, shape (entries,)
        Class of each entry.
    classes : Cells
        An entry for each class, with the mean advantage of its cells.
    """
    size = np.abs(cells.advantage)
    scaled = np.where(
        size < REFERENCE, size, REFERENCE * (1 + np.log(np.maximum(size, REFERENCE) / REFERENCE))
    )
    step = np.round(np.sign(cells.advantage) * scaled / ADVANTAGE_STEP).astype(np.int64)
    key = (step * 4 + cells.origin * tell_origins) * 2 + cells.mutated
    _, first, kinds = np.unique(key, return_index=True, return_inverse=True)
    number = np.bincount(kinds, sizes, len(first))
    mean = np.bincount(kinds, sizes * cells.advantage, len(first)) / number
    one = cells.take(first)
    pool = np.full(len(first), POOL)
    return kinds, Cells(one.origin, pool, np.where(one.mutated, 0, POOL), np.zeros(len(first), bool), mean)
