"""Drivers acquired during follow-up against the engine that follows each, and transformations."""

import numpy as np
import pytest

from hsc_pipeline.dynamics import Drivers, simulate_patients
from hsc_pipeline.engraftment.acquired import Acquired, MeanCourse, grow, transform
from hsc_pipeline.engraftment.cells import CORRECTED, Cells, pools
from hsc_pipeline.engraftment.competition import Room
from hsc_pipeline.engraftment.followup import follow
from hsc_pipeline.engraftment.stress import patient_course
from tests.marrows import engraft_one
from tests.statistics_of import LIMIT, z_of_mean, z_of_share, z_of_variance

# Drivers so frequent and strong that a small marrow has some.
LAW = {"drivers.per_cell_year": 0.005, "drivers.least_advantage": 0.3, "drivers.shape": 2.0}
LAW |= {"drivers.years_per_advantage": 4.0, "marrow.capacity_adult": 3000, "marrow.capacity_birth": 3000}


def ours(patient, settings_for, seed, visits=(1.0, 3.0)):
    """Numbers and cells of drivers at the visits, and the total, by this stage."""
    settings = settings_for("engraftment", LAW)
    course, room = patient_course(patient, [], 36.0, settings), Room.of(settings)
    acquired = Acquired(np.random.default_rng(seed), course, room, settings)
    cells = pools(CORRECTED, np.zeros(1), np.full(1, -1))
    later = follow(cells, np.array([1500]), course, room, acquired, np.array(visits), {}, seed)
    return (acquired.seen()[-1] > 0).sum(), acquired.seen()[-1].sum(), later[-1].sum() + acquired.now.sum()


def engines(seed, visits=(1.0, 3.0)):
    """The same by the engine that follows every driver."""
    run = simulate_patients(
        [np.array([1500])],
        [np.array([0])],
        [1.0],
        [1.0],
        np.array(visits),
        seed,
        3000,
        drivers=Drivers(0.005, 2, 4, 0.3),
    )
    at = run.columns["visit"] == 1
    driver = at & (run.columns["parent"] >= 0)
    return driver.sum(), run.columns["cells"][driver].sum(), run.columns["cells"][at].sum()


@pytest.fixture(scope="module")
def compared(patient, settings_for):
    """40 runs of this stage and 40 of the engine."""
    mine = np.array([ours(patient, settings_for, seed) for seed in range(40)], float)
    return mine, np.array([engines(seed) for seed in range(40)], float)


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.35, False)])
def test_acquired_drivers_have_the_law_of_the_engine(compared, wrong, agrees):
    """Live drivers, their cells and the total at year 3, 40 runs against 40 of the engine.

    Means within 4.5 standard errors, and within the 3 % of bias that the mean course costs; the number
    of drivers would show a supply 35 % off.
    """
    mine, theirs = compared[0] * [wrong, 1, 1], compared[1]
    error = np.sqrt((mine.var(axis=0, ddof=1) + theirs.var(axis=0, ddof=1)) / 40)
    off = np.abs(mine.mean(axis=0) - theirs.mean(axis=0)) - 0.03 * theirs.mean(axis=0)
    assert bool(np.all(off < LIMIT * error)) == agrees


def test_growth_has_the_closed_forms_of_birth_and_death():
    """Rates 1.3 and 1 for two years: mean, variance and extinction; 20,000 single cells."""
    mean = MeanCourse(np.array([0, 0.7, 2.0]), np.ones((2, 1)), np.full((2, 1), 0.1), np.ones((2, 1)))
    n = 20_000
    found = grow(
        np.random.default_rng(3), np.ones(n, int), np.zeros(n, int), np.zeros(n), np.full(n, 0.2), mean
    )
    b, d, grown = 1.3, 1.0, np.exp(0.6)
    assert abs(z_of_mean(found, grown)) < LIMIT
    assert abs(z_of_variance(found, (b + d) / (b - d) * grown * (grown - 1))) < LIMIT
    assert abs(z_of_share(found == 0, d * (grown - 1) / (b * grown - d))) < LIMIT
    assert abs(z_of_mean(found, np.exp(0.5))) > LIMIT


def test_a_driver_counts_within_the_clone_it_arose_in(patient, settings_for):
    """Cells of a driver are cells of its clone, which lives as long as they do."""
    values = {**LAW, "drivers.per_cell_year": 0.02, "conditioning.agent": "total_body_irradiation"}
    tables = engraft_one(patient, settings_for, 200, visits=(12, 60), values=values)
    drivers, sizes = tables["driver_clones"], tables["clone_sizes"]
    mine = drivers[drivers["origin"] == "corrected"].groupby(["month", "clone"])["cells"].sum()
    whole = sizes.set_index(["month", "clone"])["cells"]
    assert len(mine) > 5
    assert (whole.loc[mine.index] >= mine).all()
    assert drivers["arose_month"].notna().all()
    assert drivers.groupby("number")["arose_month"].nunique().eq(1).all()


def test_no_driver_arises_where_the_rate_is_zero(patient, settings_for):
    tables = engraft_one(patient, settings_for, 2000, values={"drivers.per_cell_year": 0}, visits=(60,))
    assert tables["driver_clones"].empty
    assert (tables["marrow"]["driver_cells"] == 0).all()


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (0.7, False)])
def test_transformation_follows_the_cumulative_hazard(wrong, agrees):
    """P(turned by T) = 1 - exp(-rate x cell-years) of a clone that grows from 0 to 1,000 in four years."""
    years, n = np.array([0.0, 4.0]), 4000
    cells = np.vstack([np.zeros(n, int), np.full(n, 1000)])
    turned, when, visit = transform(np.random.default_rng(1), years, cells, np.full(n, 4e-4))
    expected = 1 - np.exp(-4e-4 * wrong * 2000)
    assert (abs((len(turned) / n - expected) / np.sqrt(expected * (1 - expected) / n)) < LIMIT) == agrees
    assert np.all((when > 0) & (when <= 4))
    assert np.all(visit == 0)
    assert np.all(np.diff(when) >= 0)


def test_deregulated_clones_transform_and_others_do_not(patient, settings_for):
    """At a hundred a cell-year every clone that lives turns; without insertions or drivers none does."""
    values = {"genotoxicity.conversion_per_cell_year": 100, "drivers.per_cell_year": 0}
    clones = {"insertional": np.arange(50) < 10}
    given = {"values": values, "visits": (12,), "clones": clones}
    found = engraft_one(patient, settings_for, 50, **given)["transformations"]
    assert set(found["clone"]) <= set(range(10))
    assert len(found) >= 5
    assert set(found["cause"]) == {"insertion"}


def test_entries_join_in_order():
    joined = Cells.join([pools(0, np.array([0.0]), np.array([-1])), pools(2, np.array([0.1]), np.array([4]))])
    assert joined.mutated.tolist() == [False, True]
    assert joined.take(np.array([1])).driver.tolist() == [4]
