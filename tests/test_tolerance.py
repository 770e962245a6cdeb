"""Tolerance: rejection by genotype and conditioning, epitopes, autoimmune reset, a donor's graft."""

import csv

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline import chain
from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import UserError
from hsc_pipeline.events import months_of
from hsc_pipeline.immunity import allogeneic, epitopes, reset, tolerance
from hsc_pipeline.plan import draw_genotype, plan_events, plan_patients, rejection_per_year, t_cells_left
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.statistics_of import LIMIT, z_of_mean, z_of_share

CLASSES = ("null", "missense", "mild")


def person(patient, kind):
    return {**patient, "genotype_class": kind, "null_genotype": kind == "null"}


# Rejection in the plan ----------------------------------------------------------------------------


def test_genotypes_are_drawn_at_the_set_shares(settings_for):
    """4,000 patients, 30 % null and 20 % mild; would fail 4 percentage points off."""
    settings = settings_for("plan", {"cohort.null_fraction": 0.3, "cohort.mild_fraction": 0.2})
    drawn = np.array([draw_genotype(seed, settings) for seed in range(4000)])
    for kind, share in (("null", 0.3), ("mild", 0.2), ("missense", 0.5)):
        assert abs(z_of_share(drawn == kind, share)) < LIMIT
        assert abs(z_of_share(drawn == kind, share + 0.04)) > LIMIT


def test_null_genotypes_are_rejected_most_and_mild_ones_least(settings_for, patient):
    """Gouw 2012: odds of inhibitors of 0.3, missense against none of the protein."""
    settings = settings_for("plan", disease="mld")
    rates = [rejection_per_year(person(patient, kind), settings) for kind in CLASSES]
    assert rates[0] > rates[1] > rates[2] > 0
    assert rates[1] == pytest.approx(0.3 * rates[0])


def test_rejection_needs_t_cells_and_conditioning_takes_them(settings_for, patient):
    """A child with SCID has none; of another's, conditioning leaves a share; without it all are left."""
    null = person(patient, "null")
    scid = t_cells_left(null, settings_for("plan", disease="x_scid"))
    conditioned = settings_for("plan", disease="mld")
    none = settings_for("plan", {"conditioning.agent": "none"}, disease="mld")
    assert scid < 0.01
    assert t_cells_left(null, conditioned) == conditioned["blood.cd4_t.host_survival"]
    assert t_cells_left({**null, "busulfan_auc": 0.0}, conditioned) == 1
    assert t_cells_left(null, none) == 1


@pytest.mark.parametrize("product", ["allogeneic", "autologous", "no_infusion", "bcl11a_crispr"])
def test_a_product_without_a_new_protein_is_not_rejected(settings_for, patient, product):
    disease = "sickle_cell" if product == "bcl11a_crispr" else "was"
    settings = settings_for("plan", disease=disease, product=product)
    assert rejection_per_year(person(patient, "null"), settings) == 0


def test_rejections_come_at_the_rate_of_each_patient(settings_for):
    """3,000 patients, half of them null; would fail 25 % off."""
    settings = settings_for(
        "plan",
        {"events.rejection.per_year": 0.5, "cohort.null_fraction": 0.5, "blood.cd4_t.host_survival": 1},
        disease="mld",
    )
    rows = plan_patients(range(3000), settings, "trial").to_pylist()
    events = plan_events(rows, settings).to_pandas()
    number = (
        events[events["kind"] == "rejection"].groupby("patient").size().reindex(range(3000), fill_value=0)
    )
    for kind in ("null", "missense"):
        mine = [row["patient"] for row in rows if row["genotype_class"] == kind]
        law = rejection_per_year(rows[mine[0]], settings) * settings["events.rejection.until_month"] / 12
        assert abs(z_of_mean(number[mine], law)) < LIMIT
        assert abs(z_of_mean(number[mine], 1.25 * law)) > LIMIT or kind == "missense"


# Immunogenicity -----------------------------------------------------------------------------------


@given(chimerism=st.floats(0, 1), more=st.floats(0, 1))
def test_tolerance_lowers_the_hazard_and_is_one_at_full_chimerism(settings_for, chimerism, more):
    settings = settings_for("immunity")
    low, high, full = tolerance.tolerance(np.array([chimerism, min(1, chimerism + more), 1.0]), settings)
    assert low >= high * (1 - 1e-12)
    assert high >= full * (1 - 1e-12)
    assert full == pytest.approx(1)


