"""Drift or selection: does a clone grow for a reason, or by chance?

A hidden Markov model of each clone.  Hidden: how many stem cells it has, which drift by divisions
and losses at one rate (Feller's diffusion) and grow with its advantage, and its own output per stem
cell, which never changes.  Seen: fragments, Poisson of its share of the sample, with the log-normal
scatter of its output from visit to visit.  The Bayes factor weighs all advantages against none, with
the same output and the same drift.

Samples scatter more than any catalogue says.  Nearly all clones of a study are neutral, so `fit_drift`
measures the scatter of each visit, and drift beyond the catalogue's, by the bulk of them.

Bayes factors of the right null are e-values: their mean under drift is one, so a clone reaches K/alpha
with at most alpha/K, whatever the clones have in common.  `drift_or_selection` corrects for the
number of clones seen by them (e-BH), and gives p-values by clones simulated to drift in the same study.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from hsc_pipeline.errors import UserError

OUTPUTS = 11  # nodes of ln output
ADVANTAGES = 8
FEWEST = 1e-3  # stem cells that stand for none
PER_E = 9  # nodes of ln stem cells, per e-fold
SCATTER = np.linspace(-6, 6, 31)  # nodes of ln scatter, in standard deviations
LEAST_OF_PAIR = 30  # fragments of a clone in two samples, from which its ratio tells of scatter
LEAST_CLONES = 20  # of two samples, that make a robust scale
MOST_OF_BULK = 300  # clones that tell of over-dispersion
BULK = 20_000  # clones simulated to tell what the catalogue's drift explains


@dataclass(frozen=True)
class Drift:
    """What a study knows of the marrow and of its sampling.

    Attributes
    ----------
    months : array of float, shape (visits,)
        Of the samples, ascending.
    totals : array of float, shape (visits,)
        Fragments of all clones; `fit_drift` puts them where the bulk of clones keeps its share.
    stem_cells : float
        Marked stem cells of the marrow; see `corrected_population` or `coalescence`.
    clones : float
        Clones among them, seen or not.
    sigma, division_per_year : float, optional
        Spread of ln output between clones, divisions of a stem cell; None: the catalogue's.
    visit_ln_sd : float or array of float, shape (visits,), optional
        Scatter of a clone's ln output between visits, of all or of each; None: the catalogue's.
    """

    months: np.ndarray
    totals: np.ndarray
    stem_cells: float
    clones: float
    sigma: float | None = None
    division_per_year: float | None = None
    visit_ln_sd: float | np.ndarray | None = None
    advantages: np.ndarray = field(init=False)

    def __post_init__(self):
        from hsc_pipeline.catalogue import branch_values

        values = branch_values("tracking")
        months, totals = np.asarray(self.months, float), np.asarray(self.totals, float)
        if len(months) < 2 or np.any(np.diff(months) <= 0) or len(totals) != len(months):
            raise UserError("months: of each sample, ascending; allowed: two samples or more, a total each")
        if not 1 <= self.clones <= self.stem_cells:
            raise UserError(
                f"clones: {self.clones:g} of {self.stem_cells:g} stem cells; allowed: from 1 to them"
            )
        least, most = (values[f"selection.{n}_advantage"].value for n in ("least", "largest"))
        given = {
            "months": months,
            "totals": totals,
            "advantages": np.geomspace(least, most, ADVANTAGES),
        }
        for name, source in (
            ("sigma", "marrow.clone_output_sigma"),
            ("division_per_year", "marrow.division_per_year"),
            ("visit_ln_sd", "selection.visit_ln_sd"),
        ):
            if getattr(self, name) is None:
                given[name] = values[source].value
        scatter = given.get("visit_ln_sd", self.visit_ln_sd)
        given["visit_ln_sd"] = np.broadcast_to(np.asarray(scatter, float), months.shape)
        for name, value in given.items():
            object.__setattr__(self, name, value)


def drift_or_selection(
    counts,
    drift: Drift,
    prior: float = 1e-3,
    alpha: float = 0.05,
    null_clones: int = 2000,
    seed: int = 0,
    family: int | None = None,
    overdispersion: float = 1.0,
):
    """Weigh selection against drift for every clone.

    Parameters
    ----------
    counts : array_like of int, shape (clones, visits)
        Fragments of each clone looked at; each was seen.
    drift : Drift
        Of `fit_drift`, unless scatter and drift are known.
    prior : float
        Chance of a clone to be selected, before looking.
    alpha : float
        Share of false ones among the flagged clones that is allowed; where no clone is selected, the
        chance that any is flagged.
    null_clones : int
        Clones simulated to drift in this study, for the p-values; those that the study would not see
        are left out.
    seed : int
    family : int, optional
        Clones among which those given were chosen: all that were seen.  None: those given.
    overdispersion : float
        Of `overdispersion`: ln Bayes factors are divided by it.

    Returns
    -------
    pandas.DataFrame
        A row per clone: ``bayes_factor``; ``probability`` of selection; ``advantage, low, high``, per
        year, the posterior median and 90 % interval if selected; ``p``, share of drifting clones with as
        large a Bayes factor; ``flagged``, by e-BH over the family.

    Raises
    ------
    UserError
        For counts that do not fit, and a family smaller than the clones given.

    References
    ----------
    Wang & Ramdas 2022, 10.1111/rssb.12489 (e-BH); Feller 1951, for the diffusion.
    """
    import pandas as pd

    counts = _checked(counts, drift)
    model = _Model(drift)
    null = model.log_bayes(model.simulate(np.random.default_rng(seed), null_clones))
    ln, likelihoods = model.weigh(counts)
    ln, likelihoods = ln / overdispersion, likelihoods / overdispersion
    factor = np.exp(np.minimum(ln, 700))
    exceeded = len(null) - np.searchsorted(np.sort(null), ln, side="left")
    weight = np.exp(likelihoods[:, 1:] - likelihoods[:, 1:].max(axis=1, keepdims=True))
    low, middle, high = _quantiles(weight, drift.advantages, (0.05, 0.5, 0.95))
    return pd.DataFrame(
        {
            "bayes_factor": factor,
            "probability": 1 / (1 + (1 - prior) / prior / np.maximum(factor, 1e-300)),
            "advantage": middle,
            "low": low,
            "high": high,
            "p": (1 + exceeded) / (1 + len(null)),
            "flagged": e_bh(factor, alpha, family),
        }
    )


def e_bh(e_values, alpha: float, family: int | None = None) -> np.ndarray:
    """Tell which e-values to flag so that at most a share `alpha` of the flagged ones is false.

    On average, and whatever their dependence: the largest k with k of them from K / (alpha k) on, of
    a family of K.  Those of the family that are not given count as 0, so any choice is allowed.
    """
    e = np.asarray(e_values, float)
    size = len(e) if family is None else family
    if size < len(e):
        raise UserError(f"family: {size:g}; allowed: from {len(e)}, the clones given")
    order = np.argsort(-e)
    enough = e[order] * np.arange(1, len(e) + 1) * alpha >= size
    out = np.zeros(len(e), bool)
    if enough.any():
        out[order[: int(np.flatnonzero(enough)[-1]) + 1]] = True
    return out


def fit_drift(counts, drift: Drift, seed: int = 0) -> Drift:
    """Measure level, scatter and drift of a study by the bulk of its clones, most of which are neutral.

    Of each two visits: the median of the ln ratio of a clone's counts, and by the median absolute
    deviation its variance beyond sampling and the catalogue's drift, as simulated.  These variances
    are sums of the scatter of both visits and of more drift, fitted by least squares without negative
    ones.  A standard error is added to each, as too narrow a null flags and too wide a one only misses.

    Parameters
    ----------
    counts : array_like of int, shape (clones, visits)
        Fragments of all clones that were seen, not of the largest alone.
    drift : Drift
        With the catalogue's scatter and drift, than which less is not fitted.
    seed : int

    Returns
    -------
    Drift
        With fitted ``totals``, ``visit_ln_sd`` and ``division_per_year``; unchanged where fewer than
        20 clones have 30 fragments in any two samples.
    """
    counts = _checked(counts, drift)
    still = replace(drift, visit_ln_sd=0.0)
    null = _Model(still).simulate(np.random.default_rng(seed), BULK)
    rows = []
    for i, j in zip(*np.triu_indices(counts.shape[1], 1), strict=True):
        own, expected = _bulk(counts[:, i], counts[:, j]), _bulk(null[:, i], null[:, j])
        if own and expected:
            rows.append(
                (i, j, own[0] - expected[0], max(own[1] + own[2] - expected[1], 0), expected[1], 1 / own[2])
            )
    if not rows:
        return drift
    first, second, shift, excess, drifted, weight = map(np.array, zip(*rows, strict=True))
    pairs = np.zeros((len(rows), len(drift.months)))
    pairs[np.arange(len(rows)), first] = 1
    pairs[np.arange(len(rows)), second] = 1
    scatter, more = _parts(pairs, drifted, excess, weight)
    pairs[np.arange(len(rows)), first] = -1
    level = np.linalg.lstsq(pairs * weight[:, None], shift * weight, rcond=None)[0]
    return replace(
        drift,
        totals=drift.totals * np.exp(level),
        visit_ln_sd=np.maximum(np.sqrt(scatter), drift.visit_ln_sd),
        division_per_year=drift.division_per_year * (1 + more),
    )


def overdispersion(counts, drift: Drift) -> float:
    """Measure by how much ln Bayes factors of a study are larger than those of neutral clones can be.

    Half of neutral clones at most reach a Bayes factor of two, a tenth ten, a twentieth twenty (Markov).
    Clones that become active late, or sorts that change, make more of them do so than drivers could;
    what all ln Bayes factors are then divided by puts the bulk below these bounds.  Drivers count for
    nothing while they are less than a twentieth of the large clones, or three.

    Parameters
    ----------
    counts : array_like of int, shape (clones, visits)
        Fragments of all clones that were seen.
    drift : Drift
        Of `fit_drift`.

    Returns
    -------
    float
        From 1 on; 1 where fewer than 20 clones have 30 fragments.

    References
    ----------
    Efron 2004, 10.1198/016214504000000089, for empirical nulls (recalled).
    """
    counts = _checked(counts, drift)
    total = counts.sum(axis=1)
    bulk = counts[total >= LEAST_OF_PAIR]
    if len(bulk) < LEAST_CLONES:
        return 1.0
    order = np.argsort(bulk.sum(axis=1), kind="stable")
    bulk = bulk[order[np.linspace(0, len(bulk) - 1, min(len(bulk), MOST_OF_BULK)).astype(int)]]
    ln = _Model(drift).log_bayes(bulk)
    shares = np.array([0.5, 0.25, 0.1, max(0.05, 4 / len(bulk))])
    return float(max(1.0, *(np.quantile(ln, 1 - shares) / -np.log(shares))))


def _bulk(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float] | None:
    """Return the median of ln ratios, their variance beyond sampling, and its standard error."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    both = first + second >= LEAST_OF_PAIR
    if both.sum() < LEAST_CLONES:
        return None
    # Half a fragment more: Haldane's, without bias to order 1 / count.
    first, second = first[both] + 0.5, second[both] + 0.5
    ratio, sampling = np.log(second / first), 1 / first + 1 / second
    centre = float(np.median(ratio))
    off = np.abs(ratio - centre)

    def too_wide(excess: float) -> float:
        return float(np.median(off / np.sqrt(excess + sampling)) - ndtri(0.75))

    excess = 0.0 if too_wide(0) <= 0 else brentq(too_wide, 0, 10 * float(off.max()) ** 2 + 1)
    # The median absolute deviation is 37 % efficient.
    error = (excess + float(np.median(sampling))) * np.sqrt(2 / (0.37 * both.sum()))
    return centre, excess, error


