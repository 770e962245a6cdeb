"""Log-linear models of who was caught when: the likelihood behind the capture-recapture estimators.

A clone that was caught at the occasions w has intensity exp(b0) * prod(a_j^w_j) * exp(h(k)) with k
occasions in w, so everything that a fit needs follows from elementary symmetric polynomials of the
odds a_j, and never from the table of 2^t histories.  Rivest & Baillargeon 2007,
10.1111/j.1541-0420.2006.00708.x; the R package Rcapture fits the same models to the table.
"""

from dataclasses import dataclass

import numpy as np

STEPS = 200
CLOSE = 1e-12  # relative change of the log-likelihood at which Newton's method stops


@dataclass(frozen=True)
class Captures:
    """What the models need to know of capture histories.

    Attributes
    ----------
    clones : float
        Clones caught at all.
    by_occasion : array of float, shape (t,)
        Clones caught at each occasion.
    by_number : array of float, shape (t,)
        Clones caught once, twice, ... t times.
    """

    clones: float
    by_occasion: np.ndarray
    by_number: np.ndarray

    @classmethod
    def of(cls, histories: np.ndarray) -> "Captures":
        """Summarise boolean histories, clones x occasions; clones never caught are left out."""
        times = histories.sum(axis=1)
        by_number = np.bincount(times, minlength=histories.shape[1] + 1)[1:]
        return cls(float(by_number.sum()), histories.sum(axis=0).astype(float), by_number.astype(float))

    @property
    def occasions(self) -> int:
        """How many occasions there were."""
        return len(self.by_number)

    def adjusted(self, once: float, twice: float) -> "Captures":
        """Return the captures with so many clones more, once and twice, spread evenly over occasions."""
        by_number = self.by_number.copy()
        by_number[:2] = np.maximum(by_number[:2] + np.array([once, twice]), 0)
        added = by_number - self.by_number
        each = (added * np.arange(1, self.occasions + 1)).sum() / self.occasions
        return Captures(float(by_number.sum()), self.by_occasion + each, by_number)


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    unseen : float
        exp(b0), the expected clones never caught.
    variance : float
        Of b0.
    slopes : array of float
        Coefficients of the columns of heterogeneity.
    odds : array of float, shape (t,)
        Of capture, per occasion.
    """

    unseen: float
    variance: float
    slopes: np.ndarray
    odds: np.ndarray

    @property
    def standard_error(self) -> float:
        """Standard error of the clones in all, which also vary around their intensity."""
        return float(np.sqrt(self.unseen + self.unseen**2 * self.variance))


def fit(captures: Captures, by_time: bool, columns: np.ndarray) -> Fit | None:
    """Fit by maximum likelihood.

    Parameters
    ----------
    captures : Captures
    by_time : bool
        Whether occasions catch differently.
    columns : array of float, shape (t, c)
        h(k) of each heterogeneity term, k = 1 ... t.

    Returns
    -------
    Fit or None
        None where the data do not determine the clones never caught.
    """
    t, rates = captures.occasions, captures.occasions if by_time else 1
    moments = _moments_by_time if by_time else _moments_alike
    caught = captures.by_occasion if by_time else np.array([captures.by_occasion.sum()])
    if captures.clones >= captures.by_occasion.sum() - 1e-9 or np.any(caught <= 0):
        return None
    seen = np.concatenate([[captures.clones], caught, columns.T @ captures.by_number])
    theta = np.zeros(1 + rates + columns.shape[1])
    theta[0], theta[1 : 1 + rates] = _start(captures, caught / (1 if by_time else t))
    value = -np.inf
    for _ in range(STEPS):
        total, expected, information = moments(theta, t, columns)
        theta, better, moved = _step(theta, value, seen, total, expected, information, moments, columns, t)
        if moved is None:
            return None
        if abs(better - value) <= CLOSE * (abs(better) + 1):
            break
        value = better
    information = moments(theta, t, columns)[2]
    return _finish(theta, information, rates, t)


def _finish(theta: np.ndarray, information: np.ndarray, rates: int, t: int) -> Fit | None:
    # Scaled, as slopes on their way to minus infinity leave almost no information.
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    inverse = np.linalg.pinv(information / np.outer(scale, scale), hermitian=True)
    variance = float(inverse[0, 0] / scale[0] ** 2)
    if not np.isfinite(variance) or theta[0] > 50:
        return None
    odds = np.broadcast_to(np.exp(theta[1 : 1 + rates]), (t,))
    return Fit(float(np.exp(theta[0])), variance, theta[1 + rates :], odds)


def _start(captures: Captures, caught: np.ndarray) -> tuple[float, np.ndarray]:
    """Return b0 and log odds for a population of twice the clones seen."""
    size = 2 * captures.clones
    share = np.clip(caught / size, 1e-9, 0.9)
    odds = share / (1 - share)
    return float(np.log(captures.clones)), np.log(odds)


def _step(theta, value, seen, total, expected, information, moments, columns, t):
    """Take Newton's step, halved until the likelihood does not fall; (theta, likelihood, step or None)."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    try:
        solved = np.linalg.solve(
            information / np.outer(scale, scale) + 1e-13 * np.eye(len(scale)), (seen - expected) / scale
        )
    except np.linalg.LinAlgError:
        return theta, value, None
    step = solved / scale
    step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-300))
    now = seen @ theta - total
    for _ in range(40):
        with np.errstate(over="ignore", invalid="ignore"):
            better = seen @ (theta + step) - moments(theta + step, t, columns)[0]
        if np.isfinite(better) and better >= now - 1e-9 * (abs(now) + 1):
            return theta + step, better, step
        step = step / 2
    return theta, now, None


