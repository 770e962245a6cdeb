"""The tracking file: which tables to read, and how to look at them; checked before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.study import Name, Strict

SCHEMA_VERSION = 1
MonthFrom = Annotated[float, Field(ge=0, le=600)]


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
    time_unit: Literal["months", "days", "weeks"] | None = Field(None, description="Of the file's times.")
    empty: Literal["refuse", "keep", "drop"] = Field("refuse", description="Samples without a clone.")
    repeated: Literal["refuse", "drop"] = Field(
        "refuse", description="Samples whose fragments repeat their reads."
    )


class StemCells(Strict):
    """Whose samples tell of stem cells, and what is known of the marrow."""

    lineage: str = Field("Myeloid", description="Short-lived cells, which show the marrow as it is.")
    tissue: str = Field("PB", description="Where they were drawn.")
    from_month: MonthFrom = Field(9, description="Month from which output is stable.")
    copies_per_cell: float = Field(
        1.0,
        ge=1,
        le=20,
        description="Insertions of a corrected cell, from the VCN; what is counted are insertions.",
    )
    marked: float = Field(
        30_000,
        ge=10,
        le=1e7,
        description="Marked stem cells of the regrown marrow, in rules and in drift; assumed.",
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
    genes: str | None = Field(None, description="CSV of gene and class, such as oncogenes, to mark sites by.")
    stem_cells: StemCells = Field(default_factory=StemCells, description="Whose samples tell of stem cells.")


# In the order of the report; `topics` makes them, and imports more than a workflow's parse should.
TOPIC_NAMES = (
    *("diversity", "depth", "sharing", "accumulation", "multilineage", "bias", "stem_cells", "phylogeny"),
    *("alarms", "operating", "selection", "collisions", "common_sites"),
)


@dataclass(frozen=True)
class Tracking:
    """A checked tracking file."""

    file: TrackingFile
    topics: tuple[str, ...] = TOPIC_NAMES

    @property
    def name(self) -> str:
        """Name of the results folder."""
        return self.file.name

    def paths(self) -> list[str]:
        """Return every file that is read."""
        own = [path for table in self.file.tables for path in (table.path, table.metadata) if path]
        return list(dict.fromkeys([*own, *(path for path in (self.file.colonies, self.file.genes) if path)]))

    def as_dict(self) -> dict:
        """Return the file with every default filled in."""
        return {**self.file.model_dump(mode="json"), "topics": list(self.topics)}


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
        if not Path(path).exists():
            raise UserError(
                f"{where}: {path}: there is no such file or folder; paths start at the run's folder"
            )
    return study


def _sentence(problem: dict) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"]).lstrip(".")
    if problem["type"] == "extra_forbidden":
        inside, _, key = place.rpartition(".")
        model = {"tables": ClonesFile, "stem_cells": StemCells}.get(str(problem["loc"][0]), TrackingFile)
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
