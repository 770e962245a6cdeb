"""Bands of the scores over the catalogue's ranges, and what of them rests on assumed values."""

import numpy as np
import pyarrow as pa
import pytest

from hsc_pipeline import chain
from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity import INPUTS
from hsc_pipeline.immunity.ranges import (
    BESIDE,
    DRAWS,
    SCORE_RANGES,
    at_median,
    drawn,
    patient_ranges,
    range_scores,
    score_under,
)
from hsc_pipeline.immunity.score import DOMAINS
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.conftest import STUDY

MONTH = 24.0
# Moves T-cell scores in one direction.
ONE = "score.full_centile"
MOVING = "repertoire.full_share"  # moves the composite of anybody whose repertoire is not full


@pytest.fixture(scope="module")
def arm():
    """A small arm: its study, rows of patients and tables."""
    study = load_study({**STUDY, "disease": "x_scid", "patients": 3, "visits_months": [3, 12, 24, 36]})
    return study, chain.simulate_arm(study, "trial")


@pytest.fixture(scope="module")
def settings(arm):
    return Settings(**arm[0].settings("immunity", "trial"))


def reader(made):
    """Read a patient and its inputs by number."""
    rows = {row["patient"]: row for row in made["patients"].to_pylist()}

    def read(number):
        mask = {name: pa.compute.equal(made[name].column("patient"), number) for name in INPUTS}
        return rows[number], {name: made[name].filter(mask[name]) for name in INPUTS}

    return read


def test_draws_keep_to_their_ranges(settings):
    ranges = {ONE: (0.05, 0.2, "assumed"), "score.floor": (0.5, 5.0, "published")}
    made = list(drawn(ranges, 7, settings))
    assert len(made) == DRAWS
    for name, (least, most, _) in ranges.items():
        values = np.array([one[name] for one in made])
        assert ((least <= values) & (values <= most)).all()
        # A Latin hypercube: each of the strata, even on the scale of the draw, holds one value.
        scale = np.log if most / least >= 5 else np.asarray
        strata = np.floor(DRAWS * (scale(values) - scale(least)) / (scale(most) - scale(least)) - 1e-12)
        assert sorted(strata) == list(range(DRAWS))


def test_a_value_has_the_same_draws_whatever_else_is_drawn(settings):
    ranges = {ONE: (0.05, 0.2, "assumed"), "score.floor": (0.5, 5.0, "published")}
    both, alone = drawn(ranges, 7, settings), drawn(ranges, 7, settings, {ONE})
    for one, other in zip(both, alone, strict=True):
        assert one[ONE] == other[ONE]
        assert other["score.floor"] == settings["score.floor"]


def test_without_ranges_no_score_moves(arm, settings):
    patient, tables = reader(arm[1])(0)
    for row in patient_ranges(patient, tables, MONTH, {}, settings):
        assert row["low"] == pytest.approx(row["value"]) == pytest.approx(row["high"])
        assert row["assumed_share"] is None


def test_a_band_of_assumed_values_alone_rests_on_them(arm, settings):
    patient, tables = reader(arm[1])(0)
    rows = patient_ranges(patient, tables, MONTH, {MOVING: (0.05, 0.9, "assumed")}, settings)
    moved = [row for row in rows if row["assumed_share"] is not None]
    assert "composite" in {row["score"] for row in moved}
    assert all(row["assumed_share"] == pytest.approx(1) for row in moved)
    rows = patient_ranges(patient, tables, MONTH, {MOVING: (0.05, 0.9, "published")}, settings)
    assert all(row["assumed_share"] is None or row["assumed_share"] < 1e-12 for row in rows)


def test_a_band_lies_between_the_ends_of_a_monotone_range(arm, settings):
    """A stricter centile never raises a score of counts, so the band lies between both ends."""
    patient, tables = reader(arm[1])(0)
    ends = [
        score_under(
            patient, tables, MONTH, [Settings({**settings.values, ONE: end}, settings.tables, settings.study)]
        )
        for end in (0.4, 0.02)
    ]
    for row in patient_ranges(patient, tables, MONTH, {ONE: (0.02, 0.4, "assumed")}, settings):
        if row["score"] in ("t_cells", "b_cells", "innate"):
            low, high = (float(end[row["score"]][0]) for end in ends)
            assert low - 1e-6 <= row["low"] <= row["high"] <= high + 1e-6


def test_the_first_of_the_settings_gives_the_scores_of_the_stage(arm, settings):
    """The same numbers as `scores.parquet` holds."""
    patient, tables = reader(arm[1])(1)
    found = score_under(patient, tables, MONTH, [settings])
    scores = arm[1]["scores"].to_pandas()
    row = scores[(scores["patient"] == 1) & (scores["who"] == "patient") & (scores["month"] == MONTH)].iloc[0]
    for name in ("composite", "t_cells", "repertoire", "vaccines"):
        assert found[name][0] == pytest.approx(row[name], rel=1e-9)
    assert found["defence"][0] == pytest.approx(row["defence"], abs=0.5)  # solved beside other courses


def test_the_patient_is_the_one_with_the_median_composite(arm):
    scores = arm[1]["scores"].to_pandas()
    here = scores[(scores["who"] == "patient") & (scores["month"] == MONTH)].set_index("patient")["composite"]
    assert here[at_median(arm[1]["scores"], MONTH)] == here.median()  # of three patients


def test_an_arm_has_a_row_for_every_score(arm, settings):
    _, made = arm
    ranges = {ONE: (0.05, 0.2, "assumed")}
    table = range_scores(made["scores"], MONTH, reader(made), ranges, settings)
    assert len({*DOMAINS, "composite", *BESIDE}) == SCORE_RANGES.check(table).num_rows


def test_ranges_of_a_study_leave_out_what_the_file_sets():
    name = "response.help_share"
    assert name in load_study(dict(STUDY)).ranges("immunity", "trial")
    assert name not in load_study({**STUDY, "set": {name: 0.4}}).ranges("immunity", "trial")


def test_a_month_without_a_visit_is_refused(arm, settings):
    patient, tables = reader(arm[1])(0)
    with pytest.raises(ModelError, match="was not seen in month 7"):
        score_under(patient, tables, 7.0, [settings])
