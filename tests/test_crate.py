"""The crate says what was run; from it the study runs again; the archive is one zip, without names."""

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsc_pipeline import __version__, reproduce
from hsc_pipeline.__main__ import main
from hsc_pipeline.archive import archive
from hsc_pipeline.crate import (
    CODE,
    GIVEN,
    PROFILES,
    RUN,
    WORKFLOW,
    code,
    listed,
    read_crate,
    write_crate,
    write_given,
)
from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import CLONES, SAMPLES, read
from hsc_pipeline.manifest import CRATE, read_manifest, verify, write_manifest
from hsc_pipeline.privacy import pseudonyms_of
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import Column, Table, write, write_csv
from hsc_pipeline.yaml_files import read_yaml
from tests.test_workflow import REPOSITORY, TINY, complete, new_project

ROWS = Table(
    "rows",
    ("patient",),
    {"patient": Column(pa.int32(), "", "number"), "age": Column(pa.float64(), "years", "at infusion")},
)
SNAKEFILE = REPOSITORY / "workflow/Snakefile"


def finish(folder, content, files):
    """Write what the last rule writes."""
    given = write_given(folder, content, SNAKEFILE)
    write_manifest(folder, [*files, *given], content["name"], content["seed"])
    write_crate(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    """The results of a study, as small as can be."""
    results = tmp_path / "results/tiny"
    for arm, ages in (("a", [1.0, 2.0]), ("b", [3.0, 4.0])):
        write(results / f"plan/{arm}/rows.parquet", ROWS.build({"patient": [1, 2], "age": ages}))
    (results / "benchmarks").mkdir()
    (results / "benchmarks/plan.tsv").write_text("s\th:m:s\n100.5\t0:01:40\n")
    return finish(results, TINY, sorted(results.rglob("*.parquet")))


def test_the_crate_is_read_back_and_says_what_was_run(folder):
    from rocrate.rocrate import ROCrate

    crate = ROCrate(folder)
    assert {entity.id for entity in crate.root_dataset["conformsTo"]} == set(PROFILES)
    assert crate.mainEntity.id == WORKFLOW
    action = crate.get(RUN)
    assert action.type == "CreateAction"
    begun, ended = (datetime.fromisoformat(action[name]) for name in ("startTime", "endTime"))
    assert 100 <= (ended - begun).total_seconds() < 1000, "from the first job's beginning, by its benchmark"
    entities = read_crate(folder)
    assert listed(entities[RUN], "object") == [GIVEN, "#seed"]
    assert entities["#seed"]["value"] == TINY["seed"]
    assert entities[CODE]["version"] == __version__
    assert entities[CODE]["sha256"] == code()["sha256"]
    assert re.search(r"Git: (commit [0-9a-f]{40}, with|not a checkout)", entities[CODE]["description"])
    said = {entities[i]["name"]: entities[i]["value"] for i in listed(entities[RUN], "additionalProperty")}
    assert said["executor"] == "local"
    assert {"machine", "system", "python", "processors"} <= said.keys()
    lock = entities["#requirements.lock"]
    assert len(lock["sha256"]) == 64


def test_every_file_of_the_manifest_is_in_the_crate_with_checksum_and_tables_with_schema(folder):
    entities, manifest = read_crate(folder), read_manifest(folder)
    for name, entry in manifest["files"].items():
        assert entities[name]["sha256"] == entry["sha256"]
        if name != WORKFLOW:
            assert entities[name]["contentSize"] == str(entry["bytes"])
            assert name in [*listed(entities[RUN], "result"), GIVEN]
    schemas = {entities[f"plan/{arm}/rows.parquet"]["conformsTo"]["@id"] for arm in "ab"}
    assert len(schemas) == 1, "one schema, once"
    columns = [entities[i] for i in listed(entities[schemas.pop()], "variableMeasured")]
    assert [(c["name"], c["additionalType"]) for c in columns] == [("patient", "int32"), ("age", "double")]
    assert (columns[1]["unitText"], columns[1]["description"]) == ("years", "at infusion")


def test_times_stand_in_the_crate_alone(folder):
    before = (folder / "manifest.json").read_bytes()
    again = json.loads((folder / CRATE).read_text())
    finish(folder, TINY, sorted(folder.rglob("*.parquet")))
    assert (folder / "manifest.json").read_bytes() == before
    assert not re.search(r"\d{4}-\d\d-\d\dT", before.decode())
    assert verify(folder) == []
    again["@graph"] = [e | ({"sha256": "0"} if e["@id"] == "manifest.json" else {}) for e in again["@graph"]]
    (folder / CRATE).write_text(json.dumps(again))
    assert verify(folder) == [f"{CRATE}: is of another manifest.json"]
    (folder / CRATE).write_text("{}")
    assert verify(folder) == [f"{CRATE}: this is not a crate"]


def test_the_crate_names_no_machine_and_no_person(folder):
    import getpass
    import platform

    text = (folder / CRATE).read_text()
    assert platform.node() not in text
    assert str(REPOSITORY) not in text
    assert getpass.getuser() not in re.findall(r"\w+", text)


def test_given_is_a_study_file_again(folder):
    assert load_study(read_yaml(folder / GIVEN)).as_dict() == load_study(TINY).as_dict()


def test_an_archive_is_the_same_bytes_each_time_and_unpacks_to_good_results(folder, tmp_path, capsys):
    for name in ("a.zip", "b.zip"):
        assert main(["archive", str(folder), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    zipfile.ZipFile(tmp_path / "a.zip").extractall(tmp_path / "out")
    assert verify(tmp_path / "out/tiny") == []
    assert read_crate(tmp_path / "out/tiny") == read_crate(folder)
    assert not (tmp_path / "out/tiny/benchmarks").exists()


def test_an_archive_that_cannot_be_is_one_sentence(folder, tmp_path):
    for out, said in ((folder / "x.zip", "inside the results"), (tmp_path / "no/x.zip", "no folder")):
        with pytest.raises(UserError, match=said):
            archive(folder, out)
    (folder / "plan/a/rows.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"not as the run left it: plan/a/rows\.parquet: changed"):
        archive(folder, tmp_path / "x.zip")
    assert not list(tmp_path.glob("*.zip"))


# Real patients --------------------------------------------------------------------------------------


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    """The tidy tables of the example, with names hashed in what leaves the folder."""
    monkeypatch.chdir(REPOSITORY)
    results = tmp_path / "results/tracking_example"
    content = {**read_yaml("config/tracking.yaml"), "privacy": {"identifiers": "hashed"}}
    content["stem_cells"] = {"copies_by_subject": {"trial_P0001": 2}}
    seen = read("config/tracking_example/gt23", assay="fragments")
    write(results / "tracking/clones.parquet", seen.clones)
    write(results / "tracking/samples.parquet", seen.samples)
    near = pa.table({"subject": ["trial_P0001"], "clone": ["chr1+1"], "near_to": ["chr1+2"], "count": [3]})
    write_csv(results / "tracking/near_sites.csv", near)
    return finish(results, content, sorted(results.rglob("*.*")))


def names_of(folder):
    clones, samples = (pq.read_table(folder / f"tracking/{name}.parquet") for name in ("clones", "samples"))
    found = {name for key in ("subject", "sample", "clone") for name in clones.column(key).to_pylist()}
    return found | set(samples.column("sample").to_pylist()) | {"chr1+1", "chr1+2"}


def test_an_archive_of_real_tables_holds_hashes_in_place_of_names_and_places(tracked, tmp_path):
    names = names_of(tracked)
    assert len(names) > 1000
    archive(tracked, tmp_path / "a.zip")
    archive(tracked, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        texts = {name: packed.read(name) for name in packed.namelist()}
        packed.extractall(tmp_path / "out")
    for name, data in texts.items():
        if name.endswith(".parquet"):
            data = str(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
        words = set(re.findall(r"[\w+\-]+", data.decode()))
        assert not words & names, name
        assert "config/tracking_example" not in data.decode()
    out = tmp_path / "out/tracking_example"
    assert verify(out) == []
    clones = CLONES.read(out / "tracking/clones.parquet")
    assert clones.column("position").null_count == clones.num_rows
    original = pq.read_table(tracked / "tracking/clones.parquet")
    assert clones.column("count").equals(original.column("count"))
    assert len(set(clones.column("clone").to_pylist())) == len(set(original.column("clone").to_pylist()))
    assert not any(SAMPLES.read(out / "tracking/samples.parquet").column("other").to_pylist())
    subject = pseudonyms_of(tracked).of("subject", "trial_P0001")
    assert subject in (out / "tracking/near_sites.csv").read_text()
    assert read_yaml(out / GIVEN)["stem_cells"]["copies_by_subject"] == {subject: 2}


def test_the_crate_of_real_tables_names_no_file_and_holds_their_checksums(tracked):
    entities = read_crate(tracked)
    inputs = [entities[i] for i in listed(entities[RUN], "object") if i.startswith("#input/")]
    assert len(inputs) >= 5
    assert all(entity["name"].startswith("file-") and len(entity["sha256"]) == 64 for entity in inputs)
    assert not {*re.findall(r"[\w+\-]+", (tracked / CRATE).read_text())} & names_of(tracked)


def test_names_are_shown_where_the_file_asks_for_it(tracked, tmp_path):
    content = {**read_yaml(tracked / GIVEN), "privacy": {"identifiers": "shown"}}
    finish(tracked, content, sorted(tracked.rglob("tracking/*.*")))
    archive(tracked, tmp_path / "a.zip")
    assert b"trial_P0001" in zipfile.ZipFile(tmp_path / "a.zip").read(
        "tracking_example/tracking/near_sites.csv"
    )


# Again ----------------------------------------------------------------------------------------------


def test_what_differs_is_said_in_sentences(folder, monkeypatch, capsys):
    def run(place, cores):
        results = place / "results/tiny"
        shutil.copytree(folder, results)
        if changed:
            write(results / "plan/b/rows.parquet", ROWS.build({"patient": [1, 2], "age": [3.0, 5.0]}))
            (results / "plan/a/rows.parquet").unlink()
            finish(results, TINY, sorted(results.rglob("*.parquet")))

    monkeypatch.setattr(reproduce, "_run", run)
    changed = False
    assert main(["reproduce", str(folder)]) == 0
    assert "4 of 4 files came out the same, byte by byte" in capsys.readouterr().out
    changed = True
    assert main(["reproduce", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "plan/a/rows.parquet: did not come out again." in said
    assert "plan/b/rows.parquet: came out otherwise." in said
    (folder / "plan/a/rows.parquet").unlink()
    assert main(["reproduce", str(folder)]) == 1
    assert "was not run again" in capsys.readouterr().out


def test_a_table_that_has_changed_since_is_named(tracked, monkeypatch, tmp_path):
    assert main(["reproduce", str(tmp_path / "nowhere")]) == 2
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "config/tracking_example/clinical.tsv").open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match=r"clinical\.tsv: has changed since the run"):
        reproduce.reproduce(tracked)


@pytest.mark.slow
def test_a_study_runs_again_from_its_results_to_the_same_bytes(tmp_path):
    project = new_project(tmp_path / "project")
    complete(project)
    assert verify(project / "results/tiny") == []
    command = [sys.executable, "-m", "hsc_pipeline", "reproduce", "results/tiny", "--cores", "2"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    files = len(read_manifest(project / "results/tiny")["files"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{files} of {files} files came out the same, byte by byte" in done.stdout
