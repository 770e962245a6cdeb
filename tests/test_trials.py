"""Trials: tests hold their level, power equals the closed form, finite cohorts say what they leave open."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize
from statsmodels.stats.proportion import test_proportions_2indep as two_proportions
from trial_cohorts import cohort, outcomes, plan, study

from hsc_pipeline.trials import run_trials
from hsc_pipeline.trials.analyses import significant, significant_against_share
from hsc_pipeline.trials.cohort import Cohort, catalogue_draws, point_variance, share_draws
from hsc_pipeline.trials.power import (
    binomial,
    interval,
    normal_size,
    power,
    sizes_of_draws,
    smallest_size,
)
from hsc_pipeline.trials.virtual import _draw, simulate_trials

SHARES = np.linspace(0.01, 0.99, 99)
EXACT = ("fisher", "boschloo", "barnard")
ASYMPTOTIC = ("chi_square", "score")


def level(analysis, n, m, sides=2):
    """Type I error at every common share, without Monte-Carlo error."""
    sets = significant(analysis, n, m, 0.05, sides)
    return ((binomial(n, SHARES) @ sets) * binomial(m, SHARES)).sum(axis=1)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("analysis", EXACT)
def test_exact_tests_never_exceed_their_level(analysis, sides):
    """No randomness: the whole law is summed.  1e-4 for scipy's grid of the nuisance share."""
    for n, m in ((6, 6), (15, 15), (20, 12)):
        assert level(analysis, n, m, sides).max() <= 0.05 + 1e-4


@pytest.mark.parametrize("analysis", ASYMPTOTIC)
def test_asymptotic_tests_hold_their_level_where_counts_are_large(analysis):
    """Exact sums; at 200 patients an arm and shares of 0.2 to 0.8 the level is within 0.01 of 0.05."""
    middle = (SHARES >= 0.2) & (SHARES <= 0.8)
    assert np.abs(level(analysis, 200, 200)[middle] - 0.05).max() < 0.01


@pytest.mark.parametrize(
    ("analysis", "library"),
    [
        ("fisher", lambda x, n, y, m, way: stats.fisher_exact([[x, n - x], [y, m - y]], way)),
        ("boschloo", lambda x, n, y, m, way: stats.boschloo_exact([[x, y], [n - x, m - y]], way)),
    ],
)
def test_sets_of_results_are_those_of_the_library(analysis, library):
    ways = {1: "greater", 2: "two-sided"}
    n, m = 8, 6
    for sides, way in ways.items():
        sets = significant(analysis, n, m, 0.05, sides)
        for x in range(n + 1):
            for y in range(m + 1):
                assert sets[x, y] == (library(x, n, y, m, way).pvalue <= 0.05), (x, y, sides)


def test_the_score_test_is_that_of_miettinen_and_nurminen():
    n, m = 30, 25
    sets = significant("score", n, m, 0.05, 2)
    for x, y in ((20, 10), (15, 12), (29, 18), (10, 14), (5, 17)):
        assert sets[x, y] == (two_proportions(x, n, y, m, method="score").pvalue <= 0.05)


def test_the_chi_square_test_is_that_of_scipy():
    n, m = 30, 25
    sets = significant("chi_square", n, m, 0.05, 2)
    for x, y in ((20, 10), (15, 12), (29, 18), (10, 14), (5, 17)):
        table = [[x, n - x], [y, m - y]]
        assert sets[x, y] == (stats.chi2_contingency(table, correction=False).pvalue <= 0.05)


def test_one_arm_differs_from_the_past_where_its_exact_interval_leaves_it_out():
    n, past = 24, 0.6
    sets = significant_against_share(n, past, 0.05, 2)
    for x in range(n + 1):
        found = stats.binomtest(x, n).proportion_ci(0.95, "exact")
        assert sets[x] == (past <= found.low or past >= found.high)


@pytest.mark.parametrize("analysis", ["fisher", "chi_square", "score"])
def test_null_studies_reject_at_the_level_through_the_same_path(analysis):
    """4,000 virtual trials, both arms of the same law, patients lost and all.

    An exact test may fail by chance with probability below 1e-4 (four standard errors above 0.05), the others
    below 2e-4; would fail if the level were 0.07, with power above 0.99.
    """
    same = cohort(0.6)
    trials = simulate_trials(same, same, 60, plan(0.05, analysis=analysis), 4000, np.random.default_rng(1))
    error = np.sqrt(0.05 * 0.95 / 4000)
    assert trials.rejected.mean() < 0.05 + 4 * error
    if analysis != "fisher":
        assert trials.rejected.mean() > 0.05 - 4 * error - 0.005


