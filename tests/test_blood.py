"""Blood and laboratory: selection, delays, conservation, and what sequencing sees of the clones."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.blood.laboratory import read_integration_sites, sequence_sample
from hsc_pipeline.blood.lineages import (
    LINEAGES,
    count_blood,
    early_infused_share,
    erlang_cdf,
    erlang_quantile,
    fill_pool,
    production,
    recovered_fraction,
    recovery_days,
    select,
)
from hsc_pipeline.norms import Norms
from hsc_pipeline.outcomes import shannon
from tests.statistics_of import LIMIT, under, z_of_mean

# Counts without spread between people, visits or measurements.
QUIET = {"blood.visit_ln_sd": 0, "conditioning.recovery_ln_sd": 0, "lab.vcn_ln_sd": 0}
PRODUCT = {"transduced_fraction": 0.8, "copies_per_transduced": 2.5}
LATE = 240.0


# Selection --------------------------------------------------------------------------------------

# Deposit of Six 2020 Blood 135:1219: neutrophil VCN, T-cell VCN against it.
T_AGAINST_NEUTROPHILS = {
    "WAS2 month 22": (0.10, 10.8),
    "WAS2 month 48": (0.07, 12.3),
    "WAS2 month 78": (0.147, 9.4),
    "WAS4 month 12": (0.48, 3.2),
    "WAS4 month 36": (0.35, 3.1),
    "WAS4 month 48": (0.45, 3.1),
    "WAS4 month 60": (0.46, 3.6),
}
COPIES_PER_CORRECTED = 1.7


def enrichments(odds_ratio):
    """T-cell against neutrophil VCN by the odds ratio, over that of each blood sample."""
    ratios = []
    for vcn, observed in T_AGAINST_NEUTROPHILS.values():
        corrected = vcn / COPIES_PER_CORRECTED
        ratios.append(select(corrected, odds_ratio) / corrected / observed)
    return np.array(ratios)


@pytest.mark.parametrize(("odds_ratio", "agrees"), [(20, True), (5, False), (80, False)])
def test_one_odds_ratio_explains_t_cell_copies_of_two_patients(odds_ratio, agrees):
    """w = 20: every sample within a factor of 1.4, tenfold at low and threefold at high marking."""
    ratios = enrichments(odds_ratio)
    assert (ratios.max() < 1.4 and ratios.min() > 1 / 1.4) == agrees


@given(fraction=st.floats(1e-6, 1 - 1e-6), odds_ratio=st.floats(0.01, 1000))
def test_selection_multiplies_the_odds(fraction, odds_ratio):
    selected = select(fraction, odds_ratio)
    assert selected / (1 - selected) == pytest.approx(odds_ratio * fraction / (1 - fraction), rel=1e-6)


@pytest.mark.parametrize("odds_ratio", [0.1, 1, 20])
def test_none_and_all_are_fixed_points_of_selection(odds_ratio):
    assert select(np.array([0.0, 1.0]), odds_ratio).tolist() == [0, 1]


# Delays -----------------------------------------------------------------------------------------


@given(mean=st.floats(0.1, 30), stages=st.integers(1, 12))
def test_a_chain_of_compartments_passes_with_its_mean_delay(mean, stages):
    """First passage: the integral of 1 - F is the mean, that of 2t (1 - F) the second moment."""
    time = np.linspace(0, 30 * mean, 20_001)
    waiting = 1 - erlang_cdf(time, mean, stages)
    assert np.trapezoid(waiting, time) == pytest.approx(mean, rel=1e-4)
    assert np.trapezoid(2 * time * waiting, time) == pytest.approx(mean**2 * (1 + 1 / stages), rel=1e-3)


@given(probability=st.floats(0.001, 0.999), mean=st.floats(0.1, 30), stages=st.integers(1, 12))
def test_quantile_inverts_the_delay(probability, mean, stages):
    time = mean * erlang_quantile(probability, stages)
    assert erlang_cdf(time, mean, stages) == pytest.approx(probability)


def recovered(settings, lineage, months, age=5.0, patient=None):
    patient = patient or {"cd34_per_kg": 1e7, "patient_seed": 7}
    norms = Norms(settings.rows("cell_norms"))
    days = recovery_days(patient, settings)
    return recovered_fraction(lineage, np.asarray(months), age, days, norms, settings), days, norms


@pytest.mark.parametrize("lineage", ["neutrophil", "platelet"])
def test_counts_cross_the_threshold_on_the_day_of_recovery(settings_for, lineage):
    """500 neutrophils and 20,000 platelets per uL, at the median for age."""
    settings = settings_for("blood")
    _, days, norms = recovered(settings, lineage, [])
    share, _, _ = recovered(settings, lineage, [days[lineage] * 12 / 365.25])
    assert share * norms.median(lineage, 5.0) == pytest.approx(settings[f"conditioning.{lineage}_threshold"])


def test_recovery_takes_the_published_days_at_a_full_dose_and_longer_with_less(settings_for):
    settings = settings_for("blood", QUIET)
    full, half = (recovery_days({"cd34_per_kg": d, "patient_seed": 7}, settings) for d in (1e7, 5e6))
    assert full == {"neutrophil": pytest.approx(23), "platelet": pytest.approx(45)}
    for cell in full:
        assert half[cell] == pytest.approx(full[cell] * 0.5**-0.15)


@pytest.mark.parametrize("lineage", LINEAGES)
def test_pools_grow_back_steadily_and_whole(settings_for, lineage):
    share, _, _ = recovered(settings_for("blood"), lineage, np.arange(0, 241))
    assert share[0] == 0
    assert (np.diff(share) >= 0).all()
    assert share[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("lineage", ["cd4_t", "cd8_t"])
@pytest.mark.parametrize("age", [0.5, 5, 13, 30, 60])
def test_thymic_recovery_slows_with_age(settings_for, lineage, age):
    """The mean delay is that at birth times e^(age/22)."""
    settings = settings_for("blood", {"blood.thymic_age_years": 22})
    at_birth, stages = (settings[f"blood.{lineage}.delay_{name}"] for name in ("months", "stages"))
    share, _, _ = recovered(settings, lineage, [12.0], age)
    assert share == pytest.approx(erlang_cdf([12.0], at_birth * np.exp(age / 22), stages))


# Pools ------------------------------------------------------------------------------------------


@given(
    lineage=st.sampled_from(LINEAGES),
    corrected=st.floats(0, 1),
    grown=st.floats(0, 1),
    month=st.floats(0, 240),
)
def test_corrected_cells_are_never_more_than_all(settings_for, lineage, corrected, grown, month):
    settings = settings_for("blood")
    total, part = fill_pool(lineage, np.array([corrected]), np.array([grown]), np.array([month]), settings)
    assert 0 <= part <= total * (1 + 1e-12)


@pytest.mark.parametrize("lineage", LINEAGES)
def test_counts_rise_with_correction(settings_for, lineage):
    shares = np.linspace(0, 1, 11)
    total, corrected = fill_pool(lineage, shares, np.ones(11), np.full(11, LATE), settings_for("blood"))
    assert (np.diff(total) >= 0).all()
    assert (np.diff(corrected) > 0).all()


@given(dose=st.floats(0.01, 5), weight=st.floats(0.01, 1), residual=st.floats(0, 1))
def test_early_infused_share_is_a_share_that_falls_with_residual_host(dose, weight, residual):
    share = early_infused_share(residual, dose, weight)
    assert 0 <= share <= 1
    assert early_infused_share(min(residual + 0.01, 1), dose, weight) <= share
    assert early_infused_share(0, dose, weight) == 1
    assert early_infused_share(1, dose, weight) == 0


def test_donor_cells_dominate_the_first_month_even_where_half_of_the_host_is_left(settings_for):
    """Above 90 % at one month with half of the host stem cells left: ten SCID transplants at exposure 30."""
    assert early_infused_share(0.55, 1.0, settings_for("blood")["conditioning.progenitor_weight"]) > 0.9


def constant_marrow(corrected, months, cells, copies=2.0):
    """A marrow whose corrected share stands still."""
    share = np.full(len(months) + 1, cells)
    return {
        "month": np.array([0.0, *months]),
        "host": share - (share * corrected).astype(int),
        "uncorrected": np.zeros_like(share),
        "corrected": (share * corrected).astype(int),
        "copies_per_corrected": np.full(len(share), copies if corrected else np.nan),
        "residual_host_fraction": np.full(len(share), 1 - corrected),
    }


@pytest.fixture
def count(patient, settings_for):
    """Blood at `months` of a patient whose marrow is corrected to a constant share."""

    def at(corrected, months=(LATE,), *, values=QUIET, cells=10_000, **person):
        settings = settings_for(
            "blood", values, visits_months=list(months), sampling={"months": [months[-1]]}
        )
        marrow = constant_marrow(corrected, months, cells)
        counts, _ = count_blood({**patient, **person}, PRODUCT, marrow, settings)
        return counts.to_pandas().set_index("lineage")

    return at


@pytest.mark.parametrize("lineage", LINEAGES)
def test_late_counts_run_from_the_disease_to_the_norm(count, settings_for, lineage):
    """Without correction the untreated count, with full correction the norm or what the lineage reaches."""
    settings = settings_for("blood")
    none, full = (count(share).loc[lineage] for share in (0.0, 1.0))
    untreated = settings[f"disease.untreated_count.{lineage}"]
    best = settings.values.get(f"disease.corrected_count.{lineage}", 1.0)
    assert none["count_per_ul"] / full["count_per_ul"] == pytest.approx(untreated / best, rel=1e-3)
    assert none["corrected_per_ul"] == pytest.approx(0, abs=1e-6 * none["count_per_ul"])
    assert full["corrected_fraction"] == pytest.approx(1, abs=1e-3)


def test_counts_of_full_correction_are_lognormal_around_the_norm(count, settings_for):
    """Over 150 people, at the sd of the norm for age; fails if the sd were half more."""
    norms = Norms(settings_for("blood").rows("cell_norms"))
    counts = [count(1.0, patient_seed=seed).loc["b_cell"] for seed in range(150)]
    age = counts[0]["age_years"]
    assert age == 40
    z = np.array([norms.z_score("b_cell", row["count_per_ul"], age) for row in counts])
    assert abs(z_of_mean(z, 0)) < LIMIT
    assert abs(z_of_mean(z**2, 1)) < LIMIT
    assert abs(z_of_mean(z**2, 1.5**2)) > LIMIT


@pytest.mark.parametrize("lineage", ["b_cell", "nk_cell", "cd8_t", "neutrophil"])
def test_counts_of_a_growing_child_follow_the_norm_for_age(count, settings_for, lineage):
    """Normal counts of an infant fall to those of a schoolchild, and so do this patient's."""
    norms = Norms(settings_for("blood").rows("cell_norms"))
    counts = count(1.0, (60, 96, 150), age_years=1.0).loc[lineage, "count_per_ul"].to_numpy()
    normal = norms.median(lineage, 1 + np.array([60, 96, 150]) / 12)
    assert counts / counts[0] == pytest.approx(normal / normal[0], rel=5e-3)


