"""Models: skill where there is something to learn, none where there is not, and no leak between patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cohorts import (
    ARMS,
    CLASSIFICATION,
    MONTHS,
    REGRESSION,
    TIME,
    cohort,
    driver,
    shrink,
    shuffled,
    sweep,
    with_outcomes,
)

from hsc_pipeline.models import FEATURES, compare_to_baseline, estimators, fit_surrogates, surrogates
from hsc_pipeline.models.evaluation import (
    BASELINES,
    FALSE_CLAIMS,
    REPEATS,
    claimed,
    errors,
    gains,
    grouped_folds,
)
from hsc_pipeline.models.features import Swept, design_matrix, join_sweep
from hsc_pipeline.models.surrogates import COLUMNS, learn
from hsc_pipeline.models.targets import TARGETS, observed, too_few, visit_grid
from hsc_pipeline.study import load_study

OF_EACH_KIND = (REGRESSION, CLASSIFICATION, TIME)
MODELS = 4
SWEPT = {"product.cd34_per_kg": Swept("cells/kg", True, {"full": 9e6})}


@pytest.fixture(autouse=True)
def few_and_small(monkeypatch):
    """One outcome of each kind and a small forest show the same laws in less time."""
    only(monkeypatch, *OF_EACH_KIND)
    shrink(monkeypatch)


def only(monkeypatch, *targets):
    monkeypatch.setattr(surrogates, "TARGETS", {name: TARGETS[name] for name in targets})


@pytest.fixture(scope="module")
def driven():
    """Outcomes that are linear in the features, of 100 patients, and what was learnt of them."""
    rows = cohort(100)
    rows = with_outcomes(rows, driver(rows))
    with pytest.MonkeyPatch.context() as patch:
        only(patch, *OF_EACH_KIND)
        shrink(patch)
        return rows, learn(rows, 1, MONTHS)


def skill_of(tables, model):
    performance = tables["performance"]
    return performance[performance["model"] == model].groupby("target")["skill"].mean()


# Skill


def test_a_linear_outcome_is_recovered_by_the_linear_model(driven):
    """The value is exactly linear; chances and times have noise of their own and still a skill above 0.2."""
    tables = driven[1].tables
    linear = skill_of(tables, "linear")
    assert linear[REGRESSION] == pytest.approx(1, abs=1e-9)
    assert (linear > 0.2).all()
    assert (skill_of(tables, "constant") <= 0.01).all()
    compared = compare_to_baseline(tables["performance"], tables["repeats"]).set_index("target")
    assert compared["foreseen"].all()
    assert not compared["surrogate_beats_baselines"].any()
    assert (compared["kept"] != "surrogate").all()


def test_what_was_linear_is_foreseen_in_untouched_patients(driven):
    tested = driven[1].tables["test_set"]
    kept = tested[tested["kept"]].set_index("target")
    assert kept.loc[REGRESSION, "skill"] == pytest.approx(1, abs=1e-9)
    assert kept.loc[CLASSIFICATION, "auc"] > 0.8
    assert kept.loc[TIME, "concordance"] > 0.7


def test_a_bent_outcome_is_where_the_surrogate_beats_every_baseline(monkeypatch):
    """The comparison can come out the other way: no straight line follows the distance from a median."""
    only(monkeypatch, REGRESSION, CLASSIFICATION)
    rows = cohort(150)
    exposure = np.log(rows["busulfan_auc"])
    distance = ((exposure - exposure.median()) / exposure.std()).abs().to_numpy()
    rows = with_outcomes(rows, 4 * (distance - np.median(distance)))
    found = fit_surrogates(rows, seed=1)
    compared = compare_to_baseline(found["performance"], found["repeats"])
    assert compared["surrogate_beats_baselines"].all()
    assert (compared["kept"] == "surrogate").all()


def test_noise_gives_no_skill_and_is_said_to_give_none():
    """Outcomes of each kind that nothing drives.

    Held-out skill of noise is at most 0 on average, with a standard error of about 0.05; a claim for any
    target is made in about one seed of twenty at the most.
    """
    rows = cohort(60)
    found = fit_surrogates(with_outcomes(rows, np.zeros(len(rows)), noise=1.0), seed=1)
    assert all((skill_of(found, model) < 0.1).all() for model in (*BASELINES, "surrogate"))
    compared = compare_to_baseline(found["performance"], found["repeats"])
    assert not compared["surrogate_beats_baselines"].any()
    assert not compared["foreseen"].any()


def test_shuffled_outcomes_kill_every_score(driven):
    """The same values handed to other rows, for every kind; the whole ones have skill of 0.2 to 1.

    Fails where any skill is above 0.1: two standard errors of its mean.
    """
    found = fit_surrogates(shuffled(driven[0]), seed=1, months=MONTHS)
    for model in (*BASELINES, "surrogate"):
        assert (skill_of(found, model) < 0.1).all()
    tested = found["test_set"]
    assert (tested["skill"] < 0.2).all()
    assert tested["auc"].dropna().between(0.25, 0.75).all()  # 40 rows: a standard error of 0.09
    assert tested["concordance"].dropna().between(0.25, 0.75).all()


def test_a_trait_of_the_person_alone_cannot_be_foreseen(monkeypatch):
    """Outcomes that differ between persons but not arms leak through any split by row, not by patient."""
    only(monkeypatch, REGRESSION)
    rows = cohort()
    trait = np.random.default_rng(4).standard_normal(60) + 5
    found = fit_surrogates(rows.assign(**{REGRESSION: trait[rows["patient"]]}), seed=1)
    assert (skill_of(found, "surrogate") < 0.1).all()


def test_importance_falls_on_what_drives_the_outcome(driven):
    importance = driven[1].tables["importance"]
    assert len(importance) == len(FEATURES) * len(OF_EACH_KIND)
    strongest = importance.loc[importance.groupby("target")["skill_loss"].idxmax(), "feature"]
    assert (strongest == "busulfan_auc").all()
    idle = importance[(importance["feature"] == "weight_kg") & (importance["target"] == REGRESSION)]
    assert (idle["skill_loss"].abs() < 0.1).all()


# Splits


def spied(kind):
    """A kind whose models remember from whom they learnt, and fail if asked about one of them.

    A patient is known by the age, a point by the dose, which is the last feature.
    """

    def whom(x):
        return {("patient", age) for age in x[:, 3]}, {("point", dose) for dose in x[:, 6:].ravel()}

    def foresee(learnt, x):
        patients, points = whom(x)
        assert not learnt[0] & patients
        assert not learnt[1] & points
        return kind.foresee(learnt[2], x)

    return replace(
        kind,
        learn=lambda estimator, x, y: (*whom(x), kind.learn(estimator, x, y)),
        foresee=foresee,
        surrogates=lambda seed: {
            "one": lambda: kind.linear([0, 1, 2]),
            "other": lambda: kind.linear([1]),
        },
    )


@pytest.fixture
def spy(monkeypatch):
    kind_of = surrogates.kind_of
    monkeypatch.setattr(surrogates, "kind_of", lambda *given: spied(kind_of(*given)))


def designs():
    """Arms alone; points with patients of their own; the same patients at every point."""
    arms = with_outcomes(cohort(50), driver(cohort(50)))
    return {
        "arms": (arms, {}),
        "nested": (sweep(12, 6, False), SWEPT),
        "crossed": (sweep(15, 40, True), SWEPT),
    }


@pytest.mark.parametrize("design", ["arms", "nested", "crossed"])
def test_no_patient_and_no_point_stands_on_both_sides_of_a_split(spy, design):
    """In the search, the folds, the last test and the intervals."""
    rows, swept = designs()[design]
    found = learn(rows, 1, MONTHS, swept)
    assert found.tables["skipped"].empty
    performance = found.tables["performance"]
    assert (performance.groupby(["target", "model"])["fold"].nunique() >= 2).all()


@pytest.mark.parametrize("design", ["arms", "nested", "crossed"])
def test_the_spy_sees_a_split_by_row(spy, monkeypatch, design):
    from sklearn.model_selection import KFold

    def by_row(*groups, seed, folds=5, labels=None):
        return KFold(folds, shuffle=True, random_state=seed).split(groups[0])

    for module in (surrogates, estimators):
        monkeypatch.setattr(module, "grouped_folds", by_row)
    rows, swept = designs()[design]
    with pytest.raises(AssertionError):
        learn(rows, 1, MONTHS, swept)


@pytest.mark.parametrize(
    ("patients", "points", "crossed"), [(23, 1, False), (40, 9, False), (12, 8, True), (7, 30, True)]
)
def test_folds_hold_out_whole_patients_and_points(patients, points, crossed):
    """Every row is held out once where blocks are dealt out, and once at most where all is crossed."""
    patient = np.repeat(np.arange(patients), points if crossed else 3)
    point = np.tile(np.arange(points), patients) if crossed else patient % points
    groups = (patient, point) if points > 1 else (patient,)
    times = np.zeros(len(patient), int)
    for train, held_out in grouped_folds(*groups, seed=5):
        assert len(train)
        assert len(held_out)
        for group in groups:
            assert not set(group[train]) & set(group[held_out])
        times[held_out] += 1
    assert (times <= 1).all() if crossed else (times == 1).all()


def test_folds_spread_the_classes():
    """Ten of fifty patients have the class; each fold of ten then holds two, which chance seldom does."""
    patient = np.arange(50)
    rare = patient % 5 == 0
    held = [rare[out].sum() for _, out in grouped_folds(patient, seed=2, labels=rare.astype(int))]
    assert held == [2] * 5


# Tables


def test_every_row_that_is_not_put_aside_is_predicted_once_by_every_model(driven):
    rows, learnt = driven
    predictions = learnt.tables["predictions"]
    aside = learnt.untouched
    assert aside == 20
    assert len(predictions) == (100 - aside) * len(ARMS) * len(OF_EACH_KIND) * MODELS
    assert not predictions.duplicated(["arm", "patient", "target", "model"]).any()
    joined = predictions[predictions["target"] == REGRESSION].merge(rows, on=["arm", "patient"])
    assert (joined["observed"] == joined[REGRESSION]).all()
    happened = predictions[predictions["target"] == TIME].merge(rows, on=["arm", "patient"])
    assert (happened["observed"] == happened[TIME].notna()).all()
    assert predictions.loc[predictions["target"] != REGRESSION, "predicted"].between(0, 1).all()


def test_chances_have_a_calibration_and_values_have_none(driven):
    bins = driven[1].tables["calibration"]
    assert set(bins["target"]) == {CLASSIFICATION, TIME}
    assert (bins["low"] <= bins["observed"]).all()
    assert (bins["observed"] <= bins["high"]).all()
    assert (bins.groupby(["target", "model"])["rows"].sum() == 80 * len(ARMS)).all()
    linear = bins[(bins["target"] == CLASSIFICATION) & (bins["model"] == "linear")]
    assert linear["observed"].is_monotonic_increasing


def test_coverage_is_told_for_every_kept_model(driven):
    intervals = driven[1].tables["intervals"]
    assert set(intervals["target"]) == set(OF_EACH_KIND)
    assert (intervals["patients"] == 20).all()
    assert (intervals["low"] < intervals["coverage"]).all()
    assert (intervals["coverage"] <= intervals["high"] + 1e-12).all()
    assert (intervals["nominal"] == 0.9).all()


def test_the_same_seed_gives_the_same_models(monkeypatch):
    only(monkeypatch, REGRESSION, TIME)
    rows = with_outcomes(cohort(20), driver(cohort(20)))
    one, other, third = (fit_surrogates(rows, seed) for seed in (1, 1, 2))
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name])
    assert not one["performance"].equals(third["performance"])


@pytest.mark.parametrize(("patients", "learnt"), [(9, False), (13, True)])
def test_fewer_than_ten_patients_leave_empty_tables(monkeypatch, patients, learnt):
    only(monkeypatch, REGRESSION)
    found = fit_surrogates(with_outcomes(cohort(patients), driver(cohort(patients))), seed=1)
    assert found["performance"].empty is not learnt
    assert {name: tuple(frame.columns) for name, frame in found.items()} == COLUMNS


def test_what_cannot_be_learnt_is_left_out_with_a_reason(monkeypatch):
    only(monkeypatch, *OF_EACH_KIND, "platelets_per_ul", "graft_failure")
    rows = cohort(30)
    rows = with_outcomes(rows, driver(rows)).assign(
        **{REGRESSION: 3.0, CLASSIFICATION: rows["patient"] < 4, TIME: np.nan, "graft_failure": True}
    )
    found = learn(rows, 1, MONTHS)
    reasons = found.tables["skipped"].set_index("target")["reason"]
    assert reasons[REGRESSION] == "it is the same in every patient"
    assert reasons[CLASSIFICATION].endswith("patients to learn from, 10 are needed")
    assert reasons[TIME] == "an event in 0 patients to learn from, 10 are needed"
    assert reasons["platelets_per_ul"] == "it is not in the table of outcomes"
    assert reasons["graft_failure"] == "absent in 0 patients to learn from, 10 are needed"
    assert found.kept == {}


def test_many_rows_are_sampled(monkeypatch):
    only(monkeypatch, REGRESSION)
    monkeypatch.setattr(surrogates, "MOST_ROWS", 50)
    found = learn(with_outcomes(cohort(100), driver(cohort(100))), 1)
    assert found.kept[REGRESSION]["rows"] == 50
    assert found.tables["test_set"]["rows"].max() == 40


def test_errors_agree_with_their_definitions():
    """Skill is 1 - residual over spread, 0 for the mean itself; rmse has the outcome's unit."""
    values = np.array([1.0, 2, 3, 4])
    assert errors(values, values) == {"skill": 1, "rmse": 0}
    assert errors(values, np.full(4, 2.5)) == {"skill": 0, "rmse": pytest.approx(np.sqrt(1.25))}
    assert errors(values, values[::-1])["skill"] == -3


