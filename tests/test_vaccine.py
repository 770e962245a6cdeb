"""Vaccines: doses, waning and its fit, who responds and from when."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hsc_pipeline.errors import UserError
from hsc_pipeline.immunity.reconstitution import RECONSTITUTION
from hsc_pipeline.immunity.titres import Waning, fit_waning, give_doses, titre
from hsc_pipeline.immunity.vaccine import (
    RESPONSES,
    TITRES,
    VACCINES,
    capacity,
    dose_offsets,
    protected_share,
    respond,
    titre_scale,
    vaccinate_patient,
    waning_of,
    worthwhile_month,
)
from tests.statistics_of import LIMIT, under, z_of_mean, z_of_share

LAW = Waning(short_lived=0.7, life_years=0.25, exponent=0.4)
VISITS = (1.0, 3.0, 6.0, 12.0, 24.0, 60.0)

each_vaccine = pytest.mark.parametrize("vaccine", VACCINES)


# Doses and waning ---------------------------------------------------------------------------------


def test_a_titre_is_whole_at_the_dose_and_nothing_before():
    assert LAW.left(np.array([-0.1, 0.0])).tolist() == [0.0, 1.0]


def test_a_titre_wanes_as_the_law_says():
    """Short-lived cells by an exponential law, the rest by a power law in years."""
    years = np.array([0.25, 1.0, 3.0])
    law = 0.7 * np.exp(-years / 0.25) + 0.3 * (1 + years) ** -0.4
    np.testing.assert_allclose(LAW.left(years), law, rtol=1e-12)


@given(years=st.floats(0, 60), more=st.floats(0, 60))
def test_a_titre_never_rises_without_a_dose(years, more):
    early, late = LAW.left(np.array([years, years + more]))
    assert late <= early


def test_exponential_waning_agrees_with_its_differential_equation():
    """Short-lived cells alone: A' = -A/tau from a plasmablast pulse."""
    solved = solve_ivp(lambda _t, a: -a / 0.25, (0, 2), [1.0], t_eval=[0.5, 1, 2], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(Waning(1.0, 0.25, 0.4).left(solved.t), solved.y[0], rtol=1e-6)


def test_memory_of_doses_follows_its_closed_form():
    """M_k = 1 - (1 - pi c)^k, and plasmablasts c (1 + (G - 1) M) with the memory before the dose."""
    c, priming, recall = 0.6, 0.5, 10.0
    given_ = give_doses([0, 1, 6], np.full(3, c), priming, recall)
    memory = 1 - (1 - priming * c) ** np.arange(4)
    np.testing.assert_allclose(given_.memory, memory[1:], rtol=1e-12)
    np.testing.assert_allclose(given_.plasmablasts, c * (1 + (recall - 1) * memory[:3]), rtol=1e-12)


def test_titres_of_doses_add_up():
    given_ = give_doses([0, 2], np.ones((2, 3)), 0.5, 4.0)
    expected = (
        LAW.left(np.array(1.0)) * given_.plasmablasts[0]
        + LAW.left(np.array(10 / 12)) * (given_.plasmablasts[1])
    )
    np.testing.assert_allclose(titre(given_, LAW, 12.0), expected, rtol=1e-12)


# The package's own fit ----------------------------------------------------------------------------


def test_the_fit_gives_back_the_law_it_was_made_from():
    years = np.concatenate([np.arange(0, 2, 0.1), np.arange(2, 21)])
    found = fit_waning(years, 800 * LAW.left(years))
    assert found.titre == pytest.approx(800, rel=1e-4)
    assert found.waning.short_lived == pytest.approx(0.7, rel=1e-3)
    assert found.waning.life_years == pytest.approx(0.25, rel=1e-3)
    assert found.waning.exponent == pytest.approx(0.4, rel=1e-3)


def test_the_fit_is_unbiased_under_scatter_and_knows_its_error():
    """200 courses with a scatter of 10 %; the exponent would fail 5 % off, its error 25 % off."""
    rng = np.random.default_rng(5)
    years = np.concatenate([np.arange(0, 2, 0.1), np.arange(2, 21)])
    fits = [
        fit_waning(years, 800 * LAW.left(years) * np.exp(0.1 * rng.standard_normal(len(years))))
        for _ in range(200)
    ]
    exponent = np.log([fit.waning.exponent for fit in fits])
    assert abs(z_of_mean(exponent, np.log(0.4))) < LIMIT
    assert abs(z_of_mean(exponent, np.log(0.42))) > LIMIT
    stated = np.median([fit.standard_errors[3] for fit in fits])
    assert stated == pytest.approx(exponent.std(), rel=0.25)


@pytest.mark.parametrize("titres", [[1.0, 2.0, 3.0, 4.0], [5.0, 4.0, 3.0, 2.0, 0.0, 1.0]])
def test_too_few_titres_or_none_above_zero_are_refused(titres):
    with pytest.raises(UserError, match="needed: 5 or more, all above 0"):
        fit_waning(np.arange(len(titres)), np.array(titres))


# Who responds -------------------------------------------------------------------------------------


@each_vaccine
def test_a_healthy_person_reaches_the_median_titre_of_the_catalogue(settings_for, vaccine):
    settings = settings_for("immunity")
    doses = len(dose_offsets(vaccine, settings))
    made = respond(vaccine, np.ones((doses, 1)), settings)
    assert made.median[0] == pytest.approx(settings[f"vaccine.{vaccine}.median_titre"], rel=1e-9)
    assert made.responds[0] > 0.8
    assert made.lasts[0] < made.responds[0]


@each_vaccine
def test_without_b_cells_nobody_responds(settings_for, vaccine):
    settings = settings_for("immunity")
    none = capacity(vaccine, np.ones(1), np.zeros(1), settings)
    assert none[0] == 0
    made = respond(vaccine, np.tile(none, (len(dose_offsets(vaccine, settings)), 1)), settings)
    assert made.responds[0] == 0


@each_vaccine
def test_the_share_protected_is_what_drawn_people_have(settings_for, vaccine):
    """20,000 people with 2,000 serotypes each where there are many; would fail 2 percentage points off."""
    settings = settings_for("immunity")
    of = under(settings, f"vaccine.{vaccine}")
    median = 1.5 * of["threshold"]
    rng = np.random.default_rng(6)
    own = of["titre_ln_sd"] * rng.standard_normal(20_000)
    limit = np.log(of["threshold"] / median)
    if of["serotype_ln_sd"]:
        within = of["serotype_ln_sd"] * rng.standard_normal(2000)
        reached = 1 - np.searchsorted(np.sort(within), limit - own) / len(within)
        hits = reached >= of["required_share"]
    else:
        hits = own >= limit
    law = float(protected_share(vaccine, np.array([median]), settings)[0])
    # The serotypes are one sample for all people, which shifts the limit by its own error.
    slack = 0.01 if of["serotype_ln_sd"] else 0.0
    assert abs(z_of_share(hits, law)) * np.sqrt(law * (1 - law) / len(own)) < slack + LIMIT * np.sqrt(
        law * (1 - law) / len(own)
    )


@given(
    cells=st.tuples(st.floats(0, 3), st.floats(0, 3)),
    more=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    vaccine=st.sampled_from(VACCINES),
)
def test_responses_never_fall_with_more_cells(settings_for, cells, more, vaccine):
    settings = settings_for("immunity")
    helps = np.array([cells[0], cells[0] + more[0]])
    bs = np.array([cells[1], cells[1] + more[1]])
    c = capacity(vaccine, helps, bs, settings)
    assert 0 <= c[0] <= c[1] <= 1
    made = respond(vaccine, np.tile(c, (len(dose_offsets(vaccine, settings)), 1)), settings)
    for column in (made.plasmablasts, made.memory, made.median, made.responds, made.lasts):
        assert column[0] <= column[1] * (1 + 1e-12)


def test_measles_titres_some_years_on_are_those_measured(settings_for):
    """Median 845 mIU/mL, quartiles 394 and 1,683, 2,872 young people about nine years on, PMC5278779."""
    settings = settings_for("immunity")
    waning, months = waning_of("measles", settings), dose_offsets("measles", settings)
    given_ = give_doses(
        months, np.ones(2), settings["vaccine.measles.priming"], settings["vaccine.measles.recall"]
    )
    late = titre_scale("measles", settings) * float(titre(given_, waning, months[-1] + 12 * 9))
    assert late == pytest.approx(845, rel=0.25)
    quartiles = late * np.exp(np.array([-0.6745, 0.6745]) * settings["vaccine.measles.titre_ln_sd"])
    np.testing.assert_allclose(quartiles, [394, 1683], rtol=0.3)


def test_the_decline_of_a_toxoid_is_near_the_half_life_measured(settings_for):
    """Amanna 2007: 11 years for tetanus; between years 3 and 25 the law has 9 to 30."""
    law = waning_of("tetanus", settings_for("immunity"))
    halved = 22 * np.log(2) / np.log(law.left(np.array(3.0)) / law.left(np.array(25.0)))
    assert 9 < halved < 30


# Patients -----------------------------------------------------------------------------------------


def cells_of(cd4, b, months=VISITS):
    """A `RECONSTITUTION` of functional CD4+ and B cells against the median for age."""
    rows = [
        {"month": month, "cell": cell, "functional_per_ul": 1000.0 * value}
        for cell, values in (("cd4_t", cd4), ("b_cell", b))
        for month, value in zip(months, np.broadcast_to(values, len(months)), strict=True)
    ]
    same = {"patient": 0, "count_per_ul": 1000.0, "normal_per_ul": 1000.0, "z_score": 0.0, "centile": 0.5}
    rows = [same | {"score": 100.0, "functional_score": 100.0} | row for row in rows]
    return RECONSTITUTION.build({name: [row[name] for row in rows] for name in RECONSTITUTION.columns})


def vaccinate(settings_for, patient, cd4, b, disease="x_scid", **changes):
    settings = settings_for("immunity", changes, disease=disease)
    return vaccinate_patient(patient, {"reconstitution": cells_of(cd4, b)}, settings)


RISING = np.array([0.02, 0.1, 0.3, 0.8, 1.0, 1.0])


def test_responses_rise_as_cells_come_back(settings_for, patient):
    """Pneumococcal after a transplant: 43-99 % from month 3 on, more with time (Cancers 2021 13:6140)."""
    made = vaccinate(settings_for, patient, RISING, RISING)["vaccine_responses"].to_pandas()
    for vaccine in VACCINES:
        own = made[(made["vaccine"] == vaccine) & (made["who"] == "patient")]
        assert own["response_probability"].is_monotonic_increasing
        assert own["month"].tolist() == list(VISITS)
    pneumococcal = made[(made["vaccine"] == "pneumococcal") & (made["who"] == "patient")].set_index("month")
    assert 0.05 < pneumococcal.loc[3, "response_probability"] < 0.6
    assert 0.6 < pneumococcal.loc[12, "response_probability"] < 0.99


def test_twins_stand_beside_the_patient(settings_for, patient):
    """Healthy above weakened above an untreated child with SCID, who does not respond."""
    made = vaccinate(settings_for, patient, RISING, RISING)["vaccine_responses"].to_pandas()
    for vaccine in VACCINES:
        twins = made[made["vaccine"] == vaccine].set_index("who")["response_probability"]
        assert twins["healthy"] > twins["weakened"] > twins["untreated"]
        assert twins["untreated"] < 0.05
    healthy = made[made["who"] == "healthy"]
    assert (healthy["score"] == 100).all()


def test_a_live_vaccine_waits_for_time_and_t_cells(settings_for, patient):
    made = vaccinate(settings_for, patient, RISING, 1.0)["vaccine_responses"].to_pandas()
    assert worthwhile_month(made, "measles", 0.7).tolist() == [24]
    assert worthwhile_month(made, "tetanus", 0.7).item() < 24
    never = vaccinate(settings_for, patient, 0.1, 1.0)["vaccine_responses"].to_pandas()
    assert worthwhile_month(never, "measles", 0.0).empty


def test_revaccination_waits_until_it_is_worthwhile(settings_for, patient):
    made = vaccinate(settings_for, patient, RISING, RISING)["vaccine_responses"].to_pandas()
    months = [worthwhile_month(made, "pneumococcal", share).item() for share in (0.1, 0.5, 0.95)]
    assert months == sorted(months)
    assert months[0] < months[-1]


def test_titres_begin_with_the_first_dose_and_differ_between_people(settings_for, patient):
    """300 people: ln titre has the spread of the catalogue; would fail 20 % off."""
    settings = settings_for("immunity")
    tables = {"reconstitution": cells_of(1.0, 1.0)}
    found = []
    for seed in range(300):
        titres = vaccinate_patient({**patient, "patient_seed": seed}, tables, settings)["titres"].to_pandas()
        found.append(titres.query("vaccine == 'tetanus'").set_index("month"))
    assert all((course["titre"] > 0).tolist() == course["given"].tolist() for course in found)
    assert all((course["protected"] == (course["titre"] >= course["threshold"])).all() for course in found)
    ln = np.log([course.loc[24, "titre"] for course in found])
    spread = settings["vaccine.tetanus.titre_ln_sd"]
    assert spread * 0.8 < ln.std() < spread * 1.2


def test_tables_keep_their_schemas(settings_for, patient):
    made = vaccinate(settings_for, patient, RISING, RISING)
    assert isinstance(made["titres"], pa.Table)
    assert made["vaccine_responses"].num_rows == len(VACCINES) * (len(VISITS) + 3)
    assert made["titres"].num_rows == len(VACCINES) * len(VISITS)
    assert RESPONSES.check(made["vaccine_responses"]) is made["vaccine_responses"]
    assert TITRES.check(made["titres"]) is made["titres"]
