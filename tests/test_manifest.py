"""The manifest names what changed, what is missing and what is foreign."""

import json

import pyarrow as pa
import pytest

from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import verify, write_manifest
from hsc_pipeline.tables import Column, Table, write

ROWS = Table(
    "rows",
    ("patient",),
    {"patient": Column(pa.int32(), "", "number"), "age": Column(pa.float64(), "years", "")},
)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "plan/a/rows.parquet", ROWS.build({"patient": [1, 2], "age": [1.0, 2.0]}))
    (tmp_path / "study.yaml").write_text("kind: study\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("now")
    write_manifest(tmp_path, [tmp_path / "study.yaml", tmp_path / "plan/a/rows.parquet"], "a", 7)
    return tmp_path


def test_an_untouched_folder_is_good(folder):
    assert verify(folder) == []
    (folder / "logs/a.log").write_text("later")
    assert verify(folder) == [], "logs lie outside"


def test_a_table_is_described_by_rows_types_and_units(folder):
    entry = json.loads((folder / "manifest.json").read_text())["files"]["plan/a/rows.parquet"]
    assert entry["rows"] == 2
    assert entry["columns"] == {"patient": "int32", "age": "double [years]"}
    assert len(entry["sha256"]) == 64


def test_one_byte_changed_is_named(folder):
    path = folder / "plan/a/rows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert verify(folder) == ["plan/a/rows.parquet: changed since the run"]


def test_missing_and_foreign_files_are_named(folder):
    (folder / "study.yaml").rename(folder / "plan/copy.yaml")
    assert verify(folder) == ["study.yaml: missing", "plan/copy.yaml: foreign, no part of this run"]


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"files": 3}'])
def test_without_a_good_manifest_there_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest") as caught:
        verify(tmp_path)
    assert "\n" not in str(caught.value)


def test_exit_codes_tell_good_bad_and_mistaken(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    (folder / "study.yaml").unlink()
    assert main(["verify", str(folder)]) == 1
    assert main(["verify", str(folder / "nowhere")]) == 2
    assert "study.yaml: missing" in capsys.readouterr().out
