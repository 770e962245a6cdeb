"""Which clones samples have in common: pairs, matrices, order, and what accumulates over time.

Everything takes whole numbers for groups and clones and works on sparse matrices, so a cohort costs
what its rows cost.  Clones of different subjects are different clones: number them apart.
"""

import numpy as np

from hsc_pipeline.tracking.indices import LEVEL


def sharing(group, clone, pairs=None):
    """Count the clones that groups of samples share.

    Parameters
    ----------
    group, clone : array of int, shape (rows,)
        Number of the group (lineage, visit, sample) and of the clone; repeats count once.
    pairs : array of int, shape (pairs, 2), optional
        Which groups to compare; None: each with each later one.

    Returns
    -------
    pandas.DataFrame
        ``group_a, group_b, n_a, n_b, shared, jaccard, frac_a, frac_b``: shared over the clones of
        either, of the first and of the second; NaN where there is none.
    """
    import pandas as pd

    presence = _incidence(group, clone)
    size = np.asarray(presence.sum(axis=1)).ravel().astype(np.int64)
    common = (presence @ presence.T).tocsr()
    if pairs is None:
        pairs = np.array(np.triu_indices(len(size), 1)).T
    a, b = np.asarray(pairs, np.int64).reshape(-1, 2).T
    shared = np.asarray(common[a, b]).ravel().astype(np.int64) if len(a) else np.zeros(0, np.int64)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "group_a": a,
                "group_b": b,
                "n_a": size[a],
                "n_b": size[b],
                "shared": shared,
                "jaccard": shared / (size[a] + size[b] - shared),
                "frac_a": shared / size[a],
                "frac_b": shared / size[b],
            }
        )


def consecutive(owner, time) -> np.ndarray:
    """Return pairs of groups that follow one another in time, of one owner.

    Parameters
    ----------
    owner : array of int, shape (groups,)
        Such as subject and lineage.
    time : array of float, shape (groups,)

    Returns
    -------
    array of int, shape (pairs, 2)
    """
    owner = np.asarray(owner)
    order = np.lexsort((time, owner))
    same = owner[order[:-1]] == owner[order[1:]]
    return np.column_stack([order[:-1][same], order[1:][same]])


def correlation(group, clone, counts) -> np.ndarray:
    """Return the correlation of clone shares between groups, over all clones of either.

    Pearson's, of square roots of shares: their sampling variance does not grow with the clone, so
    a few large ones do not decide alone.

    Parameters
    ----------
    group, clone : array of int, shape (rows,)
    counts : array of float, shape (rows,)

    Returns
    -------
    array of float, shape (groups, groups)
        NaN beside a group without a clone, or in which all clones are equal.
    """
    from scipy import sparse

    matrix = sparse.csr_matrix((np.asarray(counts, float), (group, clone)))
    total = np.asarray(matrix.sum(axis=1)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        root = sparse.diags(np.sqrt(1 / total)) @ matrix.sqrt()
        clones = matrix.shape[1]
        mean = np.asarray(root.sum(axis=1)).ravel() / clones
        covariance = (root @ root.T).toarray() / clones - np.outer(mean, mean)
        spread = np.sqrt(np.diag(covariance))
        return np.clip(covariance / np.outer(spread, spread), -1, 1)


def clustered(matrix: np.ndarray) -> np.ndarray:
    """Return the order of groups that puts alike ones side by side.

    Average linkage of 1 - correlation; leaves turned so that neighbours are as alike as can be.

    Parameters
    ----------
    matrix : array of float, shape (groups, groups)
        Of `correlation`; NaN counts as no correlation.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(matrix) < 3:
        return np.arange(len(matrix))
    distance = 1 - np.nan_to_num(matrix)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(
        linkage(squareform(np.maximum(distance, 0)), "average", optimal_ordering=len(matrix) <= 500)
    )


def accumulation(owner, time, clone):
    """Count the distinct clones of an owner seen up to each time.

    Parameters
    ----------
    owner, clone : array of int, shape (rows,)
    time : array of float, shape (rows,)

    Returns
    -------
    pandas.DataFrame
        ``owner, time, clones, new, cumulative``, by owner and time.
    """
    import pandas as pd

    rows = pd.DataFrame({"owner": owner, "time": time, "clone": clone}).drop_duplicates()
    rows["new"] = rows["time"] == rows.groupby(["owner", "clone"])["time"].transform("min")
    found = rows.groupby(["owner", "time"]).agg(clones=("clone", "size"), new=("new", "sum")).reset_index()
    found["cumulative"] = found.groupby("owner")["new"].cumsum()
    return found


def seen(owner, time, clone):
    """Return when each clone was seen first and last, and at how many times.

    Returns
    -------
    pandas.DataFrame
        ``owner, clone, first, last, times``.
    """
    import pandas as pd

    rows = pd.DataFrame({"owner": owner, "clone": clone, "time": time}).drop_duplicates()
    found = rows.groupby(["owner", "clone"])["time"].agg(first="min", last="max", times="size")
    return found.reset_index()


def lineage_bias(counts, totals=None, level: float = LEVEL):
    """Return how much larger a clone is in a lineage than in the others, with an interval.

    Given all fragments of a clone, those in the lineage are binomial; the interval is Clopper and
    Pearson's, carried over to the ratio of shares, so it covers at least `level` under Poisson
    sampling however few fragments there are.  The p-values are adjusted over all clones and
    lineages (Benjamini & Yekutieli 2001: those of one clone are dependent).

    Parameters
    ----------
    counts : array of int, shape (clones, lineages)
    totals : array of float, shape (lineages,), optional
        Fragments of all clones; None: of these.
    level : float

    Returns
    -------
    pandas.DataFrame
        ``clone, lineage, count, log2_ratio, low, high, p, p_adjusted``; a row per clone and lineage.

    References
    ----------
    Clopper & Pearson 1934, 10.1093/biomet/26.4.404; Benjamini & Yekutieli 2001, 10.1214/aos/1013699998.
    """
    import pandas as pd
    from scipy.special import betaincinv
    from scipy.stats import binom, false_discovery_control

    counts = np.asarray(counts)
    totals = counts.sum(axis=0) if totals is None else np.asarray(totals, float)
    whole = counts.sum(axis=1, keepdims=True)
    expected = np.broadcast_to(totals / totals.sum(), counts.shape)
    tail, x, n = (1 - level) / 2, counts, np.broadcast_to(whole, counts.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(x > 0, betaincinv(np.maximum(x, 1), n - x + 1, tail), 0)
        high = np.where(x < n, betaincinv(x + 1, np.maximum(n - x, 1), 1 - tail), 1)
        neutral = np.log2(expected / (1 - expected))
        ratios = [np.log2(p / (1 - p)) - neutral for p in (x / n, low, high)]
    p = np.minimum(1, 2 * np.minimum(binom.cdf(x, n, expected), binom.sf(x - 1, n, expected)))
    clone, lineage = np.indices(counts.shape)
    columns = dict(
        zip(
            ("clone", "lineage", "count", "log2_ratio", "low", "high", "p"),
            (a.ravel() for a in (clone, lineage, counts, *ratios, p)),
            strict=True,
        )
    )
    adjusted = false_discovery_control(p.ravel(), method="by") if p.size else p.ravel()
    return pd.DataFrame(columns).assign(p_adjusted=adjusted)


def _incidence(group, clone):
    from scipy import sparse

    group, clone = np.asarray(group), np.asarray(clone)
    matrix = sparse.csr_matrix((np.ones(len(group), np.float32), (group, clone)))
    matrix.data[:] = 1
    return matrix
