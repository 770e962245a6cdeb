"""Dose finding and design search: what is true is found, noise is not, and fresh patients decide."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from trial_cohorts import OVER, outcomes, plan, study, sweep, true_chance

from hsc_pipeline.study_trial import DesignSearch
from hsc_pipeline.trials import design_search, run_trials, surface
from hsc_pipeline.trials import dose as dose_module
from hsc_pipeline.trials.design_search import (
    BEST,
    FOUND,
    NO_SKILL,
    axis_of,
    designs_of_sweep,
    grid_of,
    search,
    smallest,
)
from hsc_pipeline.trials.dose import designs_of_arms, dose_table, first_dose, lack_of_fit
from hsc_pipeline.trials.surface import MODELS, choose, fit, judge
from hsc_pipeline.trials.verify import verify

DOSE, EXPOSURE = "product.cd34_per_kg", "conditioning.busulfan_auc"


def flat(dose, exposure):
    return np.full(len(dose), 0.7)


def designs(**made):
    points, rows = sweep(**made)
    return designs_of_sweep(rows, points, OVER, plan())[0]


def searched(trial=None, **made):
    laid = designs(**made)
    skill, _ = judge(laid, 1)
    return search(laid, skill, plan(**(trial or {})), 0.5, 1)


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Fewer permutations and bootstrap samples show the same laws in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface, "PERMUTATIONS", 39)
        patch.setattr(design_search, "BOOTSTRAPS", 60)
        patch.setattr(dose_module, "BOOTSTRAPS", 60)
        yield


@pytest.fixture(scope="module")
def found(few_resamples):
    return searched(points=80, patients=12)


def test_the_surface_of_the_truth_is_recovered():
    """A thousand points of twenty patients: the logistic surface is within 0.03 of the truth everywhere."""
    laid = designs(points=1000, patients=20)
    cells = grid_of(laid)
    chance = fit("logistic", laid, laid.counts(), 1)(cells)
    assert np.abs(chance - true_chance(*cells.T)).max() < 0.03


@pytest.mark.parametrize("crossed", [False, True])
def test_a_true_effect_of_the_design_beats_one_share_for_all(crossed):
    """Found in 20 of 20 seeds tried, so a miss means that something broke."""
    models, useful = choose(judge(designs(points=40, crossed=crossed), 1)[0])
    assert useful
    assert models[0] == "logistic"
    assert "constant" not in models


@pytest.mark.parametrize("crossed", [False, True])
def test_noise_is_not_searched(crossed):
    """Exact permutation test at 0.05, seed fixed; `test_noise_is_rarely_taken_for_an_effect` counts seeds."""
    grid, chosen = searched(points=40, chance=flat, crossed=crossed)
    assert set(chosen["status"]) == {NO_SKILL}
    assert chosen["value"].isna().all()
    assert not grid["reaches"].any()


@pytest.mark.slow
def test_noise_is_rarely_taken_for_an_effect():
    """60 sweeps of noise, at most 8 may pass: more has a chance of 0.003 at a level of 0.05, 0.87 at 0.2."""
    passed = 0
    for seed in range(60):
        laid = designs(points=25, patients=6, chance=flat, seed=seed, crossed=seed % 2 == 0)
        passed += choose(judge(laid, seed)[0])[1]
    assert passed <= 8


def test_shuffled_designs_have_no_skill():
    points, rows = sweep(points=40)
    order = np.random.default_rng(2).permutation(40)
    shuffled = designs_of_sweep(rows.assign(point=order[rows["point"]]), points, OVER, plan())[0]
    skill, _ = judge(shuffled, 1)
    assert skill["p_design"].iloc[0] > 0.05
    mean = skill.groupby("model")["brier"].mean()
    assert mean["constant"] <= mean.min() + 0.01


def test_skill_is_of_points_that_were_held_out():
    """Every point is held out once by every model; where patients are shared, with a fifth of them."""
    skill, calibrated = judge(designs(points=30, patients=10), 1)
    assert set(skill["model"]) == set(MODELS)
    assert (skill.groupby("model")["patients"].sum() == 300).all()
    assert (calibrated.groupby("model")["rows"].sum() == 300).all()
    crossed = judge(designs(points=30, patients=10, crossed=True), 1)[0]
    assert (crossed.groupby("model")["patients"].sum() == 60).all()


def test_the_chosen_design_reaches_the_target_and_less_of_it_does_not(found):
    grid, chosen = found
    assert set(chosen["status"]) == {FOUND}
    value = chosen.set_index("parameter")["value"]
    # The dose is made small first, so the exposure is large; the truth there is near the target.
    assert value[DOSE] < 5e6
    assert value[EXPOSURE] > 55
    assert true_chance(value[DOSE], value[EXPOSURE]) > 0.85
    smaller = grid[grid[DOSE] < value[DOSE]]
    assert len(smaller) > 0
    assert not smaller["reaches"].any()
    row = chosen.iloc[0]
    assert row["low"] <= row["share"] <= row["high"]
    assert row["confidence"] >= 0.9
    assert 5 <= row["patients"] <= 40


def test_models_that_are_not_told_apart_widen_the_interval(found):
    """Two models take turns: the interval holds both, and the share lies between them."""
    laid = designs(points=80, patients=12)
    skill = judge(laid, 1)[0]
    best = skill[skill["model"] == "logistic"].set_index("point")["brier"]
    level = skill.assign(brier=skill["point"].map(best) + 0.1 * (skill["model"] == "constant"))
    together, chosen = search(laid, level, plan(), 0.5, 1)
    assert set(chosen["models"]) == {"logistic+quadratic+forest"}
    alone = search(laid, level.assign(brier=level["brier"] + (level["model"] != "logistic")), plan(), 0.5, 1)[
        0
    ]
    assert (together["high"] - together["low"]).mean() > 1.1 * (alone["high"] - alone["low"]).mean()


def test_the_order_and_the_cost_decide_what_is_smallest(found):
    grid, _ = found
    names = [DOSE, EXPOSURE]
    by_dose = grid.loc[smallest(grid, names, DesignSearch())]
    by_exposure = grid.loc[smallest(grid, names, DesignSearch(minimise=[EXPOSURE]))]
    dear = grid.loc[smallest(grid, names, DesignSearch(cost={DOSE: 1e-6, EXPOSURE: 1.0}))]
    assert by_exposure[EXPOSURE] == grid.loc[grid["reaches"], EXPOSURE].min() < by_dose[EXPOSURE]
    assert by_exposure[DOSE] > by_dose[DOSE]
    reaching = grid[grid["reaches"]]
    cost = 1e-6 * reaching[DOSE] + reaching[EXPOSURE]
    assert 1e-6 * dear[DOSE] + dear[EXPOSURE] == pytest.approx(cost.min())


def test_a_target_out_of_reach_says_so():
    low = searched({"target": 0.9}, points=60, chance=lambda d, a: 0.7 * true_chance(d, a))
    assert set(low[1]["status"]) == {BEST}
    assert low[1]["value"].notna().all()
    assert not low[0]["reaches"].any()


@pytest.mark.slow
def test_confidence_is_kept():
    """40 sweeps: the chosen design truly reaches the target in at least 0.9 of them.

    At a true 0.9 fewer than 30 of 40 has a chance of 0.004; at 0.5 fewer than 30 has a chance above 0.998.
    """
    kept = 0
    for seed in range(40):
        _, chosen = searched(points=60, seed=seed)
        value = chosen.set_index("parameter")["value"]
        kept += true_chance(value[DOSE], value[EXPOSURE]) >= 0.9 - 1e-9
    assert kept >= 30


def test_axes_stay_within_what_was_tried():
    assert list(axis_of({"values": [3, 1, 2]}, np.array([1.0, 2, 3]), 1)) == [1, 2, 3]
    axis = axis_of({"values": None, "least": 1e6, "most": 1e8, "scale": "log"}, np.array([1.5e6]), 2)
    assert (axis[0], axis[-1]) == pytest.approx((1e6, 1e8))
    assert np.diff(np.log(axis)).std() < 1e-9
    whole = axis_of({"values": None, "least": 1, "most": 4, "scale": "linear"}, np.array([1.0, 4.0]), 2)
    assert list(whole) == [1, 2, 3, 4]


def of_arms(shares, patients=200, seed=0):
    from hsc_pipeline.trials.cohort import cohorts

    rows = outcomes({f"dose_{dose}": share for dose, share in shares.items()}, patients, seed)
    values = {f"dose_{dose}": {DOSE: float(dose), EXPOSURE: 45.0} for dose in shares}
    return list(designs_of_arms(cohorts(rows, plan()), values, True))


DOSES = {dose: 1 / (1 + np.exp(-2 * np.log(dose / 4))) for dose in (2, 4, 8, 16, 32)}
DOSE_AT_TARGET = 12.0  # logit 0.9 = 2 ln(12 / 4)


def least_dose(seed):
    (laid,) = of_arms(DOSES, seed=seed)
    table = dose_table(laid, 0.9, seed)
    return table, table[table["kind"] == "answer"].iloc[0]


def test_a_dose_curve_is_found_among_arms():
    """200 patients a dose: the standard error of the dose is 9 %, so 30 % off has a chance of 0.001."""
    table, answer = least_dose(1)
    assert answer["dose"] == pytest.approx(DOSE_AT_TARGET, rel=0.3)
    assert answer["dose_low"] < answer["dose"] < answer["dose_high"] < 1.5 * answer["dose_low"]
    seen = table[table["kind"] == "observed"].set_index("dose")
    assert list(seen.index) == [2, 4, 8, 16, 32]
    assert ((seen["low"] <= seen["share"]) & (seen["share"] <= seen["high"])).all()
    assert table["lack_of_fit_p"].iloc[0] > 0.001


@pytest.mark.slow
def test_the_interval_of_a_dose_holds_it():
    """60 studies; fewer than 46 intervals that hold has a chance of 0.0005 at 0.9, and of 0.97 at 0.65."""
    held = 0
    for seed in range(60):
        _, answer = least_dose(seed)
        held += answer["dose_low"] <= DOSE_AT_TARGET <= answer["dose_high"]
    assert held >= 46


def test_two_doses_make_no_curve_and_arms_that_differ_in_more_are_not_compared():
    assert of_arms({2: 0.5, 4: 0.7}) == []
    values = {"a": {"x": 1.0, "y": 1.0}, "b": {"x": 2.0, "y": 2.0}, "c": {"x": 3.0, "y": 1.0}}
    assert list(designs_of_arms({}, values, True)) == []


def test_a_bent_dose_response_is_told_by_its_lack_of_fit():
    """Shares that rise and fall: no line on the logit fits 500 patients a dose."""
    (laid,) = of_arms({2: 0.3, 4: 0.9, 8: 0.3}, patients=500)
    assert dose_table(laid, 0.9, 1)["lack_of_fit_p"].iloc[0] < 1e-6
    assert np.isnan(lack_of_fit(lambda v: v[:, 0], (np.ones((2, 1)), np.ones(2), np.ones(2))))


def test_the_first_dose_is_linear_between_doses():
    doses, curve = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.6, 0.9])
    assert first_dose(doses, curve, 0.4) == pytest.approx(1.5)
    assert first_dose(doses, curve, 0.1) == 1
    assert np.isinf(first_dose(doses, curve, 0.95))


def verified(chosen, share, patients=200):
    """Verify with a simulator whose patients reach the endpoint with this share; keeps what it was asked."""
    asked = SimpleNamespace(values=None, patients=None)

    def simulate(settings, arm, values, fresh):
        asked.values, asked.patients = dict(values), list(fresh)
        yes = np.arange(len(fresh)) < round(share * len(fresh))
        return {"outcomes": pa.table({"benefit": yes})}

    return verify(chosen, {"a": {}}, plan(), patients, 1000, simulate), asked


def test_fresh_patients_confirm_or_refute_the_design(found):
    _, chosen = found
    right, asked = verified(chosen, chosen["share"].iloc[0])
    assert right["agrees"].all()
    assert right["verdict"].iloc[0].startswith("as predicted")
    assert asked.patients == list(range(1000, 1200))
    assert asked.values == chosen.set_index("parameter")["value"].to_dict()
    wrong, _ = verified(chosen, 0.5)
    assert not wrong["agrees"].any()
    assert "misses 0.9" in wrong["verdict"].iloc[0]
    sure, _ = verified(chosen.assign(share=0.99, low=0.97, high=1.0), 0.99)
    assert "reaches 0.9" in sure["verdict"].iloc[0]


def test_nothing_chosen_is_nothing_verified(found):
    _, chosen = found
    table, asked = verified(chosen.assign(value=np.nan), 0.5)
    assert table.empty
    assert asked.patients is None


def test_a_sweep_is_answered_whole():
    asked = study({"a": {}, "b": {}}, {"sizes": [10, 20], "replicates": 100}, sweep={"over": OVER})
    points, rows = sweep(points=60)
    answers = run_trials(asked, outcomes({"a": 0.9, "b": 0.4}), (points, rows))
    again = run_trials(asked, outcomes({"a": 0.9, "b": 0.4}), (points, rows))
    for name in ("dose", "search", "chosen", "search_skill", "search_calibration"):
        assert len(answers[name]) > 0
        assert answers[name].to_csv() == again[name].to_csv()
    assert answers["chosen"]["past_share"].iloc[0] < 0.6
    assert isinstance(answers["search"], pd.DataFrame)
    assert {DOSE, EXPOSURE} <= set(answers["search"])
