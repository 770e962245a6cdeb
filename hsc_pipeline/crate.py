"""The crate, ``ro-crate-metadata.json``: what was run, on what, when and with which result.

A Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5), written by the rocrate library.  Times
and the machine stand here and nowhere else, so that the manifest and all it lists are the same bytes
in every run.
"""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hsc_pipeline import __version__
from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import CRATE, checksum, describe
from hsc_pipeline.manifest import NAME as MANIFEST
from hsc_pipeline.privacy import HASHED, pseudonyms_of
from hsc_pipeline.tables import replacing
from hsc_pipeline.yaml_files import read_yaml

GIVEN = "given.yaml"  # the study file as the user gave it
LOCK = "requirements.lock"
PACKAGE = Path(__file__).parent
PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
MEDIA = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".json": "application/json",
    ".txt": "text/plain",
}
SOURCES = (".py", ".yaml", ".csv", ".html", ".css", ".js", ".smk", "Snakefile")
# What a scheduler tells its jobs.
EXECUTORS = {"SLURM_JOB_ID": "slurm", "LSB_JOBID": "lsf", "PBS_JOBID": "pbs", "JOB_ID": "grid engine"}
RUN, CODE, WORKFLOW = "#run", "#code", "workflow/Snakefile"


def write_given(folder: str | Path, content: Mapping, snakefile: str | Path) -> list[Path]:
    """Write the study file as it was given, and the workflow's first file; return where.

    The profile of the crate wants its workflow beside it.
    """
    import yaml

    texts = {
        GIVEN: yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True),
        WORKFLOW: Path(snakefile).read_text(encoding="utf-8"),
    }
    for name, text in texts.items():
        with replacing(Path(folder) / name) as aside:
            aside.write_text(text, encoding="utf-8", newline="\n")
    return [Path(folder) / name for name in texts]


def write_crate(folder: str | Path) -> None:
    """Write the crate of a folder that has its manifest.

    Parameters
    ----------
    folder : path
        With `GIVEN` and the manifest.
    """
    folder = Path(folder)
    content = read_yaml(folder / GIVEN)
    crate = _crate(folder, content)
    with replacing(folder / CRATE) as aside:
        aside.write_text(json.dumps(crate.metadata.generate(), indent=1) + "\n", encoding="utf-8")


def _crate(folder: Path, content: Mapping):
    from rocrate.rocrate import ROCrate

    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    begun, ended = _begun(folder), datetime.now(UTC)
    crate = ROCrate(version="1.1")
    named = {name: entry for name, entry in manifest["files"].items() if name != WORKFLOW}
    results = [_file(crate, folder, name, entry) for name, entry in named.items()]
    results.append(_file(crate, folder, MANIFEST, describe(folder / MANIFEST)))
    given = next(file for file in results if file.id == GIVEN)
    action = crate.add_action(
        _workflow(crate, folder),
        RUN,
        object=[given, *_inputs(crate, folder, content), _value(crate, "#seed", "seed", manifest["seed"])],
        result=[file for file in results if file is not given],
        properties={
            "name": f"Run of {manifest['study']}",
            "startTime": begun.isoformat(timespec="seconds"),
            "endTime": ended.isoformat(timespec="seconds"),
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        },
    )
    action["additionalProperty"] = [_value(crate, f"#{k}", k, value) for k, value in environment().items()]
    _about(crate, manifest["study"], content, ended)
    return crate


def _about(crate, study: str, content: Mapping, ended: datetime) -> None:
    root = crate.root_dataset
    root["name"] = content.get("title") or study
    root["description"] = f"Results of the {content['kind']} {study}, run by hsc_pipeline {__version__}."
    root["datePublished"] = ended.isoformat(timespec="seconds")
    root["conformsTo"] = [
        _entity(crate, url, "CreativeWork", name=f"Profile {url.split('/ro/')[-1]}") for url in PROFILES
    ]
    terms = "Not stated by the run: set by its owner before it is deposited."
    root["license"] = _entity(crate, "#licence", "CreativeWork", name="licence", description=terms)
    root["mentions"] = crate.get(RUN)


def _begun(folder: Path) -> datetime:
    """Return when the first job began whose timing lies in the folder."""
    starts = [datetime.now(UTC).timestamp()]
    for path in folder.glob("benchmarks/**/*.tsv"):
        try:
            seconds = float(path.read_text(encoding="utf-8").splitlines()[1].split("\t")[0])
        except (IndexError, ValueError):  # half written by a job that was killed
            continue
        starts.append(path.stat().st_mtime - seconds)
    return datetime.fromtimestamp(min(starts), UTC)


# Entities ------------------------------------------------------------------------------------------


def _entity(crate, at: str, kind: str | list[str], **properties):
    from rocrate.model.contextentity import ContextEntity

    found = crate.get(at)
    return found or crate.add(ContextEntity(crate, at, properties={"@type": kind, **properties}))


def _value(crate, identifier: str, name: str, value: object):
    return _entity(crate, identifier, "PropertyValue", name=name, value=value)


def _file(crate, folder: Path, name: str, entry: Mapping):
    """Add a file of the results, a table with its schema."""
    properties = {
        "name": name,
        "encodingFormat": MEDIA.get(Path(name).suffix, "application/octet-stream"),
        "contentSize": str(entry["bytes"]),
        "sha256": entry["sha256"],
    }
    file = crate.add_file(folder / name, dest_path=name, properties=properties)
    if name.endswith(".parquet"):
        file["conformsTo"] = _schema(crate, folder / name)
    return file


