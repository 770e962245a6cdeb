"""Honest evaluation: splits that nobody stands on both sides of, and scores of what was held out."""

from collections.abc import Iterator, Sequence

import numpy as np

LARGEST_FOLDS = 5


def grouped_folds(
    *groups: Sequence, seed: int, folds: int = LARGEST_FOLDS, labels: Sequence | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and held-out rows, so that no group of any grouping stands on both sides.

    Rows that are linked, through however many patients and points, form a block.  Where there are at
    least `folds` blocks (other patients at each point), blocks are dealt out.  Where the groupings are
    crossed (the same patients at every point), the groups of each grouping are dealt out to folds,
    rows that are held out in all groupings are tested, and rows held out in none are learnt from.

    Parameters
    ----------
    *groups : sequence, shape (rows,)
        One or two labels of each row, such as its patient and its design point.
    seed : int
    folds : int
        Fewer where there are too few groups.
    labels : sequence, shape (rows,), optional
        Classes to spread over the folds evenly where blocks are dealt out.

    Yields
    ------
    training, held_out : numpy.ndarray of int
        Places of rows.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    coded = [np.unique(np.asarray(group), return_inverse=True)[1] for group in groups]
    blocks = _blocks(coded)
    dealt = dict(shuffle=True, random_state=seed % 2**32)
    if len(np.unique(blocks)) >= folds:
        split = GroupKFold if labels is None else StratifiedGroupKFold
        yield from split(folds, **dealt).split(blocks, labels, blocks)
        return
    folds = min(folds, *(len(np.unique(code)) for code in coded))
    held_out = np.array([_dealt(code, folds, seed + place) for place, code in enumerate(coded)])
    for fold in range(folds):
        yield np.flatnonzero((held_out != fold).all(axis=0)), np.flatnonzero((held_out == fold).all(axis=0))


def _dealt(code: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row's group, the groups dealt out at random and evenly."""
    order = np.random.default_rng(seed).permutation(code.max() + 1)
    return order[code] % folds


def _blocks(coded: Sequence[np.ndarray]) -> np.ndarray:
    """Return the block of each row: rows linked through any of their groups are in the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    offsets = np.cumsum([0, *(code.max() + 1 for code in coded)])
    nodes = [code + offset for code, offset in zip(coded, offsets[:-1], strict=True)]
    ends = np.concatenate([np.stack([nodes[0], other]) for other in nodes[1:]] or [nodes[:1] * 2], axis=1)
    graph = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(offsets[-1], offsets[-1]))
    return connected_components(graph, directed=False)[1][nodes[0]]
