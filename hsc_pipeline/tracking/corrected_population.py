"""The number of clones behind estimators that are biased: what they say of simulated studies.

Blood clones differ in output, come and go, and share cells with other insertions, so every
estimator of `population` is off by an amount that depends on all of these and on the study's own
sampling.  Here marrows are drawn from what is thought possible, sampled as the study was, and given
to each estimator; the number of clones is regressed on what it says and on how clones differ
within the study, and read off where the study lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.indices import LEVEL
from hsc_pipeline.tracking.neutral import Marrow, read_totals, read_until_seen, with_foreign
from hsc_pipeline.tracking.population import checked_histories, population_size

DRAWS = 400  # simulated studies of the regression
PILOTS = 400  # before, to find the marrows that are like the study's
NEAR = 200  # studies of a local regression
MOST_SEEN = 1000  # clones of a study that is simulated; of more, so many by chance stand for all
LEAST_CAUGHT = 30  # of them in each sample
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
MOST = 60.0  # clones for one seen, that are thought possible
CELLS_PER_CLONE = (1.0, 300.0)  # more than 300 are as good as none lost within decades
FOREIGN_CLONES = (0.3, 30.0)  # clones of other sorts that are not of stem cells, to each living one
FOREIGN = 0.2  # share of fragments from other sorts from which no number is given
WIDER = 2.0  # the catalogue's errors of the spread, as fragments tell more of it than was known
LOST = 1 / 3  # share of clones from which turnover is told of
STRANGE = 4.5  # standard deviations from simulated studies

NOTES = {
    "none": "no marrow of the model gives such a study; no number is given",
    "unbounded": "no clone was seen again, so that nothing bounds the number",
    "open": "the sample is too small to bound the number from above",
    "lost": "a third or more of the clones of the first sample are gone at the last, which the number is of",
    "foreign": "more than a fifth of the fragments may be of cells of other sorts; no number is given",
    "wide": "known to no better than threefold either way",
}


@dataclass(frozen=True)
class Spread:
    """Spread of output between clones: standard deviation of its logarithm, and that of the estimate."""

    sigma: float
    error: float = 0.0


def catalogue_spread() -> Spread:
    """Return the catalogue's spread of clone output; its range is taken as two errors either way."""
    from hsc_pipeline.catalogue import branch_values

    value = branch_values("tracking")["marrow.clone_output_sigma"]
    return Spread(value.value, (value.range[1] - value.range[0]) / 4)


def corrected_population(
    counts,
    spread: Spread | None = None,
    least: int = 1,
    copies_per_cell: float = 1.0,
    estimators: Sequence[str] = MODELS,
    level: float = LEVEL,
    seed: int = 0,
    draws: int = DRAWS,
    months=None,
    foreign=0.0,
):
    """Correct every estimator of the number of clones for its bias in this study.

    Parameters
    ----------
    counts : array_like, shape (clones, occasions)
        Fragments of each clone, or boolean histories; a clone is seen from `least` fragments.
    spread : Spread, optional
        Of ln output per stem cell between clones, known to its error.  None: the catalogue's
        ``marrow.clone_output_sigma`` with twice its error.
    least : int
    copies_per_cell : float
        Insertions of a corrected cell, from the VCN: what is counted are insertions, and those of
        one cell are seen together.
    estimators : sequence of str
    level : float
    seed, draws : int
        Simulated studies.
    months : array_like of float, shape (occasions,), optional
        Of the samples, ascending.  None: a year apart.
    foreign : float or array_like of float, shape (occasions,)
        Share of the fragments that cells of other sorts are expected to have brought in; some of them
        are of clones that are no longer of stem cells.

    Returns
    -------
    pandas.DataFrame
        ``estimator, estimate, standard_error``, of insertions and uncorrected; ``factor``, what the
        estimator gives of the true number; ``clones, low, high``, insertions living at the last
        sample; ``cells, cells_low, cells_high``, these over `copies_per_cell`; ``lost``, share of the
        insertions of the first sample that are gone at the last; ``note``, a sentence where the
        number is to be read with care, or why there is none.

    Notes
    -----
    Intervals are credible intervals over the marrows thought possible (`Prior`), by regression on
    simulated studies as in approximate Bayesian computation; they cover at their level on average
    over these, not at each.

    References
    ----------
    Beaumont 2002, 10.1093/genetics/162.4.2025; Fearnhead & Prangle 2012,
    10.1111/j.1467-9868.2011.01010.x.
    """
    counts = np.asarray(counts)
    if copies_per_cell < 1:
        raise UserError(f"copies_per_cell: {copies_per_cell:g}; allowed: from 1, as corrected cells have one")
    histories = checked_histories(counts if counts.dtype == bool else counts >= least)
    months = 12.0 * np.arange(counts.shape[1]) if months is None else np.asarray(months, float)
    if len(months) != counts.shape[1] or np.any(np.diff(months) <= 0):
        raise UserError(f"months: of each occasion, ascending; allowed: {counts.shape[1]} of them")
    foreign = np.broadcast_to(np.asarray(foreign, float), len(months))
    if np.any((foreign < 0) | (foreign > 1)):
        raise UserError("foreign: share of fragments of other sorts; allowed: 0 to 1")
    seen = histories if counts.dtype == bool else np.where(counts >= least, counts, 0)
    seen = seen[seen.any(axis=1)]
    rng = np.random.default_rng(seed)
    some = seen[_some(rng, seen > 0)]
    share = len(some) / len(seen)
    # Of the insertions of a cell that are left, as many fewer.
    design = Design.of(some, some > 0, months, least, 1 + (copies_per_cell - 1) * share, foreign)
    prior = Prior.of(design, spread).narrowed(rng, design, some)
    reference = Reference.simulate(rng, design, prior, draws, tuple(estimators))
    found = reference.correct(some, level)
    return _of_all(found, seen, share, copies_per_cell)