def test_copies_of_a_late_lineage_are_its_corrected_fraction_times_copies(count):
    blood = count(0.2)
    assert blood["vcn"].to_numpy() == pytest.approx(2.0 * blood["corrected_fraction"].to_numpy(), rel=1e-6)
    assert blood.loc["neutrophil", "corrected_fraction"] == pytest.approx(0.2, rel=1e-3)
    assert blood.loc["cd4_t", "corrected_fraction"] == pytest.approx(select(0.2, 20), rel=0.02)


def test_the_early_wave_carries_the_product_and_is_gone_by_month_nine(count, settings_for):
    """Month 1 shows the product's transduction, month 9 and later the stem cells."""
    blood = count(0.2, (1, 9, 12, 24))
    neutrophils = blood.loc["neutrophil"]
    settings = settings_for("blood")
    early = early_infused_share(0.8, 1.0, settings["conditioning.progenitor_weight"]) * 0.8
    assert neutrophils["corrected_fraction"].iloc[0] == pytest.approx(early, rel=0.01)
    assert neutrophils["vcn"].iloc[0] == pytest.approx(early * PRODUCT["copies_per_transduced"], rel=0.01)
    assert neutrophils["stem_cell_share"].iloc[0] < 0.01
    assert neutrophils["corrected_fraction"].iloc[1] == pytest.approx(0.2, rel=0.1)
    assert (neutrophils["stem_cell_share"].iloc[1:] > 0.9).all()
    assert neutrophils["corrected_fraction"].iloc[2:].to_numpy() == pytest.approx([0.2, 0.2], rel=0.01)