def test_null_studies_of_times_reject_at_the_level():
    """1,000 trials by the log-rank test; false alarm below 1e-3; finds a level of 0.09 with power 0.9."""
    rng = np.random.default_rng(2)
    months = rng.choice([3.0, 6.0, 12.0, np.inf], 400)
    same = cohort(0.5, 400, months=months)
    asked = plan(0.05, endpoint="t_protection_month")
    rejected = simulate_trials(same, same, 40, asked, 1000, rng).rejected
    assert 0.025 < rejected.mean() < 0.075


def test_an_earlier_endpoint_is_found_by_the_log_rank_test():
    """The same share reaches it, at months 3 and 12: only a test over time sees that; power is near 1."""
    early = cohort(0.8, 500, months=np.where(np.arange(500) < 400, 3.0, np.inf))
    late = cohort(0.8, 500, months=np.where(np.arange(500) < 400, 12.0, np.inf))
    over_time = plan(endpoint="t_protection_month")
    yes_or_no = plan(endpoint="t_protection_month", analysis="fisher")
    rng = np.random.default_rng(3)
    assert simulate_trials(early, late, 40, over_time, 200, rng).rejected.mean() > 0.9
    assert simulate_trials(early, late, 40, yes_or_no, 200, rng).rejected.mean() < 0.1


def test_simulated_power_equals_exact_power():
    """Eight sizes and laws, 4,000 trials each; all within four standard errors but for 5e-4 by chance.

    Would fail with power above 0.99 if power were off by 0.05.
    """
    rng = np.random.default_rng(4)
    for analysis in ("fisher", "chi_square"):
        for loss, missing in ((0.0, "failure"), (0.1, "failure")):
            asked = plan(loss, analysis=analysis, missing=missing, allocation=1.5)
            for n in (20, 60):
                arm, control = cohort(0.8), cohort(0.5)
                seen = simulate_trials(arm, control, n, asked, 4000, rng).rejected.mean()
                exact = power(asked, n, 0.8, 0.5)[0]
                assert abs(seen - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000), (analysis, loss, n)


@pytest.mark.parametrize(("arm", "control"), [(0.7, 0.5), (0.45, 0.6)])
def test_power_equals_the_closed_form_on_a_known_effect(arm, control):
    """Exact power of the chi-square test at 150 patients an arm is within 0.02 of statsmodels' normal one."""
    exact = power(plan(analysis="chi_square"), 150, arm, control)[0]
    effect = proportion_effectsize(arm, control)
    assert exact == pytest.approx(NormalIndPower().power(effect, 150, 0.05), abs=0.02)


def test_one_arm_against_the_past_has_the_binomial_power():
    asked = plan(historical={"share": 0.5}, sides=1, control="")
    least = next(x for x in range(31) if stats.binom.sf(x - 1, 30, 0.5) <= 0.05)
    assert power(asked, 30, 0.75, None)[0] == pytest.approx(stats.binom.sf(least - 1, 30, 0.75))


@pytest.mark.parametrize("share", [0, 5e-324, 1e-308, 3e-308, 1e-300])
def test_a_share_next_to_none_is_none(share):
    assert binomial(8, share)[0].tolist() == pytest.approx([1] + 8 * [0])


def test_the_smallest_size_has_the_power_and_one_less_has_not_all_of_it():
    asked = plan()
    n, found = smallest_size(asked, 0.85, 0.5)
    assert found >= 0.8
    assert all(power(asked, size, 0.85, 0.5)[0] >= 0.8 for size in range(n, n + 9))
    assert any(power(asked, size, 0.85, 0.5)[0] < 0.8 for size in range(n - 1, n + 8))
    assert n == pytest.approx(normal_size(plan(), 0.85, 0.5), rel=0.25)


def test_a_tiny_difference_has_no_feasible_size():
    n, found = smallest_size(plan(), 0.86, 0.85)
    assert n is None
    assert found < 0.1
    assert normal_size(plan(), 0.86, 0.85) > 10_000
    assert np.isinf(normal_size(plan(), 0.85, 0.85))


