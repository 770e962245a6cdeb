"""Clone identity, given the path of a class's total: a neutral urn.

Cells of a class are exchangeable, so which of them have progeny, and how many, does not depend on
what made the total what it is.  Backwards over a visit interval, count the cells A at its start
with progeny at its end; then deal: the A founders fall to clones as a multivariate hypergeometric
sample of the cells at the start, and the X cells at the end are a uniform composition into A
families, one each and the rest Dirichlet-multinomial by founders.  docs/engine.md derives it.
"""

import numpy as np

COINS_FROM = 2500  # things from which coins are the quicker way to a random subset


def ancestors(
    rng: np.random.Generator, families: np.ndarray, after: np.ndarray, sampled: np.ndarray
) -> np.ndarray:
    """Draw how many families a step's sampled cells come from.

    Of `after` cells in `families` families of a Kendall step, of uniform composition, `sampled`
    are marked at random.  Each family has one head and a number of others that follows a Polya
    urn, so the number of marked families is the sum of marked heads and of unmarked-head families
    hit by marked others: three stock draws.

    Parameters
    ----------
    families, after, sampled : array of int
        Of equal shape; sampled <= after, families <= after.

    Returns
    -------
    array of int
    """
    heads = rng.hypergeometric(families, after - families, sampled)
    others, unhit = sampled - heads, families - heads
    share = rng.beta(np.maximum(unhit, 1), np.maximum(heads, 1))
    share = np.where(heads == 0, 1.0, np.where(unhit == 0, 0.0, share))
    elsewhere = rng.binomial(others, share)
    return heads + rng.hypergeometric(unhit, np.maximum(elsewhere - 1, 0), elsewhere)


def merge_probability(
    families: np.ndarray, after: np.ndarray, sampled: np.ndarray, hit: np.ndarray
) -> np.ndarray:
    """Return the chance that one more marked cell belongs to a family already hit.

    The predictive rule of the exchangeable partition that a uniform composition induces.
    """
    spare = np.maximum(after - sampled, 1)
    return (sampled + hit) * (after + hit - sampled - families) / np.maximum((sampled + families) * spare, 1)


def deal(
    rng: np.random.Generator, sizes: np.ndarray, founders: int, total: int
) -> tuple[np.ndarray, np.ndarray]:
    """Deal a visit: draw each clone's founders and its cells at the end of the interval.

    Parameters
    ----------
    sizes : array of int, shape (clones,)
        Cells at the start, each at least one.
    founders : int
        Cells at the start that have progeny at the end.
    total : int
        Cells at the end.

    Returns
    -------
    founders, cells : array of int, shape (clones,)
    """
    if founders == 0:
        return np.zeros_like(sizes), np.zeros_like(sizes)
    drawn = draw_founders(rng, sizes, founders)
    return drawn, drawn + spread_progeny(rng, drawn, founders, total)


def draw_founders(rng: np.random.Generator, sizes: np.ndarray, founders: int) -> np.ndarray:
    """Draw how many of `founders` cells, chosen without replacement, fall to each clone."""
    cells = int(sizes.sum())
    if not _quicker_by_cell(len(sizes), cells):
        return rng.multivariate_hypergeometric(sizes, founders, method="marginals")
    chosen = _subset(rng, cells, founders)
    if cells == len(sizes):
        return chosen.astype(np.int64)
    return np.add.reduceat(chosen, np.cumsum(sizes) - sizes, dtype=np.int64)


def spread_progeny(rng: np.random.Generator, founders: np.ndarray, families: int, total: int) -> np.ndarray:
    """Draw the cells beyond one per family that fall to each clone.

    The sizes of the families are a uniform composition of the total: `families` - 1 cuts among its
    `total` - 1 gaps.  Where that would be long, the same law by gamma and multinomial draws.
    """
    extra = total - families
    if extra == 0:
        return np.zeros_like(founders)
    if not _quicker_by_cell(len(founders), total):
        weight = rng.standard_gamma(founders)
        return rng.multinomial(extra, weight / weight.sum())
    cuts = np.flatnonzero(_subset(rng, total - 1, families - 1)) + 1
    ends = np.concatenate([[0], cuts, [total]])[np.concatenate([[0], np.cumsum(founders)])]
    return np.diff(ends) - founders


def _quicker_by_cell(clones: int, cells: int) -> bool:
    """Say whether a coin for each cell costs less than draws for each clone, as measured."""
    return cells <= 60 * (clones - 60)


def _subset(rng: np.random.Generator, things: int, size: int) -> np.ndarray:
    """Draw a random subset of a given size, as a mask."""
    few = min(size, things - size)
    if things > COINS_FROM and few > things // 20:
        return _subset_by_coins(rng, things, size)
    mask = np.zeros(things, bool)
    mask[rng.choice(things, few, replace=False, shuffle=False)] = True
    return mask if few == size else ~mask


def _subset_by_coins(rng: np.random.Generator, things: int, size: int) -> np.ndarray:
    """Draw it by one coin each, then by changing things at random until the size is right.

    Given how many coins show heads, their set is uniform whatever their chance; so is it after each
    change of one thing, chosen at random among the heads or the tails that are too many.
    """
    heads = np.uint8(min(round(256 * size / things), 255))
    coins = rng.integers(0, 2**64, -(-things // 8), dtype=np.uint64).astype("<u8", copy=False).view(np.uint8)
    mask = coins[:things] < heads
    surplus = int(np.count_nonzero(mask)) - size
    while surplus:
        too_many = surplus > 0
        enough = 2 * abs(surplus) * things // (size if too_many else things - size) + 8
        at = rng.integers(0, things, enough)
        mask[at[mask[at] == too_many][: abs(surplus)]] = not too_many
        surplus = int(np.count_nonzero(mask)) - size
    return mask