def test_blood_shows_the_marrow_of_a_transit_ago(patient, settings_for):
    """A corrected share and copies that rise linearly in the marrow arrive four months later."""
    visits = np.array([30.0, 48.0])
    settings = settings_for("blood", {"blood.stem_cell_transit_months": 4}, visits_months=[30, 48])
    cells = np.arange(0, 61)
    marrow = {
        "month": np.arange(0, 61.0),
        "corrected": cells,
        "host": 100 - cells,
        "uncorrected": np.zeros(61, int),
        "copies_per_corrected": 1 + cells / 60,
        "residual_host_fraction": np.full(61, 0.5),
    }
    fed = production(visits, PRODUCT, marrow, settings, patient)
    assert fed["corrected"] == pytest.approx((visits - 4) / 100, rel=1e-6)
    assert fed["copies_per_corrected"] == pytest.approx(1 + (visits - 4) / 60, rel=1e-6)


@pytest.mark.parametrize("lineage", ["cd4_t", "b_cell", "neutrophil"])
def test_host_cells_outlive_conditioning_and_fade(settings_for, lineage):
    """Before recovery the pool is untreated count x survival x e^(-t/life), none of it corrected."""
    settings = settings_for("blood")
    months = np.array([0.0, 6.0, 24.0])
    total, corrected = fill_pool(lineage, np.full(3, 0.5), np.zeros(3), months, settings)
    left = settings.values.get(f"blood.{lineage}.host_survival", 0)
    life = settings.values.get(f"blood.{lineage}.host_life_years", 1)
    untreated = settings[f"disease.untreated_count.{lineage}"]
    assert total == pytest.approx(untreated * left * np.exp(-months / 12 / life))
    assert (corrected == 0).all()


