"""Harvests, manufacture and the long-term stem cells of the dose; everyone enrolled has a row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hsc_pipeline.product import make_products
from hsc_pipeline.product.graft import age_ratio, lt_hsc_frequency, make_graft
from hsc_pipeline.settings import Settings
from tests.statistics_of import LEAST_P, LIMIT, z_of_mean, z_of_share, z_of_variance

MAKING = {
    "product.modification": "lentiviral",
    "product.cd34_per_kg": 5e6,
    "product.cd34_ln_sd": 0.0,
    "manufacture.failure_probability": 0.0,
    "manufacture.least_cd34_per_kg": 2e6,
    "manufacture.most_harvests": 3.0,
    "manufacture.months_to_infusion": 4.0,
    "manufacture.months_per_harvest": 2.5,
    "manufacture.backup_cd34_per_kg": 2e6,
}
STEM = {
    "product.source": "bone_marrow",
    "product.lt_hsc_per_cd34": 6e-5,
    "product.lt_hsc_log10_sd": 0.4,
    "product.lt_hsc_ratio.bone_marrow": 1.0,
    "product.lt_hsc_ratio.cord_blood": 3.0,
    "product.lt_hsc_old_age": 50.0,
    "product.lt_hsc_old_ratio": 0.1,
    "product.lt_hsc_old_width": 3.0,
}
GRAFTS = 3000


def grafts(patients=GRAFTS, **changes):
    names = {name.replace("__", "."): value for name, value in changes.items()}
    settings = Settings(MAKING | names)
    return [make_graft(seed, settings) for seed in range(patients)]


def test_a_harvest_that_suffices_is_the_only_one():
    for graft in grafts(20):
        assert (graft.harvests, graft.cd34_per_kg, graft.months_to_infusion) == (1, 5e6, 4.0)


def test_patients_whose_manufacture_fails_each_time_are_given_up():
    """p^3 of them, and no other; repeats are geometric.  Fails if p were 12 % off."""
    made = grafts(manufacture__failure_probability=0.4)
    harvests = np.array([g.harvests for g in made])
    given_up = np.array([g.months_to_infusion is None for g in made])
    observed = np.bincount(harvests, minlength=4)[1:]
    for p, agrees in ((0.4, True), (0.4 * 1.12, False)):
        expected = GRAFTS * np.array([1 - p, p * (1 - p), p**2])
        assert (stats.chisquare(observed, expected).pvalue > LEAST_P) == agrees
        assert (abs(z_of_share(given_up, p**3)) < LIMIT) == agrees
    assert all(g.cd34_per_kg == 0 and g.harvests == 3 for g in made if g.months_to_infusion is None)


def test_each_further_harvest_costs_months():
    made = [g for g in grafts(300, manufacture__failure_probability=0.5) if g.months_to_infusion]
    assert {g.harvests: g.months_to_infusion for g in made} == {1: 4.0, 2: 6.5, 3: 9.0}


def test_a_dose_below_the_least_waits_for_another_harvest_and_is_pooled():
    """Yield 1.5e6 of 2e6 needed: two harvests each, pooled to 3e6."""
    made = grafts(20, product__cd34_per_kg=1.5e6)
    assert {(g.harvests, g.cd34_per_kg) for g in made} == {(2, 3e6)}
    one_only = grafts(20, product__cd34_per_kg=1.5e6, manufacture__most_harvests=1.0)
    assert {(g.harvests, g.cd34_per_kg, g.months_to_infusion) for g in one_only} == {(1, 0.0, None)}


def test_harvests_vary_and_the_first_suffices_with_the_normal_probability():
    """P(yield above the least) = Phi(ln(yield/least)/sd); fails if the sd were 20 % off."""
    made = grafts(product__cd34_ln_sd=0.7, product__cd34_per_kg=3e6)
    first = [g.harvests == 1 for g in made]
    assert abs(z_of_share(first, stats.norm.cdf(np.log(1.5) / 0.7))) < LIMIT
    assert abs(z_of_share(first, stats.norm.cdf(np.log(1.5) / 0.56))) > LIMIT
    assert min(g.cd34_per_kg for g in made if g.months_to_infusion) >= 2e6
    assert {g.cd34_per_kg for g in made if not g.months_to_infusion} <= {0.0}


def test_more_tries_change_nothing_for_those_who_need_few():
    """An arm with another limit shares the first harvests of the same patients."""
    uncertain = {"manufacture__failure_probability": 0.5, "product__cd34_ln_sd": 0.5}
    once, thrice = (grafts(300, **uncertain, manufacture__most_harvests=n) for n in (1.0, 3.0))
    enough = [(a, b) for a, b in zip(once, thrice, strict=True) if a.months_to_infusion]
    assert len(enough) > 100
    assert all(a == b for a, b in enough)
    assert sum(b.months_to_infusion is not None for b in thrice) > len(enough) + 50


def test_nothing_is_harvested_where_nothing_is_infused():
    (graft,) = grafts(1, product__modification="none")
    assert (graft.harvests, graft.cd34_per_kg, graft.backup_cd34_per_kg) == (0, 0.0, 0.0)
    assert graft.months_to_infusion is None


def test_every_enrolled_patient_has_a_row_infused_or_not(patient, settings_for):
    """Intention to treat: manufacture fails in most, and all are in the table, without stem cells."""
    settings = settings_for("product", {"manufacture.failure_probability": 0.8, "product.cd34_per_kg": 2e5})
    settings = Settings(
        {**settings.values, "manufacture.least_cd34_per_kg": 1e5}, settings.tables, settings.study
    )
    patients = [{**patient, "patient": n, "patient_seed": n} for n in range(60)]
    rows = [made["products"].to_pylist() for made in make_products(patients, settings)]
    assert [len(row) for row in rows] == [1] * 60
    flat = [row for (row,) in rows]
    assert [row["patient"] for row in flat] == list(range(60))
    assert abs(z_of_share([not row["infused"] for row in flat], 0.64)) < LIMIT
    for row in flat:
        assert row["infused"] == (row["cd34_cells"] > 0) == (row["months_to_infusion"] is not None)
        assert row["infused"] or (row["lt_hsc"], row["lt_hsc_corrected"]) == (0, 0)
        assert row["backup_lt_hsc"] > 0


def test_an_arm_without_infusion_has_rows_and_no_cells(patient, settings_for):
    made = next(make_products([patient], settings_for("product", product="no_infusion")))
    row = made["products"].to_pylist()[0]
    assert not row["infused"]
    assert row["months_to_infusion"] is None
    assert row["lt_hsc"] == row["backup_lt_hsc"] == row["harvests"] == 0
    assert made["clones"].num_rows == made["sites"].num_rows == 0


# Long-term stem cells


def frequency_of(seed=1, age=20.0, **changes):
    names = {f"product.{name}": value for name, value in changes.items()}
    return lt_hsc_frequency(seed, age, Settings(STEM | names))


def test_stem_cell_frequency_is_lognormal_between_patients_and_never_above_one():
    """Median 6e-5, log10 sd 0.4; fails if the sd were 15 % off."""
    logs = np.log10([frequency_of(seed) for seed in range(2000)])
    assert abs(z_of_mean(logs, np.log10(6e-5))) < LIMIT
    assert abs(z_of_variance(logs, 0.4**2)) < LIMIT
    assert abs(z_of_variance(logs, (1.15 * 0.4) ** 2)) > LIMIT
    assert max(frequency_of(seed, lt_hsc_per_cd34=0.9) for seed in range(20)) == 1


@given(younger=st.floats(0, 100), older=st.floats(0, 100))
def test_stem_cell_frequency_falls_with_the_donors_age(younger, older):
    """From one to the old ratio, half-way on the log scale at the old age, never rising."""
    settings = Settings(STEM)
    younger, older = sorted((younger, older))
    assert 0.1 <= age_ratio(older, settings) <= age_ratio(younger, settings) <= 1
    assert age_ratio(50.0, settings) == pytest.approx(10**-0.5)
    assert age_ratio(20.0, settings) == pytest.approx(1, rel=1e-3)
    assert age_ratio(80.0, settings) == pytest.approx(0.1, rel=1e-3)


def test_the_source_scales_the_frequency_of_the_same_patient():
    assert frequency_of(source="cord_blood") == pytest.approx(3 * frequency_of(source="bone_marrow"))


def products_of(patient, settings, patients=400, **given):
    each = [{**patient, "patient_seed": seed, **given} for seed in range(patients)]
    return [made["products"].to_pylist()[0] for made in make_products(each, settings)]


@pytest.fixture(scope="module")
def fixed(settings_for):
    """Settings without spread between patients: 42 stem cells expected, and as many in reserve."""
    return settings_for(
        "product",
        {
            "product.lt_hsc_log10_sd": 0,
            "product.lt_hsc_per_cd34": 6e-8,
            "product.cd34_per_kg": 1e7,
            "product.cd34_ln_sd": 0,
            "manufacture.failure_probability": 0,
            "manufacture.backup_cd34_per_kg": 1e7,
            "drivers.per_cell_year": 0,
        },
    )


@pytest.mark.parametrize("column", ["lt_hsc", "backup_lt_hsc"])
def test_stem_cells_are_poisson_with_mean_dose_times_weight_times_frequency(patient, fixed, column):
    """D W f = 42, infused and in reserve; fails if it were 9 % off, or the variance 85 %."""
    cells = np.array([row[column] for row in products_of(patient, fixed)])
    assert abs(z_of_mean(cells, 42)) < LIMIT
    assert abs(z_of_mean(cells, 42 * 1.09)) > LIMIT
    assert abs(z_of_variance(cells, 42)) < LIMIT
    assert abs(z_of_variance(cells, 42 * 1.85)) > LIMIT


def test_the_graft_has_the_donors_age_and_the_reserve_the_patients(patient, fixed):
    """An old donor of a young patient: a tenth of the stem cells, and the reserve in full."""
    rows = products_of(patient, fixed, donor_age_years=80.0, age_years=20.0)
    assert abs(z_of_mean([row["lt_hsc"] for row in rows], 4.2)) < LIMIT
    assert abs(z_of_mean([row["backup_lt_hsc"] for row in rows], 42)) < LIMIT


def test_a_donors_unmodified_cells_all_correct_and_the_patients_own_none(patient, settings_for):
    for product, share in (("allogeneic", 1.0), ("autologous", 0.0)):
        made = next(make_products([patient], settings_for("product", product=product)))
        row = made["products"].to_pylist()[0]
        assert row["lt_hsc"] > 0
        assert row["lt_hsc_corrected"] == share * row["lt_hsc"]
        assert row["corrected_fraction"] == row["function"] == share
        assert row["mean_copies"] == made["sites"].num_rows == 0
