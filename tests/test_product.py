"""The product against the laws of negative binomial copies, Poisson hits and Poisson stem cells."""

from math import exp, inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hsc_pipeline.product import (
    Genome,
    draw_copies,
    draw_lt_hsc_frequency,
    make_product,
    no_copy_probability,
    solve_dispersion,
)
from hsc_pipeline.streams import stream
from tests.statistics_of import LEAST_P, LIMIT, p_of_counts, z_of_mean, z_of_share, z_of_variance

CELLS = 100_000
COPIES = [(0.4, 0.78), (1.5, 1.0), (2.5, 3.6), (2.0, inf)]  # mean, dispersion
COLONIES = Path(__file__).parents[2] / "shared/data/scd_gt_spencerchapman2023/colony_vcn_counts.csv"


def copies_of(mean, k, cells=CELLS, seed=2):
    return draw_copies(np.random.default_rng(seed), mean, k, cells)


@pytest.mark.parametrize(("mean", "k"), COPIES)
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.05, False)])
def test_copies_per_cell_follow_the_negative_binomial(mean, k, wrong, agrees):
    """Fails if the mean were 5 % off, or if a Poisson law stood for k = 1."""
    pmf = stats.poisson(wrong * mean) if k == inf else stats.nbinom(k, k / (k + wrong * mean))
    assert (p_of_counts(copies_of(mean, k), pmf.pmf(np.arange(60))) > LEAST_P) == agrees


@pytest.mark.parametrize(("mean", "k"), COPIES)
def test_copies_have_variance_over_mean_of_one_plus_mean_over_dispersion(mean, k):
    """Var/mean = 1 + m/k, 1 for the Poisson limit; fails if the variance were 12 % off."""
    copies = copies_of(mean, k)
    assert abs(z_of_variance(copies, mean * (1 + mean / k))) < LIMIT
    assert abs(z_of_variance(copies, 1.12 * mean * (1 + mean / k))) > LIMIT


@pytest.mark.parametrize(("mean", "k"), COPIES)
def test_untransduced_cells_and_copies_per_transduced_cell_agree_with_closed_forms(mean, k):
    """P0 = (k/(k+m))^k and m/(1-P0); fails if P0 were 10 % off."""
    copies, none = copies_of(mean, k), no_copy_probability(mean, k)
    assert none == pytest.approx(exp(-mean) if k == inf else (k / (k + mean)) ** k)
    assert abs(z_of_share(copies == 0, none)) < LIMIT
    assert abs(z_of_share(copies == 0, 1.1 * none)) > LIMIT
    assert abs(z_of_mean(copies[copies > 0], mean / (1 - none))) < LIMIT


@given(mean=st.floats(0.01, 20))
def test_no_copy_probability_falls_to_the_poisson_limit(mean):
    """(k/(k+m))^k -> e^-m from above as k grows."""
    falling = [no_copy_probability(mean, k) for k in (0.1, 1, 10, 1e4, 1e8, inf)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-2] == pytest.approx(exp(-mean), rel=1e-4)
    assert falling[-1] == exp(-mean)


@given(mean=st.floats(0.05, 10), part=st.floats(0.01, 0.999))
def test_dispersion_inverts_the_transduced_fraction(mean, part):
    """The law with the solved k transduces the asked fraction, for every possible one."""
    fraction = part * (1 - exp(-mean))
    k = solve_dispersion(mean, fraction)
    assert 1 - no_copy_probability(mean, k) == pytest.approx(fraction, abs=1e-3 if k == inf else 1e-9)


@pytest.mark.parametrize("k", [0.3, 1.0, 3.6, 50.0])
def test_dispersion_is_found_again(k):
    assert solve_dispersion(2.5, 1 - no_copy_probability(2.5, k)) == pytest.approx(k, rel=1e-6)


def test_dispersion_beyond_all_measure_is_the_poisson_law():
    assert solve_dispersion(2.0, 1 - exp(-2.0) * (1 + 1e-7)) == inf


@pytest.mark.parametrize(("mean", "fraction"), [(1.0, 0.64), (0.5, 0.9), (1.0, 0.0), (1.0, 1.0), (1.0, -0.1)])
def test_impossible_transduced_fraction_is_refused(mean, fraction):
    """At most 1 - e^-m of cells can be transduced, and more than none."""
    with pytest.raises(ValueError, match="cannot transduce"):
        solve_dispersion(mean, fraction)


