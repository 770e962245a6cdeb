"""Pathogen challenges: laws of the within-host models, and what they say of patients and their twins."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hsc_pipeline.blood.lineages import COUNTS, LINEAGES, T_OF, of_lineage
from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity.challenge import COMPOSITE_PATHOGENS, challenge_patient, functional_cells
from hsc_pipeline.immunity.pathogens import PATHOGENS, growing
from hsc_pipeline.immunity.twins import median_count
from hsc_pipeline.immunity.within_host import (
    Readings,
    growth_blocked,
    parameters_of,
    read,
    score,
    solve,
    survival,
)
from hsc_pipeline.norms import Norms

DEFENCES = [(name, cell) for name in COMPOSITE_PATHOGENS for cell in PATHOGENS[name].effectors]
# The virus alone: Baccam 2006 without any response and without new target cells.
DEFENCELESS = {"nk_killing": 0, "t_cell_killing": 0, "antibody_effect": 0, "target_regrowth": 0}


@pytest.fixture(scope="session")
def parameters(settings_for):
    """``parameters(pathogen, quantity=...)``: those of the catalogue, some replaced."""
    settings = settings_for("immunity")
    return lambda pathogen, **changes: {**parameters_of(pathogen, settings), **changes}


def effectors(pathogen, **relative):
    """Effectors of some courses; those not named are a healthy person's."""
    courses = max(map(np.size, relative.values()), default=1)
    names = PATHOGENS[pathogen].effectors
    return {
        name: np.broadcast_to(relative.get(name, float(name != "protected")), courses).astype(float)
        for name in names
    }


def reproduction_number(p):
    """p beta T0 / (c delta)."""
    return (
        p["production"]
        * p["infection_rate"]
        * p["target_cells"]
        / (p["virion_clearance"] * p["infected_cell_death"])
    )


# Growth and its end -----------------------------------------------------------------------------


def test_reproduction_number_agrees_with_baccam_2006(parameters):
    assert reproduction_number(parameters("respiratory_virus")) == pytest.approx(22, abs=0.5)


@pytest.mark.parametrize(("effective", "grows"), [(0.5, False), (0.95, False), (1.3, True), (21.8, True)])
@pytest.mark.parametrize("how", ["infection_rate", "virion_clearance"])
def test_no_growth_below_an_effective_reproduction_number_of_one(parameters, how, effective, grows):
    """R0 (1 - protection) < 1, by fewer infections or faster clearance: the load stays below the inoculum."""
    plain = parameters("respiratory_virus", **DEFENCELESS)
    factor = effective / reproduction_number(plain)
    scaled = {how: plain[how] * (factor if how == "infection_rate" else 1 / factor)}
    course = solve("respiratory_virus", effectors("respiratory_virus"), {**plain, **scaled})
    assert (course.load.max() > 1.01 * plain["inoculum"]) == grows


@pytest.mark.parametrize("effective", [2.0, 5.0])
def test_final_size_agrees_with_the_closed_form(parameters, effective):
    """Without responses ln(T_end/T0) = -R0 (1 - T_end/T0) - beta V0/c, as in an SEIR epidemic."""
    plain = parameters("respiratory_virus", **DEFENCELESS, horizon_days=90.0)
    plain["infection_rate"] *= effective / reproduction_number(plain)
    course = solve("respiratory_virus", effectors("respiratory_virus"), plain)
    left = course.states[0, -1, 0] / plain["target_cells"]
    assert np.log(left) == pytest.approx(-effective * (1 - left), rel=2e-3)


def test_hiv_grows_below_the_threshold_of_edited_cells_and_not_above(parameters):
    """The threshold 1 - 1/R0 is 87.5 % at R0 8: within 1 % of it the infected cells rise or fall."""
    p = parameters("hiv")
    threshold = 1 - 1 / p["reproduction_number"]
    shares = np.array([0.0, 0.5, threshold - 0.01, threshold + 0.01, 1.0])
    course = solve("hiv", effectors("hiv", protected=shares), p)
    infected = course.states[1:].sum(axis=0)
    assert ((infected[-1] > p["inoculum"]) == (shares < threshold)).all()
    assert ((growth_blocked(shares, p) >= 100) == (shares > threshold)).all()
    assert growth_blocked(np.array([0.0, threshold / 2]), p) == pytest.approx([0, 50])


