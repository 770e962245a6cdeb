"""Which lineages a clone serves, when sorts are not pure and samples are small.

A clone seen in one lineage may serve others and have been missed there; one seen in two may serve
one and have been carried into the other's sort.  The likelihood of what was counted says how many
of either kind to expect.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.indices import LEVEL

MOST_LINEAGES = 6
LEAST, STEP = -12.0, 0.25  # ln fragments of a clone to a lineage of mean depth; the grid ends with the data
MOST_EVEN = 20.0  # shares of a narrower law than this would fall between the nodes of the grid
STEPS = 400


@dataclass(frozen=True)
class Multilineage:
    """Shares of the seen clones that serve at least two lineages.

    Attributes
    ----------
    naive : float
        Seen in at least so many lineages.
    estimate, low, high : float
        Serve at least so many: corrected for contamination and for sampling, with an interval.
    patterns : dict of tuple of bool to float
        Share of all clones, seen or not, that serve just these lineages.
    evenness : float
        Shape of the gamma law of a clone's output to the lineages that it serves; at 20 they are equal
        to a fifth.
    """

    naive: float
    estimate: float
    low: float
    high: float
    patterns: dict[tuple[bool, ...], float]
    evenness: float


def multilineage(
    counts,
    leak=None,
    least: int = 2,
    evenness: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, MOST_EVEN),
    level=LEVEL,
) -> Multilineage:
    """Estimate how many of the clones seen serve several lineages.

    Clone sizes are log-normal; a clone serves a set of lineages, each set with its own chance, and
    gives each of them a gamma-distributed share of mean one.  Counts are Poisson around it, with
    what leaks in from the other sorts.  Maximum likelihood by EM, of clones seen at all; the
    interval by the empirical information.

    Parameters
    ----------
    counts : array_like of int, shape (clones, lineages)
        Fragments of each clone; two to six lineages.
    leak : array_like of float, shape (lineages, lineages), optional
        ``leak[i, j]``: share of the fragments of sort i that come from cells of lineage j; the
        diagonal is not read.  None: pure sorts.
    least : int
        Lineages that make a clone multilineage.
    evenness : tuple of float
        Shapes to choose from, by likelihood; to 20.
    level : float

    Raises
    ------
    UserError
        If there are fewer than two lineages or more than six, or a lineage without a clone.
    """
    counts = _checked(counts)
    if not evenness or min(evenness) <= 0 or max(evenness) > MOST_EVEN:
        raise UserError(f"evenness: shapes of a gamma law; allowed: above 0, to {MOST_EVEN:g}")
    rows, weight = np.unique(counts, axis=0, return_counts=True)
    stray = _stray(rows, counts.sum(axis=0), leak)
    patterns = np.array(list(itertools.product([False, True], repeat=counts.shape[1]))[1:])
    fits = [_Fit(rows, weight, counts.sum(axis=0), stray, patterns, shape) for shape in evenness]
    best = max(fits, key=lambda fit: fit.likelihood)
    several = patterns.sum(axis=1) >= least
    estimate, error = best.share(several)
    low, high = _logit_interval(estimate, error, level)
    return Multilineage(
        naive=float(((counts > 0).sum(axis=1) >= least).mean()),
        estimate=estimate,
        low=low,
        high=high,
        patterns={tuple(map(bool, p)): float(w) for p, w in zip(patterns, best.chance, strict=True)},
        evenness=float(best.shape),
    )


def contamination_p(counts, leak) -> np.ndarray:
    """Return the chance of at least so many fragments by contamination alone, per clone and lineage.

    Parameters
    ----------
    counts : array_like of int, shape (clones, lineages)
    leak : array_like of float, shape (lineages, lineages)
        As of `multilineage`.
    """
    from scipy.stats import poisson

    counts = np.asarray(counts)
    stray = _stray(counts, counts.sum(axis=0), leak)
    return poisson.sf(counts - 1, stray)


def _checked(counts) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or not 2 <= counts.shape[1] <= MOST_LINEAGES:
        raise UserError(f"counts: a column per lineage; allowed: 2 to {MOST_LINEAGES} lineages")
    if np.any(counts < 0) or np.any(counts != np.rint(counts)):
        raise UserError("counts: fragments of a clone; allowed: whole numbers from 0")
    counts = counts[counts.any(axis=1)].astype(np.int64)
    empty = np.flatnonzero(~counts.any(axis=0))
    if len(empty):
        raise UserError(f"counts: lineage {empty[0] + 1} has no clone; leave it out")
    return counts


def _stray(counts: np.ndarray, totals: np.ndarray, leak) -> np.ndarray:
    """Return the fragments expected in a sort from the clone's cells of other lineages."""
    if leak is None:
        return np.zeros(counts.shape)
    leak = np.array(leak, float)
    np.fill_diagonal(leak, 0)
    return (counts / totals) @ leak.T * totals


def _logit_interval(share: float, error: float, level: float) -> tuple[float, float]:
    from scipy.special import expit, logit, ndtri

    share = min(max(share, 1e-6), 1 - 1e-6)
    half = ndtri((1 + level) / 2) * error / (share * (1 - share))
    return float(expit(logit(share) - half)), float(expit(logit(share) + half))


