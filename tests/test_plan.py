"""The plan: who the virtual patients are, the same people under every arm."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from hsc_pipeline.plan import draw_age, plan_patients
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.statistics_of import LEAST_P, LIMIT, z_of_mean, z_of_share, z_of_variance

PATIENTS = 1500
PERSON = ["patient", "patient_seed", "age_years", "weight_kg", "null_genotype"]


@pytest.fixture(scope="module")
def cohort(settings_for):
    return plan_patients(range(PATIENTS), settings_for("plan"), "trial").to_pandas()


@pytest.fixture
def plan_arm(study):
    """Plan one of two arms: half the dose and a lower exposure in the second."""

    def plan(arm, patients=range(30), **keys):
        half = {"product.cd34_per_kg": 4.5e6, "conditioning.busulfan_auc": 30}
        arms = [{"name": "full", "set": {"product.cd34_per_kg": 9e6, "conditioning.busulfan_auc": 60}}]
        filled = load_study({**study, "arms": [*arms, {"name": "half", "set": half}], **keys})
        return plan_patients(patients, Settings(**filled.settings("plan", arm)), arm).to_pandas()

    return plan


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.1, False)])
def test_ages_follow_the_truncated_lognormal_law(wrong, agrees):
    """Kolmogorov-Smirnov on 5,000 ages; fails if the median were 10 % off."""
    rng = np.random.default_rng(4)
    ages = [draw_age(rng, median=2.2, ln_sd=0.8, least=0.5, most=16) for _ in range(5000)]
    law = NormalDist(np.log(2.2 * wrong), 0.8)
    low, high = law.cdf(np.log(0.5)), law.cdf(np.log(16))
    passed = [(law.cdf(np.log(age)) - low) / (high - low) for age in ages]
    assert (stats.kstest(passed, "uniform").pvalue > LEAST_P) == agrees


def test_age_without_spread_is_the_median():
    assert draw_age(np.random.default_rng(0), median=3.0, ln_sd=0, least=1, most=5) == 3.0


def test_ages_stay_within_the_cohort(cohort, settings_for):
    settings = settings_for("plan")
    assert cohort["age_years"].between(settings["cohort.age_min"], settings["cohort.age_max"]).all()


def test_weights_are_lognormal_around_the_growth_chart(cohort, settings_for):
    """Median of the chart for age, sd of the logarithm as set; fails if the sd were 15 % off."""
    settings = settings_for("plan")
    ages, chart = zip(*settings.rows("weight_for_age"), strict=True)
    ln_ratio = np.log(cohort["weight_kg"] / np.interp(cohort["age_years"], ages, chart))
    assert abs(z_of_mean(ln_ratio, 0)) < LIMIT
    assert abs(z_of_variance(ln_ratio, settings["cohort.weight_ln_sd"] ** 2)) < LIMIT
    assert abs(z_of_variance(ln_ratio, (1.15 * settings["cohort.weight_ln_sd"]) ** 2)) > LIMIT


@pytest.mark.parametrize(
    ("column", "median", "ln_sd"),
    [
        ("cd34_per_kg", "product.cd34_per_kg", "product.cd34_ln_sd"),
        ("busulfan_auc", "conditioning.busulfan_auc", "conditioning.auc_ln_sd"),
    ],
)
def test_what_is_given_is_lognormal_around_what_is_planned(cohort, settings_for, column, median, ln_sd):
    """Fails if the sd were 15 % off, or the median by 0.13 sd."""
    settings = settings_for("plan")
    ln_ratio = np.log(cohort[column] / settings[median])
    assert abs(z_of_mean(ln_ratio, 0)) < LIMIT
    assert abs(z_of_variance(ln_ratio, settings[ln_sd] ** 2)) < LIMIT
    assert abs(z_of_variance(ln_ratio, (1.15 * settings[ln_sd]) ** 2)) > LIMIT


def test_genotypes_are_null_at_the_set_fraction(cohort, settings_for):
    """Fails if the fraction were 0.06 off."""
    assert abs(z_of_share(cohort["null_genotype"], settings_for("plan")["cohort.null_fraction"])) < LIMIT


def test_age_dose_exposure_and_genotype_are_drawn_independently(cohort):
    """Correlations of 1,500 patients are 0 within 4.5 / sqrt(n) = 0.12."""
    drawn = np.log(cohort[["age_years", "cd34_per_kg", "busulfan_auc"]]).assign(null=cohort["null_genotype"])
    correlation = drawn.astype(float).corr().to_numpy()
    assert np.abs(correlation - np.eye(4)).max() < LIMIT / np.sqrt(PATIENTS)


def test_the_same_patients_stand_in_every_arm(plan_arm):
    """Common random numbers: the arm changes what is given, in proportion, and nobody's person."""
    full, half = plan_arm("full"), plan_arm("half")
    assert full[PERSON].equals(half[PERSON])
    np.testing.assert_allclose(half["cd34_per_kg"], full["cd34_per_kg"] / 2)
    np.testing.assert_allclose(half["busulfan_auc"], full["busulfan_auc"] / 2)


def test_independent_arms_have_other_patients(plan_arm):
    full, half = (plan_arm(arm, independent_arms=True) for arm in ("full", "half"))
    assert not set(full["patient_seed"]) & set(half["patient_seed"])
    assert (full["age_years"] != half["age_years"]).all()


def test_a_patient_does_not_depend_on_who_else_is_planned(plan_arm):
    assert plan_arm("full", [17]).equals(plan_arm("full").iloc[[17]].reset_index(drop=True))


def test_another_seed_draws_other_patients(plan_arm):
    assert not set(plan_arm("full")["patient_seed"]) & set(plan_arm("full", seed=2)["patient_seed"])
