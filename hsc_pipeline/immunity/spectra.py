"""Clone-size spectra: how many clonotypes have how many cells, and what follows from it.

Naive clonotypes arrive from thymus or marrow as a Poisson process, each with a burst of m cells;
every cell then divides at rate rho and dies at rate mu > rho.  In the steady state, with
x = rho/mu, the expected number of clonotypes of n cells is the occupation time of a linear
birth-death process::

    E[C_n] = arrivals x^max(n-m, 0) (1 - x^min(n, m)) / (n (mu - rho))

For m = 1 this is Fisher's log-series.  Clonotypes of memory cells follow a truncated power law.
"""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import ModelError

EXACT_SIZES = 256  # sizes up to here one by one, larger ones in logarithmic bins
BINS_PER_DECADE = 40
SERIES_BELOW, SERIES_TERMS = 0.3, 40
TAIL = 40.0  # decay lengths of the geometric tail that are followed: exp(-40) is left


@dataclass(frozen=True)
class Spectrum:
    """Expected clonotypes by size.

    Attributes
    ----------
    sizes : array of float, shape (classes,)
        Cells of a clonotype.
    number : array of float, shape (classes,)
        Expected clonotypes of that size.
    """

    sizes: np.ndarray
    number: np.ndarray

    @property
    def clonotypes(self) -> float:
        """Expected clonotypes, the richness."""
        return float(self.number.sum())

    @property
    def cells(self) -> float:
        """Expected cells."""
        return float(self.number @ self.sizes)

    def __add__(self, other: "Spectrum") -> "Spectrum":
        """Join the clonotypes of two pools that share none."""
        return Spectrum(
            np.concatenate([self.sizes, other.sizes]), np.concatenate([self.number, other.number])
        )

    def scaled(self, share: float) -> "Spectrum":
        """Return as many clonotypes times `share`, of the same sizes."""
        return Spectrum(self.sizes, self.number * share)

    def sampled(self, cells: float) -> float:
        """Return the clonotypes expected in a sample: sum of 1 - (1 - p_i)^cells, the rarefaction law."""
        if not self.number.size or self.cells <= 0:
            return 0.0
        p = np.minimum(self.sizes / self.cells, 1)
        with np.errstate(divide="ignore"):
            return float(self.number @ -np.expm1(cells * np.log1p(-p)))

    def shannon(self) -> float:
        """Return the Shannon entropy of the clonotypes' shares, in nats; 0 without cells."""
        if self.cells <= 0:
            return 0.0
        p = np.minimum(self.sizes / self.cells, 1)  # expected sizes may pass what few cells there are
        return float(-self.number @ (p * np.log(p)))

    def evenness(self) -> float:
        """Return Pielou's evenness, entropy over its maximum; 0 where there is at most one clonotype."""
        if self.clonotypes <= 1:
            return 0.0
        return float(np.clip(self.shannon() / np.log(self.clonotypes), 0, 1))

    def top_share(self) -> float:
        """Return the median share of the largest clonotype, numbers by size being Poisson."""
        if self.cells <= 0:
            return 0.0
        order = np.argsort(self.sizes)[::-1]
        larger = np.cumsum(self.number[order])
        at = np.searchsorted(larger, np.log(2))  # P(none larger) = exp(-larger) = 1/2
        return float(min(self.sizes[order][min(at, len(order) - 1)] / self.cells, 1))


NOTHING = Spectrum(np.zeros(0), np.zeros(0))


def distinct_share(thymic_share: float, burst: int) -> float:
    """Return clonotypes per cell of a steady naive pool.

    Parameters
    ----------
    thymic_share : float
        New cells from thymus or marrow among all that are made, 1 - x.
    burst : int
        Cells m of a new clonotype.

    Returns
    -------
    float
        (1 - x)/m times the sum over k < m of (-ln(1 - x) - sum_{i<=k} x^i/i) / x^(k+1).
    """
    x = 1 - thymic_share
    if x < SERIES_BELOW:  # the differences below would cancel
        powers = x ** np.arange(SERIES_TERMS)
        total = sum(float(powers @ (1 / (k + 1 + np.arange(SERIES_TERMS)))) for k in range(burst))
        return thymic_share * total / burst
    rest, total = -np.log(thymic_share), 0.0
    for k in range(burst):
        rest -= x**k / k if k else 0.0
        total += rest / x ** (k + 1)
    return float(thymic_share * total / burst)


def naive_spectrum(cells: float, clonotypes: float, burst: int) -> Spectrum:
    """Return the spectrum of a naive pool of so many cells and clonotypes.

    The ratio of division to death follows from their ratio, so that one law holds for a full
    pool and for one that a bottleneck left with few clonotypes.

    Raises
    ------
    ModelError
        If there are more clonotypes than the law allows for the cells.
    """
    if cells <= 0 or clonotypes <= 0:
        return NOTHING
    share = thymic_share_of(clonotypes / cells, burst)
    x = 1 - share
    sizes, width = _size_grid(burst + TAIL / share)
    per_size = x ** np.maximum(sizes - burst, 0) * -np.expm1(np.minimum(sizes, burst) * np.log(x)) / sizes
    number = per_size * width
    # Binning a long tail costs a fraction of a per cent; the two totals stay exact.
    stretch = (cells / clonotypes) * number.sum() / (number @ sizes)
    return Spectrum(sizes * stretch, number * clonotypes / number.sum())


def thymic_share_of(distinct: float, burst: int) -> float:
    """Return the thymic share at which a steady pool has so many clonotypes per cell."""
    from scipy.optimize import brentq

    most = distinct_share(1 - 1e-9, burst)
    if distinct > most * (1 + 1e-6):
        raise ModelError(f"repertoire: {distinct:.3g} clonotypes a cell; at most {most:.3g} can be")
    if distinct >= most:
        return 1 - 1e-9
    low = 1e-15
    root = brentq(lambda ln: distinct_share(np.exp(ln), burst) - distinct, np.log(low), np.log(1 - 1e-9))
    return float(np.exp(root))


def memory_spectrum(cells: float, exponent: float, smallest: float, largest_share: float) -> Spectrum:
    """Return the spectrum of a memory pool: clonotypes of n cells in proportion to n^-exponent.

    Parameters
    ----------
    cells : float
    exponent : float
    smallest : float
        Cells of the smallest clonotype.
    largest_share : float
        Of all cells, in the largest one.
    """
    if cells <= 0:
        return NOTHING
    largest = cells * largest_share
    if largest <= smallest:
        return Spectrum(np.array([min(smallest, cells)]), np.array([cells / min(smallest, cells)]))
    bins = max(2, round(BINS_PER_DECADE * np.log10(largest / smallest)))
    edges = np.geomspace(smallest, largest, bins + 1)
    sizes = np.sqrt(edges[1:] * edges[:-1])
    number = sizes**-exponent * np.diff(edges)
    return Spectrum(sizes, number * cells / (number @ sizes))


def _size_grid(largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes and how many whole numbers each stands for."""
    exact = np.arange(1, min(largest, EXACT_SIZES) + 1)
    if largest <= EXACT_SIZES:
        return exact.astype(float), np.ones(len(exact))
    bins = max(1, round(BINS_PER_DECADE * np.log10(largest / EXACT_SIZES)))
    edges = np.geomspace(EXACT_SIZES + 0.5, largest, bins + 1)
    return np.concatenate([exact, np.sqrt(edges[1:] * edges[:-1])]), np.concatenate(
        [np.ones(len(exact)), np.diff(edges)]
    )
