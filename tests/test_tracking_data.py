"""Statistics of real data sets, computed apart, which the measures reproduce to rounding.

The data lie beside the repository and are not part of it; where they are not, these tests are skipped.
Statistics are kept to six digits.  Sonic abundances are kept to two decimals, so what is computed of
them is compared to what that rounding leaves.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.tracking import population_size
from hsc_pipeline.tracking.indices import diversity_table
from hsc_pipeline.tracking.sharing import consecutive, sharing

DATA = Path(__file__).parents[2] / "shared/data"
NAMES = {
    "n_clones": "richness",
    "total_abundance": "total",
    "shannon_ln": "shannon",
    "simpson_1mD": "simpson",
    "inv_simpson": "inverse_simpson",
    "pielou": "pielou",
    "gini": "gini",
    "top1_frac": "top1",
    "top10_frac": "top10",
    "uc50_there": "uc50_half",
    "chao1_bc": "chao1",
}
SIX_DIGITS, TWO_DECIMALS = 6e-6, 4e-3

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data beside the repository, at {DATA}")


def read(folder, file):
    return pd.read_csv(DATA / folder / file, sep="\t" if ".tsv" in file else ",")


def differences(statistics, table, keys, relative, absolute=2e-6):
    """The statistics that a table does not give, by name of the measure."""
    both = statistics.merge(table, on=keys, suffixes=("_there", ""), validate="one_to_one")
    assert len(both) == len(table)
    wrong = {}
    for theirs, ours in NAMES.items():
        there = both[f"{theirs}_there"] if f"{theirs}_there" in both else both[theirs]
        given = there.notna() & both[ours].notna()
        off = (there - both[ours]).abs() > relative * there.abs() + absolute
        if theirs == "uc50_there":  # where clones hold exactly half, a sum of shares may come out below it
            off &= there != both["uc50"]
        if (off & given).any():
            wrong[theirs] = both.loc[off & given, [*keys, ours]]
    return wrong


# Calabria 2024 ----------------------------------------------------------------------------------

CALABRIA = "calabria2024_dev"
PATIENT = ["trial", "patient"]
SAMPLE = [*PATIENT, "tissue", "marker", "month"]
WINDOWS = {"1-3": (1, 3), "6-12": (6, 12), "18-30": (18, 30), "36-60": (36, 60), ">60": (60.01, 1e9)}


@pytest.fixture(scope="module")
def calabria():
    rows = read(CALABRIA, "clones_long.tsv.gz")
    names = read(CALABRIA, "stats_samples.csv.gz")
    lineage = dict(zip(names["marker"], names["lineage"], strict=True))
    return rows.assign(lineage=rows["marker"].map(lineage))


def of_patient(table, patient):
    return table[(table["trial"] == patient[0]) & (table["patient"] == patient[1])]


def of_quantity(file, quantity):
    table = read(CALABRIA, file)
    return table[(table["filter"] == "seq>=3") & (table["quant"] == quantity)]


def only_of(statistics, table, keys):
    """The statistics of the deposited samples; some of whole blood and colonies were not deposited."""
    return statistics.merge(table[keys], on=keys, how="inner")


def test_reads_of_every_sample_of_eighteen_patients(calabria):
    table = diversity_table(calabria.rename(columns={"seq_count": "count"}), tuple(SAMPLE))
    assert len(table) == 2025
    statistics = only_of(of_quantity("stats_samples.csv.gz", "seq"), table, SAMPLE)
    assert differences(statistics, table, SAMPLE, SIX_DIGITS) == {}


def test_fragments_of_every_sample_of_eighteen_patients(calabria):
    rows = calabria.dropna(subset=["fragment_estimate"]).rename(columns={"fragment_estimate": "count"})
    table = diversity_table(rows, tuple(SAMPLE))
    statistics = only_of(of_quantity("stats_samples.csv.gz", "frag"), table, SAMPLE)
    wrong = differences(statistics, table, SAMPLE, TWO_DECIMALS, absolute=1e-3)
    assert set(wrong) <= {"uc50_there"}  # a clone more or less: whole numbers feel the rounding
    steps = statistics.set_index(SAMPLE)["uc50"] - table.set_index(SAMPLE)["uc50_half"]
    assert steps.abs().max() <= 2
    for exact in ("n_clones", "chao1_bc"):
        assert exact not in wrong


def test_lineages_of_every_patient(calabria):
    keys = [*PATIENT, "tissue", "lineage", "month"]
    pooled = calabria.groupby([*keys, "clone"], as_index=False)["seq_count"].sum()
    table = diversity_table(pooled.rename(columns={"seq_count": "count"}), tuple(keys))
    assert len(table) > 1400
    # Samples of cells between B and NK were counted as NK and are not deposited.
    names = read(CALABRIA, "stats_samples.csv.gz").query("marker == 'PreBNK'")
    mixed = pd.MultiIndex.from_frame(table[keys]).isin(pd.MultiIndex.from_frame(names[keys]))
    table = table[~mixed]
    statistics = only_of(of_quantity("stats_lineages.csv.gz", "seq"), table, keys)
    assert differences(statistics, table, keys, SIX_DIGITS) == {}


def test_clones_that_lineages_share(calabria):
    late, blood = calabria["month"] >= 12, calabria["tissue"] == "PB"
    groups = ["Myeloid", "B", "T", "NK", "CD34_BM", "Ery_BM"]
    inside = {"CD34": "CD34_BM", "Erythroid": "Ery_BM"}
    name = calabria["lineage"].where(blood, calabria["lineage"].map(inside))
    rows = calabria.assign(group=pd.Categorical(name, groups))[late & name.isin(groups)]
    statistics = read(CALABRIA, "stats_lineage_sharing.csv").set_index(PATIENT)
    compared = 0
    for patient, own in rows.groupby(PATIENT):
        found = sharing(own["group"].cat.codes.to_numpy(), own["clone"].to_numpy())
        found["group_a"], found["group_b"] = (
            pd.Series(groups)[found[c]].to_numpy() for c in ("group_a", "group_b")
        )
        both = statistics.loc[patient].merge(found, on=["group_a", "group_b"], suffixes=("_there", ""))
        for column in ("n_a", "n_b", "shared"):
            assert (both[column] == both[f"{column}_there"]).all(), patient
        assert both["jaccard"].to_numpy() == pytest.approx(both["jaccard_there"], rel=SIX_DIGITS)
        assert both["frac_a"].to_numpy() == pytest.approx(both["frac_a_in_b"], rel=SIX_DIGITS)
        compared += len(both)
        three = own[own["group"].isin(groups[:3])].drop_duplicates(["group", "clone"])["clone"]
        multi = statistics.loc[patient].query("group_b == 'multi>=2of3'").iloc[0]
        assert (multi["n_a"], multi["shared"]) == (three.nunique(), (three.value_counts() >= 2).sum())
    assert compared == len(statistics) - 18


def test_clones_that_visits_share(calabria):
    keys = [*PATIENT, "tissue", "lineage", "month"]
    rows = calabria[(calabria["tissue"] == "PB")]
    grouped = rows.groupby(keys)
    names = grouped.size().reset_index()
    clone = rows.groupby([*PATIENT, "clone"]).ngroup().to_numpy()
    owner = names.groupby(keys[:-1]).ngroup()
    found = sharing(grouped.ngroup().to_numpy(), clone, consecutive(owner, names["month"]))
    found = found.join(names[keys], on="group_a").rename(columns={"month": "month_a"})
    found["month_b"] = names["month"].to_numpy()[found["group_b"]]
    statistics = read(CALABRIA, "stats_time_sharing.csv")
    both = statistics.merge(found, on=[*keys[:-1], "month_a", "month_b"], suffixes=("_there", ""))
    assert len(both) == len(statistics) == 674
    for column in ("n_a", "n_b", "shared"):
        assert (both[column] == both[f"{column}_there"]).all()
    assert both["frac_a"].to_numpy() == pytest.approx(both["recapture_a_to_b"], rel=SIX_DIGITS)


def test_clones_that_windows_of_time_share(calabria):
    myeloid = calabria[(calabria["tissue"] == "PB") & (calabria["lineage"] == "Myeloid")]
    statistics = read(CALABRIA, "stats_window_persistence.csv")
    names = list(WINDOWS)
    compared = 0
    for patient, own in myeloid.groupby(PATIENT):
        window = np.full(len(own), -1)
        for number, (start, stop) in enumerate(WINDOWS.values()):
            window[own["month"].between(start, stop)] = number
        kept = window >= 0
        found = sharing(window[kept], own["clone"].to_numpy()[kept]).astype({"group_a": object})
        for column in ("window_a", "window_b"):
            found[column] = [names[int(g)] for g in found[column.replace("window", "group")]]
        theirs = of_patient(statistics, patient)
        both = theirs.merge(found, on=["window_a", "window_b"], suffixes=("_there", ""))
        assert (both["shared"] == both["shared_there"]).all()
        assert (both["n_a"] == both["n_a_there"]).all()
        compared += len(both)
    assert compared == len(statistics)


def test_population_sizes_where_the_rows_are_those_of_the_estimate(calabria):
    """To rounding, wherever the deposited rows hold as many clones as the estimate was made of.

    The clones were filtered by their sum over all samples, also those of whole blood and colonies
    that are not deposited, so most estimates rest on clones that the rows do not have.
    """
    myeloid = calabria[(calabria["tissue"] == "PB") & (calabria["lineage"] == "Myeloid")]
    statistics = read(CALABRIA, "stats_hspc_estimates.csv")
    same = []
    for patient, own in myeloid.groupby(PATIENT):
        seen = pd.crosstab(own["clone"], own["month"]) > 0
        for row in of_patient(statistics, patient).to_dict("records"):
            window = seen.loc[:, (seen.columns >= row["from"]) & (seen.columns <= row["to"])]
            histories = window.to_numpy()[window.any(axis=1)]
            if len(histories) != row["n_observed"]:
                continue
            assert histories.shape[1] == row["n_occasions"]
            model = "M0_bc" if row["model"] == "M0" else "Mth_Chao_bc"
            found = population_size(histories, (model,)).iloc[0]
            same.append(
                (row["scope"], found["estimate"], row["estimate"], found["standard_error"], row["stderr"])
            )
    scope, estimate, theirs, error, their_error = zip(*same, strict=True)
    assert len(same) == 60
    assert set(scope) == {"Consecutive2", "Consecutive3"}
    assert estimate == pytest.approx(theirs, rel=SIX_DIGITS)
    assert error == pytest.approx(their_error, rel=3e-5)


# Macaques and a mouse ---------------------------------------------------------------------------

OTHERS = [
    ("macaque_Z13264_radtke2023", "clones_long.tsv.gz", ["subject", "day"]),
    ("macaque_ZG66_wu2018", "clones_long.tsv.gz", ["subject", "month", "cell_type"]),
    ("macaque_wu2014_early", "clones_long.csv.gz", ["subject", "month", "cell_type"]),
    ("mouse_C21_belderbos2020", "clones_long.tsv.gz", ["subject", "week", "organ", "cell_type"]),
]


@pytest.mark.parametrize(("folder", "file", "keys"), OTHERS)
def test_every_sample_of_an_animal(folder, file, keys):
    table = diversity_table(read(folder, file), tuple(keys))
    assert differences(read(folder, "stats.csv"), table, keys, SIX_DIGITS) == {}


@pytest.mark.parametrize(
    ("folder", "file", "time", "kind"),
    [
        ("macaque_Z13264_radtke2023", "stats_time_sharing.csv", "day", None),
        ("macaque_ZG66_wu2018", "stats_sharing.csv", "month", "cell_type"),
        ("macaque_wu2014_early", "stats_sharing.csv", "month", "cell_type"),
    ],
)
def test_clones_that_samples_of_an_animal_share(folder, file, time, kind):
    clones = "clones_long.csv.gz" if "early" in folder else "clones_long.tsv.gz"
    rows = read(folder, clones)
    rows["cell"] = rows[kind] if kind else "PB_WBC"
    statistics = read(folder, file)
    keys = ["subject", time, "cell"]
    grouped = rows.groupby(keys)
    number = grouped.ngroup().to_numpy()
    of = {tuple(key): n for n, key in enumerate(grouped.size().index)}
    pairs = [
        [of[row["subject"], row[f"time_{end}"], row[f"cell_{end}"]] for end in "ab"]
        for row in statistics.to_dict("records")
    ]
    clone = rows.groupby(["subject", "clone"]).ngroup().to_numpy()
    found = sharing(number, clone, pairs)
    for column in ("n_a", "n_b", "shared"):
        assert (found[column] == statistics[column]).all()
    for column in ("jaccard", "frac_a", "frac_b"):
        assert found[column].to_numpy() == pytest.approx(statistics[column], rel=SIX_DIGITS, abs=1e-9)