def test_cmv_and_hiv_grow_at_the_published_rates(parameters):
    """CMV 1.82 per day without responses (Emery 2002); HIV doubles in 0.65 d (Ribeiro 2010)."""
    silent = {"nk_killing": 0, "t_cell_killing": 0, "latency_share": 0, "reactivation": 0}
    for pathogen, changes, published in (("cmv", silent, 1.82), ("hiv", {}, np.log(2) / 0.65)):
        p = parameters(pathogen, **changes, horizon_days=9.0)
        load = solve(pathogen, effectors(pathogen), p).load[:, 0]
        rate = np.log(load[-40] / load[-80]) / (40 * 9 / 280)
        assert rate == pytest.approx(published, rel=0.04)


def test_bacteria_fall_above_the_critical_concentration_of_neutrophils_and_grow_below(parameters):
    """Li 2002: net growth g (1 - N / N_c) of few bacteria, of which nothing else is left here."""
    p = parameters("bacterium")
    change = PATHOGENS["bacterium"].change(effectors("bacterium"), p)
    for share in (0.5, 0.9, 1.1, 3.0):
        state = (np.array([1e3]), np.array([0.5]), np.array([share * p["critical_neutrophils"]]))
        rate = change(*state)[0] / 1e3
        assert rate == pytest.approx(p["growth"] * (1 - share), abs=2e-3 * p["growth"])


def test_what_falls_below_one_cell_never_grows_again(parameters):
    """Extinction is real: without it epithelium that grows back would feed the virus a second time."""
    assert growing(np.array([0.0, 0.5, 1.0, 3.0])) == pytest.approx([0, 1 / 17, 0.5, 81 / 82])
    p = parameters("respiratory_virus", horizon_days=365.0)
    course = solve("respiratory_virus", effectors("respiratory_virus"), p)
    assert course.states[0, -1, 0] == pytest.approx(p["target_cells"], rel=1e-6)
    assert course.load[-1, 0] < 1e-3
    p = parameters("bacterium")
    gone = solve("bacterium", effectors("bacterium", neutrophil=np.array([0.4])), p)
    assert gone.load[-1, 0] < 1e-3


STATE = st.tuples(*[st.floats(0, 4e8)] * 3, st.floats(0, 1e7), *[st.floats(0, 1e4)] * 3)


@given(state=STATE, cd8=st.floats(0, 3), nk=st.floats(0, 3))
def test_cells_are_conserved_where_none_regrow(parameters, state, cd8, nk):
    """T + E + I + dead = T0: what leaves the three is what dies, delta + nu N + kappa K per infected cell."""
    p = parameters("respiratory_virus", target_regrowth=0)
    met = effectors("respiratory_virus", cd8_naive=cd8, nk_cell=nk)
    change = [float(np.squeeze(rate)) for rate in PATHOGENS["respiratory_virus"].change(met, p)(*state)]
    infected, killers = state[2], state[4]
    dying = infected * (p["infected_cell_death"] + p["nk_killing"] * nk + p["t_cell_killing"] * killers)
    assert sum(change[:3]) == pytest.approx(-dying, abs=1e-12 * max(1.0, *np.abs(change[:3])))


def test_hiv_and_cmv_neither_make_nor_lose_cells_but_by_their_rates(parameters):
    """What leaves the targets enters eclipse; in CMV what a cell infects turns latent or enters eclipse."""
    state = tuple(np.array([x]) for x in (1e10, 1e6, 2e6))
    p = parameters("hiv", target_renewal=0)
    change = PATHOGENS["hiv"].change(effectors("hiv"), p)(*state)
    assert sum(change)[0] == pytest.approx(-p["infected_cell_death"] * 2e6)
    p = parameters("cmv")
    change = PATHOGENS["cmv"].change(effectors("cmv", nk_cell=0.0), p)(*state[1:], state[2], np.array([0.0]))
    made = p["reproduction_number"] * p["infected_cell_death"] * 2e6 * (1 - 4e6 / p["most_infected"])
    assert sum(change[:3])[0] == pytest.approx(made - p["infected_cell_death"] * 2e6)


