"""The study: its file checked before any work, and filled from the catalogue."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from hsc_pipeline.catalogue import (
    CHOICE,
    Value,
    diseases,
    tables,
)
from hsc_pipeline.ensembles import SECONDS_AFTERWARDS, Ensemble, ensembles, seconds_a_patient
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.events import KILLING
from hsc_pipeline.own_entries import Entries, OwnDisease, OwnProduct, OwnValue
from hsc_pipeline.possible import check_product
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study_file import (
    SCHEMA_VERSION,
    ArmFile,
    Event,
    Overrides,
    ReleaseData,
    Sampling,
    Span,
    StudyFile,
    Sweep,
    Uncertainty,
)
from hsc_pipeline.study_trial import PARTS as TRIAL_PARTS
from hsc_pipeline.study_trial import check_trial

DEAREST_STAGE = 0.7  # of a patient's cost, measured: 0.5 to 0.7 is immunity's


@dataclass(frozen=True)
class Arm:
    """An arm with every value filled in."""

    name: str
    description: str
    product: str
    values: Mapping[str, Value]
    product_data: Mapping
    events: list[Mapping]


@dataclass(frozen=True)
class Study:
    """A checked study with every default filled in.

    Attributes
    ----------
    file : StudyFile
        What the user wrote.
    arms : mapping of str to Arm
        In the order of the file.
    tables : mapping of str to list of rows
        The catalogue's, and the study's own gene table.
    ensembles : mapping of str to Ensemble
        Points that are simulated beside the arms.
    """

    file: StudyFile
    arms: Mapping[str, Arm]
    tables: Mapping[str, list]
    ensembles: Mapping[str, Ensemble]

    @property
    def name(self) -> str:
        """Name of the results folder."""
        return self.file.name

    def settings(self, stage: str, arm: str) -> dict:
        """Return what `stage` may read for `arm`, as the plain keyword arguments of `settings.Settings`."""
        reads = STAGES[stage]
        own = {"product_data": self.arms[arm].product_data, "events": self.arms[arm].events}
        content = self.file.model_dump(mode="json") | own
        return {
            "values": {n: v.value for n, v in self.arms[arm].values.items() if n.startswith(reads.values)},
            "tables": {name: self.tables[name] for name in reads.tables},
            "study": {key: content[key] for key in reads.study},
        }

    def ranges(self, stage: str, arm: str) -> dict[str, list]:
        """Return least, most and evidence of the catalogue's values that `stage` reads and that have a range.

        What the study file set is known to it: it has none.
        """
        return {
            name: [*value.range, value.evidence]
            for name, value in self.arms[arm].values.items()
            if name.startswith(STAGES[stage].values) and value.range and value.evidence != "study file"
        }

    def unused_entries(self) -> list[str]:
        """Return the diseases and products of the study's own catalogue that no arm has."""
        used = {self.file.disease, *(arm.product for arm in self.arms.values())}
        return [
            name
            for name in (*self.file.catalogue.diseases, *self.file.catalogue.products)
            if name not in used
        ]

    def batches(self) -> list[str]:
        """Return the names of an arm's batches, ``"first-last"`` patient.

        Each is about `minutes_per_job` of the dearest stage.
        """
        n, cost = self.file.patients, seconds_a_patient(self._clones(), len(self.file.visits_months))
        size = max(1, int(60 * self.file.minutes_per_job / (DEAREST_STAGE * cost)))
        size = -(-n // -(-n // size))  # equal batches
        return [f"{first}-{min(first + size, n) - 1}" for first in range(0, n, size)]

    def _clones(self) -> float:
        """Stem cells in the product of a patient of 15 kg, in the arm with the most."""
        return max(
            arm.values["product.cd34_per_kg"].value * 15 * arm.values["product.lt_hsc_per_cd34"].value
            for arm in self.arms.values()
        )

    def point_batches(self, ensemble: str) -> list[str]:
        """Return the names of the jobs of an ensemble in each of its arms, ``"first-last"`` point."""
        cost = seconds_a_patient(self._clones(), len(self.file.visits_months))
        return self.ensembles[ensemble].batches(cost, self.file.minutes_per_job)

    def core_minutes(self) -> float:
        """Return about how many minutes of one core a run takes, by costs measured on small studies."""
        patients = len(self.arms) * self.file.patients
        patients += sum(e.points * e.patients * len(e.arms) for e in self.ensembles.values())
        each = seconds_a_patient(self._clones(), len(self.file.visits_months))
        return (patients * each + SECONDS_AFTERWARDS) / 60

    def swept_values(self) -> dict[str, dict]:
        """Return unit, scale and each arm's own number of the values that the sweep varies, by name.

        They are keyword arguments of `models.features.Swept`.
        """
        over = self.file.sweep.over if self.file.sweep else {}
        first = next(iter(self.arms.values()))
        return {
            name: {
                "unit": first.values[name].unit,
                "logarithmic": span.scale == "log" and span.values is None,
                "by_arm": {arm.name: float(arm.values[name].value) for arm in self.arms.values()},
            }
            for name, span in over.items()
        }

    def as_dict(self) -> dict:
        """Return the filled study as ``study.yaml`` holds it: each value with unit, evidence and source."""
        first = next(iter(self.arms.values()))
        content = self.file.model_dump(
            mode="json",
            exclude={"minutes_per_job", "arms", "set", "product", "events"},
        )
        return {
            **{key: part for key, part in content.items() if key != "catalogue" or any(part.values())},
            **({"genes": self.tables["genes"]} if self.file.gene_table else {}),
            "disease_title": self.file.catalogue.title("diseases", self.file.disease),
            "arms": [
                {
                    "name": arm.name,
                    "description": arm.description,
                    "product": arm.product,
                    "product_title": self.file.catalogue.title("products", arm.product),
                    "modification": self.file.catalogue.modification(arm.product),
                    "product_data": {
                        kind: path for kind, path in files.product_data.model_dump().items() if path
                    },
                    "events": arm.events,
                    "set": {n: v.value for n, v in _differing(arm, first)},
                    "values": {n: v.as_dict() for n, v in _differing(arm, first)},
                }
                for arm, files in zip(self.arms.values(), self.file.arms, strict=True)
            ],
            "values": {name: value.as_dict() for name, value in sorted(first.values.items())},
        }


def _differing(arm: Arm, first: Arm) -> list[tuple[str, Value]]:
    """Return the values of an arm that the first arm lacks or has otherwise, by name."""
    return [(n, v) for n, v in sorted(arm.values.items()) if v != first.values.get(n)]


def load_study(content: Mapping[str, Any], where: str = "study file") -> Study:
    """Check the content of a study file and fill it from the catalogue.

    Parameters
    ----------
    content : mapping
        As read from YAML.
    where : str
        What to call the file in messages.

    Raises
    ------
    UserError
        One sentence: where, what, what is allowed.
    """
    try:
        file = _sampled_at_visits(StudyFile.model_validate(dict(content)))
        _check_order(file)
        arms, catalogue = _fill(file), _tables(file)
        check_trial(file)

        def check(arm: str, values: Mapping[str, Value]) -> None:
            _check_ages(arm, values)
            _check_thresholds(arm, values)
            check_product(arm, {n: v.value for n, v in values.items()}, catalogue["genes"])

        for arm in arms.values():
            check(arm.name, arm.values)
        laid = ensembles(file, {name: arm.values for name, arm in arms.items()}, check)
        return Study(file, arms, catalogue, laid)
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error.errors()[0])}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _sampled_at_visits(file: StudyFile) -> StudyFile:
    """Where the file names no months of sampling, keep those default months that are visits."""
    if "months" in file.sampling.model_fields_set:
        return file
    months = [month for month in file.sampling.months if month in file.visits_months]
    return file.model_copy(update={"sampling": file.sampling.model_copy(update={"months": months})})


