"""Ageing, stress and events: what befalls a patient changes the marrow as it should."""

import numpy as np
import pytest

from hsc_pipeline.engraftment.stress import killing, patient_course, resting_division
from tests.marrows import QUIET, SMALL, engraft_one

FULL = {**QUIET, "conditioning.agent": "none"}


def total(marrow):
    return marrow[["host", "uncorrected", "corrected"]].sum(axis=1).to_numpy()


def event(kind, month, months=0.25, size=0.5):
    return {"kind": kind, "month": month, "duration_months": months, "size": size}


def test_an_event_kills_the_share_that_its_size_says():
    """exp(-rate x length) of the cells are left, whatever the length."""
    rate = killing(np.array([0.5, 2.5]), "chemotherapy", [event("chemotherapy", 24, 12, 0.9)])
    assert rate[0] == 0
    assert np.exp(-rate[1] * 1.0) == pytest.approx(0.1)


def test_division_falls_from_birth_to_the_adult_rate(settings_for):
    """Twice at birth, e-fold in three years, no excess in adults."""
    ages = np.array([0.0, 3.0, 80.0])
    expected = [2.0, 1 + np.exp(-1), 1.0]
    assert resting_division(ages, settings_for("engraftment")) == pytest.approx(expected, abs=1e-6)


def test_chemotherapy_kills_all_kinds_and_the_marrow_comes_back(patient, settings_for):
    """Half killed in a week, seen at its end; full again three years later."""
    given = {"events": [event("chemotherapy", 11.75)], "values": QUIET, "busulfan_auc": 45}
    tables = engraft_one(patient, settings_for, 5000, 5000, visits=(11.75, 12, 48), **given)
    marrow = tables["marrow"]
    for kind in ("host", "uncorrected", "corrected"):
        assert marrow[kind][2] / marrow[kind][1] == pytest.approx(0.53, abs=0.05)
    assert total(marrow)[3] == pytest.approx(1e5, rel=0.02)


def test_targeted_therapy_selects_corrected_cells(patient, settings_for):
    """It kills 90 % of the others in three months and spares these, so the odds rise up to tenfold."""
    events = [event("targeted_therapy", 12, 3, 0.9)]
    odds = {}
    for name, happens in {"with": events, "without": ()}.items():
        marrow = engraft_one(
            patient, settings_for, 5000, events=happens, values=QUIET, busulfan_auc=45, visits=(12, 15)
        )["marrow"]
        odds[name] = (marrow["corrected"] / marrow["host"]).to_numpy()
    assert odds["with"][1] == pytest.approx(odds["without"][1], rel=0.1)
    assert odds["with"][2] / odds["with"][1] == pytest.approx(10, rel=0.15)
    assert odds["without"][2] / odds["without"][1] == pytest.approx(1, abs=0.1)


def test_rejection_removes_corrected_cells_alone(patient, settings_for):
    given = {"events": [event("rejection", 12, 2, 0.99)], "values": QUIET, "busulfan_auc": 45}
    marrow = engraft_one(patient, settings_for, 5000, visits=(12, 14, 36), **given)["marrow"]
    assert marrow["corrected"][2] < 0.03 * marrow["corrected"][1]
    assert marrow["host"][2] > marrow["host"][1]


def test_graft_versus_host_disease_removes_host_cells_of_the_infused_alone(patient, settings_for):
    given = {"events": [event("gvhd", 12, 3, 0.9)], "values": QUIET, "busulfan_auc": 45, "visits": (12, 15)}
    treated = engraft_one(patient, settings_for, 5000, **given)["marrow"]
    assert treated["host"][2] < 0.3 * treated["host"][1]
    untreated = engraft_one(patient, settings_for, 0, product={"infused": False}, **given)["marrow"]
    assert untreated["host"][2] == pytest.approx(untreated["host"][1], rel=0.02)


