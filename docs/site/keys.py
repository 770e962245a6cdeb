"""The tables of keys in config/README.md and the JSON schemas, from the models that check the files.

``python docs/site/keys.py`` writes them; a test fails where they are stale.
"""

import json
from pathlib import Path

from pydantic import BaseModel

from hsc_pipeline.calibration.settings import (
    CalibrationFile,
    Parameter,
    PatientFile,
    PriorFile,
    Statistics,
    StructureFile,
)
from hsc_pipeline.own_entries import Entries, OwnDisease, OwnProduct, OwnValue
from hsc_pipeline.study_file import ArmFile, Event, ReleaseData, Sampling, Span, StudyFile, Sweep, Uncertainty
from hsc_pipeline.study_trial import DesignSearch, Futility, Historical, Safety, Trial
from hsc_pipeline.tracking.settings import ClonesFile, Privacy, Rules, Sites, StemCells, TrackingFile

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "config/README.md"

SECTIONS = [
    (StudyFile, "Keys of the file"),
    (ArmFile, "Keys of an arm"),
    (Entries, "Keys of catalogue"),
    (OwnDisease, "Keys of a disease"),
    (OwnProduct, "Keys of a product"),
    (OwnValue, "Keys of a value"),
    (ReleaseData, "Keys of product_data"),
    (Sampling, "Keys of sampling"),
    (Event, "Keys of an event"),
    (Sweep, "Keys of sweep"),
    (Span, "Keys of a span"),
    (Uncertainty, "Keys of uncertainty"),
    (Trial, "Keys of trial"),
    (Historical, "Keys of historical"),
    (Futility, "Keys of futility"),
    (Safety, "Keys of safety"),
    (DesignSearch, "Keys of search"),
    (TrackingFile, "Keys of a tracking file"),
    (ClonesFile, "Keys of a table of clones"),
    (Sites, "Keys of sites"),
    (Rules, "Keys of rules"),
    (StemCells, "Keys of stem_cells"),
    (Privacy, "Keys of privacy"),
    (CalibrationFile, "Keys of a calibration file"),
    (PatientFile, "Keys of a patient"),
    (Parameter, "Keys of a parameter"),
    (PriorFile, "Keys of a prior"),
    (StructureFile, "Keys of a structure"),
    (Statistics, "Keys of statistics"),
]


def type_of(schema: dict) -> str:
    """Say a JSON Schema type in words, with its limits."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "anyOf" in schema:
        return "; or ".join(type_of(choice) for choice in schema["anyOf"])
    if "$ref" in schema:
        headings = {model.__name__: heading for model, heading in SECTIONS}
        return f"mapping, see *{headings[schema['$ref'].rpartition('/')[2]]}*"
    each = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
    if "$ref" in json.dumps(each):
        return f"mapping of names, each: {type_of(each)}"
    words = {
        "array": "list",
        "boolean": "true or false",
        "integer": "whole number",
        "null": "nothing",
        "object": "mapping of names to numbers or choices",
        "string": "text",
    }
    items = f"; each: {type_of(schema['items'])}" if "items" in schema else ""
    return words.get(schema["type"], schema["type"]) + limits(schema) + items


def limits(schema: dict) -> str:
    """Say the limits of a JSON Schema type."""
    kinds = {
        "exclusiveMinimum": "above {}",
        "minimum": "from {}",
        "minItems": "at least {}",
        "exclusiveMaximum": "below {}",
        "maximum": "to {}",
        "maxItems": "at most {}",
        "maxLength": "at most {} letters",
        "pattern": "`{}`",
    }
    found = [form.format(shown(schema[kind])) for kind, form in kinds.items() if kind in schema]
    return "".join(f", {limit}" for limit in found)


def shown(limit: float | str) -> str:
    """Say a limit, whole numbers with thousands apart."""
    return limit if isinstance(limit, str) else f"{int(limit):,}" if limit == int(limit) else f"{limit:g}"


def default_of(model: type, key: str) -> str:
    """The default of a key as YAML would hold it."""
    field = model.model_fields[key]
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return "its own" if isinstance(default, BaseModel) else f"`{json.dumps(default)}`"


def key_table(model: type) -> str:
    """The table of a model's keys, as config/README.md holds it."""
    lines = ["| key | type | default | description |", "|---|---|---|---|"]
    for key, schema in model.model_json_schema()["properties"].items():
        description = schema["description"].replace("<", "&lt;")
        lines.append(f"| `{key}` | {type_of(schema)} | {default_of(model, key)} | {description} |")
    return "\n".join(lines) + "\n"


def current(text: str) -> str:
    """Return the text of config/README.md with every table of keys as the models have it."""
    for model, heading in SECTIONS:
        before, mark, rest = text.partition(f"## {heading}\n")
        section, end, after = rest.partition("\n## ")
        rows = [line for line in section.splitlines(keepends=True) if line.startswith("|")]
        new = section.replace("".join(rows), key_table(model)) if rows else f"\n{key_table(model)}{section}"
        text = before + mark + new + end + after
    return text


def main() -> None:
    """Write what is stale."""
    from hsc_pipeline.calibration import settings as calibration
    from hsc_pipeline.study import json_schema
    from hsc_pipeline.tracking import settings as tracking

    README.write_text(current(README.read_text(encoding="utf-8")), encoding="utf-8")
    schemas = {"study": json_schema, "tracking": tracking.json_schema, "calibration": calibration.json_schema}
    for kind, schema in schemas.items():
        (REPOSITORY / f"workflow/schemas/{kind}.schema.json").write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
