"""Driver mutations that arise during follow-up: each a clone of one cell with an advantage.

Tens a year arise in an adult marrow and most die out at once, so drivers are stepped as totals of
their own, and the clone a driver came from is drawn at the visit, only if it is alive there.
"""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.dynamics.rates import Feedback, Piece, kendall_parameters, transition
from hsc_pipeline.dynamics.urn import merge_probability

# Drivers arise at a thousandth a cell and year and gain a tenth a year: nothing of theirs changes in
# eleven days but what the total does to all cells, and that they follow by its mean.
LONGEST_WAIT_YEARS = 0.03


@dataclass(frozen=True)
class Drivers:
    """How drivers arise.

    Attributes
    ----------
    per_cell_year : float
        Drivers per cell and year.
    shape, rate : float
        Gamma law of the advantage per year.
    least : float
        Advantages below are not drivers: the law is cut there.

    References
    ----------
    .. [1] Spencer Chapman 2024, 10.1038/s41586-024-08128-y: 8e-4 per stem-cell year with advantages
       above 0.05, gamma of shape 0.65 and rate 31, at N = 2.3e5 and one division in two years.
    """

    per_cell_year: float
    shape: float
    rate: float
    least: float

    def advantages(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw advantages per year, by rejection."""
        found = np.zeros(0)
        while len(found) < size:
            more = rng.standard_gamma(self.shape, 64 + 32 * size) / self.rate
            found = np.concatenate([found, more[more >= self.least]])
        return found[:size]


@dataclass
class Born:
    """Every driver born so far, as parallel arrays; the index is the driver's number in its block.

    Attributes
    ----------
    patient, kind : array of int
        Patient and class of the cell it arose in.
    advantage : array of float
        Per year, that of its parent driver included.
    year : array of float
    parent : array of int
        Number of the driver it arose in, -1 for a cell of a class.
    clone : array of int
        Clone of the class that it descends from, -1 until it is known.
    """

    patient: np.ndarray
    kind: np.ndarray
    advantage: np.ndarray
    year: np.ndarray
    parent: np.ndarray
    clone: np.ndarray

    @classmethod
    def none(cls) -> "Born":
        """Return an empty record."""
        ints = [np.zeros(0, np.int64) for _ in range(4)]
        return cls(ints[0], ints[1], np.zeros(0), np.zeros(0), ints[2], ints[3])

    def add(self, **columns: np.ndarray) -> None:
        """Append drivers."""
        for name, values in columns.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))


class Population:
    """The drivers of a block: those born, and the cells of those alive.

    Parameters
    ----------
    law : Drivers
    rng : numpy.random.Generator
    patients : int
    """

    def __init__(self, law: Drivers, rng: np.random.Generator, patients: int):
        self.law, self.rng, self.patients = law, rng, patients
        self.born = Born.none()
        self.alive = np.zeros(0, np.int64)  # numbers of live drivers
        self.cells = np.zeros(0, np.int64)
        self.begin_interval(0.0)

    def begin_interval(self, year: float) -> None:
        """Forget which steps drivers arose at: the visit has assigned their clones."""
        self.year, self.step, self.first = year, 0, len(self.born.patient)
        self.waited, self.crowd = 0.0, np.zeros((self.patients, 1))
        self.arose_at: list[np.ndarray] = []

    def per_patient(self) -> np.ndarray:
        """Return each patient's driver cells."""
        return np.bincount(self.born.patient[self.alive], weights=self.cells, minlength=self.patients)

    def advance(
        self,
        feedback: Feedback,
        totals: np.ndarray,
        middle: np.ndarray,
        piece: Piece,
        years: float,
        is_end: bool,
    ) -> np.ndarray:
        """Step the live drivers, let new ones arise, and return the class totals without their cells.

        Steps are gathered to `LONGEST_WAIT_YEARS`, and the drivers stepped once under their mean total.
        """
        self.waited += years
        self.crowd += middle * years
        if self.waited < LONGEST_WAIT_YEARS and not is_end:
            self.step += 1
            return totals
        years, middle = self.waited, self.crowd / self.waited
        self.waited, self.crowd = 0.0, np.zeros_like(self.crowd)
        self._grow(middle, piece, feedback, years)
        self.year += years
        chance = -np.expm1(-self.law.per_cell_year * years)
        from_classes = self.rng.binomial(totals, chance)
        from_drivers = self.rng.binomial(self.cells, chance)
        self.cells = self.cells - from_drivers
        patient, kind = np.nonzero(from_classes)
        count = from_classes[patient, kind]
        parents = np.repeat(self.alive, from_drivers)
        self._bear(
            np.concatenate([np.repeat(patient, count), self.born.patient[parents]]),
            np.concatenate([np.repeat(kind, count), self.born.kind[parents]]),
            np.concatenate([np.full(count.sum(), -1), parents]),
        )
        self.step += 1
        live = self.cells > 0
        self.alive, self.cells = self.alive[live], self.cells[live]
        return totals - from_classes

    def _grow(self, middle: np.ndarray, piece: Piece, feedback: Feedback, years: float) -> None:
        if not len(self.alive):
            return
        patient, kind = self.born.patient[self.alive], self.born.kind[self.alive]
        own = Feedback(feedback.regulation, feedback.regrowth[patient, 0])
        birth, death = own.rates(
            middle[patient, 0],
            piece.room[patient, 0],
            piece.division[patient, kind] + self.born.advantage[self.alive],
            piece.loss[patient, kind],
        )
        _, self.cells = transition(self.rng, self.cells, *kendall_parameters(birth, death, years))

    def _bear(self, patient: np.ndarray, kind: np.ndarray, parent: np.ndarray) -> None:
        size, number = len(patient), len(self.born.patient)
        self.arose_at.append(np.full(size, self.step))
        if not size:
            return
        inherited = np.where(parent >= 0, np.append(self.born.advantage, 0.0)[parent], 0.0)
        self.born.add(
            patient=patient,
            kind=kind,
            advantage=inherited + self.law.advantages(self.rng, size),
            year=np.full(size, self.year),
            parent=parent,
            clone=np.full(size, -1),
        )
        self.alive = np.concatenate([self.alive, number + np.arange(size)])
        self.cells = np.concatenate([self.cells, np.ones(size, np.int64)])

    def unassigned(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the drivers of this interval whose class clone must be drawn, and their steps.

        Those alive, and those that a live one descends from.
        """
        needed = np.zeros(len(self.born.patient), bool)
        line = self.alive
        while len(line):
            needed[line] = True
            line = self.born.parent[line]
            line = line[line >= 0]
        number = np.flatnonzero(needed & (self.born.parent < 0) & (self.born.clone < 0))
        return number, np.concatenate([*self.arose_at, np.zeros(0, np.int64)])[number - self.first]


class Lineages:
    """Drivers' ancestors going backwards through an interval, beside the urn's.

    A driver's line either meets the ancestors of the cells at the visit, and then belongs to a
    family of theirs, or reaches the interval's start by itself, from a cell that left nothing else.

    Parameters
    ----------
    rng : numpy.random.Generator
    steps : array of int, shape (lines,)
        Step at whose end each driver arose.
    column : array of int, shape (lines,)
        Column of the urn: the patient and class it arose in.
    """

    def __init__(self, rng: np.random.Generator, steps: np.ndarray, column: np.ndarray):
        self.rng, self.steps, self.column = rng, steps, column
        self.met = np.zeros(len(steps), np.int64)  # ancestors at the time of meeting; 0: not met

    def pass_step(
        self, step: int, families: np.ndarray, after: np.ndarray, sampled: np.ndarray, hit: np.ndarray
    ) -> None:
        """Take the open lines backwards through a step; arguments as of `urn.ancestors`, by column."""
        open_lines = np.flatnonzero((self.steps >= step) & (self.met == 0))
        if not len(open_lines):
            return
        at = self.column[open_lines]
        chance = merge_probability(families[at], after[at], sampled[at], hit[at])
        merged = self.rng.random(len(open_lines)) < chance
        # A family is met in proportion to its marked cells plus one: by a marked cell or as a family.
        by_cell = self.rng.random(len(open_lines)) * (sampled[at] + hit[at]) < sampled[at]
        self.met[open_lines[merged]] = np.where(by_cell, sampled[at], hit[at])[merged]

    def clone_of(self, line: int, sizes: np.ndarray, founders: np.ndarray, cells: np.ndarray) -> int:
        """Draw the clone of a line, an index into a class's clones after the deal.

        Among G ancestors at the meeting, a clone has its founders plus a hypergeometric share of
        its other cells; a line that met none began as a cell without progeny at the visit.
        """
        met, first = int(self.met[line]), int(founders.sum())
        if met == 0:
            weight = sizes - founders
        elif self.rng.random() * met < first:
            weight = founders
        else:
            weight = cells - founders
        ends = np.cumsum(weight)
        return int(np.searchsorted(ends, self.rng.random() * ends[-1], side="right"))
