"""How many clones there are, from which were seen when: closed capture-recapture.

The estimators that the field reports, in one table.  They count insertions, not cells, and most
assume that all clones are equally easy to catch, which blood clones are not: read
`corrected_population` before believing one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.captures import Captures, fit
from hsc_pipeline.tracking.indices import chao_variance


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error; NaN where the model cannot be fitted."""

    estimate: float
    standard_error: float


NOTHING = Estimate(np.nan, np.nan)
UNBOUNDED = Estimate(np.inf, np.nan)  # no clone was caught again


def population_size(histories, estimators: tuple[str, ...] | None = None):
    """Estimate how many clones there are.

    Parameters
    ----------
    histories : array_like of bool, shape (clones, occasions)
        Whether each clone was seen at each occasion.  Clones never seen may be left out.
    estimators : tuple of str, optional
        Which of `ESTIMATORS`; None: all.

    Returns
    -------
    pandas.DataFrame
        ``estimator``, ``estimate`` and ``standard_error``.  An estimate is infinite where no clone
        was seen again, and NaN where there are too few occasions for the model.

    Raises
    ------
    UserError
        If there are fewer than two occasions, or one of them saw no clone.

    References
    ----------
    Rivest & Baillargeon 2007, 10.1111/j.1541-0420.2006.00708.x; Baillargeon & Rivest 2007,
    10.18637/jss.v019.i05 (Rcapture); Chapman 1951 and Seber 1982; Chao 1987, 10.2307/2531532; Burnham &
    Overton 1978, 10.1093/biomet/65.3.625.
    """
    import pandas as pd

    seen = checked_histories(histories)
    captures = Captures.of(seen)
    rows = [(name, ESTIMATORS[name](captures, seen)) for name in estimators or ESTIMATORS]
    return pd.DataFrame(
        {
            "estimator": [name for name, _ in rows],
            "estimate": [found.estimate for _, found in rows],
            "standard_error": [found.standard_error for _, found in rows],
        }
    )


def checked_histories(histories) -> np.ndarray:
    """Return capture histories as an array, clones x samples, or refuse them.

    Raises
    ------
    UserError
        If there are not two occasions, one saw no clone, or an entry is neither true nor false.
    """
    seen = np.asarray(histories)
    if seen.ndim != 2 or seen.shape[1] < 2:
        raise UserError("histories: a row per clone and a column per occasion, two or more; sample again")
    if seen.dtype != bool:
        if not np.isin(seen, (0, 1)).all():
            raise UserError("histories: whether a clone was seen; allowed: true or false, 1 or 0")
        seen = seen.astype(bool)
    empty = np.flatnonzero(~seen.any(axis=0))
    if len(empty):
        raise UserError(f"histories: occasion {empty[0] + 1} saw no clone; leave it out")
    return seen[seen.any(axis=1)]


# Heterogeneity h(k) of clones caught k times, Rcapture's terms.


def _poisson2(k: np.ndarray) -> np.ndarray:
    return 2.0**k - 1


def _darroch(k: np.ndarray) -> np.ndarray:
    return k**2 / 2


def _gamma35(k: np.ndarray) -> np.ndarray:
    return np.log(3.5) - np.log(3.5 + k)


def _chao_columns(t: int) -> np.ndarray:
    """Return max(k - i, 0) for i = 2 ... t - 1: clones caught more than twice say nothing of the unseen."""
    k = np.arange(1, t + 1)
    return np.maximum(k[:, None] - np.arange(2, t)[None, :], 0.0)


# Estimators


def _log_linear(
    by_time: bool = False,
    heterogeneity: Callable | None = None,
    adjust: Callable[[int], tuple[float, float]] | None = None,
) -> Callable[[Captures, np.ndarray], Estimate]:
    def estimate(captures: Captures, seen: np.ndarray) -> Estimate:
        t = captures.occasions
        if heterogeneity is not None and t < 3:
            return NOTHING
        data = captures if adjust is None else captures.adjusted(*adjust(t))
        k = np.arange(1, t + 1)
        columns = np.zeros((t, 0)) if heterogeneity is None else heterogeneity(k)[:, None]
        return _estimate(captures, data, fit(data, by_time, columns))

    return estimate