def _moments_alike(theta: np.ndarray, t: int, columns: np.ndarray):
    """Return expected clones, expected sufficient statistics and information; all occasions alike."""
    from scipy.special import comb

    k = np.arange(1, t + 1)
    mean = comb(t, k) * np.exp(theta[0] + k * theta[1] + columns @ theta[2:])
    design = np.column_stack([np.ones(t), k, columns])
    return mean.sum(), design.T @ mean, (design * mean[:, None]).T @ design


def _moments_by_time(theta: np.ndarray, t: int, columns: np.ndarray):
    """Return the same where each occasion has its own odds."""
    odds = np.exp(theta[1 : t + 1])
    weight = np.exp(theta[0] + columns @ theta[t + 1 :])
    without = _without_pairs(odds)
    whole = without[0, 0, 1:] + odds[0] * without[0, 0, :-1]
    mean = weight * whole
    own = np.arange(t)
    once = odds[:, None] * without[own, own, :-1] * weight
    both = np.zeros((t, t))
    if t > 1:
        both = np.outer(odds, odds) * (without[:, :, : t - 1] @ weight[1:])
    both[own, own] = once.sum(axis=1)
    expected = np.concatenate([[mean.sum()], once.sum(axis=1), columns.T @ mean])
    size = len(expected)
    information = np.empty((size, size))
    information[0] = information[:, 0] = expected
    information[1 : t + 1, 1 : t + 1] = both
    cross = once @ columns
    information[1 : t + 1, t + 1 :], information[t + 1 :, 1 : t + 1] = cross, cross.T
    information[t + 1 :, t + 1 :] = (columns * mean[:, None]).T @ columns
    return mean.sum(), expected, information


def _without_pairs(odds: np.ndarray) -> np.ndarray:
    """Return e_k of the odds without i and j, k = 0 ... t; shape (t, t, t + 1)."""
    t = len(odds)
    found = np.zeros((t, t, t + 1))
    found[..., 0] = 1
    for number, odd in enumerate(odds):
        kept = np.full((t, t), odd)
        kept[number, :] = kept[:, number] = 0
        found[..., 1:] = found[..., 1:] + kept[..., None] * found[..., :-1]
    return found