def test_a_hazard_sums_up_to_its_end(settings_for):
    """Constant hazard: h t up to the last month in which responses begin, and no further."""
    months = np.array([1.0, 6.0, 12.0, 24.0])
    found = tolerance.cumulative(months, np.full(4, 0.6), until=12.0)
    np.testing.assert_allclose(found, 0.6 * np.array([1, 6, 12, 12]) / 12, rtol=1e-12)


def test_drawn_losses_add_up_over_their_length():
    events = {
        "month": np.array([2.0, 4.0]),
        "kind": np.array(["rejection", "infection"]),
        "duration_months": np.array([2.0, 9.0]),
        "size": np.array([0.75, 1.0]),
    }
    months = np.array([1.0, 3.0, 4.0, 60.0])
    np.testing.assert_allclose(tolerance.drawn_loss(months, events), [0, 0.5, 0.75, 0.75])


STUDY = {"kind": "study", "schema_version": 1, "seed": 12, "patients": 2, "visits_months": [1, 3, 6, 12, 60]}


def simulated(disease, **keys):
    """One arm: rows of the plan, tables, settings of the stage."""
    study = load_study(STUDY | {"name": "tolerance", "disease": disease, "arms": [{"name": "arm"}], **keys})
    tables = chain.simulate_arm(study, "arm")
    settings = Settings(**study.settings("immunity", "arm"))
    return tables["patients"].to_pylist(), tables, settings


def of_patient(tables, patient):
    return {
        name: table.filter(pc.equal(table["patient"], patient))
        for name, table in tables.items()
        if "patient" in table.column_names
    }


@pytest.fixture(scope="module")
def mld():
    return simulated("mld")


def test_antibodies_are_about_as_frequent_as_in_the_trials(mld):
    """5 of 35 patients with MLD: between 5 and 30 % by binomial; all null here, as most of them."""
    rows, tables, settings = mld
    made = tolerance.immunogenicity_patient(person(rows[0], "null"), of_patient(tables, 0), settings)
    found = made["immunogenicity"].to_pandas().query("antigen == 'transgene' and month == 12")
    assert 0.05 < found["antibody_probability"].item() < 0.3
    assert found["response_probability"].item() < found["antibody_probability"].item()


def test_the_score_is_lower_for_a_null_genotype_and_without_chimerism(mld):
    rows, tables, settings = mld
    mine = of_patient(tables, 0)
    scores = {}
    for kind in CLASSES:
        made = tolerance.immunogenicity_patient(person(rows[0], kind), mine, settings)["immunogenicity"]
        scores[kind] = made.to_pandas().query("antigen == 'transgene'")["score"].to_numpy()
    assert (scores["null"] < scores["missense"]).all()
    assert (scores["missense"] < scores["mild"]).all()
    hazards = tolerance.response_hazard("transgene", person(rows[0], "null"), np.array([0.0, 0.5]), settings)
    assert hazards[0] > 3 * hazards[1]


def test_vectors_and_editors_are_scored_where_they_are_used(settings_for, patient):
    vector, editor = settings_for("immunity"), settings_for("immunity", disease="hiv")
    chimerism = np.array([0.5])
    for settings, used, not_used in ((vector, "vector", "editor"), (editor, "editor", "vector")):
        assert tolerance.response_hazard(used, person(patient, "null"), chimerism, settings)[0] > 0
        assert tolerance.response_hazard(not_used, person(patient, "null"), chimerism, settings)[0] == 0


# Epitopes -----------------------------------------------------------------------------------------

PROTEIN = "MSGRGKGGKGLGKGGAKRHRKVLRDNIQGITKPAIRRLARRGGVKRISGLIYEETRGVLKVFLENVIRD"


def test_new_peptides_are_those_that_the_patient_does_not_make():
    own = PROTEIN[:40] + "A" + PROTEIN[41:]
    new = epitopes.new_peptides(PROTEIN, own, (9,))
    assert [position for position, _ in new] == list(range(33, 42))
    assert all(peptide == PROTEIN[at - 1 : at + 8] for at, peptide in new)
    assert all(own[40] == "A" and PROTEIN[40] in peptide for _, peptide in new)


