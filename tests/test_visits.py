"""Visits: the truth beside what the trial and its laboratory see; follow-up and competing events."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from hsc_pipeline import outcomes
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.outcomes import summarise, summarise_arm, summarise_in_parts
from hsc_pipeline.plan import PATIENTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import write_together
from hsc_pipeline.visits import LINEAGES, VISITS, WITH_NUCLEUS, lost_months, who_came

OFTEN = {"followup.lost_per_year": 0.3, "followup.missed_share": 0.3}
LAB = [name for name in VISITS.columns if name.startswith("lab_")]


@pytest.fixture(scope="module")
def arm(study):
    """A study whose patients often stay away, its tables, outcomes and visits."""
    few = {"product.lt_hsc_per_cd34": 1e-5, **OFTEN}
    loaded = load_study({**study, "patients": 20, "set": few})
    tables = simulate_arm(loaded, "trial")
    settings = Settings(**loaded.settings("outcomes", "trial"))
    return tables, settings, summarise("trial", tables, settings)


def visits_of(arm):
    return arm[2]["visits"].to_pandas()


def test_a_missed_visit_shows_nothing(arm):
    visits = visits_of(arm)
    missed = visits[~visits["seen"]]
    assert 10 < len(missed) < len(visits) - 10
    assert missed[LAB].isna().all(axis=None)
    assert visits.loc[visits["seen"], "lab_neutrophil_per_ul"].notna().all()
    assert visits["corrected_neutrophil"].notna().all(), "the truth is always there"


def test_what_the_laboratory_reads_is_what_the_stages_wrote(arm):
    visits = visits_of(arm).set_index(["patient", "month"])
    counts = arm[0]["counts"].to_pandas().set_index(["patient", "month", "lineage"])
    for lineage in LINEAGES:
        own = counts.xs(lineage, level="lineage").reindex(visits.index)
        assert (visits[f"corrected_{lineage}"] == own["corrected_fraction"]).all()
        seen = visits["seen"]
        assert (visits.loc[seen, f"lab_{lineage}_per_ul"] == own.loc[seen, "count_per_ul"]).all()
        assert (f"lab_vcn_{lineage}" in visits) == (lineage in WITH_NUCLEUS)
    samples = arm[0]["samples"].to_pandas().set_index(["patient", "month", "lineage"])
    t_cells = samples.xs("t_cell", level="lineage").reindex(visits.index)["sites"]
    read = visits["lab_sites_t_cell"].dropna()
    assert len(read) > 10
    assert (read == t_cells.reindex(read.index)).all()


def test_alarms_stay_once_raised(arm):
    tables, settings, _ = arm
    easily = Settings(settings.values | {"alarm.top_clone_share": 0.02}, settings.tables, settings.study)
    visits = summarise("trial", tables, easily)["visits"].to_pandas()
    raised = visits.groupby("patient")["alarm"]
    assert visits["alarm"].any()
    assert not visits["alarm"].all()
    assert (raised.cummax() == visits["alarm"]).all()
    late = visits[visits["seen"] & (visits["lab_top_share_neutrophil"] > 0.02)]
    assert late["alarm"].all()


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"patient": range(n), "patient_seed": rng.integers(0, 2**63, n, dtype=np.uint64)})


def test_losses_and_absences_come_at_their_rates(settings_for):
    """Within binomial bounds of 99.9 % each; ten per cent more or fewer would be seen in 19 of 20 cases."""
    n, settings = 4000, settings_for("outcomes", OFTEN)
    patients = people(n)
    lost = np.array(list(lost_months(patients, settings).values()))
    low, high = binom.interval(0.999, n, 1 - np.exp(-0.3 * 2))
    assert low <= (lost < 24).sum() <= high
    came = who_came(patients, settings)
    first = sum(came[patient, 1] for patient in range(n) if lost[patient] > 1)
    low, high = binom.interval(0.999, (lost > 1).sum(), 0.7)
    assert low <= first <= high


def test_who_is_lost_stays_lost(settings_for):
    settings, patients = settings_for("outcomes", OFTEN), people(200)
    came, lost = who_came(patients, settings), lost_months(patients, settings)
    assert not any(here for (patient, month), here in came.items() if month >= lost[patient])


def test_nobody_is_lost_at_a_rate_of_zero(settings_for):
    none = settings_for("outcomes", {"followup.lost_per_year": 0.0, "followup.missed_share": 0.0})
    assert all(who_came(people(50), none).values())


def test_an_added_visit_changes_no_other(settings_for):
    few = settings_for("outcomes", OFTEN, visits_months=[1, 24], sampling={"months": [24]})
    many = settings_for("outcomes", OFTEN, visits_months=[1, 12, 24], sampling={"months": [24]})
    before, after = who_came(people(100), few), who_came(people(100), many)
    assert all(after[key] == here for key, here in before.items())


def test_follow_up_is_told_in_the_outcomes(arm):
    found, visits = arm[2]["outcomes"].to_pandas().set_index("patient"), visits_of(arm)
    seen = visits[visits["seen"]].groupby("patient")["month"].max()
    assert (found["last_seen_month"] == seen.reindex(found.index).fillna(0)).all()
    assert (found["visits_missed"] > 0).any()
    at_landmark = visits[visits["month"] == 24].set_index("patient")
    assert (found["benefit_seen"].notna() == at_landmark["seen"]).all()
    kept = found["benefit_seen"].notna()
    assert (found.loc[kept, "benefit_seen"] == found.loc[kept, "benefit"]).all()


def test_the_first_event_in_follow_up_counts(arm):
    """Of four patients with events in months 5 to 50, two lost: the first event before the loss, or none."""
    tables, settings, made = arm
    frames = {name: tables[name].to_pandas() for name in outcomes.READ}
    frames["visits"] = made["visits"].to_pandas()
    lost = lost_months(frames["patients"], settings)
    early = [patient for patient, month in lost.items() if 3 < month < 40][:2]
    kept = [patient for patient, month in lost.items() if month > 55][:2]
    row = tables["transformations"].schema.empty_table().to_pandas()
    add = [(early[0], 1.0), (early[1], 50.0), (kept[0], 50.0), (kept[1], 50.0)]
    add = pd.DataFrame([{"patient": p, "number": 0, "month": m, "cells": 1} for p, m in add])
    frames["transformations"] = pd.concat([row, add])
    grafts = frames["grafts"].set_index("patient")
    grafts["rescue_month"] = np.nan
    grafts.loc[kept[1], "rescue_month"] = 5.0
    frames["grafts"] = grafts.reset_index()
    found = summarise_arm("trial", frames, settings).to_pandas().set_index("patient")
    assert found.loc[[*early, *kept], "event"].tolist() == [
        "transformation",
        "none",
        "transformation",
        "rescue",
    ]
    assert found.loc[[early[0], *kept], "event_month"].tolist() == [1, 50, 5]
    assert found.loc[early[1], "event_month"] == pytest.approx(lost[early[1]])


def test_outcomes_do_not_depend_on_how_many_patients_are_read_together(arm, tmp_path, monkeypatch):
    tables, settings, made = arm
    names = (*outcomes.READ, "integration_sites")
    files = {name: tmp_path / f"{name}.parquet" for name in names}
    for name, path in files.items():
        by_patient = [
            tables[name].filter(np.asarray(tables[name]["patient"]) == patient) for patient in range(20)
        ]
        write_together({name: path}, [{name: part} for part in by_patient])
    monkeypatch.setattr(outcomes, "PART", 7)
    parts = list(summarise_in_parts("trial", files, 20, settings))
    assert [part["outcomes"].num_rows for part in parts] == [7, 7, 6]
    for name in ("outcomes", "visits"):
        rows = pd.concat([part[name].to_pandas() for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(rows, made[name].to_pandas())


def test_patients_have_the_columns_that_follow_up_reads():
    assert {"patient", "patient_seed"} <= set(PATIENTS.columns)