def _estimate(captures: Captures, data: Captures, found) -> Estimate:
    if found is None:
        return UNBOUNDED if data.by_number[1:].sum() == 0 else NOTHING
    return Estimate(captures.clones + found.unseen, found.standard_error)


def _lower_bound(by_time: bool, adjust: Callable[[int], tuple[float, float]] | None = None):
    """Return Chao's lower bound as a log-linear model, slopes that are negative left out one by one."""

    def estimate(captures: Captures, seen: np.ndarray) -> Estimate:
        t = captures.occasions
        if by_time and t < 3:
            return NOTHING
        data = captures if adjust is None else captures.adjusted(*adjust(t))
        columns = _chao_columns(t)
        found = fit(data, by_time, columns)
        while found is not None and np.any(found.slopes <= 0):
            first = int(np.flatnonzero(found.slopes <= 0)[0])
            columns = np.delete(columns, first, axis=1)
            found = fit(data, by_time, columns)
        return _estimate(captures, data, found)

    return estimate


def _correct_m0(t: int) -> tuple[float, float]:
    return -0.5, 1.0


def _correct_by_time(t: int) -> tuple[float, float]:
    """(t-2)/2t for every history of one capture, 2/t(t-1) for every one of two: in all (t-2)/2 and 1."""
    return (t - 2) / 2, 1.0


def _mt_corrected(captures: Captures, seen: np.ndarray) -> Estimate:
    if captures.occasions == 2:
        return _chapman(captures, seen)
    return _log_linear(by_time=True, adjust=_correct_by_time)(captures, seen)


def _chapman(captures: Captures, seen: np.ndarray) -> Estimate:
    """Chapman's form of Lincoln and Petersen's estimator; of the last two occasions."""
    first, second = seen[:, -2], seen[:, -1]
    n, m, again = (float(x.sum()) for x in (first, second, first & second))
    variance = (n + 1) * (m + 1) * (n - again) * (m - again) / ((again + 1) ** 2 * (again + 2))
    return Estimate(float((n + 1) * (m + 1) / (again + 1) - 1), float(np.sqrt(variance)))


def _chao2(captures: Captures, seen: np.ndarray) -> Estimate:
    factor = (captures.occasions - 1) / captures.occasions
    once, twice = captures.by_number[:2]
    unseen = factor * once * (once - 1) / (2 * (twice + 1))
    return Estimate(
        float(captures.clones + unseen), float(np.sqrt(max(chao_variance(once, twice, factor), 0)))
    )


def _jackknife(order: int) -> Callable[[Captures, np.ndarray], Estimate]:
    def estimate(captures: Captures, seen: np.ndarray) -> Estimate:
        t = captures.occasions
        weight = np.ones(t)
        if order == 1:
            weight[0] += (t - 1) / t
        else:
            weight[:2] += (2 * t - 3) / t, -((t - 2) ** 2) / (t * (t - 1))
        found = weight @ captures.by_number
        variance = weight**2 @ captures.by_number - found
        return Estimate(float(found), float(np.sqrt(max(variance, 0))))

    return estimate


ESTIMATORS: dict[str, Callable[[Captures, np.ndarray], Estimate]] = {
    "M0": _log_linear(),
    "Mt": _log_linear(by_time=True),
    "Mh_Chao": _lower_bound(by_time=False),
    "Mh_Poisson2": _log_linear(heterogeneity=_poisson2),
    "Mh_Darroch": _log_linear(heterogeneity=_darroch),
    "Mh_Gamma3.5": _log_linear(heterogeneity=_gamma35),
    "M0_bc": _log_linear(adjust=_correct_m0),
    "Mt_bc": _mt_corrected,
    "Mth_Chao_bc": _lower_bound(by_time=True, adjust=_correct_by_time),
    "Chapman": _chapman,
    "Chao2": _chao2,
    "jackknife1": _jackknife(1),
    "jackknife2": _jackknife(2),
}
