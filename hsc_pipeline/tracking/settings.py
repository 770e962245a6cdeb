"""The tracking file: which tables to read, and how to look at them; checked before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.limits import exists
from hsc_pipeline.strict import Name, Strict

SCHEMA_VERSION = 1
MOST_FILES = 20_000  # in a folder of tables
MonthFrom = Annotated[float, Field(ge=0, le=600)]
Copies = Annotated[float, Field(ge=1, le=20)]
Share = Annotated[float, Field(gt=0, lt=1)]
RuleName = Literal["top_clone", "doubling", "pielou", "uc50", "mrce"]
Sorted = Literal["Myeloid", "B", "T", "NK"]
Leak = dict[Sorted, dict[Sorted, Annotated[float, Field(ge=0, le=0.5)]]]


class ClonesFile(Strict):
    """A table of clones, or a folder of such."""

    path: str = Field(description="File or folder, from the folder of the run.")
    format: Literal["isanalytics", "gt23", "aavenger", "barcodetrackr", "long", "airr"] | None = Field(
        None, description="Found out if not given."
    )
    assay: Literal["reads", "fragments", "cells", "barcodes"] | None = Field(
        None, description="Which of the file's counts to read, or what its counts are if it does not say."
    )
    metadata: str | None = Field(None, description="Table of samples, where it is not beside the file.")
    subject: str | None = Field(None, description="The subject, where no column names it.")
    subjects: list[str] | None = Field(None, min_length=1, description="Only these subjects.")
    columns: dict[str, str] = Field(default_factory=dict, description="Other names for columns.")
    lineages: dict[str, str] = Field(default_factory=dict, description="Lineages of markers, before ours.")
    time_unit: Literal["months", "days", "weeks"] | None = Field(None, description="Of the file's times.")
    empty: Literal["refuse", "keep", "drop"] = Field("refuse", description="Samples without a clone.")
    repeated: Literal["refuse", "drop"] = Field(
        "refuse", description="Samples whose fragments repeat their reads."
    )
    estimate: bool = Field(False, description="Whether counts may be fractional though the assay's are not.")


class Sites(Strict):
    """What to do with integration sites before anything is measured."""

    near: Literal["keep", "merge"] = Field("keep", description="Sites of a subject a few bases apart.")
    collisions: Literal["keep", "remove"] = Field(
        "keep",
        description="Sites of several subjects; removed where it is not clear whose they are.",
    )


class StemCells(Strict):
    """Whose samples tell of stem cells, and what is known of the marrow."""

    lineage: str = Field("Myeloid", description="Short-lived cells, which show the marrow as it is.")
    tissue: str = Field("PB", description="Where they were drawn.")
    from_month: MonthFrom = Field(9, description="Month from which output is stable.")
    copies_per_cell: Copies = Field(
        1.0,
        description="Insertions of a corrected cell, from the VCN; what is counted are insertions.",
    )
    copies_by_subject: dict[str, Copies] = Field(
        default_factory=dict, description="The same by subject; others take `copies_per_cell`."
    )
    marked: float = Field(
        30_000,
        ge=10,
        le=1e7,
        description="Marked stem cells of the regrown marrow, in rules and in drift; assumed.",
    )


class Rules(Strict):
    """Which rules flag a clone, and from where on; limits not given are the catalogue's."""

    use: list[RuleName] = Field(
        default_factory=lambda: list(get_args(RuleName)), min_length=1, description="The rules to follow."
    )
    top_clone: list[Share] | None = Field(
        None, min_length=1, description="Shares of one clone, each a rule of its own."
    )
    doubling: Share | None = Field(
        None, description="Share from which doubling since the last sample counts."
    )
    pielou: Share | None = Field(None, description="Pielou evenness below which a sample is flagged.")
    uc50: int | None = Field(None, ge=1, le=10_000, description="So few clones that hold more than half.")
    mrce: Share | None = Field(None, description="Maximum relative clonal expansion of an interval.")


class Privacy(Strict):
    """What a report, a crate and an archive may say of whose cells they are."""

    identifiers: Literal["hashed", "shown"] = Field(
        "hashed",
        description="Names of subjects and samples, and places of sites, in the report, the crate and an "
        "archive.",
    )


class TrackingFile(Strict):
    """Tables of measured clones, and how to look at them."""

    kind: Literal["tracking"] = Field(description="What this file describes.")
    schema_version: Literal[SCHEMA_VERSION] = Field(description="Version of this format.")
    name: Name = Field(description="Results go to results/<name>.")
    title: str = Field("", max_length=200, description="The question in words, for the report.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of bootstraps and simulated studies.")
    tables: list[ClonesFile] = Field(
        min_length=1, max_length=1000, description="Tables of clones, of one assay."
    )
    colonies: str | None = Field(None, description="Table of colonies and coalescences per subject.")
    clinical: str | None = Field(None, description="Table of clinical series, such as VCN and chimerism.")
    genes: str | None = Field(None, description="CSV of gene and class, such as oncogenes, to mark sites by.")
    gene_lengths: str | None = Field(
        None, description="CSV of gene and length in bases, for Grubbs' test of common sites."
    )
    background: str | None = Field(
        None,
        description="Table of sites to compare with, such as the product's; by default those that were "
        "seen before the stable month alone.",
    )
    leak: Leak | None = Field(
        None,
        description="Share of a sort's fragments that come from cells of another lineage, by sort and "
        "lineage; by default the catalogue's purity, the rest spread evenly.",
    )
    sites: Sites = Field(default_factory=Sites, description="What to do with sites first.")
    rules: Rules = Field(default_factory=Rules, description="Which rules flag a clone.")
    stem_cells: StemCells = Field(default_factory=StemCells, description="Whose samples tell of stem cells.")
    privacy: Privacy = Field(default_factory=Privacy, description="What the report says of whose cells.")


