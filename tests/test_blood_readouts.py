"""Read-outs of the clinic: haemoglobin, enzyme, oxidase-positive cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.blood.readouts import (
    KINDS,
    Cells,
    activity,
    haemoglobin,
    haemoglobin_share,
    portion,
    positive_cells,
)
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.study import load_study

shares = st.floats(0, 1)


def cells(corrected, function=1.0, per_normal=1.0):
    return Cells(np.array([corrected]), np.array([function]), np.array([per_normal]))


@given(at_one=st.floats(0.01, 0.99), function=st.floats(0, 100))
def test_a_portion_competes_with_what_is_there(at_one, function):
    """None at no function, s at one, and towards all of it."""
    assert portion(np.array([0.0]), at_one) == 0
    assert portion(np.array([1.0]), at_one) == pytest.approx(at_one)
    assert 0 <= portion(np.array([function]), at_one) <= 1
    assert portion(np.array([function + 1]), at_one) > portion(np.array([function]), at_one) - 1e-12


@pytest.mark.parametrize("kind", [activity, positive_cells, haemoglobin, haemoglobin_share])
@given(low=shares, high=shares, untreated=shares, function=st.floats(0, 1))
def test_read_outs_rise_with_correction_where_it_helps(kind, low, high, untreated, function):
    """None corrected: the untreated value; more of them: never less, as long as they make more."""
    of = {"normal": 50.0, "untreated": untreated, "at_full_function": 1.0}
    function = max(function, untreated)
    values = [kind(cells(share, function), of)[0] for share in sorted((low, high))]
    assert values[0] <= values[1] + 1e-9
    assert kind(cells(0.0, function), of)[0] == pytest.approx(50 * untreated)


def test_full_correction_at_full_function_is_normal():
    of = {"normal": 50.0, "untreated": 0.1, "at_full_function": 1.0}
    for kind in KINDS.values():
        assert kind(cells(1.0), of)[0] == pytest.approx(50)


def test_supranormal_enzyme_counts_and_haemoglobin_of_a_cell_does_not():
    of = {"normal": 100.0, "untreated": 0.0}
    assert activity(cells(0.5, 3.0), of) == 150
    assert haemoglobin(cells(1.0, 3.0), {"normal": 14.0, "untreated": 0.7}) == 14


def simulate(disease, product, visits=(1, 3, 6, 12, 24), patients=6, changes=None):
    content = {
        "kind": "study",
        "schema_version": 1,
        "name": "readouts",
        "seed": 5,
        "disease": disease,
        "patients": patients,
        "visits_months": list(visits),
        "arms": [{"name": "a", "product": product}],
        "sampling": {"months": [visits[-1]], "lineages": ["neutrophil"]},
        "set": changes or {},
    }
    return {name: table.to_pandas() for name, table in simulate_arm(load_study(content), "a").items()}


def readout(tables, name):
    rows = tables["readouts"]
    return rows[rows["readout"] == name].pivot(index="patient", columns="month", values="value")


@pytest.mark.parametrize(
    ("disease", "product", "name"),
    [
        ("sickle_cell", "sickle_cell_lentiviral", "therapeutic_haemoglobin"),
        ("beta_thalassaemia", "beta_thalassaemia_lentiviral", "therapeutic_haemoglobin"),
        ("x_cgd", "x_cgd_lentiviral", "oxidase_positive_neutrophils"),
        ("mld", "mld_lentiviral", "enzyme_activity"),
        ("ada_scid", "ada_lentiviral", "enzyme_activity"),
        ("was", "was_lentiviral", "haemoglobin"),
    ],
)
def test_read_outs_of_the_catalogue_leave_the_untreated_value_after_treatment(disease, product, name):
    treated = simulate(disease, product, patients=3)
    rows = treated["readouts"]
    assert name in set(rows["readout"])
    assert set(rows["state"]) <= {"ok", "transfused", "no_cells"}
    if name != "haemoglobin":
        bare = rows[rows["readout"] == name]["untreated"].iloc[0]
        assert readout(treated, name)[24.0].median() > 1.05 * bare + 1e-6


def test_the_untreated_keep_the_untreated_value():
    tables = simulate("sickle_cell", "no_infusion", patients=3)
    rows = tables["readouts"]
    share = rows[rows["readout"] == "therapeutic_haemoglobin"]
    assert share["value"].to_numpy() == pytest.approx(share["untreated"].to_numpy())
    total = rows[rows["readout"] == "haemoglobin"]
    assert total["value"].median() == pytest.approx(total["untreated"].iloc[0], rel=0.25)


def test_haemoglobin_falls_to_transfusion_while_the_marrow_is_empty():
    """Own red cells of twelve days are gone in the first month after an ablation."""
    rows = simulate("sickle_cell", "sickle_cell_lentiviral", patients=4)["readouts"]
    total = rows[rows["readout"] == "haemoglobin"].groupby("month")["state"].agg(set)
    assert "transfused" in total[1.0]
    assert total[24.0] == {"ok"}


def test_repaired_sickle_alleles_are_the_share_of_the_haemoglobin():
    """Each takes the place of a sickle one, in a cell that has two."""
    tables = simulate("sickle_cell", "sickle_cell_hdr", patients=3)
    counts = tables["counts"]
    alleles = counts[counts["lineage"] == "red_cell"].pivot(index="patient", columns="month", values="vcn")
    share = readout(tables, "therapeutic_haemoglobin")
    assert (share > 0).all(axis=None)
    assert share.to_numpy() == pytest.approx(100 * alleles.to_numpy() / 2)


def test_fetal_haemoglobin_is_more_of_all_where_the_disease_leaves_less():
    """The same edit wakes as much; in beta-thalassaemia there is a quarter of the own chains."""
    sickle, thalassaemia = (
        readout(simulate(disease, "bcl11a_crispr", patients=3), "therapeutic_haemoglobin")[24.0].median()
        for disease in ("sickle_cell", "beta_thalassaemia")
    )
    assert thalassaemia > sickle + 20
