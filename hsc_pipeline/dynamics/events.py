"""The reference engine: one birth, loss or mutation at a time, exact under any feedback.

A cell is drawn at random among all cells and its event by rejection, so an event costs the same
whatever the number of clones.  Candidate events come at a constant rate in short blocks [1]_, so
that each costs one random number and no clock is read between them; docs/engine.md derives it.
Compiled by numba where it is installed, else plain Python, with the same results.

References
----------
.. [1] Uniformisation: Jensen 1953, Scand Actuar J 1953:sup1, 10.1080/03461238.1953.10419459
"""

from functools import cache

import numpy as np


@cache
def kernel():
    """Return the event loop, compiled if numba is installed."""
    try:
        from numba import njit
    except ImportError:
        return _run
    return njit(cache=True)(_run)


def _run(  # noqa: C901 - one loop, as numba wants it
    rng, owner, cells, kind, advantage, divisions, losses, rooms, ends, regrowth, on_division, mutation, gains
):
    """Run one patient through pieces of constant tables, from visit to visit.

    Parameters
    ----------
    rng : numpy.random.Generator
    owner : array of int32, shape (room for cells,)
        Clone of each live cell, the first `cells` entries.
    cells : int
        Live cells.
    kind, advantage : arrays, shape (room for clones,)
        Class and advantage per year of each clone, the first `clones` entries.
    divisions, losses : array, shape (pieces, classes)
    rooms, ends : array, shape (pieces,)
        Capacity and end of each piece in years; one visit's interval.
    regrowth : float
    on_division : bool
    mutation : float
        Drivers per cell and year.
    gains : array of float
        Advantages of the drivers to come, in order.

    Returns
    -------
    owner : array
        Possibly longer than given.
    cells : int
        Live cells.
    born : int
        Drivers that arose; their parents stand in `parents`.
    parents : array of int64
    """
    first_new = len(kind) - len(gains)
    born = 0
    parents = np.empty(len(gains), np.int64)
    most = 0.0
    for clone in range(first_new):
        most = max(most, advantage[clone])
    for piece in range(len(rooms)):
        now, stop = ends[piece], ends[piece + 1]
        division, loss, room = divisions[piece], losses[piece], rooms[piece]
        most_crowding = regrowth if np.isfinite(room) else 0.0
        per_cell = most_crowding / room
        top_division, low_division = division.max(), division.min()
        top_loss, low_loss = loss.max(), loss.min()
        while cells > 0 and now < stop:
            # Long enough to spread the cost of its length, short enough for few empty slots.
            block = int(np.sqrt(cells))
            # Before any event of a block the total is within block - 1 of the present one.
            slots = cells + block - 1
            if slots >= len(owner):
                owner = np.concatenate((owner, np.empty(len(owner), owner.dtype)))
            least, largest = most_crowding - per_cell * slots, most_crowding - per_cell * (cells - block + 1)
            top_birth, low_birth, top_death, low_death = top_division + most, low_division, top_loss, low_loss
            if on_division:
                top_birth, low_birth = max(top_birth + largest, 0.0), max(low_birth + least, 0.0)
            else:
                top_death, low_death = max(top_death - least, 0.0), max(low_death - largest, 0.0)
            # Of a number below `top`: births up to top_birth, losses up to top_both, mutations beyond.
            low_both, top_both = top_birth + low_death, top_birth + top_death
            top = top_both + mutation
            if top <= 0.0:
                break
            years = rng.standard_gamma(block) / (top * slots)
            candidates, before_end = block, block - 1
            if years >= stop - now:  # those before `stop`: the others than the last fall evenly
                candidates = before_end = rng.binomial(block - 1, (stop - now) / years)
                years = stop - now
            for candidate in range(candidates):
                place = rng.random() * slots
                cell = int(place)
                if cell >= cells:  # nobody there
                    continue
                pick = (place - cell) * top
                clone = owner[cell]
                birth, death = low_birth, low_both
                # Most picks fall where every class would decide alike, and the cell's own is not looked up.
                if low_birth <= pick < top_birth or low_both <= pick < top_both:
                    crowding = most_crowding - per_cell * cells
                    birth, death = division[kind[clone]] + advantage[clone], loss[kind[clone]]
                    if on_division:
                        birth += crowding
                    else:
                        death = max(death - crowding, 0.0)
                    death += top_birth
                if pick < birth:
                    owner[cells] = clone
                    cells += 1
                elif top_birth <= pick < death:
                    cells -= 1
                    owner[cell] = owner[cells]
                elif pick >= top_both:
                    if born == len(gains):
                        return owner, cells, -1, parents
                    new = first_new + born
                    kind[new] = kind[clone]
                    advantage[new] = advantage[clone] + gains[born]
                    parents[born] = clone
                    owner[cell] = new
                    born += 1
                    if advantage[new] > most:  # the bounds no longer hold: the block ends here
                        most = advantage[new]
                        if candidate < before_end:
                            years *= rng.beta(candidate + 1, before_end - candidate)
                        break
            now += years
    return owner, cells, born, parents


