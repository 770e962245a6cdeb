"""The steps of one patient in plain numbers.

The law of `totals.kendall_totals` and `urn.ancestors`: with a block of one patient, arrays of three
classes would cost ten times the draws themselves.
"""

from math import exp, expm1

import numpy as np

from hsc_pipeline.dynamics.rates import MOST_CELLS, Feedback, Piece
from hsc_pipeline.dynamics.totals import step_length


def totals_of_one(
    rng: np.random.Generator, totals: list[int], pieces: list[Piece], feedback: Feedback, mixed: list[int]
) -> tuple[list[int], dict[int, int], float]:
    """Step one patient's class totals through an interval and count ancestors back to its start.

    Parameters
    ----------
    rng : numpy.random.Generator
    totals : list of int, one per class
    pieces : list of Piece
        Of one patient.
    feedback : Feedback
    mixed : list of int
        Classes of several clones, whose ancestors are counted.

    Returns
    -------
    totals : list of int
    founders : dict of int to int
        By mixed class, the cells at the start with progeny at the end.
    k_dt : float
    """
    path: dict[int, list[tuple[int, int]]] = {kind: [] for kind in mixed}
    largest = 0.0
    for piece in pieces:
        now = piece.start
        rates = _Rates(piece, feedback)
        while now < piece.stop:
            total = sum(totals)
            years, k_dt = step_length(total / rates.room, rates.regrowth, piece.stop - now)
            largest = max(largest, k_dt)
            birth, death = rates.at(total)
            middle = sum(n * exp((b - d) * years / 2) for n, b, d in zip(totals, birth, death, strict=True))
            birth, death = rates.at(middle)
            steps = [_transition(rng, n, b, d, years) for n, b, d in zip(totals, birth, death, strict=True)]
            totals = [after for _, after in steps]
            if sum(totals) > MOST_CELLS:
                raise ValueError(f"division: growth without bound, beyond {MOST_CELLS:g} cells")
            for kind in mixed:
                path[kind].append(steps[kind])
            now = piece.stop if years >= piece.stop - now else now + years
    return totals, {kind: _founders(rng, steps, totals[kind]) for kind, steps in path.items()}, largest


class _Rates:
    """Rates of a piece as plain numbers."""

    def __init__(self, piece: Piece, feedback: Feedback):
        self.division, self.loss = piece.division[0].tolist(), piece.loss[0].tolist()
        self.room = float(piece.room[0, 0])
        self.regrowth = float(feedback.regrowth[0, 0]) if self.room < float("inf") else 0.0
        self.on_division = feedback.regulation == "division"

    def at(self, total: float) -> tuple[list[float], list[float]]:
        crowding = self.regrowth * (1 - total / self.room)
        if self.on_division:
            return [max(rate + crowding, 0.0) for rate in self.division], self.loss
        return self.division, [max(rate - crowding, 0.0) for rate in self.loss]


def _transition(
    rng: np.random.Generator, n: int, birth: float, death: float, years: float
) -> tuple[int, int]:
    """Draw (families, cells) after a step, of `n` cells."""
    if n == 0:
        return 0, 0
    net = birth - death
    if abs(net * years) < 1e-9:
        share = years / (1 + birth * years)
    else:
        growth = expm1(net * years)
        share = growth / (birth * (growth + 1) - death)
    families = int(rng.binomial(n, max(1 - death * share, 0.0)))
    if families == 0 or birth == 0:
        return families, families
    return families, families + int(rng.negative_binomial(families, max(1 - birth * share, 1e-15)))


def _founders(rng: np.random.Generator, steps: list[tuple[int, int]], sampled: int) -> int:
    """Count backwards through the steps the cells whose progeny are the sampled ones; as `urn.ancestors`."""
    for families, after in reversed(steps):
        heads = int(rng.hypergeometric(families, after - families, sampled))
        others, unhit = sampled - heads, families - heads
        if others == 0 or unhit == 0:
            sampled = heads
            continue
        elsewhere = others if heads == 0 else int(rng.binomial(others, rng.beta(unhit, heads)))
        sampled = heads + (int(rng.hypergeometric(unhit, elsewhere - 1, elsewhere)) if elsewhere else 0)
    return sampled
