"""The code hash: what a stage runs and nothing else; comments and docstrings do not count."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hsc_pipeline.stages import STAGES

PACKAGE = Path(__file__).parents[1] / "hsc_pipeline"


@pytest.fixture
def copy_of_package(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "hsc_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def hashes(root):
    code = f"from hsc_pipeline.code_hash import code_hash\nfor s in {list(STAGES)}: print(code_hash(s))"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return dict(zip(STAGES, run.stdout.split(), strict=True))


def edit(root, file, old, new):
    path = root / "hsc_pipeline" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("blood/laboratory.py", "1 + rng.poisson", "2 + rng.poisson", {"blood"}),
        ("immunity/score.py", "np.mean(list(", "np.median(list(", {"immunity", "outcomes"}),
        ("engraftment/niches.py", "MOST_RELAXED = 0.1", "MOST_RELAXED = 0.2", {"engraftment"}),
        ("norms.py", "2.5631", "2.56", {"blood", "immunity", "outcomes"}),
        (
            "streams.py",
            "def sequence(",
            "def other(): ...\n\n\ndef sequence(",
            {"plan", "product", "engraftment", "blood", "immunity", "outcomes"},
        ),
        ("product/vector.py", "POISSON_FROM = 1e4", "POISSON_FROM = 1e5", {"product", "blood"}),
        ("product/fitness.py", "NODES = 32", "NODES = 24", {"product", "engraftment", "blood"}),
        ("product/__init__.py", "import numpy as np\n", "# a comment\nimport numpy as np\n", set()),
        ("product/__init__.py", '"""Product: ', '"""The product: ', set()),
    ],
)
def test_an_edit_changes_the_stages_that_run_it(copy_of_package, file, old, new, changed):
    before = hashes(copy_of_package)
    edit(copy_of_package, file, old, new)
    after = hashes(copy_of_package)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == changed
