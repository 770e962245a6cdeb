"""The archive: a result folder as one zip to deposit, the same bytes each time."""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

from hsc_pipeline.crate import GIVEN, is_hashed
from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import CRATE, describe, read_manifest, verify, write_manifest
from hsc_pipeline.manifest import NAME as MANIFEST
from hsc_pipeline.privacy import Pseudonyms, pseudonyms_of
from hsc_pipeline.tables import replacing, write, write_csv
from hsc_pipeline.yaml_files import read_yaml

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
PACKED = (".parquet",)  # packing again gains nothing


def archive(folder: str | Path, out: str | Path) -> int:
    """Write the archive of a finished run, and return how many files it holds.

    Parameters
    ----------
    folder : path
        As a run left it.
    out : path
        A new zip, outside `folder`.

    Raises
    ------
    UserError
        If the folder is not as a run left it, or `out` exists or lies inside it.
    """
    folder, out = Path(folder), Path(out)
    if out.exists():
        raise UserError(f"{out}: exists already; name a new file")
    if not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{out}: lies inside the results; name a file outside {folder}")
    problems = verify(folder)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UserError(f"{folder}: is not as the run left it: {problems[0]}{more}")
    manifest = read_manifest(folder)
    if GIVEN not in manifest["files"] or not (folder / CRATE).is_file():
        raise UserError(f"{folder}: has no {CRATE} or no {GIVEN}; run the study again with this version")
    with tempfile.TemporaryDirectory() as scratch:
        if is_hashed(read_yaml(folder / GIVEN)):
            source = Path(scratch) / manifest["study"]
            _hide(folder, source, manifest)
        else:
            source = folder
        return _pack(source, manifest["study"], out)


def _pack(source: Path, name: str, out: Path) -> int:
    files = [*sorted(read_manifest(source)["files"]), MANIFEST, CRATE]
    with replacing(out) as aside, zipfile.ZipFile(aside, "w") as packed:
        for file in files:
            entry = zipfile.ZipInfo(f"{name}/{file}", EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same from any system
            stored = file.endswith(PACKED)
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with (source / file).open("rb") as content, packed.open(entry, "w") as into:
                shutil.copyfileobj(content, into, 1 << 20)
    return len(files)


# Real patients --------------------------------------------------------------------------------------


def _hide(folder: Path, target: Path, manifest: dict) -> None:
    """Copy a tracking run with pseudonyms, under a manifest of the copy."""
    pseudonyms = pseudonyms_of(folder)
    files = sorted(manifest["files"], key=lambda name: (name.endswith(".csv"), name))  # Parquet first
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _hide_file(folder / name, target / name, pseudonyms)
    write_manifest(target, [target / name for name in files], manifest["study"], manifest["seed"])
    content = json.loads((target / MANIFEST).read_text(encoding="utf-8")) | {"versions": manifest["versions"]}
    (target / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _recount(folder / CRATE, target)


def _hide_file(source: Path, target: Path, pseudonyms: Pseudonyms) -> None:
    import pyarrow.parquet as pq
    import yaml

    if source.name == GIVEN:
        content = pseudonyms.settings(read_yaml(source))
        target.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    elif source.suffix == ".parquet":
        write(target, pseudonyms.table(pq.read_table(source, use_threads=False)))
    elif source.suffix == ".csv":
        twin = target.with_suffix(".parquet")
        table = pq.read_table(twin) if twin.exists() else pseudonyms.table(_read_csv(source))
        write_csv(target, table)
    else:  # the report, which has pseudonyms already, and the name of the assay
        shutil.copyfile(source, target)


def _read_csv(path: Path):
    """Read a table that has no Parquet beside it, names as text."""
    import pyarrow as pa
    import pyarrow.csv

    with path.open("rb") as file:
        if not file.readline().strip():
            return pa.table({})
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in ("subject", "sample", "clone", "near_to")}
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def _recount(crate: Path, target: Path) -> None:
    """Write the crate of the copy: sizes and checksums of its own files."""
    content = json.loads(crate.read_text(encoding="utf-8"))
    entries = {**read_manifest(target)["files"], MANIFEST: describe(target / MANIFEST)}
    for entity in content["@graph"]:
        if entity["@id"] in entries:
            entry = entries[entity["@id"]]
            entity |= {"contentSize": str(entry["bytes"]), "sha256": entry["sha256"]}
        if entity["@id"] == "./":
            entity["description"] += " Names of subjects, samples and clones are hashed, positions left out."
    (target / CRATE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
