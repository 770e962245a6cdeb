"""Infection risk: published rates, a hazard that is the product of its parts, episodes that follow it."""

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from hsc_pipeline.blood.lineages import COUNTS
from hsc_pipeline.immunity.infection import (
    BACKGROUND,
    INFECTION_RISK,
    MEANING,
    draw_episodes,
    factors,
    hazard_score,
    infection_patient,
    oxidase_ratio,
    risk_of,
    shortfall,
    thymus_ratio,
)
from hsc_pipeline.immunity.markers import uncorrected_function
from hsc_pipeline.immunity.reconstitution import reconstitute
from hsc_pipeline.immunity.twins import twin_counts
from tests.statistics_of import LIMIT

SOUND = {
    "since_infusion": 12.0,
    "cd4_t": 1.0,
    "cd8_t": 1.0,
    "nk_cell": 1.0,
    "igg": 1.0,
    "thymic_share": 1.0,
    "neutrophil": 4000.0,
    "oxidase": 1.0,
}
CELLS = ("cd4_t", "cd8_t", "nk_cell", "igg", "thymic_share", "neutrophil", "oxidase")


def parts(**changed):
    """Parts of one visit, sound but for those named."""
    return {name: np.array([value]) for name, value in (SOUND | changed).items()}


def hazard(settings, **changed):
    """Hazard of a treated patient per year."""
    multiplied = factors(parts(**changed), settings)
    return settings["infection.reconstituted_per_year"] * float(np.prod(list(multiplied.values())))


# Published rates ---------------------------------------------------------------------------------


def twin_tables(patient, healthy, settings):
    """Tables of a twin: its counts, and the product of nobody infused."""
    tables = {
        "products": pa.table({"infused": [False]}),
        "counts": twin_counts(patient, healthy, settings),
    }
    return tables | reconstitute(patient, tables, settings)


def hazard_of(patient, settings, who):
    return risk_of(patient, twin_tables(patient, who != "untreated", settings), who, settings)


@pytest.mark.parametrize("null", [False, True])
def test_untreated_ada_scid_has_the_published_rate(patient, settings_for, null):
    """1.17 per person-year before gene therapy, Cicalese 2016; within 2 %."""
    settings = settings_for("immunity", disease="ada_scid")
    child = {**patient, "age_years": 2.0, "null_genotype": null}
    assert hazard_of(child, settings, "untreated")["hazard_per_year"][0] == pytest.approx(1.17, rel=0.02)


@pytest.mark.parametrize("age", [0.6, 2.0, 10.0, 30.0])
def test_a_reconstituted_patient_has_the_published_rate(patient, settings_for, age):
    """0.17 per person-year at the medians for age, Cicalese 2016."""
    settings = settings_for("immunity", disease="ada_scid")
    found = hazard_of({**patient, "age_years": age}, settings, "patient")
    assert found["hazard_per_year"][0] == pytest.approx(0.17)


def test_the_healthy_twin_has_the_rate_of_family_practices(patient, settings_for):
    settings = settings_for("immunity", disease="x_scid")
    found = hazard_of({**patient, "age_years": 2.0}, settings, "healthy")
    assert found["hazard_per_year"][0] == pytest.approx(0.017)
    assert found["score"][0] == 100


def test_untreated_x_scid_is_at_least_as_bad_as_ada_scid(patient, settings_for):
    settings = settings_for("immunity", disease="x_scid")
    found = hazard_of({**patient, "age_years": 0.5}, settings, "untreated")
    assert found["hazard_per_year"][0] > 1.1
    assert found["score"][0] < 1


@pytest.mark.parametrize(("month", "ratio"), [(0, 1), (3, np.sqrt(3)), (6, 3), (12, 9), (60, 9)])
def test_a_thymus_that_has_not_recovered_has_the_published_ratio(settings_for, month, ratio):
    """3 at six and 9 at twelve months where T cells are normal in number, PMC3232268."""
    settings = settings_for("immunity")
    found = hazard(settings, since_infusion=month, thymic_share=0.0) / hazard(settings, since_infusion=month)
    assert found == pytest.approx(ratio)
    assert thymus_ratio(np.array([month]), settings)[0] == pytest.approx(ratio)


