"""The manifest: every file of a result folder with its checksum; written last, checked on demand."""

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from hsc_pipeline import __version__
from hsc_pipeline.errors import UserError
from hsc_pipeline.tables import replacing, sweep

NAME = "manifest.json"
CRATE = "ro-crate-metadata.json"  # holds times, so it lies outside; it names the manifest's checksum
# Times and scratch: a run leaves them, and they say nothing of the results.
OUTSIDE = ("logs", "benchmarks", ".batches")
LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "snakemake",
    "altair",
    "vl-convert-python",
)


def write_manifest(folder: str | Path, files: Iterable[str | Path], study: str, seed: int) -> None:
    """Write ``manifest.json`` of a result folder.

    Parameters
    ----------
    folder : path
    files : iterable of path
        The files of the run, all inside `folder`.
    study : str
    seed : int
    """
    folder, paths = Path(folder), [Path(file) for file in files]
    for path in paths:
        sweep(path)
    entries = {str(path.relative_to(folder)): describe(path) for path in sorted(paths)}
    content = {
        "study": study,
        "seed": seed,
        "versions": {"hsc_pipeline": __version__, **{name: version(name) for name in LIBRARIES}},
        "files": entries,
    }
    with replacing(folder / NAME) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(path: Path) -> dict:
    """Return a file's checksum, size and, of a Parquet table, rows and columns with their units."""
    entry = {"sha256": checksum(path), "bytes": path.stat().st_size}
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.ParquetFile(path)
        entry["rows"] = table.metadata.num_rows
        entry["columns"] = {field.name: _column(field) for field in table.schema_arrow}
    return entry


def _column(field) -> str:
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    return f"{field.type} [{unit}]" if unit else str(field.type)


def verify(folder: str | Path) -> list[str]:
    """Return what is wrong with a result folder, a sentence each; nothing if all is as it was written.

    Raises
    ------
    UserError
        If the folder has no readable manifest.
    """
    folder = Path(folder)
    expected = read_manifest(folder)["files"]
    present = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in (*OUTSIDE, NAME, CRATE)
    }
    problems = [f"{name}: missing" for name in sorted(expected.keys() - present)]
    problems += [f"{name}: foreign, no part of this run" for name in sorted(present - expected.keys())]
    for name in sorted(present & expected.keys()):
        if checksum(folder / name) != expected[name]["sha256"]:
            problems.append(f"{name}: changed since the run")
    return problems + _crate_problems(folder)


def _crate_problems(folder: Path) -> list[str]:
    """Return whether the crate, if there is one, is of another manifest."""
    if not (folder / CRATE).exists():
        return []
    digest = checksum(folder / NAME)
    try:
        graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
        stated = [entity.get("sha256") for entity in graph if entity["@id"] == NAME]
    except (ValueError, TypeError, KeyError, AttributeError):
        return [f"{CRATE}: this is not a crate"]
    return [] if stated == [digest] else [f"{CRATE}: is of another {NAME}"]


def read_manifest(folder: str | Path) -> dict:
    """Return the manifest of a result folder.

    Raises
    ------
    UserError
        If there is none, or it cannot be read.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        content["files"].items()
    except FileNotFoundError:
        raise UserError(
            f"{folder}: there is no {NAME}; a run writes it last, so this run has not ended"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{folder / NAME}: this is not a manifest") from None
    return content