class _Fit:
    """Maximum likelihood at one evenness."""

    def __init__(self, rows, weight, totals, stray, patterns, shape: float):
        self.weight, self.shape = weight, shape
        largest = np.log((rows / (totals / totals.mean())).max() + 1)
        self.nodes = np.arange(LEAST, largest + 3, STEP)  # beyond it by what output varies
        ln = _log_likelihoods(rows, totals, stray, patterns, shape, self.nodes)
        # Each row to its own scale: fragments by the thousand have chances that no float holds.
        self.scale = ln.max(axis=(1, 2))
        self.likely = np.exp(ln - self.scale[:, None, None])
        none = np.zeros((1, rows.shape[1]), np.int64)
        self.nothing = np.exp(_log_likelihoods(none, totals, 0.0 * none, patterns, shape, self.nodes))
        self.chance = np.full(len(patterns), 1 / len(patterns))
        self.mean, self.spread = 0.0, 1.2
        for step in range(STEPS):
            change = self._improve()
            if step > 20 and change < 1e-6:
                break
        self.likelihood = float(weight @ self._log_seen(self._theta()))

    def _improve(self) -> float:
        """One step of EM, the clones never seen filled in; return the largest change."""
        prior = self.chance[:, None] * _sizes(self.nodes, self.mean, self.spread)
        each = self.likely * prior
        seen = each.sum(axis=(1, 2))
        none = (self.nothing[0] * prior).sum()
        expected = np.einsum("i,ipq->pq", self.weight / seen, each)
        expected += self.weight.sum() / (1 - none) * self.nothing[0] * prior
        total = expected.sum()
        chance = expected.sum(axis=1) / total
        at = expected.sum(axis=0) / total
        mean = at @ self.nodes
        spread = np.sqrt(at @ (self.nodes - mean) ** 2)
        change = max(np.abs(chance - self.chance).max(), abs(mean - self.mean), abs(spread - self.spread))
        self.chance, self.mean, self.spread = chance, mean, max(spread, 0.1)
        return change

    def _theta(self) -> np.ndarray:
        return np.concatenate([np.log(np.maximum(self.chance, 1e-12)), [self.mean, np.log(self.spread)]])

    def _prior(self, theta: np.ndarray) -> np.ndarray:
        chance = np.exp(theta[:-2] - theta[:-2].max())
        return (chance / chance.sum())[:, None] * _sizes(self.nodes, theta[-2], np.exp(theta[-1]))

    def _log_seen(self, theta: np.ndarray) -> np.ndarray:
        prior = self._prior(theta)
        none = (self.nothing[0] * prior).sum()
        return self.scale + np.log(np.einsum("ipq,pq->i", self.likely, prior)) - np.log1p(-none)

    def _posterior(self, theta: np.ndarray, several: np.ndarray) -> np.ndarray:
        each = np.einsum("ipq,pq->ip", self.likely, self._prior(theta))
        return each[:, several].sum(axis=1) / each.sum(axis=1)

    def share(self, several: np.ndarray) -> tuple[float, float]:
        """Return the share of seen clones with such a pattern, and its standard error."""
        theta, n = self._theta(), self.weight.sum()
        step = 1e-4
        scores, slopes = [], []
        for k in range(len(theta)):
            up, down = theta.copy(), theta.copy()
            up[k] += step
            down[k] -= step
            scores.append((self._log_seen(up) - self._log_seen(down)) / (2 * step))
            pair = [self.weight @ self._posterior(at, several) / n for at in (up, down)]
            slopes.append((pair[0] - pair[1]) / (2 * step))
        scores, slopes = np.array(scores), np.array(slopes)
        information = (scores * self.weight) @ scores.T
        posterior = self._posterior(theta, several)
        own = self.weight @ (posterior * (1 - posterior)) / n**2
        # Patterns that nobody has carry no information, and their chances no slope.
        variance = slopes @ np.linalg.pinv(information, rcond=1e-9, hermitian=True) @ slopes + own
        return float(self.weight @ posterior / n), float(np.sqrt(variance))


def _sizes(nodes: np.ndarray, mean: float, spread: float) -> np.ndarray:
    ln = -0.5 * ((nodes - mean) / spread) ** 2
    # No node without weight: the likelihood of a clone may be all in one that is far from the others.
    weight = np.maximum(np.exp(ln - ln.max()), 1e-250)
    return weight / weight.sum()


def _log_likelihoods(rows, totals, stray, patterns, shape, nodes) -> np.ndarray:
    """Return ln P(counts | pattern, size), shape (rows, patterns, nodes)."""
    scale = totals / totals.mean()
    active, silent = [], []
    for lineage in range(rows.shape[1]):
        x, mean = rows[:, lineage, None], np.exp(nodes) * scale[lineage] + stray[:, lineage, None]
        active.append(_law(x, mean, shape))
        silent.append(_law(x, np.maximum(stray[:, lineage, None], 1e-12), np.inf))
    out = np.zeros((len(rows), len(patterns), len(nodes)))
    for lineage in range(rows.shape[1]):
        out += np.where(
            patterns[None, :, lineage, None], active[lineage][:, None, :], silent[lineage][:, None, :]
        )
    return out


def _law(x: np.ndarray, mean: np.ndarray, shape: float) -> np.ndarray:
    """Return ln P of a Poisson count whose mean is gamma-distributed."""
    from scipy.special import gammaln, xlogy

    if np.isinf(shape):
        return xlogy(x, mean) - mean - gammaln(x + 1)
    return (
        gammaln(x + shape)
        - gammaln(shape)
        - gammaln(x + 1)
        + shape * np.log(shape / (shape + mean))
        + xlogy(x, mean / (shape + mean))
    )
