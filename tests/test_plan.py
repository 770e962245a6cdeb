"""The plan: who the virtual patients are, the same people under every arm."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from hsc_pipeline.events import KINDS
from hsc_pipeline.plan import draw_age, plan_events, plan_patients
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
    """Plan one of two arms: half the exposure in the second."""

    def plan(arm, patients=range(30), **keys):
        half = {"conditioning.busulfan_auc": 30}
        arms = [{"name": "full", "set": {"conditioning.busulfan_auc": 60}}]
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


def test_exposure_is_lognormal_around_what_is_planned(cohort, settings_for):
    """Fails if the sd were 15 % off, or the median by 0.13 sd."""
    settings = settings_for("plan")
    ln_ratio = np.log(cohort["busulfan_auc"] / settings["conditioning.busulfan_auc"])
    ln_sd = settings["conditioning.auc_ln_sd"]
    assert abs(z_of_mean(ln_ratio, 0)) < LIMIT
    assert abs(z_of_variance(ln_ratio, ln_sd**2)) < LIMIT
    assert abs(z_of_variance(ln_ratio, (1.15 * ln_sd) ** 2)) > LIMIT


def test_only_busulfan_has_an_exposure(settings_for):
    settings = settings_for("plan", {"conditioning.agent": "antibody"})
    assert plan_patients(range(5), settings, "trial")["busulfan_auc"].to_pylist() == [0.0] * 5


def test_genotypes_are_null_at_the_set_fraction(cohort, settings_for):
    """Fails if the fraction were 0.06 off."""
    assert abs(z_of_share(cohort["null_genotype"], settings_for("plan")["cohort.null_fraction"])) < LIMIT


def test_age_exposure_and_genotype_are_drawn_independently(cohort):
    """Correlations of 1,500 patients are 0 within 4.5 / sqrt(n) = 0.12."""
    drawn = np.log(cohort[["age_years", "busulfan_auc"]]).assign(null=cohort["null_genotype"])
    correlation = drawn.astype(float).corr().to_numpy()
    assert np.abs(correlation - np.eye(3)).max() < LIMIT / np.sqrt(PATIENTS)


def test_the_same_patients_stand_in_every_arm(plan_arm):
    """Common random numbers: the arm changes what is given, in proportion, and nobody's person."""
    full, half = plan_arm("full"), plan_arm("half")
    assert full[PERSON].equals(half[PERSON])
    np.testing.assert_allclose(half["busulfan_auc"], full["busulfan_auc"] / 2)


def test_independent_arms_have_other_patients(plan_arm):
    full, half = (plan_arm(arm, independent_arms=True) for arm in ("full", "half"))
    assert not set(full["patient_seed"]) & set(half["patient_seed"])
    assert (full["age_years"] != half["age_years"]).all()


def test_a_patient_does_not_depend_on_who_else_is_planned(plan_arm):
    assert plan_arm("full", [17]).equals(plan_arm("full").iloc[[17]].reset_index(drop=True))


def test_another_seed_draws_other_patients(plan_arm):
    assert not set(plan_arm("full")["patient_seed"]) & set(plan_arm("full", seed=2)["patient_seed"])


# What befalls the patients

OFTEN = {"events.infection.per_year": 1.2, "events.chronic_inflammation.per_year": 0.1}


@pytest.fixture(scope="module")
def events(settings_for):
    """Events of 800 patients over five years, infections 1.2 a year."""
    settings = settings_for("plan", OFTEN)
    return plan_events(plan_patients(range(800), settings, "trial").to_pylist(), settings).to_pandas()


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.1, False)])
def test_infections_come_by_chance_at_the_set_rate(events, wrong, agrees):
    """A Poisson number of mean 6 in five years and equal variance; fails at a rate 10 % off."""
    number = events[events["kind"] == "infection"].groupby("patient").size().reindex(range(800), fill_value=0)
    assert (abs(z_of_mean(number, 6.0 * wrong)) < LIMIT) == agrees
    assert abs(z_of_variance(number, 6.0)) < LIMIT


def test_infections_come_at_any_time_and_last_as_set(events, settings_for):
    """Months uniform, lengths exponential, by Kolmogorov-Smirnov."""
    found = events[events["kind"] == "infection"]
    assert stats.kstest(found["month"] / 60, "uniform").pvalue > LEAST_P
    mean = settings_for("plan")["events.infection.months"]
    assert stats.kstest(found["duration_months"] / mean, "expon").pvalue > LEAST_P


def test_events_stand_in_order_of_month_within_a_patient(events):
    assert events.groupby("patient")["month"].is_monotonic_increasing.all()
    assert events.groupby("patient")["event"].apply(lambda n: list(n) == list(range(len(n)))).all()
    assert not events["scheduled"].any()


def test_graft_versus_host_disease_needs_a_donor(settings_for):
    """0.9 a year in the first year of an allogeneic graft, and none without."""
    for donor, some in (("autologous", False), ("allogeneic", True)):
        settings = settings_for("plan", {"events.gvhd.per_year": 0.9, "product.donor": donor})
        found = plan_events(plan_patients(range(60), settings, "trial").to_pylist(), settings).to_pandas()
        gvhd = found[found["kind"] == "gvhd"]
        assert (len(gvhd) > 0) == some
        assert (gvhd["month"] <= 12).all()


def test_a_scheduled_event_befalls_everybody_with_the_catalogues_size(settings_for):
    """What the study file leaves out comes from the catalogue; what it says stands."""
    scheduled = [{"kind": "targeted_therapy", "month": 12}, {"kind": "boost", "month": 3, "size": 0.25}]
    settings = settings_for("plan", {"events.infection.per_year": 0}, events=scheduled)
    found = plan_events(plan_patients(range(4), settings, "trial").to_pylist(), settings).to_pandas()
    assert len(found) == 8
    assert found["scheduled"].all()
    assert found["kind"].tolist() == ["boost", "targeted_therapy"] * 4
    assert found["size"].tolist() == [0.25, settings["events.targeted_therapy.size"]] * 4


def test_a_later_last_visit_changes_no_earlier_event(settings_for):
    def of(months):
        settings = settings_for("plan", OFTEN, visits_months=months)
        return plan_events(plan_patients(range(20), settings, "trial").to_pylist(), settings).to_pandas()

    early, late = of([12, 24]), of([12, 24, 120])
    kept = late[late["month"] < 24].reset_index(drop=True)
    assert early["month"].tolist() == kept["month"].tolist()
    assert len(late) > len(early)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_has_a_length_and_a_size_in_the_catalogue(settings_for, kind):
    settings = settings_for("plan")
    assert settings[f"events.{kind}.months"] > 0
    assert settings[f"events.{kind}.size"] > 0