@given(st.text("ACDEF", min_size=9, max_size=40))
def test_a_protein_of_ones_own_has_no_new_peptide(protein):
    assert epitopes.new_peptides(protein, protein, (8, 9, 10)) == []
    without = {peptide for _, peptide in epitopes.new_peptides(protein, "", (9,))}
    assert without == {protein[i : i + 9] for i in range(len(protein) - 8)}


def test_known_epitopes_bind_their_hla_and_no_other_peptide_does():
    """Influenza GILGFVFTL and cytomegalovirus NLVPMVATV are shown by HLA-A*02:01; poly-glycine is not."""
    pytest.importorskip("epytope")
    found = epitopes.score_peptides(
        [(1, "GILGFVFTL"), (2, "NLVPMVATV"), (3, "GGGGGGGGG")], ["HLA-A*02:01"]
    ).to_pydict()
    ic50 = dict(zip(found["peptide"], found["ic50_nm"], strict=True))
    binds = dict(zip(found["peptide"], found["binds"], strict=True))
    assert binds == {"GILGFVFTL": True, "NLVPMVATV": True, "GGGGGGGGG": False}
    assert ic50["GILGFVFTL"] == pytest.approx(48.653, rel=1e-4)
    assert found["ic50_nm"] == sorted(found["ic50_nm"])


def test_the_command_writes_peptides_best_first(tmp_path, capsys):
    pytest.importorskip("epytope")
    protein, out = tmp_path / "p.fasta", tmp_path / "e.csv"
    protein.write_text(f">product\n{PROTEIN[:35]}\n{PROTEIN[35:]}\n")
    call = ["epitopes", str(protein), "--alleles", "HLA-A*02:01", "HLA-B*07:02", "--out", str(out)]
    assert main(call) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (len(PROTEIN) - 8)
    assert {row["allele"] for row in rows} == {"HLA-A*02:01", "HLA-B*07:02"}
    assert f"{len(rows)} peptides by allele" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        (">a\nMKB\n", (), "holds B; allowed: the 20 amino acids"),
        (">a\nMK\n>b\nMK\n", (), "holds 2 proteins; allowed: one"),
        (">a\n", (), "holds no protein"),
        (f">a\n{PROTEIN}\n", ("--lengths", "7"), "lengths: 7; allowed: 8, 9, 10, 11"),
        (f">a\n{PROTEIN}\n", ("--method", "magic"), "method: 'magic'; allowed: smm, smmpmbec"),
        (f">a\n{PROTEIN}\n", ("--alleles", "HLA-A*2:1"), "alleles: smm has none 'HLA-A*2:1'; did you mean"),
    ],
)
def test_a_mistake_about_epitopes_is_one_sentence(tmp_path, capsys, content, more, sentence):
    pytest.importorskip("epytope")
    protein, out = tmp_path / "p.fasta", tmp_path / "e.csv"
    protein.write_text(content)
    call = ["epitopes", str(protein), "--alleles", "HLA-A*02:01", "--out", str(out), *more]
    assert main(call) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_protein_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        epitopes.read_protein(tmp_path / "none.fasta")


# Autoimmune reset ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sclerosis():
    """Reset of twelve patients with multiple sclerosis."""
    rows, tables, settings = simulated("multiple_sclerosis", patients=12)
    parts = [
        reset.reset_patient(row, of_patient(tables, row["patient"]), settings)["autoimmune_reset"].to_pandas()
        for row in rows
    ]
    return pd.concat(parts)


def test_memory_of_before_is_diluted_as_in_27_patients(sclerosis):
    """26 % of memory CD4+ cells early and 15 % at month 12; naive cells fully renewed; CD8+ ones persist."""
    median = sclerosis.groupby("month").median()
    assert 0.15 < median.loc[6, "cd4_memory_old"] < 0.6
    assert 0.08 < median.loc[12, "cd4_memory_old"] < 0.25
    assert median.loc[60, "naive_renewed"] > 0.95
    assert median.loc[60, "cd8_memory_old"] > median.loc[60, "cd4_memory_old"] > 0


