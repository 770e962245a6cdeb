"""Class totals between visits: a small Markov process by itself, since feedback sees only totals.

By Kendall steps of all patients of a block at once, or event by event for small populations.
A path remembers of each step what the urn needs to count ancestors backwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from hsc_pipeline.dynamics.rates import MOST_CELLS, Feedback, Piece, Tables, kendall_parameters, transition

# Step times relaxation rate of the total, k dt.  With rates taken at the middle of a step the mean
# is within 0.1 % and the variance of the total inflated by about k dt.
K_DT = 0.02
LARGEST_GROWTH = 0.2  # regrowth times step, where the marrow is still empty
EMPTY = 0.1  # fullness below which a step grows no longer
LARGEST_STEP_YEARS = 0.1


@dataclass
class Path:
    """Steps of an interval between visits.

    Attributes
    ----------
    families, after : list of array of int, shape (patients, classes)
        Cells with progeny and cells at the end of each step.
    k_dt : float
        Largest step times relaxation rate.
    """

    families: list[np.ndarray] = field(default_factory=list)
    after: list[np.ndarray] = field(default_factory=list)
    k_dt: float = 0.0


Extra = Callable[[np.ndarray, np.ndarray, Piece, float, bool], np.ndarray]


def kendall_totals(
    rng: np.random.Generator,
    totals: np.ndarray,
    pieces: list[Piece],
    feedback: Feedback,
    others: Callable[[], np.ndarray],
    extra: Extra | None,
    remember: bool,
) -> tuple[np.ndarray, Path]:
    """Step the class totals of a block of patients through an interval.

    Parameters
    ----------
    rng : numpy.random.Generator
    totals : array of int, shape (patients, classes)
    pieces : list of Piece
    feedback : Feedback
    others : callable
        Cells of each patient outside the classes (drivers), shape (patients,).
    extra : callable, optional
        Called with (totals, total in the middle, piece, years, whether the piece ends) at the end of
        each step; returns the totals less the cells that became drivers.
    remember : bool
        Whether the urn will need the path.

    Returns
    -------
    totals : array of int, shape (patients, classes)
    path : Path
    """
    path = Path()
    for piece in pieces:
        now = piece.start
        while now < piece.stop:
            total = totals.sum(axis=1, keepdims=True) + others()[:, None]
            years, k_dt = _step(total, piece, feedback, piece.stop - now)
            path.k_dt = max(path.k_dt, k_dt)
            birth, death = feedback.rates(total, piece.room, piece.division, piece.loss)
            middle = (totals * np.exp((birth - death) * years / 2)).sum(axis=1, keepdims=True) + others()[
                :, None
            ]
            birth, death = feedback.rates(middle, piece.room, piece.division, piece.loss)
            alpha, beta = kendall_parameters(birth, np.broadcast_to(death, birth.shape), years)
            families, totals = transition(rng, totals, alpha, beta)
            if totals.max(initial=0) > MOST_CELLS:
                raise ValueError(
                    f"division: growth without bound, beyond {MOST_CELLS:g} cells at {now + years:.3g} years"
                )
            if remember:
                path.families.append(families)
                path.after.append(totals)
            if extra is not None:
                totals = extra(totals, middle, piece, years, years >= piece.stop - now)
            now = piece.stop if years >= piece.stop - now else now + years
    return totals, path


def _step(total: np.ndarray, piece: Piece, feedback: Feedback, left: float) -> tuple[float, float]:
    """Return the step of a block, short enough for each patient, and its k dt."""
    bounded = np.isfinite(piece.room)
    fullness = float(np.max(np.where(bounded, total / piece.room, 0)))
    return step_length(fullness, float(np.max(np.where(bounded, feedback.regrowth, 0))), left)


def step_length(fullness: float, regrowth: float, left: float) -> tuple[float, float]:
    """Return the length of the next step in years, and its k dt.

    Parameters
    ----------
    fullness : float
        Total against capacity.
    regrowth : float
        Per year; 0 where there is no feedback.
    left : float
        Years to the end of the piece, which equal steps are to fill.
    """
    relaxation = regrowth * max(fullness, EMPTY)
    longest = LARGEST_STEP_YEARS
    if relaxation > 0:
        longest = min(longest, K_DT / relaxation, LARGEST_GROWTH / regrowth)
    years = left / ceil(left / longest - 1e-9)
    return years, relaxation * years


# ---------------------------------------------------------------- event by event


@dataclass
class Births:
    """The births of an interval, in order: class, and cells of the class after it."""

    kind: list[int]
    after: list[int]


def event_totals(
    rng: np.random.Generator, totals: np.ndarray, pieces: list[Piece], feedback: Feedback
) -> tuple[np.ndarray, Births]:
    """Step one patient's class totals event by event: exact under any feedback.

    Parameters
    ----------
    totals : array of int, shape (classes,)
    pieces : list of Piece
        Of this patient: rates of shape (1, classes).

    Returns
    -------
    totals : array of int, shape (classes,)
    births : Births
    """
    n = [int(count) for count in totals]
    births = Births([], [])
    regrowth, on_division = float(feedback.regrowth[0, 0]), feedback.regulation == "division"
    stock = _stock(rng)
    for piece in pieces:
        division, loss, room = piece.division[0].tolist(), piece.loss[0].tolist(), float(piece.room[0, 0])
        now = piece.start
        while True:
            crowding = regrowth * (1 - sum(n) / room)
            if on_division:
                birth = [count * max(rate + crowding, 0.0) for count, rate in zip(n, division, strict=True)]
                death = [count * rate for count, rate in zip(n, loss, strict=True)]
            else:
                birth = [count * rate for count, rate in zip(n, division, strict=True)]
                death = [count * max(rate - crowding, 0.0) for count, rate in zip(n, loss, strict=True)]
            rates = birth + death
            whole = sum(rates)
            if whole <= 0:
                break
            wait, pick = next(stock)
            now += wait / whole
            if now >= piece.stop:
                break
            pick *= whole
            event = 0
            while event < len(rates) - 1 and pick >= rates[event]:
                pick -= rates[event]
                event += 1
            while rates[event] == 0:  # only ever by the rounding of `pick`
                event -= 1
            if event < len(n):
                n[event] += 1
                births.kind.append(event)
                births.after.append(n[event])
            else:
                n[event - len(n)] -= 1
    return np.array(n), births


def _stock(rng: np.random.Generator):
    """Yield exponential and uniform numbers, drawn in bulk."""
    while True:
        yield from zip(rng.standard_exponential(1024).tolist(), rng.random(1024).tolist(), strict=True)


def event_ancestors(rng: np.random.Generator, births: Births, kind: int, sampled: int) -> int:
    """Count backwards the cells of a class at an interval's start that have progeny at its end.

    At each birth two of the n cells are sisters; both have progeny with probability A(A-1)/(n(n-1)).
    """
    count = sampled
    after = [n for of, n in zip(births.kind, births.after, strict=True) if of == kind]
    for n, u in zip(reversed(after), rng.random(len(after)).tolist(), strict=True):
        if u * n * (n - 1) < count * (count - 1):
            count -= 1
    return count


def expected_events(totals: np.ndarray, tables: Tables, years: float) -> float:
    """Return about how many births and losses a patient will see, for one column of `tables`."""
    room = np.where(np.isfinite(tables.room), tables.room, 0).max()
    cells = max(float(totals.sum()), float(room))
    rate = (tables.division + tables.loss).max()
    return cells * rate * years
