"""Rates of division and loss: step tables over time, and how crowding changes them.

The law of a step is Kendall's [1]_: while a cell divides at rate b and is lost at rate d, the
number M of n cells with progeny is Binomial(n, 1 - alpha), and each has one cell plus a geometric
number: n' = M + NB(M, 1 - beta).

References
----------
.. [1] Kendall 1948, Ann Math Stat 19:1, 10.1214/aoms/1177730285
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

REGULATIONS = ("division", "loss")
MOST_CELLS = 5e8  # the hypergeometric draws of numpy take no larger populations


@dataclass(frozen=True)
class Feedback:
    """How the total against capacity changes the rates.

    Attributes
    ----------
    regulation : str
        ``"division"`` or ``"loss"``.
    regrowth : array of float, shape (patients, 1)
        Per year.
    """

    regulation: str
    regrowth: np.ndarray

    def rates(
        self, total: np.ndarray, room: np.ndarray, division: np.ndarray, loss: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return division and loss per year at a total, shape (patients, classes)."""
        crowding = np.where(np.isfinite(room), self.regrowth * (1 - total / room), 0.0)
        if self.regulation == "division":
            return np.maximum(division + crowding, 0), loss
        return division, np.maximum(loss - crowding, 0)


@dataclass(frozen=True)
class Piece:
    """A stretch of time in which the tables do not change.

    Attributes
    ----------
    start, stop : float
        Years.
    division, loss : array of float, shape (patients, classes)
        Per year, at capacity.
    room : array of float, shape (patients, 1)
        Capacity in cells, infinite where there is none.
    """

    start: float
    stop: float
    division: np.ndarray
    loss: np.ndarray
    room: np.ndarray


@dataclass(frozen=True)
class Tables:
    """Step tables of all rates on common breakpoints.

    Attributes
    ----------
    starts : array of float, shape (breakpoints,)
        Years from which a row holds, the first 0.
    division, loss : array of float, shape (breakpoints, patients, classes)
    room : array of float, shape (breakpoints, patients, 1)
    """

    starts: np.ndarray
    division: np.ndarray
    loss: np.ndarray
    room: np.ndarray

    @property
    def bounded(self) -> bool:
        """Whether there is any feedback at all."""
        return bool(np.isfinite(self.room).any())

    def pieces(self, start: float, stop: float) -> Iterator[Piece]:
        """Yield the pieces of an interval between visits."""
        inside = self.starts[(self.starts > start) & (self.starts < stop)]
        edges = np.concatenate([[start], inside, [stop]])
        for left, right in itertools.pairwise(edges):
            if right > left:
                row = np.searchsorted(self.starts, left, side="right") - 1
                yield Piece(left, right, self.division[row], self.loss[row], self.room[row])


def make_tables(division, loss, capacity, times: np.ndarray, patients: int, classes: int) -> Tables:
    """Bring all rates to common breakpoints.

    Parameters
    ----------
    division, loss : array_like
        Shape (classes,), (patients, classes) or a step table ``(starts, values)`` whose values
        have one such row per start; a bare (visits, classes) array holds one row per interval
        between visits.
    capacity : float, array_like of shape (patients,), step table or None
    times : array of float, shape (visits,)
    patients, classes : int
    """
    parts = {
        "division": _step_table("division", division, times, patients, classes),
        "loss": _step_table("loss", loss, times, patients, classes),
        "capacity": _step_table("capacity", np.inf if capacity is None else capacity, times, patients, 1),
    }
    starts = np.unique(np.concatenate([part[0] for part in parts.values()]))
    rows = {name: _at(part, starts) for name, part in parts.items()}
    for name in ("division", "loss"):
        if not np.all(np.isfinite(rows[name])) or np.any(rows[name] < 0):
            raise ValueError(f"{name}: rates per year are finite and not negative")
    if np.any(np.isnan(rows["capacity"])) or np.any(rows["capacity"] < 1):
        raise ValueError("capacity: at least one cell")
    return Tables(starts, rows["division"], rows["loss"], rows["capacity"])


def is_step_table(given) -> bool:
    """Tell ``(starts, values)`` from a tuple of rates."""
    return isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) == 1


def _numbers(name: str, given) -> np.ndarray:
    try:
        return np.asarray(given, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: numbers, in rows of equal length") from None


def _step_table(name: str, given, times: np.ndarray, patients: int, classes: int) -> tuple:
    """Return (starts, values), values of shape (breakpoints, patients, classes)."""
    if is_step_table(given):
        starts, values = _numbers(name, given[0]), _numbers(name, given[1])
        if len(starts) == 0 or starts[0] > 0 or np.any(np.diff(starts) <= 0) or len(values) != len(starts):
            raise ValueError(f"{name}: a step table is (starts, values), starts from 0 years on, increasing")
    else:
        values = _numbers(name, given)
        per_interval = values.ndim == 2 and values.shape == (len(times), classes) and patients == 1
        starts = np.concatenate([[0.0], times[:-1]]) if per_interval else np.zeros(1)
        values = values if per_interval else values[None]
    values = _broadcast(name, values, len(starts), patients, classes)
    return starts, values


def _broadcast(name: str, values: np.ndarray, rows: int, patients: int, classes: int) -> np.ndarray:
    shapes = {(rows,): (rows, 1, 1), (rows, classes): (rows, 1, classes), (rows, patients, classes): None}
    if classes == 1:
        shapes |= {(rows, patients): (rows, patients, 1)}
    if values.shape not in shapes or (values.shape == (rows,) and classes > 1):
        raise ValueError(
            f"{name}: shape {values.shape[1:]} fits neither {classes} classes nor {patients} patients"
        )
    shape = shapes[values.shape]
    return np.broadcast_to(values if shape is None else values.reshape(shape), (rows, patients, classes))


def _at(table: tuple[np.ndarray, np.ndarray], starts: np.ndarray) -> np.ndarray:
    own, values = table
    return values[np.searchsorted(own, starts, side="right") - 1]


def kendall_parameters(birth: np.ndarray, death: np.ndarray, years: float) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha, P(no progeny) of one cell after `years`, and beta, P(its family has one cell more).

    Parameters
    ----------
    birth, death : array of float
        Per year, of equal shape.
    """
    net = birth - death
    critical = np.abs(net * years) < 1e-9
    growth = np.expm1(np.where(critical, 0.0, net * years))
    # (e^rt - 1) / (b e^rt - d), and its limit t / (1 + b t) as the rates become equal
    share = np.where(
        critical,
        years / (1 + birth * years),
        growth / np.where(critical, 1.0, birth * (growth + 1) - death),
    )
    return np.clip(death * share, 0, 1), np.clip(birth * share, 0, 1 - 1e-15)


def transition(
    rng: np.random.Generator, n: np.ndarray, alpha: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Kendall's transition: how many of `n` cells have progeny, and how many progeny there are."""
    families = rng.binomial(n, 1 - alpha)
    more = rng.negative_binomial(np.maximum(families, 1), 1 - beta)
    return families, families + np.where(families > 0, more, 0)
