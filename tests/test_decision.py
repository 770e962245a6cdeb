"""What a probability is worth: closed forms of net benefit, and intervals that count patients, not rows."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hsc_pipeline.models.decision import THRESHOLDS, clustered_auc, decision_curve, ratio_interval


@pytest.fixture
def cohort():
    """Events, a score that knows something of them, and the patient of each of 300 rows."""
    rng = np.random.default_rng(1)
    event = rng.random(300) < 0.3
    return event, event + rng.standard_normal(300), np.repeat(np.arange(100), 3)


def test_a_perfect_predictor_is_worth_every_event(cohort):
    """All events acted upon and nothing else: the net benefit is the prevalence at any threshold."""
    event, _, patients = cohort
    curve = decision_curve(event, event.astype(float), patients)
    assert curve["net_benefit"].to_numpy() == pytest.approx(event.mean())
    assert (curve["gain"] > 0).all()


def test_acting_on_all_is_worth_the_closed_form(cohort):
    event, score, patients = cohort
    curve = decision_curve(event, score, patients)
    odds = np.array(THRESHOLDS) / (1 - np.array(THRESHOLDS))
    assert curve["act_on_all"].to_numpy() == pytest.approx(event.mean() - (1 - event.mean()) * odds)


def test_the_prevalence_for_everybody_is_worth_no_more_than_acting_on_all_or_none(cohort):
    event, _, patients = cohort
    curve = decision_curve(event, np.full(len(event), event.mean()), patients)
    below = curve["threshold"] <= event.mean()
    assert curve["net_benefit"][below].to_numpy() == pytest.approx(curve["act_on_all"][below].to_numpy())
    assert (curve["net_benefit"][~below] == 0).all()
    assert curve["gain"].to_numpy() == pytest.approx(0)


def test_a_predictor_that_is_always_wrong_does_harm(cohort):
    event, _, patients = cohort
    curve = decision_curve(event, 1.0 - event, patients)
    assert (curve["net_benefit"] < 0).all()
    assert (curve["gain_high"] < 0).all()


def test_net_benefit_counts_true_and_false_positives():
    """Four patients, two acted upon, one of them in vain, at odds of one to three."""
    event = np.array([True, False, True, False])
    curve = decision_curve(event, np.array([0.9, 0.8, 0.1, 0.1]), np.arange(4)).set_index("threshold")
    assert curve.loc[0.25, "net_benefit"] == pytest.approx(1 / 4 - 1 / 4 / 3)


def test_rows_repeated_are_no_evidence(cohort):
    """Each patient's rows three times over leave every value and interval as it was."""
    event, score, patients = cohort
    again = np.tile(np.arange(len(event)), 3)
    ones = np.ones(len(event))
    assert ratio_interval(score[again], ones[again], patients[again]) == pytest.approx(
        ratio_interval(score, ones, patients)
    )
    assert clustered_auc(event[again], score[again], patients[again]) == pytest.approx(
        clustered_auc(event, score, patients)
    )


def test_a_mean_of_single_rows_has_the_standard_error_of_the_textbook():
    values = np.random.default_rng(2).standard_normal(40)
    value, low, high, error = ratio_interval(values, np.ones(40), np.arange(40))
    assert value == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(40))
    assert high - value == pytest.approx(value - low) == pytest.approx(1.6849 * error, rel=1e-4)


@pytest.mark.parametrize("digits", [8, 0])
def test_the_area_is_that_of_the_library_with_and_without_ties(cohort, digits):
    event, score, patients = cohort
    score = np.round(score, digits)
    assert clustered_auc(event, score, patients)[0] == pytest.approx(roc_auc_score(event, score))


def test_the_area_of_single_rows_has_the_variance_of_delong(cohort):
    """Structural components pair by pair, as in DeLong et al. 1988; n / (n - 1) is the difference."""
    event, score, _ = cohort
    order = (score[event][:, None] > score[~event]).astype(float)
    variance = order.mean(1).var(ddof=1) / event.sum() + order.mean(0).var(ddof=1) / (~event).sum()
    value, low, high = clustered_auc(event, score, np.arange(len(event)))
    wide = np.log(high / (1 - high)) - np.log(low / (1 - low))
    assert wide / (2 * 1.6449) * value * (1 - value) == pytest.approx(np.sqrt(variance), rel=0.01)


def test_intervals_of_the_area_cover_between_patients():
    """Patients of three rows with a shared part, true area Phi(1 / sqrt 2).

    Of 600 intervals of 90 % the covering share has a standard error of 1.2 %: outside 85 to 95 % in
    one seed of ten thousand.  Intervals by row cover 69 %.
    """
    from scipy.stats import norm

    rng, truth, covered = np.random.default_rng(3), norm.cdf(np.sqrt(0.5)), []
    for _ in range(600):
        patients = np.repeat(np.arange(60), 3)
        event = np.repeat(rng.random(60) < 0.5, 3)
        score = (
            event
            + np.sqrt(0.7) * np.repeat(rng.standard_normal(60), 3)
            + np.sqrt(0.3) * rng.standard_normal(180)
        )
        _, low, high = clustered_auc(event, score, patients)
        covered.append(low <= truth <= high)
    assert 0.85 < np.mean(covered) < 0.95


@pytest.mark.parametrize("event", [np.ones(5, bool), np.zeros(5, bool)])
def test_one_class_has_no_area(event):
    assert np.isnan(clustered_auc(event, np.arange(5.0), np.arange(5))).all()


def test_a_perfect_order_has_an_area_and_no_interval():
    value, low, high = clustered_auc(np.arange(6) > 2, np.arange(6.0), np.arange(6))
    assert value == 1
    assert np.isnan([low, high]).all()


def test_only_rows_held_out_together_are_compared(cohort):
    """Constants that differ between folds rank nobody, though they rank the folds."""
    event, score, patients = cohort
    folds = patients % 3
    assert clustered_auc(event, folds, patients, folds)[0] == 0.5
    assert clustered_auc(event, score + 100 * folds, patients, folds) == pytest.approx(
        clustered_auc(event, score, patients, folds)
    )
    assert clustered_auc(event, score, patients, 0 * folds) == clustered_auc(event, score, patients)
