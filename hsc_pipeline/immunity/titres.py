"""Titres: doses call up plasmablasts and memory, antibody wanes, and the law fitted to data.

A dose calls up c (1 + (G - 1) M) plasmablasts, one in a healthy person's first dose; c is the capacity
to respond and M the memory so far, which grows by pi c (1 - M).  The titre of a dose is in
proportion to its plasmablasts and wanes as f exp(-t/tau) + (1 - f) (1 + t)^-b, t in years.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import ModelError, UserError

FEWEST_TITRES = 5  # one more than the parameters of the waning law


@dataclass(frozen=True)
class Waning:
    """How a titre wanes: f exp(-t/tau) + (1 - f) (1 + t)^-b.

    Attributes
    ----------
    short_lived : float
        Share f of the titre that short-lived plasma cells make.
    life_years : float
        Their mean life tau.
    exponent : float
        Of the power law of the rest, b.
    """

    short_lived: float
    life_years: float
    exponent: float

    def left(self, years: np.ndarray) -> np.ndarray:
        """Return the titre left after `years`, against the first; 0 before the dose."""
        after = np.maximum(years, 0.0)
        left = self.short_lived * np.exp(-after / self.life_years)
        left = left + (1 - self.short_lived) * (1 + after) ** -self.exponent
        return np.where(np.asarray(years) >= 0, left, 0.0)


@dataclass(frozen=True)
class Schedule:
    """What the doses of one schedule did.

    Attributes
    ----------
    months : array of float, shape (doses,)
        Of the doses, from the first.
    plasmablasts, memory : array of float, shape (doses, ...)
        Called up by each dose, and memory after it.
    """

    months: np.ndarray
    plasmablasts: np.ndarray
    memory: np.ndarray


def give_doses(
    months: Sequence[float] | np.ndarray, capacity: np.ndarray, priming: float, recall: float
) -> Schedule:
    """Give a schedule.

    Parameters
    ----------
    months : sequence of float, length doses
    capacity : array of float, shape (doses, ...)
        To respond at each dose, 1 in health.
    priming : float
        Share pi of the missing memory that a dose gives in health.
    recall : float
        Plasmablasts of full memory against none, G.
    """
    memory = np.zeros(capacity.shape[1:])
    called, kept = [], []
    for at_dose in capacity:
        called.append(at_dose * (1 + (recall - 1) * memory))
        memory = memory + priming * at_dose * (1 - memory)
        kept.append(memory)
    return Schedule(np.asarray(months, float), np.array(called), np.array(kept))


def titre(schedule: Schedule, waning: Waning, month: float) -> np.ndarray:
    """Return what all doses left by `month`, per plasmablast of a healthy first dose."""
    left = waning.left((month - schedule.months) / 12)
    return np.tensordot(left, schedule.plasmablasts, axes=1)


@dataclass(frozen=True)
class Fit:
    """A waning law fitted to titres.

    Attributes
    ----------
    titre : float
        At the dose, in the unit of the data.
    waning : Waning
    standard_errors : array of float, shape (4,)
        Of ln titre, logit of the short-lived share, ln of its life and ln of the exponent.
    """

    titre: float
    waning: Waning
    standard_errors: np.ndarray


def fit_waning(years: np.ndarray, titres: np.ndarray) -> Fit:
    """Fit A [f exp(-t/tau) + (1 - f)(1 + t)^-b] to titres by least squares of logarithms.

    Parameters
    ----------
    years : array of float, shape (n,)
        Since the dose, n at least 5.
    titres : array of float, shape (n,)
        Above 0.

    Raises
    ------
    UserError
        If there are too few titres, or one is not above 0.
    ModelError
        If the fit does not converge.
    """
    from scipy.optimize import least_squares
    from scipy.special import expit

    years, titres = np.asarray(years, float), np.asarray(titres, float)
    if len(titres) < FEWEST_TITRES or np.any(titres <= 0):
        raise UserError(
            f"titres: {len(titres)} given, the least {titres.min(initial=np.inf):g}; "
            f"needed: {FEWEST_TITRES} or more, all above 0"
        )

    def curve(p: np.ndarray) -> np.ndarray:
        return p[0] + np.log(Waning(expit(p[1]), np.exp(p[2]), np.exp(p[3])).left(years))

    start = np.array([np.log(titres.max()), 0.0, np.log(0.3), np.log(0.5)])
    found = least_squares(lambda p: curve(p) - np.log(titres), start)
    if not found.success:
        raise ModelError(f"waning: the fit did not converge: {found.message}")
    freedom = max(len(titres) - len(start), 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * 2 * found.cost / freedom
    level, share, life, exponent = found.x
    return Fit(
        float(np.exp(level)),
        Waning(float(expit(share)), float(np.exp(life)), float(np.exp(exponent))),
        np.sqrt(np.diag(covariance)),
    )
