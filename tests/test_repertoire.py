"""Repertoire: laws of clone sizes and of sampling, the link to stem cells, sequences as AIRR tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline import chain
from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity import repertoire, sequences
from hsc_pipeline.immunity.repertoire import normal_pools, repertoire_patient, richness_score
from hsc_pipeline.immunity.spectra import (
    Spectrum,
    distinct_share,
    memory_spectrum,
    naive_spectrum,
    thymic_share_of,
)
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.statistics_of import LIMIT, z_of_mean

AGEING = Path(__file__).parents[2] / "shared/data/tcr_aging_britanova2014"
BIRTH, DEATH = 0.7, 1.0  # of a cell, per unit of time


# Clone sizes: immigration, death and birth --------------------------------------------------------


def clones_alive(rng, arrivals, burst, until, runs):
    """Sizes of the clones alive after `until`, run by run, event by event in each clone."""
    found = []
    for _ in range(runs):
        ages = until * rng.random(rng.poisson(arrivals * until))
        sizes = np.full(len(ages), burst)
        left = ages.copy()
        while (active := (left > 0) & (sizes > 0)).any():
            rate = (BIRTH + DEATH) * sizes[active]
            left[active] -= rng.standard_exponential(active.sum()) / rate
            acts = np.flatnonzero(active)[left[active] > 0]
            sizes[acts] += np.where(rng.random(len(acts)) < BIRTH / (BIRTH + DEATH), 1, -1)
        found.append(sizes[sizes > 0])
    return found


@pytest.mark.parametrize("burst", [1, 3])
def test_richness_and_sizes_of_naive_clonotypes_follow_immigration_death_and_birth(burst):
    """1,500 runs of 20 arrivals a unit of time; clonotypes would fail 2 % off, sizes of one cell 4 %."""
    arrivals = 20.0
    runs = clones_alive(np.random.default_rng(3), arrivals, burst, until=40.0, runs=1500)
    cells = arrivals * burst / (DEATH - BIRTH)
    clonotypes = cells * distinct_share(1 - BIRTH / DEATH, burst)
    law = naive_spectrum(cells, clonotypes, burst)
    number = [len(sizes) for sizes in runs]
    assert abs(z_of_mean(number, clonotypes)) < LIMIT
    assert abs(z_of_mean(number, 1.02 * clonotypes)) > LIMIT
    for size in (1, 2, 4, 8):
        seen = [(sizes == size).sum() for sizes in runs]
        assert abs(z_of_mean(seen, law.number[size - 1])) < LIMIT
    assert abs(z_of_mean([(s == 1).sum() for s in runs], 1.04 * law.number[0])) > LIMIT


def test_mean_clonotypes_are_arrivals_over_the_rate_at_which_they_are_lost():
    """For single cells: mean life of a clonotype is ln(mu/(mu - rho))/rho, and sizes a log-series."""
    x = BIRTH / DEATH
    life = np.log(1 / (1 - x)) / BIRTH
    cells = 1 / (DEATH - BIRTH)
    assert cells * distinct_share(1 - x, 1) == pytest.approx(life, rel=1e-12)
    law = naive_spectrum(1e6 * cells, 1e6 * life, 1)
    n = np.arange(1, 11)
    np.testing.assert_allclose(law.number[:10], 1e6 * x**n / (n * BIRTH), rtol=1e-9)


@pytest.mark.parametrize("burst", [1, 2, 4])
def test_the_two_ways_to_sum_the_richness_agree(burst):
    """Closed form, its series for few divisions, and the sum over sizes."""
    for share in (0.02, 0.3, 0.69, 0.71, 0.95):
        x, m = 1 - share, burst
        n = np.arange(1, 4000)
        per_size = x ** np.maximum(n - m, 0) * (1 - x ** np.minimum(n, m)) / n
        assert distinct_share(share, burst) == pytest.approx(per_size.sum() / m, rel=1e-9)


def test_one_cell_in_ten_is_distinct_where_four_in_a_hundred_new_ones_are_from_the_thymus(settings_for):
    """An abstract on naive CD4+ cells says 9 %."""
    burst = int(settings_for("immunity")["repertoire.t_cell.burst"])
    assert distinct_share(0.04, burst) == pytest.approx(0.09, abs=0.01)


@given(share=st.floats(1e-8, 0.999), burst=st.integers(1, 6), cells=st.floats(1e3, 1e12))
def test_a_naive_spectrum_keeps_cells_and_clonotypes(share, burst, cells):
    clonotypes = cells * distinct_share(share, burst)
    assert thymic_share_of(clonotypes / cells, burst) == pytest.approx(share, rel=1e-5)
    law = naive_spectrum(cells, clonotypes, burst)
    assert law.cells == pytest.approx(cells, rel=1e-9)
    assert law.clonotypes == pytest.approx(clonotypes, rel=1e-9)
    assert 0 <= law.evenness() <= 1


def test_more_clonotypes_than_cells_are_refused():
    with pytest.raises(ModelError, match="clonotypes a cell"):
        naive_spectrum(100.0, 120.0, 1)


@given(cells=st.floats(1, 1e12), exponent=st.floats(1.5, 2.6), largest=st.floats(1e-4, 0.9))
def test_a_memory_spectrum_keeps_cells(cells, exponent, largest):
    law = memory_spectrum(cells, exponent, 10.0, largest)
    assert law.cells == pytest.approx(cells, rel=1e-9)
    assert law.sizes.max() <= max(cells * largest, 10.0) * (1 + 1e-9)


# Samples ------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(1, 500), min_size=1, max_size=30), cells=st.integers(1, 200))
def test_a_sample_has_the_clonotypes_of_the_rarefaction_law(sizes, cells):
    """E[S_m] = sum of 1 - (1 - p_i)^m, clonotype by clonotype."""
    p = np.array(sizes) / sum(sizes)
    law = Spectrum(np.array(sizes, float), np.ones(len(sizes)))
    assert law.sampled(cells) == pytest.approx((1 - (1 - p) ** cells).sum(), rel=1e-9)


def test_drawn_samples_agree_with_the_rarefaction_law():
    """2,000 samples of 300 cells from two pools; would fail 1 % off."""
    rng = np.random.default_rng(8)
    pools = [
        Spectrum(np.array([1.0, 4.0]), np.array([3000.0, 1500.0])),
        Spectrum(np.array([900.0]), np.array([4000.0])),
    ]
    whole = pools[0] + pools[1]
    seen = [sum(len(part) for part in sequences.draw_cells(rng, pools, 300)) for _ in range(2000)]
    assert abs(z_of_mean(seen, whole.sampled(300))) < LIMIT
    assert abs(z_of_mean(seen, 1.01 * whole.sampled(300))) > LIMIT


def test_drawn_samples_hold_the_cells_asked_for():
    rng = np.random.default_rng(9)
    pools = [naive_spectrum(1e9, 1e8, 2), memory_spectrum(1e9, 1.8, 100, 0.2)]
    for cells in (1, 37, 5000):
        assert sum(part.sum() for part in sequences.draw_cells(rng, pools, cells)) == cells


# Scores -------------------------------------------------------------------------------------------


@given(
    corrected=st.floats(0, 1e10),
    others=st.floats(0, 1e10),
    more=st.floats(1, 1e3),
    function=st.floats(0, 1),
)
def test_the_richness_score_never_falls_with_clonotypes_or_function(corrected, others, more, function):
    settings = Settings({"repertoire.least_share": 0.003, "repertoire.full_share": 0.1})
    score = richness_score(corrected, others, function, 1e9, settings)
    assert 0 <= score <= 100
    tiny = 1e-9
    assert richness_score(more * corrected, others, function, 1e9, settings) >= score - tiny
    assert richness_score(corrected, more * others, function, 1e9, settings) >= score - tiny
    assert richness_score(corrected, others, min(1, more * function), 1e9, settings) >= score - tiny


@given(cells=st.floats(1e6, 1e11), founders=st.floats(0.1, 1e4), more=st.floats(1, 100), age=st.floats(0, 80))
def test_naive_clonotypes_rise_with_cells_and_with_progenitors(settings_for, cells, founders, more, age):
    settings = settings_for("immunity")
    for cell in repertoire.CELLS:
        fewer = repertoire.naive_clonotypes(cell, cells, founders, age, settings)
        assert 0 < fewer <= cells
        assert repertoire.naive_clonotypes(cell, more * cells, founders, age, settings) >= fewer * (1 - 1e-9)
        assert repertoire.naive_clonotypes(cell, cells, more * founders, age, settings) >= fewer * (1 - 1e-9)


def test_fewer_than_a_thousand_progenitors_make_a_diverse_repertoire(settings_for):
    """Fischer 2020: an infant's naive CD4+ cells keep nine tenths of their clonotypes; of ten, a few."""
    settings = settings_for("immunity")
    norms = Norms(settings.rows("cell_norms"))
    _, cells = normal_pools("cd4_t", 1.0, 9.5, norms, settings)["naive"]
    wide, narrow, full = (
        repertoire.naive_clonotypes("cd4_t", cells, founders, 1.0, settings) for founders in (900, 10, 1e6)
    )
    assert wide > 0.9 * full
    assert narrow < 0.15 * full


