"""Exact likelihoods: against published grids, brute force and each other."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsc_pipeline.calibration.exact import (
    birth_death_log_likelihood,
    captures_log_likelihood,
    founders_log_likelihood,
    founders_posterior,
    grid_posterior,
    grid_quantile,
    reweight,
)
from hsc_pipeline.calibration.priors import Prior, sample
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.coalescence import FOUNDERS, coalescence_posterior

POSTERIORS = [  # colonies, coalescences, 2.5 %, median, 97.5 %, mode; Spencer Chapman 2023, exact law
    (420, 3, 21619, 46341, 99334, 46341),
    (292, 0, 24834, 70240, 99334, 99334),
    (143, 1, 5043, 20171, 86475, 18820),
]
CELL = 2**0.05  # half a step of the grid of founders


@pytest.mark.parametrize(("colonies", "coalescences", "low", "median", "high", "mode"), POSTERIORS)
def test_founders_land_on_the_grid_of_the_paper(colonies, coalescences, low, median, high, mode):
    posterior = founders_posterior(colonies, coalescences)
    assert [grid_quantile(posterior, level) for level in (0.025, 0.5, 0.975)] == [low, median, high]
    assert posterior["value"][posterior["probability"].idxmax()] == mode
    direct = coalescence_posterior(colonies, coalescences)["probability"].to_numpy()
    assert posterior["probability"].to_numpy() == pytest.approx(direct, rel=1e-9)


def test_a_log_uniform_prior_is_the_flat_grid_of_the_paper():
    flat = Prior("log_uniform", least=FOUNDERS[0] / CELL, most=FOUNDERS[-1] * CELL)
    found = founders_posterior(420, 3, flat)["probability"].to_numpy()
    assert found == pytest.approx(founders_posterior(420, 3)["probability"].to_numpy(), rel=2e-3)


def test_a_prior_shuts_out_what_it_excludes():
    posterior = founders_posterior(143, 1, Prior("log_uniform", least=2000, most=20000))
    possible = posterior["probability"] > 0
    assert posterior["value"][possible].between(1900, 21000).all()
    assert posterior["probability"].sum() == pytest.approx(1)


def test_histories_of_captures_are_those_of_all_ways_to_catch():
    """Brute force: every assignment of 3 clones to histories of 2 occasions."""
    p = np.array([0.3, 0.6])
    histories = list(itertools.product([0, 1], repeat=2))
    chance = {h: np.prod(np.where(h, p, 1 - p)) for h in histories}
    found, brute = {}, {}
    for clones in itertools.product(histories, repeat=3):
        caught = np.sum(clones, axis=0)
        seen = sum(map(any, clones))
        # The labelled clones that were seen are known by their histories alone.
        key = tuple(sorted(h for h in clones if any(h)))
        brute[key] = brute.get(key, 0) + np.prod([chance[h] for h in clones])
        ways = np.prod([1 / np.prod(range(1, key.count(h) + 1)) for h in set(key)]) if key else 1
        if seen:
            ln = captures_log_likelihood(caught, seen, np.array(3.0), p)
            found[key] = float(np.exp(ln) * ways)
    for key, value in found.items():
        assert value == pytest.approx(brute[key], rel=1e-9), key
    assert sum(found.values()) + brute[()] == pytest.approx(1)


def test_unknown_efficiencies_are_integrated_out():
    caught, seen, size = np.array([30, 42]), 55, np.array([55.0, 80.0, 200.0])
    p = (np.arange(400) + 0.5) / 400
    each = np.array(
        [[captures_log_likelihood(caught, seen, size, np.array([a, b])) for a in p[::4]] for b in p[::4]]
    )
    direct = np.log(np.exp(each).mean(axis=(0, 1)))
    assert captures_log_likelihood(caught, seen, size) == pytest.approx(direct, abs=2e-3)


def test_the_most_likely_population_is_petersens():
    """60 and 50 caught, 20 in both: 60 x 50 / 20 = 150 where ln N! is smooth, two less on whole numbers."""
    size = np.arange(90, 400)
    ln = captures_log_likelihood([60, 50], 90, size, np.stack([60 / size, 50 / size], axis=-1))
    assert abs(size[ln.argmax()] - 150) <= 2
    assert np.isneginf(captures_log_likelihood([60, 50], 90, np.array([89.0])))[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.floats(0.05, 2), st.floats(0, 2), st.floats(0.1, 1))
def test_birth_death_totals_solve_the_master_equation(founders, division, loss, years):
    """Against the matrix exponential of the generator, cut at 200 cells."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import expm_multiply

    n = np.arange(201)
    rates = [-(division + loss) * n, division * n[:-1], loss * n[1:]]
    generator = diags(rates, [0, -1, 1]).tocsc()
    start = np.zeros(len(n))
    start[founders] = 1
    direct = expm_multiply(generator * years, start)
    found = [
        float(np.exp(birth_death_log_likelihood(total, founders, division, loss, years)))
        for total in range(12)
    ]
    assert found == pytest.approx(direct[:12], abs=1e-8)


