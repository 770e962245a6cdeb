"""Copies per cell against the negative binomial, real colonies, and the protein that copies make."""

import os
from math import exp, inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hsc_pipeline.product.vector import (
    copies_law,
    dispersion,
    draw_copies,
    function_of,
    no_copy_probability,
    solve_dispersion,
)
from hsc_pipeline.settings import Settings
from tests.statistics_of import LEAST_P, LIMIT, p_of_counts, z_of_mean, z_of_share, z_of_variance

CELLS = 100_000
COPIES = [(0.4, 0.78), (1.5, 1.0), (2.5, 3.6), (2.0, inf)]  # mean, dispersion
SHARED = Path(os.environ.get("HSC_PIPELINE_SHARED", Path(__file__).parents[2] / "shared"))
COLONIES = SHARED / "data/scd_gt_spencerchapman2023/colony_vcn_counts.csv"
FEWEST_EXPECTED = 5  # colonies in a cell of the chi-square
FAMILY_P = 0.05  # false alarms of all samples together


def copies_of(mean, k, cells=CELLS, seed=2):
    return draw_copies(np.random.default_rng(seed), mean, k, cells)


@pytest.mark.parametrize(("mean", "k"), COPIES)
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.05, False)])
def test_copies_per_cell_follow_the_negative_binomial(mean, k, wrong, agrees):
    """False alarm 1e-5; fails if the mean were 5 % off, or if a Poisson law stood for k = 1."""
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


def test_the_poisson_law_stays_selectable(settings_for):
    """Then the transduced fraction follows from the mean and no dispersion is solved."""
    solved = dispersion(settings_for("product"))
    assert 0 < solved < inf
    assert dispersion(settings_for("product", {"product.copies_law": "poisson"})) == inf


@given(mean=st.floats(0.05, 10), k=st.one_of(st.floats(0.3, 50), st.just(inf)))
def test_the_law_of_copies_is_a_distribution_with_that_mean_and_share_without(mean, k):
    """The last class holds the tail, so the sum is one whatever the cut."""
    law = copies_law(mean, k, 400)
    assert law.min() >= 0
    assert law.sum() == pytest.approx(1)
    assert law @ np.arange(401) == pytest.approx(mean, rel=1e-3)
    assert law[0] == pytest.approx(no_copy_probability(mean, k))
    assert copies_law(mean, k, 3)[3] == pytest.approx(law[3:].sum())


def expression(per_copy, most):
    return Settings({"expression.per_copy": per_copy, "expression.most": most})


@given(per_copy=st.floats(0.05, 2), most=st.floats(1, 10))
def test_protein_saturates_with_copies(per_copy, most):
    """None without a copy, ``per_copy`` each at first, less and less, never above ``most``."""
    protein = function_of(np.arange(40), expression(per_copy, most))
    gains = np.diff(protein)
    assert protein[0] == 0
    assert (gains >= 0).all()
    assert (np.diff(gains) <= 1e-12).all()
    assert protein.max() <= most * (1 + 1e-12)
    assert function_of(1, expression(per_copy, 1e6)) == pytest.approx(per_copy, rel=1e-4)


@pytest.fixture(scope="module")
def colonies():
    """Copies of each whole-genome colony by patient and sample, from 100 colonies with any copy on."""
    if not COLONIES.exists():
        pytest.skip("SKIPPED: the colony data of Spencer Chapman 2023 is not here: no check on real copies")
    table = pd.read_csv(COLONIES)
    samples = {
        name: np.repeat(group["vcn_by_vis"], group["n_colonies"]).to_numpy()
        for name, group in table.groupby(["patient", "sample_type"])
    }
    return {name: copies for name, copies in samples.items() if len(copies) >= 100 and copies.any()}


def p_of_fit(copies, law, fitted):
    """Chi-square p of a fitted law; copies expected in fewer than five colonies share one class."""
    expected = law.pmf(np.arange(30)) * len(copies)
    expected[-1] = len(copies) - expected[:-1].sum()
    observed = np.bincount(copies, minlength=30)
    tail = np.flatnonzero(expected[::-1].cumsum()[::-1] >= FEWEST_EXPECTED)[-1]
    classes = [np.append(x[:tail], x[tail:].sum()) for x in (observed, expected)]
    return stats.chisquare(*classes, ddof=fitted).pvalue


def test_the_model_fits_the_copies_of_real_colonies_and_the_poisson_does_not(colonies):
    """Spencer Chapman 2023, three patients, four samples; k is solved as the model solves it, from the
    mean and the transduced fraction.  Family-wise false alarm 5 %; the Poisson fails in each, p 1e-3 or less.
    """
    assert len(colonies) == 4
    for name, copies in colonies.items():
        mean = copies.mean()
        k = solve_dispersion(mean, (copies > 0).mean())
        assert 0.4 < k < 2, name
        assert p_of_fit(copies, stats.nbinom(k, k / (k + mean)), fitted=2) > FAMILY_P / len(colonies), name
        assert p_of_fit(copies, stats.poisson(mean), fitted=1) < FAMILY_P / len(colonies), name
