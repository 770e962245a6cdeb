"""Blood: production, delays, pools and their laws, red cells, thymus, recovery, and rare outcomes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.blood.count import count_blood, count_table, digital_pcr
from hsc_pipeline.blood.lineages import CORRECTED, LINEAGES, PARTS, POOLS, T_CELLS, of_lineage
from hsc_pipeline.blood.pools import (
    alive,
    delay,
    erythroid_drive,
    fill_pools,
    fill_red_cells,
    grid,
    outliving,
    recovery_days,
    select,
    turn_over,
)
from hsc_pipeline.blood.production import (
    Production,
    early_infused_share,
    erlang_cdf,
    erlang_quantile,
    output,
    produce,
    spared_share,
)
from hsc_pipeline.norms import Norms
from tests.statistics_of import LIMIT, z_of_mean

# Counts without spread between people, visits or measurements.
QUIET = {
    "blood.visit_ln_sd": 0,
    "blood.visit_ln_sd.red_cell": 0,
    "conditioning.recovery_ln_sd": 0,
    "lab.vcn_ln_sd": 0,
}
PRODUCT = {
    "infused": True,
    "cd34_per_kg": 1e7,
    "corrected_fraction": 0.8,
    "copies_per_corrected": 2.5,
    "function": 0.9,
    "lt_hsc_corrected": 1000,
}
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


def norms_of(settings):
    return Norms(settings.rows("cell_norms"))


def recovered(settings, lineage, months, age=5.0):
    norms, days = norms_of(settings), recovery_days(7, {"cd34_per_kg": 1e7}, settings)
    return erlang_cdf(np.asarray(months, float), *delay(lineage, age, days, norms, settings)), days


@pytest.mark.parametrize("lineage", ["neutrophil", "platelet"])
def test_counts_cross_the_threshold_on_the_day_of_recovery(settings_for, lineage):
    """500 neutrophils and 20,000 platelets per uL, at the median for age."""
    settings = settings_for("blood")
    _, days = recovered(settings, lineage, [])
    share, _ = recovered(settings, lineage, [days[lineage] * 12 / 365.25])
    count = share * norms_of(settings).median(lineage, 5.0)
    assert count == pytest.approx(settings[f"conditioning.{lineage}_threshold"])


def test_recovery_takes_the_published_days_at_a_full_dose_and_longer_with_less(settings_for):
    settings = settings_for("blood", QUIET)
    full, half = (recovery_days(7, {"cd34_per_kg": dose}, settings) for dose in (1e7, 5e6))
    assert full == {"neutrophil": pytest.approx(23), "platelet": pytest.approx(45)}
    for cell in full:
        assert half[cell] == pytest.approx(full[cell] * 0.5**-0.15)


@pytest.mark.parametrize("lineage", [*POOLS, "red_cell"])
def test_pools_grow_back_steadily_and_whole(settings_for, lineage):
    share, _ = recovered(settings_for("blood"), lineage, np.arange(0, 241))
    assert share[0] == 0
    assert (np.diff(share) >= 0).all()
    assert share[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("cell", ["cd4", "cd8"])
@pytest.mark.parametrize("age", [0.5, 5, 13, 30, 60])
def test_naive_t_cells_recover_slower_with_age_and_memory_cells_do_not(settings_for, cell, age):
    """The mean delay of naive cells is that at birth times e^(age/22)."""
    settings = settings_for("blood", {"blood.thymic_age_years": 22})
    norms = norms_of(settings)
    naive, memory = (delay(f"{cell}_{kind}", age, {}, norms, settings)[0] for kind in ("naive", "memory"))
    assert naive == pytest.approx(settings[f"blood.{cell}_t.delay_months"] * np.exp(age / 22))
    assert memory == settings[f"blood.{cell}_t.memory_delay_months"]


# Production -------------------------------------------------------------------------------------


@given(dose=st.floats(0.01, 5), spared=st.floats(0, 0.99))
def test_early_infused_share_is_a_share_that_falls_with_what_is_spared(dose, spared):
    share = early_infused_share(spared, dose)
    assert 0 <= share <= 1
    assert early_infused_share(spared + 0.01, dose) <= share
    assert early_infused_share(0, dose) == 1
    assert early_infused_share(1, dose) == 0


def test_donor_cells_dominate_the_first_month_even_where_half_of_the_host_is_left(settings_for):
    """Above 90 % at one month with half of the host stem cells left: ten SCID transplants at exposure 30."""
    assert early_infused_share(spared_share(30.0, settings_for("blood")), 0.6) > 0.9


@given(filled=st.floats(0, 1), half=st.floats(1e-4, 0.1))
def test_output_rises_with_the_marrow_to_that_of_a_full_one(filled, half):
    assert output(0.0, half) == 0
    assert output(1.0, half) == pytest.approx(1)
    assert output(filled, half) <= output(min(filled * 1.01, 1), half) + 1e-12


def test_conditioning_spares_progenitors_by_an_odds_ratio_and_an_antibody_spares_more(settings_for):
    busulfan = settings_for("blood")
    assert (
        spared_share(0.0, busulfan)
        == spared_share(80.0, settings_for("blood", {"conditioning.agent": "none"}))
        == 1
    )
    spared = spared_share(busulfan["conditioning.a50"], busulfan)
    assert spared / (1 - spared) == pytest.approx(busulfan["blood.spared_odds_ratio"])
    antibody, chemical = (
        settings_for("blood", {"conditioning.agent": name}) for name in ("antibody", "treosulfan_thiotepa")
    )
    assert spared_share(80.0, antibody) == antibody["blood.spared_share.antibody"]
    assert 0 < spared_share(80.0, chemical) < spared_share(80.0, antibody)


def constant_marrow(corrected, months, cells, copies=2.0, residual=None):
    """A marrow whose corrected share stands still."""
    share = np.full(len(months) + 1, cells)
    return {
        "month": np.array([0.0, *months]),
        "capacity": np.full(len(share), 10_000),
        "host": share - (share * corrected).astype(int),
        "uncorrected": np.zeros_like(share),
        "corrected": (share * corrected).astype(int),
        "copies_per_corrected": np.full(len(share), copies if corrected else np.nan),
        "function_per_corrected": np.full(len(share), 0.7 if corrected else np.nan),
        "residual_host_fraction": np.full(len(share), 1 - corrected if residual is None else residual),
    }


def test_blood_shows_the_marrow_of_a_transit_ago(patient, settings_for):
    """A corrected share and copies that rise linearly in the marrow arrive four months later."""
    visits = np.array([30.0, 48.0])
    settings = settings_for("blood", {"blood.stem_cell_transit_months": 4}, visits_months=[30, 48])
    cells = np.arange(0, 61)
    marrow = constant_marrow(0.5, np.arange(1.0, 61), 100)
    marrow |= {"capacity": np.full(61, 100), "corrected": cells, "host": 100 - cells}
    marrow |= {"copies_per_corrected": 1 + cells / 60}
    fed = produce(visits, patient, PRODUCT, marrow, settings)
    assert fed.corrected == pytest.approx((visits - 4) / 100, rel=1e-6)
    assert fed.copies["stem"] == pytest.approx(1 + (visits - 4) / 60, rel=1e-6)


# Pools ------------------------------------------------------------------------------------------


def steady(times, corrected=0.0, thymic=0.0, spared=0.0, running=1.0):
    """A production that stands still, all corrected cells from stem cells."""
    flat = np.full(len(times), 1.0)
    ones = {name: flat for name in ("stem", "early", "thymic")}
    return Production(
        running=running * flat,
        stem=corrected * flat,
        early=0 * flat,
        uncorrected_stem=0 * flat,
        uncorrected_early=0 * flat,
        thymic=thymic * flat,
        copies=ones,
        function=ones,
        wave=0 * flat,
        spared=spared,
        seeded=0,
    )


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.01, False)])
def test_a_steady_pool_holds_influx_times_residence(wrong, agrees):
    """Conservation: at an influx of 3 a month and a life of 5, corrected cells reach 15 x share."""
    times = np.arange(0, 100, 0.25)
    cells = 15 * (1 - np.exp(-times / 5))[None]
    parts = turn_over(times, cells, np.full((1, 1, len(times)), 0.4), np.array([5.0]))
    influx = np.gradient(cells[0], times) + cells[0] / 5
    assert influx[1:-1] == pytest.approx(3, rel=1e-3)
    assert (parts[0, 0, -1] == pytest.approx(wrong * 15 * 0.4, rel=1e-3)) == agrees


@given(life=st.floats(0.1, 60), start=st.floats(0.1, 1))
def test_when_input_stops_a_pool_decays_with_its_life(life, start):
    """The share of a kind that no longer comes in falls as e^(-t/life) in a pool of steady size."""
    times = np.arange(0, 60, 0.5)
    share = np.zeros((1, 1, len(times)))
    share[0, 0, :2] = start
    parts = turn_over(times, np.ones((1, len(times))), share, np.array([life]))[0, 0]
    assert parts[2:] / parts[2] == pytest.approx(np.exp(-(times[2:] - times[2]) / life))


@given(first=st.floats(0, 0.5), second=st.floats(0, 0.5), life=st.floats(0.1, 60))
def test_origins_add_up_in_a_pool(first, second, life):
    """Superposition: two kinds together fill what each fills alone."""
    times = grid(np.array([1.0, 24.0, 60.0]))
    cells = erlang_cdf(times, 3.0, 3)[None]
    rising = np.linspace(0, 1, len(times))
    shares = np.array([first * rising, second * (1 - rising), first * rising + second * (1 - rising)])
    parts = turn_over(times, cells, shares[None], np.array([life]))[0]
    assert parts[0] + parts[1] == pytest.approx(parts[2], abs=1e-12)


def delays_of(settings, age=5.0):
    days = recovery_days(7, {"cd34_per_kg": 1e7}, settings)
    return {p: delay(p, age, days, norms_of(settings), settings) for p in (*POOLS, "red_cell")}


@given(corrected=st.floats(0, 1), thymic=st.floats(0, 1), spared=st.floats(0, 1), running=st.floats(0.01, 1))
def test_corrected_cells_are_never_more_than_all(settings_for, corrected, thymic, spared, running):
    settings = settings_for("blood")
    times = grid(np.array([1.0, 6.0, 60.0]))
    made = steady(times, corrected, thymic, spared, running)
    delays = delays_of(settings)
    total, parts = fill_pools(times, made, delays, settings)
    total["red_cell"], parts["red_cell"] = fill_red_cells(times, made, delays, settings)
    for lineage, cells in total.items():
        held = parts[lineage][CORRECTED].sum(axis=0)
        assert (held >= 0).all(), lineage
        assert (held <= cells * (1 + 1e-9) + 1e-12).all(), lineage


@pytest.mark.parametrize("lineage", POOLS)
def test_late_counts_rise_with_correction(settings_for, lineage):
    settings, times = settings_for("blood"), grid(np.array([LATE]))
    delays = delays_of(settings)
    ends = []
    for share in np.linspace(0, 1, 11):
        total, parts = fill_pools(times, steady(times, share), delays, settings)
        ends.append((total[lineage][-1], parts[lineage][CORRECTED, -1].sum()))
    total, corrected = np.array(ends).T
    assert (np.diff(total) >= -1e-12).all()
    assert (np.diff(corrected) > 0).all()


@pytest.mark.parametrize("pool", ["cd4_naive", "cd8_memory", "b_cell", "neutrophil"])
def test_host_cells_outlive_conditioning_and_fade(settings_for, pool):
    """Untreated count x survival x e^(-t/life), and none where nobody was conditioned."""
    settings = settings_for("blood")
    months = np.array([0.0, 6.0, 24.0])
    cell = "cd4_t" if pool == "cd4_naive" else "cd8_t" if pool == "cd8_memory" else pool
    left = settings.values.get(f"blood.{cell}.host_survival", 0)
    life = settings.values.get(f"blood.{cell}.host_life_years", 1)
    bare = of_lineage(settings, "disease.untreated_count", pool)
    expected = bare * left * np.exp(-months / 12 / life)
    assert outliving(pool, months, 0.0, settings) == pytest.approx(expected)
    assert (outliving(pool, months, 1.0, settings) == 0).all()


def test_surviving_host_t_cells_delay_correction_for_years(settings_for):
    """T copies 0.27 and 0.51 of neutrophil copies at months 12 and 24 after busulfan alone (Six 2020)."""
    changes = {f"blood.{cell}.host_survival": 0.75 for cell in T_CELLS}
    changes |= {f"disease.{kind}.{cell}": 1 for kind in ("odds_ratio", "untreated_count") for cell in T_CELLS}
    settings, times = settings_for("blood", changes), grid(np.array([12.0, 24.0, 120.0]))
    total, parts = fill_pools(times, steady(times, 0.7), delays_of(settings, age=15.0), settings)
    pools = T_CELLS["cd4_t"]
    fraction = sum(parts[p][CORRECTED].sum(axis=0) for p in pools) / sum(total[p] for p in pools)
    at = fraction[np.searchsorted(times, [12, 24, 120])] / 0.7
    assert 0.15 < at[0] < 0.4
    assert 0.3 < at[1] < 0.65
    assert at[2] > 0.8


# Red cells --------------------------------------------------------------------------------------

SICKLE = {
    "disease.untreated_count.red_cell": 0.6,
    "disease.red_cell.uncorrected_life_days": 12,
    "disease.red_cell.corrected_life_days": 120,
}


def red_chimerism(settings, corrected):
    times = grid(np.array([LATE]))
    total, parts = fill_red_cells(times, steady(times, corrected), delays_of(settings), settings)
    return total[-1], parts[CORRECTED, -1].sum()


@pytest.mark.parametrize("corrected", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize(("wrong_life", "agrees"), [(12, True), (20, False)])
def test_red_cells_outlive_so_that_few_corrected_precursors_make_most(
    settings_for, corrected, wrong_life, agrees
):
    """c L_c / (c L_c + (1 - c) L_h): 0.71 at c = 0.2, 120 against 12 days."""
    total, held = red_chimerism(settings_for("blood", SICKLE), corrected)
    law = corrected * 120 / (corrected * 120 + (1 - corrected) * wrong_life)
    assert (held / total == pytest.approx(law, rel=1e-3)) == agrees
    if corrected == 0.2:
        assert held / total == pytest.approx(0.714, abs=0.001)


def test_none_and_all_are_fixed_points_of_red_cell_chimerism(settings_for):
    """Without correction the untreated count, with all of it the norm."""
    settings = settings_for("blood", SICKLE)
    assert red_chimerism(settings, 0.0) == (pytest.approx(0.6, rel=1e-3), 0)
    total, held = red_chimerism(settings, 1.0)
    assert total == pytest.approx(1, rel=1e-3)
    assert held == pytest.approx(total)


@given(bare=st.floats(0.1, 1), life=st.floats(10, 120), made=st.floats(0.05, 1), corrected=st.floats(0, 1))
def test_the_drive_never_makes_more_than_a_normal_count(settings_for, bare, life, made, corrected):
    changes = {
        "disease.untreated_count.red_cell": bare,
        "disease.red_cell.uncorrected_life_days": life,
        "disease.red_cell.uncorrected_output": made,
    }
    settings = settings_for("blood", changes)
    effective, most = erythroid_drive(settings)
    assert most * effective * life / 120 == pytest.approx(bare)
    total, _ = red_chimerism(settings, corrected)
    assert bare * (1 - 1e-6) <= total <= 1 + 1e-6


@pytest.mark.parametrize("life", [0.1, 0.5, 1.0])
def test_red_cells_of_a_fixed_life_span_are_half_of_it_old(life):
    """Mean age = life / 2: after production stops the pool falls linearly, to nothing at one life."""
    times = np.arange(0, 40, 0.05)
    arriving = np.where(times < 20, 1.0, 0.0)[None]
    left = alive(times, arriving, life, 4.0, 1.0)[0]
    assert left[times < 20] == pytest.approx(life, rel=1e-6)
    since = (times[times > 20.05] - 20) / 4
    assert left[times > 20.05] == pytest.approx(np.maximum(life - since, 0), abs=0.01)


# Counts -----------------------------------------------------------------------------------------


@pytest.fixture
def count(patient, settings_for):
    """Blood at `months` of a patient whose marrow is corrected to a constant share."""

    def at(
        corrected, months=(LATE,), *, values=QUIET, cells=10_000, residual=None, product=PRODUCT, **person
    ):
        settings = settings_for(
            "blood", values, visits_months=list(months), sampling={"months": [months[-1]]}
        )
        marrow = constant_marrow(corrected, months, cells, residual=residual)
        who = {**patient, **person}
        blood, recovery = count_blood(who, product, marrow, norms_of(settings), settings)
        counts = count_table(who, blood, settings).to_pandas().set_index("lineage")
        counts.attrs["recovery"] = recovery.to_pylist()[0]
        return counts

    return at


@pytest.mark.parametrize("lineage", LINEAGES)
def test_late_counts_run_from_the_disease_to_the_norm(count, settings_for, lineage):
    """Without correction the untreated count, with full correction the norm or what the lineage reaches."""
    settings = settings_for("blood")
    none, full = (count(share, residual=0.0).loc[lineage] for share in (0.0, 1.0))
    best = of_lineage(settings, "disease.corrected_count", lineage, 1.0)
    untreated = of_lineage(settings, "disease.untreated_count", lineage)
    # T cells of short-term progenitors, and host ones, linger for years.
    survivors = 0.01 if lineage.startswith("cd") else 1e-3
    assert none["count_per_ul"] / full["count_per_ul"] == pytest.approx(untreated / best, rel=survivors)
    assert none["corrected_per_ul"] == pytest.approx(0, abs=5e-4 * none["count_per_ul"])
    assert full["corrected_fraction"] == pytest.approx(1, abs=survivors)


@pytest.mark.parametrize("cell", T_CELLS)
def test_t_cells_are_the_sum_of_naive_and_memory_cells(count, cell):
    blood = count(0.3, (1, 6, 24, 60), age_years=3.0).reset_index().set_index(["lineage", "month"])
    for column in ("count_per_ul", "corrected_per_ul"):
        both = sum(blood.loc[pool, column] for pool in T_CELLS[cell])
        assert both.to_numpy() == pytest.approx(blood.loc[cell, column].to_numpy())


def test_counts_of_full_correction_are_lognormal_around_the_norm(count, settings_for):
    """Over 150 people, at the sd of the norm for age; fails if the sd were half more."""
    norms = norms_of(settings_for("blood"))
    counts = [count(1.0, patient_seed=seed).loc["b_cell"] for seed in range(150)]
    age = counts[0]["age_years"]
    assert age == 40
    z = np.array([norms.z_score("b_cell", row["count_per_ul"], age) for row in counts])
    assert abs(z_of_mean(z, 0)) < LIMIT
    assert abs(z_of_mean(z**2, 1)) < LIMIT
    assert abs(z_of_mean(z**2, 1.5**2)) > LIMIT


@pytest.mark.parametrize("lineage", ["b_cell", "nk_cell", "cd8_t", "neutrophil", "red_cell"])
def test_counts_of_a_growing_child_follow_the_norm_for_age(count, settings_for, lineage):
    """Normal counts of an infant change to those of a schoolchild, and so do this patient's."""
    norms = norms_of(settings_for("blood"))
    counts = count(1.0, (60, 96, 150), age_years=1.0).loc[lineage, "count_per_ul"].to_numpy()
    normal = norms.median(lineage, 1 + np.array([60, 96, 150]) / 12)
    assert counts / counts[0] == pytest.approx(normal / normal[0], rel=1e-2)