def _some(rng: np.random.Generator, histories: np.ndarray) -> np.ndarray:
    """Return the places of clones that stand for all: they are drawn alike, so any part is such a study."""
    clones, fewest = len(histories), histories.sum(axis=0).min()
    wanted = max(MOST_SEEN, int(np.ceil(LEAST_CAUGHT * clones / fewest)))
    return rng.permutation(clones)[:wanted] if clones > wanted else np.arange(clones)


def _of_all(found, seen: np.ndarray, share: float, copies: float):
    """Return the corrections of a part of the clones as those of all, beside the estimates of all."""
    if share < 1:
        every = population_size(seen > 0, tuple(found["estimator"]))
        found = found.assign(estimate=every["estimate"], standard_error=every["standard_error"])
    numbers = {name: found[name] / share for name in ("clones", "low", "high")}
    cells = {"cells": "clones", "cells_low": "low", "cells_high": "high"}
    found = found.assign(**numbers, **{name: numbers[of] / copies for name, of in cells.items()})
    return found.assign(factor=found["estimate"] / found["clones"])


@dataclass(frozen=True)
class Design:
    """How a study samples.

    Attributes
    ----------
    months : array of float, shape (occasions,)
    totals : array of float, shape (occasions,)
        Fragments, or clones seen where fragments are not known.
    counted : bool
        Whether `totals` are fragments.
    least : int
    copies : float
    seen : int
        Clones seen at all.
    foreign : array of float, shape (occasions,)
        Share of fragments expected from other sorts.
    """

    months: np.ndarray
    totals: np.ndarray
    counted: bool
    least: int = 1
    copies: float = 1.0
    seen: int = 0
    foreign: np.ndarray | float = 0.0

    @classmethod
    def of(cls, counts, histories, months, least: int, copies: float, foreign=0.0) -> "Design":
        """Return the design of a study at hand."""
        counted = counts.dtype != bool
        totals = (counts if counted else histories).sum(axis=0).astype(float)
        return cls(np.asarray(months, float), totals, counted, least, float(copies), len(histories), foreign)

    def draw(self, rng, marrow: Marrow) -> tuple[np.ndarray, float, float] | None:
        """Draw what the study would see, and the insertions living at its first and last sample.

        Returns
        -------
        counts, first, last
            None where an occasion sees none, or the marrow has too few clones.
        """
        outputs = marrow.outputs(rng, marrow.grow(rng, self.months / 12))
        living = (outputs > 0).sum(axis=0)
        if not living.all():
            return None
        outputs = self._sorted(rng, outputs)
        if self.counted:
            counts = read_totals(rng, outputs, self.totals)
        else:
            counts = read_until_seen(rng, outputs, self.totals, self.least)
        if counts is None:
            return None
        counts = np.where(counts >= self.least, counts, 0)
        counts = counts[counts.any(axis=1)]
        if not counts.any(axis=0).all():
            return None
        return (counts if self.counted else counts > 0), float(living[0]), float(living[-1])

    def _sorted(self, rng, outputs: np.ndarray) -> np.ndarray:
        """Add what other sorts bring in: of the shares expected an unknown part is of clones not living."""
        share = np.broadcast_to(self.foreign, len(self.months))
        if not share.any():
            return outputs
        from hsc_pipeline.catalogue import branch_values

        scatter = branch_values("tracking")["lab.leak_ln_sd"].value
        share = np.clip(share * np.exp(scatter * rng.standard_normal(len(share))) * rng.uniform(), 0, 0.9)
        clones = len(outputs) * np.exp(rng.uniform(*np.log(FOREIGN_CLONES)))
        # Beyond so many for a fragment every one that is seen is seen once.
        most = max(20 * float((share * self.totals).sum()), 100.0)
        return with_foreign(rng, outputs, share, int(np.clip(clones, 3, most)))