@pytest.fixture(scope="module")
def colonies():
    """Copies of each whole-genome colony by patient and sample, from 100 colonies with any copy on."""
    if not COLONIES.exists():
        pytest.skip("no colony data: the check of the negative binomial against real copies did NOT run")
    table = pd.read_csv(COLONIES)
    samples = {
        name: np.repeat(group["vcn_by_vis"], group["n_colonies"]).to_numpy()
        for name, group in table.groupby(["patient", "sample_type"])
    }
    return {name: copies for name, copies in samples.items() if len(copies) >= 100 and copies.any()}


def test_negative_binomial_beats_poisson_on_copies_of_real_colonies(colonies):
    """Spencer Chapman 2023: with k solved as the model solves it, from the mean and the transduced
    fraction alone, every patient sample is likelier than under a Poisson law by e^5 or more."""
    assert len(colonies) >= 4
    for copies in colonies.values():
        k = solve_dispersion(copies.mean(), (copies > 0).mean())
        poisson = stats.poisson(copies.mean()).logpmf(copies).sum()
        assert stats.nbinom(k, k / (k + copies.mean())).logpmf(copies).sum() > poisson + 5
        assert 0.4 < k < 2


GENOME = Genome(
    [("1", 6000), ("2", 4000)],
    [("A", "oncogene", 0.02, "1", 100, 102), ("B", "oncogene", 0.005, "2", 4000, 4000)],
)


def sites_of(genome, insertions, seed=3):
    return pd.DataFrame(genome.draw_sites(np.random.default_rng(seed), insertions))


def test_hits_in_a_gene_are_poisson_with_mean_insertions_times_frequency():
    """4,000 products of 500 insertions; fails if the frequency were 10 % off or hits clustered."""
    genes = sites_of(GENOME, 4000 * 500)["gene"].to_numpy().reshape(4000, 500)
    for gene, frequency in (("A", 0.02), ("B", 0.005)):
        hits = (genes == gene).sum(axis=1)
        assert abs(z_of_mean(hits, 500 * frequency)) < LIMIT
        assert abs(z_of_mean(hits, 500 * frequency * 1.1)) > LIMIT
        assert abs(z_of_variance(hits, 500 * frequency * (1 - frequency))) < LIMIT


def test_insertions_elsewhere_fall_to_chromosomes_by_length_on_both_strands():
    sites = sites_of(GENOME, CELLS)
    elsewhere = sites[sites["gene"] == ""]
    assert abs(z_of_share(elsewhere["chromosome"] == "1", 0.6)) < LIMIT
    assert abs(z_of_share(sites["strand"] == "+", 0.5)) < LIMIT


def test_every_base_of_a_gene_is_hit_alike():
    """Both ends included: three bases, a third each, and a gene of one base."""
    sites = sites_of(GENOME, CELLS)
    at = sites.loc[sites["gene"] == "A", "position"]
    assert stats.chisquare(at.value_counts().reindex([100, 101, 102])).pvalue > LEAST_P
    assert set(at) == {100, 101, 102}
    assert set(sites.loc[sites["gene"] == "B", "position"]) == {4000}


def test_sites_of_the_catalogue_lie_inside_their_chromosome_and_gene(settings_for):
    settings = settings_for("product")
    sites = sites_of(Genome(settings.rows("chromosomes"), settings.rows("genes")), CELLS)
    length = dict(settings.rows("chromosomes"))
    assert set(sites["chromosome"]) == set(length)
    assert sites["position"].between(1, sites["chromosome"].map(length)).all()
    for gene, _, _, chromosome, start, end in settings.rows("genes"):
        inside = sites[sites["gene"] == gene]
        assert (inside["chromosome"] == chromosome).all()
        assert inside["position"].between(start, end).all()


def product_of(patient, settings, **given):
    k = solve_dispersion(settings["product.mean_copies"], settings["product.transduced_fraction"])
    genome = Genome(settings.rows("chromosomes"), settings.rows("genes"))
    return make_product({**patient, **given}, k, genome, settings)


def test_half_the_dose_holds_the_first_clones_of_the_full_dose(patient, settings_for):
    """Common random numbers: in one patient, less is a part of more, down to every insertion site."""
    settings = settings_for("product")
    full = product_of(patient, settings)
    half = product_of(patient, settings, cd34_per_kg=patient["cd34_per_kg"] / 2)
    for table in ("clones", "sites"):
        rows = half[table].num_rows
        assert 0 < rows < full[table].num_rows
        assert half[table].equals(full[table].slice(0, rows))


