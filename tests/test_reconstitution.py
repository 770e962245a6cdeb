"""Reconstitution: counts by age against other laboratories, TREC, IgG in closed form, milestones."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hsc_pipeline.blood.lineages import T_CELLS
from hsc_pipeline.catalogue import tables
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.immunity.markers import (
    follow,
    functional_count,
    igg_drive,
    igg_norms,
    own_igg,
    trec,
    trec_normal,
    trec_per_cell,
    uncorrected_function,
)
from hsc_pipeline.immunity.reconstitution import (
    CELLS,
    LOWEST_Z,
    cell_rows,
    first_visit,
    milestones,
    reconstitute,
)
from hsc_pipeline.immunity.twins import twin_counts
from hsc_pipeline.norms import Norms

NORMS = Norms([tuple(row) for row in tables()["cell_norms"]["rows"]])
ENDLESS = 1e4  # months, until nothing moves any more

# Norms against laboratories that did not supply the table ------------------------------------------

# Kotylo 1993 Am J Clin Pathol 100:111, ranges per uL by age in years.
KOTYLO = {
    "cd3": [(0, 0.5, 3500, 5000), (0.5, 1, 3400, 4600), (1, 1.5, 3200, 3900), (1.5, 2, 2800, 3500),
            (2, 2.5, 2300, 3300), (2.5, 3, 1900, 3100)],
    "cd4_t": [(0, 0.5, 2800, 3900), (0.5, 1, 2600, 3500), (1, 1.5, 2300, 2900), (1.5, 2, 1900, 2500),
              (2, 2.5, 1500, 2200), (2.5, 3, 1200, 2000)],
    "cd8_t": [(0, 3, 350, 2500)],
    "b_cell": [(0, 3, 430, 3300)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "start", "stop", "low", "high"), [(cell, *band) for cell in KOTYLO for band in KOTYLO[cell]]
)
def test_medians_lie_in_the_ranges_of_kotylo_1993(cell, start, stop, low, high):
    """With 5 % of slack for CD4+ at 3 months, 2,730 where the range begins at 2,800; the rest lies inside."""
    assert 0.95 * low < NORMS.median(cell, (start + stop) / 2) < high


# Denny 1992 JAMA 267:1484, median CD4+ per uL of 208 children by age in months.
@pytest.mark.parametrize(("months", "median"), [(2.5, 2830), (6, 2950), (17.5, 2070), (41.5, 1800)])
def test_cd4_medians_lie_near_those_of_denny_1992(months, median):
    """Within 20 %; a norm for another age band would be off by more."""
    assert NORMS.median("cd4_t", months / 12) == pytest.approx(median, rel=0.20)


def naive_share(cell, age):
    naive, memory = (NORMS.median(pool, age) for pool in T_CELLS[cell])
    return naive / (naive + memory)


# Saule 2006 Mech Ageing Dev 127:274: memory outnumbers naive cells at these ages.
@pytest.mark.parametrize(("cell", "age"), [("cd4_t", 37.4), ("cd8_t", 29.5)])
def test_memory_outnumbers_naive_cells_at_the_published_age(cell, age):
    """Within a point: a flat adult share would be off by eight to twelve."""
    assert naive_share(cell, age) == pytest.approx(0.5, abs=0.01)


def test_naive_cells_fall_with_age_twice_as_fast_in_cd8():
    ages = np.array([20.0, 30, 40, 50, 60, 70])
    falls = [np.diff(naive_share(cell, ages)).mean() for cell in ("cd4_t", "cd8_t")]
    assert falls[1] / falls[0] == pytest.approx(2, rel=0.15)
    for pool in ("cd4_naive", "cd8_naive"):
        assert (np.diff(NORMS.median(pool, ages)) < 0).all()


# Mean share of CD45RA+ among CD4+ cells of 130 infants, PMC4386616.
@pytest.mark.parametrize(("age", "share"), [(0, 0.935), (0.5, 0.841), (1, 0.783)])
def test_naive_share_of_infants_agrees_with_130_of_them(age, share):
    assert naive_share("cd4_t", age) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("age", [0.2, 3, 20, 40, 55, 80])
@pytest.mark.parametrize("cell", T_CELLS)
def test_naive_and_memory_medians_add_up(cell, age):
    """Within 5 %: logarithms are interpolated between the middles of bands."""
    parts = sum(NORMS.median(pool, age) for pool in T_CELLS[cell])
    assert parts == pytest.approx(float(NORMS.median(cell, age)), rel=0.05)


# TREC ------------------------------------------------------------------------------------------


def naive_counts(naive, corrected, age=5.0):
    row = {
        "count_per_ul": np.array([naive]),
        "corrected_per_ul": np.array([naive * corrected]),
        "age_years": np.array([age]),
    }
    return {"cd4_naive": row, "cd8_naive": row}


@given(age=st.floats(0, 80), divisions=st.integers(1, 4))
def test_every_division_halves_the_circles_of_a_cell(settings_for, age, divisions):
    """A pool whose thymic share has halved n times was diluted by n divisions."""
    settings = settings_for("immunity")
    later = age + divisions * settings["blood.thymic_age_years"] * np.log(2)
    assert trec_per_cell(later, settings) == pytest.approx(trec_per_cell(age, settings) / 2**divisions)


@given(cells=st.floats(0, 5000), times=st.floats(1, 10), corrected=st.floats(0, 1))
def test_circles_are_proportional_to_the_cells_of_the_thymus(settings_for, cells, times, corrected):
    settings = settings_for("immunity")
    few, many = (trec(naive_counts(cells * by, corrected), settings)[0] for by in (1, times))
    assert many == pytest.approx(few * times)


def test_newborns_have_the_published_circles(settings_for):
    """Median 195 per uL, 2,739 newborns, Gordukova 2019; within 5 %."""
    normal = trec_normal(np.array([0.0]), NORMS, settings_for("immunity"))
    assert normal[0] == pytest.approx(195, rel=0.05)


def test_adults_have_a_hundredth_of_a_circle_in_a_naive_cell(settings_for):
    """0.01 in a published model of adults; its age is not given: between 30 and 50 years."""
    content = trec_per_cell(np.array([30.0, 50.0]), settings_for("immunity"))
    assert content[1] < 0.01 < content[0]


def test_maternal_cells_of_x_scid_have_no_circle(settings_for):
    settings = settings_for("immunity", disease="x_scid")
    assert trec(naive_counts(100.0, 0.0), settings) == 0
    assert trec(naive_counts(100.0, 0.5), settings) > 0


# IgG -------------------------------------------------------------------------------------------


def half_life_months(settings):
    return settings["igg.half_life_days"] / (365.25 / 12)


@given(b_cells=st.floats(0, 3), helpers=st.floats(0, 3), more=st.floats(0, 2))
def test_igg_rises_with_b_cells_and_with_help(settings_for, b_cells, helpers, more):
    settings = settings_for("immunity")
    base = igg_drive(b_cells, helpers, settings)
    assert 0 <= base <= igg_drive(b_cells + more, helpers, settings) <= 1
    assert base <= igg_drive(b_cells, helpers + more, settings) <= 1


def test_igg_is_normal_at_the_medians_and_none_without_b_cells_or_help(settings_for):
    settings = settings_for("immunity")
    assert igg_drive(1.0, 1.0, settings) == pytest.approx(1)
    assert igg_drive(0.0, 1.0, settings) == igg_drive(1.0, 0.0, settings) == 0


@given(drive=st.floats(0, 1), start=st.floats(0, 1))
def test_igg_ends_where_the_drive_keeps_it(settings_for, drive, start):
    found = own_igg(np.array([1.0, ENDLESS]), np.array([drive, drive]), start, settings_for("immunity"))
    assert found[-1] == pytest.approx(drive, abs=1e-9)


def test_igg_without_production_halves_in_its_half_life(settings_for):
    """Nothing is made and no plasma cell is left: pure decay."""
    half = half_life_months(settings_for("immunity"))
    igg = 1.0
    for left in (0.5, 0.25, 0.125):
        _, igg = follow(half, 0.0, 0.0, 0.0, igg, 4.0, half / np.log(2))
        assert igg == pytest.approx(left)


@pytest.mark.parametrize("visits", [[1, 3, 6, 12, 24], [2, 30]])
def test_igg_agrees_with_a_numerical_solution(settings_for, visits):
    """The two equations by an explicit solver at 1e-10, with the drive a line between visits."""
    settings, visits = settings_for("immunity"), np.array(visits, float)
    a, b = settings["igg.plasma_cell_months"], half_life_months(settings) / np.log(2)
    times, drive = np.append(0, visits), np.append(0.1, np.linspace(0.3, 1.0, len(visits)))

    def change(month, state):
        return (np.interp(month, times, drive) - state[0]) / a, (state[0] - state[1]) / b

    solved = solve_ivp(
        change, (0, visits[-1]), [0.1, 0.1], t_eval=visits, rtol=1e-10, atol=1e-12, max_step=0.5
    )
    assert own_igg(visits, drive[1:], 0.1, settings) == pytest.approx(solved.y[1], rel=1e-6)


def test_igg_does_not_depend_on_visits_between(settings_for):
    """One step or many under the same straight drive."""
    settings, few = settings_for("immunity"), np.array([12.0])
    many = np.arange(1, 13.0)
    assert own_igg(many, many / 12, 0.0, settings)[-1] == pytest.approx(
        own_igg(few, few / 12, 0.0, settings)[0]
    )


@pytest.mark.parametrize(("age", "lower", "upper"), [(2.5, 4.86, 11.4), (3.5, 4.97, 11.7), (30, 6.84, 14.3)])
def test_igg_intervals_are_reproduced_by_their_norms(age, lower, upper):
    norms = igg_norms([tuple(row) for row in tables()["igg_norms"]["rows"]])
    z = norms.z_score("igg", np.array([lower, upper]), np.array([age, age]))
    assert z == pytest.approx([-1.96, 1.96], abs=1e-3)


# Tables of a patient -----------------------------------------------------------------------------


def of(patient, healthy, settings, infused=False):
    """Tables of somebody with the cells of a twin at month 0."""
    products = pa.table({"infused": [infused]})
    made = reconstitute(
        patient, {"products": products, "counts": twin_counts(patient, healthy, settings)}, settings
    )
    return {name: table.to_pandas() for name, table in made.items()}


@pytest.mark.parametrize("age", [0.6, 5.0, 20.0, 60.0])
def test_a_median_person_is_normal_in_everything(patient, settings_for, age):
    """CD3+ cells are counted without those that are neither CD4+ nor CD8+: up to 0.3 sd below their norm."""
    made = of({**patient, "age_years": age}, True, settings_for("immunity"))
    cells = made["reconstitution"].set_index("cell")
    assert set(cells.index) == set(CELLS)
    assert cells["z_score"].drop("cd3").abs().max() < 0.15
    assert -0.3 < cells.loc["cd3", "z_score"] < 0.15
    assert cells["centile"].between(0.38, 0.56).all()
    assert (cells[["score", "functional_score"]] == 100).all(axis=None)
    marks = made["immune_markers"].iloc[0]
    assert marks["igg_g_per_l"] == pytest.approx(marks["igg_normal_g_per_l"], rel=0.02)
    assert marks["trec_per_ul"] == pytest.approx(marks["trec_normal_per_ul"], rel=0.06)
    assert marks[["thymus_recovered", "igg_normal", "igg_independent"]].all()
    assert (made["milestones"]["month"] == 0).all()


def test_untreated_x_scid_has_no_thymus_and_depends_on_immunoglobulin(patient, settings_for):
    made = of({**patient, "age_years": 0.5}, False, settings_for("immunity", disease="x_scid"))
    marks = made["immune_markers"].iloc[0]
    assert marks["trec_per_ul"] == 0
    assert not marks[["thymus_recovered", "igg_normal", "igg_independent"]].any()
    assert marks["igg_g_per_l"] < 0.5
    reached = made["milestones"].set_index("milestone")["month"]
    assert reached.drop("b_cell_normal").isna().all()
    assert reached["b_cell_normal"] == 0


def test_z_score_of_no_cells_is_the_least(patient, settings_for):
    settings = settings_for("immunity")
    counts = twin_counts(patient, True, settings).to_pandas()
    counts[["count_per_ul", "corrected_per_ul"]] = 0.0
    inputs = {
        "products": pa.table({"infused": [True]}),
        "counts": pa.Table.from_pandas(counts, preserve_index=False),
    }
    made = reconstitute(patient, inputs, settings)
    assert set(made["reconstitution"]["z_score"].to_pylist()) == {LOWEST_Z}
    assert set(made["reconstitution"]["centile"].to_pylist()) == {0.0}


def test_a_milestone_is_the_first_visit_that_shows_it():
    months = np.array([1.0, 3.0, 6.0, 12.0])
    assert first_visit(months, np.array([False, True, False, True])) == 3
    assert first_visit(months, np.zeros(4, bool)) is None


@given(counts=st.lists(st.floats(0, 2000), min_size=3, max_size=3), more=st.floats(0, 500))
def test_more_cells_reach_a_milestone_no_later(settings_for, counts, more):
    settings, months = settings_for("immunity"), np.array([1.0, 6.0, 12.0])
    held = dict.fromkeys(("igg_independent", "thymus_recovered"), np.zeros(3, bool))

    def reached(extra):
        helpers = np.array(counts) + extra
        cells = {
            cell: {"count_per_ul": helpers, "centile": np.clip(helpers / 2500, 0, 1)}
            for cell in ("cd4_t", "cd3", "cd4_naive", "b_cell", "nk_cell")
        }
        return {name: first_visit(months, seen) for name, seen in milestones(cells, held, settings).items()}

    few, many = reached(0.0), reached(more)
    for name, month in few.items():
        assert month is None or many[name] <= month


def test_naive_and_memory_cells_share_the_function_of_their_kind(settings_for):
    settings = settings_for("immunity")
    assert uncorrected_function("cd4_naive", False, settings) == uncorrected_function(
        "cd4_t", False, settings
    )
    assert uncorrected_function("cd4_naive", False, settings) < 1


def test_functional_naive_cells_are_no_more_than_all(patient, settings_for):
    counts = by_lineage(twin_counts(patient, False, settings_for("immunity")))["cd4_naive"]
    assert functional_count(counts, 0.2)[0] == pytest.approx(0.2 * counts["count_per_ul"][0])


@pytest.mark.parametrize(("share", "least", "most"), [(0.05, 0, 2), (0.15, 70, 95), (0.4, 99.9, 100)])
def test_neutrophil_score_follows_the_oxidase_positive_share(settings_for, share, least, most):
    """The steps of Marciano 2018: danger below 10 %, less below 20 %, none read above."""
    settings = settings_for("immunity", disease="x_cgd")
    norms = Norms(settings.rows("cell_norms"))
    age, count = np.array([10.0]), norms.median("neutrophil", np.array([10.0]))
    row = {
        "month": np.array([12.0]),
        "age_years": age,
        "count_per_ul": count,
        "corrected_per_ul": share * count,
    }
    rows = cell_rows(
        "neutrophil", ("neutrophil",), {"neutrophil": row}, {"neutrophil": share * count}, norms, settings
    )
    assert least <= rows["functional_score"][0] <= most
