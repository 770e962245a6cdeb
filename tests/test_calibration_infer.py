"""The posterior from a table of simulations: against exact posteriors, and what it refuses to learn from."""

import numpy as np
import pandas as pd
import pytest
from calibration_toys import (
    DIVISION,
    GAUSSIAN,
    births_posterior,
    births_table,
    gaussian,
    gaussian_posterior,
    gaussian_table,
)

from hsc_pipeline.calibration import draws
from hsc_pipeline.calibration.cleaning import clean, continuous
from hsc_pipeline.calibration.exact import founders_posterior, grid_quantile
from hsc_pipeline.calibration.infer import fit, one_thread, refer, spread_over
from hsc_pipeline.calibration.learners import NormalScores
from hsc_pipeline.calibration.priors import Prior, at_scores, sample, scores
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.coalescence import FOUNDERS as GRID
from hsc_pipeline.tracking.coalescence import MARROWS, log_likelihood


@pytest.fixture(scope="module")
def linear():
    theta, stats = gaussian_table(1500, 1)
    with one_thread():
        return refer(theta, stats, GAUSSIAN, 1)


@pytest.fixture(scope="module")
def fitted():
    theta, stats = gaussian_table(1500, 1)
    observed = gaussian(pd.DataFrame({"a": [2.0], "b": [-0.5]}), 3)
    return fit(theta, stats, observed.iloc[0].to_dict(), GAUSSIAN, 1), observed


# Known posteriors -------------------------------------------------------------------------------


def test_a_linear_toy_has_its_exact_posterior(linear):
    """200 patients; root mean squared error of the means 0.1 sd, sds within 1 %, correlation within 0.02.

    The limits are about twice what is found.  Would fail if the local regression were left out (means off
    by 0.6 sd, sds 20 % too wide), or if each parameter were drawn by itself (correlation 0, not -0.77).
    """
    theta = sample(GAUSSIAN, 200, 9)
    stats = gaussian(theta, 10)
    means, covariance = gaussian_posterior(stats)
    sds = np.sqrt(np.diag(covariance))
    rho = covariance[0, 1] / sds.prod()
    summaries = linear.summarise(stats)
    rng = np.random.default_rng(2)
    off, ratio, correlation = [], [], []
    for row in range(len(theta)):
        z, weights = linear.posterior(summaries[:, row])
        drawn = at_scores(z[spread_over(weights, 1000, rng)], GAUSSIAN)[["a", "b"]].to_numpy()
        off.append((drawn.mean(axis=0) - means[row]) / sds)
        ratio.append(drawn.std(axis=0) / sds)
        correlation.append(np.corrcoef(drawn.T)[0, 1])
    assert rho < -0.6
    assert np.sqrt(np.mean(np.square(off), axis=0)).max() < 0.2
    assert np.mean(off, axis=0) == pytest.approx([0, 0], abs=0.06)
    assert np.mean(ratio, axis=0) == pytest.approx([1, 1], abs=0.05)
    assert np.std(ratio, axis=0).max() < 0.1
    assert np.mean(correlation) == pytest.approx(rho, abs=0.05)


def test_a_fit_is_summed_up_in_the_units_of_its_parameters(fitted):
    found, observed = fitted
    means, covariance = gaussian_posterior(observed)
    sds = np.sqrt(np.diag(covariance))
    rows = found.summary.set_index("parameter")
    assert found.draws.shape == (1000, 3)
    for name, mean, sd in zip(["a", "b"], means[0], sds, strict=True):
        assert rows["median"][name] == pytest.approx(mean, abs=0.4 * sd)
        assert rows["low"][name] == pytest.approx(mean - 1.645 * sd, abs=0.4 * sd)
        assert rows["high"][name] == pytest.approx(mean + 1.645 * sd, abs=0.4 * sd)
    assert rows["prior_median"]["idle"] == pytest.approx(np.sqrt(1000))
    assert rows["prior_low"]["a"] == pytest.approx(1 - 1.645 * 2, abs=0.01)
    assert rows["contraction"]["a"] == pytest.approx(1 - sds[0] / 2, abs=0.05)
    assert rows["r2"]["a"] == pytest.approx(1 - covariance[0, 0] / 4, abs=0.03)
    assert 100 < found.effective < found.used == found.simulations == 1500
    assert found.warnings == ()


