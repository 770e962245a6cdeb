"""Integrating vectors: copies per cell, and what they make."""

from math import exp, inf, log1p

import numpy as np

from hsc_pipeline.settings import Settings

MOST_COPIES = 200  # in the law of copies; protein has saturated long before
POISSON_FROM = 1e4  # dispersion above which the negative binomial is the Poisson law to 1e-4


def dispersion(settings: Settings) -> float:
    """Return the dispersion k of copies per cell; infinite for the Poisson law."""
    if settings["product.copies_law"] == "poisson":
        return inf
    return solve_dispersion(settings["product.mean_copies"], settings["product.transduced_fraction"])


def no_copy_probability(mean: float, k: float) -> float:
    """Return P(no copy) = (k/(k+m))^k, or its Poisson limit e^-m for infinite `k`."""
    return exp(-mean) if k == inf else exp(-k * log1p(mean / k))


def solve_dispersion(mean: float, transduced_fraction: float) -> float:
    """Return the dispersion k at which copies of mean `mean` leave 1 - `transduced_fraction` cells without.

    Copies per cell are overdispersed: a negative binomial beats the Poisson in every patient with
    sequenced colonies [1]_.

    Raises
    ------
    ValueError
        If even the Poisson law leaves more cells without a copy.

    References
    ----------
    .. [1] Spencer Chapman 2023, 10.1038/s41591-023-02636-6, colonies' copies.
    """
    from scipy.optimize import brentq

    none = 1 - transduced_fraction
    if not exp(-mean) < none < 1:
        raise ValueError(f"mean copies {mean:g} cannot transduce {transduced_fraction:g} of cells")
    if no_copy_probability(mean, POISSON_FROM) > none:
        return inf
    return float(brentq(lambda k: no_copy_probability(mean, k) - none, 1e-6, POISSON_FROM))


def draw_copies(rng: np.random.Generator, mean: float, k: float, cells: int) -> np.ndarray:
    """Draw vector copies of `cells` cells: negative binomial, variance/mean = 1 + mean/k."""
    if k == inf:
        return rng.poisson(mean, cells)
    return rng.negative_binomial(k, k / (k + mean), cells)


def copies_law(mean: float, k: float, most: int) -> np.ndarray:
    """Return the probability of 0, 1, ... `most` copies; the last holds all that is above."""
    from scipy.stats import nbinom, poisson

    law, numbers = (poisson, (mean,)) if k == inf else (nbinom, (k, k / (k + mean)))
    chance = law.pmf(np.arange(most + 1), *numbers)
    chance[most] = law.sf(most - 1, *numbers)
    return chance


def function_of(copies: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the protein a cell makes against a normal one: saturating with its copies.

    ``most (1 - exp(-copies per_copy / most))``: each of few copies adds ``expression.per_copy``.
    """
    most = settings["expression.most"]
    return most * -np.expm1(-np.asarray(copies) * settings["expression.per_copy"] / most)