def test_copies_and_function_of_a_late_lineage_are_those_of_the_stem_cells(count):
    blood = count(0.2)
    share = blood["corrected_fraction"].to_numpy()
    assert blood["vcn"].to_numpy() == pytest.approx(2.0 * share, rel=1e-3)
    assert blood["function"].to_numpy() == pytest.approx(0.7 * share, rel=1e-3)
    assert blood.loc["neutrophil", "corrected_fraction"] == pytest.approx(0.2, rel=1e-3)
    assert blood.loc["cd4_t", "corrected_fraction"] == pytest.approx(select(0.2, 20), rel=0.02)


def test_the_early_wave_carries_the_product_and_is_gone_by_month_nine(count, settings_for):
    """Month 2 shows the product's correction and copies, month 9 and later the stem cells."""
    blood = count(0.2, (2, 9, 12, 24), residual=0.0)
    neutrophils = blood.loc["neutrophil"]
    assert neutrophils["stem_cell_share"].iloc[0] < 0.1
    assert neutrophils["corrected_fraction"].iloc[0] == pytest.approx(0.8, rel=0.2)
    assert neutrophils["corrected_fraction"].iloc[1:].to_numpy() == pytest.approx([0.2] * 3, rel=0.1)
    assert (neutrophils["stem_cell_share"].iloc[1:] > 0.9).all()


