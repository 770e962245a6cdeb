"""The fast engine, two levels: class totals by themselves, then clones dealt at visits only.

A block of patients is simulated together, and shares one stream of random numbers: what happens to
one patient depends on the whole block, so a block is always simulated whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hsc_pipeline.dynamics.drivers import Drivers, Lineages, Population
from hsc_pipeline.dynamics.rates import Feedback, Tables, kendall_parameters, transition
from hsc_pipeline.dynamics.single import totals_of_one
from hsc_pipeline.dynamics.totals import event_ancestors, event_totals, expected_events, kendall_totals
from hsc_pipeline.dynamics.urn import ancestors, deal

EVENTS_UP_TO = 5000  # expected events of a patient up to which totals go event by event


@dataclass
class Clones:
    """Live clones of a block, in order of patient, class and clone.

    Attributes
    ----------
    column : array of int
        Patient times classes plus class.
    clone : array of int
        Number within the patient.
    cells : array of int
    """

    column: np.ndarray
    clone: np.ndarray
    cells: np.ndarray

    def living(self, cells: np.ndarray) -> "Clones":
        """Return the clones with new sizes, without the extinct ones."""
        live = cells > 0
        return Clones(self.column[live], self.clone[live], cells[live])


def simulate_block(
    clones: Clones,
    tables: Tables,
    feedback: Feedback,
    times: np.ndarray,
    rng: np.random.Generator,
    law: Drivers | None,
) -> Iterator[tuple[Clones, Population | None, float]]:
    """Yield the live clones, the drivers and k dt at each visit.

    Parameters
    ----------
    clones : Clones
        At time 0.
    tables : Tables
        For all patients of the block.
    feedback : Feedback
    times : array of float, shape (visits,)
    rng : numpy.random.Generator
    law : Drivers, optional
    """
    patients, classes = tables.division.shape[1:]
    population = Population(law, rng, patients) if law else None
    totals = np.bincount(clones.column, clones.cells, patients * classes).astype(np.int64)
    by_events = tables.bounded and not law and _is_small(totals.reshape(patients, classes), tables, times)
    now, k_dt = 0.0, 0.0
    for stop in times:
        if not tables.bounded and not law:
            clones = _step_clones(clones, tables, now, stop, rng)
        elif by_events:
            clones = _interval_by_events(clones, tables, feedback, now, stop, rng)
        elif patients == 1 and not law:
            clones, k_dt = _interval_of_one(clones, tables, feedback, now, stop, rng)
        else:
            clones, k_dt = _interval_by_steps(clones, tables, feedback, now, stop, rng, population)
        now = stop
        yield clones, population, k_dt


def _is_small(totals: np.ndarray, tables: Tables, times: np.ndarray) -> bool:
    return all(
        expected_events(totals[p], _of_patient(tables, p), float(times[-1])) <= EVENTS_UP_TO
        for p in range(len(totals))
    )


def _of_patient(tables: Tables, patient: int) -> Tables:
    one = slice(patient, patient + 1)
    return Tables(tables.starts, tables.division[:, one], tables.loss[:, one], tables.room[:, one])


def _step_clones(
    clones: Clones, tables: Tables, start: float, stop: float, rng: np.random.Generator
) -> Clones:
    """Without feedback, Kendall's law holds for any step: each clone jumps from visit to visit."""
    for piece in tables.pieces(start, stop):
        alpha, beta = kendall_parameters(piece.division, piece.loss, piece.stop - piece.start)
        _, cells = transition(rng, clones.cells, alpha.ravel()[clones.column], beta.ravel()[clones.column])
        if cells.sum(dtype=float) > 2**62:
            raise ValueError(f"division: growth without bound, beyond 2^62 cells at {piece.stop:.3g} years")
        clones = clones.living(cells)
    return clones