def test_counts_of_one_person_scatter_from_visit_to_visit(count):
    """Sd of the logarithm 0.12 as set, around a set-point of their own; fails if it were 60 % off."""
    values = {**QUIET, "blood.visit_ln_sd": 0.12}
    months = tuple(np.arange(200, 240, 0.25))
    neutrophils = count(1.0, months, values=values).loc["neutrophil", "count_per_ul"]
    ln_error = np.log(neutrophils / neutrophils.median())
    assert abs(z_of_mean((ln_error - ln_error.mean()) ** 2, 0.12**2)) < LIMIT
    assert abs(z_of_mean((ln_error - ln_error.mean()) ** 2, (1.6 * 0.12) ** 2)) > LIMIT


def test_measured_copies_scatter_around_the_true_ones(count):
    """The logarithm of measured/true: mean 0, sd 0.1 as set; fails if the sd were 20 % off."""
    values = {**QUIET, "lab.vcn_ln_sd": 0.1}
    ln_error = []
    for seed in range(120):
        blood = count(0.5, values=values, patient_seed=seed)
        ln_error.append(np.log(blood["vcn_measured"] / blood["vcn"]))
    ln_error = np.concatenate(ln_error)
    assert abs(z_of_mean(ln_error, 0)) < LIMIT
    assert abs(z_of_mean(ln_error**2, 0.1**2)) < LIMIT
    assert abs(z_of_mean(ln_error**2, 0.12**2)) > LIMIT


def test_an_empty_marrow_is_counted_without_a_warning(count):
    """Neither host nor graft: no corrected cell, copies 0, nothing undefined."""
    blood = count(0.0, cells=0)
    assert blood["corrected_per_ul"].to_numpy() == pytest.approx(0, abs=1e-3)
    assert blood.notna().all(axis=None)


# Laboratory -------------------------------------------------------------------------------------


@pytest.fixture
def sequence(settings_for):
    """Sequence samples of the same clones again and again; return what each found."""

    def many(weight, *, owner=None, expected, repeats=200, lineage="neutrophil", **values):
        settings = settings_for("blood", {f"lab.{name}": value for name, value in values.items()})
        owner = np.arange(len(weight)) if owner is None else owner
        captured = (
            settings[f"lab.dna_ng.{lineage}"]
            * settings["lab.genomes_per_ng"]
            * settings["lab.capture_efficiency"]
        )
        rng = np.random.default_rng(11)
        corrected = expected / captured
        return [
            sequence_sample(rng, corrected, np.asarray(weight, float), owner, lineage, settings)
            for _ in range(repeats)
        ]

    return many


def unequal(clones, sigma=1.5, seed=5):
    return np.exp(sigma * np.random.default_rng(seed).standard_normal(clones))


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.03, False)])
def test_distinct_sites_agree_with_the_occupancy_law(sequence, wrong, agrees):
    """E[S] = sum(1 - exp(-lambda_i)) for clones of unequal output; fails if it were 3 % off."""
    weight = unequal(1000)
    found = [len(sample["index"]) for sample in sequence(weight, expected=800)]
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
    samples = sequence([1.0], owner=np.zeros(2, int), expected=50, fragment_lengths=1e6, capture_efficiency=1)
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


def test_every_site_found_has_reads_for_every_captured_fragment(sequence):
    for sample in sequence(unequal(500), expected=800, repeats=5):
        assert (sample["fragments"] >= 1).all()
        assert (sample["reads"] >= sample["fragments"]).all()
        assert (np.diff(sample["index"]) > 0).all()


def test_reads_are_less_even_than_fragments(sequence):
    """Amplification spreads reads of equal fragments."""
    for sample in sequence(np.ones(300), expected=3000, repeats=5):
        spread = [x.std() / x.mean() for x in (sample["reads"], sample["fragments"])]
        assert spread[0] > 1.1 * spread[1]


