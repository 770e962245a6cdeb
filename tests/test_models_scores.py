"""Scores of times to an event and of chances, and intervals that cover what they promise."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import GroupKFold

from hsc_pipeline.models.conformal import calibrate, covers, interval, strangeness
from hsc_pipeline.models.estimators import kind_of
from hsc_pipeline.models.evaluation import calibration, chance_scores, share_interval
from hsc_pipeline.models.survival import (
    concordance,
    event_free,
    followed,
    integrated_brier,
    kaplan_meier,
    survival_scores,
)

MONTHS = np.array([3.0, 6, 12, 24])
BY_HAND = np.array([[0, 1], [0, 0], [1, 1], [3, 1], [3, 0]])


def drawn(n, seed, effect=1.0):
    """A feature and the interval of the event that it hastens; four of the intervals are followed."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    place = rng.geometric(1 / (1 + np.exp(1.5 - effect * x))) - 1
    return x[:, None], np.stack([np.minimum(place, 3), place <= 3], axis=1).astype(int)


def censored(y, seed):
    """The same patients, of whom many are lost with an interval before their event."""
    lost = np.random.default_rng(seed).geometric(0.25, len(y)) - 1
    leaves = (lost < y[:, 0]) | ((lost == y[:, 0]) & (y[:, 1] == 0))
    return np.stack([np.where(leaves, lost, y[:, 0]), np.where(leaves, 0, y[:, 1])], axis=1)


# Times


def test_kaplan_meier_agrees_with_the_hand():
    """Five at risk, one event; three, one event; two, one event; who leaves with an interval was in it."""
    assert kaplan_meier(BY_HAND, 4) == pytest.approx([4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3 / 2])
    assert kaplan_meier(np.array([[3, 0], [2, 0]]), 4).tolist() == [1, 1, 1, 1]


def test_each_interval_followed_is_a_row():
    features, happened = followed(np.arange(5.0)[:, None], BY_HAND)
    assert features[:, 1].tolist() == [0, 0, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3]
    assert features[:, 0].tolist() == [0, 1, 2, 2, *[3] * 4, *[4] * 4]
    assert happened.tolist() == [1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]


def test_hazards_without_features_are_kaplan_meier():
    """The classifier of intervals alone, without a penalty, is the same curve: two ways to one number."""
    _, y = drawn(400, 1)
    rows, happened = followed(np.zeros((400, 0)), censored(y, 2))
    one_hot = np.eye(4)[rows[:, 0].astype(int)]
    model = LogisticRegression(C=1e8, max_iter=10_000, tol=1e-10).fit(one_hot, happened)

    class OfInterval:
        def predict_proba(self, each):
            return model.predict_proba(np.eye(4)[each[:, -1].astype(int)])

    found = event_free(OfInterval(), np.zeros((1, 0)), 4)[0]
    assert found == pytest.approx(kaplan_meier(censored(y, 2), 4), abs=1e-4)


def test_without_censoring_the_integrated_brier_score_is_the_mean_of_brier_scores():
    x, y = drawn(300, 3)
    curves = np.cumprod(np.full((300, 4), 0.8), axis=1) * (0.9 + 0.05 * np.tanh(x))
    event_by = (y[:, 1:] == 1) & (y[:, :1] <= np.arange(4))
    scores = [brier_score_loss(event_by[:, at], 1 - curves[:, at]) for at in range(4)]
    assert integrated_brier(y, curves, MONTHS) == pytest.approx(np.dot(scores, [3, 3, 6, 12]) / 24)


def test_weights_undo_censoring():
    """One event in eight is lost of 20,000 patients; the weighted score is that of all within 0.005.

    That is four standard errors.  Counting the lost as free of events misses by 0.019.
    """
    x, y = drawn(20_000, 4)
    curves = np.cumprod(np.full((20_000, 4), 0.8), axis=1) * (0.9 + 0.05 * np.tanh(-x))
    some = censored(y, 5)
    assert (some[:, 1] < y[:, 1]).mean() > 0.1
    whole = integrated_brier(y, curves, MONTHS)
    assert integrated_brier(some, curves, MONTHS) == pytest.approx(whole, abs=0.005)
    naive = np.stack([np.where(some[:, 1] == 1, some[:, 0], 3), some[:, 1]], axis=1)
    assert abs(integrated_brier(naive, curves, MONTHS) - whole) > 0.015


