"""Write hsc_pipeline.yaml, the environment of the jobs for --sdm conda, from the versions of the lock.

Run by ``make lock``.  Only what the package needs to run is taken, and what that needs in turn.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "3.11"
HEAD = f"""\
# Written by `make lock` from requirements.lock: change that, not this.
# The jobs import hsc_pipeline from the folder of the workflow: export PYTHONPATH="$PWD" for --sdm conda.
channels:
  - conda-forge
dependencies:
  - python={PYTHON}
  - pip
  - pip:
"""


def locked(text: str, python: str = f"{PYTHON}.99") -> dict[str, str]:
    """Return the versions of a lock by name, those for a full version of Python on Linux."""
    found = {}
    where = {"python_version": PYTHON, "python_full_version": python, "sys_platform": "linux"}
    where |= {"platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
    for name, version, marker in re.findall(
        r"^([\w.\-]+)==([^\s;\\]+) *(?:; *([^\\\n]*))?", text, re.MULTILINE
    ):
        if not marker.strip() or Marker(marker.strip()).evaluate(where):
            found[canonicalize_name(name)] = version
    return found


def needed(roots: list[str]) -> set[str]:
    """Return the names of the packages that `roots` need, as installed here."""
    found: set[str] = set()
    todo = [Requirement(text) for text in roots]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if not (requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras)):
            continue
        if name in found:
            continue
        found.add(name)
        try:
            further = requires(requirement.name) or []
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed: run make setup first")
        for text in further:
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras):
                todo.append(Requirement(text.split(";")[0]))
    return found


def environment() -> str:
    """Return the file's text."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    names = sorted(needed(project["dependencies"]))
    return HEAD + "".join(f"    - {name}=={versions[name]}\n" for name in names)


if __name__ == "__main__":
    (HERE / "hsc_pipeline.yaml").write_text(environment(), encoding="utf-8")