def _check_order(file: StudyFile) -> None:
    months = file.visits_months
    for earlier, later in itertools.pairwise(months):
        if later <= earlier:
            raise UserError(f"visits_months: {later:g} follows {earlier:g}; months must increase")
    for month in file.sampling.months:
        if month not in months:
            visits = ", ".join(f"{m:g}" for m in months)
            raise UserError(f"sampling.months: {month:g} is no visit; allowed: {visits}")
    names = [arm.name for arm in file.arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"arms: {name!r} stands {names.count(name)} times; each arm needs a name of its own"
            )


def _fill(file: StudyFile) -> dict[str, Arm]:
    file.catalogue.check()
    arms = {}
    for i, arm in enumerate(file.arms):
        product = arm.product or file.product or file.catalogue.default_product(file.disease)
        values = file.catalogue.values_for(file.disease, product)
        shared = {name: number for name, number in file.set.items() if name in values}
        values = _override(_override(values, shared, "set"), arm.set, f"arms[{i}].set")
        arms[arm.name] = Arm(
            arm.name,
            arm.description,
            product,
            values,
            _release_data(arm, file.catalogue.modification(product), f"arms[{i}]"),
            [event.model_dump() for event in (*file.events, *arm.events)],
        )
    known = {name: value for arm in arms.values() for name, value in arm.values.items()}
    _override(known, file.set, "set")  # a value that no arm has
    for filled in arms.values():
        _check_events(filled, file.visits_months[-1])
    return arms


def _release_data(arm: ArmFile, modification: str, where: str) -> dict:
    files = {kind: path for kind, path in arm.product_data.model_dump().items() if path}
    if not files:
        return {}
    from hsc_pipeline.product.release import read_release

    try:
        return read_release(files, modification)
    except UserError as error:
        raise UserError(f"{where}.{error}") from None


def _tables(file: StudyFile) -> dict[str, list]:
    found = {name: table["rows"] for name, table in tables().items()}
    if file.gene_table is None:
        return found
    from hsc_pipeline.product.release import read_gene_table

    return found | {"genes": read_gene_table(file.gene_table, dict(found["chromosomes"]))}