# The solver -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pathogen", PATHOGENS)
def test_courses_agree_with_a_finer_implicit_solver(parameters, pathogen):
    """Peak and area to 1 %, at each step 1 % of the peak, weak and healthy alike."""
    p, model = parameters(pathogen), PATHOGENS[pathogen]
    for level in (0.05, 0.3, 1.0):
        met = effectors(pathogen, **{name: np.array([level]) for name in model.effectors})
        course, change = solve(pathogen, met, p), model.change(met, p)
        if not course.load.max() > p["detection"]:
            continue
        fine = solve_ivp(
            lambda _day, flat, change=change: np.ravel([np.squeeze(rate) for rate in change(*flat)]),
            (0, p["horizon_days"]),
            [float(np.squeeze(value)) for value in model.start(met, p)],
            method="Radau",
            t_eval=course.days,
            rtol=1e-8,
            atol=np.array(model.tolerance) / 100,
        )
        load = np.squeeze(model.load(tuple(fine.y), p))
        assert course.load[:, 0] == pytest.approx(load, abs=0.01 * load.max())
        assert np.trapezoid(course.load[:, 0], course.days) == pytest.approx(
            np.trapezoid(load, course.days), rel=0.01
        )


@pytest.mark.parametrize("pathogen", PATHOGENS)
def test_a_course_does_not_depend_on_those_solved_beside_it(parameters, pathogen):
    """Nor on whether its parameters come as numbers or as one of an array of draws."""
    p, names = parameters(pathogen), PATHOGENS[pathogen].effectors
    levels, death = np.array([0.05, 0.3, 1.0]), np.array([0.8, 1.0, 1.2])
    varied = {name: p[name] * death for name in ("detection", "infected_cell_death", "growth") if name in p}
    together = solve(pathogen, effectors(pathogen, **dict.fromkeys(names, levels)), {**p, **varied}).load
    for i, level in enumerate(levels):
        own = {**p, **{name: draws[i] for name, draws in varied.items()}}
        alone = solve(pathogen, effectors(pathogen, **dict.fromkeys(names, np.array([level]))), own).load[
            :, 0
        ]
        assert together[:, i].max() == pytest.approx(alone.max(), rel=2e-3)
        assert together[:, i].sum() == pytest.approx(alone.sum(), rel=5e-3)


def test_a_solver_that_fails_names_patient_pathogen_and_parameters(parameters, monkeypatch):
    monkeypatch.setattr("hsc_pipeline.immunity.within_host.MOST_STEPS", 1)
    told = r"patient 7: the course of cmv could not be solved: .* reproduction_number 15\.1"
    with pytest.raises(ModelError, match=told):
        solve("cmv", effectors("cmv"), parameters("cmv"), "patient 7")


def test_a_state_far_below_zero_is_an_error(parameters):
    p = parameters("opportunist", inoculum=-3.0, horizon_days=1.0)
    with pytest.raises(ModelError, match=r"below zero.*inoculum -3"):
        solve("opportunist", effectors("opportunist"), p)


# What is read off -------------------------------------------------------------------------------


def test_clearance_is_for_good_and_is_the_horizon_where_it_never_comes():
    """A relapse counts; a load that is never found is cleared on day 0."""
    load = np.array([[0.1, 5, 0.1], [5, 5, 0.2], [0.2, 8, 0.1], [3, 7, 0.3], [0.2, 6, 0.1]])
    readings = read(SimpleNamespace(days=np.arange(5.0), load=load), {"detection": 1.0})
    assert readings.day.tolist() == [4, 4, 0]
    assert readings.cleared.tolist() == [True, False, True]
    assert readings.area[0] == pytest.approx(8.35)