def test_counts_of_one_person_scatter_from_visit_to_visit(count):
    """Sd of the logarithm 0.12 as set, around a set-point of their own; fails if it were 60 % off."""
    values = {**QUIET, "blood.visit_ln_sd": 0.12}
    months = tuple(np.arange(200, 240, 0.25))
    neutrophils = count(1.0, months, values=values).loc["neutrophil", "count_per_ul"]
    ln_error = np.log(neutrophils / neutrophils.median())
    assert abs(z_of_mean((ln_error - ln_error.mean()) ** 2, 0.12**2)) < LIMIT
    assert abs(z_of_mean((ln_error - ln_error.mean()) ** 2, (1.6 * 0.12) ** 2)) > LIMIT


@pytest.mark.parametrize("ln_sd", [0.0, 0.1])
def test_digital_pcr_is_unbiased_and_scatters_as_droplets_and_runs_do(ln_sd):
    """Variance of the ratio: (1/target + 1/(2 genomes)) plus the run's; fails if it were 15 % off."""
    vcn, genomes, n = 0.5, 3000, 20_000
    seen = digital_pcr(np.random.default_rng(3), np.full(n, vcn), np.full(n, genomes), ln_sd) / vcn
    expected = 1 / (vcn * genomes) + 1 / (2 * genomes) + ln_sd**2
    ln_seen = np.log(seen)
    assert ln_seen.mean() == pytest.approx(0, abs=LIMIT * np.sqrt(expected / n) + 1e-3)
    assert abs(z_of_mean(ln_seen**2, expected)) < LIMIT
    assert abs(z_of_mean(ln_seen**2, 1.15 * expected)) > LIMIT


