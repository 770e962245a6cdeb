"""What makes clones grow: deregulated oncogenes, and drivers that were in the marrow before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from hsc_pipeline.errors import UserError
from hsc_pipeline.product import make_products
from hsc_pipeline.product.fitness import (
    GrowingMarrow,
    clone_sizes,
    deregulating,
    existing_drivers,
    truncated_gamma,
)
from hsc_pipeline.settings import Settings
from tests.statistics_of import LEAST_P, LIMIT, p_of_counts, z_of_mean, z_of_share

CLONES = 60_000
GROWING = {
    "marrow.capacity_birth": 1000.0,
    "marrow.capacity_adult": 9000.0,
    "marrow.capacity_plateau_age": 12.0,
}
LAW = {
    "marrow.division_per_year": 1.0,
    "drivers.per_cell_year": 1e-3,
    "drivers.shape": 0.65,
    "drivers.years_per_advantage": 31.0,
    "drivers.least_advantage": 0.05,
}


@pytest.fixture(scope="module")
def marrow():
    return GrowingMarrow(Settings(GROWING))


# Insertions


@pytest.mark.parametrize(
    ("promoter", "chance"), [("cellular", 0.02), ("strong_internal", 0.25), ("viral_ltr", 0.5)]
)
def test_a_share_of_oncogene_hits_deregulates_by_promoter(settings_for, promoter, chance):
    """Fails if the share were 20 % off, or if a hit elsewhere deregulated."""
    name = f"genotoxicity.activated_fraction.{promoter}"
    settings = settings_for("product", {"vector.promoter": promoter, name: chance})
    oncogene = np.arange(200_000) % 2 == 0
    hits, advantage = deregulating(9, oncogene, settings)
    assert abs(z_of_share(hits[oncogene], chance)) < LIMIT
    assert abs(z_of_share(hits[oncogene], 1.2 * chance)) > LIMIT
    assert not hits[~oncogene].any()
    least, most = settings["genotoxicity.advantage_least"], settings["genotoxicity.advantage_most"]
    assert (advantage[~hits] == 0).all()
    assert stats.kstest(advantage[hits], stats.uniform(least, most - least).cdf).pvalue > LEAST_P


def test_genotoxicity_can_be_switched_off(patient, settings_for):
    """Ten times the usual oncogene hits with a strong promoter: many deregulate, and none at zero."""
    strong = {"vector.promoter": "strong_internal", "vector.oncogene_ratio": 10, "drivers.per_cell_year": 0}
    on, off = (
        next(make_products([patient], settings_for("product", strong | changes)))
        for changes in ({}, {"genotoxicity.activated_fraction.strong_internal": 0})
    )
    assert on["clones"]["insertional"].to_numpy().sum() > 10
    assert not off["clones"]["insertional"].to_numpy().any()
    assert not off["sites"]["deregulates"].to_numpy().any()
    assert not off["clones"]["advantage_per_year"].to_numpy().any()


def test_a_clone_grows_by_its_insertions_and_its_driver_together(patient, settings_for):
    changes = {"vector.promoter": "viral_ltr", "vector.oncogene_ratio": 30, "drivers.per_cell_year": 4e-3}
    made = next(make_products([{**patient, "age_years": 60.0}], settings_for("product", changes)))
    clones, sites = made["clones"].to_pandas(), made["sites"].to_pandas()
    drivers = made["drivers"].to_pandas().set_index("driver")["advantage_per_year"]
    from_driver = clones["driver"].map(drivers).fillna(0.0)
    hits = sites[sites["deregulates"]].groupby("clone").size().reindex(clones["clone"], fill_value=0)
    assert (clones["insertional"].to_numpy() == (hits.to_numpy() > 0)).all()
    from_insertions = clones["advantage_per_year"] - from_driver
    assert np.allclose(from_insertions[~clones["insertional"]], 0)
    each = from_insertions[clones["insertional"]].to_numpy() / hits[hits > 0].to_numpy()
    assert ((each >= 0.3 - 1e-9) & (each <= 1 + 1e-9)).all()
    assert (clones["insertional"] & (clones["driver"] >= 0)).any()


# The marrow in which drivers arise


@given(age=st.floats(0.01, 90))
def test_stem_cell_years_are_the_integral_of_the_marrow(age):
    marrow = GrowingMarrow(Settings(GROWING))
    expected = integrate.quad(marrow.cells, 0, age, points=[12] if age > 12 else None)[0]
    assert marrow.cell_years(age) == pytest.approx(expected, abs=1e-6)
    assert marrow.age_at(np.array([marrow.cell_years(age)]))[0] == pytest.approx(age, abs=1e-9)


def test_a_marrow_of_constant_size_is_allowed():
    marrow = GrowingMarrow(Settings(GROWING | {"marrow.capacity_birth": 9000.0}))
    assert marrow.age_at(np.array([9000.0 * 3, 9000.0 * 30])).tolist() == [3, 30]


def sizes_of(marrow, advantage, arose, age, seed=4, clones=CLONES):
    same = np.full(clones, 1.0)
    return clone_sizes(np.random.default_rng(seed), 1.0, advantage * same, arose * same, age, marrow)


@pytest.mark.parametrize(("advantage", "arose", "age"), [(0.2, 20, 30), (0.0, 15, 25), (0.1, 12, 14)])
def test_clones_of_a_grown_marrow_follow_kendalls_law(marrow, advantage, arose, age):
    """The whole law: extinct with d(g-1)/(b g-d), else geometric; fails if s were 0.05 a year off."""
    sizes = sizes_of(marrow, advantage, arose, age).astype(int)
    for wrong, agrees in ((0.0, True), (0.05, False)):
        s, years = advantage + wrong, age - arose
        growth = np.exp(s * years)
        beta = (1 + s) * (growth - 1) / ((1 + s) * growth - 1) if s else years / (1 + years)
        alive = 1 - beta / (1 + s)
        law = np.append(1 - alive, alive * (1 - beta) * beta ** np.arange(400))
        assert (p_of_counts(sizes, law) > LEAST_P) == agrees


@pytest.mark.parametrize(
    ("advantage", "arose", "age"), [(0.0, 2, 8), (0.1, 5, 11.9), (0.15, 3, 25), (0.3, 1, 20)]
)
def test_clones_grow_with_a_childs_marrow(marrow, advantage, arose, age):
    """Mean e^(s t) N(age)/N(birth of the clone), survivors 1/(1+J) by an independent integral; fails if
    the marrow's growth were left out, or J were 5 % off."""
    sizes = sizes_of(marrow, advantage, arose, age)
    growth = np.exp(advantage * (age - arose))
    mean = growth * marrow.cells(age) / marrow.cells(arose)
    lost = integrate.quad(
        lambda u: np.exp(-advantage * (u - arose)) * marrow.cells(arose) / marrow.cells(u),
        arose,
        age,
        points=[12] if age > 12 else None,
    )[0]
    assert abs(z_of_mean(sizes, mean)) < LIMIT
    assert abs(z_of_mean(sizes, growth)) > LIMIT
    assert abs(z_of_share(sizes > 0, 1 / (1 + lost))) < LIMIT
    assert abs(z_of_share(sizes > 0, 1 / (1 + 1.05 * lost))) > LIMIT