def test_concordance_of_one_interval_is_the_area_under_the_curve():
    rng = np.random.default_rng(6)
    happened = rng.random(200) < 0.4
    risk = np.round(rng.random(200) + 0.3 * happened, 1)  # with ties
    y = np.stack([np.where(happened, 0, 1), happened], axis=1).astype(int)
    assert concordance(y, risk) == pytest.approx(roc_auc_score(happened, risk))


def test_concordance_agrees_with_counting_pairs():
    """Known orders of the five: 0 before all, as 1 was followed through; 2 before 3 and 4; 3 before 4."""
    risk = np.array([0.9, 0.1, 0.5, 0.5, 0.7])
    assert concordance(BY_HAND, risk) == pytest.approx((4 + 0.5 + 0 + 0) / 7)
    assert np.isnan(concordance(np.array([[3, 0], [1, 0]]), np.array([0.1, 0.2])))


def test_skill_of_times_is_none_for_kaplan_meier_itself():
    _, y = drawn(200, 7)
    own = np.tile(kaplan_meier(y, 4), (200, 1))
    assert survival_scores(y, own, MONTHS)["skill"] == pytest.approx(0)
    sure = ((y[:, 1:] == 0) | (y[:, :1] > np.arange(4))).astype(float)
    assert survival_scores(y, sure, MONTHS) == pytest.approx(
        {"skill": 1, "integrated_brier": 0, "concordance": concordance(y, 1 - sure[:, -1])}
    )


# Chances


def test_brier_skill_is_r2_of_zeros_and_ones():
    happened, chance = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.6, 0.9])
    found = chance_scores(happened, chance)
    assert found["brier"] == pytest.approx(0.085)
    assert found["skill"] == pytest.approx(1 - 0.085 / 0.25)
    assert found["auc"] == 1
    assert np.isnan(chance_scores(np.zeros(3), np.full(3, 0.2))["auc"])


def test_chances_that_are_right_lie_within_their_calibration_interval():
    """Of twenty bins of right chances nine in ten lie within, fewer than 14 once in 400 runs."""
    rng = np.random.default_rng(8)
    chance = rng.random(4000)
    happened = rng.random(4000) < chance
    bins = calibration(happened, chance, np.arange(4000), bins=20)
    assert ((bins["low"] <= bins["predicted"]) & (bins["predicted"] <= bins["high"])).sum() >= 14
    wrong = calibration(happened, chance**2, np.arange(4000), bins=20)
    assert ((wrong["low"] <= wrong["predicted"]) & (wrong["predicted"] <= wrong["high"])).sum() < 10


def test_the_interval_of_a_share_is_that_of_wilson():
    """10 of 20 at 95 %: (p + z2/2n -+ z sqrt(p q/n + z2/4n2)) / (1 + z2/n) is 0.299 and 0.701."""
    assert share_interval(0.5, 20, 0.95) == pytest.approx((0.299, 0.701), abs=5e-4)


# Intervals


def patients_of(kind, n, rows, rng):
    """Rows of patients: a feature, and an outcome with noise that a patient's rows share, of uneven size."""
    patient = np.repeat(np.arange(n), rows)
    x = rng.standard_normal((n, 1))[patient] + 0.3 * rng.standard_normal((len(patient), 1))
    own = (rng.standard_normal(n) * rng.choice([0.3, 2.0], n))[patient]
    if kind == "regression":
        return patient, x, x[:, 0] + own + 0.2 * rng.standard_normal(len(patient))
    if kind == "classification":
        return patient, x, (2 * x[:, 0] + own + rng.logistic(size=len(patient)) > 0).astype(int)
    place = rng.geometric(1 / (1 + np.exp(1.5 - x[:, 0] - own))) - 1
    return patient, x, np.stack([np.minimum(place, 3), place <= 3], axis=1).astype(int)


def coverage(kind_name, seed, weighted=True):
    """Share of new patients' rows within the interval, after learning from 60 patients in five folds."""
    rng = np.random.default_rng(seed)
    kind = kind_of(kind_name, MONTHS)
    patient, x, y = patients_of(kind_name, 60, rng.choice([1, 6], 60), rng)
    models, fold, score = [], np.empty(len(y), int), np.empty(len(y))
    for number, (train, out) in enumerate(GroupKFold(5).split(x, y, patient)):
        models.append(kind.learn(kind.linear([0]), x[train], y[train]))
        fold[out], score[out] = number, strangeness(kind_name, y[out], kind.foresee(models[-1], x[out]))
    calibrated = calibrate(fold, score, patient if weighted else np.arange(len(patient)))
    _, new_x, new_y = patients_of(kind_name, 400, np.ones(400, int), rng)
    foresee = [lambda part, model=model: kind.foresee(model, part) for model in models]
    low, high = interval(kind_name, calibrated, foresee, new_x)
    return covers(kind_name, new_y, low, high, len(MONTHS)).mean()