def test_what_the_data_cannot_inform_returns_its_prior(fitted, linear):
    """Contraction within 3 of its Monte Carlo errors of 0 (false alarms 0.3 %), for 50 patients on the mean.

    Would fail if simulations were summarised by learners that have seen them: an sd of 0.79.
    """
    rows = fitted[0].summary.set_index("parameter")
    assert abs(rows["contraction"]["idle"]) < 3 * rows["contraction_error"]["idle"]
    assert abs(rows["shift"]["idle"]) < 0.2
    assert rows["contraction"]["a"] > 20 * rows["contraction_error"]["a"]
    summaries = linear.summarise(gaussian(sample(GAUSSIAN, 50, 19), 20))
    sds = [np.sqrt(np.cov(z[:, 2], aweights=w)) for z, w in map(linear.posterior, summaries.swapaxes(0, 1))]
    assert np.mean(sds) == pytest.approx(1, abs=0.04)


def test_the_profile_has_a_valley_only_where_the_data_inform(fitted):
    profile = fitted[0].profile
    depth = profile.groupby("parameter")["distance"].agg(np.ptp)
    assert depth["a"] > 3 * depth["idle"]
    a = profile[profile["parameter"] == "a"].set_index("value")
    assert abs(a["distance"].idxmin() - fitted[0].draws["a"].median()) < 1
    assert profile.groupby("parameter")["ratio"].mean().to_numpy() == pytest.approx([1, 1, 1])
    assert a["ratio"].max() > 2
    assert profile[profile["parameter"] == "idle"]["ratio"].max() < 2


def test_birth_death_totals_give_the_exact_grid_posterior():
    """Quantiles of the division rate as shares of the exact posterior, off by at most 0.06.

    Would fail without local regression, by up to 0.17.  Two totals near the middle, one in a tail.
    """
    theta, stats = births_table(3000, 5)
    with one_thread():
        reference = refer(theta, stats, DIVISION, 1)
        for total in (8, 30, 120):
            exact = births_posterior(total)
            observed = pd.DataFrame({"total": [float(total)], "noise": [0.3]})
            z, weights = reference.posterior(reference.summarise(observed)[:, 0])
            drawn = at_scores(z[spread_over(weights, 4000, np.random.default_rng(1))], DIVISION)["division"]
            running = np.cumsum(exact["probability"])
            for level in (0.05, 0.25, 0.5, 0.75, 0.95):
                share = np.interp(drawn.quantile(level), exact["value"], running)
                assert share == pytest.approx(level, abs=0.06), (total, level)


def test_simulated_coalescences_give_the_exact_posterior_of_founders():
    """Number of engrafted stem cells from 3 coalescences among 420 colonies: 21,619 to 99,334, median 46,341.

    Levels of the exact posterior at the draws' quantiles are off by at most 0.1, three standard errors of
    the 300 simulations with as many coalescences.
    """
    colonies, most = 420, 40
    cell = 2**0.05  # half a step of the grid
    prior = {"founders": Prior("log_uniform", least=GRID[0] / cell, most=GRID[-1] * cell)}
    theta = sample(prior, 6000, 11).round()
    rng = np.random.default_rng(12)
    marrow = rng.choice(MARROWS, len(theta))
    ln = log_likelihood(colonies, np.arange(most), theta["founders"].to_numpy()[:, None], marrow[:, None])
    running = np.cumsum(np.exp(ln), axis=1)
    coalescences = (rng.random(len(theta))[:, None] > running).sum(axis=1)
    stats = pd.DataFrame({"coalescences": coalescences.astype(float)})
    found = fit(theta, stats, {"coalescences": 3.0}, prior, 1)
    exact = founders_posterior(colonies, 3, prior["founders"], np.geomspace(1000, 1e5, 1000))
    shares = np.interp(
        found.draws["founders"].quantile([0.1, 0.5, 0.9]), exact["value"], np.cumsum(exact["probability"])
    )
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=0.1)
    assert grid_quantile(exact, 0.5) == pytest.approx(46341, rel=0.04)


