"""Numbers that others have published or computed, which the measures must give to six digits."""

import itertools
import json
import subprocess
import sys
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking import coalescence_posterior, diversity, mrce, population_size
from hsc_pipeline.tracking.captures import Captures, fit
from hsc_pipeline.tracking.coalescence import FOUNDERS, log_likelihood, posterior_quantile
from hsc_pipeline.tracking.indices import INDICES, chao1_interval, diversity_by_sample
from hsc_pipeline.tracking.population import ESTIMATORS, _chao_columns

# Diversity --------------------------------------------------------------------------------------

METRIC_VECTOR = {
    "richness": 5,
    "shannon": 1.3330742935,
    "pielou": 0.8282856289,
    "simpson": 0.675,
    "inverse_simpson": 3.0769230769,
    "gini": 0.4,
    "uc50": 2,
    "uc50_half": 1,
    "top1": 0.5,
    "top10": 1,
}


def test_the_metric_vector_of_the_field():
    found = diversity([1, 2, 3, 4, 10])
    assert tuple(found) == INDICES
    for name, value in METRIC_VECTOR.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert found["shannon"] / np.log(2) == pytest.approx(1.92321967, rel=1e-8)
    assert 1 - found["pielou"] == pytest.approx(0.17171437, rel=1e-7)


def test_chao1_bias_corrected():
    assert diversity([1, 1, 1, 1, 2, 2, 3, 5, 8])["chao1"] == 11


def test_published_pielou_of_a_trial():
    """pFR01 at month 78: 5,700 sites, H 8.435428, Pielou 0.975395."""
    assert 8.435428 / np.log(5700) == pytest.approx(0.975395, abs=1e-6)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.floats(0.1, 1000))
def test_indices_of_shares_do_not_depend_on_the_unit_of_counts(counts, factor):
    one, other = diversity(counts), diversity(np.array(counts) * factor)
    for name in INDICES:
        if name != "chao1":  # counts singletons
            assert other[name] == pytest.approx(one[name], rel=1e-9, abs=1e-12, nan_ok=True), name


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(0, 5))
def test_indices_stay_within_their_bounds(counts, absent):
    found = diversity(counts + [0] * absent)
    assert found == pytest.approx(diversity(sorted(counts)), nan_ok=True)
    if not any(counts):
        assert found["richness"] == found["chao1"] == 0
        assert np.isnan(found["shannon"])
        return
    richness = found["richness"]
    assert richness <= found["chao1"]
    assert 1 <= found["inverse_simpson"] <= richness * (1 + 1e-12)
    assert -1e-12 <= found["shannon"] <= np.log(richness) + 1e-12
    assert found["uc50_half"] <= found["uc50"] <= richness
    assert -1e-12 <= found["gini"] <= 1 - 1 / richness + 1e-12
    assert found["top1"] <= found["top10"] <= 1 + 1e-12


def test_equal_clones_are_as_even_as_can_be():
    found = diversity([7] * 12)
    assert (found["pielou"], found["inverse_simpson"]) == pytest.approx((1, 12))
    assert (found["gini"], found["uc50"], found["uc50_half"]) == pytest.approx((0, 7, 6))


def test_samples_together_are_as_each_by_itself():
    rng = np.random.default_rng(1)
    sample = rng.integers(0, 20, 4000)
    counts = rng.geometric(0.2, 4000)
    together = diversity_by_sample(sample, counts, 22)
    for number in (0, 7, 19, 21):
        alone = diversity(counts[sample == number])
        assert alone == pytest.approx({name: together[name][number] for name in INDICES}, nan_ok=True)


def test_a_negative_count_is_refused():
    with pytest.raises(UserError, match="counts: -1 in place 2"):
        diversity([3, 4, -1])
    with pytest.raises(UserError, match="allowed: finite"):
        chao1_interval([3, np.inf])


# Capture-recapture ------------------------------------------------------------------------------

