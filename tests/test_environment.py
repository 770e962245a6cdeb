"""What is installed is what is locked, and the environment of the jobs holds the same versions."""

import importlib.util
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
LOCK = (REPOSITORY / "requirements.lock").read_text()
CONDA = REPOSITORY / "workflow/envs/hsc_pipeline.yaml"
BUILT_IN = {"pip", "setuptools"}  # the interpreter brings its own


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_environment", CONDA.with_name("make.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_version_is_locked_with_a_hash_and_no_host():
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) > 80
    for entry in entries:
        assert re.match(r"[\w.\-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in LOCK


def test_the_installed_versions_are_the_locked_ones(make):
    here = ".".join(map(str, sys.version_info[:2]))
    if here != make.PYTHON:
        pytest.skip(f"the lock is read for Python {make.PYTHON}, and this is {here}")
    wrong = {}
    for name, locked in make.locked(LOCK, platform.python_version()).items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "none"
        if installed != locked and name not in BUILT_IN:
            wrong[name] = (installed, locked)
    assert not wrong, "installed, locked: run make setup"


def test_the_environment_of_the_jobs_is_that_of_the_lock(make):
    text = CONDA.read_text()
    assert text == make.environment(), "run make lock"
    *plain, pip = yaml.safe_load(text)["dependencies"]
    assert plain == [f"python={make.PYTHON}", "pip"]
    pinned = dict(line.split("==") for line in pip["pip"])
    locked = make.locked(LOCK)
    assert pinned == {name: locked[name] for name in pinned}
    assert {"numpy", "pyarrow", "snakemake", "rocrate"} <= pinned.keys()
    assert "pytest" not in pinned


def test_what_the_project_asks_for_is_locked(make):
    project = make.needed([*_dependencies()])
    assert project <= make.locked(LOCK).keys()


def _dependencies():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [text for text in project["dependencies"] if canonicalize_name(text)]
