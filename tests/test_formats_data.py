"""The field's own tables, where the shared data lie beside the repository: read, and as their README says."""

import csv
import gzip
from pathlib import Path

import pytest

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import read

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="REAL DATA NOT TESTED: shared/data is not beside the repository"
)
CALABRIA = DATA / "calabria2024_dev"


def table(path):
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("macaque_ZG66_wu2018/clones_long.tsv.gz", {"assay": "reads"}),
        ("macaque_wu2014_early/clones_long.csv.gz", {"assay": "cells"}),
        ("macaque_Z13264_radtke2023/clones_long.tsv.gz", {"assay": "cells"}),
        # Killed at no stated week: the week can only tell samples apart.
        ("mouse_C21_belderbos2020/clones_long.tsv.gz", {"assay": "reads", "columns": {"week": "replicate"}}),
    ],
)
def test_animals_have_the_clones_and_totals_of_their_statistics(file, options):
    found, statistics = read(DATA / file, **options), (DATA / file).with_name("stats.csv")
    assert found.assay == options["assay"]
    totals = found.clones.group_by("sample").aggregate([("count", "sum"), ("clone", "count")]).to_pylist()
    measured = sorted((row["clone_count"], row["count_sum"]) for row in totals)
    stated = sorted((int(row["n_clones"]), float(row["total_abundance"])) for row in table(statistics))
    assert [clones for clones, _ in measured] == [clones for clones, _ in stated]
    # Six digits are stated.
    assert [total for _, total in measured] == pytest.approx([total for _, total in stated], rel=1e-5)


def test_the_mouse_was_killed_at_no_stated_week_which_is_said_with_its_line():
    path = DATA / "mouse_C21_belderbos2020/clones_long.tsv.gz"
    with pytest.raises(UserError, match="line 1790, column week: 'sac' is not a number"):
        read(path)


@pytest.fixture(scope="module")
def reads():
    return read(CALABRIA / "clones_long.tsv.gz", assay="reads")


def test_every_patient_of_calabria_has_the_samples_of_the_statistics(reads):
    assert len(set(reads.samples["subject"].to_pylist())) == 18
    rows = [
        row
        for row in table(CALABRIA / "stats_samples.csv.gz")
        if (row["filter"], row["quant"]) == ("seq>=3", "seq")
        and row["marker"] not in ("MNC", "Whole", "PreBNK")
    ]
    expected = {
        (f"{row['trial']}_{row['patient']}", row["marker"], row["tissue"], float(row["month"])): int(
            row["n_clones"]
        )
        for row in rows
    }
    clones = reads.clones.group_by("sample").aggregate([("clone", "count")]).to_pylist()
    number = {row["sample"]: row["clone_count"] for row in clones}
    found = {
        (row["subject"], row["marker"], row["tissue"], row["month"]): number[row["sample"]]
        for row in reads.samples.to_pylist()
    }
    assert len(found) == 2025
    assert found == expected
    lineage = {row["marker"]: row["lineage"] for row in rows}
    assert {row["marker"]: row["lineage"] for row in reads.samples.to_pylist()} == lineage


def test_sonic_samples_of_calabria_are_told_from_those_that_repeat_the_reads():
    """As the deposit's methods say, sample by sample; the few of unknown method are left aside."""
    path = CALABRIA / "clones_long.tsv.gz"
    with pytest.raises(UserError, match="fragment_estimate repeats seq_count, so they hold reads"):
        read(path)
    kept = {
        (row["subject"], row["marker"], row["tissue"], row["month"])
        for row in read(path, repeated="drop").samples.to_pylist()
    }
    method = {
        (f"{row['trial']}_{row['patient']}", row["marker"], row["tissue"], float(row["month"])): row[
            "quant_method"
        ]
        for row in table(CALABRIA / "stats_samples.csv.gz")
    }
    sonic = {key for key, name in method.items() if name == "sonic"}
    reads_only = {key for key, name in method.items() if name == "reads_only"}
    assert not kept & reads_only
    in_deposit = {
        (row["subject"], row["marker"], row["tissue"], row["month"])
        for row in read(path, assay="reads").samples.to_pylist()
    }
    assert len(sonic & in_deposit) > 1000
    assert sonic & in_deposit <= kept