def test_sizes_of_draws_agree_with_the_smallest_size():
    """The interpolated size is within a tenth of the exact search, or both are too large."""
    asked, pairs = plan(), np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.52, 0.5]])
    found = sizes_of_draws(asked, *pairs.T)
    for size, (arm, control) in zip(found, pairs, strict=True):
        exact = smallest_size(asked, arm, control)[0]
        assert (np.isinf(size) and exact is None) or size == pytest.approx(exact, rel=0.1, abs=2)


def test_lost_patients_cost_power_and_excluding_them_costs_less():
    base = power(plan(0.0), 60, 0.9, 0.6)[0]
    failure = power(plan(0.1), 60, 0.9, 0.6)[0]
    excluded = power(plan(0.1, missing="excluded"), 60, 0.9, 0.6)[0]
    assert failure < excluded < base


def test_patients_without_follow_up_are_not_evaluated():
    """An analysis a month after the last infusion leaves out whom the landmark has not reached."""
    asked = plan(follow_up_months=1, enrolment_per_month=1)
    found = simulate_trials(cohort(0.9), cohort(0.5), 40, asked, 50, np.random.default_rng(5))
    assert 0.5 < found.evaluable.mean() < 0.9
    whole = simulate_trials(cohort(0.9), cohort(0.5), 40, plan(), 50, np.random.default_rng(5))
    assert whole.evaluable.min() == 1


def test_arms_enrol_beside_each_other():
    """Half of the patients come too late to be read; were they one arm's, nothing could be significant."""
    asked = plan(follow_up_months=4, enrolment_per_month=1)
    found = simulate_trials(cohort(1.0), cohort(0.0), 20, asked, 100, np.random.default_rng(12))
    assert found.evaluable.mean() == pytest.approx(0.5, abs=0.1)
    assert found.rejected.mean() > 0.9


def test_a_trial_lasts_as_long_as_enrolment_and_follow_up():
    """Mean of 200 trials of 80 patients at 2 a month: 40 months and 24; five standard errors either way."""
    found = simulate_trials(cohort(0.5), cohort(0.5), 40, plan(), 200, np.random.default_rng(6))
    assert found.months.mean() == pytest.approx(64, abs=5 * np.sqrt(80) / 2 / np.sqrt(200))


def test_draws_of_shares_have_jeffreys_law_and_keep_pairs_together():
    """40,000 draws; moments within five standard errors."""
    yes = np.arange(40) < 30
    arm = Cohort("arm", np.arange(40), yes, yes * 0.0, yes * 0.0)
    rng = np.random.default_rng(7)
    both = share_draws(arm, arm, 40_000, rng, same_patients=True)
    law = stats.beta(30.5, 10.5)
    assert both.mean(axis=0) == pytest.approx([law.mean()] * 2, abs=5 * law.std() / 200)
    assert both.std(axis=0) == pytest.approx([law.std()] * 2, rel=0.03)
    assert np.corrcoef(both.T)[0, 1] > 0.9
    apart = share_draws(arm, arm, 40_000, rng, same_patients=False)
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.03


def test_the_share_of_a_finite_cohort_lies_in_its_draws():
    """400 cohorts of 60: the 90 % interval of the draws holds the truth in 0.90, within 0.06 (4 errors)."""
    rng, held = np.random.default_rng(8), 0
    for _ in range(400):
        yes = rng.random(60) < 0.8
        arm = Cohort("arm", np.arange(60), yes, yes * 0.0, yes * 0.0)
        low, high = np.quantile(share_draws(arm, arm, 400, rng, same_patients=True)[:, 0], [0.05, 0.95])
        held += low <= 0.8 <= high
    assert held / 400 == pytest.approx(0.9, abs=0.06)


def crossed_draws(spread, rng, points=300, patients=8):
    """Patients who are good or bad everywhere, at points that are good or bad for all."""
    patient, point = rng.normal(0, 1, (1, patients)), rng.normal(0, spread, (points, 1))
    own = rng.normal(0, 1, (points, patients))
    return [(shift + patient + point + own > 0).astype(float) for shift in (1.2, 0.6)]


def test_patients_noise_is_no_variance_of_the_catalogue():
    """Points that do not differ have a component near zero, not the 0.02 that eight patients make."""
    rng = np.random.default_rng(9)
    assert point_variance(crossed_draws(0.0, rng)[0]) < 0.004
    assert point_variance(crossed_draws(1.5, rng)[0]) > 0.03


