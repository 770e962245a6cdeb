"""The laboratory: sorting, DNA, sequencing, copies and alleles, and the clones that they meet."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.blood.alleles import UNEDITED, PatientAlleles
from hsc_pipeline.blood.clones import Progenitors, clone_outputs, progenitor_pools, stem_cell_weights
from hsc_pipeline.blood.laboratory import (
    MOST_SITES,
    SORTED,
    STATES,
    Tube,
    capture,
    count_fragments,
    gate,
    sort_cells,
)
from hsc_pipeline.blood.lineages import BRANCHES, NUCLEATED, PARTS, Blood
from hsc_pipeline.product.editing import OUTCOMES
from hsc_pipeline.visits import shannon
from tests.statistics_of import LIMIT, z_of_mean

LINEAGES_SORTED = list(SORTED)


# Sequencing -------------------------------------------------------------------------------------


@pytest.fixture
def sequence(settings_for):
    """Sequence samples of the same clones again and again; return what each found."""

    def many(weight, *, owner=None, expected, repeats=200, efficiency=0.05, **values):
        settings = settings_for("blood", {f"lab.{name}": value for name, value in values.items()})
        owner = np.arange(len(weight)) if owner is None else owner
        rng = np.random.default_rng(11)
        weight = np.asarray(weight, float)
        genomes = expected / efficiency * weight / weight.sum()
        return [
            count_fragments(rng, capture(rng, genomes, owner, efficiency) * MOST_SITES, settings)
            for _ in range(repeats)
        ]

    return many


def unequal(clones, sigma=1.5, seed=5):
    return np.exp(sigma * np.random.default_rng(seed).standard_normal(clones))


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.03, False)])
def test_distinct_sites_agree_with_the_occupancy_law(sequence, wrong, agrees):
    """E[S] = sum(1 - exp(-lambda_i)) for clones of unequal output; fails if it were 3 % off."""
    weight = unequal(1000)
    found = [len(sample["clone"]) for sample in sequence(weight, expected=800)]
    occupied = (1 - np.exp(-800 * weight / weight.sum())).sum()
    assert (abs(z_of_mean(found, wrong * occupied)) < LIMIT) == agrees


@pytest.mark.parametrize("fragments", [200, 300, 500, 3000])
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.06, False)])
def test_fragments_of_an_abundant_site_saturate_at_the_number_of_lengths(sequence, fragments, wrong, agrees):
    """L (1 - (1 - 1/L)^n), with n Poisson L (1 - e^(-n/L)); fails if it were 6 % off."""
    distinct = [s["fragments"].sum() for s in sequence([1.0], expected=fragments, fragment_lengths=300)]
    law = 300 * (1 - np.exp(-fragments / 300))
    assert (abs(z_of_mean(distinct, wrong * law)) < LIMIT) == agrees


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.05, False)])
def test_captured_fragments_are_unbiased_for_copies_per_cell(sequence, wrong, agrees):
    """Fragments / (genomes x efficiency) = VCN whatever the copies and outputs; fails if it were 5 % off."""
    copies = np.tile([1, 2, 7], 100)
    weight = unequal(300)
    samples = sequence(
        weight, owner=np.repeat(np.arange(300), copies), expected=500, fragment_lengths=1_000_000
    )
    vcn_of_corrected = [sample["fragments"].sum() / 500 for sample in samples]
    assert (abs(z_of_mean(vcn_of_corrected, wrong * np.average(copies, weights=weight))) < LIMIT) == agrees


def test_sites_of_one_clone_are_captured_from_the_same_cells(sequence):
    """Two insertions of one clone share their cells: with all captured, their fragments are equal."""
    samples = sequence([1.0], owner=np.zeros(2, int), expected=50, fragment_lengths=1e6, efficiency=1.0)
    assert all(sample["fragments"][0] == pytest.approx(sample["fragments"][1], abs=1) for sample in samples)


def chao1(fragments):
    """Bias-corrected Chao1: S + f1 (f1 - 1) / (2 (f2 + 1))."""
    once, twice = (fragments == 1).sum(), (fragments == 2).sum()
    return len(fragments) + once * (once - 1) / (2 * (twice + 1))


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_chao1_of_a_sample_is_a_lower_bound_of_the_clones(sequence, sigma):
    """In expectation; nearly reached where all clones are equal."""
    estimates = [chao1(s["fragments"]) for s in sequence(unequal(1000, sigma), expected=800)]
    assert z_of_mean(estimates, 1000) < LIMIT
    assert np.mean(estimates) > (950 if sigma == 0 else 300)


@pytest.mark.parametrize(("sigma", "agrees"), [(1.5, True), (1.3, False), (1.7, False)])
def test_a_sample_of_a_recovered_marrow_has_the_shape_of_real_ones(sequence, sigma, agrees):
    """5,000 clones, sigma 1.5 and 2,800 fragments: set on 1,528 sonic samples of Calabria 2024.

    Sites, share of singletons, Shannon, Chao1 over observed and the top clone, each to twice the sd
    of one draw of outputs, as the calibration was one; the mean here is over 40 draws.
    """
    samples = [sequence(unequal(5000, sigma, seed), expected=2800, repeats=1)[0] for seed in range(40)]
    shapes = [
        (len(f), (f == 1).mean(), shannon(f), chao1(f) / len(f), f.max() / f.sum())
        for f in (sample["fragments"] for sample in samples)
    ]
    off = np.abs(np.mean(shapes, axis=0) - [1343, 0.61, 6.79, 1.96, 0.019])
    assert (off < [70, 0.026, 0.12, 0.17, 0.013]).all() == agrees


def recapture(chance, repeats=300, clones=5000):
    """Lincoln-Petersen estimates of clones seen with `chance` at each of two visits."""
    rng = np.random.default_rng(9)
    found = []
    for _ in range(repeats):
        p = chance(rng, clones)
        first, second = rng.random(clones) < p, rng.random(clones) < p
        found.append(first.sum() * second.sum() / (first & second).sum())
    return np.array(found)


def test_recapture_of_unequal_clones_estimates_too_few():
    """N (E p)^2 / E(p^2) = 2,045 of 5,000 clones for Beta(0.5, 4.5), and all of equal ones."""
    unequal_ones = recapture(lambda rng, n: rng.beta(0.5, 4.5, n))
    law = 5000 * 0.1**2 / (0.1**2 + 0.5 * 4.5 / (5**2 * 6))
    assert unequal_ones.mean() == pytest.approx(law, rel=0.02)
    assert recapture(lambda _, n: np.full(n, 0.1)).mean() == pytest.approx(5000, rel=0.03)


def test_every_site_found_has_reads_for_every_captured_fragment(sequence):
    for sample in sequence(unequal(500), expected=800, repeats=5):
        assert (sample["fragments"] >= 1).all()
        assert (sample["reads"] >= sample["fragments"]).all()
        assert (np.diff(sample["clone"]) > 0).all()


def test_reads_are_less_even_than_fragments(sequence):
    """Amplification spreads reads of equal fragments."""
    for sample in sequence(np.ones(300), expected=3000, repeats=5):
        spread = [x.std() / x.mean() for x in (sample["reads"], sample["fragments"])]
        assert spread[0] > 1.1 * spread[1]


# Clones -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "agrees"), [(0.5, True), (0.45, False), (0.55, False)])
def test_outputs_of_balanced_clones_are_lognormal_and_the_same_in_every_branch(settings_for, sigma, agrees):
    settings = settings_for("blood", {"marrow.clone_output_sigma": 0.5, "blood.biased_share": 0})
    output = clone_outputs(3, 20_000, settings)
    assert (output == output[0]).all()
    assert (abs(z_of_mean(np.log(output[0]) ** 2, sigma**2)) < LIMIT) == agrees


@pytest.mark.parametrize(("concentration", "agrees"), [(0.5, True), (0.7, False), (0.35, False)])
def test_bias_of_a_clone_is_one_on_average_and_spread_as_a_dirichlet_law(settings_for, concentration, agrees):
    """Var of a share of k branches: (k - 1) / (k^2 (k a + 1)); all clones biased."""
    settings = settings_for("blood", {"marrow.clone_output_sigma": 0, "blood.biased_share": 1})
    bias = clone_outputs(3, 20_000, settings)
    k = len(BRANCHES)
    assert bias.mean(axis=0) == pytest.approx(1)
    assert abs(z_of_mean(bias[0], 1)) < LIMIT
    law = k**2 * (k - 1) / (k**2 * (k * concentration + 1))
    assert (abs(z_of_mean((bias[0] - 1) ** 2, law)) < LIMIT) == agrees


def test_weights_are_shares_of_living_corrected_clones():
    sizes = {
        "month": np.array([6.0, 6, 6, 12]),
        "clone": np.array([0, 1, 2, 0]),
        "cells": np.array([5, 5, 90, 7]),
    }
    outputs = np.array([[1.0, 3, 1, 1]] * len(BRANCHES))
    weights = stem_cell_weights(None, outputs, sizes, np.array([True, True, False, True]), 6.0)
    assert weights[0] == pytest.approx([0.25, 0.75, 0, 0])
    assert (stem_cell_weights(None, outputs, sizes, np.zeros(4, bool), 6.0) == 0).all()


def progenitors(n=1000, copies=2):
    return Progenitors(50, np.full(n, copies), np.cumsum(np.full(n, float(copies))))


@pytest.mark.parametrize("active", [1.0, 0.3, 0.001])
def test_progenitors_leave_in_order_and_their_insertions_are_all_seen(active):
    clone, site = progenitors().draw(np.random.default_rng(2), active, 20_000)
    assert clone.min() == 50
    assert clone.max() < 50 + max(1, round(1000 * active))
    assert len(np.unique(clone)) == max(1, round(1000 * active))
    assert set(site) == {0, 1}


def test_pools_of_progenitors_share_no_clone(patient, settings_for):
    blood = Blood(np.zeros(1), np.zeros(1), {}, {}, seeded=30)
    product = {"lt_hsc_corrected": 100, "copies_per_corrected": 1.8}
    pools = progenitor_pools(patient["patient_seed"], 7, blood, product, settings_for("blood"))
    ranges = sorted((pool.first, pool.first + len(pool.copies)) for pool in pools.values())
    assert ranges[0][0] == 7
    assert all(stop <= start for (_, stop), (start, _) in pairwise(ranges))
    assert "erythroid" not in pools
    copies = pools["myeloid"].copies
    assert copies.min() >= 1
    assert abs(z_of_mean(copies, 1.8)) < LIMIT


# Sorting ----------------------------------------------------------------------------------------

ADULT = {
    "neutrophil": 3800.0,
    "monocyte": 500.0,
    "b_cell": 225.0,
    "nk_cell": 230.0,
    "cd4_naive": 270.0,
    "cd4_memory": 380.0,
    "cd8_naive": 160.0,
    "cd8_memory": 265.0,
}
# Mean purity of the sorts of Six 2020.
PURITY = {"b_cell": 0.986, "monocyte": 0.983, "neutrophil": 0.987, "nk_cell": 0.974, "t_cell": 0.989}


@pytest.mark.parametrize("lineage", LINEAGES_SORTED)
def test_sorts_of_a_healthy_adult_are_as_pure_as_published(settings_for, lineage):
    share, _ = gate(ADULT, SORTED[lineage], settings_for("blood")[f"lab.leak.{lineage}"])
    assert sum(share[pool] for pool in SORTED[lineage]) == pytest.approx(PURITY[lineage], abs=0.006)


@given(
    counts=st.lists(st.floats(0, 1e4), min_size=len(NUCLEATED), max_size=len(NUCLEATED)),
    leak=st.floats(0, 1),
    lineage=st.sampled_from(LINEAGES_SORTED),
)
def test_cells_that_pass_a_gate_are_conserved(counts, leak, lineage):
    """Shares sum to one and, times all that pass, give each pool back: nothing is made or lost."""
    per_ul = dict(zip(NUCLEATED, counts, strict=True))
    share, passed = gate(per_ul, SORTED[lineage], leak)
    if passed == 0:
        assert set(share.values()) == {0.0}
        return
    assert sum(share.values()) == pytest.approx(1)
    for pool, count in per_ul.items():
        chance = 1 if pool in SORTED[lineage] else leak
        assert share[pool] * passed == pytest.approx(chance * count)


def test_unmixing_the_gates_gives_the_lineages_back_and_keeps_the_total():
    """x = C^-1 y with the columns of C summing to one: crossover is linear."""
    leak = 0.01
    mixed = np.array([[leak] * 5] * 5) + np.eye(5) * (1 - 5 * leak)
    truth = np.array([5.0, 0, 30, 2, 100])
    seen = mixed @ truth
    assert np.linalg.solve(mixed, seen) == pytest.approx(truth)
    assert seen.sum() == pytest.approx(truth.sum())


def true_blood(per_ul, corrected=0.5, origin="stem"):
    parts = {}
    for pool in NUCLEATED:
        part = np.zeros((len(PARTS), 1))
        n = per_ul.get(pool, 0.0)
        part[PARTS.index(origin)] = corrected * n
        part[PARTS.index("copies")] = 2 * corrected * n
        part[PARTS.index("wave")] = 0.5 * corrected * n if origin == "early" else 0
        parts[pool] = part
    counts = {pool: np.array([per_ul.get(pool, 0.0)]) for pool in NUCLEATED}
    return Blood(np.array([6.0]), np.array([5.0]), counts, parts, 0)


def test_a_rare_lineage_is_sorted_less_pure(patient, settings_for):
    settings = settings_for("blood", {"lab.leak_ln_sd": 0})
    rare = {**ADULT, **{pool: ADULT[pool] / 50 for pool in SORTED["t_cell"]}}
    pure, spoilt = (sort_cells(patient, true_blood(n), 6.0, "t_cell", settings).purity for n in (ADULT, rare))
    assert pure > 0.98
    assert spoilt < 0.75


@pytest.mark.parametrize(("lineage", "least"), [("neutrophil", 1e6), ("b_cell", 1e5)])
def test_dna_is_what_the_cells_hold_at_most(patient, settings_for, lineage, least):
    settings = settings_for("blood", {"lab.dna_ln_sd": 0})
    full = sort_cells(patient, true_blood(ADULT), 6.0, lineage, settings)
    assert full.cells > least
    assert full.dna_ng == settings[f"lab.dna_ng.{lineage}"]
    few = {pool: n / 1e5 for pool, n in ADULT.items()}
    short = sort_cells(patient, true_blood(few), 6.0, lineage, settings)
    assert short.dna_ng == pytest.approx(short.cells * settings["lab.dna_yield"] / 152)
    none = sort_cells(patient, true_blood({}), 6.0, lineage, settings)
    assert (none.cells, none.purity, none.dna_ng) == (0, 0, 0)


def test_a_child_gives_less_blood(patient, settings_for):
    settings = settings_for("blood")
    blood = true_blood(ADULT)
    adult, infant = (
        sort_cells({**patient, "weight_kg": kg}, blood, 6.0, "b_cell", settings).blood_ml for kg in (70, 5)
    )
    assert (adult, infant) == (10, 5)


# Alleles ----------------------------------------------------------------------------------------


def tube_of(parts, genomes=30_000):
    column = np.array([parts.get(name, 0.0) for name in PARTS])
    return Tube(10, 1000, 1.0, genomes / 152, genomes, {"neutrophil": 1.0}, {"neutrophil": column})


def patient_alleles():
    def outcome(**shares):
        return np.array([shares.get(name, 0.0) for name in OUTCOMES])

    return PatientAlleles(
        of_clone=np.array([outcome(intended=1), outcome(intended=0.5, large_deletion=0.5)]),
        early=outcome(intended=0.8, indel=0.2),
        uncorrected_early=outcome(indel=0.5, unedited=0.5),
        uncorrected_stem=UNEDITED,
    )


def test_alleles_of_a_tube_are_those_of_its_cells():
    """Half stem cells of two equal clones, a fifth early corrected, the rest host."""
    weights = np.full((len(BRANCHES), 2), 0.5)
    share = patient_alleles().share(tube_of({"stem": 0.5, "early": 0.2}).parts, weights)
    assert dict(zip(OUTCOMES, share, strict=True)) == pytest.approx(
        {"intended": 0.535, "indel": 0.04, "large_deletion": 0.125, "unedited": 0.3, "bystander": 0}
    )


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.03, False)])
def test_reads_show_the_visible_alleles_without_bias(settings_for, wrong, agrees):
    """Large deletions give no reads, so the others look more frequent by 1 / (1 - 0.125)."""
    settings = settings_for("blood", {"lab.amplicon_error": 0})
    weights = np.full((len(BRANCHES), 2), 0.5)
    rng = np.random.default_rng(4)
    seen = [
        patient_alleles().read(rng, tube_of({"stem": 0.5, "early": 0.2}), weights, settings)
        for _ in range(200)
    ]
    fraction = np.array([sample["fraction"] for sample in seen])
    assert (fraction[:, OUTCOMES.index("large_deletion")] == 0).all()
    intended = fraction[:, OUTCOMES.index("intended")]
    assert (abs(z_of_mean(intended, wrong * 0.535 / 0.875)) < LIMIT) == agrees
    assert all(sample["reads"].sum() == settings["lab.amplicon_reads"] for sample in seen)


# Whole samples ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arm(simulate_early):
    return simulate_early()


@pytest.fixture(scope="module")
def simulate_early():
    """Every table of one arm sampled from month 1 on."""
    from hsc_pipeline.chain import simulate_arm
    from hsc_pipeline.study import load_study

    def simulate(changes=None, product="was_lentiviral", patients=4):
        study = load_study(
            {
                "kind": "study",
                "schema_version": 1,
                "name": "early",
                "seed": 20261123,
                "disease": "was",
                "patients": patients,
                "visits_months": [0.25, 1, 3, 12, 36],
                "sampling": {"months": [0.25, 1, 3, 12, 36]},
                "arms": [{"name": "a", "product": product}],
                "set": changes or {},
            }
        )
        return {name: table.to_pandas() for name, table in simulate_arm(study, "a").items()}

    return simulate


def test_short_term_clones_give_the_early_samples_and_are_gone_later(arm):
    sites = arm["integration_sites"]
    by = sites[sites["lineage"] == "neutrophil"].groupby(["month", "origin"]).size().unstack(fill_value=0)
    assert by.loc[1.0, "short_term"] > 20 * by.loc[1.0, "stem_cell"]
    assert by.loc[36.0, "stem_cell"] > 20 * by.loc[36.0, "short_term"]


def test_a_clone_keeps_its_site(arm):
    sites = arm["integration_sites"].groupby(["patient", "clone", "site"])
    assert (sites[["chromosome", "position", "strand"]].nunique() == 1).all(axis=None)
    assert (sites.size() > 1).any()


def test_stem_cell_sites_are_the_products_and_progenitors_have_others(arm):
    rows = arm["integration_sites"]
    known = arm["sites"].set_index(["patient", "clone", "site"])["position"]
    stem = rows[rows["origin"] == "stem_cell"].set_index(["patient", "clone", "site"])
    assert (stem["position"] == known.reindex(stem.index)).all()
    others = rows[rows["origin"] != "stem_cell"].drop_duplicates(["patient", "clone", "site"])
    same = set(zip(others["patient"], others["position"], strict=True)) & set(
        zip(known.index.get_level_values("patient"), known, strict=True)
    )
    assert len(same) < 0.001 * len(others)


def test_samples_sum_up_their_sites(arm):
    found = arm["integration_sites"].groupby(["patient", "month", "lineage"])
    sums = found[["fragments", "reads"]].sum().assign(sites=found.size())
    samples = arm["samples"].set_index(["patient", "month", "lineage"])
    seen = samples.loc[sums.index]
    assert (seen[["sites", "fragments", "reads"]] == sums[["sites", "fragments", "reads"]]).all(axis=None)
    assert (samples.drop(sums.index)["sites"] == 0).all()
    assert set(samples["state"]) <= set(STATES)
    assert not samples.drop(columns="vcn_measured").isna().any(axis=None)


def test_fragments_follow_copies_times_genomes(arm):
    """VCN x genomes x efficiency, before saturation: 8 % within the sum of all late samples."""
    samples = arm["samples"][arm["samples"]["month"] >= 12]
    expected = samples["vcn"] * samples["dna_ng"] * 152 * 0.05
    assert samples["fragments"].sum() == pytest.approx(expected.sum(), rel=0.08)


def test_a_visit_before_any_cell_appears_is_a_valid_sample(simulate_early):
    """No blood at all a week after an ablation without survivors: no cells, or too few for DNA."""
    changes = {f"blood.{cell}.host_survival": 0 for cell in ("cd4_t", "cd8_t", "b_cell", "nk_cell")}
    changes |= {"conditioning.busulfan_auc": 150, "conditioning.a50": 5, "blood.b_cell.delay_months": 40}
    samples = simulate_early(changes, patients=2)["samples"]
    first = samples[(samples["month"] == 0.25) & (samples["lineage"] == "b_cell")]
    assert set(first["state"]) <= {"no_cells", "no_dna"}
    assert (first["sites"] == 0).all()
    assert first["vcn_measured"].isna().all()


@pytest.mark.parametrize(
    ("product", "state"),
    [("allogeneic", "no_vector"), ("no_infusion", "not_sampled"), ("autologous", "no_vector")],
)
def test_products_without_a_vector_leave_valid_samples_without_sites(simulate_early, product, state):
    tables = simulate_early(product=product, patients=2)
    assert set(tables["samples"]["state"]) - {"no_cells", "no_dna"} == {state}
    assert tables["integration_sites"].empty
    assert tables["alleles"].empty


def test_next_to_nothing_corrected_is_sequenced_to_next_to_nothing(simulate_early):
    """A product of one copy in ten thousand cells: samples are read, and hold a few sites at most."""
    changes = {
        "product.mean_copies": 1e-4,
        "product.transduced_fraction": 9e-5,
        "product.mean_copies_ln_sd": 0,
    }
    tables = simulate_early(changes, patients=2)
    assert (tables["samples"]["sites"] <= 20).all()
    assert "ok" in set(tables["samples"]["state"])
    assert (tables["samples"]["vcn"] < 1e-3).all()