def _parts(pairs, drifted, excess, weight) -> tuple[np.ndarray, float]:
    """Return the variance of each visit, and drift beyond the catalogue's, in parts of it."""
    from scipy.optimize import nnls

    visits = pairs.shape[1]
    # Where pairs do not tell visits apart, all are alike, and drift is the catalogue's.
    weak = 0.1 * np.median(weight)
    alike = np.column_stack([np.eye(visits) - 1 / visits, np.zeros(visits)])
    prior = weak * np.vstack([alike, np.eye(visits + 1)[-1] * np.median(drifted)])
    design = np.vstack([np.column_stack([pairs, drifted]) * weight[:, None], prior])
    found = nnls(design, np.concatenate([excess * weight, np.zeros(visits + 1)]))[0]
    return found[:-1], float(found[-1])


def _checked(counts, drift: Drift) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[1] != len(drift.months):
        raise UserError(f"counts: a column per sample; allowed: {len(drift.months)}, as of months")
    if np.any(counts < 0) or not counts.any(axis=1).all():
        raise UserError("counts: fragments of clones that were seen; allowed: whole numbers, not all 0")
    return np.rint(counts).astype(np.int64)


def _quantiles(weight: np.ndarray, at: np.ndarray, levels: Sequence[float]) -> list[np.ndarray]:
    running = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    return [at[(running < level).sum(axis=1).clip(max=len(at) - 1)] for level in levels]