HISTORIES = {  # myeloid clones of blood at months 6, 12, 18, 24; test data of ISAnalytics, CC BY 4.0
    "0001": 653, "0010": 100, "0011": 497, "0100": 166, "0101": 562, "0110": 73, "0111": 845, "1000": 55,
    "1001": 67, "1010": 13, "1011": 61, "1100": 23, "1101": 93, "1110": 8, "1111": 308,
}  # fmt: skip
ISANALYTICS = [
    ("06,12,18,24", "M0", 3728.42791320413),
    ("06,12,18,24", "Mh_Chao", 3812.05951417004),
    ("06,12,18,24", "Mh_Poisson2", 3791.87510620205),
    ("06,12,18,24", "Mh_Darroch", 3852.04875115893),
    ("06,12,18,24", "Mh_Gamma3.5", 3919.18254958108),
    ("06,12,18,24", "M0_bc", 3728.39194399291),
    ("06,12,18,24", "Mt_bc", 3611.286068073),
    ("06,12,18,24", "Mth_Chao_bc", 3703.79712337948),
    ("12,18,24", "M0", 3624.15261606),
    ("12,18,24", "Mh_Chao", 3738.05821741),
    ("12,18,24", "Mh_Poisson2", 3859.9423445),
    ("12,18,24", "Mh_Darroch", 4037.04032299),
    ("12,18,24", "Mh_Gamma3.5", 4298.38860034),
    ("12,18,24", "M0_bc", 3624.09305005),
    ("12,18,24", "Mt_bc", 3561.16510346),
    ("12,18,24", "Mth_Chao_bc", 3642.4428335),
    ("06,12", "M0_bc", 4231.92277713625),
    ("12,18", "M0_bc", 3213.31381578947),
    ("18,24", "M0_bc", 3639.2570458528),
    ("06,12,18", "Mth_Chao_bc", 3389.66173863073),
]


@pytest.fixture(scope="module")
def myeloid():
    rows = np.array([[letter == "1" for letter in history] for history in HISTORIES])
    return np.repeat(rows, list(HISTORIES.values()), axis=0)


@pytest.mark.parametrize(("months", "estimator", "value"), ISANALYTICS)
def test_estimators_give_the_values_of_rcapture(myeloid, months, estimator, value):
    columns = [("06", "12", "18", "24").index(month) for month in months.split(",")]
    table = population_size(myeloid[:, columns]).set_index("estimator")
    assert table["estimate"][estimator] == pytest.approx(value, rel=1e-6)


def test_the_table_has_every_estimator_with_its_error(myeloid):
    table = population_size(myeloid)
    assert list(table.columns) == ["estimator", "estimate", "standard_error"]
    assert list(table["estimator"]) == [
        "M0", "Mt", "Mh_Chao", "Mh_Poisson2", "Mh_Darroch", "Mh_Gamma3.5", "M0_bc", "Mt_bc", "Mth_Chao_bc",
        "Chapman", "Chao2", "jackknife1", "jackknife2",
    ]  # fmt: skip
    assert np.isfinite(table["standard_error"]).all()
    errors = table.set_index("estimator")["standard_error"]
    assert errors["M0"] == pytest.approx(16.9534089361061, rel=1e-6)


def test_the_error_of_mt_is_darrochs(myeloid):
    """1 / (1/(N-S) + (t-1)/N - sum 1/(N-n_j)), Seber 1982, of a saturated time effect."""
    found = population_size(myeloid, ("Mt",))
    size, caught = found["estimate"][0], myeloid.sum(axis=0)
    variance = 1 / (1 / (size - len(myeloid)) + 3 / size - (1 / (size - caught)).sum())
    assert found["standard_error"][0] == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert np.prod(1 - caught / size) == pytest.approx(1 - len(myeloid) / size, rel=1e-9)


