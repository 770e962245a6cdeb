"""The number of clones behind an estimator that is biased: what it would say of a known number.

Blood clones differ in output, so every estimator of `population` is off by an amount that depends
on the number itself, on the spread of output and on the study's own sampling.  Here the model gives
that amount: clones of log-normal output, seen at each occasion as often as in the study.  The number
sought is the one at which the estimator would come out as it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.captures import Captures
from hsc_pipeline.tracking.indices import LEVEL
from hsc_pipeline.tracking.population import ESTIMATORS, checked_histories, population_size

NODES = np.linspace(-6.0, 6.0, 121)  # of the standard normal law of ln output
LAW = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
DRAWS = 100
MODELS = (
    "M0",
    "Mt",
    "Mh_Chao",
    "M0_bc",
    "Mt_bc",
    "Mth_Chao_bc",
    "Chapman",
    "Chao2",
    "jackknife1",
    "jackknife2",
)


@dataclass(frozen=True)
class Spread:
    """Spread of output between clones: standard deviation of its logarithm, and that of the estimate."""

    sigma: float
    error: float


def corrected_population(
    counts,
    spread: Spread | None = None,
    least: int = 1,
    copies_per_cell: float = 1.0,
    estimators: Sequence[str] = MODELS,
    level: float = LEVEL,
    seed: int = 0,
    draws: int = DRAWS,
):
    """Correct every estimator of the number of clones for its bias in this study.

    Parameters
    ----------
    counts : array_like, shape (clones, occasions)
        Fragments of each clone, or boolean histories; a clone is seen from `least` fragments.
    spread : Spread, optional
        Of ln output between clones.  None: fitted to fragments (`fit_spread`), and the catalogue's
        ``marrow.clone_output_sigma`` with its range for histories.
    least : int
    copies_per_cell : float
        Insertions of a corrected cell, from the VCN: what is counted are insertions.
    estimators : sequence of str
    level : float
    seed, draws : int
        Simulated studies.

    Returns
    -------
    pandas.DataFrame
        ``estimator, estimate, standard_error``, of insertions and uncorrected; ``factor``, what the
        estimator gives of the true number; ``clones, low, high``, corrected insertions; ``cells``,
        ``cells_low, cells_high``, these over `copies_per_cell`; ``sigma``.  NaN where the
        estimator cannot come out as it did.

    Notes
    -----
    The interval holds the sampling of the study and the error of `spread`; not the error of the
    copies, and not clones that come or go between occasions, which raise every estimate.
    """
    import pandas as pd

    counts = np.asarray(counts)
    if copies_per_cell < 1:
        raise UserError(f"copies_per_cell: {copies_per_cell:g}; allowed: from 1, as corrected cells have one")
    histories = checked_histories(counts if counts.dtype == bool else counts >= least)
    fitted = spread is None and counts.dtype != bool
    spread = spread or (fit_spread(counts, least) if fitted else catalogue_spread())
    caught = histories.sum(axis=0)
    study = Study(caught, least, fitted)
    table = population_size(histories, tuple(estimators))
    rng = np.random.default_rng(seed)
    rows = []
    reference = _reference(table, study, spread)
    simulated = study.simulate(rng, reference, spread, draws, tuple(estimators)) if reference else None
    for number, row in enumerate(table.itertuples()):
        found = study.invert(row.estimator, row.estimate, spread, simulated, number, level)
        rows.append((*row[1:], *found))
    columns = ["estimator", "estimate", "standard_error", "factor", "clones", "low", "high"]
    out = pd.DataFrame(rows, columns=columns)
    for name, source in (("cells", "clones"), ("cells_low", "low"), ("cells_high", "high")):
        out[name] = out[source] / copies_per_cell
    return out.assign(sigma=spread.sigma)


def catalogue_spread() -> Spread:
    """Return the catalogue's spread of clone output; its range is taken as two errors either way."""
    from hsc_pipeline.catalogue import branch_values

    value = branch_values("tracking")["marrow.clone_output_sigma"]
    return Spread(value.value, (value.range[1] - value.range[0]) / 4)


def fit_spread(counts, least: int = 1) -> Spread:
    """Fit the spread of output to the fragments of each clone, summed over occasions.

    Poisson-log-normal, without the clones of none, by maximum likelihood [1]_.

    Parameters
    ----------
    counts : array_like of int, shape (clones, occasions)
        Fragments, all of them: a table cut at a number of fragments has lost what tells the spread.
    least : int
        Must be 1.

    References
    ----------
    .. [1] Bulmer 1974, 10.2307/2529621
    """
    if least != 1:
        raise UserError(f"least: {least} with fragments and no spread; allowed: 1, or give the spread")
    total = np.rint(np.asarray(counts, float).sum(axis=1)).astype(np.int64)
    law = PoissonLognormal(total[total > 0])
    return Spread(law.sigma, law.error)