def simulate_patient(patient, sizes, kinds, tables, feedback, times, rng, law):
    """Simulate one patient event by event.

    Parameters
    ----------
    patient : int
        Column of the tables.
    sizes, kinds : array of int, shape (clones,)
    tables : Tables
    feedback : Feedback
    times : array of float, shape (visits,)
    rng : numpy.random.Generator
    law : Drivers or None

    Returns
    -------
    columns, drivers : dict of str to array
        As of `simulate.Simulation`.
    """
    run, classes = kernel(), tables.division.shape[2]
    cells = int(sizes.sum())
    owner = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    owner = np.concatenate([owner, np.zeros(cells // 2 + 1024, np.int32)])
    kind, advantage = kinds.copy(), np.zeros(len(kinds))
    parent, year = np.full(len(kinds), -1), np.zeros(len(kinds))
    rows, now = [], 0.0
    for visit, stop in enumerate(times):
        pieces = list(tables.pieces(now, stop))
        mutation = law.per_cell_year if law else 0.0
        gains = law.advantages(rng, _room_for(mutation, cells, pieces, patient)) if law else np.zeros(0)
        known = len(kind)
        kind = np.concatenate([kind, np.zeros(len(gains), np.int64)])
        advantage = np.concatenate([advantage, np.zeros(len(gains))])
        owner, cells, born, parents = run(
            rng,
            owner,
            cells,
            kind,
            advantage,
            np.array([piece.division[patient] for piece in pieces]).reshape(-1, classes),
            np.array([piece.loss[patient] for piece in pieces]).reshape(-1, classes),
            np.array([piece.room[patient, 0] for piece in pieces]),
            np.array([now, *(piece.stop for piece in pieces)]),
            float(feedback.regrowth[patient, 0]),
            feedback.regulation == "division",
            mutation,
            gains,
        )
        if born < 0:
            raise ValueError("drivers: more arose in an interval than there was room for")
        kind, advantage = kind[: known + born], advantage[: known + born]
        parent, year = np.append(parent, parents[:born]), np.append(year, np.full(born, now))
        count = np.bincount(owner[:cells], minlength=len(kind))
        live = np.flatnonzero(count)
        rows.append((np.full(len(live), visit), live, count[live]))
        now = stop
    visit, clone, count = (np.concatenate(column) for column in zip(*rows, strict=True))
    root = np.arange(len(parent))
    for number in np.flatnonzero(parent >= 0):
        root[number] = root[parent[number]]
    is_driver = parent >= 0
    columns = {
        "patient": np.full(len(visit), patient),
        "visit": visit,
        "clone": clone,
        "parent": parent[clone],
        "class": np.where(is_driver[clone], classes, kind[clone]),
        "cells": count,
    }
    number = np.flatnonzero(is_driver)
    drivers = {
        "patient": np.full(len(number), patient),
        "clone": number,
        "parent": parent[number],
        "root": root[number],
        "class": kind[number],
        "year": year[number],
        "advantage": advantage[number],
    }
    return columns, drivers


def _room_for(mutation: float, cells: int, pieces: list, patient: int) -> int:
    """Return a number of drivers that an interval will not exceed."""
    years = sum(piece.stop - piece.start for piece in pieces)
    rooms = [float(piece.room[patient, 0]) for piece in pieces]
    most = max([cells, *(2 * room for room in rooms if np.isfinite(room))])
    mean = mutation * most * years
    return int(2 * mean + 10 * np.sqrt(mean) + 100)