def test_a_claim_against_the_baselines_is_rarely_false():
    """Gains of noise over folds that share training rows: at most one study in twenty claims anything.

    Fold gains of two targets are drawn with the correlation 1/5 of five-fold splits.  Of 2,000 studies 5 %
    has a standard error of 0.5 %: 7.5 % is z = 5.  Two plain standard errors would claim in 24 %.
    """
    rng, studies = np.random.default_rng(8), 2000
    shared, own = rng.standard_normal((studies, 2, 1)), rng.standard_normal((studies, 2, 5))
    gain = np.sqrt(0.2) * shared + np.sqrt(0.8) * own
    target, fold = np.divmod(np.arange(gain.size), 5)
    rows = pd.DataFrame({"target": target, "fold": fold, "model": "surrogate", "skill": gain.ravel()})
    rows = pd.concat([rows, rows.assign(model="linear", skill=0.0)])
    p = gains(rows, "surrogate", "linear")["p"]
    of_study = p.to_numpy().reshape(studies, 2)
    claims = of_study.min(axis=1) <= FALSE_CLAIMS / 2  # Holm's first step
    assert claims.mean() < 0.075
    some = [*np.flatnonzero(claims)[:5], *np.flatnonzero(~claims)[:5]]
    assert [claimed(pd.Series(of_study[study])).any() for study in some] == [True] * 5 + [False] * 5


