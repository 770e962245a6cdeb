"""Drivers acquired during follow-up, and clones that turn malignant.

Tens of drivers a year arise in an adult marrow and most die out at once.  The engine can follow
them all, at ten times its cost; while they are few among many cells they follow, given the mean
course of the marrow, a birth-death process each, which is sampled in closed form from visit to
visit.  `dynamics.Drivers` is the reference that tests compare this with.
"""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.engraftment.cells import Cells
from hsc_pipeline.engraftment.competition import Room, room_beside
from hsc_pipeline.engraftment.stress import Course
from hsc_pipeline.product.fitness import truncated_gamma
from hsc_pipeline.settings import Settings

LONGEST_STEP_YEARS = 0.03
LONGEST_STEP_IN_NICHES = 0.005  # where the total relaxes in days


class Acquired:
    """Drivers that arise during follow-up, and lived at the end of an interval at least.

    Parameters
    ----------
    rng : numpy.random.Generator
    course : Course
    room : Room
    settings : Settings
        Values ``drivers.``.

    Attributes
    ----------
    parent : array of int, shape (drivers,)
        Entry of the marrow in which it arose.
    year, advantage : array of float, shape (drivers,)
        When, and the advantage per year that it adds.
    now : array of int, shape (drivers,)
        Cells.
    """

    def __init__(self, rng: np.random.Generator, course: Course, room: Room, settings: Settings):
        self.rng, self.course, self.room, self.settings = rng, course, room, settings
        self.parent, self.now = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.year, self.advantage = np.zeros(0), np.zeros(0)
        self.past: list[np.ndarray] = []

    def advance(
        self,
        alive: np.ndarray,
        sizes: np.ndarray,
        kinds: np.ndarray,
        classes: Cells,
        span: tuple[float, float],
    ) -> None:
        """Take the drivers through an interval and let new ones arise.

        Parameters
        ----------
        alive, sizes, kinds : array of int, shape (live entries,)
            The marrow's entries at the start of the interval, their cells and classes.
        classes : Cells
        span : tuple of float
            Years.
        """
        totals = np.bincount(kinds, sizes)
        mean = mean_course(classes, totals, self.now.sum(), self.course, self.room, span)
        step, kind = self._arising(mean)
        year = mean.edges[step] + self.rng.random(len(step)) * np.diff(mean.edges)[step]
        parent = alive[_draw_entries(self.rng, kinds, sizes, kind)]
        gained = truncated_gamma(
            self.rng,
            len(step),
            self.settings["drivers.shape"],
            self.settings["drivers.years_per_advantage"],
            self.settings["drivers.least_advantage"],
        )
        lives = np.flatnonzero(self.now)
        # A driver whose clone has no other cell left has the rates of the first class.
        of_entry = dict(zip(alive.tolist(), kinds.tolist(), strict=True))
        known = np.array([of_entry.get(entry, 0) for entry in self.parent[lives].tolist()], int)
        after = grow(
            self.rng,
            np.concatenate([self.now[lives], np.ones(len(step), np.int64)]),
            np.concatenate([known, kind]),
            np.concatenate([np.full(len(lives), span[0]), year]),
            np.concatenate([self.advantage[lives], gained]),
            mean,
        )
        born = after[len(lives) :]
        kept = np.flatnonzero(born)
        self.now[lives] = after[: len(lives)]
        self.now = np.concatenate([self.now, born[kept]])
        self.parent = np.concatenate([self.parent, parent[kept]])
        self.year = np.concatenate([self.year, year[kept]])
        self.advantage = np.concatenate([self.advantage, gained[kept]])

    def _arising(self, mean: "MeanCourse") -> tuple[np.ndarray, np.ndarray]:
        """Draw the step and the class of each new driver."""
        born = self.rng.poisson(self.settings["drivers.per_cell_year"] * mean.cell_years)
        step, kind = np.nonzero(born)
        return np.repeat(step, born[step, kind]), np.repeat(kind, born[step, kind])

    def see(self) -> None:
        """Remember the cells of this visit."""
        self.past.append(self.now.copy())

    def seen(self) -> np.ndarray:
        """Return the cells at the visits, shape (visits, drivers)."""
        cells = np.zeros((len(self.past), len(self.parent)), np.int64)
        for row, now in zip(cells, self.past, strict=True):
            row[: len(now)] = now
        return cells


@dataclass(frozen=True)
class MeanCourse:
    """The mean course of the classes of a marrow within an interval, in short steps.

    Attributes
    ----------
    edges : array of float, shape (steps + 1,)
        Years.
    cell_years : array of float, shape (steps, classes)
    net, death : array of float, shape (steps, classes)
        Net growth without an advantage, and loss, of a cell with a driver; per year.
    """

    edges: np.ndarray
    cell_years: np.ndarray
    net: np.ndarray
    death: np.ndarray


