"""Numbers of clones: estimators where their assumptions hold, where they do not, and corrected."""

import numpy as np
import pytest
from scipy import stats

from hsc_pipeline.dynamics import simulate_patients
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking import coalescence_posterior, population_size
from hsc_pipeline.tracking.captures import Captures
from hsc_pipeline.tracking.coalescence import FOUNDERS, MARROWS, log_likelihood
from hsc_pipeline.tracking.corrected_population import (
    MODELS,
    PoissonLognormal,
    Spread,
    Study,
    catalogue_spread,
    corrected_population,
    fit_spread,
)
from hsc_pipeline.tracking.indices import chao1_interval
from tests.statistics_of import LIMIT, z_of_mean, z_of_share

Z = stats.norm.ppf(0.95)
NOMINAL = 0.90


def covers(table, truth):
    low = table["estimate"] - Z * table["standard_error"]
    high = table["estimate"] + Z * table["standard_error"]
    return ((low <= truth) & (truth <= high)).to_numpy()


def within_family(hits, nominal=NOMINAL, two_sided=True):
    """Least binomial p-value of a family of coverages, times its size; small: one is off."""
    side = "two-sided" if two_sided else "less"
    p = [stats.binomtest(int(h.sum()), len(h), nominal, alternative=side).pvalue for h in np.transpose(hits)]
    return min(p) * len(p)


# Where the assumptions hold ---------------------------------------------------------------------

ALIKE = ("M0", "M0_bc", "Mt", "Mt_bc")
BY_TIME = ("Mt", "Mt_bc", "Chapman")


@pytest.mark.parametrize(
    ("chances", "estimators"), [((0.3, 0.3, 0.3, 0.3), ALIKE), ((0.2, 0.35, 0.4, 0.5), BY_TIME)]
)
def test_intervals_cover_where_clones_are_alike(chances, estimators):
    """2,000 data sets of 1,000 clones; family-wise. Fails if one covered 86 % or 94 % instead of 90 %."""
    rng = np.random.default_rng(20261126)
    hits = [
        covers(population_size(rng.random((1000, len(chances))) < chances, estimators), 1000)
        for _ in range(2000)
    ]
    assert within_family(hits) > 1e-5


def test_chao1_covers_where_clones_are_alike():
    """2,000 samples of 900 fragments of 400 clones; the log-normal interval."""
    rng = np.random.default_rng(20261127)
    hits = []
    for _ in range(2000):
        _, low, high = chao1_interval(rng.poisson(900 / 400, 400))
        hits.append(low <= 400 <= high)
    assert abs(z_of_share(hits, NOMINAL)) < LIMIT


def test_credible_intervals_of_founders_cover_on_average_over_the_prior():
    """Exactly, by summing over all coalescences: at least 90 % for founders drawn from the grid."""
    colonies = 100
    chance = np.exp(log_likelihood(colonies, np.arange(colonies)[:, None, None], FOUNDERS[:, None], MARROWS))
    by_founders = chance.mean(axis=2)  # coalescences x founders, flat over marrows
    covered = np.zeros(len(FOUNDERS))
    for seen in np.flatnonzero(by_founders.sum(axis=1) > 1e-10):
        running = np.cumsum(coalescence_posterior(colonies, int(seen))["probability"].to_numpy())
        low, high = np.searchsorted(running, [0.05, 0.95])
        covered[low : high + 1] += by_founders[seen, low : high + 1]
    assert NOMINAL <= covered.mean() < 0.95


# Where clones differ ----------------------------------------------------------------------------


def test_lincoln_and_petersen_find_two_thousand_of_five_thousand():
    """N (Ep)^2 / E(p^2): 2,000 of 5,000 for Beta(0.5, 4.5), 5,000 where alike; fails if 4 % off."""
    rng = np.random.default_rng(3)
    found = {"unequal": [], "alike": []}
    for _ in range(400):
        unequal = rng.beta(0.5, 4.5, 5000)
        for name, p in (("unequal", unequal), ("alike", np.full(5000, 0.1))):
            seen = rng.random((5000, 2)) < p[:, None]
            found[name].append(population_size(seen, ("Chapman",))["estimate"][0])
    moments = 0.1**2 / (0.5 * 1.5 / (5 * 6))
    # Chapman's own bias: with some 125 seen again, N exp(-n m / N), below a thousandth.
    assert abs(z_of_mean(found["unequal"], 5000 * moments)) < LIMIT
    assert abs(z_of_mean(found["alike"], 5000)) < LIMIT
    for name, truth in (("unequal", 5000 * moments), ("alike", 5000)):
        assert abs(z_of_mean(found[name], truth * 1.04)) > LIMIT


