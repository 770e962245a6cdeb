"""Designs of one arm, stopping rules, controls from the past, and harm over time: exact laws."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from trial_cohorts import VISITS, cohort, outcomes, plan, study

from hsc_pipeline.study_trial import Safety
from hsc_pipeline.trials import run_trials
from hsc_pipeline.trials.control import comparisons
from hsc_pipeline.trials.incidence import COMPETING, HARM, cumulative, incidence_table
from hsc_pipeline.trials.power import power
from hsc_pipeline.trials.single_arm import one_stage, two_stage
from hsc_pipeline.trials.stopping import (
    final_set,
    futility_course,
    predictive_probability,
    safety_bounds,
    safety_course,
)
from hsc_pipeline.trials.virtual import simulate_rules

# Simon 1989, tables 1 and 2: p0, p1, level, power, then r1/n1, r/n and expected n.
SIMON = [
    (0.1, 0.3, 0.05, 0.8, "optimal", (1, 10, 5, 29), 15.0),
    (0.1, 0.3, 0.05, 0.8, "minimax", (1, 15, 5, 25), 19.5),
    (0.2, 0.4, 0.05, 0.8, "optimal", (3, 13, 12, 43), 20.6),
    (0.2, 0.4, 0.05, 0.8, "minimax", (4, 18, 10, 33), 22.3),
    (0.3, 0.5, 0.05, 0.9, "optimal", (8, 24, 24, 63), 34.7),
    (0.3, 0.5, 0.05, 0.9, "minimax", (7, 24, 21, 53), 36.6),
]


@pytest.mark.parametrize(("past", "arm", "level", "wanted", "kind", "design", "expected"), SIMON)
def test_two_stage_designs_are_those_of_simon(past, arm, level, wanted, kind, design, expected):
    found = two_stage(past, arm, level, wanted)[kind]
    assert (found.r1, found.n1, found.r, found.n) == design
    assert found.expected == pytest.approx(expected, abs=0.06)
    assert found.type_one <= level
    assert found.power >= wanted


def test_two_stage_characteristics_are_those_of_every_pair_of_results():
    found = two_stage(0.2, 0.5, 0.05, 0.8)["optimal"]
    for share, claimed in ((0.2, found.type_one), (0.5, found.power)):
        first = stats.binom.pmf(range(found.n1 + 1), found.n1, share)
        second = stats.binom.pmf(range(found.n - found.n1 + 1), found.n - found.n1, share)
        total = sum(
            first[a] * second[b]
            for a, b in product(range(len(first)), range(len(second)))
            if a > found.r1 and a + b > found.r
        )
        assert claimed == pytest.approx(total)


def test_one_stage_is_the_first_size_with_the_power():
    n, least = one_stage(0.1, 0.3, 0.05, 0.8, 100)
    assert (n, least) == (25, 6)
    assert stats.binom.sf(least - 1, n, 0.1) <= 0.05 < stats.binom.sf(least - 2, n, 0.1)


def test_an_arm_that_is_no_better_has_no_design():
    assert one_stage(0.5, 0.5, 0.05, 0.8, 100) is None
    assert two_stage(0.5, 0.4, 0.05, 0.8) == {}


def test_futility_is_the_sum_over_every_course_of_a_small_trial():
    """Four patients in two looks against the past: every course is written out."""
    asked = plan(
        historical={"share": 0.3}, sides=1, alpha=0.1, looks=[0.5], futility={"limit": 0.4}, control=""
    )
    share, sets = 0.6, final_set(asked, 4, 0)[:, 0]
    ahead = predictive_probability(sets[:, None], (2, 0), (4, 0))[:, 0]
    stopped = claimed = 0.0
    for course in product([0, 1], repeat=4):
        chance = np.prod([share if hit else 1 - share for hit in course])
        if ahead[sum(course[:2])] < 0.4:
            stopped += chance
        elif sets[sum(course)]:
            claimed += chance
    found = futility_course(asked, 4, share, None)
    assert 0 < stopped < 1
    assert found.stops[0] == pytest.approx(stopped)
    assert found.significant == pytest.approx(claimed)
    assert found.expected == pytest.approx(2 * stopped + 4 * (1 - stopped))


def test_predictive_probability_is_that_of_beta_binomials():
    asked = plan()
    found = predictive_probability(final_set(asked, 10, 8), (5, 4), (10, 8))
    x, y, total = 4, 1, 0.0
    for a, b in product(range(6), range(5)):
        law = stats.betabinom.pmf(a, 5, x + 0.5, 5 - x + 0.5) * stats.betabinom.pmf(
            b, 4, y + 0.5, 4 - y + 0.5
        )
        total += law * final_set(asked, 10, 8)[x + a, y + b]
    assert found[x, y] == pytest.approx(total)


def test_giving_up_never_adds_significance_and_saves_patients_without_difference():
    asked = plan(looks=[0.33, 0.66])
    null, effect = futility_course(asked, 30, 0.6, 0.6), futility_course(asked, 30, 0.9, 0.5)
    assert null.significant <= power(asked, 30, 0.6, 0.6)[0] + 1e-12
    assert effect.significant <= power(asked, 30, 0.9, 0.5)[0] + 1e-12
    assert effect.significant > power(asked, 30, 0.9, 0.5)[0] - 0.05
    assert null.expected < effect.expected <= 60
    assert null.stops.sum() == pytest.approx(1)


@pytest.mark.parametrize("rule", ["posterior", "pocock"])
def test_stops_for_harm_are_those_of_every_course(rule):
    """Nine patients: all 512 courses."""
    bounds = safety_bounds(Safety(rule=rule, limit=0.3, first_patients=3, posterior=0.8), 9)
    by_patient = np.zeros(9)
    for course in product([0, 1], repeat=9):
        upto = np.cumsum(course)
        crossed = np.flatnonzero(upto >= bounds)
        if len(crossed):
            by_patient[crossed[0]] += np.prod([0.4 if hit else 0.6 for hit in course])
    assert by_patient.sum() > 0.1
    assert safety_course(bounds, 0.4) == pytest.approx(by_patient)


def test_the_posterior_rule_stops_at_the_first_number_that_convinces():
    rule = Safety(limit=0.2, posterior=0.95, prior_patients=2, first_patients=5)
    bounds = safety_bounds(rule, 40)
    for n in (5, 17, 40):
        least = bounds[n - 1]
        assert stats.beta.sf(0.2, 0.4 + least, 1.6 + n - least) >= 0.95
        assert stats.beta.sf(0.2, 0.4 + least - 1, 1.6 + n - least + 1) < 0.95
    assert (bounds[:4] > np.arange(1, 5)).all()


def test_the_pocock_type_bound_stops_falsely_as_often_as_wanted_and_no_more():
    rule = Safety(rule="pocock", limit=0.2, false_stops=0.1)
    bounds = safety_bounds(rule, 60)
    assert 0.07 < safety_course(bounds, 0.2).sum() <= 0.1
    assert safety_course(bounds, 0.45).sum() > 0.9
    assert safety_course(bounds, 0.05).sum() < 0.01


def test_rules_that_are_simulated_agree_with_the_exact_ones():
    """4,000 trials; within four standard errors, so 6e-5 by chance; without harm only futility stops."""
    asked, rng = plan(0.05), np.random.default_rng(1)
    arm, control = cohort(0.8), cohort(0.6)
    stopped, rejected, patients = simulate_rules(arm, control, 40, asked, 4000, rng)
    exact = futility_course(asked, 40, 0.8 * asked.known, 0.6 * asked.known)
    for seen, wanted in ((stopped, exact.stops[0]), (rejected, exact.significant)):
        assert abs(seen.mean() - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000)
    assert patients.mean() == pytest.approx(exact.expected, abs=4 * 20 / np.sqrt(4000))


def test_harm_stops_simulated_trials_as_often_as_the_exact_law_says():
    asked = plan(looks=[], safety={"limit": 0.1})
    arm, control = cohort(0.8, harm=0.2), cohort(0.8)
    stopped, _, _ = simulate_rules(arm, control, 30, asked, 4000, np.random.default_rng(2))
    wanted = safety_course(safety_bounds(asked.trial.safety, 30), 0.2).sum()
    assert 0.2 < wanted < 0.9
    assert abs(stopped.mean() - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4000)


def by_method(*arguments):
    return {row["method"]: row for row in comparisons(*arguments)}


def test_a_past_that_is_known_costs_fewest_patients_and_one_that_drifts_deceives():
    found = by_method(plan(), 40, 0.6, 0.85, 40, 0.15)
    known, counted, beside = (
        found[m] for m in ("share taken as known", "past patients counted", "control beside the arm")
    )
    assert known["power"] > counted["power"] == pytest.approx(beside["power"])
    for row in found.values():
        assert row["type_one_error"] <= 0.025
    assert known["type_one_estimated"] > 0.05 > 0.025 >= counted["type_one_estimated"]
    assert known["type_one_drift"] > counted["type_one_drift"] > 0.05
    assert beside["type_one_drift"] <= 0.025


def test_the_error_of_an_estimated_past_is_that_of_simulated_pasts():
    """20,000 pasts and arms of one law; within four standard errors."""
    rng, n, past = np.random.default_rng(3), 25, 0.5
    seen = rng.binomial(30, past, 20_000) / 30
    arms = rng.binomial(n, past, 20_000)
    claims = (stats.binom.sf(arms - 1, n, seen) <= 0.025).mean()
    wanted = by_method(plan(), n, past, 0.8, 30, 0.0)["share taken as known"]["type_one_estimated"]
    assert abs(claims - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 20_000)


def test_competing_events_take_patients_from_each_other():
    """Incidences and survival add up to one; one minus Kaplan and Meier's would be larger."""
    rng = np.random.default_rng(4)
    harm, other, lost = (rng.exponential(mean, 300) for mean in (60, 40, 100))
    first = np.minimum(np.minimum(harm, other), lost)
    status = np.select([first == harm, first == other], [HARM, COMPETING], 0)
    months = np.array([1.0, 12.0, 24.0, 60.0])
    found = {kind: cumulative(first, status, kind, months) for kind in (HARM, COMPETING)}
    survival = SurvfuncRight(first, (status > 0).astype(int))
    free = survival.surv_prob[np.searchsorted(survival.surv_times, months, side="right") - 1]
    total = found[HARM]["incidence"] + found[COMPETING]["incidence"]
    assert total.to_numpy() == pytest.approx(1 - free)
    alone = SurvfuncRight(first, (status == HARM).astype(int))
    naive = 1 - alone.surv_prob[np.searchsorted(alone.surv_times, 60.0, side="right") - 1]
    assert naive > found[HARM]["incidence"].iloc[-1] + 0.1
    truth = (1 / 60) / (1 / 60 + 1 / 40) * (1 - np.exp(-60 * (1 / 60 + 1 / 40)))
    row = found[HARM].iloc[-1]
    assert row["low"] < truth < row["high"]