def test_thymus_and_t_cells_are_not_counted_twice(settings_for):
    """The larger of the two holds."""
    settings = settings_for("immunity")
    both = factors(parts(cd4_t=0.0, cd8_t=0.0, thymic_share=0.0), settings)
    assert both["t_cell"] * both["thymus"] == pytest.approx([9])
    early = factors(parts(cd4_t=0.0, cd8_t=0.0, thymic_share=0.0, since_infusion=3.0), settings)
    assert early["t_cell"] * early["thymus"] == pytest.approx([settings["infection.t_cell.ratio"]])


def test_chronic_granulomatous_disease_has_the_published_rate(patient, settings_for):
    """0.62 serious infections per patient-year in 27 patients, PMC4568897; within 5 %."""
    settings = settings_for("immunity", disease="x_cgd")
    for null in (False, True):
        child = {**patient, "age_years": 5.0, "null_genotype": null}
        assert hazard_of(child, settings, "untreated")["hazard_per_year"][0] == pytest.approx(0.62, rel=0.05)


@pytest.mark.parametrize(("share", "odds_ratio"), [(0.0, 99), (0.05, 99), (0.1, 99), (0.2, 12), (0.4, 1)])
def test_oxidase_returns_the_published_odds(settings_for, share, odds_ratio):
    """Odds of any infection over the span against those with oxidase, Marciano 2018."""
    settings = settings_for("immunity")
    base, span = settings["infection.reconstituted_per_year"], settings["infection.oxidase.span_years"]
    odds = np.expm1(base * oxidase_ratio(np.array([share]), settings)[0] * span)
    assert odds / np.expm1(base * span) == pytest.approx(odds_ratio)


def test_antibodies_have_the_published_ratio_without_replacement(settings_for):
    """0.40 / 0.06 without, and less than a third more with replacement."""
    bare, given_ = (
        settings_for("immunity", {"infection.antibody.replaced": replaced}) for replaced in (0.0, 0.85)
    )
    assert hazard(bare, igg=0.0) / hazard(bare) == pytest.approx(0.40 / 0.06, rel=0.01)
    assert 1 < hazard(given_, igg=0.0) / hazard(given_) < 4 / 3


# Shape ---------------------------------------------------------------------------------------------

SHARE = st.floats(0, 2)
STATE = st.fixed_dictionaries(
    {
        **dict.fromkeys(("cd4_t", "cd8_t", "nk_cell", "igg", "thymic_share"), SHARE),
        "neutrophil": st.floats(0, 8000),
        "oxidase": st.floats(0, 1),
        "since_infusion": st.floats(0, 60),
    }
)


@given(state=STATE)
def test_no_factor_is_below_one_or_above_its_ratio(settings_for, state):
    settings = settings_for("immunity")
    found = factors(parts(**state), settings)
    assert set(found) == set(MEANING)
    assert all(factor[0] >= 1 for factor in found.values())
    for name in ("t_cell", "nk_cell", "neutrophil", "antibody"):
        assert found[name][0] <= settings[f"infection.{name}.ratio"] * (1 + 1e-12)


@given(state=STATE, cell=st.sampled_from(CELLS), more=st.floats(0, 1))
def test_more_of_anything_never_raises_the_hazard(settings_for, state, cell, more):
    settings = settings_for("immunity")
    raised = {**state, cell: state[cell] + more * (8000 if cell == "neutrophil" else 1)}
    assert hazard(settings, **raised) <= hazard(settings, **state) * (1 + 1e-9)


@given(share=st.floats(0, 0.99))
def test_oxidase_has_no_step(settings_for, share):
    """A point more changes the hazard by less than a tenth."""
    found = oxidase_ratio(np.array([share, share + 0.01]), settings_for("immunity"))
    assert found[1] <= found[0] < 1.1 * found[1]


@given(part=st.floats(0, 10), full=st.floats(0.2, 1), none=st.floats(0.001, 0.1))
def test_shortfall_runs_from_one_to_zero(part, full, none):
    assert 0 <= shortfall(np.array([part]), full, none)[0] <= 1
    assert shortfall(np.array([none / 2, full * 2]), full, none).tolist() == [1, 0]
    assert shortfall(np.array([np.sqrt(full * none)]), full, none)[0] == pytest.approx(0.5)


