"""Two studies on a page: the page says what the tables say, and refuses what cannot be compared."""

import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest
import yaml

from hsc_pipeline.__main__ import main
from hsc_pipeline.compare import compare
from hsc_pipeline.compare.design import arm_differences, design_differences, value_differences
from hsc_pipeline.compare.read import matched, paired, read_runs
from hsc_pipeline.compare.sections import differences
from hsc_pipeline.errors import UserError
from hsc_pipeline.intervals import independent_difference, paired_share_difference, wilson
from hsc_pipeline.manifest import write_manifest

STUDY = {
    "kind": "study",
    "name": "one",
    "title": "",
    "seed": 1,
    "disease": "was",
    "disease_title": "Wiskott-Aldrich syndrome",
    "patients": 40,
    "independent_arms": False,
    "sampling": {"months": [6.0], "lineages": ["t_cell"]},
    "arms": [
        {"name": "full", "product": "p", "set": {}},
        {"name": "half_dose", "product": "p", "set": {"dose": 2.0}},
    ],
    "values": {
        "dose": {"value": 4.0, "unit": "cells", "meaning": "dose", "evidence": "assumed", "source": ""}
    },
}


def leave(folder, gain=0.0, **changes):
    """Leave what a comparison reads of a finished study; `gain` is added to every score."""
    study = {**STUDY, "name": folder.name, **changes}
    rng, parts, visits = np.random.default_rng(5), [], []
    for arm in study["arms"]:
        score = rng.normal(60, 15, study["patients"]) + gain
        own = pd.DataFrame({"arm": arm["name"], "patient": range(study["patients"]), "immune_score": score})
        parts.append(own.assign(benefit=score > 55, landmark_month=24.0))
        visits += [own.assign(month=month, immune_score=score - 6 / month) for month in (1.0, 6.0, 24.0)]
    folder.mkdir()
    pd.concat(parts, ignore_index=True).to_parquet(folder / "outcomes.parquet")
    pd.concat(visits, ignore_index=True).to_parquet(folder / "visits.parquet")
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    write_manifest(folder, list(folder.iterdir()), study["name"], study["seed"])
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A study, and the same with four points more of score and another dose."""
    base = tmp_path_factory.mktemp("runs")
    dose = {"dose": {**STUDY["values"]["dose"], "value": 8.0}}
    arms = [
        STUDY["arms"][0],
        {"name": "half_dose", "product": "p", "set": {"dose": 3.0}},
        {"name": "new", "product": "p", "set": {}},
    ]
    sampling = {"months": [6.0, 24.0], "lineages": ["t_cell"]}
    return leave(base / "one"), leave(base / "two", 4.0, values=dose, arms=arms, sampling=sampling)


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    """The page of both."""
    path = tmp_path_factory.mktemp("page") / "both.html"
    assert main(["compare", *map(str, folders), "--out", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def without_scripts(page):
    """Return the page without scripts, style and drawings."""
    return re.sub(r"<(script|style|svg).*?</\1>", " ", page, flags=re.DOTALL)


def words(page):
    """Return the text of the page, with plain spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", without_scripts(page))))


def test_design_differences_are_named_with_both_values(folders):
    first, second = read_runs(*folders)
    assert design_differences(first, second) == [["sampling.months", "6", "6, 24"]]
    assert arm_differences(first, second) == [["half dose", "dose", "2", "3"]]
    assert value_differences(first, second) == [["dose", "4", "8", "cells", "dose"]]
    assert matched(first, second) == [("full", "full"), ("half dose", "half dose")]