BESIDE = ("colonies", "clinical", "genes", "gene_lengths", "background")
PARTS = {"tables": ClonesFile, "sites": Sites, "stem_cells": StemCells, "rules": Rules, "privacy": Privacy}

# Topics in the order of the report, and the keys that each reads; `topics` makes them, and imports more
# than a workflow's parse should.
TOPIC_KEYS: Mapping[str, tuple[str, ...]] = {
    "diversity": (),
    "rarefied": ("seed",),
    "curves": ("stem_cells", "seed"),
    "depth": ("stem_cells", "seed"),
    "sharing": ("stem_cells",),
    "persistence": (),
    "correlation": ("stem_cells",),
    "seen": (),
    "accumulation": (),
    "multilineage": ("stem_cells", "leak"),
    "bias": ("stem_cells",),
    "stem_cells": ("stem_cells", "seed"),
    "phylogeny": ("colonies",),
    "clinical": ("clinical",),
    "alarms": ("rules",),
    "operating": ("stem_cells", "rules", "seed"),
    "selection": ("stem_cells", "seed"),
    "common_sites": ("stem_cells", "background", "seed"),
    "common_genes": ("gene_lengths",),
    "enriched_genes": ("stem_cells", "background"),
    "listed_genes": ("genes",),
    "see_clone": ("stem_cells",),
    "see_change": ("stem_cells", "seed"),
}


@dataclass(frozen=True)
class Tracking:
    """A checked tracking file."""

    file: TrackingFile

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(TOPIC_KEYS)

    @property
    def name(self) -> str:
        """Name of the results folder."""
        return self.file.name

    def paths(self) -> list[str]:
        """Return every file or folder that the file names."""
        return list(dict.fromkeys([*self.tables(), *self.beside().values()]))

    def tables(self) -> list[str]:
        """Return the files and folders of clones."""
        return [path for table in self.file.tables for path in (table.path, table.metadata) if path]

    def beside(self) -> dict[str, str]:
        """Return the tables beside the clones, by key."""
        named = {name: getattr(self.file, name) for name in BESIDE}
        return {name: path for name, path in named.items() if path}

    def files(self) -> list[str]:
        """Return the files of clones; a folder is old or new by what is in it."""
        return files_of(self.tables())

    def as_dict(self) -> dict:
        """Return the file with every default filled in."""
        return self.file.model_dump(mode="json")

    def settings(self, topic: str) -> dict:
        """Return what a topic reads of the file."""
        return {name: value for name, value in self.as_dict().items() if name in TOPIC_KEYS[topic]}

    def beside_of(self, topic: str) -> list[str]:
        """Return the tables beside the clones that a topic reads."""
        return [path for name, path in self.beside().items() if name in TOPIC_KEYS[topic]]


def files_of(paths: list[str]) -> list[str]:
    """Return the files of some files and folders, each once.

    Raises
    ------
    UserError
        For a folder of too many.
    """
    found = [[path] if Path(path).is_file() else _files_in(path) for path in paths]
    return list(dict.fromkeys(file for files in found for file in files))


def _files_in(folder: str) -> list[str]:
    """Return the files of a folder; one such as ``/`` is refused before it is walked to its end."""
    found = []
    for number, path in enumerate(Path(folder).rglob("*")):
        if number == MOST_FILES:
            raise UserError(f"{folder}: holds more than {MOST_FILES:,} files and folders, the limit")
        if path.is_file():
            found.append(str(path))
    return sorted(found)


def load_tracking(content: Mapping[str, Any], where: str = "tracking file") -> Tracking:
    """Check the content of a tracking file, and that its tables exist.

    Raises
    ------
    UserError
        One sentence: where, what, what is allowed.
    """
    try:
        study = Tracking(TrackingFile.model_validate(dict(content)))
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error.errors()[0])}") from None
    for path in study.paths():
        if not exists(path):
            raise UserError(
                f"{where}: {path[:200]}: there is no such file or folder; paths start at the run's folder"
            )
    try:
        study.files()
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return study


def _sentence(problem: Mapping[str, Any]) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"]).lstrip(".")
    if problem["type"] == "extra_forbidden":
        inside, _, key = place.rpartition(".")
        model: type[BaseModel] = PARTS.get(str(problem["loc"][0]), TrackingFile)  # type: ignore[assignment]  # mypy sees the metaclass
        model = model if inside else TrackingFile
        return (
            f"{inside + ': ' if inside else ''}unknown key {key!r}; {suggest(key, list(model.model_fields))}"
        )
    if problem["type"] == "missing":
        return f"{place}: is missing"
    given = problem.get("input")
    shown = repr(given) if isinstance(given, str | int | float | bool) else type(given).__name__
    return f"{place} = {shown}; {problem['msg'][0].lower()}{problem['msg'][1:]}"


def json_schema(model: type[BaseModel] = TrackingFile) -> str:
    """Return the JSON Schema, as ``workflow/schemas/tracking.schema.json`` holds it."""
    import json

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"