@pytest.mark.parametrize(
    ("kind", "studies"), [("regression", 40), ("classification", 16), ("time_to_event", 8)]
)
def test_intervals_cover_new_patients_as_often_as_they_say(kind, studies):
    """Nominal 90 %, over studies of 60 patients: the mean coverage lies within its binomial bounds.

    Between studies the coverage has a sd of about 0.04; limits four standard errors of the mean away
    are passed by chance once in 15,000 runs.  Classes and visits are few, so that an interval can only
    be too wide there.  A nominal level of 85 % would fail for values.
    """
    mean, room = np.mean([coverage(kind, seed) for seed in range(studies)]), 4 * 0.04 / np.sqrt(studies)
    assert mean > 0.9 - room
    assert mean < (0.9 + room if kind == "regression" else 1.0)


def test_intervals_from_rows_that_were_learnt_from_cover_too_little():
    """The law can fail: a nearest neighbour's errors in its own training rows are none."""
    rng = np.random.default_rng(9)
    y = rng.standard_normal(80)
    calibrated = calibrate(np.zeros(80, int), strangeness("regression", y, y), np.arange(80))
    low, high = interval("regression", calibrated, [lambda part: part[:, 0]], rng.standard_normal((50, 1)))
    assert ((low <= 0.5) & (high >= 0.5)).mean() < 0.1


def test_patients_with_many_rows_weigh_no_more_than_others():
    calibrated = calibrate(np.zeros(7, int), np.zeros(7), ["a", "b", "b", "b", "b", "c", "c"])
    assert calibrated.weight == pytest.approx([1 / 4, *[1 / 16] * 4, 1 / 8, 1 / 8])


def test_intervals_agree_with_mapie():
    """One row a patient: the same bounds as the CV+ of a library, from the same folds."""
    from mapie.regression import CrossConformalRegressor

    rng = np.random.default_rng(10)
    x = rng.standard_normal((90, 3))
    y, new = x @ [1.0, -1, 0.5] + rng.standard_normal(90), rng.standard_normal((40, 3))
    patients = np.arange(90)
    folds = list(GroupKFold(5).split(x, y, patients))
    library = CrossConformalRegressor(
        LinearRegression(), confidence_level=0.9, method="plus", cv=GroupKFold(5), random_state=0
    )
    _, bounds = library.fit_conformalize(x, y, groups=patients).predict_interval(new)
    models, fold, score = [], np.empty(90, int), np.empty(90)
    for number, (train, out) in enumerate(folds):
        models.append(LinearRegression().fit(x[train], y[train]).predict)
        fold[out], score[out] = number, np.abs(y[out] - models[-1](x[out]))
    low, high = interval("regression", calibrate(fold, score, np.arange(90)), models, new)
    assert low == pytest.approx(bounds[:, 0, 0])
    assert high == pytest.approx(bounds[:, 1, 0])


def test_too_few_patients_leave_an_open_interval():
    """Eight scores cannot say where the outermost tenth begins."""
    calibrated = calibrate(np.zeros(8, int), np.ones(8), np.arange(8))
    low, high = interval("regression", calibrated, [lambda part: part[:, 0]], np.zeros((1, 1)))
    assert (low[0], high[0]) == (-np.inf, np.inf)


def test_a_sure_class_and_a_sure_time_have_narrow_intervals():
    calibrated = calibrate(np.zeros(50, int), np.full(50, 0.2), np.arange(50))
    low, high = interval(
        "classification", calibrated, [lambda part: part[:, 0]], np.array([[0.99], [0.01], [0.5]])
    )
    assert low.tolist() == [1, 0, 0]
    assert high.tolist() == [1, 0, 1]
    soon = [lambda part: np.tile([0.9, 0.1, 0.05, 0.02], (len(part), 1))]
    assert [side.tolist() for side in interval("time_to_event", calibrated, soon, np.zeros((1, 1)))] == [
        [1],
        [1],
    ]