def sampled(rng, clones, sigma, fragments):
    output = np.exp(sigma * rng.standard_normal(clones))
    return rng.poisson(np.outer(output / output.sum(), fragments))


def test_no_estimator_covers_where_clones_differ_and_each_fails_by_the_known_amount():
    """4,000 clones of spread 1.2, four samples: all too low, by what the model says to 2 %."""
    rng = np.random.default_rng(4)
    fragments, sigma, truth = (1500, 1200, 2000, 1500), 1.2, 4000
    tables, caught = [], []
    for _ in range(60):
        seen = sampled(rng, truth, sigma, fragments) > 0
        tables.append(population_size(seen, MODELS))
        caught.append(seen.sum(axis=0))
    study = Study(np.mean(caught, axis=0))
    estimates = np.array([table["estimate"] for table in tables])
    for name, own in zip(MODELS, estimates.T, strict=True):
        said = study.says(name, truth, sigma)
        assert said < 0.9 * truth, name
        assert own.mean() == pytest.approx(said, rel=0.02), name
    assert not any(covers(table, truth).any() for table in tables)


def test_a_study_says_of_a_number_what_its_estimators_find():
    """In the limit of a large study, the estimators of expected captures; half a million clones."""
    rng = np.random.default_rng(5)
    seen = sampled(rng, 500_000, 1.0, (4e5, 2e5, 3e5)) > 0
    study = Study(seen.sum(axis=0))
    for row in population_size(seen[seen.any(axis=1)], MODELS).itertuples():
        assert study.says(row.estimator, 500_000, 1.0) == pytest.approx(row.estimate, rel=0.01)
    captures, _ = study.expected(500_000, 1.0)
    assert captures.by_number == pytest.approx(Captures.of(seen).by_number, rel=0.02)
    assert captures.by_occasion == pytest.approx(seen.sum(axis=0), rel=1e-6)


@pytest.mark.parametrize("least", [1, 2, 3])
def test_a_study_sees_as_many_clones_as_it_did(least):
    caught = np.array([100.0, 900.0, 1900.0])
    chance = Study(caught, least).chances(2000, 1.2)
    captures, _ = Study(caught, least).expected(2000, 1.2)
    assert captures.by_occasion == pytest.approx(caught, rel=1e-6)
    assert np.all(np.diff(chance, axis=1) >= 0)


# Corrected --------------------------------------------------------------------------------------

CHEAP = ("M0_bc", "Chapman", "Chao2", "jackknife1")


def corrected_hits(data_sets, seed, clones=1500, sigma=1.2):
    rng, hits = np.random.default_rng(seed), []
    for number in range(data_sets):
        seen = sampled(rng, clones, sigma, (700, 500, 700)) > 0
        table = corrected_population(seen, Spread(sigma, 0), estimators=CHEAP, draws=30, seed=number)
        hits.append((table["low"] <= clones) & (clones <= table["high"]))
    return np.array(hits)


def test_corrected_numbers_cover_with_a_known_spread():
    """150 data sets; fails if one covered less than 79 %."""
    hits = corrected_hits(150, 6)
    assert within_family(hits, two_sided=False) > 1e-5
    assert hits.mean() < 0.96


@pytest.mark.slow
def test_corrected_numbers_cover_with_a_known_spread_at_length():
    """2,000 data sets; fails if one covered less than 86.5 %."""
    assert within_family(corrected_hits(2000, 7), NOMINAL - 0.01, two_sided=False) > 1e-5


@pytest.mark.slow
def test_corrected_numbers_cover_with_a_spread_fitted_to_fragments():
    """400 data sets; fails if one covered less than 82 %."""
    rng, hits = np.random.default_rng(8), []
    for number in range(400):
        counts = sampled(rng, 3000, 1.2, (1500, 1200, 1500))
        table = corrected_population(counts, estimators=CHEAP, draws=30, seed=number)
        hits.append((table["low"] <= 3000) & (table["high"] >= 3000))
    assert within_family(hits, two_sided=False) > 1e-5