def test_an_infection_thins_out_clones_faster(patient, settings_for):
    """Clones of a full marrow survive t years as 1/(1 + b t): half at one year, fewer at tenfold cycling.

    2 b t / N is the loss of heterozygosity; here the lost clones of 300 niches, mean of 30 patients.
    """
    values = {**SMALL, "conditioning.agent": "total_body_irradiation", "stress.wear_per_extra_division": 0}
    values |= {"stress.infection.cycling": 5, "stress.lost_per_extra_division": 0}
    live = {}
    for name, happens in {"rest": (), "infection": [event("infection", 12, 12, 1)]}.items():
        live[name] = np.mean(
            [
                np.divide(
                    *engraft_one(
                        patient,
                        settings_for,
                        300,
                        events=happens,
                        values=values,
                        visits=(12, 24),
                        patient_seed=s,
                    )["marrow"]["live_clones"].to_numpy()[[2, 1]]
                )
                for s in range(30)
            ]
        )
    assert live["infection"] < 0.6 * live["rest"]


def test_sustained_inflammation_exhausts_the_pool(patient, settings_for):
    """Ten years at five times the division wear out exp(-0.02 x 4 x 10) of the capacity, for good."""
    given = {"events": [event("chronic_inflammation", 0, 120, 1)], "product": {"infused": False}}
    values = {**FULL, "stress.chronic_inflammation.cycling": 5}
    marrow = engraft_one(patient, settings_for, 0, visits=(12, 60, 120, 180), values=values, **given)[
        "marrow"
    ]
    left = np.exp(-0.02 * 4 * 10)
    assert np.all(np.diff(total(marrow)[:4]) < 0)
    assert total(marrow)[4] == pytest.approx(1e5 * left, rel=0.03)


def test_a_short_infection_leaves_the_pool_as_it_was(patient, settings_for):
    given = {"events": [event("infection", 12, 0.5, 1)], "product": {"infused": False}, "values": FULL}
    marrow = engraft_one(patient, settings_for, 0, visits=(12, 36), **given)["marrow"]
    assert total(marrow)[2] == pytest.approx(1e5, rel=0.02)


def test_aged_cells_lose_to_younger_ones(patient, settings_for):
    """A donor of 25 in a patient of 70, at 0.1 a year: the logit of the graft rises by 0.1 a year."""
    given = {"age_years": 70.0, "donor_age_years": 25.0, "busulfan_auc": 40}
    values = {**QUIET, "marrow.ageing_loss_per_year": 0.1}
    marrow = engraft_one(patient, settings_for, 10_000, visits=(24, 84), values=values, **given)["marrow"]
    share = (marrow["corrected"] / total(marrow)).to_numpy()
    assert np.diff(np.log(share / (1 - share)))[1] == pytest.approx(0.5, abs=0.08)


def test_a_boost_gives_the_share_that_was_kept_back(patient, settings_for):
    """Half of the clones at month 0, the others at month 2, in a marrow that is still empty enough."""
    given = {"events": [event("boost", 2, size=0.5)], "values": QUIET}
    tables = engraft_one(patient, settings_for, 4000, visits=(2, 2.01), **given)
    sizes = tables["clone_sizes"].groupby("month")["clone"].agg(set)
    assert 1500 < len(sizes[2.0]) < 2100
    assert sizes[2.01] > sizes[2.0] - {c for c in sizes[2.0] if c not in sizes[2.01]}
    assert len(sizes[2.01]) > 1.5 * len(sizes[2.0])
    assert tables["grafts"]["took"][0] > tables["marrow"]["live_clones"][0]


def test_a_boost_into_a_full_marrow_finds_no_room(patient, settings_for):
    given = {"events": [event("boost", 60, size=0.5)], "values": QUIET}
    full = engraft_one(patient, settings_for, 4000, visits=(60, 61), **given)
    marrow = full["marrow"]["live_clones"]
    assert marrow[2] - marrow[1] < 30


def test_a_course_follows_the_capacity_for_age(patient, settings_for):
    course = patient_course({**patient, "age_years": 1.0}, [], 120.0, settings_for("engraftment"))
    assert np.all(np.diff(course.capacity) > 0)
    assert course.at(0.3) == 1