def mean_course(
    classes: Cells,
    totals: np.ndarray,
    others: float,
    course: Course,
    room: Room,
    span: tuple[float, float],
) -> MeanCourse:
    """Follow the mean of class totals through an interval of years, beside `others`, deterministically."""
    start, stop = span
    longest = LONGEST_STEP_IN_NICHES if room.niches else LONGEST_STEP_YEARS
    steps = max(int(np.ceil((stop - start) / longest)), 1)
    inside = course.starts[(course.starts > start) & (course.starts < stop)]
    edges = np.union1d(np.linspace(start, stop, steps + 1), inside)
    division, loss = course.rates(classes)
    with_driver = Cells(
        classes.origin, classes.clone, np.zeros_like(classes.driver), classes.insertional, classes.advantage
    )
    spared = loss - course.rates(with_driver)[1]
    n = totals.astype(float)
    cell_years, net, death = (np.zeros((len(edges) - 1, len(n))) for _ in range(3))
    for k, years in enumerate(np.diff(edges)):
        row = course.at(edges[k])
        tables = (
            division[row],
            loss[row],
            course.division[row],
            float(room_beside(course.capacity[row], others)),
        )
        birth, lost = room.crowded(n, *tables)
        half = n * np.exp((birth - lost) * years / 2)
        birth, lost = room.crowded(half, *tables)
        cell_years[k], death[k] = half * years, np.maximum(lost - spared[row], 0)
        net[k] = birth - death[k]
        n = n * np.exp((birth - lost) * years)
    return MeanCourse(edges, cell_years, net, death)


def grow(
    rng: np.random.Generator,
    cells: np.ndarray,
    kind: np.ndarray,
    year: np.ndarray,
    advantage: np.ndarray,
    mean: MeanCourse,
) -> np.ndarray:
    """Draw the cells of clones at the end of an interval.

    Kendall's law for rates that change [1]_: a cell has progeny with chance 1/(1 + J), J the
    integral of loss e^-R, and then a geometric number of mean e^R (1 + J), R being net growth.

    Parameters
    ----------
    cells, kind : array of int, shape (clones,)
        Cells at the start, and class.
    year, advantage : array of float, shape (clones,)
        The start, within the interval, and the advantage per year.

    References
    ----------
    .. [1] Kendall 1948, 10.1214/aoms/1177730285
    """
    from scipy.special import exprel

    if not len(cells):
        return cells
    lasting = np.clip(mean.edges[1:] - np.maximum(mean.edges[:-1], year[:, None]), 0, None)
    gain = (mean.net.T[kind] + advantage[:, None]) * lasting
    grown = np.cumsum(gain, axis=1)
    lost = (mean.death.T[kind] * np.exp(gain - grown) * lasting * exprel(-gain)).sum(axis=1)
    families = rng.binomial(cells, 1 / (1 + lost))
    chance = np.clip(np.exp(-grown[:, -1]) / (1 + lost), 1e-12, 1.0)
    more = rng.negative_binomial(np.maximum(families, 1), chance)
    return families + np.where(families > 0, more, 0)


def _draw_entries(
    rng: np.random.Generator, kinds: np.ndarray, sizes: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Draw an entry of each wanted class, in proportion to its cells."""
    order = np.argsort(kinds, kind="stable")
    ends = np.cumsum(sizes[order])
    stop = np.concatenate([[0], ends])[np.searchsorted(kinds[order], np.arange(kinds.max() + 2))]
    at = stop[wanted] + rng.random(len(wanted)) * (stop[wanted + 1] - stop[wanted])
    return order[np.searchsorted(ends, at, side="right")]


def transform(
    rng: np.random.Generator, years: np.ndarray, cells: np.ndarray, per_cell_year: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw which clones turn malignant and when, at a hazard per cell.

    Parameters
    ----------
    rng : numpy.random.Generator
    years : array of float, shape (visits,)
        The first 0.
    cells : array of int, shape (visits, clones)
    per_cell_year : array of float, shape (clones,)

    Returns
    -------
    clone : array of int
        Columns of `cells` that turned, in order of time.
    year : array of float
    visit : array of int
        The visit before.
    """
    exposure = (cells[1:] + cells[:-1]) / 2 * np.diff(years)[:, None] * per_cell_year
    hazard = np.concatenate([np.zeros((1, cells.shape[1])), np.cumsum(exposure, axis=0)])
    threshold = rng.standard_exponential((cells.shape[1],))
    turned = np.flatnonzero(hazard[-1] > threshold)
    visit = (hazard[:, turned] <= threshold[turned]).sum(axis=0) - 1
    passed = (threshold[turned] - hazard[visit, turned]) / exposure[visit, turned]
    year = years[visit] + passed * (years[visit + 1] - years[visit])
    order = np.argsort(year, kind="stable")
    return turned[order], year[order], visit[order]
