"""Immunity: scores of counts, the course of one infection, and a composite that hides nothing."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hsc_pipeline import chain
from hsc_pipeline.blood.lineages import COUNTS, LINEAGES, T_OF, of_lineage
from hsc_pipeline.engraftment import MARROW
from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity import INPUTS, assess_patient
from hsc_pipeline.immunity.challenge import _change, clearance_day, clearance_score, infect
from hsc_pipeline.immunity.reconstitution import (
    count_score,
    functional_count,
    normal_cdf,
    uncorrected_function,
)
from hsc_pipeline.immunity.score import DOMAINS, geometric_mean, points_lost
from hsc_pipeline.immunity.twins import median_count
from hsc_pipeline.norms import Norms
from hsc_pipeline.study import load_study
from tests.conftest import STUDY
from tests.statistics_of import under

EFFECTORS = ("cd8_t", "cd4_t", "b_cell", "nk_cell")
# The virus alone: Baccam 2006 without any response and without new target cells.
DEFENCELESS = {
    "response.nk_killing": 0,
    "response.t_cell_killing": 0,
    "response.antibody_effect": 0,
    "pathogen.target_regrowth": 0,
}


def effectors(**relative):
    """Effectors of some courses against the norm; those not named are normal."""
    courses = max(map(np.size, relative.values()), default=1)
    return {cell: np.broadcast_to(relative.get(cell, 1.0), courses).astype(float) for cell in EFFECTORS}


# Counts -----------------------------------------------------------------------------------------


@given(z=st.floats(-6, 6), more=st.floats(0, 3))
def test_count_score_never_falls_with_the_count(z, more):
    low, high = count_score(np.array([z, z + more]), 0.10)
    assert 0 <= low <= high <= 100


@given(z=st.floats(-1.2815, 10))
def test_count_score_is_full_from_the_tenth_centile_without_reward_for_excess(z):
    assert count_score(np.array([z]), 0.10)[0] == 100


@pytest.mark.parametrize(
    ("z", "score"), [(-np.inf, 0), (-1.2815516, 100), (-1.6448536, 50), (-2.3263479, 10)]
)
def test_count_score_agrees_with_normal_centiles(z, score):
    """Phi of -1.28, -1.64 and -2.33 is 10, 5 and 1 %."""
    assert count_score(np.array([z]), 0.10)[0] == pytest.approx(score, abs=1e-4)
    assert normal_cdf(np.array([z]))[0] == pytest.approx(score / 1000, abs=1e-6)


@given(total=st.floats(0, 1e4), corrected=st.floats(0, 1), function=st.floats(0, 1))
def test_functional_cells_lie_between_the_corrected_and_all(total, corrected, function):
    lineage = {"count_per_ul": np.array([total]), "corrected_per_ul": np.array([total * corrected])}
    functional = functional_count(lineage, function)[0]
    assert total * corrected * (1 - 1e-12) <= functional <= total * (1 + 1e-12)


def test_null_genotype_lowers_the_function_of_uncorrected_cells_only_where_the_disease_acts(settings_for):
    settings = settings_for("immunity")
    factor = settings["disease.null_function_factor"]
    assert uncorrected_function("cd4_t", True, settings) == factor * uncorrected_function(
        "cd4_t", False, settings
    )
    assert uncorrected_function("neutrophil", True, settings) == 1


# The infection ----------------------------------------------------------------------------------


def reproduction_number(settings):
    """p beta T0 / (c delta)."""
    v = under(settings, "pathogen")
    growth = v["production"] * v["infection_rate"] * v["target_cells"]
    return growth / (v["virion_clearance"] * v["infected_cell_death"])


def test_reproduction_number_agrees_with_baccam_2006(settings_for):
    assert reproduction_number(settings_for("immunity")) == pytest.approx(22, abs=0.5)


@pytest.mark.parametrize(("effective", "grows"), [(0.5, False), (0.95, False), (1.3, True), (21.8, True)])
@pytest.mark.parametrize("how", ["pathogen.infection_rate", "pathogen.virion_clearance"])
def test_no_growth_below_an_effective_reproduction_number_of_one(settings_for, how, effective, grows):
    """R0 (1 - protection) < 1, by fewer infections or faster clearance: the load stays below the inoculum."""
    plain = settings_for("immunity", DEFENCELESS)
    factor = effective / reproduction_number(plain)
    scaled = {how: plain[how] * (factor if how == "pathogen.infection_rate" else 1 / factor)}
    course = infect(effectors(), settings_for("immunity", {**DEFENCELESS, **scaled}), "test")
    assert (course.load.max() > 1.01 * plain["pathogen.inoculum"]) == grows


@pytest.mark.parametrize("effective", [2.0, 5.0])
def test_final_size_agrees_with_the_closed_form(settings_for, effective):
    """Without responses ln(T_end/T0) = -R0 (1 - T_end/T0) - beta V0/c, as in an SEIR epidemic."""
    plain = settings_for("immunity", DEFENCELESS)
    beta = plain["pathogen.infection_rate"] * effective / reproduction_number(plain)
    settings = settings_for(
        "immunity", {**DEFENCELESS, "pathogen.infection_rate": beta, "challenge.horizon_days": 90}
    )
    left = infect(effectors(), settings, "test").states[0, 0, -1] / settings["pathogen.target_cells"]
    assert np.log(left) == pytest.approx(-effective * (1 - left), rel=2e-3)


STATE = st.tuples(*[st.floats(0, 4e8)] * 3, st.floats(0, 1e7), *[st.floats(0, 1e4)] * 3)


@given(state=STATE, cd8=st.floats(0, 3), nk=st.floats(0, 3))
def test_cells_are_conserved_where_none_regrow(settings_for, state, cd8, nk):
    """T + E + I + dead = T0: what leaves the three is what dies, delta + nu N + kappa K per infected cell."""
    settings = settings_for("immunity", {"pathogen.target_regrowth": 0})
    change = _change(0.0, np.array(state), effectors(cd8_t=cd8, nk_cell=nk), settings)
    _, _, infected, _, killers, _, _ = state
    dying = infected * (
        settings["pathogen.infected_cell_death"]
        + settings["response.nk_killing"] * nk
        + settings["response.t_cell_killing"] * killers
    )
    largest = max(1.0, *np.abs(change[:3]))
    assert change[:3].sum() == pytest.approx(-dying, abs=1e-12 * largest)


def test_the_uninfected_stay_as_they_are(settings_for):
    """Without virus every state is at rest, whatever the cells of the patient."""
    settings = settings_for("immunity")
    relative = effectors(cd8_t=0.3, cd4_t=0.5, b_cell=1.7, nk_cell=0.2)
    rest = np.array([settings["pathogen.target_cells"], 0, 0, 0, 0.3, 1.7, 0])
    assert (_change(0.0, rest, relative, settings) == 0).all()


def test_courses_begin_with_the_cells_of_the_patient(settings_for):
    settings = settings_for("immunity")
    states = infect(effectors(cd8_t=0.3, b_cell=1.7), settings, "test").states[:, 0, 0]
    start = [settings["pathogen.target_cells"], 0, 0, settings["pathogen.inoculum"], 0.3, 1.7, 0]
    assert states == pytest.approx(start)


@pytest.mark.parametrize("help_given", [0.0, 0.4, 1.0, 3.0])
def test_help_carries_plasmablasts_wholly_and_killers_in_part(settings_for, help_given):
    """At full drive B grows by g H and K by a (1 - h + h H), and help beyond the norm adds nothing."""
    settings = settings_for("immunity")
    v, given = under(settings, "response"), min(help_given, 1)
    state = np.array([0, 0, 1e12, 0, 2.0, 3.0, 0])
    change = _change(0.0, state, effectors(cd4_t=help_given, cd8_t=2.0, b_cell=3.0), settings)
    grown = v["t_cell_expansion"] * (1 - v["help_share"] + v["help_share"] * given) * 2
    assert change[4] == pytest.approx(grown * (1 - 2 / v["most_killers"]))
    assert change[5] == pytest.approx(v["plasmablast_expansion"] * given * 3)


def reference_course(relative, settings):
    """The same equations by an implicit method at a far finer tolerance."""
    start = np.zeros(7)
    start[0], start[3] = settings["pathogen.target_cells"], settings["pathogen.inoculum"]
    start[4], start[5] = relative["cd8_t"][0], relative["b_cell"][0]
    days = np.linspace(0, 28, 281)
    solved = solve_ivp(
        _change, (0, 28), start, method="Radau", t_eval=days, args=(relative, settings), rtol=1e-7, atol=1e-7
    )
    return SimpleNamespace(days=days, load=solved.y[3][:, None])


@pytest.mark.parametrize("level", [0.02, 1.0])
def test_the_course_agrees_with_a_finer_solver(settings_for, level):
    """Peak and area to 0.5 %, clearance to one step of 0.1 day."""
    settings = settings_for("immunity")
    relative = effectors(**dict.fromkeys(EFFECTORS, np.array([level])))
    course, fine = infect(relative, settings, "test"), reference_course(relative, settings)
    assert course.load.max() == pytest.approx(fine.load.max(), rel=5e-3)
    assert np.trapezoid(course.load, course.days, axis=0) == pytest.approx(
        np.trapezoid(fine.load, fine.days, axis=0), rel=5e-3
    )
    detection = settings["pathogen.detection"]
    assert clearance_day(course, detection)[0] == pytest.approx(clearance_day(fine, detection)[0], abs=0.11)


def test_a_course_does_not_depend_on_those_solved_beside_it(settings_for):
    settings, levels = settings_for("immunity"), np.array([0.05, 0.3, 1.0])
    together = infect(effectors(cd8_t=levels), settings, "test").load
    alone = [infect(effectors(cd8_t=levels[i : i + 1]), settings, "test").load[:, 0] for i in range(3)]
    assert together.max(axis=0) == pytest.approx(np.max(alone, axis=1), rel=1e-3)


@pytest.mark.parametrize("cell", [*EFFECTORS, "all"])
def test_more_effectors_never_worsen_the_infection(settings_for, cell):
    """Peak, area and day of clearance fall, or stay, with each kind of cell; numerical slack 0.1 %."""
    settings, levels = settings_for("immunity"), np.array([0.0, 0.05, 0.2, 0.5, 0.8, 1.0, 2.0])
    course = infect(
        effectors(**dict.fromkeys(EFFECTORS if cell == "all" else [cell], levels)), settings, "test"
    )
    for measure in (course.load.max(axis=0), np.trapezoid(course.load, course.days, axis=0)):
        assert (measure[1:] <= measure[:-1] * 1.001).all()
    assert (np.diff(clearance_day(course, settings["pathogen.detection"])) <= 0).all()


def test_killer_t_cells_make_the_area_smaller(settings_for):
    settings = settings_for("immunity")
    course = infect(effectors(cd8_t=np.array([0.1, 1.0])), settings, "test")
    few, normal = np.trapezoid(course.load, course.days, axis=0)
    assert normal < 0.95 * few


def test_clearance_is_sought_after_the_peak_and_is_the_horizon_where_it_never_comes():
    days = np.arange(5.0)
    load = np.array([[0.1, 0.1], [5, 5], [9, 8], [0.5, 7], [0.2, 6]])
    assert clearance_day(SimpleNamespace(days=days, load=load), 1.0).tolist() == [3, 4]


def test_clearance_score_is_linear_in_days_to_spare():
    assert clearance_score(np.array([9.0, 18.5, 28.0, 5.0]), 9.0, 28.0).tolist() == [100, 50, 0, 100]


def test_a_healthy_twin_who_never_clears_is_an_impossible_model():
    with pytest.raises(ModelError, match="healthy twin"):
        clearance_score(np.array([28.0]), 28.0, 28.0)


def test_a_solver_that_fails_names_the_patient(settings_for, monkeypatch):
    failed = SimpleNamespace(success=False, message="step size became zero")
    monkeypatch.setattr("scipy.integrate.solve_ivp", lambda *args, **kwargs: failed)
    with pytest.raises(ModelError, match=r"patient 7: .* step size became zero"):
        infect(effectors(), settings_for("immunity"), "patient 7")


# One patient ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs():
    """Tables of the earlier stages of patient 0, whose product held a handful of stem cells."""
    made = chain.simulate_arm(load_study({**STUDY, "set": {"product.lt_hsc_per_cd34": 1e-5}}), "trial", [0])
    return {name: made[name] for name in INPUTS}


@pytest.fixture
def assess(patient, settings_for, inputs):
    """Tables of a patient whose lineages stand at `relative` of the median, corrected to a fraction."""

    def scored(relative=1.0, corrected=1.0, *, months=(12.0,), null=False, **lineages):
        settings = settings_for("immunity")
        norms, age = Norms(settings.rows("cell_norms")), patient["age_years"] + 1
        rows = [
            {
                "patient": 0,
                "month": month,
                "age_years": age,
                "lineage": lineage,
                "count_per_ul": median_count(lineage, age, norms)
                * lineages.get(T_OF.get(lineage, lineage), relative),
            }
            for lineage in LINEAGES
            for month in months
        ]
        counts = pd.DataFrame(rows)
        counts["corrected_per_ul"] = counts["count_per_ul"] * corrected
        shares = ("corrected_fraction", "stem_cell_share", "function")
        counts = counts.assign(**dict.fromkeys(shares, corrected))
        counts = counts.assign(**dict.fromkeys(("thymic_share", "vcn", "vcn_measured"), 0.0))
        tables = {**inputs, "counts": COUNTS.build({name: counts[name] for name in COUNTS.columns})}
        marrow = inputs["marrow"].to_pandas()
        cells = [round(100_000 * share) for share in (1 - corrected, corrected)]
        marrow = marrow.assign(host=cells[0], uncorrected=0, corrected=cells[1])
        tables["marrow"] = MARROW.build({name: marrow[name] for name in MARROW.columns})
        made = assess_patient({**patient, "null_genotype": null}, tables, settings)
        return {name: table.to_pandas() for name, table in made.items()}

    return scored


def own(tables):
    """Scores of the patient at the visits."""
    scores = tables["scores"]
    return scores[scores["who"] == "patient"].reset_index(drop=True)


def test_the_median_healthy_twin_scores_100(assess):
    tables = assess()
    healthy = tables["scores"].set_index("who").loc["healthy"]
    assert (healthy[[*DOMAINS, "composite"]] == 100).all()
    assert (own(tables)[[*DOMAINS, "composite"]] > 99).all(axis=None)
    healthy = tables["challenges"].set_index("who").loc["healthy"]
    assert healthy["score"] == 100
    patient = tables["challenges"].set_index("who").loc["patient"]
    assert patient["clearance_day"] == healthy["clearance_day"]


def test_more_cells_than_normal_earn_nothing(assess):
    assert own(assess(3.0))["composite"].gt(99).all()


def test_the_untreated_twin_is_worse_than_the_healthy_one(assess):
    for null in (False, True):
        twins = assess(null=null)["challenges"].set_index("who")
        assert twins.loc["untreated", "clearance_day"] > twins.loc["healthy", "clearance_day"] + 1
        assert twins.loc["untreated", "area"] > twins.loc["healthy", "area"]
        assert twins.loc["untreated", "score"] < 100


def test_a_null_genotype_makes_the_untreated_twin_worse(assess):
    missense, null = (
        assess(null=n)["challenges"].set_index("who").loc["untreated", "score"] for n in (False, True)
    )
    assert null < missense


def test_an_uncorrected_patient_with_untreated_counts_is_the_untreated_twin(assess, settings_for):
    """Two ways to the same course: counts of the disease, none of the cells corrected."""
    settings = settings_for("immunity")
    counts = {
        lineage: of_lineage(settings, "disease.untreated_count", lineage)
        for lineage in LINEAGES
        if lineage not in T_OF
    }
    courses = assess(corrected=0.0, **counts)["challenges"].set_index("who")
    assert courses.loc["patient", "clearance_day"] == pytest.approx(
        courses.loc["untreated", "clearance_day"], abs=0.11
    )
    assert courses.loc["patient", "area"] == pytest.approx(courses.loc["untreated", "area"], rel=1e-3)


def test_composite_rises_with_correction(assess):
    composite = [own(assess(0.6, corrected))["composite"][0] for corrected in (0, 0.25, 0.5, 0.75, 1)]
    assert composite == sorted(composite)
    assert composite[0] < composite[-1]


def test_composite_rises_with_counts(assess):
    composite = [own(assess(relative))["composite"][0] for relative in (0, 0.05, 0.2, 0.5, 1)]
    assert composite == sorted(composite)
    assert composite[0] < 5


def test_patients_are_scored_visit_by_visit(assess):
    tables = assess(months=(6.0, 12.0))
    assert own(tables)["month"].tolist() == [6, 12]
    assert (tables["challenges"]["who"] == "patient").sum() == 2


def test_a_patient_without_any_cell_has_a_valid_row(assess):
    scores = own(assess(0.0, 0.0)).iloc[0]
    assert (scores[list(DOMAINS)] <= 1).all()
    assert 0 <= scores["composite"] < 5


# The composite ----------------------------------------------------------------------------------

PART = st.floats(0, 100)


def composite(*parts, floor=1.0):
    return geometric_mean({str(i): np.array([part]) for i, part in enumerate(parts)}, floor)[0]


@given(others=st.tuples(PART, PART, PART), floor=st.floats(0.1, 10))
def test_one_part_at_zero_cannot_hide(others, floor):
    """At most (floor x 100^3)^(1/4), 32 of 100 at a floor of one point, whatever the others."""
    assert composite(0.0, *others, floor=floor) <= (floor * 100**3) ** 0.25 * (1 + 1e-12)


@given(parts=st.tuples(PART, PART, PART, PART), more=PART)
def test_composite_never_falls_when_a_part_rises(parts, more):
    raised = (min(100, parts[0] + more), *parts[1:])
    assert composite(*parts) <= composite(*raised) * (1 + 1e-12)
    assert (
        min(max(part, 1) for part in parts) * (1 - 1e-12) <= composite(*parts) <= max(1, *parts) * (1 + 1e-12)
    )


def test_composite_of_equal_parts_is_the_part():
    assert composite(37.0, 37.0, 37.0, 37.0) == pytest.approx(37)
    assert composite(100.0, 100.0, 100.0, 100.0) == 100


@given(parts=st.fixed_dictionaries({name: st.floats(0, 100) for name in DOMAINS}), floor=st.floats(0.5, 5))
def test_points_lost_add_up_and_fall_to_the_worst_part(parts, floor):
    arrays = {name: np.array([part]) for name, part in parts.items()}
    composite = geometric_mean(arrays, floor)
    lost = points_lost(arrays, composite, floor)
    assert sum(lost.values())[0] == pytest.approx(100 - composite[0], abs=1e-6)
    worst = min(parts, key=lambda name: parts[name])
    assert lost[worst][0] == max(float(one[0]) for one in lost.values())
