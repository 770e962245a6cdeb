"""Niches and blood, event by event: the model whose quasi-steady limit `niches` is.

Stem cells sit in one of N niches or circulate in blood.  A cell in a niche divides at rate beta,
the daughter going to blood, and is released at rate d; a cell in blood dies at rate delta and
attaches to a free niche at rate ``a (N - n) / N`` [1]_.  Time is in days here, as in the paper.

References
----------
.. [1] Ashcroft, Manz and Bonhoeffer 2017, 10.1371/journal.pcbi.1005803
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MINUTES_PER_DAY = 1440


@dataclass(frozen=True)
class Exchange:
    """Rates per day of niches and blood.

    Attributes
    ----------
    niches : int
        N.
    division, death, attachment, release : float
        beta, delta, a and d.
    niche_death : float
        Death in niches.
    """

    niches: int
    division: float
    death: float
    attachment: float
    release: float
    niche_death: float = 0.0

    @classmethod
    def at_equilibrium(
        cls,
        niches: int,
        in_blood: float,
        in_niches: float,
        minutes_in_blood: float,
        division: float,
        niche_death: float = 0.0,
    ) -> "Exchange":
        """Return the rates under which so many cells stand in blood and niches.

        Parameters
        ----------
        niches : int
        in_blood, in_niches : float
            Cells at equilibrium, s* and n*.
        minutes_in_blood : float
            Mean stay in blood.
        division : float
            Per day.
        niche_death : float
            Death in a niche against death in blood, alpha.
        """
        stay = minutes_in_blood / MINUTES_PER_DAY
        death = division * in_niches / (in_blood + niche_death * in_niches)
        return cls(
            niches,
            division,
            death,
            attachment=(1 / stay - death) * niches / (niches - in_niches),
            release=in_blood / (stay * in_niches) - division,
            niche_death=niche_death * death,
        )

    def attaching(self, in_niches: float) -> float:
        """Return the rate at which a cell in blood attaches while so many niches are taken."""
        return self.attachment * (self.niches - in_niches) / self.niches

    def establishment(self, in_niches: float, advantage: float = 0.0) -> float:
        """Return the chance that one cell infused into blood founds a line that lasts.

        A branching process: the taken niches stay as they are.

        Parameters
        ----------
        in_niches : float
            Niches taken by others.
        advantage : float
            Excess of division over that of others, epsilon.
        """
        beta, delta, a, d, kill = (
            self.division * (1 + advantage),
            self.death,
            self.attaching(in_niches),
            self.release,
            self.niche_death,
        )
        # x = (delta + a y) / (delta + a) in blood and
        # y = (beta x y + d x + kill) / (beta + d + kill) in a niche, with x, y chances to die out.
        roots = np.roots(
            [
                beta * (delta + a),
                -((delta + a) * (d + beta + kill) + delta * beta - a * d),
                delta * (d + beta + kill) + a * kill,
            ]
        )
        return float(1 - min(min(roots.real), 1.0))


def simulate_exchange(
    rng: np.random.Generator,
    exchange: Exchange,
    cells: np.ndarray,
    advantage: np.ndarray,
    stop: Callable[[list[int]], bool],
) -> tuple[list[int], float]:
    """Simulate kinds of cells in niches and blood, one event at a time, until `stop`.

    Parameters
    ----------
    rng : numpy.random.Generator
    exchange : Exchange
    cells : array of int, shape (2 kinds,)
        Cells of each kind in blood, then of each kind in niches.
    advantage : array of float, shape (kinds,)
        Excess of division over ``exchange.division``, epsilon.
    stop : callable
        Told the cells; true where the run ends.

    Returns
    -------
    cells : list of int
    days : float
    """
    counts, kinds, days = [int(n) for n in cells], len(advantage), 0.0
    beta = [exchange.division * (1 + s) for s in advantage]
    while not stop(counts):
        blood, niche = counts[:kinds], counts[kinds:]
        attach = exchange.attaching(sum(niche))
        rates = [
            *(attach * s for s in blood),
            *(exchange.death * s for s in blood),
            *(b * n for b, n in zip(beta, niche, strict=True)),
            *(exchange.release * n for n in niche),
            *(exchange.niche_death * n for n in niche),
        ]
        whole = sum(rates)
        if whole <= 0:
            break
        days += rng.standard_exponential() / whole
        event, kind = divmod(_pick(rates, rng.random() * whole), kinds)
        in_blood, in_niche = EVENTS[event]
        counts[kind] += in_blood
        counts[kinds + kind] += in_niche
    return counts, days


EVENTS = ((-1, 1), (-1, 0), (1, 0), (1, -1), (0, -1))  # attach, die, divide, release, die in the niche


def _pick(rates: list[float], at: float) -> int:
    for event, rate in enumerate(rates):
        at -= rate
        if at < 0:
            return event
    return max(event for event, rate in enumerate(rates) if rate > 0)  # by the rounding of `at`


def mean_field(exchange: Exchange, cells: np.ndarray, advantage: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return the deterministic course of a large marrow.

    Parameters
    ----------
    exchange : Exchange
    cells : array of float, shape (2 kinds,)
        As of `simulate_exchange`.
    advantage : array of float, shape (kinds,)
    days : array of float, shape (times,)

    Returns
    -------
    array of float, shape (times, 2 kinds)
    """
    from scipy.integrate import solve_ivp

    kinds = len(advantage)
    beta = exchange.division * (1 + np.asarray(advantage, float))

    def slope(_: float, y: np.ndarray) -> np.ndarray:
        blood, niche = y[:kinds], y[kinds:]
        attach = exchange.attaching(niche.sum())
        return np.concatenate(
            [
                (exchange.release + beta) * niche - (attach + exchange.death) * blood,
                attach * blood - (exchange.release + exchange.niche_death) * niche,
            ]
        )

    found = solve_ivp(
        slope,
        (0.0, float(days[-1])),
        np.asarray(cells, float),
        method="LSODA",
        t_eval=days,
        rtol=1e-8,
        atol=1e-8,
    )
    return found.y.T
