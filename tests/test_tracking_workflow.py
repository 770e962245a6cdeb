"""The branch of measured tables: the real workflow on the example, and what its file may not say."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import yaml

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import CLONES, Observations
from hsc_pipeline.manifest import verify
from hsc_pipeline.tracking.alarms import rules_of
from hsc_pipeline.tracking.cleaning import clean
from hsc_pipeline.tracking.findings import flagged_clones
from hsc_pipeline.tracking.loci import compared
from hsc_pipeline.tracking.page import write_page
from hsc_pipeline.tracking.plans import usual_samples
from hsc_pipeline.tracking.run import Run
from hsc_pipeline.tracking.series import read_observations, read_tables, table_of, write_observations
from hsc_pipeline.tracking.settings import TOPIC_KEYS, json_schema, load_tracking
from hsc_pipeline.tracking.topics import COLUMNS, TOPICS, columns_of, measure
from hsc_pipeline.yaml_files import read_yaml
from tests.test_workflow import REPOSITORY, command, new_project

EXAMPLE = REPOSITORY / "config/tracking.yaml"


@pytest.fixture(scope="module")
def content():
    """The example, by paths that hold wherever the tests run."""
    written = read_yaml(EXAMPLE)
    for table in written["tables"]:
        table["path"] = str(REPOSITORY / table["path"])
    beside = {name: str(REPOSITORY / written[name]) for name in ("colonies", "clinical", "genes")}
    return {**written, **beside}


@pytest.fixture(scope="module")
def run(content):
    settings = load_tracking(content).as_dict()
    return Run(read_tables(settings)[0], settings)


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
    tables = {path.stem for path in (results / "tracking").glob("*.csv")}
    assert tables == {*TOPIC_KEYS, "near_sites", "collisions"}
    page = (results / "report.html").read_text()
    for section in ("clones", "diversity", "lineages", "stem-cells", "clinical", "alarms", "selection"):
        assert f'id="{section}"' in page


def test_the_page_fetches_nothing(finished):
    page = (finished[0] / "results/tracking_example/report.html").read_text()
    assert re.search(r"Content-Security-Policy\"\s+content=\"default-src (&#39;|')none", page)
    tags = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*", tags)
    assert "@import" not in tags


def test_a_hashed_report_holds_no_name_of_a_patient_a_sample_or_a_site(finished, tmp_path):
    project, _ = finished
    results = project / "results/tracking_example/tracking"
    tidy = {name: str(results / f"{name}.parquet") for name in ("clones", "samples")}
    seen = {name: pyarrow.parquet.read_table(file) for name, file in tidy.items()}
    tidy["assay"] = str(results / "assay.txt")
    names = {
        str(name)
        for table in seen.values()
        for column in {"subject", "sample", "clone"} & {*table.column_names}
        for name in table.column(column).to_pylist()
    }
    assert len(names) > 1000
    topics = {name: str(results / f"{name}.parquet") for name in TOPIC_KEYS}
    topics |= {name: str(results / f"{name}.csv") for name in ("near_sites", "collisions")}
    settings = load_tracking(read_yaml(EXAMPLE)).as_dict()
    page = tmp_path / "page.html"
    for identifiers, shown in (("hashed", False), ("shown", True)):
        write_page(page, tidy, topics, {**settings, "privacy": {"identifiers": identifiers}})
        words = set(re.findall(r"[\w+\-]+", page.read_text()))
        assert bool(words & names) is shown, words & names


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
    assert tuple(TOPICS) == tuple(TOPIC_KEYS) == tuple(COLUMNS)


@pytest.mark.parametrize("topic", TOPIC_KEYS)
def test_every_topic_has_its_columns_and_rows_by_what_it_is_said_to_read(run, content, topic):
    own = Run(run.observations, load_tracking(content).settings(topic))
    found = measure(topic, own)
    assert list(found.columns) == columns_of(topic)
    assert len(found)
    assert not found.isna().all().any(), "a column without a value"


@pytest.mark.parametrize(
    "topic", ["rarefied", "depth", "multilineage", "bias", "selection", "see_clone", "see_change"]
)
def test_reads_are_not_taken_for_cells(content, topic):
    """Counts of reads have no sampling theory: what would need it says nothing."""
    tables = [{**content["tables"][0], "assay": "reads"}]
    settings = load_tracking({**content, "tables": tables}).as_dict()
    assert measure(topic, Run(read_tables(settings)[0], settings)).empty


def test_samples_of_one_series_are_compared_at_one_depth(run):
    found = measure("rarefied", run)
    assert (found.groupby(["subject", "tissue", "lineage"])["depth"].nunique() == 1).all()
    shannon = found[found["measure"] == "shannon"]
    assert (shannon["estimate"] <= np.log(shannon["depth"])).all()
    assert ((shannon["low"] <= shannon["estimate"]) & (shannon["estimate"] <= shannon["high"])).all()


def test_the_capture_of_the_laboratory_is_found_again(run):
    """The example is simulated with a capture of 0.01, and its samples tell of their DNA and VCN."""
    truth = read_yaml(REPOSITORY / "config/tracking_example/study.yaml")["set"]["lab.capture_efficiency"]
    found = usual_samples(run)
    assert set(found) == {"Myeloid", "B", "T"}
    for usual in found.values():
        assert usual.stated
        # Three subjects, three months, VCN off by a tenth or so; the catalogue's capture is five times it.
        assert usual.capture == pytest.approx(truth, rel=0.3)


def test_a_table_without_lineages_and_tissues_gives_a_page(tmp_path):
    """One subject, sampled whole: what lineages would tell is left out, and the rest is there."""
    rng = np.random.default_rng(4)
    size = np.exp(1.5 * rng.standard_normal(300))
    rows = [
        f"M1,{month},{clone},{count}"
        for month in (3, 12, 24, 36)
        for clone, count in enumerate(rng.poisson(800 * size / size.sum()))
        if count
    ]
    (tmp_path / "clones.csv").write_text("\n".join(["subject,month,clone,cells", *rows]) + "\n")
    content = {
        **{"kind": "tracking", "schema_version": 1, "name": "whole"},
        **{"tables": [{"path": str(tmp_path / "clones.csv")}], "stem_cells": {"lineage": "", "tissue": ""}},
    }
    page = page_of(load_tracking(content).as_dict(), tmp_path)
    for section in ("clones", "diversity", "stem-cells", "alarms", "selection", "planning"):
        assert f'id="{section}"' in page
    assert 'id="lineages"' not in page


def test_the_page_says_when_no_sample_tells_of_stem_cells(content, tmp_path):
    settings = load_tracking({**content, "stem_cells": {"tissue": "BM"}}).as_dict()
    page = page_of(settings, tmp_path)
    assert "No sample is &#39;Myeloid&#39; of &#39;BM&#39;" in page
    assert 'id="stem-cells"' in page  # of the colonies


def page_of(settings, folder):
    """The report, made without the workflow."""
    observations, found = read_tables(settings)
    run, tables = Run(observations, settings), {}
    for topic in TOPIC_KEYS:
        tables[topic] = str(folder / f"{topic}.parquet")
        pyarrow.parquet.write_table(table_of(measure(topic, run)), tables[topic])
    for name, rows in found.items():
        tables[name] = str(folder / f"{name}.csv")
        rows.to_csv(tables[name], index=False)
    tidy = {"clones": "clones.parquet", "samples": "samples.parquet", "assay": "assay.txt"}
    tidy = {name: str(folder / file) for name, file in tidy.items()}
    write_observations(observations, **tidy)
    write_page(str(folder / "report.html"), tidy, tables, settings)
    return (folder / "report.html").read_text()


# Sites --------------------------------------------------------------------------------------------


def sites(observations, rows):
    """Observations of the same samples, of given subject, sample, place and count."""
    of = {row["sample"]: row for row in observations.samples.to_pylist()}
    names = ("subject", "month", "tissue", "lineage", "sample")
    built = [
        {**{name: of[sample][name] for name in names}, "clone": f"chr{place[0]}{place[1]}{place[2]}"}
        | {"chromosome": place[0], "strand": place[1], "position": place[2], "gene": "", "count": count}
        for sample, place, count in rows
    ]
    table = CLONES.build({name: [row[name] for row in built] for name in CLONES.columns})
    return Observations(table, observations.samples, observations.assay)


@pytest.fixture
def marked(run):
    samples = {row["subject"]: row["sample"] for row in run.observations.samples.to_pylist()}
    (a, one), (b, two), *_ = samples.items()
    rows = [
        *[(one, ("1", "+", 1000), 90.0), (one, ("1", "+", 1003), 7.0), (one, ("1", "-", 1002), 5.0)],
        *[(one, ("2", "+", 5000), 500.0), (two, ("2", "+", 5000), 3.0)],  # the first subject's
        *[(one, ("3", "+", 7000), 20.0), (two, ("3", "+", 7000), 10.0)],  # nobody's
    ]
    return sites(run.observations, rows), a, b


def test_sites_are_left_alone_and_found(marked):
    observations, a, b = marked
    kept, found = clean(observations)
    assert kept is observations
    near = found["near_sites"].to_dict("records")
    assert near == [{"subject": a, "clone": "chr1+1003", "near_to": "chr1+1000", "count": 7.0}]
    owners = found["collisions"].set_index(["clone", "subject"])["kept"].to_dict()
    assert owners == {
        **{("chr2+5000", a): True, ("chr2+5000", b): False},
        **{("chr3+7000", a): False, ("chr3+7000", b): False},
    }


def test_near_sites_are_merged_and_shared_ones_removed(marked):
    observations, a, _ = marked
    cleaned, _ = clean(observations, near="merge", collisions="remove")
    rows = [(row["subject"], row["clone"], row["count"]) for row in cleaned.clones.to_pylist()]
    assert sorted(rows) == [(a, "chr1+1000", 97.0), (a, "chr1-1002", 5.0), (a, "chr2+5000", 500.0)]
    assert cleaned.samples is observations.samples


def test_sites_of_stable_months_are_compared_with_those_that_were_lost(run):
    late, lost, name = compared(run)
    place = ["chromosome", "strand", "position"]
    assert name == "lost clones"
    assert late.merge(lost, on=place).empty
    every = run.observations.clones.select(place).to_pandas().drop_duplicates()
    assert len(late) + len(lost) == len(every)


def test_the_background_is_the_table_that_the_file_names(content, run):
    """The third subject's clones as a background of all: what both hold counts with the subjects'."""
    background = str(REPOSITORY / "config/tracking_example/long")
    settings = load_tracking({**content, "background": background}).as_dict()
    late, other, name = compared(Run(run.observations, settings))
    assert name == "background"
    assert late.merge(other, on=["chromosome", "strand", "position"]).empty
    assert len(other)
    assert set(measure("common_sites", Run(run.observations, settings))["against"]) <= {"even genome", name}


def test_flagged_clones_carry_rules_gene_and_class(run):
    found = {name: measure(name, run) for name in ("alarms", "selection", "listed_genes")}
    hit = found["listed_genes"].iloc[0]
    own = {"subject": hit["subject"], "clone": hit["clone"], "share": 0.9}
    alarms = [{**own, "rule": "top_10%", "month": 6.0}, {**own, "rule": "uc50", "month": 12.0, "share": 0.5}]
    found["alarms"] = pd.concat([found["alarms"], pd.DataFrame(alarms)])
    first = flagged_clones(run.observations, found).iloc[0]
    assert first[["subject", "clone", "gene", "class"]].tolist() == [
        *(hit["subject"], hit["clone"], hit["gene"], hit["class"]),
    ]
    assert first[["alarms", "first", "last", "share"]].tolist() == [2, 6, 12, 0.9]
    assert first["rules"] == "top_10%, uc50"


def test_a_stated_leak_replaces_the_catalogues(content, run):
    """Pure sorts as stated give the same as pure sorts; leaking ones less sharing, of every subject."""
    pure, leaking = (
        measure("multilineage", Run(run.observations, load_tracking({**content, **leak}).as_dict()))
        for leak in ({"leak": {}}, {})
    )
    assert (pure["estimate"] == pure["pure_estimate"]).all()
    assert (leaking["estimate"] < leaking["pure_estimate"]).all()
    assert (pure["pure_estimate"] == leaking["pure_estimate"]).all()


def test_neighbours_in_the_order_of_likeness_are_alike(run):
    found = measure("correlation", run)
    near = found["place_b"] - found["place_a"] == 1
    assert found.loc[near, "correlation"].mean() > found.loc[~near, "correlation"].mean() + 0.1
    assert found["correlation"].between(-1, 1).all()


# Rules --------------------------------------------------------------------------------------------


def test_rules_follow_the_file(content):
    asked = {"use": ["top_clone", "mrce"], "top_clone": [0.05, 0.4]}
    named = rules_of(load_tracking({**content, "rules": asked}).as_dict()["rules"])
    assert list(named) == ["top_5%", "top_40%", "mrce"]
    counts = np.array([[120], *[[10]] * 88])  # 12 %
    assert [int(rule(counts)[0]) for name, rule in named.items() if name != "mrce"] == [0, -1]
    assert len(rules_of(load_tracking(content).as_dict()["rules"])) == 7  # those of the catalogue


def test_copies_are_those_of_the_subject(content, run):
    copies = {"copies_per_cell": 2, "copies_by_subject": {"trial_P0001": 4}}
    settings = load_tracking({**content, "stem_cells": copies}).as_dict()
    own = Run(run.observations, settings)
    assert [own.copies(name) for name in ("trial_P0000", "trial_P0001")] == [2, 4]
    settings["stem_cells"]["copies_by_subject"] = {"trial_P001": 4}
    with pytest.raises(UserError, match="'trial_P001' is in no table; did you mean 'trial_P0001'"):
        read_tables(settings)


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
        ({"genes": "none.csv"}, ["none.csv"]),
        ({"sites": {"near": "merged"}}, ["sites.near = 'merged'", "'merge'"]),
        ({"rules": {"use": ["top"]}}, ["rules.use[0] = 'top'", "'top_clone'"]),
        ({"rules": {"pielu": 0.5}}, ["rules", "'pielu'", "'pielou'"]),
        ({"stem_cells": {"copies_by_subject": {"P1": 0}}}, ["stem_cells.copies_by_subject.P1 = 0", "1"]),
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
        read_tables(load_tracking({**content, "tables": tables}).as_dict())


def test_the_schema_in_the_repository_is_current():
    stored = (REPOSITORY / "workflow/schemas/tracking.schema.json").read_text()
    assert stored == json_schema(), "run: python -m hsc_pipeline schema tracking > workflow/schemas/..."