@given(low=st.floats(0.001, 5), more=st.floats(0, 5))
def test_score_never_rises_with_the_hazard(settings_for, low, more):
    better, worse = hazard_score(np.array([low, low + more]), settings_for("immunity"))
    assert 0 <= worse <= better <= 100


def test_score_is_100_for_the_healthy_and_0_for_untreated_scid(settings_for):
    settings = settings_for("immunity")
    middle = np.sqrt(0.017 * 1.17)
    assert hazard_score(np.array([0.01, 0.017, middle, 1.17, 5]), settings) == pytest.approx(
        [100, 100, 50, 0, 0]
    )


# Episodes ------------------------------------------------------------------------------------------

MONTHS = np.array([3.0, 12.0, 24.0, 60.0])
RATES = np.array([3.0, 0.8, 0.2, 0.2])


def risk(rates=RATES):
    """Hazard at visits, all of it by T cells."""
    rates = np.asarray(rates, float)
    return {
        "month": MONTHS,
        "hazard_per_year": rates,
        **{name: rates / 0.1 if name == "t_cell" else np.ones(len(rates)) for name in MEANING},
    }


def integrated(rates, start, stop):
    """Expected episodes between two months."""
    breaks = MONTHS[(start < MONTHS) & (stop > MONTHS)]
    return quad(lambda month: np.interp(month, MONTHS, rates) / 12, start, stop, points=breaks)[0]


@pytest.mark.parametrize(("start", "stop"), [(0, 60), (0, 3), (3, 12), (12, 60)])
def test_episodes_follow_the_integrated_hazard(start, stop):
    """Mean and variance over 4,000 patients at 4.5 SE.

    4.5 SE are 4 % of the mean over the whole follow-up, 8 % in the first three months and 6-7 % between;
    13 % of the variance at most.  A hazard off by twice as much fails in all but 7 of a million seeds.
    """
    found = [draw_episodes(seed, 60.0, risk())[0] for seed in range(4000)]
    counts = np.array([np.sum((months >= start) & (months < stop)) for months in found])
    expected = integrated(RATES, start, stop)
    assert abs(counts.mean() - expected) < LIMIT * np.sqrt(expected / len(counts))
    # Var of the sample variance of a Poisson variable: mu/n + 2 mu^2/n.
    spread = np.sqrt((expected + 2 * expected**2) / len(counts))
    assert abs(counts.var(ddof=1) - expected) < LIMIT * spread


@given(
    seed=st.integers(0, 2**32),
    low=st.lists(st.floats(0, 4), min_size=4, max_size=4),
    more=st.lists(st.floats(0, 4), min_size=4, max_size=4),
)
def test_a_higher_hazard_has_the_same_episodes_and_more(seed, low, more):
    few, _ = draw_episodes(seed, 60.0, risk(low))
    many, _ = draw_episodes(seed, 60.0, risk(np.add(low, more)))
    assert set(few) <= set(many)


def test_episodes_are_in_order_and_within_the_follow_up():
    months, causes = draw_episodes(5, 60.0, risk())
    assert len(months)
    assert (np.diff(months) >= 0).all()
    assert 0 <= months[0] <= months[-1] <= 60
    assert set(causes) == {"t_cell"}


def test_without_hazard_there_is_no_episode():
    months, causes = draw_episodes(5, 60.0, risk(np.zeros(4)))
    assert len(months) == len(causes) == 0


def test_an_episode_to_which_nothing_adds_is_background():
    flat = {name: np.ones(4) for name in MEANING}
    _, causes = draw_episodes(5, 60.0, {"month": MONTHS, "hazard_per_year": np.full(4, 2.0), **flat})
    assert set(causes) == {BACKGROUND}


# A patient -----------------------------------------------------------------------------------------


