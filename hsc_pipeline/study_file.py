"""The study file: what a user writes, part by part, with what each key may be."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from hsc_pipeline.events import KINDS
from hsc_pipeline.own_entries import Entries
from hsc_pipeline.strict import Name, Strict
from hsc_pipeline.study_trial import Trial

SCHEMA_VERSION = 1
SAMPLED_LINEAGES = ("neutrophil", "t_cell", "b_cell")

Month = Annotated[float, Field(gt=0, le=240)]
Overrides = dict[str, float | str]


class ReleaseData(Strict):
    """Measurements of a real product, which replace the model's draw."""

    colonies: str | None = Field(None, description="Table of vector copies per colony.")
    alleles: str | None = Field(None, description="Allele table or batch summary of CRISPResso2.")
    sites: str | None = Field(None, description="Table of the product's integration sites.")


class Event(Strict):
    """Something that happens to every patient of an arm in a given month."""

    kind: Literal[tuple(KINDS)] = Field(description="What happens.")
    month: float = Field(ge=0, le=240, description="Months after infusion when it begins.")
    duration_months: float | None = Field(
        None, gt=0, le=240, description="How long it lasts; the catalogue's length by default."
    )
    size: float | None = Field(
        None,
        gt=0,
        le=10,
        description="How severe it is, in the meaning of its kind; the catalogue's size by default.",
    )


class ArmFile(Strict):
    """What the patients of one arm are given, where it differs from the other arms."""

    name: Name = Field(description="Short name, used in paths and figures.")
    description: str = Field("", max_length=200, description="The arm in words, for the report.")
    product: str | None = Field(None, description="A product of the catalogue, in place of the study's.")
    product_data: ReleaseData = Field(
        default_factory=ReleaseData, description="Release data of this arm's product."
    )
    events: list[Event] = Field(
        default_factory=list, description="What happens in this arm, beside the events of the study."
    )
    set: Overrides = Field(
        default_factory=dict, description="Catalogue values that this arm replaces, by name."
    )


class Sampling(Strict):
    """When and from which cells the laboratory reads integration sites."""

    months: list[Month] = Field(
        [6, 12, 24, 60],
        min_length=1,
        description="Visits whose blood is sequenced; before month 6 most sites are of short-term cells.",
    )
    lineages: list[Literal[SAMPLED_LINEAGES]] = Field(
        list(SAMPLED_LINEAGES), min_length=1, description="Sorted cells that are sequenced."
    )


class Span(Strict):
    """What a sweep tries of one value: listed values, or a span."""

    values: list[float] | None = Field(None, min_length=1, max_length=1000, description="These values.")
    least: float | None = Field(None, description="Least value of a span.")
    most: float | None = Field(None, description="Most value of a span.")
    scale: Literal["linear", "log"] = Field("linear", description="How a span is divided.")
    levels: int = Field(5, ge=2, le=1000, description="Values of a span on a grid.")

    @model_validator(mode="after")
    def _one_of_two(self) -> "Span":
        spanned = self.least is not None and self.most is not None
        if (self.values is None) == (not spanned) or (self.values and (self.least or self.most)):
            raise PydanticCustomError("span", "give values, or least and most")
        if spanned and not self.least < self.most:
            raise PydanticCustomError("span", "least must be below most")
        if spanned and self.scale == "log" and self.least <= 0:
            raise PydanticCustomError("span", "least must be above 0 on a log scale")
        return self


class Sweep(Strict):
    """A design of experiments over named values, simulated beside the arms."""

    design: Literal["grid", "latin_hypercube", "sobol"] = Field(description="How the points are laid.")
    over: dict[str, Span] = Field(
        min_length=1, max_length=100, description="What is tried of each catalogue value, by name."
    )
    points: int | None = Field(
        None, ge=2, le=100_000, description="Points of a latin_hypercube or sobol design; a grid has its own."
    )
    patients: int = Field(10, ge=1, le=100_000, description="Virtual patients at each point.")
    arm: Name | None = Field(None, description="Arm whose values the points replace; the first by default.")
    same_patients: bool = Field(False, description="The same virtual patients at every point.")


class Uncertainty(Strict):
    """How often the uncertain values of the catalogue are drawn anew, beside the arms."""

    draws: int = Field(12, ge=0, le=100_000, description="Draws of all uncertain values together; 0: none.")
    patients: int = Field(6, ge=1, le=100_000, description="Virtual patients of each arm in each draw.")
    over: list[str] = Field(
        default_factory=list,
        description="Beginnings of the names of values to draw; all that have a range by default.",
    )
    posterior: str | None = Field(
        None, description="CSV of draws, a column a value, in place of the catalogue's ranges."
    )


class StudyFile(Strict):
    """A simulated study of a gene-corrected stem-cell product."""

    kind: Literal["study"] = Field(description="What this file describes.")
    schema_version: Literal[SCHEMA_VERSION] = Field(description="Version of this format.")
    name: Name = Field(description="Results go to results/<name>.")
    title: str = Field("", max_length=200, description="The question in words, for the report.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of all random numbers.")
    disease: str = Field(description="A disease of the catalogue, or one of the study's own.")
    product: str | None = Field(
        None,
        description="A product for this disease, the catalogue's or the study's; by default the disease's.",
    )
    catalogue: Entries = Field(
        default_factory=Entries, description="Diseases and products that the study brings itself."
    )
    gene_table: str | None = Field(
        None,
        description="CSV of gene, class, frequency, chromosome, start, end, instead of the catalogue's.",
    )
    patients: int = Field(ge=1, le=10_000_000, description="Virtual patients in each arm.")
    visits_months: list[Month] = Field(
        min_length=1,
        max_length=200,
        description="Months after infusion at which patients are seen, increasing.",
    )
    arms: list[ArmFile] = Field(min_length=1, max_length=2000, description="What is compared.")
    independent_arms: bool = Field(
        False,
        description="Draw other patients for each arm, as in a parallel-group trial, not the same ones.",
    )
    sampling: Sampling = Field(default_factory=Sampling, description="The laboratory's programme.")
    events: list[Event] = Field(
        default_factory=list, description="What happens in every arm, beside what comes by chance."
    )
    set: Overrides = Field(
        default_factory=dict, description="Catalogue values that the study replaces, by name."
    )
    sweep: Sweep | None = Field(None, description="A design of experiments over named values.")
    uncertainty: Uncertainty = Field(
        default_factory=Uncertainty, description="Draws of the catalogue's uncertain values."
    )
    trial: Trial = Field(default_factory=Trial, description="What a trial of these arms would ask.")
    minutes_per_job: float = Field(
        0.5,
        gt=0,
        le=1440,
        description="About how long a job works; more patients or points share one. Never changes a result.",
    )
