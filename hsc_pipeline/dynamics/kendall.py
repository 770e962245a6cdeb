"""Every clone by exact birth-death transitions over short steps of constant rates.

Over a step in which a cell divides at rate b and is lost at rate d, the size of a clone follows
Kendall's law [1]_: of n cells, M ~ Binomial(n, 1 - alpha) have progeny, and each progeny is one
plus a geometric number.  The rates depend on the total against capacity and are held at their
value for the predicted middle of the step.

References
----------
.. [1] Kendall 1948, Ann Math Stat 19:1, 10.1214/aoms/1177730285
"""

import itertools
from collections.abc import Sequence

import numpy as np

# Step times relaxation rate of the total: the mean is then within 0.1 %, and the inflation of the
# total's variance, about as large as this number, is far below a percent of the mean.
STEP_TIMES_RELAXATION = 0.1
LARGEST_STEP_YEARS = 0.1
REGULATIONS = ("division", "loss")


def simulate_clones(
    sizes: np.ndarray,
    fitness_class: np.ndarray,
    division: np.ndarray,
    loss: np.ndarray,
    times: np.ndarray,
    seed: int | np.random.SeedSequence,
    capacity: float | tuple[Sequence[float], Sequence[float]] | None = None,
    regulation: str = "division",
    regrowth: float = 6.0,
) -> np.ndarray:
    """Simulate the sizes of competing clones.

    Parameters
    ----------
    sizes : array of int, shape (clones,)
        Cells at time 0.
    fitness_class : array of int, shape (clones,)
        Class of each clone, an index into the rates.
    division, loss : array of float, shape (classes,)
        Symmetric divisions and losses of a cell per year, at capacity.
    times : array of float, shape (visits,)
        Years after time 0, increasing.
    seed : int or numpy.random.SeedSequence
    capacity : float or (starts, cells), optional
        Cells of a full marrow; a step table gives the years from which each value holds.
        None: no feedback.
    regulation : {"division", "loss"}
        Whether crowding slows division, ``division + regrowth * (1 - total / capacity)``, or
        raises loss, ``loss + regrowth * (total / capacity - 1)``; both floored at 0.
    regrowth : float
        Per year, common to all classes, so that crowding leaves differences of net growth alone.

    Returns
    -------
    array of int64, shape (visits, clones)

    Raises
    ------
    ValueError
        Naming the argument that makes no sense.
    """
    sizes, fitness_class = np.asarray(sizes), np.asarray(fitness_class)
    division, loss = np.asarray(division, float), np.asarray(loss, float)
    times = np.asarray(times, float)
    starts, cells = _capacity_table(capacity)
    _check(sizes, fitness_class, division, loss, times, cells, regulation, regrowth)

    def rates(total: float, room: float) -> tuple[np.ndarray, np.ndarray]:
        if regulation == "division":
            return np.maximum(division + regrowth * (1 - total / room), 0), loss
        return division, np.maximum(loss + regrowth * (total / room - 1), 0)

    rng = np.random.default_rng(seed)
    longest = LARGEST_STEP_YEARS if capacity is None else min(LARGEST_STEP_YEARS, _step_of(regrowth))
    out = np.zeros((len(times), len(sizes)), np.int64)
    alive = np.flatnonzero(sizes)
    n, kind, now = sizes[alive].astype(np.int64), fitness_class[alive], 0.0
    for visit, stop in enumerate(times):
        for start, end, room in _intervals(now, stop, starts, cells):
            steps = max(1, int(np.ceil((end - start) / longest - 1e-9)))
            for _ in range(steps):
                n = _step(rng, n, kind, (end - start) / steps, room, rates)
        survivors = n > 0
        alive, n, kind, now = alive[survivors], n[survivors], kind[survivors], stop
        out[visit, alive] = n
    return out