def test_a_median_healthy_person_scores_100_and_has_1e11_naive_t_cells(settings_for):
    settings = settings_for("immunity", disease="healthy")
    norms = Norms(settings.rows("cell_norms"))
    naive = 0.0
    for cell in repertoire.CELLS:
        pools = normal_pools(cell, 30.0, 70.0, norms, settings)
        patient = {"null_genotype": False, "weight_kg": 70.0}
        whole = settings[f"repertoire.{repertoire.BRANCH_OF[cell]}.progenitors"]
        row = repertoire.against_normal(cell, pools, (0.0, whole), 30.0, patient, norms, settings)
        assert row["score"] == 100
        assert row["functional_clonotypes"] == pytest.approx(row["normal_clonotypes"])
        naive += pools["naive"][1] if cell != "b_cell" else 0
    assert naive == pytest.approx(1e11, rel=0.5)  # Bains 2009


# Patients -----------------------------------------------------------------------------------------

SCID = {**{"kind": "study", "schema_version": 1, "seed": 11, "patients": 2}, "visits_months": [1, 6, 24]}


@pytest.fixture(scope="module")
def trial():
    """A small study of X-SCID, gene-corrected and untreated: study, and tables by arm."""
    study = load_study(
        SCID
        | {
            "name": "scid",
            "disease": "x_scid",
            "arms": [{"name": "corrected"}, {"name": "untreated", "product": "no_infusion"}],
        }
    )
    return study, {arm: chain.simulate_arm(study, arm) for arm in study.arms}


