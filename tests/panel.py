"""A panel of summary statistics of clones at visits, to compare engines in distribution."""

import numpy as np
from scipy import stats

# The first clones, of classes 0 and 1, whose single sizes and products enter the panel.
WATCHED = (0, 1, -1)


def summarise(sizes, kinds, classes):
    """Return statistics of replicates, shape (replicates, statistics), and their names.

    Parameters
    ----------
    sizes : array of int, shape (replicates, visits, clones)
    kinds : array of int, shape (clones,)
    classes : int
    """
    found = {}
    visits = sizes.shape[1]
    for v in range(visits):
        x = sizes[:, v].astype(float)
        total = x.sum(axis=1)
        found[f"total {v}"] = total
        found[f"total squared {v}"] = total**2
        found[f"live clones {v}"] = (x > 0).sum(axis=1)
        found[f"sum of squares {v}"] = (x**2).sum(axis=1)
        found[f"largest {v}"] = x.max(axis=1)
        found[f"singletons {v}"] = (x == 1).sum(axis=1)
        for c in range(classes):
            found[f"class {c} total {v}"] = x[:, kinds == c].sum(axis=1)
            found[f"class {c} live {v}"] = (x[:, kinds == c] > 0).sum(axis=1)
        found[f"first clone {v}"] = x[:, 0]
        found[f"two clones {v}"] = x[:, 0] * x[:, 1]
        found[f"clones of two classes {v}"] = x[:, 0] * x[:, -1]
    for v in range(visits - 1):
        found[f"total across visits {v}"] = sizes[:, v].sum(axis=1) * sizes[:, v + 1].sum(axis=1, dtype=float)
        found[f"clones across visits {v}"] = (sizes[:, v].astype(float) * sizes[:, v + 1]).sum(axis=1)
        found[f"live clones across visits {v}"] = (sizes[:, v] > 0).sum(axis=1) * (sizes[:, v + 1] > 0).sum(
            axis=1
        )
    return np.column_stack(list(found.values())).astype(float), list(found)


def compare(first, second):
    """Return z of the difference of means and the KS p-value of each statistic."""
    error = np.sqrt(first.var(axis=0) / len(first) + second.var(axis=0) / len(second))
    difference = first.mean(axis=0) - second.mean(axis=0)
    z = np.divide(difference, error, out=np.zeros_like(error), where=error > 0)
    pairs = zip(first.T, second.T, strict=True)
    # scipy's exact method fails, with a warning, on some of the tied samples.
    return z, np.array([stats.ks_2samp(a, b, method="asymp").pvalue for a, b in pairs])


def chi_square(observed, expected):
    keys = [key for key, p in expected.items() if p > 0]
    counts = np.array([observed[key] for key in keys], float)
    assert counts.sum() == sum(observed.values()), "something impossible was drawn"
    if len(keys) == 1:
        return 1.0
    law = np.array([expected[key] for key in keys])
    return stats.chisquare(counts, law * counts.sum()).pvalue