def test_what_nothing_drives_is_rarely_called_foreseen():
    """A straight line through noise against its mean, in five folds drawn ten times.

    Of 100 studies of 60 patients at most 5 % claim skill; 12 % would be z = 3.2.  A slope of 1.5 standard
    deviations is found in nearly all of 20.
    """
    rng = np.random.default_rng(9)

    def claims(slope: float, studies: int) -> float:
        p = []
        for study in range(studies):
            x = rng.standard_normal((60, 6))
            y = slope * x[:, 0] + rng.standard_normal(60)
            rows = []
            for repeat in range(REPEATS):
                folds = grouped_folds(np.arange(60), seed=1000 * study + repeat)
                for fold, (train, out) in enumerate(folds):
                    design = np.column_stack([np.ones(len(train)), x[train]])
                    told = np.linalg.lstsq(design, y[train], rcond=None)[0]
                    line = np.column_stack([np.ones(len(out)), x[out]]) @ told
                    for model, foreseen in (
                        ("linear", line),
                        ("constant", np.full(len(out), y[train].mean())),
                    ):
                        skill = errors(y[out], foreseen)["skill"]
                        rows.append(
                            {"target": "y", "model": model, "fold": 5 * repeat + fold, "skill": skill}
                        )
            p.append(gains(pd.DataFrame(rows), "linear", "constant", REPEATS)["p"].iloc[0])
        return np.mean(np.array(p) <= FALSE_CLAIMS)

    assert claims(0.0, 100) < 0.12
    assert claims(1.5, 20) > 0.8


