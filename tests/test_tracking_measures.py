"""Depth, sharing and sites: closed forms, other programs' numbers, and false alarms at their stated rate.

Shares of simulated data sets lie within 4.5 standard errors of what is stated; of 500 data sets, one
standard error of 10 % is 1.3 %, so a rate of 17 % fails, and so does a coverage of 83 % for 90 %.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.loci import read_genes
from hsc_pipeline.tracking.rarefaction import compare_at_depth, rarefaction
from hsc_pipeline.tracking.relations import leak_of
from hsc_pipeline.tracking.sharing import accumulation, clustered, correlation, lineage_bias, seen
from hsc_pipeline.tracking.sites import annotate, enrichment, grubbs, merge_near, remove_collisions, scan
from tests.statistics_of import LIMIT, z_of_share

DATA_SETS = 500

# Depth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3, 6, 9])
def test_rarefied_indices_are_those_of_all_subsamples(depth):
    counts = np.array([5, 2, 1, 1])
    cells = np.repeat(np.arange(4), counts)
    every = [
        np.bincount(cells[list(chosen)], minlength=4) for chosen in itertools.combinations(range(9), depth)
    ]
    share = np.array(every) / depth
    expected = {
        "richness": (share > 0).sum(axis=1).mean(),
        "shannon": stats.entropy(share, axis=1).mean(),
        "simpson": 1 - (share**2).sum(axis=1).mean(),
    }
    found = rarefaction(counts, [depth], draws=2).set_index("measure")["estimate"]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-10), name


def uneven(clones, rng):
    size = np.exp(1.2 * rng.standard_normal(clones))
    return size / size.sum()


@pytest.mark.parametrize("part", [0.4, 1.0])
def test_rarefied_richness_covers_that_of_the_marrow(part):
    rng = np.random.default_rng(11)
    share, n = uneven(400, rng), 600
    depth = round(part * n)
    truth = -np.expm1(depth * np.log1p(-share)).sum()
    hits = []
    for _ in range(DATA_SETS):
        row = rarefaction(rng.multinomial(n, share), [depth], draws=2).iloc[0]
        hits.append(row["low"] <= truth <= row["high"])
    assert abs(z_of_share(np.array(hits), 0.9)) < LIMIT


def test_extrapolation_is_a_lower_bound_that_leaves_less_unseen():
    rng = np.random.default_rng(12)
    share, n = uneven(400, rng), 600
    truth = -np.expm1(2 * n * np.log1p(-share)).sum()
    found = [rarefaction(rng.multinomial(n, share), [n, 2 * n], draws=2) for _ in range(100)]
    at = np.array([one.loc[one["measure"] == "richness", "estimate"].to_numpy() for one in found])
    assert (at[:, 1] > at[:, 0]).all()
    assert 0.93 * truth < at[:, 1].mean() < 1.01 * truth


def test_two_samples_of_one_marrow_rarely_differ():
    """p below 10 % in a tenth of pairs, though one sample is twice as deep; and of other marrows always."""
    rng = np.random.default_rng(13)
    share, other = uneven(400, rng), np.full(400, 1 / 400)
    small = []
    for _ in range(200):
        pair = rng.multinomial(500, share), rng.multinomial(1000, share)
        found = compare_at_depth(*pair, seed=1, draws=40).set_index("measure")["p"]
        small.append(found[["richness", "shannon"]] < 0.1)
    for name in ("richness", "shannon"):
        rate = np.array([one[name] for one in small])
        assert abs(z_of_share(rate, 0.1)) < LIMIT, name
    found = compare_at_depth(rng.multinomial(500, share), rng.multinomial(1000, other), seed=1, draws=40)
    assert (found.set_index("measure")["p"][["richness", "shannon"]] < 1e-6).all()


def test_reads_and_depths_beyond_twice_the_sample_are_refused():
    with pytest.raises(UserError, match="depths: from 1 to 18"):
        rarefaction([5, 2, 1, 1], [19])


# Sharing ------------------------------------------------------------------------------------------


def test_correlation_is_pearsons_of_square_roots():
    rng = np.random.default_rng(1)
    table = rng.poisson(3, (4, 60)) * rng.integers(0, 2, (4, 60))
    group, clone = np.nonzero(table)
    found = correlation(group, clone, table[group, clone])
    # Clones are numbered up to the last that was seen; none is left out between.
    root = np.sqrt(table[:, : clone.max() + 1] / table.sum(axis=1, keepdims=True))
    assert found == pytest.approx(np.corrcoef(root), abs=1e-6)


def test_alike_samples_stand_side_by_side():
    rng = np.random.default_rng(2)
    block = rng.permutation(np.repeat([0, 1, 2], 4))
    matrix = np.where(block[:, None] == block, 0.8, 0.1) + 0.01 * rng.random((12, 12))
    order = block[clustered((matrix + matrix.T) / 2)]
    assert (np.diff(order) != 0).sum() == 2  # three blocks, whole


def test_first_and_last_and_cumulative_clones_by_hand():
    owner, time, clone = np.zeros(6, int), np.array([3, 3, 6, 6, 12, 12]), np.array([0, 1, 1, 2, 1, 3])
    grown = accumulation(owner, time, clone)
    assert grown[["clones", "new", "cumulative"]].to_numpy().tolist() == [[2, 2, 2], [2, 1, 3], [2, 1, 4]]
    found = seen(owner, time, clone).set_index("clone")
    assert found.loc[1, ["first", "last", "times"]].tolist() == [3, 12, 3]
    assert found.loc[2, ["first", "last", "times"]].tolist() == [6, 6, 1]


def test_lineage_bias_covers_and_its_p_values_hold():
    """Clopper and Pearson's cover at least the level; not more than 99 % with tens of fragments."""
    rng = np.random.default_rng(3)
    size, totals = np.repeat([20, 60], 400), np.array([5000.0, 2000.0, 3000.0])
    ratio = 2.0  # the clone's share of the first lineage, over its share of the others
    odds = ratio * totals[0] / totals[1:].sum()
    first = rng.binomial(size, odds / (1 + odds))
    second = rng.binomial(size - first, 0.4)
    found = lineage_bias(np.column_stack([first, second, size - first - second]), totals)
    own = found[found["lineage"] == 0]
    hits = ((own["low"] <= 1) & (own["high"] >= 1)).to_numpy()  # log2 of 2
    assert 0.9 - LIMIT * np.sqrt(0.09 / len(hits)) < hits.mean() < 0.99
    neutral = rng.multinomial(50, totals / totals.sum(), 800)
    p = lineage_bias(neutral, totals)["p"].to_numpy()
    assert (p < 0.05).mean() < 0.05 + LIMIT * np.sqrt(0.05 * 0.95 / 800)


