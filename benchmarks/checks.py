"""Do the engines agree?  Task A against closed forms, task B against our event-by-event reference.

Every deviation is in standard errors of the number of replicates drawn, so what a check can see
grows with them; an engine that deviates by more than `LIMIT` is named and not timed.
"""

import sys
from pathlib import Path

import numpy as np
from tasks import PANEL, Task

LIMIT = 4.5  # standard errors: by chance once in 150,000
FEWEST_FOR_VARIANCE = 50
RMS_Z, LEAST_P = 1.3, 0.001


def against_closed_form(found: np.ndarray, task: Task) -> dict[str, float]:
    """Compare clones at equal constant rates with critical branching, at the second and the last visit.

    Of n cells, the mean stays n, the variance is 2 b t n and all are lost with probability
    (b t / (1 + b t))^n (Kendall 1948).

    Parameters
    ----------
    found : array of int, shape (replicates, visits, clones)
    task : Task

    Returns
    -------
    dict of str to float
        Deviations of mean, variance and extinction, in standard errors; the larger of two visits.
    """
    visits = (1, len(task.times) - 1)
    each = [_critical(found[:, v], task.sizes, task.division[0] * task.times[v]) for v in visits]
    return {name: max((z[name] for z in each), key=abs) for name in each[0]}


def _critical(cells: np.ndarray, start: np.ndarray, divisions: float) -> dict[str, float]:
    runs, lost = len(cells), divisions / (1 + divisions)
    variance, fourth = _cumulants_of_one(lost)
    extinct = lost**start
    squares = ((cells - start) ** 2).sum()
    error_of_squares = np.sqrt(runs * (fourth * start + 2 * (variance * start) ** 2).sum())
    return {
        "mean": (cells.sum() - runs * start.sum()) / np.sqrt(runs * variance * start.sum()),
        "variance": (squares - runs * variance * start.sum()) / error_of_squares,
        "extinction": ((cells == 0).sum() - runs * extinct.sum())
        / np.sqrt(runs * (extinct * (1 - extinct)).sum()),
    }


def _cumulants_of_one(lost: float) -> tuple[float, float]:
    """Return second and fourth cumulant of the progeny of one cell: 0, or geometric, with mean 1."""
    cells = np.arange(1, int(60 / (1 - lost)) + 60)
    law = (1 - lost) ** 2 * lost ** (cells - 1)
    second, fourth = (lost * (-1) ** k + law @ (cells - 1.0) ** k for k in (2, 4))
    return second, fourth - 3 * second**2


def against_reference(found: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare totals and the last class with a reference, in the middle and at the last visit.

    Parameters
    ----------
    found, reference : array of int, shape (replicates, visits, classes)

    Returns
    -------
    dict of str to float
        Deviations of mean, and of variance where there are enough replicates.
    """
    last = found.shape[1] - 1
    pairs = [
        (a, b)
        for visit in (last // 2, last)
        for a, b in zip(_totals(found, visit), _totals(reference, visit), strict=True)
    ]
    z = {"mean": max((_z_of_means(a, b) for a, b in pairs), key=abs)}
    if len(found) >= FEWEST_FOR_VARIANCE:
        squares = [((a - a.mean()) ** 2, (b - b.mean()) ** 2) for a, b in pairs]
        z["variance"] = max((_z_of_means(a, b) for a, b in squares), key=abs)
    return z


def _totals(found: np.ndarray, visit: int) -> tuple[np.ndarray, np.ndarray]:
    cells = found[:, visit].astype(float)
    return cells.sum(axis=1), cells[:, -1]


def _z_of_means(first: np.ndarray, second: np.ndarray) -> float:
    """Return Welch's t as the normal deviate of equal probability."""
    from scipy.special import ndtri, stdtr

    parts = [np.var(x, ddof=1) / len(x) for x in (first, second)]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (first, second), strict=True))
    t = abs(first.mean() - second.mean()) / np.sqrt(sum(parts))
    return float(np.sign(first.mean() - second.mean()) * -ndtri(max(stdtr(freedom, -t), 1e-300)))


def panel(fast: np.ndarray, events: np.ndarray) -> tuple[float, float, int]:
    """Compare the panel of statistics that the tests use.

    Returns
    -------
    rms_z, least_p : float
        Over the statistics: root mean square of z of the means, and smallest KS p-value.
    statistics : int
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from panel import compare, summarise

    classes = len(PANEL.division)
    first, names = summarise(fast, PANEL.kinds, classes)
    second, _ = summarise(events, PANEL.kinds, classes)
    z, p = compare(first, second)
    return float(np.sqrt(np.mean(z**2))), float(p.min()), len(names)
