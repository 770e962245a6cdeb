"""Early prediction: nothing of the future is seen, and skill is found where and when there is some."""

import re
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.models import early, early_cases, early_explain, early_learners, early_scores
from hsc_pipeline.models.early import COLUMNS, fit_early
from hsc_pipeline.models.early_cases import TARGETS, goals, horizons, knowledge, make_case
from hsc_pipeline.models.early_learners import MODELS
from hsc_pipeline.models.early_scores import claims, early_enough, gain_p
from hsc_pipeline.models.features import FEATURES
from hsc_pipeline.report.sections.early import early as early_section
from hsc_pipeline.report.sections.early_blocks import with_unit
from hsc_pipeline.visits import VISITS

MONTHS = (1.0, 3.0, 6.0, 12.0, 24.0)
TRUTH = ("benefit", "alarm", "immune_score", "corrected_t_cells", "vcn_neutrophil")
MEASURED = ("lab_vcn_neutrophil", "lab_cd4_t_per_ul", "lab_top_share_neutrophil")


@pytest.fixture(scope="module", autouse=True)
def small():
    """One target, three months of knowledge and a small forest show the same laws in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_cases, "TARGETS", {"benefit": TARGETS["benefit"]})
        patch.setattr(early_cases, "HORIZONS", (0.0, 1.0, 6.0))
        patch.setattr(early_learners, "TREES", 10)
        patch.setattr(early_explain, "SHUFFLES", 2)
        patch.setattr(early_explain, "LEARNING_STEPS", 1)
        patch.setattr(early_scores, "RESAMPLES", 200)
        yield


def cohort(patients=60, arms=("full", "half"), seed=0):
    """Patients under two arms and their visits; everything is noise."""
    rng = np.random.default_rng(seed)
    n = patients * len(arms)
    outcomes = pd.DataFrame(
        {
            "arm": np.repeat(arms, patients),
            "patient": np.tile(np.arange(patients), len(arms)),
            "infused": True,
            "cd34_per_kg": rng.lognormal(16, 0.35, n),
            "busulfan_auc": rng.lognormal(3.8, 0.2, n),
            "mean_copies": rng.lognormal(0.7, 0.25, n),
            "age_years": rng.uniform(1, 16, n),
            "weight_kg": rng.uniform(8, 60, n),
            "null_genotype": rng.random(n) < 0.7,
        }
    )
    visits = outcomes[["arm", "patient"]].merge(pd.DataFrame({"month": MONTHS}), how="cross")
    visits["seen"] = rng.random(len(visits)) < 0.9
    for name in TRUTH[2:]:
        visits[name] = rng.random(len(visits))
    for name in MEASURED:
        visits[name] = rng.lognormal(0, 0.5, len(visits)) / 10
    visits["benefit"], visits["alarm"] = rng.random((2, len(visits))) < 0.5
    visits.loc[~visits["seen"], list(MEASURED)] = np.nan
    return outcomes, visits


def with_benefit(outcomes, visits, follows, seed=5):
    """Benefit, the same at every visit, drawn with log odds of three times a score by row of `outcomes`."""
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-3 * follows))
    benefit = outcomes[["arm", "patient"]].assign(benefit=rng.random(len(outcomes)) < chance)
    return visits.drop(columns="benefit").merge(benefit, on=["arm", "patient"])


def at(outcomes, visits, name, month):
    """One measurement at one visit by row of `outcomes`, standardised, zero where not seen."""
    values = visits[visits["month"] == month].set_index(["arm", "patient"])[name]
    values = np.log(values.reindex(pd.MultiIndex.from_frame(outcomes[["arm", "patient"]])).to_numpy())
    return np.nan_to_num((values - np.nanmean(values)) / np.nanstd(values))


@pytest.fixture(scope="module")
def known_at_six():
    """A cohort whose benefit follows the VCN of neutrophils in month 6, and nothing before."""
    outcomes, visits = cohort()
    return outcomes, with_benefit(outcomes, visits, at(outcomes, visits, "lab_vcn_neutrophil", 6))


@pytest.fixture(scope="module")
def found_at_six(known_at_six):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_explain, "LEARNING_STEPS", 4)
        return fit_early(*known_at_six, seed=1)


def chosen(found):
    skill = found["early_skill"]
    return skill[skill["model"] == "chosen"].set_index("known_month")


def predictions(outcomes, visits, month):
    case = make_case(outcomes, visits, "benefit", 24.0, seed=1)
    return case.hold_out(knowledge(outcomes, visits, month)).predicted


# Nothing of the future, and no truth


@pytest.mark.parametrize("month", [0.0, 1.0, 6.0])
def test_nothing_after_the_month_and_no_truth_changes_a_prediction(known_at_six, month):
    """Whatever a later visit, a truth or an outcome is, but the target itself: no digit moves."""
    outcomes, visits = known_at_six
    rng = np.random.default_rng(9)
    changed = visits.copy()
    later = changed["month"] > month
    for name in MEASURED:
        changed.loc[later, name] = rng.random(later.sum())
    for name in TRUTH[1:]:
        changed[name] = rng.permutation(changed[name])
    changed.loc[changed["month"] != 24, "benefit"] = rng.random((changed["month"] != 24).sum()) < 0.5
    after = outcomes.assign(benefit=True, immune_score=rng.random(len(outcomes)), largest_share=0.5)
    before, again = predictions(outcomes, visits, month), predictions(after, changed, month)
    for name in MODELS:
        np.testing.assert_array_equal(before[name], again[name])


def test_what_the_laboratory_saw_by_the_month_does_change_predictions(known_at_six):
    outcomes, visits = known_at_six
    changed = visits.copy()
    six = changed["month"] == 6
    changed.loc[six, "lab_vcn_neutrophil"] = changed.loc[six, "lab_vcn_neutrophil"].to_numpy()[::-1]
    assert not np.array_equal(
        predictions(*known_at_six, 6.0)["chosen"], predictions(outcomes, changed, 6.0)["chosen"]
    )


@pytest.mark.parametrize("month", [0.0, 1.0, 3.0, 6.0, 12.0])
def test_features_are_infusion_and_reports_up_to_the_month(month):
    """Over every column that visits have: no truth by whatever name, and no later visit."""
    outcomes, visits = cohort(12)
    for name in VISITS.columns:
        if name not in visits:
            visits[name] = 1.0
    names = list(knowledge(outcomes, visits, month))
    reports = [re.fullmatch(r"(lab_\w+)@([\d.]+)", name) for name in names if name not in FEATURES]
    assert names[: len(FEATURES)] == list(FEATURES)
    assert all(report and report[1] in VISITS.columns for report in reports)
    read = {float(report[2]) for report in reports}
    assert read == {visit for visit in MONTHS if visit <= month}
    assert len(reports) == len(read) * sum(name.startswith("lab_") for name in VISITS.columns)


def test_what_nobody_saw_is_not_known():
    outcomes, visits = cohort(12)
    visits["lab_vcn_neutrophil"] = 1.0
    known = knowledge(outcomes, visits, 3.0)["lab_vcn_neutrophil@3"]
    seen = visits[visits["month"] == 3].set_index(["arm", "patient"])["seen"]
    assert (
        known.notna().to_numpy() == seen.reindex(pd.MultiIndex.from_frame(outcomes[["arm", "patient"]]))
    ).all()
    assert not seen.all()


def test_nobody_stands_on_both_sides_of_a_split():
    """Neither a patient under other arms, nor in a sweep of the same patients a design point."""
    outcomes, visits = cohort(40)
    outcomes = pd.concat([outcomes.assign(point=point) for point in range(8)], ignore_index=True)
    visits = pd.concat([visits.assign(point=point) for point in range(8)], ignore_index=True)
    case = make_case(outcomes, visits, "benefit", 24.0, seed=1)
    assert len(case.groups) == 2
    assert len(case.folds) == 5
    for training, held in case.folds:
        for group in case.groups:
            assert not set(group[training]) & set(group[held])


# Skill where there is some


def test_a_signal_of_month_6_is_found_at_month_6_and_not_before(found_at_six):
    """Earlier months are claimed in at most one seed of twenty; month 6 was in each of 14 others."""
    skill = chosen(found_at_six)
    assert list(skill["beats_constant"]) == [False, False, True]
    assert list(skill["beats_infusion"]) == [False, False, True]
    assert skill.loc[6, "skill_low"] > 0.1
    assert skill.loc[6, "auc"] > 0.8
    assert (skill.loc[[0, 1], "skill"] < 0.1).all()


def test_month_6_is_early_enough_and_nothing_earlier(found_at_six):
    enough = found_at_six["early_enough"].set_index("known_month")
    assert list(enough["earliest"]) == list(enough["sure"]) == [False, False, True]
    assert enough["earliest_share"].sum() == pytest.approx(1)
    assert enough.loc[6, "within_share"] == 1


def test_importance_falls_on_what_was_measured_and_dependence_rises_with_it(found_at_six):
    importance = found_at_six["early_importance"]
    assert (importance["known_month"] == 6).all()
    assert importance["feature"].iloc[0] == "lab_vcn_neutrophil"
    assert importance["visits"].iloc[0] == 3
    assert (importance["skill_loss"].iloc[1:] < importance["skill_loss"].iloc[0] / 2).all()
    course = found_at_six["early_dependence"]
    course = course[course["feature"] == "lab_vcn_neutrophil"].sort_values("quantile")
    assert (course["value"].diff().dropna() > 0).all()
    assert course["predicted"].iloc[-1] - course["predicted"].iloc[0] > 0.5


def test_more_patients_teach_more(found_at_six):
    learning = found_at_six["early_learning"]
    learning = learning[learning["model"] == "linear"].sort_values("training_patients")
    assert list(learning["training_patients"]) == [12, 24, 48]
    assert learning["skill"].iloc[-1] > learning["skill"].iloc[0]


def test_events_are_acted_upon_where_benefit_stays_away(found_at_six, known_at_six):
    decision = found_at_six["early_decision"]
    _, visits = known_at_six
    lacking = 1 - visits.loc[visits["month"] == 24, "benefit"].mean()
    odds = decision["threshold"] / (1 - decision["threshold"])
    assert decision["act_on_all"].to_numpy() == pytest.approx((lacking - (1 - lacking) * odds).to_numpy())
    six = decision[(decision["known_month"] == 6) & (decision["threshold"].round(2) == 0.5)]
    assert (six["gain_low"] > 0).all()


def test_shuffled_benefit_kills_the_score(known_at_six):
    """The same answers handed to other patients; a claim comes in at most one seed of ten."""
    outcomes, visits = known_at_six
    answers = visits[visits["month"] == 24].set_index(["arm", "patient"])["benefit"]
    answers[:] = np.random.default_rng(3).permutation(answers)
    shuffled = visits.drop(columns="benefit").merge(answers.reset_index(), on=["arm", "patient"])
    skill = chosen(fit_early(outcomes, shuffled, seed=1))
    assert (skill["skill"] < 0.1).all()
    assert not skill[["beats_constant", "beats_infusion"]].any(axis=None)


def test_amounts_are_foreseen_as_events_are(monkeypatch):
    monkeypatch.setattr(early_cases, "TARGETS", {"immune_score": TARGETS["immune_score"]})
    outcomes, visits = cohort()
    score = outcomes[["arm", "patient"]].assign(immune_score=at(outcomes, visits, "lab_cd4_t_per_ul", 1))
    visits = visits.drop(columns="immune_score").merge(score, on=["arm", "patient"])
    found = fit_early(outcomes, visits, seed=1)
    skill = chosen(found)
    assert list(skill["beats_constant"]) == [False, True, True]
    assert skill["auc"].isna().all()
    assert found["early_decision"].empty
    assert list(found["early_enough"]["earliest"]) == [False, True, False]


def test_alarms_heard_already_are_told_from_those_to_come(monkeypatch):
    """Half of the alarms of month 24 rang by month 6; whoever had one is known, the others are not."""
    monkeypatch.setattr(early_cases, "TARGETS", {"alarm": TARGETS["alarm"]})
    outcomes, visits = cohort(80)
    rng = np.random.default_rng(2)
    early_ones, late_ones = rng.random((2, len(outcomes))) < 0.25
    place = pd.MultiIndex.from_frame(outcomes[["arm", "patient"]]).get_indexer(
        pd.MultiIndex.from_frame(visits[["arm", "patient"]])
    )
    rang = early_ones[place]
    visits["alarm"] = np.where(visits["month"] >= 12, rang | late_ones[place], rang & (visits["month"] >= 6))
    visits.loc[rang & (visits["month"] == 6) & visits["seen"], "lab_top_share_neutrophil"] = 5.0
    skill = chosen(fit_early(outcomes, visits, seed=1))
    assert list(skill["already_share"]) == [0, 0, pytest.approx(0.25 / 0.4375, abs=0.15)]
    assert skill.loc[6, "auc"] > 0.65
    assert skill.loc[6, "auc_not_yet"] < 0.65
    seen = visits[(visits["month"] == 24) & visits["seen"]]
    assert (skill["rows"] == len(seen)).all()


# Verdicts


def test_claims_of_gains_are_as_rare_as_they_say():
    """Gains of no mean, shared by a patient's rows: p values are uniform.

    Of 4,000 the share below 5 % has a standard error of 0.35 %: beyond 1.4 % in one seed of
    1e4.  Tests by row claim in 15 %.
    """
    rng, patients = np.random.default_rng(4), np.repeat(np.arange(40), 3)
    p = []
    for _ in range(4000):
        gain = np.repeat(rng.standard_normal(40), 3) + 0.5 * rng.standard_normal(120)
        p.append(gain_p(gain, np.zeros(120), patients))
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.014)


def test_models_that_foresee_the_same_gain_nothing():
    assert gain_p(np.ones(30), np.ones(30), np.arange(30)) == 1


def test_earlier_months_are_claimed_only_after_later_ones():
    """Two events and one amount; month 1 of the first event is small by itself, after a large month 6."""
    rows = [
        ("benefit", 1, 0.001, True),
        ("benefit", 6, 0.04, True),
        ("alarm", 1, 0.02, True),
        ("alarm", 6, 0.01, True),
        ("score", 1, np.nan, False),
        ("score", 6, 0.04, False),
    ]
    asked = pd.DataFrame(rows, columns=["target", "known_month", "p", "events"]).assign(goal_month=24)
    found = claims(asked, "p")
    assert list(found["p"]) == pytest.approx([0.08, 0.08, 0.04, 0.02, np.nan, 0.04], nan_ok=True)
    assert list(found["claimed"]) == [False, False, True, True, False, True]


@pytest.mark.slow
def test_noise_is_rarely_claimed(monkeypatch):
    """Whole studies of noise, from features to verdicts: at most one in twenty claims a month.

    Seven or more of 40 come by chance in 0.3 % at a rate of 5 %; overfitting makes the rate smaller.
    """
    monkeypatch.setattr(early_learners, "TREES", 4)
    claimed = 0
    for seed in range(40):
        skill = chosen(fit_early(*cohort(30, ("one",), seed), seed))
        claimed += skill["beats_constant"].any()
    assert claimed < 7


def test_the_earliest_month_within_the_margin_is_named():
    """Skills of 0.1, 0.58, 0.6: the second is close enough, and in every resample."""
    constant = np.ones(200)
    losses = {0.0: 0.9 * constant, 1.0: 0.42 * constant, 6.0: 0.4 * constant}
    enough = early_enough(losses, constant, np.arange(200), seed=1)
    assert list(enough["earliest"]) == list(enough["sure"]) == [False, True, False]
    assert list(enough["behind"]) == pytest.approx([0.5, 0.02, 0])
    assert list(enough["earliest_share"]) == [0, 1, 0]


def test_months_that_patients_disagree_upon_are_not_sure():
    """Two months, each right in other patients: either may be the best."""
    rng = np.random.default_rng(6)
    losses = {month: rng.random(40) for month in (0.0, 1.0)}
    enough = early_enough(losses, np.ones(40), np.arange(40), seed=1)
    assert enough["within_share"].between(0.2, 1).all()
    assert enough.loc[0, "behind_high"] > enough.loc[0, "behind_low"] == 0


# What is asked, of whom


def test_targets_with_too_few_patients_are_skipped_with_a_reason():
    outcomes, visits = cohort(30)
    visits["benefit"] = visits["patient"] < 9
    found = fit_early(outcomes, visits, seed=1)
    assert found["early_skill"].empty
    assert list(found["early_skipped"]["reason"]) == [
        "patients with: 9, without: 21; at least 10 of each are needed"
    ]
    assert {name: list(frame) for name, frame in found.items()} == COLUMNS


def test_months_without_a_visit_bring_no_knowledge():
    assert horizons([6, 12, 24]) == [0, 6]
    assert horizons([24, 60]) == [0]
    assert horizons(MONTHS) == [0, 1, 6]


def test_targets_are_asked_of_the_last_visits_until_24_and_60():
    assert goals([1, 6, 18]) == [("benefit", 18)]
    assert goals([1, 24, 48, 72]) == [("benefit", 24), ("benefit", 48)]
    assert goals([72]) == []


def test_knowledge_of_the_month_asked_for_foresees_nothing():
    """With visits up to month 6, month 6 is the question and no answer."""
    outcomes, visits = cohort(30)
    found = fit_early(outcomes, visits[visits["month"] <= 6], seed=1)
    assert sorted(set(found["early_skill"]["known_month"])) == [0, 1]


def test_a_patient_who_never_came_is_foreseen_all_the_same(known_at_six):
    outcomes, visits = known_at_six
    gone = visits["patient"] == 0
    visits = visits.assign(seen=visits["seen"] & ~gone)
    assert np.isfinite(predictions(outcomes, visits, 6.0)["chosen"]).all()


def test_training_is_thinned_by_whole_patients(monkeypatch):
    monkeypatch.setattr(early_learners, "MOST_TRAINING_ROWS", 40)
    outcomes, visits = cohort(60)
    case = make_case(outcomes, visits, "benefit", 24.0, seed=1)
    assert case.hold_out(knowledge(outcomes, visits, 0.0)).training_patients == 20


def test_of_very_many_patients_a_part_is_taken_with_all_its_arms(monkeypatch):
    monkeypatch.setattr(early, "MOST_ROWS", 50)
    outcomes, visits = cohort(60)
    rows = chosen(fit_early(outcomes, visits, seed=1))
    assert (rows["rows"] == 50).all()
    assert (rows["patients"] == 25).all()


def test_the_visits_of_those_met_suffice(monkeypatch):
    monkeypatch.setattr(early, "MOST_ROWS", 50)
    outcomes, visits = cohort(60)
    met = early.chosen(outcomes, seed=1)
    assert 0 < met["patient"].nunique() < 60
    pd.testing.assert_frame_equal(early.chosen(met, seed=1), met)
    own = visits[visits["patient"].isin(met["patient"])]
    pd.testing.assert_frame_equal(knowledge(met, own, 12.0), knowledge(met, visits, 12.0))


def test_the_same_seed_gives_the_same_tables_whatever_the_order_of_rows():
    outcomes, visits = cohort(24)
    one = fit_early(outcomes, visits, seed=1)
    again = fit_early(outcomes.sample(frac=1, random_state=1), visits.sample(frac=1, random_state=2), seed=1)
    for name in one:
        pd.testing.assert_frame_equal(one[name], again[name])
    assert not one["early_skill"].equals(fit_early(outcomes, visits, seed=2)["early_skill"])


# What the report says


def said(found):
    return early_section(SimpleNamespace(answers=defaultdict(pd.DataFrame, found)))


def test_the_report_answers_from_when_on_one_can_know(found_at_six):
    section = said(found_at_six)
    assert section.lead[0].startswith("Benefit at month 24 is told better than by its rate from month 6 on")
    assert "Month 6, the last that was asked, is better still" in section.lead[0]
    assert any(sentence.startswith("Acting on those") for sentence in section.lead)
    assert "VCN of neutrophils" in section.lead[-1]
    figures = [block for block in section.blocks if block.kind == "figure"]
    assert len(figures) == 6
    for figure in figures:
        assert figure.chart.to_dict()["usermeta"]["width"] > 0


def test_the_report_says_where_nothing_can_be_known():
    found = fit_early(*cohort(24), seed=1)
    assert not chosen(found)[["beats_constant", "beats_infusion"]].any(axis=None)
    section = said(found)
    assert "is not shown to be told better than by its rate alone" in section.lead[0]
    assert "not foreseen" in next(block for block in section.blocks if block.kind == "table").rows[0]


def test_the_report_says_why_nothing_was_learnt():
    outcomes, visits = cohort(12)
    blocks = said(fit_early(outcomes, visits.assign(benefit=True), seed=1)).blocks
    assert [block.text for block in blocks] == [
        "Not learnt: benefit, month 24: patients with: 12, without: 0; at least 10 of each are needed."
    ]
    assert said({}).blocks[0].text.startswith("Too few patients or visits")


def test_everything_measured_has_a_name_and_a_unit():
    names = [name for name in VISITS.columns if name.startswith("lab_")]
    shown = [with_unit(name) for name in [*names, *FEATURES]]
    assert len(set(shown)) == len(shown)
    assert not any("lab" in name or "_" in name for name in shown)
    assert with_unit("lab_vcn_cd4_t") == "VCN of CD4+ T cells (copies/cell)"
    assert with_unit("busulfan_auc") == "busulfan exposure (mg·h/L)"