def test_draws_over_the_catalogue_keep_points_paired():
    """Shares of arms go up and down together over the catalogue, and their mean is that of the points."""
    rng = np.random.default_rng(10)
    arm, control = crossed_draws(1.5, rng)
    x, y = catalogue_draws(arm, control, 4000, rng)
    assert x.mean() == pytest.approx(arm.mean(), abs=0.02)
    assert y.mean() == pytest.approx(control.mean(), abs=0.02)
    assert np.corrcoef(x, y)[0, 1] > 0.5
    assert x.std() == pytest.approx(np.sqrt(point_variance(arm)), rel=0.25)


def test_uncertain_cohorts_are_drawn_as_the_bayesian_bootstrap_does():
    """20,000 samples of 30 from 20 patients: mean and variance of successes are those of a Polya urn.

    Beta-binomial with 15 and 5 patients: variance 30 x 3/16 x 50/21; within five standard errors (6 %).
    """
    rng, arm = np.random.default_rng(11), cohort(0.75, 20)
    yes = _draw(arm, 30, 20_000, rng, uncertain=True)[0].sum(axis=1)
    law = stats.betabinom(30, 15, 5)
    assert yes.mean() == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(20_000))
    assert yes.var() == pytest.approx(law.var(), rel=0.06)
    plain = _draw(arm, 30, 20_000, rng, uncertain=False)[0].sum(axis=1)
    assert plain.var() == pytest.approx(30 * 3 / 16, rel=0.06)


def test_the_monte_carlo_interval_is_that_of_clopper_and_pearson():
    found = stats.binomtest(7, 50).proportion_ci(0.9, "exact")
    assert interval(7, 50) == pytest.approx((found.low, found.high))
    assert interval(0, 50)[0] == 0
    assert interval(50, 50)[1] == 1


@pytest.fixture(scope="module")
def answered():
    arms = {"good": 0.9, "fair": 0.87, "poor": 0.3}
    asked = study({arm: {} for arm in arms}, {"sizes": [10, 20, 40], "replicates": 300})
    return run_trials(asked, outcomes(arms)), asked


def test_every_table_says_what_its_interval_spans(answered):
    for name, table in answered[0].items():
        if "low" in table and name != "search_calibration":
            assert "spans" in table, name
            assert table["spans"].astype(str).str.len().gt(0).all(), name


def test_power_rises_with_size_and_tiny_differences_stay_without(answered):
    powers, sizes = answered[0]["power"], answered[0]["sample_size"]
    poor = powers[powers["arm"] == "poor"]
    assert poor["exact_power"].is_monotonic_increasing
    assert ((poor["low"] <= poor["power"]) & (poor["power"] <= poor["high"])).all()
    compared = sizes[sizes["design"] == "arms beside each other"].set_index("arm")
    assert compared.loc["poor", "n_arm"] <= 40
    assert np.isnan(compared.loc["fair", "n_arm"])


def test_the_same_seed_gives_the_same_tables(answered):
    found, asked = answered
    again = run_trials(asked, outcomes({"good": 0.9, "fair": 0.87, "poor": 0.3}))
    for name, table in found.items():
        assert table.to_csv() == again[name].to_csv()


def test_questions_that_do_not_arise_leave_headers(answered):
    for name in ("dose", "search", "chosen", "search_skill", "search_calibration"):
        assert answered[0][name].empty
        assert len(answered[0][name].columns) > 3


def test_one_arm_without_a_past_is_only_measured():
    found = run_trials(study({"a": {}}, {"sizes": [10, 20]}), outcomes({"a": 0.8}))
    assert found["power"].empty
    assert list(found["sample_size"]["design"]) == ["share to within 10 points"]


def test_a_past_replaces_the_control():
    asked = study({"a": {}, "b": {}}, {"historical": {"events": 10, "patients": 20}, "sizes": [10, 20, 30]})
    found = run_trials(asked, outcomes({"a": 0.9, "b": 0.85}))
    assert set(found["power"]["control"]) == {"the past"}
    assert set(found["power"]["arm"]) == {"a", "b"}
    assert (found["power"]["type_one_error"] <= 0.05 + 4 * np.sqrt(0.05 / 2000)).all()