# Without conditioning, without a graft ------------------------------------------------------------

NOT_INFUSED = dict.fromkeys(PRODUCT, 0.0) | {"infused": False, "lt_hsc_corrected": 0}


def test_where_nobody_was_infused_counts_stay_untreated_and_nobody_recovers(count, settings_for):
    settings = settings_for("blood")
    months = (0.1, 0.5, 1, 6, 60)
    blood = count(0.0, months, product=NOT_INFUSED)
    norms = norms_of(settings)
    for lineage in ("neutrophil", "platelet", "red_cell", "b_cell", "cd4_t"):
        row = blood.loc[lineage]
        relative = row["count_per_ul"] / norms.median(lineage, row["age_years"].to_numpy())
        assert relative.to_numpy() == pytest.approx(relative.iloc[-1], rel=1e-3), lineage
    assert (blood["corrected_per_ul"] == 0).all()
    recovery = blood.attrs["recovery"]
    for cell in ("neutrophil", "platelet"):
        assert (recovery[f"{cell}_recovery_day"], recovery[f"{cell}_state"]) == (None, "no_aplasia")


def test_an_empty_graft_after_conditioning_never_recovers(count):
    """Ablated and given a dose that is as good as none: aplasia, in plain rows."""
    product = {**PRODUCT, "cd34_per_kg": 1.0}
    blood = count(0.0, (1, 6, 24), cells=0, residual=0.0, product=product)
    assert blood.notna().all(axis=None)
    assert (blood.loc["neutrophil", "count_per_ul"] < 1).all()
    recovery = blood.attrs["recovery"]
    assert (recovery["neutrophil_recovery_day"], recovery["neutrophil_state"]) == (None, "not_recovered")


