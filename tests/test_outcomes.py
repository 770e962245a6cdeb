"""Outcomes: one row per patient, read at the landmark, whatever became of the graft."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.outcomes import MILESTONES_READ, OUTCOMES, READ, summarise_arm
from hsc_pipeline.plan import landmark_month
from hsc_pipeline.visits import FEWEST_FRAGMENTS, VISITS, monitor, shannon, summarise_visits

# A product of a handful of stem cells keeps the simulation short; nothing else differs from the default.
FEW_CELLS = {"product.lt_hsc_per_cd34": 1e-5}
NO_CELLS = {"product.lt_hsc_per_cd34": 1e-12}
PATIENTS = 12
MAY_BE_EMPTY = [
    "neutrophil_recovery_day",
    "t_protection_month",
    *(f"{milestone}_month" for milestone in MILESTONES_READ),
    "tetanus_vaccination_month",
    "rescue_month",
    "transformation_month",
    "largest_share",
    "platelet_recovery_day",
    "lost_month",
    "benefit_seen",
    "benefit_month",
    "readout_value",
    "platelets_safe_month",
    "first_alarm_month",
]
ALL_COME = {"followup.lost_per_year": 0.0, "followup.missed_share": 0.0}


@pytest.fixture(scope="module")
def arm(simulate_arm):
    """Tables of an arm with small grafts."""
    return simulate_arm(FEW_CELLS, PATIENTS)


@pytest.fixture(scope="module")
def empty_arm(simulate_arm):
    """Tables of an arm whose products hold no stem cell at all."""
    return simulate_arm(NO_CELLS, PATIENTS)


@pytest.fixture(scope="module")
def summarise(settings_for):
    def rows(tables, changes=None, **keys):
        sites = tables["integration_sites"]
        given = settings_for("outcomes", ALL_COME | (changes or {}), **keys)
        each = (pa.Table.from_pandas(rows) for _, rows in sites.groupby("patient"))
        frames = {name: tables[name] for name in READ} | {"monitoring": monitor(each)}
        frames["visits"] = VISITS.check(summarise_visits("trial", frames, given)).to_pandas()
        return OUTCOMES.check(summarise_arm("trial", frames, given)).to_pandas().set_index("patient")

    return rows


@pytest.fixture(scope="module")
def outcomes(arm, summarise):
    return summarise(arm)


def at(table, month, **where):
    """Rows of one visit by patient."""
    rows = table[table["month"] == month]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.set_index("patient")


def test_every_patient_has_one_row(outcomes):
    assert outcomes.index.tolist() == list(range(PATIENTS))
    assert (outcomes["arm"] == "trial").all()


def test_only_what_never_comes_and_shares_not_read_are_empty(outcomes):
    never_infused = outcomes.loc[~outcomes["infused"], ["months_to_infusion", "neutrophil_recovery_day"]]
    assert never_infused.isna().all(axis=None)
    assert outcomes[outcomes["infused"]].drop(columns=MAY_BE_EMPTY).notna().all(axis=None)


@pytest.mark.parametrize(
    ("visits", "wanted", "landmark"),
    [
        ([1, 12, 24, 60], 24, 24),
        ([1, 12, 23, 60], 24, 23),
        ([1, 12], 24, 12),
        ([36, 60], 24, 36),
        ([24.5], 24, 24.5),
    ],
)
def test_landmark_is_the_last_visit_until_the_wanted_month_or_the_first(visits, wanted, landmark):
    assert landmark_month(visits, wanted) == landmark


@given(st.lists(st.floats(0.1, 240), min_size=1, unique=True), st.floats(0.1, 240))
def test_landmark_is_a_visit(visits, wanted):
    assert landmark_month(sorted(visits), wanted) in visits


@pytest.mark.parametrize(("wanted", "month"), [(24, 24), (30, 24), (6, 6), (0.5, 1)])
def test_columns_are_read_at_the_landmark(arm, summarise, wanted, month):
    outcomes = summarise(arm, {"benefit.landmark_month": wanted})
    virus = arm["challenges"][arm["challenges"]["pathogen"] == "respiratory_virus"]
    marrow, cd4 = at(arm["marrow"], month), at(arm["counts"], month, lineage="cd4_t")
    assert (outcomes["landmark_month"] == month).all()
    assert (outcomes["live_clones"] == marrow["live_clones"]).all()
    assert (outcomes["cd4_per_ul"] == cd4["count_per_ul"]).all()
    assert (outcomes["immune_score"] == at(arm["scores"], month, who="patient")["composite"]).all()
    assert (outcomes["clearance_day"] == at(virus, month, who="patient")["clearance_day"]).all()
    total = marrow[["host", "uncorrected", "corrected"]].sum(axis=1)
    assert outcomes["stem_cell_chimerism"].to_numpy() == pytest.approx(
        (marrow["corrected"] / total).to_numpy()
    )


def test_corrected_t_cells_are_pooled_over_helpers_and_killers(arm, outcomes):
    both = arm["counts"][arm["counts"]["lineage"].isin(["cd4_t", "cd8_t"]) & (arm["counts"]["month"] == 24)]
    pooled = both.groupby("patient")[["corrected_per_ul", "count_per_ul"]].sum()
    expected = pooled["corrected_per_ul"] / pooled["count_per_ul"]
    assert outcomes["corrected_t_cells"].to_numpy() == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize("quantile", [0, 0.5, 1])
def test_graft_failure_is_fewer_cells_taken_than_the_limit(arm, summarise, quantile):
    """As they took, whatever became of them until the landmark."""
    start = at(arm["marrow"], 0)
    taken = start["corrected"] + start["uncorrected"]
    limit = max(1, taken.quantile(quantile))
    failed = summarise(arm, {"benefit.graft_cells": limit})["graft_failure"]
    assert (failed == (taken < limit)).all()
    assert failed.sum() == {0: 0, 0.5: PATIENTS // 2, 1: PATIENTS - 1}[quantile]


def test_benefit_asks_for_corrected_cells_and_for_function(arm, summarise):
    platelets = at(arm["counts"], 24, lineage="platelet")
    infused = arm["products"].set_index("patient")["infused"]
    for column, limit in (("corrected_fraction", "corrected_fraction"), ("function", "function")):
        middle = platelets[column].median()
        lax = {"benefit.corrected_fraction": 0, "benefit.function": 0, f"benefit.{limit}": middle}
        found = summarise(arm, lax)["benefit"]
        assert (found == (infused & (platelets[column] >= middle))).all()
        assert 0 < found.sum() < len(found)


def test_the_first_transformation_counts(arm, summarise):
    months = {3: [40.0, 7.5], 5: [1.0]}
    rows = [
        {
            "patient": p,
            "number": i,
            "month": m,
            "origin": "corrected",
            "clone": 0,
            "cause": "insertion",
            "cells": 1,
        }
        for p, at_months in months.items()
        for i, m in enumerate(at_months)
    ]
    found = summarise({**arm, "transformations": pd.DataFrame(rows)})["transformation_month"]
    assert found.dropna().to_dict() == {3: 7.5, 5: 1.0}


def test_limits_of_benefit_and_alarm_are_obeyed(arm, summarise):
    never = summarise(arm, {"benefit.platelets_per_ul": 9e6, "alarm.top_clone_share": 1})
    always = summarise(arm, {"benefit.platelets_per_ul": 0, "alarm.top_clone_share": 0})
    assert not never[["platelets_safe", "dominance_alarm"]].any(axis=None)
    assert always["platelets_safe"].all()
    assert (always["dominance_alarm"] == (always["largest_share"] > 0)).all()


def test_protection_begins_at_the_first_visit_with_t_cells_in_the_interval(arm, outcomes):
    cd3 = arm["reconstitution"][arm["reconstitution"]["cell"] == "cd3"]
    for patient, row in outcomes.iterrows():
        full = cd3.loc[(cd3["patient"] == patient) & (cd3["functional_score"] > 99.999), "month"]
        assert row["t_protection_month"] == full.min() or (full.empty and np.isnan(row["t_protection_month"]))
        assert row["t_protected"] == (24 in full.tolist())


def test_monitoring_reads_the_last_neutrophil_sample(arm, outcomes):
    sites = arm["integration_sites"]
    last = sites[(sites["lineage"] == "neutrophil") & (sites["month"] == 60)].groupby("patient")["fragments"]
    expected = last.size().reindex(outcomes.index, fill_value=0)
    assert (outcomes["observed_sites"] == expected).all()
    for patient, fragments in last:
        assert outcomes.loc[patient, "observed_shannon"] == pytest.approx(shannon(fragments))


def test_largest_share_is_of_samples_with_enough_fragments(summarise, arm):
    """Ninety-nine fragments of one site say nothing; a hundred and one do."""
    sites = arm["integration_sites"].iloc[:0]
    rows = [(0, 12.0, FEWEST_FRAGMENTS - 1), (1, 12.0, FEWEST_FRAGMENTS + 1), (1, 60.0, 50)]
    few = pd.DataFrame(rows, columns=["patient", "month", "fragments"]).assign(lineage="neutrophil")
    outcomes = summarise({**arm, "integration_sites": pd.concat([sites, few])})
    assert outcomes.loc[1, "largest_share"] == 1
    assert outcomes.loc[[0, 2], "largest_share"].isna().all()
    assert outcomes.loc[[0, 1, 2], "observed_sites"].tolist() == [0, 1, 0], "of the last month sampled"
    assert outcomes.loc[[0, 1, 2], "dominance_alarm"].tolist() == [False, True, False]


def test_empty_products_are_failed_grafts_with_every_value_known(empty_arm, summarise):
    outcomes = summarise(empty_arm)
    assert len(outcomes) == PATIENTS
    assert outcomes["infused"].any()
    assert (outcomes["graft_failure"] == outcomes["infused"]).all(), "who was never infused has no graft"
    nothing = ["engrafted_clones", "live_clones", "stem_cell_chimerism", "observed_sites"]
    assert (outcomes[[*nothing, "observed_shannon", "dominance_alarm"]] == 0).all(axis=None)
    assert outcomes["largest_share"].isna().all()
    assert outcomes[outcomes["infused"]].drop(columns=MAY_BE_EMPTY).notna().all(axis=None)
    # T cells of the short-lived progenitors outlive them; short-lived cells do not.
    assert (outcomes["vcn_neutrophil"] < 0.01).all()


def test_failed_grafts_fare_no_better_than_small_ones(outcomes, empty_arm, summarise):
    """The same twelve people, with and without a graft: common random numbers make it hold one by one."""
    without = summarise(empty_arm)
    assert (without["immune_score"] <= outcomes["immune_score"] + 1e-9).all()
    assert (without["platelets_per_ul"] <= outcomes["platelets_per_ul"] + 1e-9).all()
    assert without["immune_score"].mean() < outcomes["immune_score"].mean()


def test_shannon_agrees_with_a_known_vector():
    """1, 2, 3, 4, 10: 1.3330742935 nats."""
    assert shannon(np.array([1, 2, 3, 4, 10])) == pytest.approx(1.3330742935, abs=1e-10)


@given(st.integers(1, 500))
def test_shannon_of_equal_clones_is_the_logarithm_of_their_number(clones):
    assert shannon(np.full(clones, 3)) == pytest.approx(np.log(clones), abs=1e-12)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_shannon_lies_between_none_and_the_logarithm_of_the_number(counts):
    assert 0 <= shannon(np.array(counts)) <= np.log(len(counts)) + 1e-12


def test_infections_are_the_patients_own(arm, summarise):
    """Twins meet infections too, and untreated ones many."""
    episodes = arm["infection_episodes"]
    assert (episodes["who"] != "patient").any()
    own = episodes[episodes["who"] == "patient"]["patient"].value_counts()
    found = summarise(arm)["infections"]
    assert found.sum() == len(episodes[episodes["who"] == "patient"])
    assert all(found[patient] == n for patient, n in own.items())


def test_benefit_may_ask_for_a_reset(arm, summarise):
    """As in multiple sclerosis: some share of autoreactive memory must be gone."""
    reset = at(arm["autoimmune_reset"], 24)["score"]
    middle = reset.median() / 100
    lenient = {"benefit.corrected_fraction": 0, "benefit.function": 0}
    found = summarise(arm, {**lenient, "benefit.reset_share": middle})["benefit"]
    infused = arm["products"].set_index("patient")["infused"]
    assert (found == (infused & (reset >= 100 * middle))).all()
    assert found.sum() < summarise(arm, lenient)["benefit"].sum()
