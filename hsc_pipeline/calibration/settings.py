"""The calibration file: whose data, which model, what is fitted; checked before any work."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hsc_pipeline.calibration.plans import Calibration, checked
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.strict import Name, Strict
from hsc_pipeline.study_file import Overrides
from hsc_pipeline.tracking.settings import ClonesFile, Privacy

SCHEMA_VERSION = 1
Sort = Literal["neutrophil", "monocyte", "b_cell", "nk_cell", "t_cell", "whole"]


class PriorFile(Strict):
    """What is believed of a parameter before the data."""

    kind: Literal["uniform", "log_uniform", "normal", "log_normal"] = Field(description="Its law.")
    least: float | None = Field(None, description="Least value.")
    most: float | None = Field(None, description="Most value.")
    median: float | None = Field(None, description="Median of a normal or log-normal law.")
    spread: float | None = Field(
        None, gt=0, description="Its standard deviation, of the logarithm for a log-normal law."
    )


class Parameter(Strict):
    """A catalogue value that is fitted."""

    prior: PriorFile | None = Field(None, description="By default the catalogue's range.")
    per: Literal["patient", "all"] | None = Field(
        None,
        description="Whether each patient has a value of their own; by default so where the catalogue has "
        "a spread between patients.",
    )


class PatientFile(Strict):
    """A patient, and what is known of them."""

    subject: str = Field(min_length=1, description="The subject's name in the tables.")
    weight_kg: float | None = Field(
        None, gt=1, le=300, description="Body weight; by default drawn for the age."
    )
    set: Overrides = Field(
        default_factory=dict, description="What is known of this patient: catalogue values by name."
    )


class StructureFile(Strict):
    """A form of the model to compare with others."""

    name: Name = Field(description="drift, output_noise, selection and niche are known; or a name of yours.")
    set: Overrides = Field(default_factory=dict, description="Catalogue values that make it what it is.")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, description="What it fits beside the parameters of the file."
    )


class Statistics(Strict):
    """Which statistics are compared, and what the tables leave out."""

    leave_out: list[str] = Field(
        default_factory=list, description="Statistics that are not used, or parts of their names."
    )
    keep_back: list[str] = Field(
        default_factory=lambda: ["gini", "pielou", "top10", "morisita"],
        description="Statistics that are not fitted but predicted, to check the fit; parts of their names.",
    )
    least_reads: int = Field(
        1, ge=1, le=1000, description="Clones with fewer reads in a sample are not in the tables."
    )
    stable_month: float = Field(
        9, gt=0, le=120, description="Month from which output is stable; samples before it stand apart."
    )


class CalibrationFile(Strict):
    """Patients' tables, the model that is fitted to them, and what is fitted."""

    kind: Literal["calibration"] = Field(description="What this file describes.")
    schema_version: Literal[SCHEMA_VERSION] = Field(description="Version of this format.")
    name: Name = Field(description="Results go to results/<name>.")
    title: str = Field("", max_length=200, description="The question in words, for the report.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all random numbers.")
    disease: str = Field(description="An entry of the catalogue.")
    product: str | None = Field(None, description="A product for it; the disease's own by default.")
    tables: list[ClonesFile] = Field(
        min_length=1, max_length=1000, description="Tables of clones; each assay is an instrument of its own."
    )
    clinical: str | None = Field(None, description="Table of clinical series: vcn, chimerism and count.")
    colonies: str | None = Field(None, description="Table of colonies and coalescences per subject.")
    tissue: str = Field("PB", description="Samples of other tissues are not used.")
    sorts: dict[str, Sort] = Field(
        default_factory=dict,
        description="Which simulated sort a lineage of the tables is; empty text: not stated.",
    )
    patients: list[PatientFile] = Field(min_length=1, max_length=20, description="Whose data are fitted.")
    set: Overrides = Field(default_factory=dict, description="Catalogue values for all patients.")
    parameters: dict[str, Parameter | None] = Field(
        min_length=1, max_length=20, description="Catalogue values that are fitted, by name."
    )
    structures: list[StructureFile] = Field(
        default_factory=list, max_length=8, description="Forms of the model to choose between."
    )
    fitted: Name | None = Field(
        None, description="The structure whose parameters are fitted; the first by default."
    )
    simulations: int = Field(
        1000, ge=800, le=1_000_000, description="Simulations of each round of the fitted structure."
    )
    rounds: int = Field(
        2, ge=1, le=5, description="Each after the first draws where the one before left mass."
    )
    structure_simulations: int = Field(
        500, ge=250, le=1_000_000, description="Simulations of each structure, to choose between them."
    )
    predictions: int = Field(
        100, ge=20, le=10_000, description="Draws of the posterior that are simulated to check it."
    )
    outside: Literal["stop", "report"] = Field(
        "stop", description="What to do after the first round if no simulation is like the data."
    )
    statistics: Statistics = Field(default_factory=Statistics, description="What is compared.")
    minutes_per_job: Annotated[float, Field(gt=0, le=600)] = Field(1, description="Length of a job.")
    privacy: Privacy = Field(default_factory=Privacy, description="What the report says of whose cells.")


PARTS: Mapping[str, type[Strict]] = {
    "tables": ClonesFile,
    "patients": PatientFile,
    "prior": PriorFile,
    "parameters": Parameter,
    "structures": StructureFile,
    "statistics": Statistics,
    "privacy": Privacy,
}


def load_calibration(content: Mapping[str, Any], where: str = "calibration file") -> Calibration:
    """Check the content of a calibration file against itself and the catalogue.

    Raises
    ------
    UserError
        One sentence: where, what, what is allowed.
    """
    try:
        return checked(CalibrationFile.model_validate(dict(content)))
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error.errors()[0])}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _sentence(problem: Mapping[str, Any]) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"]).lstrip(".")
    if problem["type"] == "extra_forbidden":
        *parents, key = problem["loc"]
        model = next((PARTS[p] for p in reversed(parents) if p in PARTS), CalibrationFile)
        inside = place.rpartition(".")[0]
        known = suggest(str(key), list(model.model_fields))
        return f"{inside + ': ' if inside else ''}unknown key {key!r}; {known}"
    if problem["type"] == "missing":
        return f"{place}: is missing"
    given = problem.get("input")
    shown = repr(given) if isinstance(given, str | int | float | bool) else type(given).__name__
    return f"{place} = {shown}; {problem['msg'][0].lower()}{problem['msg'][1:]}"


def json_schema() -> str:
    """Return the JSON Schema, as ``workflow/schemas/calibration.schema.json`` holds it."""
    from hsc_pipeline.tracking.settings import json_schema as schema_of

    return schema_of(CalibrationFile)
