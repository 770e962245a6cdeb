"""The real workflow on a tiny study: run, rerun, kill, resume, change; and the same bytes each time."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from hsc_pipeline.manifest import verify

REPOSITORY = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "profiles", "config", "hsc_pipeline")
READY = [REPOSITORY / "config/config.yaml", *sorted((REPOSITORY / "config/studies").glob("*.yaml"))]

# Ten patients, so that models are fitted; few stem cells, so that it is quick; an arm whose
# products hold no stem cell at all, which is a valid outcome down to the report.
TINY = {
    "kind": "study",
    "schema_version": 1,
    "name": "tiny",
    "seed": 7,
    "disease": "was",
    "patients": 10,
    "visits_months": [1, 6, 24],
    "set": {"product.lt_hsc_per_cd34": 6e-6},
    "arms": [{"name": "full"}, {"name": "empty", "set": {"product.lt_hsc_per_cd34": 1e-12}}],
    "sweep": {
        "design": "sobol",
        "points": 2,
        "patients": 2,
        "over": {"product.cd34_per_kg": {"least": 2e6, "most": 2e7, "scale": "log"}},
    },
    "uncertainty": {"draws": 3, "patients": 1},
}


def new_project(folder, study=TINY):
    """Copy the workflow and the package, without any results, beside a study file."""
    folder.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    write_study(folder, study)
    (folder / "home").mkdir()
    return folder


def write_study(project, study):
    (project / "study.yaml").write_text(yaml.safe_dump(study))


def command(project, *arguments):
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", "study.yaml", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(project), "HOME": str(project / "home")}
    return {"args": snakemake, "cwd": project, "env": environment, "text": True}


def run(project, *arguments):
    done = subprocess.run(**command(project, *arguments), capture_output=True)
    return done.returncode, done.stdout + done.stderr


def complete(project, *arguments):
    code, output = run(project, "--cores", "2", *arguments)
    assert code == 0, output[-5000:]
    return output


def checksums(project):
    manifest = json.loads((project / "results/tiny/manifest.json").read_text())
    return {name: entry["sha256"] for name, entry in manifest["files"].items()}


def planned(project, *arguments):
    """What a dry run would do: the messages of its jobs."""
    code, output = run(project, "-n", *arguments)
    assert code == 0, output
    return re.findall(r"^Job \d+: (.*)$", output, re.MULTILINE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose tiny study has run."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    before = {path for path in project.rglob("*") if ".snakemake" not in path.parts}
    output = complete(project)
    after = {path for path in project.rglob("*") if ".snakemake" not in path.parts}
    new = {path.relative_to(project).parts[0] for path in after - before if "__pycache__" not in path.parts}
    return project, output, new


def test_a_run_leaves_its_results_and_says_where(finished):
    project, output, new = finished
    assert "results/tiny/report.html" in output
    assert "100%" in output
    assert new - {"home"} == {"results"}
    assert verify(project / "results/tiny") == []
    assert not (project / "results/tiny/.batches").exists() or not any(
        path.is_file() for path in (project / "results/tiny/.batches").rglob("*")
    )


@pytest.mark.slow
@pytest.mark.parametrize("ready", READY, ids=lambda path: path.stem)
def test_a_ready_study_runs_to_its_report(ready, tmp_path):
    """With all its patients: of so many, some have numbers that those of a tiny study never have."""
    study = yaml.safe_load(ready.read_text())
    project = new_project(tmp_path / "project", study)
    complete(project)
    assert verify(project / "results" / study["name"]) == []


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    project, _, _ = finished
    logs = {
        p.relative_to(project / "results/tiny/logs").with_suffix("")
        for p in project.rglob("results/tiny/logs/**/*.log")
    }
    timings = {
        p.relative_to(project / "results/tiny/benchmarks").with_suffix("")
        for p in project.rglob("results/tiny/benchmarks/**/*.tsv")
    }
    assert logs == timings
    assert "10 of 10 done in" in (project / "results/tiny/logs/engraftment/full/0-9.log").read_text()


def test_a_second_run_has_nothing_to_do(finished):
    project, _, _ = finished
    assert "Nothing to be done" in complete(project)


def test_snakemakes_own_report_holds_page_and_tables_with_captions(finished, tmp_path):
    project, _, _ = finished
    complete(project, "--report", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as packed:
        page = packed.read("report/report.html").decode()
        names = {Path(name).name for name in packed.namelist()}
    assert {"report.html", "outcomes.csv", "power.csv", "early_skill.csv", "manifest.json"} <= names
    for category in (
        "Report",
        "Outcomes",
        "Drivers",
        "Early signs",
        "Uncertainty",
        "How many patients",
        "Provenance",
    ):
        assert f'"{category}": {{' in page, category
    for caption in (
        "one self-contained page",
        "One row a virtual patient",
        "What drives the outcomes",
        "power, sizes",
    ):
        assert caption in page, caption
    assert "The page to read first is" in page


def test_graft_failure_is_carried_to_the_end_and_counted(finished):
    project, _, _ = finished
    outcomes = pq.read_table(project / "results/tiny/outcomes.parquet").to_pandas().set_index("arm")
    assert outcomes.loc["empty", "graft_failure"].all()
    # T cells of short-term progenitors last for years; what a stem cell would make does not come.
    assert (outcomes.loc["empty", "vcn_neutrophil"] < 0.01).all()
    assert not outcomes.loc["full", "graft_failure"].all()


def test_bytes_do_not_depend_on_cores_or_batch_size(finished, tmp_path):
    project, _, _ = finished
    other = new_project(tmp_path / "project")
    complete(other, "--cores", "1", "--config", "minutes_per_job=0.0125", "--scheduler", "ilp")
    assert checksums(other) == checksums(project)


def test_a_killed_run_resumes_to_the_same_bytes(finished, tmp_path):
    project, _, _ = finished
    other = new_project(tmp_path / "project")
    batches = other / "results/tiny/product/full/products.parquet"
    running = subprocess.Popen(
        **command(other, "--cores", "2", "--config", "minutes_per_job=0.017"),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not batches.exists():
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (other / "results/tiny/manifest.json").exists()
    code, output = run(other, "--unlock")
    assert code == 0, output
    complete(other, "--config", "minutes_per_job=0.017")
    assert checksums(other) == checksums(project)
    assert verify(other / "results/tiny") == []


def test_adding_an_arm_changes_no_existing_table(finished, tmp_path):
    project, _, _ = finished
    other = tmp_path / "project"
    shutil.copytree(project, other, symlinks=True)
    before = checksums(project)
    study = copy.deepcopy(TINY)
    study["arms"].append({"name": "half", "set": {"product.cd34_per_kg": 4.5e6}})
    write_study(other, study)
    jobs = planned(other)
    assert any("arm half" in job for job in jobs)
    assert not any("arm full" in job or "arm empty" in job for job in jobs), jobs
    complete(other)
    after = checksums(other)
    kept = [name for name in before if "/full/" in name or "/empty/" in name]
    assert len(kept) > 15
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    rows = pq.read_table(other / "results/tiny/outcomes.parquet")
    old = pq.read_table(project / "results/tiny/outcomes.parquet")
    assert rows.slice(0, old.num_rows).equals(old)


def test_adding_patients_changes_no_existing_row(finished, tmp_path):
    project, _, _ = finished
    other = new_project(tmp_path / "project", {**TINY, "patients": 12, "arms": TINY["arms"][:1]})
    complete(other)
    for table in (
        "plan/full/patients",
        "engraftment/full/clone_sizes",
        "blood/full/counts",
        "immunity/full/scores",
    ):
        old = pq.read_table(project / f"results/tiny/{table}.parquet")
        assert pq.read_table(other / f"results/tiny/{table}.parquet").slice(0, old.num_rows).equals(old), (
            table
        )


def test_changing_one_arm_reruns_one_arm(finished):
    project, _, _ = finished
    study = copy.deepcopy(TINY)
    study["arms"][1]["set"]["conditioning.a50"] = 30
    write_study(project, study)
    try:
        jobs = planned(project)
    finally:
        write_study(project, TINY)
    assert not any("arm full" in job for job in jobs), jobs
    assert any(job.startswith("Engraftment of arm empty") for job in jobs)
    assert not any(job.startswith("Product of arm") for job in jobs), "conditioning is no part of the product"


@pytest.mark.parametrize(
    ("file", "old", "new", "first", "untouched"),
    [
        (
            "immunity/score.py",
            "np.mean(list(",
            "np.median(list(",
            "Immunity",
            ("Plan", "Product", "Engraftment", "Blood"),
        ),
        (
            "engraftment/stress.py",
            "STEP_YEARS = 0.25",
            "STEP_YEARS = 0.5",
            "Engraftment",
            ("Plan", "Product"),
        ),
        (
            "models/estimators.py",
            "TREES = 50",
            "TREES = 49",
            "Models",
            ("Plan", "Product", "Engraftment", "Blood", "Immunity"),
        ),
        ("models/__init__.py", '"""Models: ', '"""The models: ', None, ("Models", "Report", "Manifest")),
    ],
    ids=["immunity", "engraftment", "models", "docstring"],
)
def test_a_change_of_code_reruns_its_stage_and_what_follows(finished, file, old, new, first, untouched):
    project, _, _ = finished
    path = project / "hsc_pipeline" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        jobs = planned(project)
    finally:
        path.write_text(text)
    assert not any(job.startswith(untouched) for job in jobs), jobs
    if first:
        assert any(job.startswith(first) for job in jobs)
        assert any(job.startswith("Manifest") for job in jobs)


def test_the_default_study_is_loaded_only_when_none_is_given(tmp_path):
    one_arm = {**TINY, "name": "one_arm", "arms": [{"name": "only"}]}
    project = new_project(tmp_path / "project", one_arm)
    assert {arm for job in planned(project) for arm in re.findall(r"arm (\w+)", job)} == {"only"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"], cwd=project, capture_output=True, text=True, check=True
    )
    default = yaml.safe_load((project / "config/config.yaml").read_text())
    arms = set(re.findall(r"arm (\w+)", done.stdout))
    assert arms == {arm["name"] for arm in default["arms"]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            yaml.safe_dump({**TINY, "patients": 0}),
            "study.yaml: patients = 0; it should be greater than or equal to 1",
        ),
        (yaml.safe_dump({**TINY, "disease": "wass"}), "did you mean 'was'?"),
        (yaml.safe_dump(TINY) + "seed: 8\n", "'seed' stands twice"),
    ],
    ids=["value", "disease", "repeated"],
)
def test_a_mistake_ends_before_any_job_in_one_sentence(tmp_path, text, sentence):
    project = new_project(tmp_path / "project")
    (project / "study.yaml").write_text(text)
    code, output = run(project, "--cores", "1")
    assert code != 0
    assert sentence in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) <= 2, output
    assert not (project / "results").exists()