def rows_of(trial, arm, patient=0):
    """One patient of an arm: row of the plan, tables, settings."""
    study, tables = trial
    mine = {
        name: table.filter(pc.equal(table["patient"], patient))
        for name, table in tables[arm].items()
        if "patient" in table.column_names
    }
    return mine["patients"].to_pylist()[0], mine, Settings(**study.settings("immunity", arm))


def test_correction_brings_a_repertoire_back_that_an_untreated_child_never_has(trial):
    last = {}
    for arm in ("corrected", "untreated"):
        made = repertoire_patient(*rows_of(trial, arm))["repertoire"].to_pandas()
        last[arm] = made[made["month"] == 24].set_index("cell")
    assert (last["corrected"].loc[["cd4_t", "cd8_t"], "score"] == 100).all()
    assert (last["untreated"]["score"] <= 10).all()
    assert (last["untreated"]["corrected_clonotypes"] == 0).all()
    assert (last["untreated"]["hsc_clones"] == 0).all()


def test_the_link_to_stem_cells_adds_up(trial):
    patient, tables, settings = rows_of(trial, "corrected")
    made = repertoire_patient(patient, tables, settings)
    linked = made["clone_clonotypes"].to_pandas()
    sizes = tables["clone_sizes"].to_pandas()
    alive = set(sizes.loc[sizes["month"] == 24, "clone"])
    assert set(linked["clone"]) <= alive
    repertoires = made["repertoire"].to_pandas().query("month == 24").set_index("cell")
    of_t = linked[linked["branch"] == "t_cell"]
    # Memory clonotypes, and those of progenitors that settled at infusion, come from no live stem cell.
    assert 0 < of_t["clonotypes"].sum() < repertoires.loc[["cd4_t", "cd8_t"], "corrected_clonotypes"].sum()


