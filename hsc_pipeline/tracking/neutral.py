"""Studies of clones that come and go by chance alone, as a laboratory would see them.

Clones regrow from single stem cells, divide and are lost at one rate, differ in output, scatter
from visit to visit, and are read as fragments.  What is measured is compared with such studies.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Marrow:
    """A marrow at the first sample.

    Attributes
    ----------
    clones : int
        Living clones, each of one corrected cell once.
    cells_per_clone : float
        Stem cells of a clone, on average, from 1 on.
    sigma : float
        Standard deviation of ln output per stem cell, between clones.
    visit_ln_sd : float
        Of a clone's ln output from visit to visit.
    copies : float
        Insertions of a clone, on average, from 1 on.
    division_per_year : float
    """

    clones: int
    cells_per_clone: float = 10.0
    sigma: float = 1.2
    visit_ln_sd: float = 0.1
    copies: float = 1.0
    division_per_year: float = 1.0

    def grow(self, rng: np.random.Generator, years: np.ndarray) -> np.ndarray:
        """Draw the stem cells of each clone, shape (clones, visits), the first visit at `years[0]`.

        Sizes are geometric, as pure birth from one cell leaves them; from then on a critical
        birth-death process, exactly: of n cells Binomial(n, 1 / (1 + bt)) have descendants after t,
        each of them geometric with mean 1 + bt (Kendall 1948, 10.1214/aoms/1177730285).
        """
        cells = [rng.geometric(1 / self.cells_per_clone, self.clones)]
        for gap in np.diff(years):
            alone = 1 / (1 + self.division_per_year * gap)
            families = rng.binomial(cells[-1], alone)
            some = families > 0
            after = families.copy()
            if alone < 1:
                after[some] += rng.negative_binomial(families[some], alone)
            cells.append(after)
        return np.column_stack(cells)

    def outputs(self, rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
        """Draw what each insertion gives to each sample; shape (insertions, visits).

        Insertions of one cell give the same.  Their number is geometric: negative binomial of
        dispersion 1 without the cells of none.
        """
        output = np.exp(self.sigma * rng.standard_normal((len(cells), 1)))
        if self.visit_ln_sd:
            output = output * np.exp(self.visit_ln_sd * rng.standard_normal(cells.shape))
        copies = rng.geometric(1 / self.copies, len(cells)) if self.copies > 1 else 1
        return np.repeat(cells * output, copies, axis=0)


def with_foreign(rng: np.random.Generator, outputs: np.ndarray, share: np.ndarray, clones: int) -> np.ndarray:
    """Add clones of other cells that got into the sort, which hold such shares of each sample.

    They are of long-lived lymphocytes, so the same at every visit, and as unequal as blood clones of
    no known size are (log-normal of 1.5, the fit to whole samples in `sigma`'s source).
    """
    weight = np.exp(1.5 * rng.standard_normal((clones, 1)))
    each = outputs.sum(axis=0) * share / (1 - share)
    return np.vstack([outputs, weight / weight.sum() * each])


def read_totals(rng: np.random.Generator, outputs: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Draw fragments, so many in each sample on average."""
    return rng.poisson(outputs * (totals / np.maximum(outputs.sum(axis=0), 1e-300)))


def read_until_seen(
    rng: np.random.Generator, outputs: np.ndarray, seen: np.ndarray, least: int = 1
) -> np.ndarray | None:
    """Draw fragments from so deep samples that so many clones are seen; None if fewer live."""
    living = (outputs > 0).sum(axis=0)
    if np.any(seen >= living):
        return None
    rate = [_depth(own[own > 0], wanted, least) for own, wanted in zip(outputs.T, seen, strict=True)]
    return rng.poisson(outputs * np.array(rate))


def _depth(output: np.ndarray, wanted: float, least: int) -> float:
    from scipy.optimize import brentq
    from scipy.special import gammainc

    # A few thousand of the clones place the depth closer than the Poisson draw that follows.
    every = max(len(output) // 4000, 1)
    some, share = np.sort(output)[::every], wanted / len(output)
    centre = -np.log(np.mean(some))
    at = brentq(
        lambda ln: gammainc(least, np.exp(ln) * some).mean() - share, centre - 25, centre + 40, xtol=1e-4
    )
    return float(np.exp(at))