@pytest.fixture
def followed(patient, settings_for):
    """Tables of a patient with SCID whose cells are corrected to a share, at four visits."""

    def made(corrected, disease="x_scid", level=1.0, null=False):
        settings = settings_for("immunity", disease=disease)
        child = {**patient, "age_years": 1.0, "null_genotype": null}
        visits = []
        for month in MONTHS:
            counts = twin_counts({**child, "age_years": 1 + month / 12}, True, settings).to_pandas()
            counts["month"] = month
            counts["count_per_ul"] *= level
            counts["corrected_per_ul"] = counts["count_per_ul"] * corrected
            visits.append(counts)
        counts = pd.concat(visits).sort_values(["lineage", "month"])
        columns = {name: counts[name].to_numpy() for name in COUNTS.columns}
        tables = {
            "products": pa.table({"infused": [True], "cd34_per_kg": [5e6]}),
            "counts": COUNTS.build(columns),
            **{name: pa.table({"patient": pa.array([], pa.int32())}) for name in ("clones", "events")},
            "clone_sizes": pa.table({"patient": pa.array([], pa.int32())}),
            "marrow": pa.table({"month": [0.0], "host": [1], "uncorrected": [0], "corrected": [0]}),
        }
        tables |= reconstitute(child, tables, settings)
        found = infection_patient(child, tables, settings)
        return {name: table.to_pandas() for name, table in found.items()}

    return made


@pytest.mark.parametrize("disease", ["x_scid", "x_cgd", "was", "sickle_cell"])
@pytest.mark.parametrize("corrected", [0.0, 0.15, 1.0])
def test_the_hazard_is_its_base_times_its_factors(followed, disease, corrected):
    rows = followed(corrected, disease)["infection_risk"]
    assert set(rows.columns) == set(INFECTION_RISK.columns)
    product = rows[["base_per_year", *MEANING]].prod(axis=1)
    assert rows["hazard_per_year"].to_numpy() == pytest.approx(product.to_numpy())


@pytest.mark.parametrize("disease", ["x_scid", "ada_scid", "x_cgd", "was"])
def test_more_corrected_cells_never_raise_the_hazard(followed, disease):
    """At equal counts, visit by visit, and with the same infections or fewer."""
    courses = [followed(corrected, disease) for corrected in (0, 0.05, 0.15, 0.25, 0.5, 1)]
    rates = [
        course["infection_risk"].query("who == 'patient'")["hazard_per_year"].to_numpy() for course in courses
    ]
    assert (np.diff(rates, axis=0) <= 1e-12).all()
    assert (rates[-1] < rates[0]).all()
    infections = [set(course["infection_episodes"].query("who == 'patient'")["month"]) for course in courses]
    assert all(more <= fewer for fewer, more in itertools.pairwise(infections))


def test_more_cells_never_raise_the_hazard(followed):
    rates = [
        followed(0.5, level=level)["infection_risk"].query("who == 'patient'")["hazard_per_year"].to_numpy()
        for level in (0.0, 0.01, 0.1, 0.5, 1.0, 2.0)
    ]
    assert (np.diff(rates, axis=0) <= 1e-12).all()


def test_twins_frame_the_patient(followed):
    """The healthy twin's infections are among the patient's, and these among those of the untreated twin."""
    made = followed(1.0)
    rows = made["infection_risk"]
    rates = rows.groupby("who")["hazard_per_year"].max()
    assert rates["healthy"] < rates["patient"] < rates["untreated"]
    months = {
        who: set(made["infection_episodes"].query("who == @who")["month"])
        for who in ("healthy", "patient", "untreated")
    }
    assert months["healthy"] <= months["patient"] <= months["untreated"]
    assert months["untreated"]


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.05, 0.58, 0.64), (0.15, 0.45, 0.55), (0.40, 0.17, 0.18)]
)
def test_x_cgd_is_governed_by_its_oxidase(followed, settings_for, share, least, most):
    """Oxidase-positive neutrophils at 5, 15 and 40 % in a null genotype."""
    settings = settings_for("immunity", disease="x_cgd")
    left = uncorrected_function("neutrophil", True, settings)
    rows = followed((share - left) / (1 - left), "x_cgd", null=True)["infection_risk"]
    assert rows.query("who == 'patient'")["hazard_per_year"].between(least, most).all()