class PoissonLognormal:
    """A fitted Poisson-log-normal law of positive counts.

    Attributes
    ----------
    mu, sigma : float
        Mean and standard deviation of the logarithm of the expected count.
    error : float
        Standard error of `sigma`.
    """

    GRID = np.arange(-14.0, 14.0, 0.05)
    MANY = 200  # fragments from which the Poisson part adds nothing to the width of the grid's cells

    def __init__(self, counts: np.ndarray):
        from scipy.optimize import minimize
        from scipy.special import gammaln

        self._x, self._weight = np.unique(counts, return_counts=True)
        few = self._x[self._x < self.MANY]
        k = np.concatenate([[0], few])[:, None]
        self._few, self._law = len(few), np.exp(k * self.GRID - np.exp(self.GRID) - gammaln(k + 1))
        start = np.array([np.log(counts.mean()) - 1, 0.2])
        found = minimize(self._loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
        self.mu, self.sigma = float(found.x[0]), float(np.exp(found.x[1]))
        self.error = self.sigma * float(np.sqrt(np.linalg.inv(self._curvature(found.x))[1, 1]))

    def _loss(self, theta: np.ndarray) -> float:
        mu, sigma = theta[0], np.exp(min(theta[1], 3.0))
        prior = np.exp(-0.5 * ((self.GRID - mu) / sigma) ** 2)
        chance = self._law @ (prior / prior.sum())
        many = self._x[self._few :].astype(float)
        ln_many = -0.5 * ((np.log(many) - mu) / sigma) ** 2 - np.log(sigma * many * np.sqrt(2 * np.pi))
        ln = np.concatenate([np.log(np.maximum(chance[1:], 1e-300)), ln_many])
        return float(-(self._weight @ ln) + self._weight.sum() * np.log1p(-min(chance[0], 1 - 1e-12)))

    def _curvature(self, theta: np.ndarray) -> np.ndarray:
        step, out = 1e-3, np.zeros((2, 2))
        for i in range(2):
            for j in range(2):
                a, b = np.eye(2)[i] * step, np.eye(2)[j] * step
                out[i, j] = self._loss(theta + a + b) - self._loss(theta + a - b)
                out[i, j] += self._loss(theta - a - b) - self._loss(theta - a + b)
        return out / (4 * step**2)


class Study:
    """A study's own sampling: so many clones seen at each occasion.

    Parameters
    ----------
    caught : array of float, shape (occasions,)
    least : int
        Fragments from which a clone is seen.
    fits_spread : bool
        Whether the spread of output is fitted to the study's fragments.
    """

    def __init__(self, caught: np.ndarray, least: int = 1, fits_spread: bool = False):
        self.caught, self.least, self.fits_spread = caught.astype(float), least, fits_spread

    def rates(self, clones: float, sigma: float) -> np.ndarray:
        """Return the fragments of a clone of median output at each occasion, for as many clones seen."""
        output, wanted = np.exp(sigma * NODES), np.minimum(self.caught / clones, 1 - 1e-9)
        if self.least > 1:
            return self._rates_by_bisection(output, wanted)
        # The share seen is concave in the rate, so Newton's method from below comes up to the root.
        rate = wanted / (output @ LAW)
        for _ in range(200):
            missed = np.exp(-rate[:, None] * output)
            step = (wanted - 1 + missed @ LAW) / ((missed * output) @ LAW)
            rate = rate + step
            if np.all(step <= 1e-11 * rate):
                break
        return rate

    def _rates_by_bisection(self, output: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        low, high = np.full(len(wanted), -30.0), np.full(len(wanted), 30.0)
        for _ in range(60):
            middle = (low + high) / 2
            more = self._seen(np.exp(middle), output) @ LAW < wanted
            low, high = np.where(more, middle, low), np.where(more, high, middle)
        return np.exp(middle)

    def _seen(self, rate: np.ndarray, output: np.ndarray) -> np.ndarray:
        from scipy.special import gammainc

        return gammainc(self.least, rate[:, None] * output)

    def chances(self, clones: float, sigma: float) -> np.ndarray:
        """Return the chance of being seen at each occasion by output, shape (occasions, nodes)."""
        return self._seen(self.rates(clones, sigma), np.exp(sigma * NODES))

    def expected(self, clones: float, sigma: float) -> tuple[Captures, np.ndarray]:
        """Return expected captures, and the chances behind them."""
        chance = self.chances(clones, sigma)
        number = np.zeros((len(self.caught) + 1, len(NODES)))
        number[0] = 1
        for seen in chance:
            number[1:] = number[1:] * (1 - seen) + number[:-1] * seen
            number[0] *= 1 - seen
        by_number = clones * (number[1:] @ LAW)
        return Captures(float(by_number.sum()), clones * (chance @ LAW), by_number), chance

    def says(self, estimator: str, clones: float, sigma: float) -> float:
        """Return what the estimator gives in the limit of a large study of so many clones."""
        captures, chance = self.expected(clones, sigma)
        if estimator == "Chapman" or (estimator == "Mt_bc" and len(self.caught) == 2):
            n, m = captures.by_occasion[-2:]
            return float((n + 1) * (m + 1) / (clones * ((chance[-2] * chance[-1]) @ LAW) + 1) - 1)
        return ESTIMATORS[estimator](captures, np.zeros((0, 0), bool)).estimate

    def root(self, estimator: str, estimate: float, sigma: float) -> float:
        """Return the number of clones at which the estimator says so; NaN if none does."""
        from scipy.optimize import brentq

        if not np.isfinite(estimate):
            return np.nan
        least = np.log(self.caught.max() * (1 + 1e-4) + 1)

        def gap(ln: float) -> float:
            said = self.says(estimator, float(np.exp(ln)), sigma)
            return np.log(said / estimate) if said > 0 and np.isfinite(said) else np.nan

        grid = np.linspace(least, np.log(max(estimate, np.exp(least))) + 3.5, 12)
        values = np.array([gap(x) for x in grid])
        ends = np.flatnonzero((values[:-1] <= 0) & (values[1:] > 0))
        if not len(ends):
            return np.nan
        return float(np.exp(brentq(gap, grid[ends[0]], grid[ends[0] + 1], xtol=1e-6)))

    def simulate(self, rng, clones: float, spread: Spread, draws: int, estimators: tuple[str, ...]):
        """Draw studies of so many clones.

        Returns
        -------
        ln_estimates, ln_caught, sigmas : array
            Shapes (draws, estimators), (draws, occasions) and (draws,), of studies without an empty
            occasion.
        """
        rate = self.rates(clones, spread.sigma)
        estimates, caught, sigmas = [], [], []
        for _ in range(draws):
            output = np.exp(spread.sigma * rng.standard_normal(round(clones)))
            counts = rng.poisson(output[:, None] * rate)
            seen = counts >= self.least
            if not seen.any(axis=0).all():
                continue
            table = population_size(seen, estimators)
            estimates.append(np.log(np.maximum(table["estimate"].to_numpy(), 1e-300)))
            caught.append(np.log(seen.sum(axis=0)))
            if self.fits_spread:
                sigmas.append(PoissonLognormal(counts.sum(axis=1)[counts.any(axis=1)]).sigma)
            else:
                sigmas.append(spread.sigma + spread.error * rng.standard_normal())
        return np.array(estimates), np.array(caught), np.array(sigmas)

    def errors(self, estimator: str, clones: float, sigma: float, simulated, number: int) -> np.ndarray:
        """Return the errors of the ln corrected number in simulated studies, to first order.

        The number depends on the estimate, on the clones caught and on sigma; its slopes are those of
        what the estimator says.
        """
        step = 0.01

        def said(ln: float, spread: float, more: np.ndarray) -> float:
            study = Study(self.caught * np.exp(more), self.least)
            return np.log(study.says(estimator, clones * np.exp(ln), max(sigma + spread, 0.0)))

        def slope(ln: float = 0.0, spread: float = 0.0, more: float | np.ndarray = 0.0) -> float:
            up, down = (said(s * ln, s * spread, s * more) for s in (step, -step))
            return (up - down) / (2 * step)

        estimates, caught, sigmas = (part - part.mean(axis=0) for part in simulated)
        gap = estimates[:, number] - slope(spread=1.0) * sigmas
        for occasion, more in enumerate(np.eye(len(self.caught))):
            gap = gap - slope(more=more) * caught[:, occasion]
        return gap / slope(ln=1.0)

    def invert(self, estimator, estimate, spread, simulated, number, level):
        """Return factor, number of clones and its interval."""
        from scipy.special import ndtri

        clones = self.root(estimator, estimate, spread.sigma)
        if not np.isfinite(clones) or simulated is None or len(simulated[0]) < 10:
            return (np.nan,) * 4
        kept = np.isfinite(simulated[0][:, number])
        errors = self.errors(estimator, clones, spread.sigma, [part[kept] for part in simulated], number)
        half = ndtri((1 + level) / 2) * errors.std(ddof=1)
        return estimate / clones, clones, clones * np.exp(-half), clones * np.exp(half)


def _reference(table, study: Study, spread: Spread) -> float | None:
    """Return the number of clones to simulate: the median over the estimators that have one."""
    found = [study.root(row.estimator, row.estimate, spread.sigma) for row in table.itertuples()]
    found = [clones for clones in found if np.isfinite(clones)]
    return float(np.median(found)) if found else None