def test_a_study_beside_its_copy_differs_in_nothing(folders, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folders[0], copy)
    first, second = read_runs(folders[0], copy)
    assert [first.name, second.name] == ["one", "copy"]
    assert (
        design_differences(first, second) + arm_differences(first, second) + value_differences(first, second)
        == []
    )
    found = differences(first, second)
    assert (found["value"] == 0).all()
    compare(folders[0], copy, tmp_path / "page.html")
    said = words((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "The two study files say the same." in said
    assert "none is beyond chance" in said
    assert "3 of 3 files are the same bytes" in said


def test_differences_are_taken_within_the_same_patients(folders):
    first, second = read_runs(*folders)
    assert paired(first, second)
    found = differences(first, second).set_index(["arm", "column"])
    ours, theirs = (run.outcomes.query("arm == 'full'").sort_values("patient") for run in (first, second))
    expected = paired_share_difference(ours["benefit"].to_numpy(), theirs["benefit"].to_numpy()).times(100)
    assert found.loc[("full", "benefit"), ["value", "low", "high"]].tolist() == pytest.approx(list(expected))
    # Every patient has four points more, so that the interval within patients has no width.
    assert found.loc[("full", "immune_score"), ["value", "low", "high"]].tolist() == pytest.approx([4, 4, 4])


def test_other_seeds_are_other_patients(folders, tmp_path):
    other = leave(tmp_path / "other", seed=2)
    first, second = read_runs(folders[0], other)
    assert not paired(first, second)
    found = differences(first, second).set_index(["arm", "column"]).loc[("full", "benefit")]
    shares = [wilson(int(r.outcomes.query("arm == 'full'")["benefit"].sum()), 40) for r in (first, second)]
    expected = independent_difference(*shares).times(100)
    assert found[["value", "low", "high"]].tolist() == pytest.approx(list(expected))


def test_page_says_what_was_found_and_fetches_nothing(page):
    said = words(page)
    assert "one beside two" in said
    assert "two alone has new." in said
    assert "immune competence score +4 points (+4 to +4) in full" in said
    assert "Differences are two minus one." in said
    assert not re.search(r'(?:src|href)="(?!#)', without_scripts(page))


def test_figures_of_both_share_their_axes(page):
    data = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL).group(1))
    panels = data["figures"]["immune-score"]["concat"]
    assert [panel["title"] for panel in panels] == ["one", "two"]
    scales = [
        {
            json.dumps(layer["encoding"]["y"]["scale"])
            for layer in panel["layer"]
            if "scale" in layer["encoding"]["y"]
        }
        for panel in panels
    ]
    assert scales[0] == scales[1]
    assert len(scales[0]) == 1


def test_texts_of_a_study_file_are_escaped(folders, tmp_path):
    hostile = leave(
        tmp_path / "hostile", title="<script>alert(1)</script>", gene_table="<img src=x onerror=alert(1)>"
    )
    compare(folders[0], hostile, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in without_scripts(page)
    assert "&lt;img src=x" in page


def test_arms_without_a_common_name_are_set_side_by_side_in_order(folders, tmp_path):
    renamed = leave(tmp_path / "renamed", arms=[{"name": "a", "product": "p", "set": {}}])
    assert matched(*read_runs(folders[0], renamed)) == [("full", "a")]


def test_other_landmarks_are_warned_of(folders, tmp_path):
    late = leave(tmp_path / "late")
    pd.read_parquet(late / "outcomes.parquet").assign(landmark_month=60.0).to_parquet(
        late / "outcomes.parquet"
    )
    compare(folders[0], late, tmp_path / "page.html")
    assert "Beware: outcomes are those at month 24 in one and 60 in late" in words(
        (tmp_path / "page.html").read_text()
    )


def test_measures_that_one_version_lacks_are_left_out(folders, tmp_path):
    older = leave(tmp_path / "older")
    pd.read_parquet(older / "outcomes.parquet").drop(columns="benefit").to_parquet(older / "outcomes.parquet")
    pd.read_parquet(older / "visits.parquet").drop(columns="immune_score").to_parquet(
        older / "visits.parquet"
    )
    compare(folders[0], older, tmp_path / "page.html")
    assert "no measure over time in common" in words((tmp_path / "page.html").read_text())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no such folder"),
        (lambda folder: (folder / "manifest.json").unlink(), "this run has not ended"),
        (lambda folder: (folder / "study.yaml").unlink(), "tracking and calibration cannot"),
        (
            lambda folder: (folder / "study.yaml").write_text("kind: tracking\n"),
            "not the study.yaml of a finished study",
        ),
        (lambda folder: (folder / "outcomes.parquet").write_bytes(b"x"), "missing or cannot be read"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(folders, tmp_path, capsys, spoil, said):
    bad = leave(tmp_path / "bad")
    spoil(bad)
    out = tmp_path / "page.html"
    assert main(["compare", str(folders[0]), str(bad), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert str(bad) in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_one_folder_twice_is_refused(folders):
    with pytest.raises(UserError, match="same folder twice"):
        read_runs(folders[0], folders[0])
