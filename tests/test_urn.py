"""The urn against enumeration, by each of the ways that it takes for few and for many cells."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panel import chi_square
from scipy import stats

from hsc_pipeline.dynamics import urn
from hsc_pipeline.dynamics.urn import ancestors, deal, merge_probability

# Whether cells are drawn one by one rather than clones, and the cells from which by coins.
WAYS = {"clones": (False, 0), "chosen cells": (True, 10**9), "coins": (True, 0)}


def go(way, patch):
    by_cell, coins_from = WAYS[way]
    patch.setattr(urn, "_quicker_by_cell", lambda clones, cells: by_cell)
    patch.setattr(urn, "COINS_FROM", coins_from)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    go(request.param, monkeypatch)


def compositions(total, parts):
    for cuts in combinations(range(1, total), parts - 1):
        edges = (0, *cuts, total)
        yield tuple(b - a for a, b in pairwise(edges))


def families_hit(after, families, sampled):
    """The law of families that hold a marked cell, by enumeration of compositions and marks."""
    law = Counter()
    for sizes in compositions(after, families):
        owner = np.repeat(np.arange(families), sizes)
        for marked in combinations(range(after), sampled):
            law[len({int(owner[cell]) for cell in marked})] += 1
    whole = sum(law.values())
    return {key: count / whole for key, count in law.items()}


@pytest.mark.parametrize(
    ("after", "families", "sampled"), [(6, 3, 2), (7, 4, 3), (6, 1, 3), (5, 5, 2), (7, 2, 7)]
)
def test_ancestors_have_the_law_of_enumerated_families(after, families, sampled):
    # p > 1e-5 on 20,000 draws; an error of 0.02 in a probability would show with p < 1e-6.
    rng = np.random.default_rng(1)
    shape = np.ones(20_000, np.int64)
    drawn = ancestors(rng, families * shape, after * shape, sampled * shape)
    assert chi_square(Counter(drawn.tolist()), families_hit(after, families, sampled)) > 1e-5


@pytest.mark.parametrize(("after", "families", "sampled"), [(6, 3, 2), (7, 4, 3), (7, 3, 4)])
def test_the_merging_of_one_more_line_is_what_enumeration_gives(after, families, sampled):
    merged, seen = Counter(), Counter()
    for sizes in compositions(after, families):
        owner = np.repeat(np.arange(families), sizes)
        for marked in combinations(range(after), sampled):
            hit = {int(owner[cell]) for cell in marked}
            for more in set(range(after)) - set(marked):
                seen[len(hit)] += 1
                merged[len(hit)] += int(owner[more]) in hit
    for hit in seen:
        assert merge_probability(families, after, sampled, hit) == pytest.approx(
            merged[hit] / seen[hit], abs=1e-12
        )


@pytest.mark.parametrize(
    ("sizes", "founders", "total"), [((1, 1, 1), 2, 5), ((2, 1, 3), 3, 6), ((4, 2), 3, 3), ((1, 2), 1, 60)]
)
def test_a_deal_has_the_law_of_enumerated_urns(way, sizes, founders, total):
    # As above, by each way.
    law = Counter()
    owner = np.repeat(np.arange(len(sizes)), sizes)
    chosen = list(combinations(range(len(owner)), founders))
    parts = list(compositions(total, founders))
    for cells in chosen:
        for families in parts:
            dealt = np.bincount(owner[list(cells)], families, len(sizes)).astype(int)
            law[tuple(dealt.tolist())] += 1 / len(chosen) / len(parts)
    rng = np.random.default_rng(2)
    drawn = Counter(tuple(deal(rng, np.array(sizes), founders, total)[1].tolist()) for _ in range(20_000))
    assert chi_square(drawn, law) > 1e-5


@settings(deadline=None, derandomize=True, max_examples=200)
@given(data=st.data(), way=st.sampled_from(sorted(WAYS)))
def test_a_deal_keeps_its_books(data, way):
    sizes = np.array(data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=30)))
    founders = data.draw(st.integers(0, int(sizes.sum())))
    total = founders + data.draw(st.integers(0, 3000)) if founders else 0
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    with pytest.MonkeyPatch.context() as patch:
        go(way, patch)
        drawn, cells = deal(rng, sizes, founders, total)
    assert drawn.sum() == founders
    assert cells.sum() == total
    assert (drawn <= sizes).all()
    assert ((cells > 0) == (drawn > 0)).all()
    assert (cells >= drawn).all()


@pytest.mark.parametrize(("wrong", "agrees"), [(0, True), (10, False)])
def test_many_coins_are_fair_to_every_cell_and_to_pairs(wrong, agrees):
    """Some 3,000 cells, as in the engine's use: each drawn as often, alone and with its neighbour.

    p > 1e-5 twice; that the first of every 100 cells is drawn ten times too often in 1,000 draws shows.
    """
    rng, things, size, draws = np.random.default_rng(3), 3000, 1000, 4000
    alone, pairs = np.zeros(things), np.zeros(things)
    for _ in range(draws):
        mask = urn._subset_by_coins(rng, things, size)
        assert mask.sum() == size
        alone += mask
        pairs += mask & np.roll(mask, 1)
    alone[::100] += wrong * draws / 1000
    # A draw's cells sum to `size`, so there is one degree of freedom less.
    share, both = size / things, size * (size - 1) / (things * (things - 1))
    z = (alone - draws * share) / np.sqrt(draws * share * (1 - share))
    deviations = stats.chi2.sf((z**2).sum() * (things - 1) / things, things - 1)
    at_hundreds = stats.norm.sf(abs(z[::100].sum()) / np.sqrt(len(z[::100]))) * 2
    assert (min(deviations, at_hundreds) > 1e-5) == agrees
    assert abs(pairs.sum() / draws - things * both) < 5 * np.sqrt(things * both / draws)