def test_rates_without_loss_and_in_balance_have_their_limits():
    assert np.isneginf(birth_death_log_likelihood(2, 3, 0.5, 0.0, 1.0))
    yule = np.exp(birth_death_log_likelihood(4, 1, 0.5, 0.0, 1.0))
    assert yule == pytest.approx(np.exp(-0.5) * (1 - np.exp(-0.5)) ** 3)
    even, near = (birth_death_log_likelihood(7, 5, 0.8, loss, 2.0) for loss in (0.8, 0.8 + 1e-7))
    assert even == pytest.approx(near, abs=1e-5)
    assert np.exp(birth_death_log_likelihood(0, 5, 0.8, 0.8, 2.0)) == pytest.approx((1.6 / 2.6) ** 5)


def test_reweighting_prior_draws_is_the_direct_posterior():
    """20,000 prior draws against the grid; quantiles off by more than 4 standard errors have chance 1e-4.

    Would fail if the likelihood were used twice, or not at all: the quantiles are 20 errors apart then.
    """
    prior = Prior("log_uniform", least=FOUNDERS[0] / CELL, most=FOUNDERS[-1] * CELL)
    drawn = sample({"founders": prior}, 20_000, 3)
    ln = founders_log_likelihood(420, 3, drawn["founders"].to_numpy())
    again, effective = reweight(drawn, {"coalescences": ln}, seed=4)
    grid = founders_posterior(420, 3)
    assert 3000 < effective < 20_000
    for level in (0.1, 0.5, 0.9):
        error = np.sqrt(level * (1 - level) / effective)
        low, high = (grid_quantile(grid, level + side * 4 * error) for side in (-1, 1))
        assert low / CELL <= again["founders"].quantile(level) <= high * CELL
    assert again.equals(reweight(drawn, {"coalescences": ln}, seed=4)[0])


def test_two_likelihoods_weigh_as_their_product():
    """Normal toy: prior N(0, 1), data 1.0 (sd 0.5) and 0.2 (sd 0.7), 50,000 even draws: exact to 0.01."""
    drawn = sample({"x": Prior("normal", median=0, spread=1)}, 50_000, 1)
    x = drawn["x"].to_numpy()
    data = {"one": -((1.0 - x) ** 2) / (2 * 0.5**2), "other": -((0.2 - x) ** 2) / (2 * 0.7**2)}
    again, _ = reweight(drawn, data, seed=2)
    precision = 1 + 1 / 0.5**2 + 1 / 0.7**2
    assert again["x"].mean() == pytest.approx((1.0 / 0.5**2 + 0.2 / 0.7**2) / precision, abs=0.01)
    assert again["x"].std() == pytest.approx(precision**-0.5, abs=0.01)


def test_what_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="coalescences: 5 among 5 colonies"):
        founders_posterior(5, 5)
    with pytest.raises(UserError, match="no value from 1 to 3 is compatible"):
        grid_posterior(np.full(3, -np.inf), np.array([1, 2, 3]))
    with pytest.raises(UserError, match="captures: 120 clones seen in all, 60, 50 by occasion"):
        captures_log_likelihood([60, 50], 120, np.array([200.0]))
    with pytest.raises(UserError, match="birth-death totals: -1 cells from 3"):
        birth_death_log_likelihood(-1, 3, 1.0, 1.0, 1.0)
    far = sample({"x": Prior("normal", median=0, spread=1)}, 2000, 1)
    with pytest.raises(UserError, match=r"likelihood of trees: leaves 1 of 2000 draws; needed: 50"):
        reweight(far, {"trees": -((far["x"].to_numpy() - 40) ** 2) * 10}, seed=1)
    with pytest.raises(UserError, match="leaves 0 of 2000"):
        reweight(far, {"trees": np.full(2000, -np.inf)}, seed=1)
    assert isinstance(far, pd.DataFrame)