@pytest.mark.slow
def test_corrected_numbers_cover_in_the_full_model():
    """Clones regrown, drifting and read by the engine's own law: 100 patients, spread fitted.

    Truth is the clones alive at the middle visit.  What the correction leaves out, drift between
    visits and sizes that are not log-normal, may cost coverage: fails below 75 %.
    """
    hits, ratios = [], []
    months = np.array([24.0, 36.0, 48.0])
    for block in range(10):
        run = simulate_patients(
            [np.ones(3000, np.int64)] * 10, [np.zeros(3000, np.int64)] * 10, [1.0], [1.0], months / 12,
            np.random.SeedSequence([9, block]), capacity=1e5, regrowth=6.0,
        ).columns  # fmt: skip
        for patient in range(10):
            own = run["patient"] == patient
            cells = np.zeros((3000, 3))
            cells[run["clone"][own], run["visit"][own]] = run["cells"][own]
            rng = np.random.default_rng([9, block, patient])
            weight = cells * np.exp(1.2 * rng.standard_normal((3000, 1)))
            counts = rng.poisson(1500 * weight / weight.sum(axis=0))
            truth = (cells[:, 1] > 0).sum()
            table = corrected_population(counts, estimators=CHEAP, draws=30, seed=patient)
            hits.append((table["low"] <= truth) & (truth <= table["high"]))
            ratios.append(table["clones"] / truth)
    shares = np.mean(hits, axis=0)
    print(dict(zip(CHEAP, shares, strict=True)), np.median(ratios, axis=0))
    assert within_family(hits, 0.75, two_sided=False) > 1e-3
    assert np.abs(np.median(ratios, axis=0) - 1).max() < 0.1


def test_correction_finds_the_number_where_raw_estimates_are_a_third_too_low():
    rng = np.random.default_rng(10)
    table = corrected_population(sampled(rng, 4000, 1.2, (1500, 1200, 2000, 1500)), copies_per_cell=2.0)
    assert list(table["estimator"]) == list(MODELS)
    assert (table["estimate"] < 0.9 * 4000).all()
    assert (table["clones"] / 4000 - 1).abs().max() < 0.15
    assert np.all(table["cells"] == table["clones"] / 2)
    assert table["estimate"].to_numpy() == pytest.approx(table["factor"] * table["clones"])
    assert (table["low"] < table["clones"]).all()


def test_a_wider_spread_means_more_clones():
    rng = np.random.default_rng(11)
    seen = sampled(rng, 2000, 1.2, (900, 900, 900)) > 0
    narrow, wide = (
        corrected_population(seen, Spread(sigma, 0), estimators=("Chao2",), draws=20)["clones"][0]
        for sigma in (1.0, 1.4)
    )
    assert wide > 1.1 * narrow
    known, unsure = (
        corrected_population(seen, Spread(1.2, error), estimators=("Chao2",), draws=60) for error in (0, 0.15)
    )
    assert unsure["high"][0] - unsure["low"][0] > 1.5 * (known["high"][0] - known["low"][0])


def test_spread_of_output_is_fitted_without_bias():
    """Poisson-log-normal by maximum likelihood, 100 samples; fails if the spread were 3 % off."""
    rng = np.random.default_rng(12)
    fits = [fit_spread(sampled(rng, 3000, 1.2, (2000, 2000))) for _ in range(100)]
    sigma = np.array([fit.sigma for fit in fits])
    assert abs(z_of_mean(sigma, 1.2)) < LIMIT
    assert abs(z_of_mean(sigma, 1.2 * 1.03)) > LIMIT
    assert np.mean([fit.error for fit in fits]) == pytest.approx(sigma.std(ddof=1), rel=0.3)


def test_large_counts_follow_the_log_normal_density():
    """Where the Poisson part no longer widens the law, quadrature and density agree."""
    counts = np.rint(np.exp(5 + np.random.default_rng(13).standard_normal(4000))).astype(int)
    law = PoissonLognormal(counts[counts > 0])
    assert (law.mu, law.sigma) == pytest.approx((5, 1), abs=0.06)


def test_the_spread_of_the_catalogue_has_an_error():
    spread = catalogue_spread()
    assert (spread.sigma, spread.error) == pytest.approx((1.2, 0.15))


def test_what_cannot_be_corrected_is_refused_or_left_empty():
    seen = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0, 1]]
    table = corrected_population(seen, Spread(1.2, 0), estimators=("M0", "Chao2"), draws=12)
    assert np.isinf(table["estimate"][0])
    assert np.isnan(table["clones"][0])
    with pytest.raises(UserError, match=r"copies_per_cell: 0\.5"):
        corrected_population(seen, copies_per_cell=0.5)
    with pytest.raises(UserError, match="least: 3"):
        corrected_population(np.full((20, 2), 5), least=3)
