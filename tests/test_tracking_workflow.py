"""The branch of measured tables: the real workflow on the example, and what its file may not say."""

import shutil
import subprocess

import pandas as pd
import pytest
import yaml

from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import verify
from hsc_pipeline.study import read_yaml
from hsc_pipeline.tracking.series import read_observations, read_tables, write_observations
from hsc_pipeline.tracking.settings import TOPIC_NAMES, json_schema, load_tracking
from hsc_pipeline.tracking.topics import TOPICS, Run, measure
from tests.test_workflow import REPOSITORY, command, new_project

EXAMPLE = REPOSITORY / "config/tracking.yaml"


@pytest.fixture(scope="module")
def content():
    """The example, by paths that hold wherever the tests run."""
    written = read_yaml(EXAMPLE)
    for table in written["tables"]:
        table["path"] = str(REPOSITORY / table["path"])
    return {**written, "colonies": str(REPOSITORY / written["colonies"])}


@pytest.fixture(scope="module")
def run(content):
    settings = load_tracking(content).as_dict()
    return Run(read_tables(settings["tables"]), settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project in which the branch has run, and what the run said."""
    project = new_project(tmp_path_factory.mktemp("tracking") / "project", read_yaml(EXAMPLE))
    return project, snakemake(project, "--cores", "2", "tracking")


def snakemake(project, *arguments):
    done = subprocess.run(**command(project, *arguments), capture_output=True)
    return done.returncode, done.stdout + done.stderr


def test_one_command_gives_the_report_a_table_a_topic_and_a_manifest(finished):
    project, (code, output) = finished
    assert code == 0, output[-3000:]
    results = project / "results/tracking_example"
    assert verify(results) == []
    assert {path.stem for path in (results / "tracking").glob("*.csv")} == set(TOPIC_NAMES)
    page = (results / "report.html").read_text()
    assert "default-src" in page
    for section in ("clones", "diversity", "lineages", "stem-cells", "alarms", "selection"):
        assert f'id="{section}"' in page


def test_a_second_run_has_nothing_to_do(finished):
    project, _ = finished
    code, output = snakemake(project, "--cores", "1", "-n", "tracking")
    assert (code, "Nothing to be done" in output) == (0, True), output[-2000:]


def test_a_mistake_ends_before_any_job_in_one_sentence(finished, tmp_path):
    project, _ = finished
    (project / "study.yaml").write_text(yaml.safe_dump({**read_yaml(EXAMPLE), "tabels": []}))
    code, output = snakemake(project, "-n", "tracking")
    shutil.copy(EXAMPLE, project / "study.yaml")
    assert code != 0
    assert "unknown key 'tabels'" in output
    assert "Traceback" not in output


def test_the_topics_are_those_of_the_workflow():
    assert tuple(TOPICS) == TOPIC_NAMES


@pytest.mark.parametrize("topic", TOPIC_NAMES)
def test_every_topic_has_its_columns_whatever_the_tables(run, topic):
    found = measure(topic, run)
    assert tuple(found.columns) == TOPICS[topic][1]
    empty = topic in ("collisions",)  # three simulated patients share no site
    assert (len(found) == 0) == empty


@pytest.mark.parametrize("topic", ["depth", "multilineage", "bias", "selection"])
def test_reads_are_not_taken_for_cells(content, topic):
    """Counts of reads have no sampling theory: what would need it says nothing."""
    tables = [{**content["tables"][0], "assay": "reads"}]
    settings = load_tracking({**content, "tables": tables}).as_dict()
    assert measure(topic, Run(read_tables(settings["tables"]), settings)).empty


def test_numbers_of_clones_agree_with_the_estimators_alone(run):
    from hsc_pipeline.tracking import population_size

    found = measure("stem_cells", run).set_index(["subject", "estimator"])
    for one in run.marrow():
        alone = population_size(one.counts > 0).set_index("estimator")["estimate"]
        pd.testing.assert_series_equal(found.loc[one.subject, "estimate"], alone, check_names=False)


def test_the_tidy_form_survives_the_disk(run, tmp_path):
    files = {name: str(tmp_path / name) for name in ("clones.parquet", "samples.parquet", "assay.txt")}
    names = dict(zip(("clones", "samples", "assay"), files.values(), strict=True))
    write_observations(run.observations, **names)
    again = read_observations(**names)
    assert again.assay == run.observations.assay
    assert again.clones.to_pylist() == run.observations.clones.to_pylist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tables": []}, ["tables = list", "at least 1"]),
        ({"tables": [{"path": "no_such.tsv"}]}, ["no_such.tsv", "no such file"]),
        ({"tables": [{"path": "README.md", "asay": "reads"}]}, ["tables[0]", "'asay'", "'assay'"]),
        ({"tables": [{"path": "README.md", "assay": "cels"}]}, ["tables[0].assay = 'cels'", "'cells'"]),
        ({"stem_cells": {"copies_per_cell": 0.5}}, ["stem_cells.copies_per_cell = 0.5", "1"]),
        ({"name": "Bad name"}, ["name = 'Bad name'"]),
        ({"colonies": "none.tsv"}, ["none.tsv"]),
    ],
)
def test_a_mistake_is_one_sentence(content, change, words, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(UserError) as caught:
        load_tracking({**content, **change}, "my.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my.yaml: ")
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_mixed_assays_are_refused(content):
    first = content["tables"][0]
    tables = [first, {**first, "assay": "reads"}]
    with pytest.raises(UserError, match="different assays"):
        read_tables(load_tracking({**content, "tables": tables}).as_dict()["tables"])


def test_the_schema_in_the_repository_is_current():
    stored = (REPOSITORY / "workflow/schemas/tracking.schema.json").read_text()
    assert stored == json_schema(), "run: python -m hsc_pipeline schema tracking > workflow/schemas/..."
