"""The trial part of a study file: mistakes are told in one sentence, endpoints exist, answers are shown."""

import copy
import io
import re
from collections import defaultdict
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
from trial_cohorts import OVER, outcomes, study, sweep

from hsc_pipeline.errors import UserError
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.report.page import specification
from hsc_pipeline.report.sections.trial import trial as section
from hsc_pipeline.report.style import label
from hsc_pipeline.study import load_study
from hsc_pipeline.study_trial import (
    BETWEEN_ARMS,
    ENDPOINTS,
    SAFETY_EVENTS,
    TIME_ENDPOINTS,
    YES_NO_ENDPOINTS,
    Trial,
    analysis_of,
)
from hsc_pipeline.trials import plan_of, run_trials

STUDY = {
    "kind": "study",
    "schema_version": 1,
    "name": "asked",
    "seed": 1,
    "disease": "was",
    "patients": 10,
    "visits_months": [1, 6, 24],
    "arms": [{"name": "full"}, {"name": "half", "set": {"product.cd34_per_kg": 4.5e6}}],
}


def loaded(trial, **more):
    return load_study({**copy.deepcopy(STUDY), "trial": trial, **more})


def test_a_study_without_a_trial_has_one():
    found = load_study(copy.deepcopy(STUDY))
    assert found.file.trial == Trial()
    plan = plan_of(found.as_dict(), 24.0)
    assert (plan.control, plan.analysis, plan.horizon) == ("full", "fisher", 24.0)
    assert plan.loss_per_year == found.as_dict()["values"]["followup.lost_per_year"]["value"]


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        ({"endpoint": "benefits"}, r"trial\.endpoint = 'benefits'"),
        ({"control": "ful"}, r"no arm 'ful'; did you mean 'full'"),
        ({"control": "full", "historical": {"share": 0.5}}, "allowed: one of them"),
        ({"historical": {}}, "events and patients, or share alone"),
        ({"historical": {"events": 3}}, "events and patients, or share alone"),
        ({"historical": {"events": 3, "patients": 10, "share": 0.3}}, "or share alone"),
        ({"historical": {"events": 11, "patients": 10}}, "at most 10 patients"),
        ({"analysis": "log_rank"}, r"analysis = 'log_rank' with endpoint benefit"),
        ({"analysis": "exact_binomial"}, "against a control arm"),
        ({"analysis": "fisher", "historical": {"share": 0.5}}, "allowed: exact_binomial"),
        ({"analysis": "boschloo"}, "at most 100, or fisher"),
        ({"analysis": "barnard", "sizes": [40], "allocation": 0.3}, "133 patients in an arm with barnard"),
        ({"sizes": [20, 10]}, r"trial\.sizes: 10 follows 20; they must increase"),
        ({"looks": [0.5, 0.5]}, "must increase"),
        ({"by_month": 12}, "read at the landmark"),
        ({"endpoint": "t_protection_month", "by_month": 60}, "at most 24, the last visit"),
        ({"follow_up_months": 60}, "at most 24, the last visit"),
        ({"search": {"minimise": ["product.cd34_per_kg"]}}, "only with a sweep"),
        ({"power": 1.2}, r"trial\.power = 1\.2"),
        ({"safety": {"event": "death"}}, r"trial\.safety\.event = 'death'"),
        ({"futility": {"limits": 0.1}}, r"unknown key 'limits'; did you mean 'limit'"),
        ({"endpiont": "benefit"}, r"unknown key 'endpiont'; did you mean 'endpoint'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(trial, told):
    with pytest.raises(UserError, match=told) as raised:
        loaded(trial)
    assert "\n" not in str(raised.value)


def test_a_search_names_what_is_swept():
    over = {"product.cd34_per_kg": {"least": 2e6, "most": 1e7}}
    made = {"sweep": {"design": "grid", "over": over}}
    assert loaded({"search": {"minimise": ["product.cd34_per_kg"]}}, **made)
    with pytest.raises(UserError, match=r"'conditioning\.busulfan_auc' is not swept"):
        loaded({"search": {"cost": {"conditioning.busulfan_auc": 1}}}, **made)
    with pytest.raises(UserError, match="a cost is below zero"):
        loaded({"search": {"cost": {"product.cd34_per_kg": -1}}}, **made)


def test_endpoints_and_harms_are_columns_of_the_outcomes():
    for name in YES_NO_ENDPOINTS:
        assert OUTCOMES.columns[name].type == pa.bool_()
    for name in TIME_ENDPOINTS:
        assert OUTCOMES.columns[name].unit == "months"
        assert OUTCOMES.columns[name].nullable
    for event in SAFETY_EVENTS:
        assert event in OUTCOMES.columns or f"{event}_month" in OUTCOMES.columns


def test_every_endpoint_has_a_test_by_default():
    for endpoint in ENDPOINTS:
        assert analysis_of(Trial(endpoint=endpoint)) in (*BETWEEN_ARMS, "log_rank")
    assert analysis_of(Trial(historical={"share": 0.5})) == "exact_binomial"


def shown(asked, answers):
    """The section, from tables as a run leaves them."""
    read = {name: pd.read_csv(io.StringIO(table.to_csv(index=False))) for name, table in answers.items()}
    arms = [label(arm["name"]) for arm in asked["arms"]]
    results = SimpleNamespace(
        study=asked, arms=arms, all_arms=arms, patients=60, answers=defaultdict(pd.DataFrame, read)
    )
    return section(results)


@pytest.fixture(scope="module")
def whole():
    arms = {"full_dose": 0.9, "near": 0.88, "far": 0.3}
    asked = study({arm: {} for arm in arms}, {"sizes": [10, 20, 40], "replicates": 200}, sweep={"over": OVER})
    points, rows = sweep(points=60)
    points, rows = points.assign(arm="full_dose"), rows.assign(arm="full_dose")
    return asked, run_trials(asked, outcomes(arms), (points, rows))


def test_the_report_leads_with_how_many_patients(whole):
    said = " ".join(shown(*whole).lead)
    assert re.search(r"No trial of up to 40 patients in the arm tells near \(\d+ %\) from full dose", said)
    assert re.search(
        r"To tell far \(\d+ %\) from full dose \(\d+ %\) with 80 % power takes \d+ patients", said
    )
    n = whole[1]["sample_size"].query("arm == 'far' and analysis == 'fisher'")["n_arm"].iloc[0]
    assert f"takes {n:.0f} patients of the arm and {n:.0f} of the control" in said
    assert "The smallest design that reaches the target is product.cd34_per_kg" in said


def test_every_figure_says_what_its_interval_means(whole):
    found = shown(*whole)
    figures = [block for block in found.blocks if block.kind == "figure"]
    names = {figure.name for figure in figures}
    expected = {"power", "dose", "search", "calibration", "safety", "incidence"}
    assert names == {f"trial-{name}" for name in expected}
    for figure in figures:
        assert re.search(r"90 %|without an interval", figure.caption), figure.name
        assert specification(figure)["concat"]


def test_tables_have_a_cell_for_every_heading(whole):
    for block in shown(*whole).blocks:
        if block.kind == "table":
            assert {len(row) for row in block.rows} == {len(block.head)}
            assert not any("nan" in cell for row in block.rows for cell in row)


def test_a_hostile_or_lonely_arm_does_no_harm():
    asked = study({"a": {}}, {"sizes": [10]})
    found = shown(asked, run_trials(asked, outcomes({"a": 0.8})))
    assert found.blocks
    empty = {name: table.iloc[:0] for name, table in run_trials(asked, outcomes({"a": 0.8})).items()}
    assert "nothing to compare" in shown(asked, empty).blocks[0].text