def test_growth_to_a_middle_age_and_on_has_the_law_of_growth_at_once(marrow):
    """Every cell of the middle founds a clone of its own; fails if the step at the plateau were wrong."""
    at_once = sizes_of(marrow, 0.1, 4.0, 20.0).astype(int)
    middle = sizes_of(marrow, 0.1, 4.0, 9.0, seed=5).astype(int)
    owner = np.repeat(np.arange(CLONES), middle)
    later = sizes_of(marrow, 0.1, 9.0, 20.0, seed=6, clones=len(owner))
    composed = np.bincount(owner, later, CLONES).astype(int)
    top = 40
    counts = [np.bincount(np.minimum(x, top), minlength=top + 1) for x in (at_once, composed)]
    assert stats.chi2_contingency(counts).pvalue > LEAST_P
    off = np.bincount(np.minimum(sizes_of(marrow, 0.12, 4.0, 20.0).astype(int), top), minlength=top + 1)
    assert stats.chi2_contingency([off, counts[1]]).pvalue < LEAST_P


# Drivers


def test_advantages_follow_the_truncated_gamma_law():
    """Fails if the rate were 5 % off."""
    found = truncated_gamma(np.random.default_rng(1), CLONES, 0.65, 31, 0.05)
    assert found.min() >= 0.05
    for rate, agrees in ((31, True), (31 * 1.05, False)):
        law = stats.gamma(0.65, scale=1 / rate)
        p = stats.kstest(found, lambda x, law=law: 1 - law.sf(x) / law.sf(0.05)).pvalue
        assert (p > LEAST_P) == agrees
    assert found.mean() == pytest.approx(0.079, abs=0.003)  # 7.9 % a year, Spencer Chapman 2024