def test_closed_forms_of_two_occasions():
    """n 60 and 50, 20 in both: Chapman 1951, Chao 1987, Burnham & Overton 1978 by hand."""
    seen = np.zeros((90, 2), bool)
    seen[:60, 0] = seen[40:, 1] = True
    table = population_size(seen).set_index("estimator")
    assert table["estimate"]["Chapman"] == pytest.approx(61 * 51 / 21 - 1)
    assert table["standard_error"]["Chapman"] == pytest.approx(np.sqrt(61 * 51 * 40 * 30 / (21**2 * 22)))
    assert table["estimate"]["Mt"] == pytest.approx(60 * 50 / 20)
    assert table["estimate"]["Mt_bc"] == table["estimate"]["Chapman"]
    assert table["estimate"]["Chao2"] == pytest.approx(90 + 0.5 * 70 * 69 / 42)
    assert table["estimate"]["jackknife1"] == pytest.approx(90 + 70 / 2)
    assert table["standard_error"]["jackknife1"] == pytest.approx(np.sqrt(1.5**2 * 70 + 20 - 125))
    assert table["estimate"][["Mh_Darroch", "Mh_Gamma3.5", "Mh_Poisson2", "Mth_Chao_bc"]].isna().all()


def test_the_likelihood_is_that_of_the_table_of_all_histories(myeloid):
    """Elementary symmetric polynomials against Poisson regression on the 2^t - 1 cells."""
    found = fit(Captures.of(myeloid), True, _chao_columns(4))
    cells = np.array(list(itertools.product([0, 1], repeat=4)))[1:]
    number = cells.sum(axis=1)
    counts = np.array([HISTORIES.get("".join(map(str, cell)), 0) for cell in cells])
    design = np.column_stack([np.ones(15), cells, np.maximum(number[:, None] - [2, 3], 0)])
    theta = np.concatenate([[np.log(found.unseen)], np.log(found.odds), found.slopes])
    mean = np.exp(design @ theta)
    assert np.abs(design.T @ (counts - mean)).max() < 1e-5 * counts.sum()
    inverse = np.linalg.inv((design * mean[:, None]).T @ design)
    assert found.variance == pytest.approx(inverse[0, 0], rel=1e-6)


def test_many_occasions_need_no_table_of_histories():
    """24 occasions have 16 million histories."""
    rng = np.random.default_rng(3)
    seen = rng.random((400, 24)) < rng.uniform(0.02, 0.15, 24)
    table = population_size(seen).set_index("estimator")
    for name in ("M0", "Mt", "Mt_bc", "Mth_Chao_bc"):
        assert abs(table["estimate"][name] - 400) < 4.5 * table["standard_error"][name]


def test_clones_never_seen_say_nothing(myeloid):
    longer = np.vstack([myeloid, np.zeros((100, 4), bool)])
    assert population_size(longer).equals(population_size(myeloid))


def test_no_clone_seen_again_bounds_nothing():
    table = population_size(np.eye(3, dtype=bool)[[0, 0, 1, 1, 2]]).set_index("estimator")
    assert np.isinf(table["estimate"][["M0", "Mt", "Mh_Chao"]]).all()
    assert np.isfinite(table["estimate"][["M0_bc", "Chapman", "Chao2", "jackknife1"]]).all()


@pytest.mark.parametrize(
    ("histories", "sentence"),
    [
        (np.ones((5, 1), bool), "two or more"),
        (np.array([[1, 0], [1, 0]]), "occasion 2 saw no clone"),
        (np.array([[1, 0], [3, 1]]), "1 or 0"),
    ],
)
def test_impossible_histories_are_refused_in_a_sentence(histories, sentence):
    with pytest.raises(UserError, match=sentence):
        population_size(histories)


def test_every_estimator_can_be_asked_for_alone(myeloid):
    whole = population_size(myeloid)
    for number, name in enumerate(ESTIMATORS):
        assert population_size(myeloid, (name,)).iloc[0].equals(whole.iloc[number])