def test_a_leak_not_stated_is_the_catalogues_purity_spread_evenly():
    leak = leak_of(["Myeloid", "B", "T"], None)
    assert np.diag(leak).tolist() == [0, 0, 0]
    assert leak.sum(axis=1) == pytest.approx([0.013, 0.014, 0.011])
    assert leak_of(["Myeloid", "T"], {"T": {"Myeloid": 0.1}}).tolist() == [[0, 0], [0.1, 0]]
    assert not leak_of(["Myeloid", "T"], {}).any()


# Sites --------------------------------------------------------------------------------------------


def test_sites_within_reach_of_one_another_are_one_site():
    position = [100, 104, 108, 113, 104, 100]
    strand = ["+", "+", "+", "+", "-", "+"]
    chromosome = ["1", "1", "1", "1", "1", "2"]
    found = merge_near(chromosome, strand, position, [1, 9, 2, 5, 7, 3], within=4)
    assert found.tolist() == [1, 1, 1, 3, 4, 5]


def test_a_shared_site_belongs_to_whom_has_ten_times_the_reads_of_all_others():
    subject, site = [1, 2, 3, 1, 2, 1], [7, 7, 7, 8, 8, 9]
    kept = remove_collisions(subject, site, [100, 6, 4, 99, 10, 1], ratio=10)
    assert kept.tolist() == [True, False, False, False, False, True]
    with pytest.raises(UserError, match="above 1"):
        remove_collisions(subject, site, np.ones(6), ratio=1)