@dataclass(frozen=True)
class Prior:
    """Marrows thought possible: uniform in ln clones, ln cells per clone and visit scatter, normal in sigma.

    Attributes
    ----------
    low, high : array of float, shape (4,)
        Ends of ln clones, ln cells per clone, sigma and visit scatter.
    spread : Spread
    division_per_year : float
    """

    low: np.ndarray
    high: np.ndarray
    spread: Spread
    division_per_year: float

    @classmethod
    def of(cls, design: Design, spread: Spread | None = None) -> "Prior":
        """Return what is thought possible before looking at more than how many clones were seen."""
        from hsc_pipeline.catalogue import branch_values

        values = branch_values("tracking")
        if spread is None:
            spread = catalogue_spread()
            spread = Spread(spread.sigma, WIDER * spread.error)
        far = 3 * spread.error
        scatter = values["selection.visit_ln_sd"].range
        fewest = max(0.5 * design.seen / design.copies, 2.0)
        most = MOST * design.seen / design.copies
        low = [np.log(fewest), np.log(CELLS_PER_CLONE[0]), max(spread.sigma - far, 0.0), scatter[0]]
        high = [np.log(most), np.log(CELLS_PER_CLONE[1]), spread.sigma + far, scatter[1]]
        return cls(np.array(low), np.array(high), spread, values["marrow.division_per_year"].value)

    def draw(self, rng: np.random.Generator, copies: float) -> tuple[np.ndarray, Marrow]:
        """Draw one marrow; its parameters and itself."""
        from scipy.special import ndtr, ndtri

        at = rng.uniform(self.low, self.high)
        if self.spread.error:
            ends = ndtr((np.array([self.low[2], self.high[2]]) - self.spread.sigma) / self.spread.error)
            at[2] = self.spread.sigma + self.spread.error * ndtri(rng.uniform(*ends))
        clones = max(round(np.exp(at[0])), 2)
        marrow = Marrow(clones, np.exp(at[1]), at[2], at[3], copies, self.division_per_year)
        return at, marrow

    def narrowed(self, rng: np.random.Generator, design: Design, seen: np.ndarray) -> "Prior":
        """Return the part of it in which a study like this one may be, by regression on pilot studies."""
        drawn, features = [], []
        for _ in range(PILOTS):
            at, marrow = self.draw(rng, design.copies)
            study = design.draw(rng, marrow)
            if study is not None:
                drawn.append(at)
                features.append(features_of(study[0]))
        if len(drawn) < 2 * NEAR // 4:
            return self
        drawn, features = np.array(drawn), np.array(features)
        low, high = self.low.copy(), self.high.copy()
        regression, at = _Regression(features), features_of(seen)
        for number, own in enumerate(drawn.T):
            found = regression.quantiles(own, at, (0.0, 1.0))
            margin = 0.25 * (found[1] - found[0])
            low[number] = np.clip(found[0] - margin, self.low[number], self.high[number])
            high[number] = np.clip(found[1] + margin, low[number], self.high[number])
        return Prior(low, high, self.spread, self.division_per_year)


