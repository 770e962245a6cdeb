"""Blood as it is counted: against norms, over time, without conditioning or graft."""

import numpy as np
import pytest

from hsc_pipeline.blood.count import count_blood, count_table, digital_pcr
from hsc_pipeline.blood.lineages import CORRECTED, LINEAGES, PARTS, T_CELLS, of_lineage
from hsc_pipeline.blood.pools import select
from tests.statistics_of import LIMIT, z_of_mean
from tests.still_marrows import LATE, PRODUCT, QUIET, constant_marrow, norms_of


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
