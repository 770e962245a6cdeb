"""The tables of config/tracking_example: small, of one study, the same in each format."""

import importlib.util
from pathlib import Path

import pytest

from hsc_pipeline.formats import detect, read, read_clinical, read_colonies
from hsc_pipeline.formats.export import TRUTH_FILE
from tests.clone_tables import assert_same

EXAMPLE = Path(__file__).parents[1] / "config/tracking_example"
FORMATS = ("long", "isanalytics", "gt23", "barcodetrackr")


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_holds_the_same_observations(format_):
    assert detect(EXAMPLE / format_) == format_
    found = read(EXAMPLE / format_)
    assert_same(found, read(EXAMPLE / "long"))
    assert len(set(found.samples["subject"].to_pylist())) == 3


def test_the_sites_of_aavenger_are_those_of_the_first_subject():
    path = EXAMPLE / "aavenger_sites.tsv.gz"
    assert detect(path) == "aavenger"
    found, whole = read(path).clones, read(EXAMPLE / "long", subjects=["trial_P0000"]).clones
    strip = [name.removesuffix(".1") for name in found["clone"].to_pylist()]
    assert strip == whole["clone"].to_pylist()
    assert found["count"].to_pylist() == whole["count"].to_pylist()


def test_the_other_tables_are_read():
    assert read(EXAMPLE / "airr").clones.num_rows == 300
    clinical = read_clinical(EXAMPLE / "clinical.tsv").to_pylist()
    assert {row["measure"] for row in clinical} == {"vcn", "count"}
    assert {row["lineage"] for row in clinical} == {"Myeloid", "B", "T"}
    assert read_colonies(EXAMPLE / "colonies.tsv")["colonies"].to_pylist() == [120] * 3


def test_the_example_is_small():
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 300_000


def test_the_script_makes_the_same_bytes_twice(tmp_path):
    """Of the code as it is; the committed tables are of the model when they were made."""
    script = importlib.util.spec_from_file_location("make_example", EXAMPLE / "make.py")
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    made = []
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        module.main(tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert made[0] == made[1]
    committed = {
        p.relative_to(EXAMPLE) for p in EXAMPLE.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }
    assert set(made[0]) == committed - {Path("make.py"), Path("study.yaml")}
    assert Path(TRUTH_FILE) in made[0]
