"""A simulated study as files of the field: what the laboratory saw comes back, beside what was true."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsc_pipeline import chain
from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import read
from hsc_pipeline.formats.export import MARKERS, READS, export, export_tables, observe
from hsc_pipeline.study import load_study
from tests.clone_tables import assert_same
from tests.conftest import STUDY

FORMATS = ("isanalytics", "gt23", "barcodetrackr", "long")
FEW_CELLS = {"product.lt_hsc_per_cd34": 6e-7}
ARMS = [{"name": "high"}, {"name": "low", "set": {"product.cd34_per_kg": 2e6}}]


@pytest.fixture(scope="module")
def arms():
    keys = {"patients": 3, "visits_months": [3, 12], "set": FEW_CELLS, "arms": ARMS}
    study = load_study(
        {**STUDY, **keys, "sampling": {"months": [3, 12], "lineages": ["neutrophil", "t_cell"]}}
    )
    return {arm: chain.simulate_arm(study, arm) for arm in ("high", "low")}


@pytest.fixture
def finished(arms, tmp_path):
    """A folder as a run leaves it."""
    for arm, tables in arms.items():
        for stage, names in READS.items():
            (tmp_path / "law" / stage / arm).mkdir(parents=True)
            for name in names:
                pq.write_table(tables[name], tmp_path / "law" / stage / arm / f"{name}.parquet")
    return tmp_path / "law"


@pytest.mark.parametrize("format_", FORMATS)
def test_what_was_exported_is_read_back(format_, arms, tmp_path):
    export_tables(arms, "law", format_, tmp_path / "out")
    fragments, reads = observe(arms, "law")
    assert_same(read(tmp_path / "out"), fragments)
    if format_ in ("isanalytics", "gt23"):
        assert_same(read(tmp_path / "out", assay="reads"), reads)


def test_counts_are_those_of_the_laboratory(arms):
    """All fragments and reads of each sample, and no sample of two arms under one name."""
    for observed, assay in zip(observe(arms, "law"), ("fragments", "reads"), strict=True):
        totals = observed.clones.group_by("sample").aggregate([("count", "sum")])
        expected = {}
        for arm, tables in arms.items():
            for row in tables["samples"].to_pylist():
                name = f"law_{arm}_P{row['patient']:04d}_PB_{MARKERS[row['lineage']]}_M{row['month']:g}"
                expected |= {name: row[assay]} if row["sites"] else {}
        assert (
            dict(zip(totals["sample"].to_pylist(), totals["count_sum"].to_pylist(), strict=True)) == expected
        )
    assert {name.rpartition("_P")[0] for name in observed.samples["subject"].to_pylist()} == {"high", "low"}


def test_the_truth_names_every_site_and_every_living_clone(arms, tmp_path):
    export_tables(arms, "law", "long", tmp_path)
    truth = pd.read_csv(tmp_path / "truth.tsv.gz", sep="\t", keep_default_na=False, na_values={"site": [""]})
    seen = read(tmp_path).clones.select(["subject", "clone"]).to_pylist()
    named = set(zip(truth["subject"], truth["clone"], strict=True))
    assert {(row["subject"], row["clone"]) for row in seen} <= named
    assert not truth.duplicated(["subject", "true_clone", "site"]).any()
    found = truth[truth["found"].astype(str).str.lower() == "true"]
    assert set(zip(found["subject"], found["clone"], strict=True)) == {
        (r["subject"], r["clone"]) for r in seen
    }
    of_stem = truth[truth["origin"] == "stem_cell"]
    for arm, tables in arms.items():
        sizes, stem = tables["clone_sizes"].to_pandas(), of_stem[of_stem["arm"] == arm]
        one_row = stem.drop_duplicates(["patient", "true_clone"])
        for month in (3, 12):
            assert (
                one_row[f"cells_month_{month}"].astype(int).sum()
                == sizes.query("month == @month")["cells"].sum()
            )
        clones = tables["clones"].to_pandas().set_index(["patient", "clone"])
        rows = clones.loc[list(zip(one_row["patient"], one_row["true_clone"], strict=True))]
        assert one_row["advantage_per_year"].astype(float).to_numpy() == pytest.approx(
            rows["advantage_per_year"].to_numpy()
        )
        assert (one_row["copies"].astype(int).to_numpy() == rows["copies"].to_numpy()).all()
        driven = (rows["driver"] >= 0).to_numpy()
        assert (one_row["class"].str.contains("driver").to_numpy() == driven).all()


def test_the_truth_of_samples_keeps_those_that_showed_nothing(arms, tmp_path):
    export_tables(arms, "law", "long", tmp_path)
    rows = pd.read_csv(tmp_path / "truth_samples.tsv", sep="\t")
    assert len(rows) == sum(tables["samples"].num_rows for tables in arms.values())
    assert rows["sample"].is_unique


def test_the_command_writes_a_study_that_has_run(finished, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(finished), "--format", "gt23", "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [
        str(out / name) for name in ("intSites.csv.gz", "sampleData.csv", "truth.tsv.gz", "truth_samples.tsv")
    ]
    assert {name.rpartition("_P")[0] for name in read(out).samples["subject"].to_pylist()} == {"high", "low"}
    some = tmp_path / "some"
    arguments = ["--format", "long", "--out", str(some), "--arms", "low", "--patients", "1"]
    assert main(["export", str(finished), *arguments]) == 0
    assert set(read(some).samples["subject"].to_pylist()) == {"low_P0000"}


def test_exporting_twice_gives_the_same_bytes(finished, tmp_path):
    first, second = (export(finished, "isanalytics", tmp_path / name) for name in ("x", "y"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("study", "arguments", "message"),
    [
        ("law", {"format": "gt24"}, "format: 'gt24'; did you mean 'gt23'"),
        ("law", {"format": "airr"}, "format: 'airr'; allowed"),
        ("law", {"arms": ["hihg"]}, "no arm 'hihg'; did you mean 'high'"),
        ("lore", {}, "no study that has run"),
    ],
)
def test_mistakes_of_an_export(study, arguments, message, finished, tmp_path):
    arguments = {"format": "long", "folder": tmp_path / "out", **arguments}
    with pytest.raises(UserError, match=message):
        export(finished.with_name(study), **arguments)
    assert not (tmp_path / "out").exists()


def test_an_export_overwrites_nothing(finished, tmp_path):
    with pytest.raises(UserError, match="is there already; name a new folder"):
        export(finished, "long", finished)


def test_a_study_without_insertions_has_nothing_to_export(arms, tmp_path):
    empty = {name: table.slice(0, 0) for name, table in arms["high"].items()}
    assert isinstance(empty["samples"], pa.Table)
    with pytest.raises(UserError, match="only vectors that insert leave any"):
        export_tables({"high": empty}, "law", "long", tmp_path / "out")
    assert not (tmp_path / "out").exists()