def test_relapses_after_a_reset_are_as_rare_as_in_trials(sclerosis):
    """68 % without disease activity (pooled, 10.1007/s40120-022-00389-x) is the least, 95 % the most."""
    at_five_years = sclerosis[sclerosis["month"] == 60]["relapse_free"]
    assert 0.6 < at_five_years.median() < 0.95
    for _, course in sclerosis.groupby("patient"):
        assert course["relapse_free"].is_monotonic_decreasing
        # An untreated patient would have exp(-1) in the first year.
        assert course.loc[course["month"] == 12, "relapse_free"].item() > 0.8


def test_without_conditioning_nothing_is_reset():
    rows, tables, settings = simulated("multiple_sclerosis", arms=[{"name": "arm", "product": "no_infusion"}])
    made = reset.reset_patient(rows[0], of_patient(tables, 0), settings)["autoimmune_reset"].to_pandas()
    assert (made["naive_renewed"] == 0).all()
    assert (made["score"] < 15).all()
    last = made.iloc[-1]
    assert last["relapse_free"] < np.exp(-0.7 * last["month"] / 12 * settings["reset.relapse_per_year"])


@given(left=st.floats(0.001, 1), more=st.floats(0, 1))
def test_autoreactive_memory_rises_with_the_lines_left(settings_for, left, more):
    settings = settings_for("immunity", disease="multiple_sclerosis")
    months = np.array([12.0])
    low, high = (
        reset.autoreactive_memory(months, {pool: np.array([value]) for pool in reset.MEMORY}, True, settings)[
            0
        ]
        for value in (left, min(1, left + more))
    )
    assert low <= high <= 1


# A donor's graft ----------------------------------------------------------------------------------


def test_episodes_that_overlap_count_once():
    events = {
        "month": np.array([1.0, 2.0, 6.0, 7.0]),
        "kind": np.array(["gvhd", "gvhd", "gvhd", "infection"]),
        "duration_months": np.array([2.0, 3.0, 1.0, 9.0]),
    }
    np.testing.assert_allclose(months_of("gvhd", np.array([0.5, 2.0, 5.5, 24.0]), events), [0, 1, 4, 5])


def test_graft_versus_host_disease_delays_lymphocytes_and_nothing_else():
    """Six months of it from month 1 in children: fewer new T and B cells for a time, equal neutrophils.

    Equal to 2 %: the illness cuts intervals of the stem cells in two, which draws them anew.
    """
    graft = {"arms": [{"name": "arm", "product": "allogeneic"}], "set": {"events.gvhd.per_year": 0}}
    ill = graft | {"events": [{"kind": "gvhd", "month": 1, "duration_months": 6, "size": 0.01}]}
    tables = [simulated("x_cgd", **keys)[1]["counts"].to_pandas() for keys in (graft, ill)]
    well, late = (
        t.set_index(["lineage", "month", "patient"])["corrected_per_ul"].sort_index() for t in tables
    )
    for lineage in ("cd4_naive", "cd8_naive", "b_cell"):
        assert (late[lineage] <= 1.02 * well[lineage]).all()
        assert late[lineage, 6].mean() < 0.8 * well[lineage, 6].mean()
        assert late[lineage, 60].mean() > 0.9 * well[lineage, 60].mean()
    np.testing.assert_allclose(late["neutrophil"], well["neutrophil"], rtol=0.02)


def test_only_a_donors_graft_acts_on_leukaemia():
    scores = {}
    for product in ("allogeneic", "autologous"):
        rows, tables, settings = simulated("aml", arms=[{"name": "arm", "product": product}])
        made = allogeneic.graft_effects(rows[0], of_patient(tables, 0), settings)["graft_effects"]
        scores[product] = made.to_pandas().set_index("month")["score"]
    assert (scores["autologous"] == 0).all()
    assert scores["allogeneic"][60] > 20


@given(donor=st.floats(0, 1), more=st.floats(0, 1))
def test_relapse_falls_with_donor_cells_and_with_graft_versus_host_disease(settings_for, donor, more):
    settings = settings_for("immunity")
    shares = np.array([donor, min(1, donor + more)])
    well = allogeneic.relapse_ratio(shares, np.array([False, False]), settings)
    ill = allogeneic.relapse_ratio(shares, np.array([True, True]), settings)
    assert 1 >= well[0] >= well[1] > 0
    assert (ill <= well).all()
