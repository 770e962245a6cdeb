"""The shape of simulated samples against measured ones, where these are at hand."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.blood.pools import select
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.study import load_study

SHARED = Path(os.environ.get("HSC_PIPELINE_SHARED", Path(__file__).parents[2] / "shared")) / "data"
MONTHS = [1, 2, 5, 9, 18, 36, 60]


def measured(name, **how):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"SKIPPED: data/{name} of the shared material is not here")
    return pd.read_csv(path, **how)


def study(disease, product, visits, patients, sampled):
    content = {
        "kind": "study",
        "schema_version": 1,
        "name": "shapes",
        "seed": 3,
        "disease": disease,
        "patients": patients,
        "visits_months": list(visits),
        "sampling": {"months": list(sampled)},
        "arms": [{"name": "a", "product": product}],
    }
    return {name: table.to_pandas() for name, table in simulate_arm(load_study(content), "a").items()}


def shapes(sites):
    """Sites, singletons, Chao1 over observed, top share and Shannon of each sample."""

    def of(fragments):
        n = fragments.to_numpy()
        once, twice, share = (n == 1).sum(), (n == 2).sum(), n / n.sum()
        return pd.Series(
            {
                "sites": len(n),
                "f1": once / len(n),
                "chao1": 1 + once * (once - 1) / (2 * (twice + 1)) / len(n),
                "top": share.max(),
                "shannon": -(share * np.log(share)).sum(),
            }
        )

    return sites.groupby(["patient", "lineage", "month"])["fragments"].apply(of).unstack()


@pytest.fixture(scope="module")
def mld():
    return study("mld", "mld_lentiviral", MONTHS, 12, MONTHS)


def by_visit(tables):
    return shapes(tables["integration_sites"])["sites"].groupby(["lineage", "month"]).median()


def test_late_samples_have_the_top_clone_singletons_and_chao1_of_real_ones(mld):
    """Medians within the 10th-90th centiles of sonic blood samples of month 6 and later.

    Power: clones of equal output (top 0.3 %, Chao1/observed 1.2) and sigma 2.5 (top above 6 %) fall out.
    """
    samples = measured("calabria2024_dev/stats_samples.csv.gz")
    real = samples.query(
        "tissue == 'PB' and month >= 6 and filter == 'all' and quant == 'frag' "
        "and quant_method == 'sonic' and n_clones >= 100"
    )
    real = pd.DataFrame(
        {
            "f1": real["f1"] / real["n_clones"],
            "chao1": real["chao1_bc"] / real["n_clones"],
            "top": real["top1_frac"],
            "shannon": real["shannon_ln"],
        }
    )
    assert len(real) > 200
    late = shapes(mld["integration_sites"]).query("month >= 6 and sites >= 100").median()
    for name in real:
        low, high = real[name].quantile([0.1, 0.9])
        assert low <= late[name] <= high, (name, late[name], low, high)


def test_the_waves_come_in_the_order_of_real_ones(mld):
    """Myeloid sites peak in the first months and fall about fourfold; B rise at months 2-3, T after 6.

    Medians of sonic samples of MLD, Calabria 2024: myeloid 4,130 at month 1, 1,200 from month 7; B
    30 at month 1 and 1,140 at months 2-3; T 76-102 before month 4 and 1,340 in the second year.
    """
    real = measured("calabria2024_dev/stats_samples.csv.gz")
    real = real.query(
        "trial == 'MLD' and tissue == 'PB' and filter == 'all' and quant == 'frag'"
        " and quant_method == 'sonic'"
    )
    first = real.query("month == 1").groupby("lineage")["n_clones"].median()
    later = real.query("month > 12").groupby("lineage")["n_clones"].median()
    sites = by_visit(mld)
    for source in (
        (first["Myeloid"], later["Myeloid"]),
        (sites["neutrophil", 1.0], sites["neutrophil", 36.0]),
    ):
        assert 2 < source[0] / source[1] < 8
    assert later["T"] > first["T"]
    assert sites["t_cell", 36.0] > 5 * sites["t_cell", 1.0]
    assert sites["b_cell", 2.0] > 5 * sites["b_cell", 1.0]
    assert sites["t_cell", 2.0] < 0.3 * sites["t_cell", 18.0]


def test_month_one_clones_are_not_those_of_later_visits(mld):
    """None of the month-1 clones was active later (Glimm 2005); here at most one in fifty."""
    sites = mld["integration_sites"].query("lineage == 'neutrophil'")
    keys = sites.groupby("month")[["patient", "clone", "site"]].apply(lambda r: set(map(tuple, r.to_numpy())))
    early, late = keys[1.0], keys[18.0] | keys[36.0]
    assert len(early & late) < 0.02 * len(early)
    assert len(keys[36.0] & keys[60.0]) > 0.1 * len(keys[60.0])


def test_early_clones_of_a_macaque_are_transient_too():
    """Samples of the first two months share few clones with the last ones, which share many."""
    clones = measured("macaque_Z13264_radtke2023/clones_long.tsv.gz", sep="\t")
    seen = {day: set(rows["clone"]) for day, rows in clones.groupby("day")}
    days = sorted(day for day in seen if day not in (249, 532))  # outliers, see its README
    early, late = seen[days[1]], set().union(*(seen[day] for day in days[-4:]))
    assert len(early & late) < 0.2 * len(early)
    assert len(seen[days[-1]] & set().union(*(seen[day] for day in days[-4:-1]))) > 0.2 * len(seen[days[-1]])


def test_haemoglobin_of_the_first_patient_with_sickle_cell_disease_lies_in_the_simulated_interval():
    """Part of HbA-T87Q in all haemoglobin at months 9-15: Ribeil 2017 within the 90 % interval."""
    table = measured("clinical_digitised_qsp/Hb_Ribeil2017.csv")
    wide = table.pivot_table(index="month", columns="Hb", values="Hbconc").dropna(subset="HbA_T87Q")
    real = 100 * (wide["HbA_T87Q"] / wide["Hb_total"]).loc[9:15].mean()
    assert 45 < real < 50
    rows = study("sickle_cell", "sickle_cell_lentiviral", [3, 9, 15], 24, [9])["readouts"]
    share = rows.query("readout == 'therapeutic_haemoglobin' and month == 15")["value"]
    low, high = share.quantile([0.05, 0.95])
    assert low <= real <= high


def test_marking_of_an_ada_patient_follows_the_odds_ratios(settings_for):
    """CD15 near 8 %: T cells at 95 % and B cells at 90 %, as digitised from Aiuti 2009."""
    table = measured("clinical_digitised_qsp/Aiuti2009.csv").query("time >= 1 and time <= 6")
    real = table.groupby("celltype")["cellpercentage"].median() / 100
    values = load_study(
        {
            "kind": "study",
            "schema_version": 1,
            "name": "ada",
            "seed": 1,
            "disease": "ada_scid",
            "patients": 1,
            "visits_months": [12],
            "arms": [{"name": "a"}],
        }
    ).settings("blood", "a")["values"]
    for cell, name in (("CD3", "cd4_t"), ("CD19", "b_cell")):
        expected = select(real["CD15"], values[f"disease.odds_ratio.{name}"])
        assert expected == pytest.approx(real[cell], abs=0.25)
