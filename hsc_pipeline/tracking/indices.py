"""Diversity of a sample of clones: how many, how even, how much the largest hold.

All indices of all samples come out of one pass over rows sorted by sample and count, so that two
thousand samples cost what one of their length does.
"""

from collections.abc import Mapping

import numpy as np

from hsc_pipeline.errors import UserError

INDICES = (
    "richness",
    "chao1",
    "shannon",
    "simpson",
    "inverse_simpson",
    "pielou",
    "gini",
    "uc50",
    "uc50_half",
    "top1",
    "top10",
)
LEVEL = 0.90


def diversity(counts) -> dict[str, float]:
    """Return the diversity of one sample.

    Parameters
    ----------
    counts : array_like of float, shape (clones,)
        Cells, fragments or reads of each clone; not negative, zeros count as absent.  Estimates
        such as sonic abundances may be fractional.

    Returns
    -------
    dict of str to float
        ``richness``; ``chao1``, bias-corrected (Chao 1984, Scand J Stat 11:265; Chiu 2014,
        10.1111/biom.12200); ``shannon`` in nats; ``simpson``, 1 - sum p^2; ``inverse_simpson``;
        ``pielou``, Shannon over ln richness, NaN for a single clone; ``gini``; ``uc50``, the fewest
        clones that hold strictly more than half (as INSPIIRED); ``uc50_half``, at least half;
        ``top1`` and ``top10``, shares of the largest and of the ten largest.
        Without a clone: richness and chao1 0, the rest NaN.

    Raises
    ------
    UserError
        If a count is negative or not finite.
    """
    counts = np.asarray(counts, float).ravel()
    table = diversity_by_sample(np.zeros(len(counts), np.int64), counts, 1)
    return {name: column[0].item() for name, column in table.items()}


def diversity_by_sample(sample, counts, samples: int | None = None) -> dict[str, np.ndarray]:
    """Return the indices of `diversity` for many samples at once.

    Parameters
    ----------
    sample : array of int, shape (rows,)
        Number of the sample, from 0.
    counts : array of float, shape (rows,)
    samples : int, optional
        How many samples there are; None: the largest number plus one.

    Returns
    -------
    dict of str to array, shape (samples,)
        By name of index, in the order of `INDICES`.
    """
    sample, counts = np.asarray(sample), checked_counts(counts)
    samples = int(sample.max(initial=-1)) + 1 if samples is None else samples
    order = np.lexsort((counts, sample))
    order = order[counts[order] > 0]
    sample, counts = sample[order], counts[order]
    richness = np.bincount(sample, minlength=samples)
    ends = np.cumsum(richness)
    starts = ends - richness
    total = np.bincount(sample, counts, samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = counts / total[sample]
        shannon = -np.bincount(sample, share * np.log(share), samples)
        simpson = 1 - np.bincount(sample, share**2, samples)
        rank = np.arange(len(counts)) - starts[sample] + 1
        gini = np.bincount(sample, (2 * rank - richness[sample] - 1) * share, samples) / richness
        pielou = np.where(richness > 1, shannon / np.log(richness), np.nan)
    held = _shares_held(share, starts, ends)
    once, twice = (np.bincount(sample[rounded(counts) == n], minlength=samples) for n in (1, 2))
    empty = richness == 0
    columns = {
        "richness": richness,
        "chao1": richness + once * (once - 1) / (2 * (twice + 1)),
        "shannon": np.where(empty, np.nan, np.maximum(shannon, 0)),
        "simpson": np.where(empty, np.nan, simpson),
        "inverse_simpson": np.where(empty, np.nan, 1 / (1 - np.where(empty, 0, simpson))),
        "pielou": pielou,
        "gini": gini,
        **held,
    }
    return {name: columns[name] for name in INDICES}


def rounded(counts: np.ndarray) -> np.ndarray:
    """Return fractional estimates as the whole numbers that singletons and doubletons are counted by."""
    return np.rint(counts)


def checked_counts(counts) -> np.ndarray:
    """Return counts as floats, or refuse them.

    Raises
    ------
    UserError
        If a count is negative or not finite.
    """
    counts = np.asarray(counts, float)
    wrong = ~np.isfinite(counts) | (counts < 0)
    if wrong.any():
        raise UserError(
            f"counts: {counts[wrong][0]:g} in place {int(np.flatnonzero(wrong)[0])}; allowed: finite, from 0"
        )
    return counts


def _shares_held(share: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the largest clones hold; `share` ascends within each sample."""
    names = ("uc50", "uc50_half", "top1", "top10")
    found = np.full((len(names), len(starts)), np.nan)
    for number in np.flatnonzero(ends > starts):
        running = np.cumsum(share[starts[number] : ends[number]][::-1])
        half = running[-1] / 2
        found[:, number] = (
            np.searchsorted(running, half * (1 + 1e-12), side="right") + 1,
            np.searchsorted(running, half * (1 - 1e-12), side="left") + 1,
            running[0],
            running[min(10, len(running)) - 1],
        )
    return dict(zip(names, found, strict=True))


def chao1_interval(counts, level: float = LEVEL) -> tuple[float, float, float]:
    """Return Chao1 with the interval of a log-normal number of unseen clones.

    A lower bound of the clones: unless they are equally likely, the interval covers the bound that
    it estimates, not the number of clones.

    Parameters
    ----------
    counts : array_like of float, shape (clones,)
    level : float

    Returns
    -------
    estimate, low, high : float

    References
    ----------
    Chao 1987, 10.2307/2531532; variance of the bias-corrected form, Colwell 2012, 10.1093/jpe/rtr044.
    """
    from scipy.special import ndtri

    whole = rounded(checked_counts(counts))
    whole = whole[whole > 0]
    seen, once, twice = len(whole), int((whole == 1).sum()), int((whole == 2).sum())
    unseen = once * (once - 1) / (2 * (twice + 1))
    if unseen == 0:
        return float(seen), float(seen), float(seen)
    spread = np.exp(ndtri((1 + level) / 2) * np.sqrt(np.log1p(chao_variance(once, twice, 1.0) / unseen**2)))
    return seen + unseen, seen + unseen / spread, seen + unseen * spread


def chao_variance(once: float, twice: float, factor: float) -> float:
    """Return the variance of the bias-corrected Chao estimate of unseen clones.

    Parameters
    ----------
    once, twice : float
        Clones counted, or caught, once and twice.
    factor : float
        1 for Chao1, (t - 1) / t for Chao2 with t occasions.
    """
    more = twice + 1
    return float(
        factor * once * (once - 1) / (2 * more)
        + factor**2 * once * (2 * once - 1) ** 2 / (4 * more**2)
        + factor**2 * once**2 * twice * (once - 1) ** 2 / (4 * more**4)
    )


def diversity_table(clones: Mapping[str, np.ndarray], keys: tuple[str, ...]):
    """Return the diversity of every sample of a tidy table.

    Parameters
    ----------
    clones : mapping of str to array
        Columns of a table with a row per sample and clone: `keys` and ``count``.
    keys : tuple of str
        Columns that together name a sample.

    Returns
    -------
    pandas.DataFrame
        `keys`, ``total``, and a column per index.
    """
    import pandas as pd

    frame = pd.DataFrame({name: clones[name] for name in (*keys, "count")})
    number = frame.groupby(list(keys), sort=True, dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(number, return_index=True)[1]
    counts = frame["count"].to_numpy(float)
    table = frame.iloc[first][list(keys)].reset_index(drop=True)
    table["total"] = np.bincount(number, counts)
    return table.assign(**diversity_by_sample(number, counts))
