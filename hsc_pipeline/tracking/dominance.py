"""Rules that flag a clone: what its share, its growth or the sample's evenness must reach."""

from collections.abc import Callable

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
        return np.any(counts > 0, axis=0)
    second, first = np.sort(counts, axis=0)[-2:]
    return (first > 0) & (second < FEWEST_LARGE * first)


# Rules.  Each takes the counts of one patient, shape (clones, samples), in the order of time, and
# returns the clone that it flags in each sample, or -1.

FEWEST_FRAGMENTS = 100  # below, a share says more of the sample than of the clone; as in `outcomes`


def top_clone(counts: np.ndarray, above: float) -> np.ndarray:
    """Flag the largest clone where its share is above a limit."""
    share = _shares(counts)
    return _flagged(share, share.max(axis=0, initial=0) > above)


def doubling(counts: np.ndarray, floor: float) -> np.ndarray:
    """Flag the largest clone that has a share from `floor` on and twice that of the sample before.

    A clone not seen before counts as one fragment there.
    """
    share = _shares(counts)
    if share.shape[1] == 0:
        return np.zeros(0, np.int64)
    before = np.maximum(counts, 1) / np.maximum(counts.sum(axis=0), 1)
    grown = np.zeros(share.shape, bool)
    grown[:, 1:] = (share[:, 1:] >= floor) & (share[:, 1:] >= 2 * before[:, :-1])
    grown[:, 1:] &= _is_read(counts)[:-1]
    return _flagged(np.where(grown, share, 0), np.any(grown, axis=0))


def low_evenness(counts: np.ndarray, below: float) -> np.ndarray:
    """Flag the largest clone of a sample whose Pielou evenness is below a limit."""
    share = _shares(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(share > 0, share * np.log(share), 0).sum(axis=0)
        evenness = entropy / np.log((share > 0).sum(axis=0))
    return _flagged(share, (evenness < below) | ((share > 0).sum(axis=0) == 1))


def low_uc50(counts: np.ndarray, most: float) -> np.ndarray:
    """Flag the largest clone of a sample of which so few clones hold more than half."""
    share = _shares(counts)
    few = min(int(most), len(share))
    largest = np.sort(share, axis=0)[len(share) - few :].sum(axis=0)
    return _flagged(share, largest > 0.5)


def expansion(counts: np.ndarray, least: float) -> np.ndarray:
    """Flag the clone behind a maximum relative clonal expansion from `least` on, of shares."""
    share = _shares(counts)
    out = np.full(share.shape[1], -1)
    if share.shape[1] < 2:
        return out
    read = _is_read(counts)
    gain = np.where(share[:, 1:] > 0, (share[:, 1:] - share[:, :-1]) / np.maximum(share[:, 1:], 1e-300), 0)
    value = mrce(share)
    flagged = (value >= least) & read[1:] & read[:-1]
    clone = np.where(_is_alone(share[:, 1:]), share[:, 1:].argmax(axis=0), gain.argmax(axis=0))
    out[1:] = np.where(flagged, clone, -1)
    return out


def rules() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the rules by name, with the limits of the catalogue."""
    from functools import partial

    from hsc_pipeline.catalogue import branch_values

    values = branch_values("tracking")
    shares = ("alarm.top_clone_shares.notice", "alarm.top_clone_share", "alarm.top_clone_shares.act")
    tops = {f"top_{100 * values[n].value:g}%": partial(top_clone, above=values[n].value) for n in shares}
    return {
        **tops,
        "doubling": partial(doubling, floor=values["alarm.doubling_floor"].value),
        "pielou": partial(low_evenness, below=values["alarm.pielou"].value),
        "uc50": partial(low_uc50, most=values["alarm.uc50"].value),
        "mrce": partial(expansion, least=values["alarm.mrce"].value),
    }


def _shares(counts: np.ndarray) -> np.ndarray:
    """Return shares, 0 in samples of too few fragments."""
    total = counts.sum(axis=0)
    return np.where(_is_read(counts), counts / np.maximum(total, 1), 0.0)


def _is_read(counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=0) >= FEWEST_FRAGMENTS


def _flagged(share: np.ndarray, alarm: np.ndarray) -> np.ndarray:
    if not len(share):
        return np.full(share.shape[1], -1)
    return np.where(alarm & (share.max(axis=0) > 0), share.argmax(axis=0), -1)