def _interval_by_steps(
    clones: Clones,
    tables: Tables,
    feedback: Feedback,
    start: float,
    stop: float,
    rng: np.random.Generator,
    population: Population | None,
) -> tuple[Clones, float]:
    patients, classes = tables.division.shape[1:]
    totals = np.bincount(clones.column, clones.cells, patients * classes).astype(np.int64)
    kinds = np.bincount(clones.column, minlength=patients * classes)
    mixed = np.flatnonzero(kinds > 1)
    none = np.zeros(patients)
    if population:
        population.begin_interval(start)
    later, path = kendall_totals(
        rng,
        totals.reshape(patients, classes),
        list(tables.pieces(start, stop)),
        feedback,
        others=population.per_patient if population else lambda: none,
        extra=(lambda *step: population.advance(feedback, *step)) if population else None,
        remember=len(mixed) > 0,
    )
    later = later.ravel()
    number, steps = population.unassigned() if population else (np.zeros(0, np.int64),) * 2
    column = (
        population.born.patient[number] * classes + population.born.kind[number] if population else number
    )
    lines = Lineages(rng, steps, np.searchsorted(mixed, column).clip(max=max(len(mixed) - 1, 0)))
    lines.met[kinds[column] <= 1] = 1  # a single clone: nothing to draw
    founders = later[mixed]
    for step in range(len(path.families) - 1, -1, -1):
        families, after = path.families[step].ravel()[mixed], path.after[step].ravel()[mixed]
        hit = ancestors(rng, families, after, founders)
        lines.pass_step(step, families, after, founders, hit)
        founders = hit
    return _deal_visit(clones, mixed, founders, later, rng, population, number, column, lines), path.k_dt


def _deal_visit(
    clones: Clones,
    mixed: np.ndarray,
    founders: np.ndarray,
    later: np.ndarray,
    rng: np.random.Generator,
    population: Population | None,
    number: np.ndarray,
    column: np.ndarray,
    lines: Lineages,
) -> Clones:
    """Give each column's cells to its clones, and its new drivers their clone."""
    cells = later[clones.column]
    starts = np.searchsorted(clones.column, mixed)
    stops = np.searchsorted(clones.column, mixed, side="right")
    for at, first, last, count in zip(mixed, starts, stops, founders, strict=True):
        sizes = clones.cells[first:last]
        drawn, dealt = deal(rng, sizes, int(count), int(later[at]))
        cells[first:last] = dealt
        for line in np.flatnonzero(column == at):
            index = lines.clone_of(int(line), sizes, drawn, dealt)
            population.born.clone[number[line]] = clones.clone[first + index]
    for line in np.flatnonzero(~np.isin(column, mixed)):
        first = np.searchsorted(clones.column, column[line])
        population.born.clone[number[line]] = clones.clone[first]
    return clones.living(cells)


def _interval_of_one(
    clones: Clones, tables: Tables, feedback: Feedback, start: float, stop: float, rng: np.random.Generator
) -> tuple[Clones, float]:
    classes = tables.division.shape[2]
    bounds = np.searchsorted(clones.column, np.arange(classes + 1))
    totals = [int(clones.cells[first:last].sum()) for first, last in pairwise(bounds)]
    mixed = [kind for kind, (first, last) in enumerate(pairwise(bounds)) if last - first > 1]
    later, founders, k_dt = totals_of_one(rng, totals, list(tables.pieces(start, stop)), feedback, mixed)
    cells = np.array(later)[clones.column]
    for kind in mixed:
        first, last = bounds[kind], bounds[kind + 1]
        _, cells[first:last] = deal(rng, clones.cells[first:last], founders[kind], later[kind])
    return clones.living(cells), k_dt


def _interval_by_events(
    clones: Clones, tables: Tables, feedback: Feedback, start: float, stop: float, rng: np.random.Generator
) -> Clones:
    patients, classes = tables.division.shape[1:]
    cells = np.zeros_like(clones.cells)
    for patient in range(patients):
        bounds = np.searchsorted(clones.column, patient * classes + np.arange(classes + 1))
        totals = np.array([clones.cells[a:b].sum() for a, b in pairwise(bounds)])
        one = _of_patient(tables, patient)
        own = Feedback(feedback.regulation, feedback.regrowth[patient : patient + 1])
        later, births = event_totals(rng, totals, list(one.pieces(start, stop)), own)
        for kind, (first, last) in enumerate(pairwise(bounds)):
            if last - first == 1:
                cells[first] = later[kind]
            elif last > first:
                count = event_ancestors(rng, births, kind, int(later[kind]))
                _, cells[first:last] = deal(rng, clones.cells[first:last], count, int(later[kind]))
    return clones.living(cells)