def test_a_law_without_advantages_above_its_least_is_refused():
    with pytest.raises(UserError, match=r"drivers\.least_advantage = 2: .* none so large"):
        truncated_gamma(np.random.default_rng(1), 10, 0.65, 31, 2.0)


def burden(age, patients=300, **changes):
    """Mean share of all driver clones, and their mean number."""
    settings = Settings(GROWING | LAW | {name.replace("__", "."): v for name, v in changes.items()})
    shares = [existing_drivers(seed, "patient", age, settings)["share"] for seed in range(patients)]
    return np.array([s.sum() for s in shares]), np.array([len(s) for s in shares])


def expected_burden(age):
    """Cells with a driver per other cell: supply times the mean of e^(s t) over birth and advantage."""
    law = stats.gamma(0.65, scale=1 / 31)

    def mean_growth(years):
        return integrate.quad(lambda s: law.pdf(s) * np.exp(s * years), 0.05, 2)[0] / law.sf(0.05)

    return 1e-3 * integrate.quad(mean_growth, 0, age)[0]


@pytest.mark.parametrize("capacity", [9000.0, 36000.0])
def test_the_mean_burden_of_drivers_does_not_depend_on_the_size_of_the_marrow(capacity):
    """At 8 years: supply x integral of the mean e^(s t), large marrow or small; fails if it were 20 % off,
    as it would be if the marrow's growth lifted neither supply nor clones."""
    share, _ = burden(8.0, 1500, marrow__capacity_adult=capacity, marrow__capacity_birth=capacity / 9)
    odds = share / (1 - share)
    assert abs(z_of_mean(odds, expected_burden(8.0))) < LIMIT
    assert abs(z_of_mean(odds, 1.2 * expected_burden(8.0))) > LIMIT


def test_a_small_marrow_holds_fewer_and_larger_driver_clones():
    """A quarter of the cells: a quarter of the clones."""
    (_, small), (_, large) = (
        burden(8.0, marrow__capacity_adult=n, marrow__capacity_birth=n / 9) for n in (9000.0, 36000.0)
    )
    assert abs(z_of_mean(4 * small, large.mean())) < LIMIT
    assert abs(z_of_mean(2 * small, large.mean())) > LIMIT


def test_a_child_has_the_drivers_of_its_small_marrow():
    """Clones alive at 3 years: Poisson with mean supply x integral of N x survival; a grown marrow of the
    same age would hold several times as many."""
    marrow = GrowingMarrow(Settings(GROWING))
    law = stats.gamma(0.65, scale=1 / 31)
    grid = law.ppf(law.cdf(0.05) + law.sf(0.05) * (np.arange(200) + 0.5) / 200)

    def alive(born):
        one = np.array(
            [
                integrate.quad(
                    lambda u, s=s: np.exp(-s * (u - born)) * marrow.cells(born) / marrow.cells(u), born, 3
                )[0]
                for s in grid[::10]
            ]
        )
        return marrow.cells(born) * np.mean(1 / (1 + one))

    expected = 1e-3 * integrate.quad(alive, 0, 3)[0]
    _, number = burden(3.0, 2000)
    assert abs(z_of_mean(number, expected)) < LIMIT
    assert abs(z_of_mean(number, 1.15 * expected)) > LIMIT
    assert number.var() == pytest.approx(number.mean(), rel=0.15)
    assert expected < 0.4 * 1e-3 * 9000 * 3