# Features and targets


def test_features_are_what_is_known_at_infusion():
    features = design_matrix(cohort(5))
    assert list(features) == list(FEATURES)
    assert features["log_cd34_per_kg"].to_numpy() == pytest.approx(np.log10(cohort(5)["cd34_per_kg"]))
    assert not set(features) & set(TARGETS)


def test_swept_values_are_features_and_arms_take_their_own():
    content = {
        **{"kind": "study", "schema_version": 1, "name": "tried", "seed": 1, "disease": "was"},
        "patients": 3,
        "visits_months": [6, 24],
        "arms": [{"name": "full"}, {"name": "half", "set": {"product.cd34_per_kg": 4.5e6}}],
        "sweep": {
            "design": "grid",
            "over": {
                "product.cd34_per_kg": {"least": 1e6, "most": 1e7, "scale": "log", "levels": 2},
                "conditioning.busulfan_auc": {"values": [30, 60]},
            },
        },
    }
    swept = {name: Swept(**value) for name, value in load_study(content).swept_values().items()}
    assert swept["product.cd34_per_kg"].by_arm["half"] == 4.5e6
    assert swept["product.cd34_per_kg"].logarithmic
    arms = cohort(3)
    tried = cohort(2).iloc[:2].assign(patient=[7, 8], point=[0, 1])
    values = {"product.cd34_per_kg": [1e6, 1e7], "conditioning.busulfan_auc": [30.0, 60.0]}
    points = pd.DataFrame(
        [
            {"point": point, "arm": "full", "parameter": name, "value": value}
            for name, both in values.items()
            for point, value in enumerate(both)
        ]
    )
    rows = join_sweep(arms, swept, tried, points)
    assert len(rows) == len(arms) + 2
    assert rows["point"].tolist()[-2:] == ["point 0", "point 1"]
    assert rows.loc[rows["arm"] == "half", "product.cd34_per_kg"].unique().tolist() == [4.5e6]
    features = design_matrix(rows, swept)
    assert features["product.cd34_per_kg"].tolist()[-2:] == pytest.approx([6, 7])
    assert features["conditioning.busulfan_auc"].tolist()[-2:] == [30, 60]


def test_times_fall_into_the_intervals_between_visits():
    """An event between visits belongs to the later one; what is empty or late is censored at the last."""
    target, months = TARGETS["transformation_month"], np.array([3.0, 12, 24])
    seen = observed(target, pd.Series([0.5, 3.0, 3.1, 24.0, 25.0, np.nan]), months)
    assert seen.tolist() == [[0, 1], [0, 1], [1, 1], [2, 1], [2, 0], [2, 0]]


def test_many_visits_are_joined_and_the_last_one_kept():
    grid = visit_grid(np.arange(1.0, 61))
    assert len(grid) == 12
    assert (grid[0], grid[-1]) == (1, 60)
    assert visit_grid(np.array([0.0, 6, 6, 1])).tolist() == [1, 6]


def test_patients_are_counted_not_rows():
    """Five patients under four arms are five."""
    y, patients = np.tile([1, 0, 0, 0], 20), np.repeat(np.arange(20), 4)
    assert too_few("classification", y, patients) == ""
    assert too_few("classification", y[:20], patients[:20]).startswith("seen in 5 patients")