def test_twice_the_data_narrow_the_intervals_by_the_root_of_two():
    """Means of 10 and of 20 observations with sd 1; the ratio of widths is 1.41 within 10 %."""
    prior = {"mean": Prior("normal", median=0, spread=3)}
    theta = sample(prior, 1500, 1)
    widths = {}
    for number in (10, 20):
        rng = np.random.default_rng(number)
        stats = pd.DataFrame(
            {
                "mean": theta["mean"] + rng.standard_normal(len(theta)) / np.sqrt(number),
                "noise": rng.standard_normal(len(theta)),
            }
        )
        found = fit(theta, stats, {"mean": 0.5, "noise": 0.1}, prior, 2).summary.iloc[0]
        widths[number] = found["high"] - found["low"]
        assert widths[number] == pytest.approx(2 * 1.645 / np.sqrt(number), rel=0.1)
    assert widths[10] / widths[20] == pytest.approx(np.sqrt(2), rel=0.1)


# Rounds -----------------------------------------------------------------------------------------


def test_a_second_round_within_narrowed_priors_keeps_and_sharpens_the_posterior(fitted):
    found, observed = fitted
    narrowed = draws.within(GAUSSIAN, draws.box_of(found.draws, GAUSSIAN))
    inner = sample(narrowed, 1500, 21)
    width = narrowed["a"].most - narrowed["a"].least
    assert width < 0.6 * np.ptp(GAUSSIAN["a"].quantile([0.0005, 0.9995]))
    again = fit(inner, gaussian(inner, 22), observed.iloc[0].to_dict(), narrowed, 1, whole=GAUSSIAN)
    means, covariance = gaussian_posterior(observed)
    rows = again.summary.set_index("parameter")
    for i, name in enumerate(["a", "b"]):
        sd = np.sqrt(covariance[i, i])
        assert rows["median"][name] == pytest.approx(means[0, i], abs=0.25 * sd)
        assert rows["high"][name] - rows["low"][name] == pytest.approx(2 * 1.645 * sd, rel=0.15)
    assert rows["contraction"]["a"] == pytest.approx(1 - np.sqrt(covariance[0, 0]) / 2, abs=0.05)
    assert abs(rows["contraction"]["idle"]) < 0.1


# Draws ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_draws_whatever_the_order_of_columns():
    theta, stats = gaussian_table(600, 4)
    observed = stats.iloc[0].to_dict()
    one = fit(theta, stats, observed, GAUSSIAN, 5, draws=300)
    assert one.draws.equals(fit(theta[["idle", "b", "a"]], stats, observed, GAUSSIAN, 5, draws=300).draws)
    assert one.draws["idle"].between(1, 1000).all()


def test_draws_follow_weights_as_evenly_as_can_be():
    rows = spread_over(np.array([0.5, 0.25, 0.25, 0.0]), 1000, np.random.default_rng(1))
    counts = np.bincount(rows, minlength=4)
    assert counts == pytest.approx([500, 250, 250, 0], abs=1)


def test_normal_scores_keep_order_and_put_ties_in_the_middle():
    values = np.array([[0.0], [0.0], [1.0], [50.0]])
    found = NormalScores.of(values)(np.array([[0.0], [1.0], [50.0], [25.5], [-9.0], [1e9]]))[:, 0]
    assert found[0] == pytest.approx(-0.6744897)  # the middle of the lower half
    assert (np.diff(found[:3]) > 0).all()
    assert found[3] == pytest.approx((found[1] + found[2]) / 2)
    assert found[4] == found[0]
    assert found[5] == found[2]


