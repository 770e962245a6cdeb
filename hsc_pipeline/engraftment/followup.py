"""Follow-up: one marrow from homing to the last visit, with what is infused on the way."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from hsc_pipeline.engraftment.acquired import Acquired
from hsc_pipeline.engraftment.cells import Cells
from hsc_pipeline.engraftment.competition import Room, group
from hsc_pipeline.engraftment.stress import Course
from hsc_pipeline.streams import sequence

LONGEST_YEARS = 1.0  # after which the room that acquired drivers take is seen anew
Gift = Callable[[np.ndarray, float], np.ndarray]  # (cells, years) -> cells after an infusion


def follow(
    cells: Cells,
    sizes: np.ndarray,
    course: Course,
    room: Room,
    acquired: Acquired,
    visits: np.ndarray,
    gifts: Mapping[float, Gift],
    seed: int,
) -> np.ndarray:
    """Follow one marrow from visit to visit.

    Parameters
    ----------
    cells : Cells
    sizes : array of int, shape (entries,)
        After homing.
    course : Course
    room : Room
    acquired : Acquired
        Filled on the way; its cells are beside `sizes`.
    visits : array of float, shape (visits,)
        Years.
    gifts : mapping of float to callable
        What is infused later, by year; none after the last visit.
    seed : int
        Of the patient.

    Returns
    -------
    array of int, shape (visits, entries)
    """
    seen = []
    for number, span in enumerate(pairwise(stops(visits, gifts))):
        alive = np.flatnonzero(sizes)
        later = np.zeros_like(sizes)
        if len(alive):
            kinds, classes = group(cells.take(alive), sizes[alive], course.tells_origins)
            before = int(acquired.now.sum())
            acquired.advance(alive, sizes[alive], kinds, classes, span)
            later[alive] = room.simulate(
                sizes[alive],
                kinds,
                classes,
                course,
                span,
                (before, int(acquired.now.sum())),
                sequence(seed, f"engraftment.competition.{number}"),
            )
        else:
            acquired.now[:] = 0
        sizes = later
        if span[1] in visits:
            seen.append(sizes)
            acquired.see()
        if span[1] in gifts:
            sizes = gifts[span[1]](sizes, span[1])
    return np.array(seen)


def stops(visits: np.ndarray, gifts: Mapping[float, Gift]) -> list[float]:
    """Return the years at which a follow-up is cut: visits, infusions, and between them often enough."""
    fixed = np.unique([0.0, *gifts, *visits])
    parts = np.maximum(np.ceil(np.diff(fixed) / LONGEST_YEARS - 1e-9).astype(int), 1)
    cut = [a + (b - a) * np.arange(n) / n for (a, b), n in zip(pairwise(fixed), parts, strict=True)]
    return [*np.concatenate(cut).tolist(), float(fixed[-1])]
