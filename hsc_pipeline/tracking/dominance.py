"""Rules that flag a clone: what its share, its growth or the sample's evenness must reach."""

import numpy as np

FEWEST_LARGE = 0.05  # below this part of the largest clone, another counts as none


def mrce(counts) -> np.ndarray:
    """Return the maximum relative clonal expansion of every interval between samples.

    Gains d of clones between two samples, over the sum of all losses and over the clone's new
    size, rescaled so that gains sum to 1; the largest is the value [1]_.  Near 1, one clone gains
    out of proportion to its size.  It is 1 as well where a single clone is left, or all others are
    below 5 % of the largest, and NaN where no clone gained, or none is there.

    Parameters
    ----------
    counts : array_like of float, shape (clones, samples)
        Samples in the order of time, of comparable depth.

    Returns
    -------
    array of float, shape (samples - 1,)

    References
    ----------
    .. [1] Baldow 2016, 10.1371/journal.pone.0165129
    """
    counts = np.asarray(counts, float)
    before, after = counts[:, :-1], counts[:, 1:]
    change = after - before
    lost = -np.minimum(change, 0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(change > 0, change / np.where(lost > 0, lost, 1) / after, 0.0)
        value = gain.max(axis=0) / gain.sum(axis=0)
    return np.where(_is_alone(after), 1.0, value)


def _is_alone(counts: np.ndarray) -> np.ndarray:
    """Whether the largest clone of a sample is the only one of any size; shape (samples,)."""
    if counts.shape[0] < 2:
        return (counts > 0).any(axis=0)
    second, first = np.sort(counts, axis=0)[-2:]
    return (first > 0) & (second < FEWEST_LARGE * first)
