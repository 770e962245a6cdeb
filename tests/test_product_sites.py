"""Insertion sites against Poisson hits, the vector's preferences and the coordinates of genes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hsc_pipeline.errors import UserError
from hsc_pipeline.product import genome_of
from hsc_pipeline.product.genome import Genome
from hsc_pipeline.product.release import read_gene_table
from hsc_pipeline.settings import Settings
from tests.statistics_of import LEAST_P, LIMIT, z_of_mean, z_of_share, z_of_variance

INSERTIONS = 100_000
VECTOR = {
    "vector.in_gene_fraction": 0.6,
    "vector.near_tss_fraction": 0.1,
    "vector.cpg_fraction": 0.02,
    "vector.oncogene_ratio": 1.0,
}
GENES = [("A", "oncogene", 0.02, "1", 100, 102), ("B", "hot_spot", 0.005, "2", 4000, 4000)]
HEAD = "gene,class,frequency,chromosome,start,end\n"
CHROMOSOMES = {"1": 6000, "2": 4000}


def genome(genes=GENES, **vector):
    changes = {f"vector.{name}": value for name, value in vector.items()}
    return Genome([("1", 6000), ("2", 4000)], [("1", 10), ("2", 30)], genes, Settings({**VECTOR, **changes}))


def sites_of(where, insertions=INSERTIONS, seed=3):
    drawn = where.draw_sites(np.random.default_rng(seed), insertions)
    return pd.DataFrame({name: np.asarray(column) for name, column in drawn.items()})


def test_hits_in_a_gene_are_poisson_with_mean_insertions_times_frequency():
    """4,000 products of 500 insertions; fails if the frequency were 10 % off or hits clustered."""
    genes = sites_of(genome(), 4000 * 500)["gene"].to_numpy().reshape(4000, 500)
    for gene, frequency in (("A", 0.02), ("B", 0.005)):
        hits = (genes == gene).sum(axis=1)
        assert abs(z_of_mean(hits, 500 * frequency)) < LIMIT
        assert abs(z_of_mean(hits, 500 * frequency * 1.1)) > LIMIT
        assert abs(z_of_variance(hits, 500 * frequency * (1 - frequency))) < LIMIT


def test_a_gene_is_hit_at_least_once_with_one_minus_the_exponential():
    """P(any of n insertions) = 1 - e^(-n q); fails if it were 7 % off."""
    genes = sites_of(genome(), 4000 * 100)["gene"].to_numpy().reshape(4000, 100)
    hit = (genes == "A").any(axis=1)
    chance = -np.expm1(100 * np.log1p(-0.02))
    assert abs(z_of_share(hit, chance)) < LIMIT
    assert abs(z_of_share(hit, 0.93 * chance)) > LIMIT


def test_a_vector_that_prefers_oncogenes_hits_them_so_much_more_and_hot_spots_not():
    sites = sites_of(genome(oncogene_ratio=3.0))
    assert abs(z_of_share(sites["gene"] == "A", 0.06)) < LIMIT
    assert abs(z_of_share(sites["gene"] == "A", 0.055)) > LIMIT
    assert abs(z_of_share(sites["gene"] == "B", 0.005)) < LIMIT


def test_insertions_within_genes_follow_the_genes_and_all_others_the_length():
    """Chromosome 2 holds 3 of 4 genes and 2 of 5 bases; fails if either share were 2 % off."""
    sites = sites_of(genome())
    elsewhere = sites[sites["gene"] == ""]
    for inside, share in ((True, 0.75), (False, 0.4)):
        on_two = elsewhere.loc[elsewhere["in_gene"] == inside, "chromosome"] == "2"
        assert abs(z_of_share(on_two, share)) < LIMIT
        assert abs(z_of_share(on_two, share - 0.02)) > LIMIT


@pytest.mark.parametrize(
    ("feature", "share"), [("in_gene", 0.6), ("near_tss", 0.1), ("near_cpg", 0.02)], ids=lambda x: str(x)
)
def test_features_have_the_vectors_shares(feature, share):
    """Named genes count as genes; fails if a share were 10 % off."""
    sites = sites_of(genome())
    assert abs(z_of_share(sites[feature], share)) < LIMIT
    assert abs(z_of_share(sites[feature], 1.1 * share)) > LIMIT
    assert sites.loc[sites["gene"] != "", "in_gene"].all()


def test_both_strands_are_hit_alike():
    assert abs(z_of_share(sites_of(genome())["strand"] == "+", 0.5)) < LIMIT


def test_every_base_of_a_gene_is_hit_alike():
    """Both ends included: three bases, a third each, and a gene of one base."""
    sites = sites_of(genome())
    at = sites.loc[sites["gene"] == "A", "position"]
    assert stats.chisquare(at.value_counts().reindex([100, 101, 102])).pvalue > LEAST_P
    assert set(at) == {100, 101, 102}
    assert set(sites.loc[sites["gene"] == "B", "position"]) == {4000}


def test_fewer_insertions_are_the_first_of_more():
    pd.testing.assert_frame_equal(sites_of(genome(), 50), sites_of(genome(), 500).head(50))


def test_expected_shares_are_those_that_are_drawn():
    """The report draws them beside each other; fails if a chromosome were 5 % off."""
    shares = genome().shares()
    assert shares["share"].sum() == pytest.approx(1)
    expected = shares.groupby(["chromosome", "gene"])["share"].sum()
    drawn = sites_of(genome()).groupby(["chromosome", "gene"]).size().reindex(expected.index)
    assert stats.chisquare(drawn, expected * INSERTIONS).pvalue > LEAST_P
    off = expected * np.where(expected.index.get_level_values(0) == "1", 1.05, 1)
    assert stats.chisquare(drawn, off / off.sum() * INSERTIONS).pvalue < LEAST_P


def test_sites_of_the_catalogue_lie_inside_their_chromosome_and_gene(settings_for):
    settings = settings_for("product")
    sites = sites_of(genome_of(settings))
    length = dict(settings.rows("chromosomes"))
    assert set(sites["chromosome"]) == set(length)
    assert sites["position"].between(1, sites["chromosome"].map(length)).all()
    for gene, kind, _, chromosome, start, end in settings.rows("genes"):
        inside = sites[sites["gene"] == gene]
        assert (inside["gene_class"] == kind).all()
        assert (inside["chromosome"] == chromosome).all()
        assert inside["position"].between(start, end).all()
    assert (sites.loc[sites["gene"] == "", "gene_class"] == "").all()


def test_a_genome_without_named_genes_is_valid():
    assert set(sites_of(genome(genes=[]))["gene"]) == {""}


def test_a_preference_beyond_all_insertions_is_refused():
    with pytest.raises(
        UserError, match=r"vector\.oncogene_ratio = 60.*take \S+ of all insertions; allowed: at most 1"
    ):
        genome(oncogene_ratio=60)


def test_a_users_gene_table_replaces_the_catalogues(tmp_path, settings_for):
    """Fails if the user's frequency were 10 % off, or any gene of the catalogue were still hit."""
    path = tmp_path / "genes.csv"
    path.write_text(HEAD + "MINE,oncogene,0.03,1,1000,2000\n")
    settings = settings_for("product", gene_table=str(path))
    sites = sites_of(genome_of(settings))
    assert set(sites["gene"]) == {"", "MINE"}
    assert abs(z_of_share(sites["gene"] == "MINE", 0.03)) < LIMIT
    assert abs(z_of_share(sites["gene"] == "MINE", 0.033)) > LIMIT
    mine = sites[sites["gene"] == "MINE"]
    assert set(mine["gene_class"]) == {"oncogene"}
    assert mine["position"].between(1000, 2000).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns must be gene, class"),
        (HEAD, "with a row or more"),
        (HEAD.replace("class", "kind") + "A,oncogene,0.1,1,1,2\n", "columns must be gene, class"),
        (HEAD + "A,oncogene,many,1,1,2\n", "line 2: frequency, start and end must be numbers"),
        (HEAD + "A,oncogene,0.1,1,1\n", "line 2: frequency, start and end must be numbers"),
        (HEAD + "A,oncogene,nan,1,1,2\n", "line 2: allowed: a frequency from 0 to 1"),
        (HEAD + "A,oncogene,1.5,1,1,2\n", "line 2: allowed: a frequency from 0 to 1"),
        (HEAD + "A,oncogene,0.1,chr1,1,2\n", "line 2: allowed: .* chromosomes"),
        (HEAD + "A,oncogene,0.1,1,5,4\n", "line 2: allowed: .* places"),
        (HEAD + "A,oncogene,0.1,2,1,4001\n", "line 2: allowed: .* places"),
        (HEAD + ",oncogene,0.1,1,1,2\n", "line 2: the gene has no name"),
        (HEAD + "A,tumour,0.1,1,1,2\n", "line 2: class 'tumour'; allowed: oncogene, hot_spot"),
        (HEAD + "A,oncogene,0.1,1,1,2\nA,oncogene,0.1,1,1,2\n", "line 3: A stands twice"),
        (HEAD + "A,oncogene,0.6,1,1,2\nB,hot_spot,0.6,1,1,2\n", "add up to more than 1"),
    ],
)
def test_a_bad_gene_table_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "genes.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_gene_table(str(path), CHROMOSOMES)
    assert "genes.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_gene_table_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_gene_table(str(tmp_path / "none.csv"), CHROMOSOMES)
