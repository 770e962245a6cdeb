"""Running a study again from its result folder, in a folder of its own, and comparing byte by byte."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath

from hsc_pipeline import __version__
from hsc_pipeline.crate import CODE, GIVEN, PACKAGE, RUN, code, inputs_of, is_hashed, listed, read_crate
from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import checksum, read_manifest, verify
from hsc_pipeline.yaml_files import read_yaml

SNAKEFILE = "Snakefile"
MOST_NAMED = 20  # files that came out otherwise and are named


def reproduce(folder: str | Path, cores: int = 1) -> tuple[bool, list[str]]:
    """Run a study again from its crate and compare what comes out with what the folder's manifest says.

    Parameters
    ----------
    folder : path
        Of a finished run.
    cores : int

    Returns
    -------
    same : bool
        Whether every file comes out byte by byte.
    said : list of str
        Sentences: what is other here than it was, then what came out.

    Raises
    ------
    UserError
        If there is nothing to run again, or a table that the study reads is missing or has changed.
    """
    folder = Path(folder)
    entities, manifest = read_crate(folder), read_manifest(folder)
    problems = verify(folder)
    if problems:
        return False, [f"{folder}: is not as the run left it, and was not run again.", *problems]
    content = read_yaml(folder / GIVEN)
    paths = _checked_inputs(content, entities)
    said = _otherwise(entities, manifest)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as scratch:
        place = _laid_out(Path(scratch), folder / GIVEN, paths)
        begun = time.monotonic()
        _run(place, cores)
        seconds = time.monotonic() - begun
        again = read_manifest(place / "results" / manifest["study"])
    return _compared(folder, manifest["files"], again["files"], seconds, said)


def _checked_inputs(content: Mapping, entities: Mapping[str, dict]) -> list[str]:
    """Return the files that the study reads, once they are those that the crate names, by checksum."""
    stated = [entities[i] for i in listed(entities[RUN], "object") if i.startswith("#input/")]
    if is_hashed(content) and any(path.startswith("file-") for path in _named(content)):
        raise UserError(f"{GIVEN}: holds hashes in place of files; run it again where the tables are")
    paths = inputs_of(content) if stated else []
    if len(paths) != len(stated):
        raise UserError(f"{GIVEN}: names {len(paths)} files, where the run read {len(stated)}")
    for path, entity in zip(paths, stated, strict=True):
        try:
            digest = checksum(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}; start where the run did") from None
        if digest != entity["sha256"]:
            raise UserError(f"{path}: has changed since the run")
    return paths


def _named(content: Mapping) -> list[str]:
    return [table["path"] for table in content.get("tables", [])]


def _otherwise(entities: Mapping[str, dict], manifest: Mapping) -> list[str]:
    """Say what of the code and the libraries differs from the run's."""
    said = []
    if manifest["versions"]["hsc_pipeline"] != __version__:
        said.append(
            f"The run had hsc_pipeline {manifest['versions']['hsc_pipeline']}; here is {__version__}."
        )
    stated = entities.get(CODE, {})
    if stated.get("sha256") != code()["sha256"]:
        was = str(stated.get("description", "")).removeprefix("Git: ").split(". ")[0]
        said.append(f"The code is not that of the run ({was}), so results may differ.")
    for name, had in manifest["versions"].items():
        if name != "hsc_pipeline" and (here := _version(name)) != had:
            said.append(f"The run had {name} {had}; here is {here}.")
    return said


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _laid_out(scratch: Path, given: Path, paths: Sequence[str]) -> Path:
    """Return a folder with the study file, from which relative paths find the same tables as here."""
    up = max([0, *(PurePath(path).parts.count("..") for path in paths)])
    place = scratch.joinpath(*["run"] * (up + 1))
    place.mkdir(parents=True)
    for path in paths:
        if not os.path.isabs(path):
            link = Path(os.path.normpath(place / path))
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(path).resolve())
    (place / GIVEN).write_bytes(given.read_bytes())
    return place


def _run(place: Path, cores: int) -> None:
    snakefile = next(
        (p for p in (PACKAGE.parent / SNAKEFILE, Path(SNAKEFILE).resolve()) if p.is_file()), None
    )
    if snakefile is None:
        raise UserError(f"there is no {SNAKEFILE} here; start in the folder of the workflow")
    call = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(place)]
    call += ["--configfile", str(place / GIVEN), "--cores", str(cores), "--scheduler", "greedy"]
    call += ["--workflow-profile", "none", "--quiet", "all"]
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        call, cwd=place, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(f"the run did not end well: {last[0]}")


def _compared(
    folder: Path, was: Mapping, now: Mapping, seconds: float, said: list[str]
) -> tuple[bool, list[str]]:
    odd = [f"{name}: did not come out again." for name in sorted(was.keys() - now.keys())]
    odd += [f"{name}: came out, and was not there." for name in sorted(now.keys() - was.keys())]
    both = sorted(was.keys() & now.keys())
    changed = [name for name in both if was[name]["sha256"] != now[name]["sha256"]]
    odd += [f"{name}: came out otherwise." for name in changed]
    if len(odd) > MOST_NAMED:
        odd = [*odd[:MOST_NAMED], f"And {len(odd) - MOST_NAMED} more."]
    same = len(both) - len(changed)
    total = f"{folder}: {same} of {len(was)} files came out the same, byte by byte, in {seconds:.0f} s."
    return not odd, [*said, *odd, total]
