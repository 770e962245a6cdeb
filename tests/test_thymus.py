"""Progenitors that settle in an empty thymus, and the leukaemias of the first trials."""

import numpy as np
import pytest

from hsc_pipeline.engraftment.thymus import deregulated_per_copy, settle_in_thymus, thymic_leukaemias

PRODUCT = {"cd34_per_kg": 1e7, "corrected_fraction": 0.4, "copies_per_corrected": 1.5}
SCID = {"disease": "x_scid", "product": "x_scid_gammaretroviral"}
PATIENTS = 4000


@pytest.fixture
def infant(patient):
    return lambda seed: {**patient, "patient_seed": seed, "weight_kg": 6.0}


def leukaemias(infant, settings):
    """Years of the leukaemias of many patients."""
    return [thymic_leukaemias(infant(seed), PRODUCT, settings)[1] for seed in range(PATIENTS)]


def test_settled_progenitors_are_poisson(infant, settings_for):
    """Mean and variance of 240; power: a mean off by 2 % would be 4.9 standard errors away."""
    settings = settings_for("engraftment", **SCID)
    settled = np.array([settle_in_thymus(infant(seed), PRODUCT, settings) for seed in range(1000)])
    expected = 6e7 * 0.4 * settings["thymus.seeding_per_cd34"] * settings["disease.thymic_niches_free"]
    assert abs(settled.mean() - expected) < 4.5 * np.sqrt(expected / 1000)
    assert abs(settled.var() / expected - 1) < 4.5 * np.sqrt(2 / 1000)


def test_thymic_leukaemias_follow_their_rate_and_latency(infant, settings_for):
    """Poisson thinned by hits and chance; gamma times.  Power: a rate off by 13 % would fail."""
    settings = settings_for("engraftment", **SCID)
    found = leukaemias(infant, settings)
    settled = 6e7 * 0.4 * settings["thymus.seeding_per_cd34"]
    hit = -np.expm1(-deregulated_per_copy(settings) * PRODUCT["copies_per_corrected"])
    expected = settled * hit * settings["genotoxicity.thymic_leukaemia"]
    number = np.array([len(years) for years in found])
    assert abs(number.mean() - expected) < 4.5 * np.sqrt(expected / PATIENTS)
    years = np.concatenate(found)
    mean, shape = (
        settings["genotoxicity.thymic_latency_months"] / 12,
        settings["genotoxicity.thymic_latency_shape"],
    )
    assert abs(years.mean() - mean) < 4.5 * mean / np.sqrt(shape * len(years))
    assert all((np.diff(one) >= 0).all() for one in found)


def test_about_a_quarter_of_unconditioned_patients_have_one_as_published(infant, settings_for):
    """5 of 20 patients with X-linked SCID: a 90 % interval of 10 to 46 %, Clopper and Pearson."""
    share = np.mean([len(years) > 0 for years in leukaemias(infant, settings_for("engraftment", **SCID))])
    assert 0.10 < share < 0.46


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        (SCID, {"disease.thymic_niches_free": 0}),
        ({"disease": "x_scid", "product": "allogeneic"}, {}),
        (
            {"disease": "x_scid", "product": "x_scid_lentiviral"},
            {"genotoxicity.activated_fraction.cellular": 0},
        ),
    ],
)
def test_no_thymic_leukaemia_without_room_or_without_a_vector(infant, settings_for, keys, changes):
    found = leukaemias(infant, settings_for("engraftment", changes, **keys))
    assert sum(map(len, found)) == 0