def test_another_patient_has_another_product(patient, settings_for):
    settings = settings_for("product")
    one, other = (product_of(patient, settings, patient_seed=seed)["sites"] for seed in (7, 8))
    assert not one.slice(0, 50).equals(other.slice(0, 50))


def test_stem_cells_are_poisson_with_mean_dose_times_weight_times_frequency(patient, settings_for):
    """D W f = 42 without spread between patients; fails if it were 8 % off, or the variance 70 %."""
    settings = settings_for("product", {"product.lt_hsc_log10_sd": 0, "product.lt_hsc_per_cd34": 6e-5})
    stem_cells = np.array(
        [
            product_of(patient, settings, patient_seed=seed, cd34_per_kg=1e4)["products"]["lt_hsc"][0].as_py()
            for seed in range(600)
        ]
    )
    assert abs(z_of_mean(stem_cells, 42)) < LIMIT
    assert abs(z_of_mean(stem_cells, 42 * 1.08)) > LIMIT
    assert abs(z_of_variance(stem_cells, 42)) < LIMIT
    assert abs(z_of_variance(stem_cells, 42 * 1.7)) > LIMIT


def test_stem_cell_frequency_is_lognormal_between_patients_and_never_above_one():
    """Median 6e-5, log10 sd 0.4; fails if the sd were 15 % off."""
    logs = np.log10([draw_lt_hsc_frequency(seed, 6e-5, 0.4) for seed in range(2000)])
    assert abs(z_of_mean(logs, np.log10(6e-5))) < LIMIT
    assert abs(z_of_variance(logs, 0.4**2)) < LIMIT
    assert abs(z_of_variance(logs, (1.15 * 0.4) ** 2)) > LIMIT
    assert max(draw_lt_hsc_frequency(seed, 0.9, 1.0) for seed in range(20)) == 1


def test_tables_of_a_product_fit_together(patient, settings_for):
    """Copies are the sites of a clone, numbered from 0; corrected stem cells are the clones."""
    product = {
        name: table.to_pandas() for name, table in product_of(patient, settings_for("product")).items()
    }
    row, clones, sites = product["products"].iloc[0], product["clones"], product["sites"]
    assert row["cd34_cells"] == patient["cd34_per_kg"] * patient["weight_kg"]
    assert row["lt_hsc_corrected"] == len(clones) <= row["lt_hsc"]
    assert (clones["clone"] == np.arange(len(clones))).all()
    assert (sites.groupby("clone").size() == clones["copies"]).all()
    assert (sites.groupby("clone")["site"].max() == clones["copies"] - 1).all()
    assert row["copies_per_transduced"] == pytest.approx(row["mean_copies"] / row["transduced_fraction"])


def test_stem_cells_carry_fewer_copies_than_the_product(patient, settings_for):
    """m_LT = ratio times m of the product, at the same dispersion; fails if it were 5 % off."""
    changes = {"product.mean_copies_ln_sd": 0, "product.lt_hsc_log10_sd": 0, "product.lt_copies_ratio": 0.6}
    product = product_of(patient, settings_for("product", changes))
    stem_cells = product["products"]["lt_hsc"][0].as_py()
    copies = np.zeros(stem_cells)
    copies[: product["clones"].num_rows] = product["clones"]["copies"].to_numpy()
    mean = 0.6 * product["products"]["mean_copies"][0].as_py()
    assert abs(z_of_mean(copies, mean)) < LIMIT
    assert abs(z_of_mean(copies, 1.05 * mean)) > LIMIT


def test_a_product_without_stem_cells_is_valid(patient, settings_for):
    product = product_of(patient, settings_for("product"), cd34_per_kg=1e-3)
    assert product["products"]["lt_hsc"].to_pylist() == [0]
    assert product["clones"].num_rows == product["sites"].num_rows == 0


def test_streams_of_different_quantities_are_unrelated():
    """Copies and sites of a patient do not share numbers: correlation 0 within 4.5 / sqrt(n)."""
    one, other = (stream(7, name).standard_normal(CELLS) for name in ("product.copies", "product.sites"))
    assert abs(np.corrcoef(one, other)[0, 1]) < LIMIT / np.sqrt(CELLS)