def test_drivers_grow_with_age_and_can_be_switched_off():
    means = [burden(age)[0].mean() for age in (2.0, 20.0, 60.0)]
    assert means == sorted(means)
    assert means[0] < 0.01 < means[2]
    assert burden(60.0, drivers__per_cell_year=0.0)[1].sum() == 0


def test_drivers_come_largest_first_and_share_the_marrow():
    settings = Settings(GROWING | LAW)
    for seed in range(20):
        found = existing_drivers(seed, "patient", 90.0, settings)
        assert (np.diff(found["share"]) <= 0).all()
        assert found["share"].min() > 0
        assert found["share"].sum() < 1
        assert found["advantage_per_year"].min() >= 0.05


def test_corrected_and_uncorrected_cells_carry_drivers_by_their_share(patient, settings_for):
    """At 60 years, half of 40,000 cells corrected; fails if a share were 12 % off in either half."""
    changes = {
        "product.lt_hsc_log10_sd": 0,
        "product.lt_hsc_per_cd34": 5e-4,
        "product.mean_copies_ln_sd": 0,
        "product.lt_hsc_old_ratio": 1,
    }
    half = {"product.transduced_fraction": 0.5, "product.mean_copies": 1.5, "product.lt_copies_ratio": 1}
    old = {**patient, "age_years": 50.0, "donor_age_years": 20.0}
    made = next(make_products([old], settings_for("product", changes | half)))
    row, clones = made["products"].to_pylist()[0], made["clones"].to_pandas()
    share = made["drivers"]["share"].to_numpy().sum()
    assert 0.05 < share < 0.99
    cells = {True: row["lt_hsc_corrected"], False: row["lt_hsc"] - row["lt_hsc_corrected"]}
    for corrected, number in cells.items():
        having = ((clones["driver"] >= 0) & (clones["corrected"] == corrected)).sum()
        is_carrier = np.arange(number) < having
        assert abs(z_of_share(is_carrier, share)) < LIMIT
        assert abs(z_of_share(is_carrier, 0.88 * share)) > LIMIT
    # The largest driver is found in proportion to its own share.
    top = made["drivers"]["share"].to_numpy().max()
    assert abs(z_of_share(np.arange(row["lt_hsc"]) < (clones["driver"] == 0).sum(), top)) < LIMIT


def test_every_uncorrected_clone_that_has_a_name_carries_a_driver(patient, settings_for):
    made = next(make_products([{**patient, "age_years": 60.0}], settings_for("product")))
    clones = made["clones"].to_pandas()
    assert ((clones["driver"] >= 0) | clones["corrected"]).all()
    assert clones["driver"].max() < made["drivers"].num_rows
    assert (~clones["corrected"]).any()


def test_a_donors_cells_carry_the_donors_drivers(patient, settings_for):
    """The patient's own are listed too: they stay in the marrow that conditioning leaves."""
    settings = settings_for("product", product="allogeneic")
    old_donor = {**patient, "donor_age_years": 55.0, "age_years": 3.0}
    made = next(make_products([old_donor], settings))
    drivers = made["drivers"].to_pandas()
    by_origin = drivers.groupby("origin")["share"].sum()
    assert by_origin["donor"] > 10 * by_origin["patient"]
    carried = made["clones"].to_pandas().query("driver >= 0")
    donors = drivers[drivers["origin"] == "donor"].set_index("driver")["advantage_per_year"]
    assert np.allclose(carried["advantage_per_year"], carried["driver"].map(donors))
    own = existing_drivers(patient["patient_seed"], "patient", 3.0, settings)
    assert np.allclose(drivers.loc[drivers["origin"] == "patient", "share"], own["share"])