@pytest.fixture
def read_sites(patient, settings_for):
    """Sequence neutrophils of month 12: corrected cells per uL of 3,000, and stem cells of each clone."""

    def read(corrected_per_ul, cells, *, stem_cell_share=1.0, sites_per_clone=2, **values):
        settings = settings_for(
            "blood",
            {name.replace("__", "."): value for name, value in values.items()},
            visits_months=[12],
            sampling={"months": [12], "lineages": ["neutrophil"]},
        )
        owner = np.repeat(np.arange(len(cells)), sites_per_clone)
        counts = {"month": [12.0], "lineage": ["neutrophil"], "count_per_ul": [3000.0]}
        counts |= {"corrected_per_ul": [corrected_per_ul], "stem_cell_share": [stem_cell_share]}
        alive = np.flatnonzero(cells)
        sizes = {"month": np.full(len(alive), 12.0), "clone": alive, "cells": np.asarray(cells)[alive]}
        names = np.full(len(owner), "1", dtype=object)
        sites = {"clone": owner, "site": np.tile(np.arange(sites_per_clone), len(cells))}
        sites |= {"chromosome": names, "position": 1 + np.arange(len(owner)), "strand": names, "gene": names}
        return read_integration_sites(patient, pa.table(counts), sizes, sites, settings).to_pandas()

    return read


@pytest.mark.parametrize(
    ("corrected", "cells", "share"),
    [(0.0, [5, 5, 5], 1), (1000.0, [], 1), (0.0, [], 1), (1000.0, [0, 0], 1), (1000.0, [5, 5, 5], 0)],
)
def test_without_corrected_stem_cells_the_list_of_sites_is_empty_and_valid(
    read_sites, corrected, cells, share
):
    """No corrected blood, no clones, only dead clones, or blood of short-lived progenitors alone."""
    assert read_sites(corrected, np.array(cells, int), stem_cell_share=share).empty


def test_dead_clones_are_never_seen(read_sites):
    found = read_sites(1500.0, np.tile([50, 0], 20), marrow__clone_output_sigma=0.3)
    assert set(found["clone"]) == set(range(0, 40, 2))
    assert (found.groupby("clone").size() == 2).all()


def test_fragments_follow_the_size_of_the_clone(read_sites):
    found = read_sites(300.0, np.array([2, 2000])).groupby("clone")["fragments"].sum()
    assert found.get(0, 0) < found[1]


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.5, 0.5)])
def test_fragments_follow_the_corrected_blood_that_stems_from_stem_cells(
    read_sites, settings_for, share, expected
):
    """Genomes x corrected fraction x share x efficiency, within 4.5 Poisson standard errors."""
    lab = under(settings_for("blood"), "lab")
    captured = lab["dna_ng.neutrophil"] * lab["genomes_per_ng"] * lab["capture_efficiency"] / 2
    found = read_sites(
        1500.0, np.full(500, 5), stem_cell_share=share, sites_per_clone=1, lab__fragment_lengths=1e6
    )["fragments"].sum()
    assert abs(found - expected * captured) < LIMIT * np.sqrt(2 * captured)


@pytest.mark.parametrize(("sigma", "agrees"), [(0.5, True), (0.2, False), (0.8, False)])
def test_equal_clones_differ_by_their_lognormal_output(read_sites, sigma, agrees):
    """E f(f-1) / E(f)^2 = e^(sigma^2) for Poisson fragments of log-normal output, at a sigma of 0.5."""
    fragments = np.zeros(6000)
    found = read_sites(
        2000.0,
        np.full(6000, 5),
        sites_per_clone=1,
        marrow__clone_output_sigma=sigma,
        lab__dna_ng__neutrophil=5000,
        lab__fragment_lengths=1e6,
    )
    fragments[found["clone"]] = found["fragments"]
    pairs = fragments * (fragments - 1) / fragments.mean() ** 2
    assert (abs(z_of_mean(pairs, np.exp(0.5**2))) < LIMIT) == agrees


def test_a_marrow_without_any_stem_cell_makes_no_blood(simulate_arm):
    """Ablated to the last cell and given almost none: once the early wave is over, the pools are empty."""
    arm = simulate_arm({"conditioning.busulfan_auc": 150, "conditioning.a50": 1, "product.cd34_per_kg": 1}, 3)
    marrow = arm["marrow"]
    assert (marrow[["host", "uncorrected", "corrected"]] == 0).all(axis=None)
    late = arm["counts"][arm["counts"]["month"] >= 24].set_index("lineage")["count_per_ul"]
    norm = {"neutrophil": 3800, "platelet": 290_000, "b_cell": 500}
    for lineage, usual in norm.items():
        assert (late[lineage] < usual / 100).all(), lineage