def test_clones_among_progenitors_follow_their_law():
    """Sum of 1 - (1 - w)^F against 4,000 draws; would fail 1 % off."""
    weights = np.arange(1, 41) / np.arange(1, 41).sum()
    law = repertoire.distinct_in_draws((np.arange(40), weights), 60)
    seen = [
        np.count_nonzero(repertoire.draw_progenitors(seed, "t_cell", weights, 60)) for seed in range(4000)
    ]
    assert abs(z_of_mean(seen, law)) < LIMIT
    assert abs(z_of_mean(seen, 1.01 * law)) > LIMIT


# The shape of measured repertoires ----------------------------------------------------------------


@pytest.mark.skipif(not AGEING.is_dir(), reason="needs ../shared/data/tcr_aging_britanova2014")
def test_shape_agrees_with_41_donors_aged_6_to_90(settings_for):
    """Britanova 2014: clonotypes in 10,000 reads within 30 %, the largest within a factor of 2.5."""
    settings = settings_for("immunity", disease="healthy")
    norms = Norms(settings.rows("cell_norms"))
    measured = pd.read_csv(AGEING / "diversity_by_age.csv")
    bands = measured.groupby(pd.cut(measured["age"], [5, 17, 30, 50, 65, 80, 101]), observed=True)
    assert len(measured) == 41
    model = []
    for _, donors in bands:
        age = float(donors["age"].median())
        weight = 36.0 if age < 17 else 70.0
        law = Spectrum(np.zeros(0), np.zeros(0))
        for cell in ("cd4_t", "cd8_t"):
            pools = normal_pools(cell, age, weight, norms, settings)
            law = law + repertoire.spectrum(
                cell, pools, 1, settings["repertoire.t_cell.progenitors"], age, settings
            )
        assert law.sampled(10_000) == pytest.approx(donors["n_clones"].median(), rel=0.3)
        assert abs(np.log(law.top_share() / donors["top1_frac"].median())) < np.log(2.5)
        model.append((law.sampled(10_000), law.top_share(), law.clonotypes))
    seen, top, richness = zip(*model, strict=True)
    assert list(seen) == sorted(seen, reverse=True)
    assert list(top) == sorted(top)
    assert list(richness) == sorted(richness, reverse=True)


# Sequences ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(trial, tmp_path_factory):
    """The study as a folder of results, as far as an export reads it."""
    study, arms = trial
    folder = tmp_path_factory.mktemp("results") / study.name
    for arm, tables in arms.items():
        for stage, names in sequences.READS.items():
            (folder / stage / arm).mkdir(parents=True)
            for name in names:
                pq.write_table(tables[name], folder / stage / arm / f"{name}.parquet")
    (folder / "study.yaml").write_text(yaml.safe_dump(study.as_dict(), sort_keys=False))
    return folder


def exported(results, path, *more):
    call = ["repertoire", str(results), "--arm", "corrected", "--patient", "1", "--out", str(path), *more]
    assert main(call) == 0
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def test_exported_sequences_pass_the_reference_validator(results, tmp_path):
    pytest.importorskip("righor")
    airr = pytest.importorskip("airr")
    made = exported(results, tmp_path / "t.tsv", "--cells", "30")
    assert airr.validate_rearrangement(str(tmp_path / "t.tsv"))
    assert made["duplicate_count"].astype(int).sum() == 30
    assert made["junction_aa"].str.match("^C[A-Z]*[FW]$").all()
    assert (made["junction"].str.len() == 3 * made["junction_aa"].str.len()).all()
    assert all(j in s for j, s in zip(made["junction"], made["sequence"], strict=True))
    assert (made["v_call"].str.startswith("TRBV")).all()
    assert made["pgen"].astype(float).between(0, 1, inclusive="neither").all()