RULE = {"detection": 1.0, "fatal_ratio": 10.0, "fatal_slope": 2.0, "horizon_days": 30.0, "day_share": 0.5}


def readings_of(area, day, *, cleared=True):
    area, day = np.atleast_1d(area).astype(float), np.atleast_1d(day).astype(float)
    return Readings(area, area, day, np.full(len(area), cleared))


def test_survival_is_logistic_in_the_logarithm_of_the_area():
    """Half at fatal_ratio times the healthy twin's area, and odds that fall by its power."""
    healthy = readings_of(9, 10)
    assert survival(readings_of([99, 999], 10), healthy, RULE) == pytest.approx([0.5, 1 / 101])
    assert survival(healthy, healthy, RULE) == pytest.approx(1 / 1.01)


def test_score_is_survival_of_which_a_part_is_for_days_to_spare():
    healthy = readings_of(9, 10)
    assert score(healthy, healthy, RULE, "test") == pytest.approx(100)
    assert score(readings_of(9, 20), healthy, RULE, "test") == pytest.approx(75)
    assert score(readings_of(9, 30, cleared=False), healthy, RULE, "test") == pytest.approx(50)
    assert score(readings_of(1, 5), healthy, RULE, "test") == pytest.approx(100)


def test_a_healthy_twin_who_never_clears_is_an_impossible_model():
    with pytest.raises(ModelError, match="healthy twin"):
        score(readings_of(9, 30), readings_of(9, 30, cleared=False), RULE, "test")


# Monotony ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pathogen", "cell"), [*DEFENCES, *((name, "all") for name in COMPOSITE_PATHOGENS)])
def test_more_effectors_never_worsen_an_infection(parameters, pathogen, cell):
    """Peak and area fall, or stay, and the score rises, with each kind of cell; numerical slack 0.1 %."""
    levels = np.array([0, 0.003, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1, 2])
    p, names = parameters(pathogen), PATHOGENS[pathogen].effectors
    for others in (1.0, 0.2):
        met = {name: levels if cell in (name, "all") else np.full(len(levels), others) for name in names}
        readings = read(solve(pathogen, {n: np.append(v, 1.0) for n, v in met.items()}, p), p)
        for measure in (readings.peak, readings.area):
            assert (measure[1:-1] <= measure[:-2] * 1.001).all()
        points = score(readings, readings.of(slice(-1, None)), p)[:-1]
        assert (np.diff(points) >= -0.1).all()


@given(data=st.data(), more=st.floats(1.05, 5))
@hypothesis_settings(max_examples=20)
@pytest.mark.parametrize("pathogen", COMPOSITE_PATHOGENS)
def test_scores_never_fall_with_any_mixture_of_effectors(parameters, pathogen, data, more):
    p, names = parameters(pathogen), PATHOGENS[pathogen].effectors
    levels = {name: data.draw(st.floats(0.001, 2), label=name) for name in names}
    raised = data.draw(st.sampled_from(names), label="raised")
    met = {name: np.array([at, at * (more if name == raised else 1), 1.0]) for name, at in levels.items()}
    readings = read(solve(pathogen, met, p), p)
    few, many, healthy = score(readings, readings.of(slice(2, None)), p)
    assert 0 <= few <= many + 0.1
    assert many <= healthy + 1e-9 == 100 + 1e-9


@given(share=st.floats(0, 1), more=st.floats(0, 1))
def test_more_edited_cells_never_help_hiv(parameters, share, more):
    p, shares = parameters("hiv"), np.array([share, min(share + more, 1.0)])
    course = solve("hiv", effectors("hiv", protected=shares), p)
    assert np.diff(course.load.max(axis=0)) <= 1e-3 * course.load.max()
    assert np.diff(course.load[-1]) <= 1e-3 * course.load.max()
    assert np.diff(growth_blocked(shares, p)) >= 0


# Patients and twins -----------------------------------------------------------------------------


