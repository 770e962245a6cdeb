"""How many stem cells founded a marrow, from the coalescences of its colonies after the graft.

Each founder starts at one cell and the clones grow by a Yule process to a marrow of N cells; m
colonies are sampled without replacement from it, and fall to D founders.  Every colony beyond the
first of a founder is one coalescence.
"""

import numpy as np

from hsc_pipeline.errors import UserError

FOUNDERS = np.round(2 ** (10 + 0.1 * np.arange(67))).astype(np.int64)  # 1,024 to 99,334
MARROWS = np.array([1e5, 2e5, 5e5, 1e6, 2e6])


def log_likelihood(colonies: int, coalescences, founders, marrow) -> np.ndarray:
    """Return ln P(coalescences) among sampled colonies, exactly.

    P(D = k) = C(n, k) C(m-1, k-1) C(N+k-1, m+n-1) / [C(N, m) C(N-1, n-1)], k = m - coalescences.

    Parameters
    ----------
    colonies : int
        m.
    coalescences : array_like of int
        Since the graft.
    founders : array_like of int
        n.
    marrow : array_like of float
        N, cells of the regrown marrow; infinite is allowed.  The three are broadcast.

    Returns
    -------
    array of float
        Minus infinity where the marrow is smaller than its founders.
    """
    n, size, fused = np.broadcast_arrays(*(np.asarray(x, float) for x in (founders, marrow, coalescences)))
    m = float(colonies)
    k = m - fused
    finite = np.isfinite(size)
    at = np.where(finite, size, 1.0)
    with np.errstate(invalid="ignore"):
        small = _ln_choose(at + k - 1, m + n - 1) - _ln_choose(at, m) - _ln_choose(at - 1, n - 1)
        ways = np.where(finite, small, -_ln_choose(n + m - 1, m))
        value = _ln_choose(n, k) + _ln_choose(m - 1, k - 1) + ways
    return np.where((size >= np.maximum(n, m)) & (k <= n) & ~np.isnan(value), value, -np.inf)


def coalescence_posterior(colonies: int, coalescences: int, founders=FOUNDERS, marrows=MARROWS):
    """Return the posterior of the number of engrafted stem cells.

    The prior is flat in the index of the grid, so in ln founders on the default one, and flat over
    the sizes of the marrow.  Its upper limit truncates posteriors of few coalescences.

    Parameters
    ----------
    colonies : int
        Single-cell colonies sequenced, two or more.
    coalescences : int
        Of their phylogeny since the graft, fewer than `colonies`.
    founders : array_like of int, optional
        Grid of founders, ascending; as in Spencer Chapman 2023, 10.1038/s41591-023-02636-6.
    marrows : array_like of float, optional
        Cells of the regrown marrow.

    Returns
    -------
    pandas.DataFrame
        ``founders`` and ``probability``, which sums to 1.

    Raises
    ------
    UserError
        If the colonies cannot have so many coalescences.
    """
    import pandas as pd

    if colonies < 2 or not 0 <= coalescences < colonies:
        raise UserError(
            f"coalescences: {coalescences} among {colonies} colonies; allowed: from 0 to one less than "
            "the colonies, of two or more colonies"
        )
    grid = np.asarray(founders)
    ln = log_likelihood(colonies, coalescences, grid[:, None], np.asarray(marrows)[None, :])
    weight = np.exp(ln - ln.max()).sum(axis=1)
    return pd.DataFrame({"founders": grid, "probability": weight / weight.sum()})


def posterior_quantile(posterior, level: float) -> float:
    """Return the least founders at which the cumulative probability reaches `level`."""
    running = np.cumsum(posterior["probability"].to_numpy())
    return float(posterior["founders"].to_numpy()[np.searchsorted(running, level)])


def _ln_choose(n: np.ndarray | float, k: np.ndarray | float) -> np.ndarray:
    from scipy.special import gammaln

    return np.where(
        (k >= 0) & (k <= n),
        gammaln(n + 1) - gammaln(np.maximum(k, 0) + 1) - gammaln(np.maximum(n - k, 0) + 1),
        -np.inf,
    )