class _Model:
    """Grids of stem cells and output, and transitions between visits for each advantage."""

    def __init__(self, drift: Drift):
        self.drift = drift
        self.years = drift.months / 12
        self.cells = _cells(drift.stem_cells)
        nodes = np.linspace(-2.8, 2.8, OUTPUTS)
        self.output = np.exp(drift.sigma * nodes)
        self.chance = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
        self.mean_output = float(np.exp(drift.sigma**2 / 2))
        self.start = self._start()

    def _start(self) -> np.ndarray:
        """Return the law of cells at the first visit: exponential, as regrowth of single cells leaves it."""
        mean = self.drift.stem_cells / self.drift.clones
        edges = np.concatenate([[0.0], (self.cells[1:-1] + self.cells[2:]) / 2, [np.inf]])
        inside = np.exp(-edges[:-1] / mean) - np.exp(-edges[1:] / mean)
        return np.concatenate([[0.0], inside])

    @cached_property
    def moves(self) -> list[list[np.ndarray]]:
        division = self.drift.division_per_year
        gaps = [float(gap) for gap in np.diff(self.years)]
        return [
            [_move(float(self.drift.stem_cells), division, gap, float(s)) for gap in gaps]
            for s in (0.0, *self.drift.advantages)
        ]

    def simulate(self, rng: np.random.Generator, clones: int) -> np.ndarray:
        """Draw fragments of clones that drift, without those never seen."""
        drift, found = self.drift, []
        seen = 0
        for _ in range(1000):
            cells = rng.exponential(drift.stem_cells / drift.clones, 4 * clones)
            rate = np.exp(drift.sigma * rng.standard_normal(len(cells))) / (
                drift.stem_cells * self.mean_output
            )
            columns = []
            for visit, total in enumerate(drift.totals):
                if visit:
                    spread = drift.division_per_year * (self.years[visit] - self.years[visit - 1])
                    families = rng.poisson(cells / spread)
                    cells = spread * rng.standard_gamma(np.maximum(families, 1e-12)) * (families > 0)
                scatter = np.exp(np.asarray(drift.visit_ln_sd)[visit] * rng.standard_normal(len(cells)))
                columns.append(rng.poisson(total * cells * rate * scatter))
            drawn = np.column_stack(columns)
            found.append(drawn[drawn.any(axis=1)])
            seen += len(found[-1])
            if seen >= clones:
                break
        return np.concatenate(found)[:clones]

    def log_bayes(self, counts: np.ndarray) -> np.ndarray:
        return self.weigh(counts)[0]

    def weigh(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ln Bayes factors, and ln likelihoods by advantage, none first."""
        rows, index = np.unique(counts, axis=0, return_inverse=True)
        ln = np.concatenate(
            [self._log_likelihoods(part) for part in np.array_split(rows, len(rows) // 500 + 1)]
        )
        # Only clones that were seen are looked at, and an advantage makes that likelier.
        never = self._log_likelihoods(np.zeros((1, counts.shape[1]), np.int64))
        ln = ln[index.ravel()] - np.log(-np.expm1(never))
        top = ln[:, 1:].max(axis=1)
        mixed = top + np.log(np.exp(ln[:, 1:] - top[:, None]).mean(axis=1))
        return mixed - ln[:, 0], ln

    def _log_likelihoods(self, counts: np.ndarray) -> np.ndarray:
        emitted = [self._emission(counts[:, visit], visit) for visit in range(counts.shape[1])]
        out = np.empty((len(counts), len(self.drift.advantages) + 1))
        for number, moves in enumerate(self.moves):
            state = self.start * emitted[0]
            scale = np.zeros(len(counts))
            for visit, move in enumerate(moves, 1):
                state = (state @ move) * emitted[visit]
                size = state.max(axis=(1, 2), keepdims=True)
                state, scale = state / size, scale + np.log(size[:, 0, 0])
            out[:, number] = scale + np.log(state.sum(axis=2) @ self.chance)
        return out

    def _emission(self, counts: np.ndarray, visit: int) -> np.ndarray:
        """Return P(fragments | output, cells), shape (clones, outputs, nodes)."""
        values, index = np.unique(counts, return_inverse=True)
        share = (
            self.output[:, None]
            * np.maximum(self.cells, FEWEST * 1e-6)
            / (self.drift.stem_cells * self.mean_output)
        )
        ln = np.log(self.drift.totals[visit] * share)
        scatter = float(np.asarray(self.drift.visit_ln_sd)[visit])
        if scatter == 0:
            return np.exp(_ln_poisson(values[:, None, None], ln))[index]
        grid = np.linspace(ln.min(), ln.max(), int(np.ptp(ln) / min(scatter, 0.5) * 4) + 2)
        table = _ln_scattered(values, grid, scatter)
        return np.exp(np.array([np.interp(ln, grid, row) for row in table]))[index]


def _ln_poisson(x, ln_mean):
    from scipy.special import gammaln

    return x * ln_mean - np.exp(ln_mean) - gammaln(x + 1)


def _ln_scattered(x: np.ndarray, ln_mean: np.ndarray, sd: float) -> np.ndarray:
    """Return ln P(x) of a Poisson whose ln mean scatters, shape (values, means)."""
    from scipy.special import logsumexp

    step = SCATTER[1] - SCATTER[0]
    weight = -(SCATTER**2) / 2 + np.log(step / np.sqrt(2 * np.pi))
    out = np.empty((len(x), len(ln_mean)))
    # Poisson laws narrower than the nodes are apart are a small part of the width.
    many = x > 1 / (step * sd) ** 2
    few = x[~many, None, None]
    out[~many] = logsumexp(_ln_poisson(few, ln_mean[:, None] + sd * SCATTER) + weight, axis=2)
    width = sd**2 + 1 / x[many, None]
    ln_x = np.log(x[many, None])
    out[many] = -((ln_x - ln_mean) ** 2) / (2 * width) - np.log(2 * np.pi * width) / 2 - ln_x
    return out


def _cells(most: float) -> np.ndarray:
    span = np.log(most)
    return np.concatenate([[0.0], np.exp(np.linspace(0, span, int(span * PER_E) + 1))])


@lru_cache(maxsize=256)
def _move(most: float, division: float, years: float, advantage: float) -> np.ndarray:
    """Return the law of cells after a gap, from each number before it; shape (nodes, nodes).

    Families of a Poisson number, each exponential: Feller's diffusion, exactly.
    """
    cells = _cells(most)
    growth = np.exp(advantage * years)
    spread = division * (np.expm1(advantage * years) / advantage if advantage else years)
    edges = np.concatenate([(cells[1:-1] + cells[2:]) / 2, [np.inf]])
    out = np.zeros((len(cells),) * 2)
    out[0, 0] = 1
    for number, n in enumerate(cells[1:], 1):
        below = _feller_cdf(edges, n * growth / spread, spread)
        none = np.exp(-n * growth / spread)
        out[number] = np.diff(np.concatenate([[0.0, none], np.maximum(below, none)]))
    return out


def _feller_cdf(x: np.ndarray, families: float, size: float) -> np.ndarray:
    """Return P(sum of Poisson(families) exponentials of mean `size` <= x)."""
    from scipy.special import chndtr, ndtr

    if families > 2000:  # the chi-square's series is long and a normal law as good
        # Sankaran's transform of the non-central chi-square, here without degrees of freedom.
        noncentral = 2 * families
        h = 1 - 2 * noncentral * 3 * noncentral / (3 * (2 * noncentral) ** 2)
        p = 2 * noncentral / noncentral**2
        m = (h - 1) * (1 - 3 * h)
        mu = 1 + h * p * (h - 1 - 0.5 * (2 - h) * m * p)
        return ndtr(((2 * x / size / noncentral) ** h - mu) / (h * np.sqrt(2 * p) * (1 + 0.5 * m * p)))
    return np.where(np.isinf(x), 1.0, chndtr(np.where(np.isinf(x), 1.0, 2 * x / size), 1e-12, 2 * families))
