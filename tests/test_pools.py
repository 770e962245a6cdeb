"""Selection, delays, production and pools of the blood, and their laws; red cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.blood.lineages import CORRECTED, POOLS, T_CELLS, of_lineage
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
from tests.still_marrows import LATE, PRODUCT, QUIET, constant_marrow, norms_of

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