def _override(values: dict[str, Value], changes: Overrides, where: str) -> dict[str, Value]:
    filled = dict(values)
    for name, number in changes.items():
        if name not in values:
            raise UserError(f"{where}: the catalogue has no value {name!r}; {suggest(name, list(values))}")
        number = _as_number(number, values[name].unit)
        if problem := values[name].problem(number):
            shown = repr(number) if isinstance(number, str) else f"{number:g}"
            raise UserError(f"{where}: {name} = {shown}; {problem}")
        filled[name] = values[name].replaced(number)
    return filled


def _as_number(given: float | str, unit: str) -> float | str:
    """Return text such as 4.5e6, which YAML does not read as a number, as one where a number is wanted."""
    try:
        return given if unit == CHOICE else float(given)
    except ValueError:
        return given


def _check_ages(arm: str, values: Mapping[str, Value]) -> None:
    least, median, most = (values[f"cohort.age_{name}"].value for name in ("min", "median", "max"))
    if not least <= median <= most or least == most:
        raise UserError(
            f"arm {arm!r}: cohort.age_min = {least:g}, age_median = {median:g}, age_max = {most:g}; "
            "allowed: increasing"
        )


def _check_thresholds(arm: str, values: Mapping[str, Value]) -> None:
    """Refuse an engraftment threshold that a healthy count does not reach."""
    rows = tables()["cell_norms"]["rows"]
    for cell in ("neutrophil", "platelet"):
        name = f"conditioning.{cell}_threshold"
        least = min(row[3] for row in rows if row[0] == cell)
        if not 0 < values[name].value < least:
            raise UserError(
                f"arm {arm!r}: {name} = {values[name].value:g}; "
                f"allowed: above 0 and below {least:g}, the median norm"
            )


def _check_events(arm: Arm, last_visit: float) -> None:
    """Refuse events after the last visit, and shares of cells above what there is."""
    kept_back = 0.0
    for event in arm.events:
        where = f"arm {arm.name!r}: events: {event['kind']} in month {event['month']:g}"
        if event["month"] >= last_visit:
            raise UserError(f"{where}; allowed: before the last visit, month {last_visit:g}")
        size = arm.values[f"events.{event['kind']}.size"].value if event["size"] is None else event["size"]
        if event["kind"] in KILLING and not size < 1:
            raise UserError(f"{where} has size = {size:g}; allowed: below 1, the share of cells killed")
        kept_back += size if event["kind"] == "boost" else 0
    if kept_back > 1:
        raise UserError(
            f"arm {arm.name!r}: events: boosts of size {kept_back:g} together; "
            "allowed: at most 1, the whole product"
        )


def _sentence(problem: Mapping[str, Any]) -> str:
    """Say one problem that pydantic found as a sentence."""
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"]).lstrip(".")
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        *parents, key = problem["loc"]
        allowed = _keys_at(parents)
        inside = place.rpartition(".")[0]
        quotes = "; a text with a comma wants quotes" if given is None else ""
        return f"{inside + ': ' if inside else ''}unknown key {key!r}; {suggest(str(key), allowed)}{quotes}"
    if kind == "missing":
        return f"{place}: is missing; {_describe(problem['loc'])}"
    if kind == "string_pattern_mismatch":
        return f"{place} = {given!r}; allowed: a-z, 0-9 and _, beginning with a letter, at most 40"
    message = re.sub(r"^(Input should|List should|String should)", "should", problem["msg"])
    shown = (
        repr(given) if isinstance(given, str | int | float | bool) or given is None else type(given).__name__
    )
    return f"{place} = {shown}; it {message[0].lower()}{message[1:]}"


def _model_at(parents: list) -> type[BaseModel]:
    parts: dict[str, type[BaseModel]] = {
        "arms": ArmFile,
        "sampling": Sampling,
        "product_data": ReleaseData,
        "events": Event,
        "sweep": Sweep,
        "over": Span,
        "uncertainty": Uncertainty,
        "catalogue": Entries,
        "diseases": OwnDisease,
        "products": OwnProduct,
        "values": OwnValue,
        **TRIAL_PARTS,  # type: ignore[dict-item]  # mypy sees the metaclass
    }
    return next((parts[p] for p in reversed(parents) if p in parts), StudyFile)


def _keys_at(parents: list) -> list[str]:
    return list(_model_at(parents).model_fields)


def _describe(place: tuple) -> str:
    *parents, key = place
    examples = {"kind": "kind: study", "schema_version": f"schema_version: {SCHEMA_VERSION}"}
    if key in examples:
        return f"write '{examples[key]}'"
    if key == "disease":
        return f"allowed: {', '.join(diseases())}"
    return f"it holds: {_model_at(parents).model_fields[key].description}"


def json_schema() -> str:
    """Return the JSON Schema of study files, as ``workflow/schemas/study.schema.json`` holds it."""
    import json

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **StudyFile.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"