def features_of(counts: np.ndarray) -> np.ndarray:
    """Return how clones differ within a study, whatever their number: unequal, lasting, and seen again.

    Parameters
    ----------
    counts : array, shape (clones, occasions)
        Fragments or boolean histories, without clones of none.

    Returns
    -------
    array of float
        ln shares: of clones seen once and twice, of clones that neighbouring and that the first and last
        samples share, each against chance; of fragments also of clones with one, two, four and sixteen, and
        the likeness of samples by the abundance of clones.
    """
    seen = counts > 0
    clones, times = len(seen), seen.sum(axis=1)
    caught = seen.sum(axis=0).astype(float)
    found = [clones + 0.5, (times == 1).sum() + 0.5, (times == 2).sum() + 0.5, caught.mean()]
    neighbours = (seen[:, 1:] & seen[:, :-1]).sum() + 0.5
    found += [neighbours / np.sqrt(caught[1:] * caught[:-1]).sum()]
    found += [((seen[:, 0] & seen[:, -1]).sum() + 0.5) / np.sqrt(caught[0] * caught[-1])]
    if counts.dtype != bool:
        pooled = counts.sum(axis=1)
        found += [((pooled == 1).sum() + 0.5), *((pooled >= k).sum() + 0.5 for k in (4, 8, 16, 64))]
        root = np.sqrt(counts / counts.sum(axis=0))
        found += [(root[:, 1:] * root[:, :-1]).sum() / (root.shape[1] - 1) + 1e-3]
        found += [(root[:, 0] * root[:, -1]).sum() + 1e-3]
        top = np.argsort(-pooled, kind="stable")[: max(clones // 20, 10)]
        large = np.sqrt(counts[top] + 0.375)
        found += [np.var(large[:, 1:] - large[:, :-1]) + 0.1, np.var(large[:, -1] - large[:, 0]) + 0.1]
    return np.log(np.array(found, float))


class _Regression:
    """Local linear regression of a parameter on the features of simulated studies.

    Residuals are scaled by a linear model of their size (Blum & François 2010,
    10.1007/s11222-009-9116-0), as studies of much turnover tell less of the number than others.
    """

    RIDGE, STIFF = 1e-6, 0.1  # per study; the second for the size of residuals

    def __init__(self, features: np.ndarray, near: float = 0.5):
        self._centre, self._scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        self._x = (features - self._centre) / self._scale
        self._near = near
        self._squares = self._design(self._x, square=True)

    @cached_property
    def _white(self) -> tuple[np.ndarray, np.ndarray]:
        values, axes = np.linalg.eigh(np.cov(self._x.T))
        kept = values > 1e-6
        axes = axes[:, kept] / np.sqrt(values[kept])
        return axes, self._x @ axes

    def distance(self, at: np.ndarray) -> float:
        """Return how far a study lies from the nearest simulated one.

        In standard deviations per feature, by features freed of their correlations.
        """
        axes, white = self._white
        own = ((at - self._centre) / self._scale) @ axes
        return float(np.sqrt(((white - own) ** 2).mean(axis=1).min()))

    def quantiles(self, wanted: np.ndarray, at: np.ndarray, levels: Sequence[float]) -> np.ndarray:
        """Return quantiles of a parameter, one value a study, for a study of such features."""
        x = ((at - self._centre) / self._scale)[None]
        rough = self._fit(self._squares, wanted, self.RIDGE)
        off = np.abs(self._squares @ rough - self._design(x, square=True) @ rough)
        kept = max(min(len(wanted), NEAR), int(self._near * len(wanted)))
        near = np.argsort(off, kind="stable")[:kept]
        design, place, y = self._design(self._x[near]), self._design(x)[0], wanted[near]
        slopes = self._fit(design, y, self.RIDGE)
        residuals = y - design @ slopes
        size = self._fit(design, np.log(np.abs(residuals) + 1e-9), self.STIFF)
        ratio = np.exp(np.clip(place @ size - design @ size, -1.5, 1.5))
        # Residuals of the fitted studies are smaller than the error at a new one.
        inverse = np.linalg.pinv(design.T @ design + self.RIDGE * np.eye(design.shape[1]))
        free = max(1 - design.shape[1] / len(y), 0.2)
        wider = np.sqrt((1 + min(place @ inverse @ place, 1.0)) / free)
        return float(place @ slopes) + wider * np.quantile(residuals * ratio, levels)

    def _design(self, x: np.ndarray, square: bool = False) -> np.ndarray:
        return np.hstack([np.ones((len(x), 1)), x, *([x**2] if square else [])])

    def _fit(self, design: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
        penalty = ridge * len(y) * np.eye(design.shape[1])
        penalty[0, 0] = 0
        return np.linalg.solve(design.T @ design + penalty + 1e-9 * np.eye(len(penalty)), design.T @ y)


@dataclass(frozen=True)
class Reference:
    """Simulated studies of one design, and what the estimators say of them.

    Attributes
    ----------
    design : Design
    prior : Prior
    estimators : tuple of str
    features : array of float, shape (studies, features)
    ln_estimates : array of float, shape (studies, estimators)
    ln_first, ln_last : array of float, shape (studies,)
        Insertions living at the first and the last sample.
    """

    design: Design
    prior: Prior
    estimators: tuple[str, ...]
    features: np.ndarray = field(repr=False)
    ln_estimates: np.ndarray = field(repr=False)
    ln_first: np.ndarray = field(repr=False)
    ln_last: np.ndarray = field(repr=False)

    @classmethod
    def simulate(cls, rng, design: Design, prior: Prior, draws: int, estimators: tuple[str, ...]):
        """Draw studies; those that see nothing at an occasion are left out."""
        features, estimates, first, last = [], [], [], []
        for _ in range(draws):
            study = design.draw(rng, prior.draw(rng, design.copies)[1])
            if study is None:
                continue
            said = population_size(study[0] > 0, estimators)["estimate"].to_numpy()
            features.append(features_of(study[0]))
            estimates.append(said)
            first.append(study[1])
            last.append(study[2])
        ln = [np.log(np.array(part, float)) for part in (first, last)]
        with np.errstate(invalid="ignore"):
            said = np.log(np.array(estimates, float).reshape(-1, len(estimators)))
        return cls(design, prior, estimators, np.array(features), said, *ln)

    @cached_property
    def _regressions(self) -> list[tuple[np.ndarray, "_Regression | None"]]:
        found = []
        for ln in self.ln_estimates.T:
            kept = np.isfinite(ln)
            enough = kept.sum() >= NEAR // 2
            features = np.column_stack([self.features[kept], ln[kept]]) if enough else None
            found.append((kept, _Regression(features) if enough else None))
        return found

    def correct(self, seen: np.ndarray, level: float = LEVEL):
        """Return the estimates of one study of this design, insertions corrected, ``lost`` and ``note``."""
        import pandas as pd

        seen = np.asarray(seen)
        seen = seen[seen.any(axis=1)]
        table = population_size(seen > 0, self.estimators)
        own = features_of(seen)
        rows = [self._row(number, estimate, own, level) for number, estimate in enumerate(table["estimate"])]
        found = pd.DataFrame(rows, columns=["clones", "low", "high", "lost", "note"])
        return pd.concat([table, found], axis=1)

    def _row(self, number: int, estimate: float, own: np.ndarray, level: float):
        nothing = (np.nan,) * 4
        if not np.isfinite(estimate):
            return (
                *nothing,
                NOTES["unbounded"] if np.isinf(estimate) else "too few occasions for this model",
            )
        if np.mean(self.design.foreign) > FOREIGN:
            return (*nothing, NOTES["foreign"])
        kept, regression = self._regressions[number]
        at = np.append(own, np.log(estimate))
        if regression is None or regression.distance(at) > STRANGE:
            return (*nothing, NOTES["none"])
        levels = (0.5, (1 - level) / 2, (1 + level) / 2)
        clones, low, high = np.exp(regression.quantiles(self.ln_last[kept], at, levels))
        gone = regression.quantiles((self.ln_first - self.ln_last)[kept], at, (0.5,))[0]
        lost = float(np.clip(-np.expm1(-gone), 0, 1))
        most = np.exp(self.prior.high[0]) * self.design.copies
        limit = MOST * self.design.seen if self.design.seen else np.inf
        if high > 0.9 * most and most > 0.99 * limit:
            return clones, low, np.inf, lost, NOTES["open"]
        note = NOTES["lost"] if lost >= LOST else NOTES["wide"] if high > 9 * low else ""
        return clones, low, high, lost, note
