"""How far a simulated sample lies from the law it should follow, in standard errors.

A check passes within `LIMIT` standard errors; by chance alone it fails in 7 of a million seeds.
Seeds are fixed, so a failure says that the code draws from another law than before.
"""

import numpy as np
from scipy import stats

LIMIT = 4.5  # standard errors; two-sided false alarm 7e-6
LEAST_P = 1e-5  # the same for tests that give a p-value
FEWEST_EXPECTED = 10  # in a cell of a chi-square test


def z_of_mean(sample: np.ndarray, expected: float) -> float:
    """Return (mean - expected) in standard errors, by the sample's own spread."""
    sample = np.asarray(sample, float)
    return float((sample.mean() - expected) / (sample.std(ddof=1) / np.sqrt(sample.size)))


def z_of_variance(sample: np.ndarray, expected: float) -> float:
    """Return (variance - expected) in standard errors, by the sample's own fourth moment."""
    return z_of_mean((sample - np.mean(sample)) ** 2, expected)


def z_of_share(hits: np.ndarray, expected: float) -> float:
    """Return (share of true - expected) in binomial standard errors at the expected share."""
    return float((np.mean(hits) - expected) / np.sqrt(expected * (1 - expected) / np.size(hits)))


def p_of_counts(sample: np.ndarray, pmf: np.ndarray) -> float:
    """Return the chi-square p-value of whole numbers against P(0), P(1), ...

    The tail beyond `pmf`, and every value expected fewer than ten times, share one cell.
    """
    observed = np.bincount(np.minimum(sample, len(pmf)), minlength=len(pmf) + 1)
    expected = np.append(pmf, max(0.0, 1 - pmf.sum())) * len(sample)
    common = expected >= FEWEST_EXPECTED
    cells = [np.append(c[common], c[~common].sum()) for c in (observed, expected)]
    return float(stats.chisquare(*cells).pvalue)


def under(settings, prefix):
    """Return the values whose names begin with ``prefix.``, by the rest of the name."""
    start = f"{prefix}."
    return {name.removeprefix(start): v for name, v in settings.values.items() if name.startswith(start)}
