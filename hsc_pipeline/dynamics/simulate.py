"""The engine's two doors: one patient, and a block of patients with drivers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.dynamics.drivers import Drivers
from hsc_pipeline.dynamics.rates import MOST_CELLS, REGULATIONS, Feedback, Tables, is_step_table, make_tables
from hsc_pipeline.dynamics.totals import K_DT

ENGINES = ("fast", "events")
MOST_STEPS = 1e7  # a quarter of an hour of one patient
# Rows are most of the memory of a block: what numbers them is half as wide as what they count.
COLUMNS = {
    "patient": np.int32,
    "visit": np.int32,
    "clone": np.int32,
    "parent": np.int32,
    "class": np.int32,
    "cells": np.int64,
}


@dataclass(frozen=True)
class Simulation:
    """Clones of a block of patients at the visits.

    Attributes
    ----------
    columns : dict of str to array
        ``patient, visit, clone, parent, class, cells``, of the types in `COLUMNS`: one row per live
        clone and visit, in order of visit, patient and clone.  A driver has a number after the clones
        of time 0, the class after the given ones, and the clone that it arose in as its parent;
        others -1.
    drivers : dict of str to array
        ``patient, clone, parent, root, class, year, advantage`` of every driver that ever appears
        in `columns` or in the line of one: the clone of time 0 it descends from, the class of that
        clone, when it arose, and its advantage per year, all inherited ones included.
    k_dt : float
        Largest step times relaxation rate; 0 where no step was approximate.
    """

    columns: dict[str, np.ndarray]
    drivers: dict[str, np.ndarray]
    k_dt: float


def simulate_clones(
    sizes,
    fitness_class,
    division,
    loss,
    times,
    seed,
    capacity=None,
    regulation="division",
    regrowth=6.0,
    engine="fast",
) -> np.ndarray:
    """Simulate the sizes of competing clones in one patient.

    Parameters
    ----------
    sizes : array of int, shape (clones,)
        Cells at time 0.
    fitness_class : array of int, shape (clones,)
        Class of each clone, an index into the rates.
    division, loss : array of float, shape (classes,), or step table
        Symmetric divisions and losses of a cell per year, at capacity.  A step table is
        ``(starts, values)``: the years from which each row of values, shape (breakpoints,
        classes), holds; a bare array of shape (visits, classes) has a row per visit's interval.
    times : array of float, shape (visits,)
        Years after time 0, increasing.
    seed : int or numpy.random.SeedSequence
    capacity : float or step table, optional
        Cells of a full marrow.  None: no feedback.
    regulation : {"division", "loss"}
        Whether crowding slows division, ``division + regrowth * (1 - total / capacity)``, or
        raises loss, ``loss + regrowth * (total / capacity - 1)``; both floored at 0.
    regrowth : float
        Per year, common to all classes, so that crowding leaves differences of net growth alone.
    engine : {"fast", "events"}
        ``fast``: two levels; ``events``: event by event, the reference.

    Returns
    -------
    array of int64, shape (visits, clones)

    Raises
    ------
    ValueError
        Naming the argument that makes no sense, or growth without bound.
    MemoryError
        If the result would not fit, saying what it needs.
    """
    sizes = np.asarray(sizes)
    times = _times(times)
    _refuse_beyond_memory(len(times), sizes.size)
    found = simulate_patients(
        [sizes], [fitness_class], division, loss, times, seed, capacity, regulation, regrowth, engine
    ).columns
    out = np.zeros((len(times), len(sizes)), np.int64)
    out[found["visit"], found["clone"]] = found["cells"]
    return out


def simulate_patients(
    sizes: Sequence,
    fitness_class: Sequence,
    division,
    loss,
    times,
    seed,
    capacity=None,
    regulation="division",
    regrowth=6.0,
    engine="fast",
    drivers: Drivers | None = None,
) -> Simulation:
    """Simulate a block of patients together.

    The patients of a block share one stream of random numbers, so a result belongs to the block:
    simulate it whole, always.  A block of one patient depends on nobody else.

    Parameters
    ----------
    sizes, fitness_class : sequence of array of int
        As of `simulate_clones`, one array per patient.
    division, loss : array of float, shape (classes,) or (patients, classes), or step table
        A step table's values have shape (breakpoints, classes) or (breakpoints, patients, classes).
    times : array of float, shape (visits,)
    seed : int or numpy.random.SeedSequence
    capacity : float, array of shape (patients,), step table, or None
    regulation : {"division", "loss"}
    regrowth : float or array of shape (patients,)
    engine : {"fast", "events"}
    drivers : Drivers, optional
        How driver mutations arise on the way.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        Naming the argument that makes no sense, or growth without bound.
    """
    times = _times(times)
    sizes, kinds = _clones(sizes, fitness_class)
    classes = _classes(division)
    for kind in kinds:
        if len(kind) and not 0 <= kind.min() <= kind.max() < classes:
            raise ValueError(f"fitness_class: classes are 0 to {classes - 1}")
    tables = make_tables(division, loss, capacity, times, len(sizes), classes)
    if regulation not in REGULATIONS:
        raise ValueError(f"regulation: one of {', '.join(REGULATIONS)}")
    growth = np.broadcast_to(np.asarray(regrowth, float), (len(sizes),))
    if not np.all(np.isfinite(growth)) or np.any(growth < 0):
        raise ValueError("regrowth: rates per year are finite and not negative")
    feedback = Feedback(regulation, growth[:, None])
    if engine not in ENGINES:
        raise ValueError(f"engine: one of {', '.join(ENGINES)}")
    if engine == "fast" and tables.bounded and growth.max() * times[-1] / K_DT > MOST_STEPS:
        most = MOST_STEPS * K_DT / times[-1]
        raise ValueError(f"regrowth: {growth.max():g} a year; allowed over these years: at most {most:g}")
    _refuse_explosion(sizes, tables, growth, times)
    run = _run_fast if engine == "fast" else _run_events
    return run(sizes, kinds, tables, feedback, times, seed, drivers)


def _run_fast(sizes, kinds, tables: Tables, feedback: Feedback, times, seed, law) -> Simulation:
    from hsc_pipeline.dynamics.fast import Clones, simulate_block

    classes = tables.division.shape[2]
    ends = np.cumsum([len(size) for size in sizes])
    starts = ends - [len(size) for size in sizes]
    owner = np.repeat(np.arange(len(sizes)), ends - starts)
    cells_of = np.zeros(len(owner), np.int64)
    rows, of_drivers, population, k_dt = [], [], None, 0.0
    for live, population, step in simulate_block(
        Clones(*_flat(sizes, kinds, classes)),
        tables,
        feedback,
        times,
        np.random.default_rng(seed),
        law,
    ):
        k_dt = max(k_dt, step)
        # Through a place for every clone: the rows come out in order of patient and clone, unsorted.
        cells_of[:] = 0
        cells_of[starts[live.column // classes] + live.clone] = live.cells
        at = np.flatnonzero(cells_of)
        rows.append((at, cells_of[at]))
        if population:
            of_drivers.append((population.alive, population.cells))
    columns = _rows_of_clones(rows, owner, starts, np.concatenate(kinds))
    drivers, names, parents = _name_drivers(population, [len(s) for s in sizes])
    if population is None:
        return Simulation(columns, drivers, k_dt)
    alive, cells = (np.concatenate(column) for column in zip(*of_drivers, strict=True))
    visit = np.repeat(np.arange(len(times)), [len(alive) for alive, _ in of_drivers])
    kind = np.full(len(alive), classes)
    added = (population.born.patient[alive], visit, names[alive], parents[alive], kind, cells)
    both = [np.concatenate(pair) for pair in zip(columns.values(), added, strict=True)]
    return _simulation(both, drivers, k_dt)


def _rows_of_clones(rows: list, owner: np.ndarray, starts: np.ndarray, kinds: np.ndarray) -> dict:
    """Return the columns of the clones of time 0, from their places and cells at each visit."""
    ends = np.cumsum([len(at) for at, _ in rows])
    columns = {name: np.empty(ends[-1], dtype) for name, dtype in COLUMNS.items()}
    columns["parent"].fill(-1)
    each = {"patient": owner, "clone": np.arange(len(owner)) - starts[owner], "class": kinds}
    each = {name: values.astype(COLUMNS[name]) for name, values in each.items()}
    for visit, ((at, cells), stop) in enumerate(zip(rows, ends, strict=True)):
        here = slice(stop - len(at), stop)
        columns["visit"][here], columns["cells"][here] = visit, cells
        for name, values in each.items():
            # Places are within bounds; "clip" writes in place where "raise" makes a copy.
            values.take(at, out=columns[name][here], mode="clip")
    return columns


def _run_events(sizes, kinds, tables: Tables, feedback: Feedback, times, seed, law) -> Simulation:
    from hsc_pipeline.dynamics.events import simulate_patient

    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # Spawned by hand: SeedSequence.spawn would change the caller's sequence.
    seeds = [
        np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, patient))
        for patient in range(len(sizes))
    ]
    parts = [
        simulate_patient(patient, size, kind, tables, feedback, times, np.random.default_rng(own), law)
        for patient, (size, kind, own) in enumerate(zip(sizes, kinds, seeds, strict=True))
    ]
    columns = [np.concatenate([part[0][name] for part in parts]) for name in COLUMNS]
    drivers = {name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]}
    patient, visit, clone, parent, kind, cells = columns
    return _simulation((patient, visit, clone, parent, kind, cells), drivers, 0.0)


def _simulation(given: Sequence[np.ndarray], drivers: dict, k_dt: float) -> Simulation:
    patient, visit, clone = given[:3]
    order = np.lexsort((clone, patient, visit))
    columns = zip(COLUMNS.items(), given, strict=True)
    return Simulation({name: of[order].astype(dtype) for (name, dtype), of in columns}, drivers, k_dt)


def _name_drivers(population, clones: list[int]) -> tuple[dict, np.ndarray, np.ndarray]:
    """Number drivers after the clones of their patient; return the table, and names and parents in order."""
    names = ("patient", "clone", "parent", "root", "class", "year", "advantage")
    if population is None:
        return {name: np.zeros(0) for name in names}, np.zeros(0, np.int64), np.zeros(0, np.int64)
    born = population.born
    order = np.argsort(born.patient, kind="stable")
    start = np.searchsorted(born.patient[order], np.arange(len(clones)))
    name = np.zeros(len(order), np.int64)
    name[order] = np.arange(len(order)) - start[born.patient[order]] + np.array(clones)[born.patient[order]]
    root = born.clone.copy()
    for number in np.flatnonzero(born.parent >= 0):  # parents come before their drivers
        root[number] = root[born.parent[number]]
    parents = np.where(born.parent >= 0, np.append(name, -1)[born.parent], born.clone)
    known = root >= 0
    columns = (born.patient, name, parents, root, born.kind, born.year, born.advantage)
    return {key: column[known] for key, column in zip(names, columns, strict=True)}, name, parents


def _flat(sizes, kinds, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    column = np.concatenate([p * classes + kind for p, kind in enumerate(kinds)])
    clone = np.concatenate([np.arange(len(size)) for size in sizes])
    cells = np.concatenate(sizes)
    order = np.flatnonzero(cells)
    order = order[np.argsort(column[order], kind="stable")]
    return column[order], clone[order], cells[order]


def _times(times) -> np.ndarray:
    times = np.asarray(times, float)
    if times.ndim != 1 or not len(times) or not np.all(np.isfinite(times)):
        raise ValueError("times: one or more finite years")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError("times: years from 0 on, increasing")
    return times


def _clones(sizes: Sequence, kinds: Sequence) -> tuple[list[np.ndarray], list[np.ndarray]]:
    sizes, kinds = [np.asarray(s) for s in sizes], [np.asarray(k) for k in kinds]
    if len(sizes) != len(kinds) or not sizes:
        raise ValueError("fitness_class: one array per patient, as of sizes")
    for size, kind in zip(sizes, kinds, strict=True):
        if (
            size.ndim != 1
            or not (np.issubdtype(size.dtype, np.integer) or size.size == 0)
            or np.any(size < 0)
        ):
            raise ValueError("sizes: whole numbers of cells, none negative, in one dimension")
        if size.size and int(size.max()) > 2**62 // size.size:
            raise ValueError("sizes: more cells than a 64-bit number holds")
        if kind.shape != size.shape or not (np.issubdtype(kind.dtype, np.integer) or kind.size == 0):
            raise ValueError("fitness_class: one whole number per clone")
    return [s.astype(np.int64) for s in sizes], [k.astype(np.int64) for k in kinds]


def _classes(division) -> int:
    values = division[1] if is_step_table(division) else division
    if np.ndim(values) == 0 or np.shape(values)[-1] == 0:
        raise ValueError("division: one rate per class")
    return np.shape(values)[-1]


def _refuse_explosion(sizes, tables: Tables, regrowth: np.ndarray, times: np.ndarray) -> None:
    """Refuse at once what would grow beyond what can be counted, with feedback too weak to hold it."""
    net = (tables.division - tables.loss).max(axis=(0, 2))
    cells = np.array([size.sum() for size in sizes], float)
    with np.errstate(divide="ignore", invalid="ignore"):
        steady = tables.room.max(axis=(0, 2)) * (1 + np.maximum(net, 0) / regrowth)
        reached = np.log(cells) + np.maximum(net, 0) * times[-1]
    limit = MOST_CELLS if tables.bounded else 2.0**60
    held = steady <= limit if tables.bounded else np.zeros(len(sizes), bool)
    for patient in np.flatnonzero((cells > 0) & ~held & (reached > np.log(limit))):
        raise ValueError(
            f"division: growth without bound, {cells[patient]:.0f} cells would become about "
            f"1e{reached[patient] / np.log(10):.0f} in {times[-1]:g} years"
        )


def _refuse_beyond_memory(visits: int, clones: int) -> None:
    needed = 8 * visits * clones
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise MemoryError(
            f"the sizes of {clones} clones at {visits} visits need {needed / 1e9:.1f} GB of {there / 1e9:.1f}"
        )