@pytest.fixture
def challenged(patient, settings_for):
    """Tables of a patient of a disease with cells against the norm, corrected to a fraction."""

    def met(disease="was", changes=None, *, corrected=1.0, function=1.0, null=False, relative=None, **keys):
        settings = settings_for("immunity", changes, disease=disease, **keys)
        norms, age, relative = Norms(settings.rows("cell_norms")), 21.0, relative or {}
        counts = pd.DataFrame(
            {
                "patient": 0,
                "month": month,
                "age_years": age,
                "lineage": name,
                "count_per_ul": median_count(name, age, norms) * relative.get(name, 1.0),
            }
            for name in LINEAGES
            for month in (6.0, 12.0)
        )
        counts["corrected_per_ul"] = counts["count_per_ul"] * corrected
        counts = counts.assign(
            corrected_fraction=corrected, stem_cell_share=0.0, function=corrected * function
        )
        counts = counts.assign(**dict.fromkeys(("thymic_share", "vcn", "vcn_measured"), 0.0))
        table = COUNTS.build({name: counts[name] for name in COUNTS.columns})
        made = challenge_patient({**patient, "null_genotype": null}, {"counts": table}, settings)
        return {name: table.to_pandas() for name, table in made.items()}

    return met


def of(tables, who, month=None):
    """Rows of one person by pathogen; of the patient at the last visit."""
    rows = tables["challenges"].query(f"who == '{who}'")
    return rows[rows["month"] == (month or rows["month"].max())].set_index("pathogen")


def test_the_healthy_twin_scores_100_for_every_pathogen_of_the_composite(challenged):
    tables = challenged()
    for who in ("healthy", "patient"):
        rows = of(tables, who).loc[list(COMPOSITE_PATHOGENS)]
        assert rows["score"].to_numpy() == pytest.approx(100, abs=0.01)
        assert rows["cleared"].all()
        assert (rows["survival"] > 0.95).all()


def test_the_untreated_twin_of_x_scid_survives_no_virus_and_no_opportunist(challenged):
    rows = of(challenged("x_scid", null=True), "untreated")
    failed = ["respiratory_virus", "cmv", "opportunist"]
    assert (rows.loc[failed, "survival"] < 0.02).all()
    assert (rows.loc[failed, "score"] < 2).all()
    assert not rows.loc[failed, "cleared"].any()
    assert rows.loc["bacterium", "score"] == pytest.approx(100, abs=0.01)


def test_the_untreated_twin_of_x_cgd_fails_the_bacterium_and_nothing_else(challenged):
    tables = challenged("x_cgd", null=True)
    untreated, healthy = of(tables, "untreated"), of(tables, "healthy")
    assert untreated.loc["bacterium", "survival"] < 0.01
    assert not untreated.loc["bacterium", "cleared"]
    others = ["respiratory_virus", "cmv", "opportunist"]
    for name in ("clearance_day", "survival", "score"):
        assert untreated.loc[others, name].to_numpy() == pytest.approx(healthy.loc[others, name], rel=1e-3)


def test_oxidase_positive_neutrophils_decide_about_the_bacterium_as_in_carriers(challenged):
    """Odds of infection 99-fold below 10 % positive cells and 12-fold below 20 % (Marciano 2018)."""
    levels = (0.0, 0.05, 0.15, 0.4, 1.0)
    rows = [of(challenged("x_cgd", null=True, corrected=q), "patient").loc["bacterium"] for q in levels]
    survived = np.array([row["survival"] for row in rows])
    assert (np.diff([row["score"] for row in rows]) >= 0).all()
    assert survived[1] < 0.05
    assert 0.6 < survived[2] < 0.9
    assert survived[3] > 0.95
    odds = (1 - survived) / survived
    assert odds[1] / odds[4] > 99
    assert 5 < odds[2] / odds[3] < 50


