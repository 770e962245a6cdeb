"""Power without Monte-Carlo error, assurance, and the smallest number of patients."""

from math import ceil
from typing import Any

import numpy as np

from hsc_pipeline.trials.analyses import significant, significant_against_share
from hsc_pipeline.trials.cohort import Plan

LEVEL = 0.90  # of every interval
TAIL = (1 - LEVEL) / 2
NEVER = 1e-300  # a share below is none
GRID = 24  # sizes at which the power of every draw is known; between them it is interpolated
SAWTOOTH = 8  # patients looked at above a candidate: exact tests lose power at some larger sizes


def binomial(n: int, share: np.ndarray | float) -> np.ndarray:
    """Return the binomial probabilities of 0 to `n`, shape (shares, n + 1)."""
    from scipy.stats import binom

    share = np.atleast_1d(share)
    # Draws of a share that is next to none come near the smallest of numbers, where scipy 1.17 overflows.
    return binom.pmf(np.arange(n + 1), n, np.where(share < NEVER, 0, share)[:, None])


def power_between(
    plan: Plan, n_arm: int, n_control: int, arm: np.ndarray | float, control: np.ndarray | float
) -> np.ndarray:
    """Return the power of the test between two arms for pairs of shares.

    Parameters
    ----------
    plan : Plan
    n_arm, n_control : int
        Patients enrolled.
    arm, control : float or numpy.ndarray of float, shape (k,)
        Shares of the simulated outcomes, before anyone is lost.

    Returns
    -------
    numpy.ndarray of float, shape (k,)
    """
    (n_arm, n_control), thinned = analysed(plan, n_arm, n_control)
    sets = significant(plan.analysis, n_arm, n_control, plan.trial.alpha, plan.trial.sides)
    first = binomial(n_arm, np.multiply(thinned, arm)) @ sets
    return (first * binomial(n_control, np.multiply(thinned, control))).sum(axis=1)


def power_against_share(plan: Plan, n: int, arm: np.ndarray | float, past: float) -> np.ndarray:
    """Return the power of the exact binomial test of one arm against a share of the past."""
    (n,), thinned = analysed(plan, n)
    sets = significant_against_share(n, past, plan.trial.alpha, plan.trial.sides)
    return binomial(n, np.multiply(thinned, arm)) @ sets


def analysed(plan: Plan, *sizes: int) -> tuple[tuple[int, ...], float]:
    """Return patients analysed and the factor on the share: loss is failure, or leaves fewer patients."""
    if plan.trial.missing == "failure":
        return sizes, plan.known
    return tuple(max(1, round(n * plan.seen)) for n in sizes), 1.0


def past_known(plan: Plan, share: float) -> float:
    """Return the control's share as a trial sees it: of patients of the past none is lost anew."""
    return share if plan.past_share is not None else share * plan.known


def power(plan: Plan, n_arm: int, arm: np.ndarray | float, control: np.ndarray | float | None) -> np.ndarray:
    """Return the power of the plan's comparison with `n_arm` patients in the arm."""
    if plan.past_share is not None:
        return power_against_share(plan, n_arm, arm, plan.past_share)
    return power_between(plan, n_arm, plan.controls(n_arm), arm, control)


def smallest_size(
    plan: Plan, arm: float, control: float | None, most: int | None = None
) -> tuple[int | None, float]:
    """Return the fewest patients of the arm with the wanted power, and the power there.

    No larger size within `SAWTOOTH` patients falls below the wanted power again.

    Parameters
    ----------
    plan : Plan
    arm, control : float
        Shares that reach the endpoint.
    most : int, optional
        Largest size; the largest of the plan by default.

    Returns
    -------
    n : int or None
        Nothing where no size up to `most` is enough.
    power : float
        At `n`, or at `most`.
    """
    most = most or max(plan.trial.sizes)
    known: dict[int, float] = {}

    def at(n: int) -> float:
        if n not in known:
            known[n] = float(power(plan, n, arm, control)[0])
        return known[n]

    if at(most) < plan.trial.power:
        return None, at(most)
    low, high = 1, most  # the power at `high` is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) >= plan.trial.power else (middle, high)
    enough = (n for n in range(max(2, high - SAWTOOTH), most + 1) if _stays(at, n, most, plan.trial.power))
    n = next(enough, None)
    return n, at(n or most)


def _stays(at: Any, n: int, most: int, wanted: float) -> bool:
    return all(at(size) >= wanted for size in range(n, min(n + SAWTOOTH, most) + 1))


def size_grid(sizes: list[int]) -> np.ndarray:
    """Return sizes from two to the largest, denser where they are small."""
    return np.unique(np.round(np.geomspace(2, max(sizes), GRID)).astype(int))


def sizes_of_draws(plan: Plan, arm: np.ndarray, control: np.ndarray | None) -> np.ndarray:
    """Return the fewest patients with the wanted power for each pair of shares; infinite if too many.

    Parameters
    ----------
    plan : Plan
    arm, control : numpy.ndarray of float, shape (draws,)

    Returns
    -------
    numpy.ndarray of float, shape (draws,)
        Interpolated between the sizes of `size_grid`.
    """
    grid = size_grid(plan.trial.sizes)
    curve = np.maximum.accumulate(np.stack([power(plan, int(n), arm, control) for n in grid]), axis=0)
    return np.array([_crossing(grid, column, plan.trial.power) for column in curve.T])


def _crossing(grid: np.ndarray, curve: np.ndarray, wanted: float) -> float:
    above = int(np.searchsorted(curve >= wanted, True))
    if above == len(grid):
        return np.inf
    if above == 0:
        return float(grid[0])
    share = (wanted - curve[above - 1]) / (curve[above] - curve[above - 1])
    return float(ceil(grid[above - 1] + share * (grid[above] - grid[above - 1])))


def normal_size(plan: Plan, arm: float, control: float) -> float:
    """Return the arm's patients by the normal approximation of two shares, without a limit.

    Infinite where the shares agree.
    """
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    effect = proportion_effectsize(plan.known * arm, past_known(plan, control))
    wrong_way = plan.trial.sides == 1 and effect < 0
    if abs(effect) < 1e-9 or wrong_way:
        return np.inf
    n = NormalIndPower().solve_power(
        effect_size=abs(effect),
        alpha=plan.trial.alpha,
        power=plan.trial.power,
        ratio=1 / plan.trial.allocation,
        alternative="two-sided" if plan.trial.sides == 2 else "larger",
    )
    return float(ceil(n if plan.trial.missing == "failure" else n / plan.seen))


def interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the Monte-Carlo interval of a share of virtual trials, Clopper and Pearson."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, trials, alpha=1 - LEVEL, method="beta")
    return float(np.nan_to_num(low, nan=0.0)), float(np.nan_to_num(high, nan=1.0))
