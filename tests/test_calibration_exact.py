"""Exact likelihoods: against published grids, brute force and each other."""

import itertools

import numpy as np
import pytest
from calibration_toys import birth_death_log_likelihood
from hypothesis import given, settings
from hypothesis import strategies as st

from hsc_pipeline.calibration.exact import (
    capture_history,
    captures_log_likelihood,
    founders_posterior,
    grid_posterior,
    grid_quantile,
    population_posterior,
)
from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.calibration.statistics import Sample
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
    """The oracle of the toys, against the matrix exponential of the generator, cut at 200 cells."""
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


def test_the_posterior_of_a_population_is_near_petersens_and_no_less_than_what_was_seen():
    """300 and 250 caught, 75 in both: 1,000 by Petersen, with a standard error of some 85."""
    one, other = (Sample(12, np.arange(first, first + n), np.ones(n)) for first, n in ((0, 300), (225, 250)))
    caught, seen = capture_history(one, other)
    assert (caught, seen) == ([300, 250], 475)
    found = population_posterior(caught, seen)
    low, median, high = (grid_quantile(found, level) for level in (0.05, 0.5, 0.95))
    assert 475 < low < 900 < median < 1100 < high < 1300
    assert found["value"].iloc[0] >= seen


def test_more_captures_narrow_the_population():
    few, many = (population_posterior([n, n], int(2 * n - n * n / 2000)) for n in (200, 800))
    spans = [grid_quantile(one, 0.95) / grid_quantile(one, 0.05) for one in (few, many)]
    assert spans[1] < 0.7 * spans[0]


def test_what_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="coalescences: 5 among 5 colonies"):
        founders_posterior(5, 5)
    with pytest.raises(UserError, match="no value from 1 to 3 is compatible"):
        grid_posterior(np.full(3, -np.inf), np.array([1, 2, 3]))
    with pytest.raises(UserError, match="captures: 120 clones seen in all, 60, 50 by occasion"):
        captures_log_likelihood([60, 50], 120, np.array([200.0]))