def test_whole_numbers_stand_for_the_draws_that_they_were_rounded_from():
    """Scores of a rounded log-uniform number from 1 to 20 are standard normal again.

    Kolmogorov and Smirnov's test at 1 %; the rounded numbers themselves fail it by far.
    """
    from scipy.stats import kstest

    priors = {"cells": Prior("log_uniform", least=1, most=20)}
    rounded = sample(priors, 2000, 1).round()
    z = scores(continuous(rounded, priors, 3), priors)[:, 0]
    assert kstest(z, "norm").pvalue > 0.01
    assert (np.abs(priors["cells"].at_score(z) - rounded["cells"]) <= 0.5 + 1e-9).all()
    assert kstest(scores(rounded, priors)[:, 0], "norm").pvalue < 1e-9
    assert continuous(sample(priors, 9, 1), priors, 3).equals(sample(priors, 9, 1))


# Before hours are spent ----------------------------------------------------------------------------


@pytest.fixture
def table():
    return gaussian_table(600, 7)


def test_failed_simulations_are_left_out_and_counted(table):
    theta, stats = table
    stats.iloc[:40] = np.nan
    found = clean(theta, stats, GAUSSIAN, stats.iloc[50].to_dict())
    assert (found.failed, found.simulations, len(found.theta)) == (40, 600, 560)
    assert found.warnings == ("40 of 600 simulations failed and say nothing",)
    assert found.theta["a"].to_numpy() == pytest.approx(theta["a"].to_numpy()[40:])


def test_a_statistic_that_is_often_undefined_is_left_out_by_name(table):
    theta, stats = table
    stats.iloc[:100, 1] = np.nan
    stats.iloc[200:203, 2] = np.inf
    found = clean(theta, stats, GAUSSIAN, gaussian(theta.iloc[:1], 1).iloc[0].to_dict())
    assert list(found.stats) == list("uwxyz")
    assert (found.failed, len(found.theta)) == (0, 597)
    assert found.warnings == (
        "statistic 'v' is undefined in 17% of the simulations: left out",
        "3 of 600 simulations lack a statistic that the patient has: left out",
    )


def test_a_constant_statistic_is_left_out_or_refused(table):
    theta, stats = table
    stats["y"] = 4.0
    observed = stats.iloc[0].to_dict()
    found = clean(theta, stats, GAUSSIAN, observed)
    assert found.warnings == ("statistic 'y' is 4 in every simulation and says nothing: left out",)
    assert "y" not in found.stats
    assert "y" not in found.observed
    with pytest.raises(UserError, match="statistic 'y': observed 5, but 4 in every simulation; allowed"):
        clean(theta, stats, GAUSSIAN, {**observed, "y": 5.0})


def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(table):
    theta, stats = table
    observed = stats.iloc[0].to_dict()
    cases = [
        (theta.drop(columns="b"), stats, observed, "parameter 'b': it has a prior, but no column"),
        (theta.assign(idle=5000.5), stats, observed, "parameter 'idle': a simulation is outside its prior"),
        (theta.iloc[:-1], stats, observed, "599 rows of parameters, 600 of statistics"),
        (theta, stats, {"u": 1.0}, "statistic 'v': simulated, but not observed"),
        (theta, stats, {**observed, "w": np.nan}, "statistic 'w': observed nan; allowed: a finite number"),
        (
            theta.iloc[:99],
            stats.iloc[:99],
            observed,
            "99 of 99 simulations can be used and 0 failed; needed: 500",
        ),
        (theta, stats * np.nan, observed, "0 of 600 simulations can be used and 600 failed"),
        (theta, stats * 0, dict.fromkeys(stats, 0.0), "no statistic varies between simulations"),
    ]
    for parameters, statistics, seen, sentence in cases:
        with pytest.raises(UserError, match=sentence):
            fit(parameters, statistics, seen, GAUSSIAN, 1)