def _schema(crate, path: Path):
    """Add the schema of a table, once for all tables that have it."""
    import pyarrow.parquet as pq

    fields = [
        (field.name, str(field.type), *(_said(field, what) for what in ("unit", "meaning")))
        for field in pq.read_schema(path)
    ]
    digest = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:8]
    identifier = f"#schema/{path.stem}-{digest}"
    known = crate.get(identifier)
    if known:
        return known
    columns = [
        _entity(
            crate,
            f"{identifier}/{name}",
            "PropertyValue",
            name=name,
            additionalType=kind,
            **{key: said for key, said in (("unitText", unit), ("description", meaning)) if said},
        )
        for name, kind, unit, meaning in fields
    ]
    return _entity(
        crate, identifier, "CreativeWork", name=f"columns of {path.stem}", variableMeasured=columns
    )


def _said(field, what: str) -> str:
    return (field.metadata or {}).get(what.encode(), b"").decode()


def _workflow(crate, folder: Path):
    """Add the workflow: the code by version, state in git and checksum, and the locked libraries."""
    from importlib.metadata import version

    workflow = crate.add_workflow(
        folder / WORKFLOW, WORKFLOW, main=True, lang="snakemake", lang_version=version("snakemake")
    )
    workflow["name"], workflow["version"] = "hsc_pipeline", __version__
    workflow["sha256"] = checksum(folder / WORKFLOW)
    state = code()
    package = _entity(
        crate, CODE, "SoftwareApplication", name="hsc_pipeline", version=__version__, sha256=state["sha256"]
    )
    package["description"] = f"Git: {state['git']}. The checksum is of all sources together."
    needs, lock = [package], PACKAGE.parent / LOCK
    if lock.is_file():
        properties = {"name": LOCK, "encodingFormat": "text/plain", "sha256": checksum(lock)}
        needs.append(_entity(crate, f"#{LOCK}", "CreativeWork", **properties))
    workflow["softwareRequirements"] = needs
    return workflow


def _inputs(crate, folder: Path, content: Mapping) -> list:
    """Add the tables that the study reads, under a pseudonym where names are hashed."""
    paths = inputs_of(content)
    hide = pseudonyms_of(folder) if is_hashed(content) else None
    found = []
    for path in paths:
        name = hide.of("file", path) if hide else path
        size = str(Path(path).stat().st_size)
        properties = {"name": name, "contentSize": size, "sha256": checksum(path)}
        found.append(_entity(crate, f"#input/{name}", "CreativeWork", **properties))
    return found


def inputs_of(content: Mapping) -> list[str]:
    """Return the files that a study, tracking or calibration file reads, as it names them."""
    if content["kind"] == "tracking":
        from hsc_pipeline.tracking.settings import load_tracking

        tracking = load_tracking(content)
        beside = tracking.beside().values()
        return list(dict.fromkeys([*tracking.files(), *beside]))
    if content["kind"] == "calibration":
        from hsc_pipeline.calibration.settings import load_calibration

        return load_calibration(content).files()
    arms = content.get("arms", [])
    data = [path for arm in arms for path in (arm.get("product_data") or {}).values()]
    return list(dict.fromkeys(path for path in [content.get("gene_table"), *data] if path))


def is_hashed(content: Mapping) -> bool:
    """Whether names stand as pseudonyms in what leaves the folder of a run."""
    of_patients = content["kind"] in ("tracking", "calibration")
    return of_patients and content.get("privacy", {}).get("identifiers", HASHED) == HASHED


# The code and the machine ----------------------------------------------------------------------------


def code() -> dict[str, str]:
    """Return the checksum of all sources, and what git says of them."""
    root = PACKAGE.parent
    files = [path for path in PACKAGE.rglob("*") if path.name.endswith(SOURCES)]
    files += [path for path in (root / "workflow").rglob("*") if path.name.endswith(SOURCES)]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return {"sha256": digest.hexdigest(), "git": _git(root)}


def _git(root: Path) -> str:
    top = _said_by_git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root.resolve():
        return "not a checkout"
    commit = _said_by_git(root, "rev-parse", "HEAD")
    changed = _said_by_git(root, "status", "--porcelain", "--", "Snakefile", "workflow", PACKAGE.name)
    return f"commit {commit}, {'with uncommitted changes' if changed else 'without changes'}"


def _said_by_git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Return what the run ran on, without the name of the machine or of a person."""
    executor = next((name for key, name in EXECUTORS.items() if key in os.environ), "local")
    return {
        "executor": executor,
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": str(os.cpu_count()),
    }


# Reading -----------------------------------------------------------------------------------------------


def read_crate(folder: str | Path) -> dict[str, dict]:
    """Return the entities of a folder's crate by their identifier.

    Raises
    ------
    UserError
        If there is no readable crate of a run.
    """
    path = Path(folder) / CRATE
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))["@graph"]
        entities = {entity["@id"]: entity for entity in graph}
        entities[RUN]["object"][0]["@id"]
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; a run writes it last") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UserError(f"{path}: this is not the crate of a run") from None
    return entities


def listed(entity: Mapping, key: str) -> Sequence[str]:
    """Return the identifiers that a property of an entity holds, one or many."""
    held = entity.get(key, [])
    return [one["@id"] for one in (held if isinstance(held, list) else [held])]