def test_grubbs_gives_the_statistic_and_limit_of_the_handbook():
    """NIST/SEMATECH e-Handbook 1.3.5.17.1: masses of uranium, G = 2.468765, limit 2.0317 at 5 %."""
    masses = np.array([199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57])
    found = grubbs(2.0**masses, np.zeros(8), margin=1)
    assert found["z"].max() == pytest.approx(2.468765, abs=1e-6)
    assert found["p_bonferroni"].min() < 0.05
    # A value at the limit has p = 5 %.
    t = stats.t.isf(0.05 / 8, 6)
    assert 7 / np.sqrt(8) * np.sqrt(t**2 / (6 + t**2)) == pytest.approx(2.0317, abs=5e-5)
    base = np.array([-3.0, -2, -1, 0, 1, 2, 3])

    def most(x):
        return grubbs(2.0 ** np.append(base, x), np.zeros(8), margin=1).iloc[-1]

    low, high = 3.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if most(middle)["z"] < 2.0317 else (low, middle)
    assert most(low)["p_bonferroni"] == pytest.approx(0.05, abs=2e-4)


LENGTHS = {"1": 6e6, "2": 4e6}


def thrown(rng, sites):
    chromosome = rng.choice(["1", "2"], sites, p=[0.6, 0.4])
    return chromosome, np.floor(rng.random(sites) * np.where(chromosome == "1", 6e6, 4e6))


def test_the_scan_rarely_finds_a_hot_spot_where_there_is_none():
    """Least p below 10 % in a tenth of genomes, or less: the law is of a continuous count."""
    rng = np.random.default_rng(21)
    least = [scan(*thrown(rng, 300), LENGTHS)["p"].min() for _ in range(DATA_SETS)]
    rate = np.mean(np.nan_to_num(least, nan=1.0) < 0.1)
    assert 0.02 < rate < 0.1 + LIMIT * np.sqrt(0.09 / DATA_SETS)


def test_the_scan_finds_a_cluster():
    rng = np.random.default_rng(22)
    chromosome, position = thrown(rng, 300)
    chromosome, position = np.append(chromosome, ["2"] * 12), np.append(position, 2e6 + 1e3 * np.arange(12))
    first = scan(chromosome, position, LENGTHS).iloc[0]
    assert (first["chromosome"], first["p"] < 1e-4) == ("2", True)
    assert first["start"] <= 2e6 + 2e4
    assert first["end"] >= 2.01e6
    with pytest.raises(UserError, match="chromosome: '3' has no length"):
        scan(["3"], [1.0], LENGTHS)


def test_against_a_background_hot_spots_of_both_are_none():
    """Sites that crowd alike in both are told apart from those that crowd in one; least p is uniform."""
    rng, small = np.random.default_rng(23), []

    def crowded(n):
        chromosome, position = thrown(rng, n)
        return chromosome, np.where(rng.random(n) < 0.5, 1e5 * rng.random(n), position)

    for seed in range(200):
        found = scan(*crowded(100), LENGTHS, background=crowded(300), seed=seed, permutations=49)
        small.append(found["p"].min() <= 0.1 if len(found) else False)
    assert np.mean(small) < 0.1 + LIMIT * np.sqrt(0.09 / 200)
    chromosome, position = crowded(100)
    position = np.where(np.arange(100) < 25, 3e6 + 1e3 * np.arange(100), position)
    found = scan(np.where(np.arange(100) < 25, "1", chromosome), position, LENGTHS, background=crowded(300))
    assert found["p"].iloc[0] <= 0.002
    assert abs(found["start"].iloc[0] - 3e6) < 1e5


def test_enrichment_is_fishers_exact_test():
    found = enrichment({"LMO2": 9, "A": 40, "B": 30}, {"LMO2": 1, "A": 45, "B": 33, "C": 4}).set_index("gene")
    for gene, a, b in (("LMO2", 9, 1), ("A", 40, 45), ("C", 0, 4)):
        table = [[a, b], [79 - a, 83 - b]]
        assert found.loc[gene, "p"] == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
    assert found.index[0] == "LMO2"
    assert found["p_adjusted"].to_numpy() == pytest.approx(stats.false_discovery_control(found["p"]))
    with pytest.raises(UserError, match="nothing to compare"):
        enrichment({}, {"A": 3})


def test_genes_are_annotated_from_the_users_table(tmp_path):
    path = tmp_path / "genes.csv"
    path.write_text("gene,class,role\nLMO2,oncogene,T-ALL\n")
    found = annotate(["A", "LMO2"], read_genes(str(path)))
    assert found["listed"].tolist() == [False, True]
    assert found.loc[1, ["class", "role"]].tolist() == ["oncogene", "T-ALL"]
    with pytest.raises(UserError, match="twice"):
        annotate(["A"], pd.DataFrame({"gene": ["A", "A"]}))
