"""Immunity: scores of counts, and a composite that hides nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline import chain
from hsc_pipeline.blood.lineages import COUNTS, LINEAGES, T_OF
from hsc_pipeline.engraftment import MARROW
from hsc_pipeline.immunity import INPUTS, assess_patient
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


@pytest.mark.parametrize("disease", ["x_scid", "ada_scid"])
def test_an_untreated_twin_with_scid_scores_near_zero(inputs, patient, settings_for, disease):
    tables = assess_patient(patient, inputs, settings_for("immunity", disease=disease))
    scores = tables["scores"].to_pandas().set_index("who")
    assert scores.loc["untreated", "composite"] < 5
    assert scores.loc["healthy", "composite"] == 100


def test_more_cells_than_normal_earn_nothing(assess):
    assert own(assess(3.0))["composite"].gt(99).all()


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
