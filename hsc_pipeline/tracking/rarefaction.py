"""Diversity at a depth: what a smaller sample would have shown, what a larger one might.

A deeper sample shows more clones, so two samples are compared at the depth of the shallower one.
Counts must be independent draws of cells: fragments or cells, never reads, of which one fragment
has many.
"""

from collections.abc import Sequence

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.indices import LEVEL, checked_counts, rounded

MEASURES = ("richness", "shannon", "simpson", "evenness")
LARGEST = 20_000  # counts beyond are reads, not fragments
DRAWS = 200


def rarefaction(
    counts, depths: Sequence[int] | None = None, level: float = LEVEL, seed: int = 0, draws: int = DRAWS
):
    """Return the expected diversity of smaller and larger samples.

    Up to the sample's own depth the expectation over its subsamples, exact and unbiased; beyond,
    up to twice the depth, richness alone, by the clones seen once and twice.  Intervals by
    bootstrap of an assemblage with the unseen clones added.

    Parameters
    ----------
    counts : array_like of float, shape (clones,)
        Fragments or cells of each clone; fractional estimates are rounded.
    depths : sequence of int, optional
        Fragments; None: twenty depths up to twice the sample's own.
    level : float
    seed : int
    draws : int
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``depth, measure, estimate, low, high, extrapolated``.

    Raises
    ------
    UserError
        If the counts are those of reads, or a depth is beyond twice the sample's.

    References
    ----------
    Hurlbert 1971, 10.2307/1934145; Colwell 2012, 10.1093/jpe/rtr044; Chao 2014, 10.1890/13-0133.1.
    """
    import pandas as pd
    from scipy.special import ndtri

    whole = _whole(counts)
    n = int(whole.sum())
    depths = np.unique(np.linspace(1, 2 * n, 21).astype(int)[1:]) if depths is None else np.asarray(depths)
    if len(depths) and (min(depths) < 1 or max(depths) > 2 * n):
        raise UserError(f"depths: from 1 to {2 * n}, twice the {n} fragments of the sample")
    samples = _bootstrap(whole, np.random.default_rng(seed), draws)
    z, rows = ndtri((1 + level) / 2), []
    for depth in depths:
        names = MEASURES if depth <= n else MEASURES[:1]
        found = _at(whole, int(depth))
        again = [_at(sample, int(depth)) for sample in samples]
        for name in names:
            half = z * _error(whole, int(depth), name, [one[name] for one in again])
            rows.append((int(depth), name, found[name], found[name] - half, found[name] + half, depth > n))
    return pd.DataFrame(rows, columns=["depth", "measure", "estimate", "low", "high", "extrapolated"])