# mRCE -------------------------------------------------------------------------------------------


def test_mrce_of_baldows_example():
    counts = [[100, 110, 150, 400], [100, 120, 130, 140], [100, 70, 60, 45], [100, 100, 60, 40]]
    assert mrce(counts) == pytest.approx([11 / 17, 52 / 67, 35 / 39], rel=1e-12)


def test_mrce_of_a_clone_alone_is_one():
    assert mrce([[1, 100], [30, 4], [20, 0]])[0] == 1
    assert mrce([[1, 100], [30, 6], [20, 0]])[0] == 1  # the only one to gain
    assert mrce([[5, 9]])[0] == 1
    assert np.isnan(mrce([[4, 4], [3, 3], [2, 2]])[0])


# Coalescences -----------------------------------------------------------------------------------

POSTERIORS = [  # colonies, coalescences, 2.5 %, median, 97.5 %, mode; Spencer Chapman 2023, exact law
    (420, 3, 21619, 46341, 99334, 46341),
    (292, 0, 24834, 70240, 99334, 99334),
    (143, 1, 5043, 20171, 86475, 18820),
]


@pytest.mark.parametrize(("colonies", "coalescences", "low", "median", "high", "mode"), POSTERIORS)
def test_posterior_of_founders_on_the_grid_of_the_paper(colonies, coalescences, low, median, high, mode):
    posterior = coalescence_posterior(colonies, coalescences)
    assert list(posterior.columns) == ["founders", "probability"]
    assert (len(posterior), posterior["founders"][0], posterior["founders"][66]) == (67, 1024, 99334)
    assert posterior["probability"].sum() == pytest.approx(1)
    found = [posterior_quantile(posterior, level) for level in (0.025, 0.5, 0.975)]
    assert found == [low, median, high]
    assert posterior["founders"][posterior["probability"].idxmax()] == mode


def test_the_law_of_coalescences_is_that_of_all_ways_to_sample():
    """Brute force over Dirichlet-multinomial clone sizes: n 4 founders, N 9 cells, m 3 colonies."""
    n, cells, m = 4, 9, 3
    sizes = [s for s in itertools.product(range(1, cells), repeat=n) if sum(s) == cells]
    expected = np.zeros(m + 1)
    for size in sizes:  # a Yule marrow of N cells has every composition with the same chance
        for founders in itertools.product(range(m + 1), repeat=n):
            if sum(founders) == m:
                ways = np.prod([comb(a, b) for a, b in zip(size, founders, strict=True)])
                expected[np.count_nonzero(founders)] += ways / comb(cells, m) / len(sizes)
    found = np.exp(log_likelihood(m, m - np.arange(1, m + 1), n, cells))
    assert found == pytest.approx(expected[1:], rel=1e-9)
    assert found.sum() == pytest.approx(1)


def test_coalescences_of_an_infinite_marrow():
    """Mean m (m - 1) / (n + m - 1)."""
    m, n = 30, 50
    chance = np.exp(log_likelihood(m, np.arange(m), n, np.inf))
    assert chance.sum() == pytest.approx(1)
    assert (chance * np.arange(m)).sum() == pytest.approx(m * (m - 1) / (n + m - 1))
    assert log_likelihood(m, 3, n, 1e9) == pytest.approx(log_likelihood(m, 3, n, np.inf), abs=1e-5)


def test_impossible_coalescences_are_refused():
    with pytest.raises(UserError, match="coalescences: 5 among 5 colonies"):
        coalescence_posterior(5, 5)
    assert FOUNDERS.dtype.kind == "i"


# Import -----------------------------------------------------------------------------------------


def test_importing_the_measures_imports_nothing_heavy():
    program = (
        "import sys, json, hsc_pipeline.tracking; "
        "print(json.dumps([m for m in ('pandas', 'scipy', 'pyarrow', 'sklearn') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