def test_an_export_keeps_its_stem_cells_and_repeats_itself(results, tmp_path):
    pytest.importorskip("righor")
    more = ("--cells", "400", "--no-pgen", "--cell", "b_cell", "--month", "6")
    made = exported(results, tmp_path / "a.tsv", *more)
    exported(results, tmp_path / "b.tsv", *more)
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert set(made["locus"]) == {"IGH"}
    linked = made[made["hsc_clone"] != ""]
    assert set(linked["origin"]) <= {"corrected"}
    clones = pq.read_table(results / "engraftment/corrected/clone_sizes.parquet").to_pandas()
    alive = clones[(clones["patient"] == 1) & (clones["month"] == 6)]["clone"]
    assert set(linked["hsc_clone"].astype(int)) <= set(alive)


def test_the_pipelines_own_reader_takes_an_export(results, tmp_path):
    pytest.importorskip("righor")
    from hsc_pipeline.formats import read

    exported(results, tmp_path / "t.tsv", "--cells", "50", "--no-pgen")
    assert read(tmp_path / "t.tsv") is not None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("--arm", "corected", "--patient", "0"), "did you mean 'corrected'"),
        (("--arm", "corrected", "--patient", "7"), "no patient 7"),
        (("--arm", "corrected", "--patient", "0", "--month", "5"), "allowed: 1, 6, 24"),
        (("--arm", "corrected", "--patient", "0", "--cell", "cd4"), "did you mean 'cd4_t'"),
        (("--arm", "corrected", "--patient", "0", "--cells", "0"), "cells: 0; allowed: 1 to"),
    ],
)
def test_a_mistake_in_an_export_is_one_sentence(results, tmp_path, capsys, call, sentence):
    assert main(["repertoire", str(results), "--out", str(tmp_path / "x.tsv"), *call]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


OLGA_AMINO_ACIDS = {"CASSTGQANYGYTF": 5.2650744695477224e-08}  # of the library OLGA, model humanTRB
OLGA = {  # the same of junctions in nucleotides, drawn with seed 21
    "TGTGCCAGCAGCTTAGGTAAACGAGTCCCGGGACAGGGGGTTGAAGCTTTCTTT": 1.3355e-16,
    "TGTGCCAGTAGTATCCCGTTAACTGCCCGCCCGGACACTGAAGCTTTCTTT": 1.564e-18,
    "TGTGCCAGCAGTTTGAGAGGGGAGGGGGACTATGGCTACACCTTC": 1.2267e-11,
    "TGTGCCAGCAGGACAGGGGGGGCCCAAGAGACCCAGTACTTC": 1.9966e-09,
    "TGTGCCAGCAGTTACGTCCGGGACAGGGGGGCAAGTAGCACAGATACGCAGTATTTT": 4.8837e-14,
    "TGTGCCAGCAGCGCACGACCGTCCGGACAGGGTCAGCCCCAGCATTTT": 6.9866e-15,
    "TGTGCCAGCAGAGTGACGCCCGGTTTCCAGCTCAAAGCGGGTCTACAGAACACCGGGGAGCTGTTTTTT": 3.9258e-29,
    "TGTGCCAGCTCACCACAAACTAGCGGGGATTCTTACGAGCAGTACTTC": 1.6562e-13,
    "TGTGCCAGCTCACAGACAGAAGGGAAGAACACTGAAGCTTTCTTT": 8.0091e-13,
    "TGTGCCAGCAGCCCGGGCGGCACCGGGGAGCTGTTTTTT": 7.392e-09,
    "TGTGCCAGCAGTTTGGGTCCGGGACAGGGCCCCGAGCAGTACTTC": 1.1691e-11,
    "TGTGCCAGCAGAGGGGACGGAACTGAAGCTTTCTTT": 1.3715e-09,
}


def test_generation_probabilities_agree_with_olga():
    """Within 0.9 of a logarithm each, 0.35 in the mean.

    They scatter by a standard deviation of 0.3, which the law of the first inserted base, another in each
    library, would explain.  A model without insertions, or of another locus, would be
    orders of magnitude off.
    """
    pytest.importorskip("righor")
    model = sequences.Recombination("TRB")
    off = [np.log(model.probability(junction) / olga) for junction, olga in OLGA.items()]
    off += [np.log(model.amino_acid_probability(aa) / olga) for aa, olga in OLGA_AMINO_ACIDS.items()]
    assert max(map(abs, off)) < 0.9
    assert abs(np.mean(off)) < 0.35