def compare_at_depth(first, second, depth: int | None = None, seed: int = 0, draws: int = DRAWS):
    """Tell whether the diversity of two samples differs, at the same depth.

    Parameters
    ----------
    first, second : array_like of float, shape (clones,)
        Fragments or cells of each clone, of two samples.
    depth : int, optional
        Fragments; None: those of the shallower sample.
    seed, draws : int
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``measure, depth, first, second, difference, low, high, p``: difference second - first with
        its interval, and the two-sided p-value of no difference, by sampling alone.
    """
    import pandas as pd
    from scipy.special import ndtr, ndtri

    pair = [_whole(first), _whole(second)]
    depth = int(min(sample.sum() for sample in pair)) if depth is None else int(depth)
    if not 1 <= depth <= min(sample.sum() for sample in pair):
        raise UserError(f"depth: {depth}; allowed: from 1 to the fragments of the shallower sample")
    rng = np.random.default_rng(seed)
    values = [_at(sample, depth) for sample in pair]
    errors = []
    for sample in pair:
        again = [_at(one, depth) for one in _bootstrap(sample, rng, draws)]
        errors.append({name: _error(sample, depth, name, [one[name] for one in again]) for name in MEASURES})
    rows = []
    for name in MEASURES:
        difference = values[1][name] - values[0][name]
        error = float(np.hypot(errors[0][name], errors[1][name]))
        half = ndtri((1 + LEVEL) / 2) * error
        p = 2 * ndtr(-abs(difference) / error) if error > 0 else float(difference == 0)
        rows.append(
            (
                name,
                depth,
                values[0][name],
                values[1][name],
                difference,
                difference - half,
                difference + half,
                p,
            )
        )
    columns = ["measure", "depth", "first", "second", "difference", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def coverage(counts) -> float:
    """Return the share of all cells that belong to clones seen, Good's estimate of Chao & Jost 2012.

    10.1890/11-1952.1.
    """
    whole = _whole(counts)
    n, once, twice = whole.sum(), (whole == 1).sum(), (whole == 2).sum()
    if once == 0:
        return 1.0
    again = (n - 1) * once / ((n - 1) * once + 2 * max(twice, 0)) if twice else 1.0
    return float(1 - once / n * again)


def _whole(counts) -> np.ndarray:
    whole = rounded(checked_counts(counts)).astype(np.int64)
    whole = whole[whole > 0]
    if not len(whole):
        raise UserError("counts: no clone in the sample; nothing to compare")
    if whole.max() > LARGEST:
        raise UserError(
            f"counts: {whole.max()} of one clone look like reads; allowed: fragments or cells, "
            f"at most {LARGEST} of a clone"
        )
    return whole


def _at(whole: np.ndarray, depth: int) -> dict[str, float]:
    """Return the expected measures of a sample of a depth."""
    frequency = np.bincount(whole)
    n = int(whole.sum())
    if depth > n:
        return {"richness": _beyond(frequency, n, depth)}
    richness, entropy, squares = frequency @ _parts(n, depth, len(frequency))
    return {
        "richness": richness,
        "shannon": entropy,
        "simpson": 1 - squares,
        "evenness": entropy / np.log(richness) if richness > 1 else 0.0,
    }


def _error(whole: np.ndarray, depth: int, name: str, again: list[float]) -> float:
    """Return the standard error of a measure: of richness by its law, else that of the bootstrap."""
    if name == "richness" and depth <= whole.sum():
        return float(np.sqrt(richness_variance(whole, depth)))
    return float(np.std(again, ddof=1))


def richness_variance(whole: np.ndarray, depth: int) -> float:
    """Return the sampling variance of expected richness at a depth, of fixed clones.

    With q = depth / n and S(d) the richness expected at d times the depth of the sample, it is
    S(2q) - S(2q - q^2) for Poisson counts, whatever the clones; less q^2 S'(q)^2 / n as n is given.
    S(d) for d up to 1 is rarefied, and beyond the unbiased series of Good & Toulmin 1956,
    10.1093/biomet/43.1-2.45.
    """
    frequency = np.bincount(whole).astype(float)
    n, k = int(whole.sum()), np.arange(len(frequency))
    q = depth / n
    # 1 - s(d) of a clone of x fragments is (1 - d)^x on average, of either sign beyond the sample.
    variance = frequency @ ((1 - (2 * q - q * q)) ** k - (1 - 2 * q) ** k)
    once = frequency @ (k * q * (1 - q) ** np.maximum(k - 1, 0))
    return max(float(variance - once**2 / n), 0.0)


def _beyond(frequency: np.ndarray, n: int, depth: int) -> float:
    once, twice = (frequency[k] if len(frequency) > k else 0 for k in (1, 2))
    unseen = (n - 1) / n * (once**2 / (2 * twice) if twice else once * (once - 1) / 2)
    gained = unseen * (1 - (1 - once / (n * unseen + once)) ** (depth - n)) if unseen else 0.0
    return float(frequency[1:].sum() + gained)


_kept: dict[tuple[int, int], np.ndarray] = {}


def _parts(n: int, depth: int, sizes: int) -> np.ndarray:
    """Return what a clone of x = 0, 1, ... adds to richness, Shannon and sum p^2; shape (sizes, 3).

    Its cells among `depth` of `n` are hypergeometric.  Shannon's term of a clone with many of them
    follows from their mean and variance.
    """
    kept = _kept.get((n, depth))
    if kept is not None and len(kept) >= sizes:
        return kept[:sizes]
    from scipy.special import gammaln

    x = np.arange(sizes, dtype=float)
    ln = gammaln(np.arange(n + 2, dtype=float) + 0.0)  # ln of (k - 1)!
    ln[0] = 0.0
    whole = ln[n + 1] - ln[depth + 1] - ln[n - depth + 1]
    mean = depth * x / n
    variance = mean * (1 - x / n) * (n - depth) / max(n - 1, 1)
    missed = np.where(
        x <= n - depth,
        np.exp(
            ln[(n - x).astype(int) + 1]
            - ln[depth + 1]
            - ln[np.maximum(n - x - depth, 0).astype(int) + 1]
            - whole
        ),
        0.0,
    )
    share = np.maximum(mean, 1e-300) / depth
    entropy = -share * np.log(share) - variance / depth**2 / (2 * share)
    for size in range(1, min(sizes, _FEW + 1)):
        k = np.arange(max(1, depth - (n - size)), min(size, depth) + 1)
        chance = np.exp(
            ln[size + 1] - ln[k + 1] - ln[size - k + 1]
            + ln[n - size + 1] - ln[depth - k + 1] - ln[n - size - depth + k + 1] - whole
        )  # fmt: skip
        entropy[size] = -(chance * k / depth * np.log(k / depth)).sum()
    entropy[0] = 0
    parts = np.column_stack([1 - missed, entropy, (variance + mean**2) / depth**2])
    parts[0] = 0
    if len(_kept) > 64:
        _kept.clear()
    _kept[n, depth] = parts
    return parts


_FEW = 400  # cells of a clone up to which its hypergeometric law is summed


def _bootstrap(whole: np.ndarray, rng: np.random.Generator, draws: int) -> list[np.ndarray]:
    """Draw samples of the same depth from the assemblage that the sample suggests, Chao 2014.

    Seen clones give up the share of the unseen ones, the rare more than the common; the unseen
    ones are as many as Chao1 says, and alike.
    """
    n, once, twice = int(whole.sum()), int((whole == 1).sum()), int((whole == 2).sum())
    unseen = int(np.ceil((n - 1) / n * (once**2 / (2 * twice) if twice else once * (once - 1) / 2)))
    share = whole / n
    missing = 1 - coverage(whole)
    if unseen and missing > 0:
        lost = (share * (1 - share) ** n).sum()
        factor = missing / lost if lost > 0 else 0.0
        share = share * np.maximum(1 - factor * (1 - share) ** n, 0)
        share = np.concatenate([share, np.full(unseen, missing / unseen)])
    share = share / share.sum()
    return [drawn[drawn > 0] for drawn in (rng.multinomial(n, share) for _ in range(draws))]
