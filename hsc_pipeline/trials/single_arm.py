"""Trials of one arm against a share of the past: one stage, and Simon's two stages."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from hsc_pipeline.trials.power import binomial

MOST_TWO_STAGE = 80  # patients of a two-stage design; the field's trials have 10 to 30


@dataclass(frozen=True)
class TwoStage:
    """A two-stage design: go on after `n1` with more than `r1` successes, claim with more than `r`.

    Attributes
    ----------
    n1, r1, n, r : int
    early : float
        Chance to stop after the first stage where the share is that of the past.
    expected : float
        Expected patients there.
    type_one, power : float
        Chance of a claim at the share of the past, and at the arm's.
    """

    n1: int
    r1: int
    n: int
    r: int
    early: float
    expected: float
    type_one: float
    power: float


def one_stage(past: float, arm: float, level: float, power: float, most: int) -> tuple[int, int] | None:
    """Return the fewest patients and the successes that claim `arm` above `past`, exact binomial.

    Parameters
    ----------
    past, arm : float
        Shares under the null and the alternative.
    level : float
        One-sided.
    power : float
    most : int

    Returns
    -------
    (int, int) or None
        Patients and fewest successes; nothing up to `most`.
    """
    from scipy.stats import binom

    n = np.arange(1, most + 1)
    least = binom.isf(level, n, past).astype(int) + 1  # P(X >= least) <= level
    enough = (binom.sf(least - 1, n, arm) >= power) & (least <= n)
    if not enough.any():
        return None
    first = int(np.argmax(enough))
    return int(n[first]), int(least[first])


def two_stage(past: float, arm: float, level: float, power: float) -> dict[str, TwoStage]:
    """Return Simon's optimal and minimax designs, by full search [1]_.

    Parameters
    ----------
    past, arm : float
        Shares under the null and the alternative, `arm` the larger.
    level : float
        One-sided.
    power : float

    Returns
    -------
    dict of str to TwoStage
        ``optimal`` (fewest expected patients under the null) and ``minimax`` (fewest at most, then
        fewest expected); none where more than `MOST_TWO_STAGE` patients are needed.

    References
    ----------
    .. [1] Simon 1989, Controlled Clinical Trials 10:1, 10.1016/0197-2456(89)90015-9
    """
    single = one_stage(past, arm, level, power, MOST_TWO_STAGE) if arm > past else None
    if single is None:
        return {}
    found: list[TwoStage] = []
    best = np.inf
    for n in range(max(2, ceil(0.7 * single[0])), MOST_TWO_STAGE + 1):
        for n1 in range(1, n):
            if n1 >= best:  # nobody expects fewer patients than the first stage has
                break
            design = _best_of(n1, n, past, arm, level, power)
            if design is not None:
                found.append(design)
                best = min(best, design.expected)
    if not found:
        return {}
    return {
        "optimal": min(found, key=lambda design: (design.expected, design.n)),
        "minimax": min(found, key=lambda design: (design.n, design.expected)),
    }


def _best_of(n1: int, n: int, past: float, arm: float, level: float, power: float) -> TwoStage | None:
    """Return the design of these sizes with the fewest expected patients under the null."""
    type_one, powers = _claims(n1, n, past), _claims(n1, n, arm)
    ok = (type_one <= level) & (powers >= power)
    if not ok.any():
        return None
    r1 = int(np.max(np.nonzero(ok.any(axis=1))[0]))  # the later a first stage goes on, the fewer patients
    r = int(np.argmax(np.where(ok[r1], powers[r1], -1)))
    from scipy.special import bdtr

    early = float(bdtr(r1, n1, past))
    expected = n1 + (1 - early) * (n - n1)
    return TwoStage(n1, r1, n, r, early, expected, float(type_one[r1, r]), float(powers[r1, r]))


def _claims(n1: int, n: int, share: float) -> np.ndarray:
    """Return the chance of more than `r` successes after more than `r1`, shape (r1 < n1, r < n)."""
    first = binomial(n1, share)[0]
    second = binomial(n - n1, share)[0]
    above = np.concatenate([np.cumsum(second[::-1])[::-1], [0.0]])  # P(X2 >= k)
    x1, r = np.arange(n1 + 1)[:, None], np.arange(n)[None, :]
    joint = first[:, None] * above[np.clip(r + 1 - x1, 0, n - n1 + 1)]
    return np.cumsum(joint[::-1], axis=0)[::-1][1:]
