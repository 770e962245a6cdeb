"""What the project is to others: a wheel, a workflow in a catalogue, a repository with its papers."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this tree without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPOSITORY),
        ],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package_that_is_read(wheel):
    kept = set(ZipFile(wheel).namelist())
    needed = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "hsc_pipeline").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"hsc_pipeline/py.typed", "hsc_pipeline/catalogue/diseases/was.yaml"} <= needed
    assert needed <= kept


def test_an_installed_wheel_finds_its_catalogue_and_its_command(wheel, tmp_path):
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"),
            *("--no-deps", "--target", tmp_path / "site", wheel),
        ],
        check=True,
        capture_output=True,
    )
    asked = (
        "import hsc_pipeline; from hsc_pipeline.catalogue import values_for; "
        "print(hsc_pipeline.__file__, values_for('was')['product.mean_copies'].unit)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    file, unit = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path / "site")
    assert unit == "copies"
    scripts = next((tmp_path / "site").glob("*.dist-info/entry_points.txt")).read_text()
    assert "hsc_pipeline=hsc_pipeline.__main__:main" in scripts.replace(" ", "")


def test_the_shell_is_told_what_may_come_next(tmp_path):
    """As argcomplete's shell function asks, for a value of the catalogue."""
    line = "hsc_pipeline catalogue product.mean_co"
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    subprocess.run(
        [sys.executable, "-m", "hsc_pipeline"],
        env={**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n"},
        check=False,
        capture_output=True,
    )
    assert {word.strip() for word in answer.read_text().splitlines()} == {
        "product.mean_copies",
        "product.mean_copies_ln_sd",
    }


def test_hooks_before_a_commit_fetch_nothing_and_call_what_the_lock_has():
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    lock = (REPOSITORY / "requirements.lock").read_text()
    for repository in config["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            program = hook["entry"].split()[0]
            assert program.startswith(".venv/bin/")
            assert f"\n{Path(program).name}==" in f"\n{lock}"


def test_the_workflow_has_what_the_snakemake_catalogue_asks_for():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    assert 'conda:\n        "../envs/hsc_pipeline.yaml"' in rules
    assert usage["report"] is ("report(" in rules)
    readme = (REPOSITORY / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert all(
        (REPOSITORY / name).is_file() for name in ("workflow/Snakefile", "config/README.md", "LICENSE")
    )


@pytest.mark.parametrize("form", sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=str)
def test_issue_forms_are_whole(form):
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    asked = [part for part in content["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    assert any(part.get("validations", {}).get("required") for part in asked)