def test_the_interval_of_an_incidence_holds_the_truth():
    """300 cohorts of 80 with competing events; 90 % intervals hold in 0.90 within 0.07 (four errors)."""
    rng, held = np.random.default_rng(5), 0
    truth = 0.5 * (1 - np.exp(-1))
    for _ in range(300):
        first = rng.exponential(24, 80)
        status = np.where(rng.random(80) < 0.5, HARM, COMPETING)
        row = cumulative(np.minimum(first, 24.5), np.where(first < 24.5, status, 0), HARM, np.array([24.0]))
        held += row["low"].iloc[0] <= truth <= row["high"].iloc[0]
    assert held / 300 == pytest.approx(0.9, abs=0.07)


def test_no_event_leaves_what_cannot_be_excluded():
    row = cumulative(np.full(60, 60.0), np.zeros(60, int), HARM, np.array([24.0])).iloc[0]
    assert (row["incidence"], row["low"]) == (0, 0)
    assert row["high"] == pytest.approx(1 - 0.05 ** (1 / 60))


def test_an_endpoint_that_is_a_time_is_followed_too():
    rows = outcomes({"a": 0.7})
    found = incidence_table(rows, VISITS, "t_protection_month")
    reached = found[found["event"] == "t_protection_month"].set_index("month")["incidence"]
    assert reached[3.0] == 0
    assert reached[24.0] == pytest.approx(rows["t_protection_month"].notna().mean())


def test_the_table_of_rules_has_every_scenario():
    asked = study({"a": {}, "b": {}}, {"sizes": [10, 20], "replicates": 200})
    found = run_trials(asked, outcomes({"a": 0.9, "b": 0.3}))["stopping"]
    assert set(found["rule"]) == {"futility", "both", "safety: graft_failure"}
    futile = found[(found["rule"] == "futility") & (found["scenario"] == "no difference")]
    assert futile["significant"].max() <= 0.05
    safe = found[found["rule"].str.startswith("safety")]
    assert set(safe["arm"]) == {"a", "b"}
    assert len(set(safe["scenario"])) == 4
    assert pd.Series(safe["stopped"]).between(0, 1).all()