def transition(
    rng: np.random.Generator, n: np.ndarray, birth: np.ndarray, death: np.ndarray, years: float
) -> np.ndarray:
    """Draw sizes after `years` of constant rates: Kendall's law for the linear birth-death process.

    Parameters
    ----------
    n : array of int, shape (clones,)
    birth, death : array of float, shape (clones,)
        Per year.
    """
    alpha, beta = kendall_parameters(birth, death, years)
    families = rng.binomial(n, 1 - alpha)
    progeny = families.copy()
    grown = (families > 0) & (beta > 0)
    progeny[grown] += rng.negative_binomial(families[grown], 1 - beta[grown])
    return progeny


def kendall_parameters(birth: np.ndarray, death: np.ndarray, years: float) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha, P(no progeny) of one cell, and beta, P(a family has one cell more)."""
    net = birth - death
    growth = np.expm1(net * years)
    critical = np.abs(net * years) < 1e-9
    denominator = np.where(critical, 1, birth * (growth + 1) - death)
    denominator = np.where(denominator == 0, 1, denominator)
    share = np.where(critical, years / (1 + birth * years), growth / denominator)
    return np.clip(death * share, 0, 1), np.clip(birth * share, 0, 1 - 1e-12)


def _step(rng, n, kind, years, room, rates):
    """One step, its rates taken at the mean-field total of the step's middle."""
    per_class = np.bincount(kind, weights=n, minlength=1)
    birth, death = rates(n.sum(), room)
    used = len(per_class)
    middle = (per_class * np.exp((birth - death)[:used] * years / 2)).sum()
    birth, death = rates(middle, room)
    return transition(rng, n, birth[kind], np.broadcast_to(death, birth.shape)[kind], years)


def _step_of(regrowth: float) -> float:
    return STEP_TIMES_RELAXATION / regrowth if regrowth > 0 else LARGEST_STEP_YEARS


def _capacity_table(capacity: float | tuple | None) -> tuple[np.ndarray, np.ndarray]:
    if capacity is None:
        return np.zeros(1), np.array([np.inf])
    if np.ndim(capacity) == 0:
        return np.zeros(1), np.array([float(capacity)])
    starts, cells = (np.asarray(part, float) for part in capacity)
    if starts.shape != cells.shape or starts.ndim != 1 or starts[0] > 0 or np.any(np.diff(starts) <= 0):
        raise ValueError("capacity: a step table is (starts, cells), starts from 0 years on and increasing")
    return starts, cells


def _intervals(start: float, stop: float, starts: np.ndarray, cells: np.ndarray):
    """Yield (start, end, capacity) of the pieces of [start, stop] with one capacity."""
    edges = [start, *starts[(starts > start) & (starts < stop)], stop]
    for left, right in itertools.pairwise(edges):
        if right > left:
            yield left, right, cells[np.searchsorted(starts, left, side="right") - 1]


def _check(sizes, fitness_class, division, loss, times, cells, regulation, regrowth) -> None:
    if not np.issubdtype(sizes.dtype, np.integer) or sizes.ndim != 1 or np.any(sizes < 0):
        raise ValueError("sizes: whole numbers of cells, none negative, in one dimension")
    if not np.issubdtype(fitness_class.dtype, np.integer) or fitness_class.shape != sizes.shape:
        raise ValueError("fitness_class: one whole number per clone")
    if division.ndim != 1 or division.shape != loss.shape:
        raise ValueError("division, loss: one rate per class each")
    for name, rate in (("division", division), ("loss", loss), ("regrowth", np.asarray(regrowth))):
        if not np.all(np.isfinite(rate)) or np.any(rate < 0):
            raise ValueError(f"{name}: rates per year are finite and not negative")
    if len(sizes) and not 0 <= fitness_class.min() <= fitness_class.max() < len(division):
        raise ValueError(f"fitness_class: classes are 0 to {len(division) - 1}")
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(np.diff(times, prepend=0.0) < 0):
        raise ValueError("times: years from 0 on, in increasing order")
    if np.any(cells < 1) or np.any(np.isnan(cells)):
        raise ValueError("capacity: at least one cell")
    if regulation not in REGULATIONS:
        raise ValueError(f"regulation: one of {', '.join(REGULATIONS)}")