def test_corrected_neutrophils_count_by_their_oxidase_and_only_where_the_disease_is_theirs(settings_for):
    row = {
        "count_per_ul": np.array([100.0]),
        "corrected_per_ul": np.array([40.0]),
        "corrected_fraction": np.array([0.4]),
        "function": np.array([0.4 * 0.3]),
    }
    settings = settings_for("immunity", disease="x_cgd")
    phi, half = (
        settings["disease.uncorrected_function.neutrophil"],
        settings["pathogen.bacterium.half_oxidase"],
    )
    competent = 0.3 * (1 + half) / (0.3 + half)
    assert functional_cells("neutrophil", row, False, settings) == pytest.approx(40 * competent + 60 * phi)
    assert functional_cells("cd4_t", row, False, settings) == pytest.approx(100)
    assert functional_cells("neutrophil", row, False, settings_for("immunity")) == pytest.approx(100)


@pytest.mark.parametrize(("edited", "points"), [(0.0, 0), (0.2, 22.857), (0.8, 91.429), (0.9, 100)])
def test_hiv_is_blocked_in_proportion_to_edited_cells(challenged, edited, points):
    tables = challenged("hiv", corrected=edited)
    patient, healthy = of(tables, "patient").loc["hiv"], of(tables, "healthy").loc["hiv"]
    assert patient["score"] == pytest.approx(points, abs=0.01)
    assert healthy["score"] == 0
    assert patient["cleared"] == (edited > 0.875)
    assert np.isnan(patient["set_point_log10"]) == (edited > 0.875)
    assert patient["cd4_nadir_per_ul"] >= healthy["cd4_nadir_per_ul"] - 1e-6
    assert patient["survival"] >= healthy["survival"] - 1e-9
    assert 5.6 < healthy["peak_log10"] < 6


def test_only_a_product_against_ccr5_protects_from_hiv(challenged):
    """The catalogue's switch, and a corrected fraction of one in a disease that has nothing to do with it."""
    assert of(challenged("was"), "patient").loc["hiv", "score"] == 0
    assert of(challenged("hiv"), "patient").loc["hiv", "score"] == 100


def test_a_null_genotype_makes_the_untreated_twin_worse(challenged):
    missense, null = (of(challenged(null=n), "untreated").loc["cmv"] for n in (False, True))
    assert null["score"] < missense["score"] - 1


@pytest.mark.parametrize("disease", ["was", "x_scid"])
def test_an_uncorrected_patient_with_untreated_counts_is_the_untreated_twin(
    challenged, settings_for, disease
):
    """Two ways to the same course: counts of the disease, none of the cells corrected."""
    settings = settings_for("immunity", disease=disease)
    counts = {
        name: of_lineage(settings, "disease.untreated_count", T_OF.get(name, name), default=1.0)
        for name in LINEAGES
    }
    tables = challenged(disease, corrected=0.0, relative=counts)
    patient, untreated = of(tables, "patient"), of(tables, "untreated")
    for name in ("peak_log10", "survival", "score"):
        assert patient[name].to_numpy() == pytest.approx(untreated[name].to_numpy(), rel=2e-3, abs=1e-3)


def test_without_any_cell_nothing_that_needs_cells_is_survived(challenged):
    rows = of(challenged(relative=dict.fromkeys(LINEAGES, 0.0)), "patient").loc[list(COMPOSITE_PATHOGENS)]
    assert (rows["survival"] < 0.02).all()
    assert (rows["score"] < 2).all()


def test_courses_of_the_last_visit_and_the_twins_are_kept(challenged):
    courses = challenged()["challenge_courses"]
    assert set(courses["pathogen"]) == set(PATHOGENS)
    assert set(courses["who"]) == {"patient", "healthy", "untreated"}
    assert set(courses.query("who == 'patient'")["month"]) == {12.0}
    assert courses.groupby(["pathogen", "who"]).size().eq(29).all()
    assert courses.query("day == 0 and pathogen == 'bacterium'")["load"].eq(1000).all()


def test_precursors_of_the_acute_virus_are_naive_and_those_of_cmv_are_not(challenged):
    few = challenged(relative={"cd8_naive": 0.1})
    assert of(few, "patient").loc["respiratory_virus", "score"] < 99
    assert of(few, "patient").loc["cmv", "score"] == pytest.approx(100, abs=0.01)