def test_full_conditioning_and_a_graft_recover_on_a_day(count):
    recovery = count(0.9, (1, 6), residual=0.01).attrs["recovery"]
    assert recovery["neutrophil_state"] == recovery["platelet_state"] == "recovered"
    assert recovery["neutrophil_recovery_day"] == pytest.approx(23)


def test_a_few_dozen_stem_cells_do_not_fill_the_blood(count):
    """Once the early wave is over, 20 stem cells of 10,000 make half of normal neutrophils at most."""
    few, many = (
        count(1.0, (12.0,), cells=n, residual=0.0).loc["neutrophil", "count_per_ul"] for n in (20, 5000)
    )
    assert few < 0.55 * many


SCID = {
    **{f"disease.untreated_count.{cell}": 0.02 for cell in T_CELLS},
    **{f"disease.odds_ratio.{cell}": 1000 for cell in T_CELLS},
    "thymus.seeding_per_cd34": 1e-6,
}


@pytest.mark.parametrize(("free", "makes"), [(1.0, True), (0.0, False)])
def test_thymic_progenitors_make_t_cells_without_any_corrected_stem_cell(count, free, makes):
    """No conditioning and no stem cell: T cells for years where the thymus had room, nothing else."""
    values = {**QUIET, **SCID, "disease.thymic_niches_free": free, "conditioning.agent": "none"}
    blood = count(0.0, (1, 6, 12, 60), values=values, residual=1.0, age_years=0.5)
    t_cells = blood.loc["cd4_t"]
    assert (blood.loc["neutrophil", "corrected_fraction"] == 0).all()
    if makes:
        assert (t_cells["corrected_fraction"].iloc[1:] > 0.5).all()
        assert t_cells["count_per_ul"].iloc[2] > 10 * t_cells["count_per_ul"].iloc[0]
        assert t_cells["thymic_share"].iloc[1:].to_numpy() == pytest.approx(1)
    else:
        assert (t_cells["corrected_fraction"] == 0).all()


def test_a_marrow_without_any_stem_cell_makes_no_blood(simulate_arm):
    """Ablated to the last cell and given almost none: once the early wave is over, the pools are empty."""
    changes = {
        "conditioning.busulfan_auc": 150,
        "conditioning.a50": 1,
        "product.cd34_per_kg": 1,
        "manufacture.least_cd34_per_kg": 0.001,
        "manufacture.backup_cd34_per_kg": 0,
        "manufacture.failure_probability": 0,
    }
    arm = simulate_arm(changes, 3)
    marrow = arm["marrow"]
    assert (marrow[["host", "uncorrected", "corrected"]] == 0).all(axis=None)
    late = arm["counts"][arm["counts"]["month"] >= 24].set_index("lineage")["count_per_ul"]
    norm = {"neutrophil": 3800, "platelet": 290_000, "b_cell": 500, "red_cell": 4.5e6}
    for lineage, usual in norm.items():
        assert (late[lineage] < usual / 100).all(), lineage
    assert set(arm["recovery"]["neutrophil_state"]) == {"not_recovered"}


def test_parts_are_named_in_the_order_of_the_slice():
    assert PARTS[CORRECTED] == ("stem", "early", "thymic")
