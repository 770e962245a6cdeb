"""Drift or selection: does a clone grow for a reason, or by chance?

A hidden Markov model of each clone.  Hidden: how many stem cells it has, which drift by divisions
and losses at one rate (Feller's diffusion) and grow with its advantage, and its own output per stem
cell, which never changes.  Seen: fragments, Poisson of its share of the sample, with the scatter of
its output from visit to visit.  The Bayes factor weighs all advantages against none, with the same
output and the same drift.

Bayes factors of the right null are e-values: their mean under drift is one, so a clone reaches K/alpha
with at most alpha/K, whatever the clones have in common.  `drift_or_selection` corrects for the
number of clones by them (e-BH), and gives p-values by clones simulated to drift in the same study.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hsc_pipeline.errors import UserError

OUTPUTS = 11  # nodes of ln output
ADVANTAGES = 8
FEWEST = 1e-3  # stem cells that stand for none
PER_E = 9  # nodes of ln stem cells, per e-fold


@dataclass(frozen=True)
class Drift:
    """What a study knows of the marrow and of its sampling.

    Attributes
    ----------
    months : array of float, shape (visits,)
        Of the samples, ascending.
    totals : array of float, shape (visits,)
        Fragments of all clones.
    stem_cells : float
        Marked stem cells of the marrow; see `corrected_population` or `coalescence`.
    clones : float
        Clones among them, seen or not.
    sigma, division_per_year, visit_ln_sd : float, optional
        Spread of output between clones, divisions of a stem cell, scatter of a clone's output between
        visits; None: the catalogue's.
    """

    months: np.ndarray
    totals: np.ndarray
    stem_cells: float
    clones: float
    sigma: float | None = None
    division_per_year: float | None = None
    visit_ln_sd: float | None = None
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
        for name, value in given.items():
            object.__setattr__(self, name, value)


def drift_or_selection(
    counts, drift: Drift, prior: float = 1e-3, alpha: float = 0.1, null_clones: int = 2000, seed: int = 0
):
    """Weigh selection against drift for every clone.

    Parameters
    ----------
    counts : array_like of int, shape (clones, visits)
        Fragments of each clone looked at; each was seen.
    drift : Drift
    prior : float
        Chance of a clone to be selected, before looking.
    alpha : float
        Share of false ones among the flagged clones that is allowed.
    null_clones : int
        Clones simulated to drift in this study, for the p-values; those that the study would not see
        are left out.
    seed : int

    Returns
    -------
    pandas.DataFrame
        A row per clone: ``bayes_factor``; ``probability`` of selection; ``advantage, low, high``, per
        year, the posterior median and 90 % interval if selected; ``p``, share of drifting clones with as
        large a Bayes factor; ``flagged``, by e-BH over all clones given.

    References
    ----------
    Wang & Ramdas 2022, 10.1111/rssb.12489 (e-BH); Feller 1951, for the diffusion.
    """
    import pandas as pd

    counts = _checked(counts, drift)
    model = _Model(drift)
    null = model.log_bayes(model.simulate(np.random.default_rng(seed), null_clones))
    ln, likelihoods = model.weigh(counts)
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
            "flagged": e_bh(factor, alpha),
        }
    )


def e_bh(e_values, alpha: float) -> np.ndarray:
    """Tell which e-values to flag so that at most a share `alpha` of the flagged ones is false.

    On average, and whatever their dependence: the largest k with k of them from K / (alpha k) on.
    """
    e = np.asarray(e_values, float)
    order = np.argsort(-e)
    enough = e[order] * np.arange(1, len(e) + 1) * alpha >= len(e)
    out = np.zeros(len(e), bool)
    if enough.any():
        out[order[: int(np.flatnonzero(enough)[-1]) + 1]] = True
    return out


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
        span = np.log(drift.stem_cells)
        self.ln = np.linspace(0, span, int(span * PER_E) + 1)
        self.cells = np.concatenate([[0.0], np.exp(self.ln)])
        nodes = np.linspace(-2.8, 2.8, OUTPUTS)
        self.output = np.exp(drift.sigma * nodes)
        self.chance = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
        self.mean_output = float(np.exp(drift.sigma**2 / 2))
        self.start = self._start()
        self.moves = [[self._move(gap, s) for gap in np.diff(self.years)] for s in (0.0, *drift.advantages)]

    def _start(self) -> np.ndarray:
        """Return the law of cells at the first visit: exponential, as regrowth of single cells leaves it."""
        mean = self.drift.stem_cells / self.drift.clones
        edges = np.concatenate([[0.0], (self.cells[1:-1] + self.cells[2:]) / 2, [np.inf]])
        inside = np.exp(-edges[:-1] / mean) - np.exp(-edges[1:] / mean)
        return np.concatenate([[0.0], inside])

    def _move(self, years: float, advantage: float) -> np.ndarray:
        """Return the law of cells after a gap, from each number before it; shape (nodes, nodes).

        Families of a Poisson number, each exponential: Feller's diffusion, exactly.
        """
        growth = np.exp(advantage * years)
        spread = self.drift.division_per_year * (
            np.expm1(advantage * years) / advantage if advantage else years
        )
        edges = np.concatenate([(self.cells[1:-1] + self.cells[2:]) / 2, [np.inf]])
        out = np.zeros((len(self.cells),) * 2)
        out[0, 0] = 1
        for number, n in enumerate(self.cells[1:], 1):
            below = _feller_cdf(edges, n * growth / spread, spread)
            none = np.exp(-n * growth / spread)
            out[number] = np.diff(np.concatenate([[0.0, none], np.maximum(below, none)]))
        return out

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
                scatter = self._scatter(rng, len(cells))
                columns.append(rng.poisson(total * cells * rate * scatter))
            drawn = np.column_stack(columns)
            found.append(drawn[drawn.any(axis=1)])
            seen += len(found[-1])
            if seen >= clones:
                break
        return np.concatenate(found)[:clones]

    def _scatter(self, rng: np.random.Generator, size: int) -> np.ndarray:
        if self.drift.visit_ln_sd == 0:
            return np.ones(size)
        shape = 1 / np.expm1(self.drift.visit_ln_sd**2)
        return rng.standard_gamma(shape, size) / shape

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
        out = np.empty((len(counts), len(self.moves)))
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
        """Return P(fragments | output, cells), shape (clones, outputs, nodes), scaled by its maximum."""
        from scipy.special import gammaln, xlogy

        values, index = np.unique(counts, return_inverse=True)
        share = (
            self.output[:, None]
            * np.maximum(self.cells, FEWEST * 1e-6)
            / (self.drift.stem_cells * self.mean_output)
        )
        mean, x = self.drift.totals[visit] * share, values[:, None, None].astype(float)
        if self.drift.visit_ln_sd == 0:
            ln = xlogy(x, mean) - mean - gammaln(x + 1)
        else:
            shape = 1 / np.expm1(self.drift.visit_ln_sd**2)
            ln = gammaln(x + shape) - gammaln(shape) - gammaln(x + 1)
            ln = ln - shape * np.log1p(mean / shape) + xlogy(x, mean / (shape + mean))
        return np.exp(ln)[index]


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
