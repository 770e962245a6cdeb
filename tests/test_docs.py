"""The documents say what is true: keys, values, tables, tests, commands and links that they quote exist."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from hsc_pipeline import __version__
from hsc_pipeline.__main__ import main
from hsc_pipeline.calibration.settings import (
    CalibrationFile,
    Parameter,
    PatientFile,
    PriorFile,
    Statistics,
    StructureFile,
)
from hsc_pipeline.catalogue import EVIDENCE, FOLDER, UNITS, diseases, products, values_for
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import load_study
from hsc_pipeline.study_file import ArmFile, Event, ReleaseData, Sampling, Span, StudyFile, Sweep, Uncertainty
from hsc_pipeline.study_trial import DesignSearch, Futility, Historical, Safety, Trial
from hsc_pipeline.tables import Table
from hsc_pipeline.tracking.settings import ClonesFile, Privacy, Rules, Sites, StemCells, TrackingFile
from hsc_pipeline.yaml_files import read_yaml

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "config/*.md", "results/README.md")
    for path in REPOSITORY.glob(pattern)
)
CHAPTERS = (*STAGES, "points", "models", "trials", "report")
VALUES = {
    name for disease in diseases() for product in products(disease) for name in values_for(disease, product)
}
SUBJECTS = {name.split(".")[0] for name in VALUES}
ENDINGS = (".md", ".py", ".smk", ".yaml", ".parquet", ".csv", ".svg")

# Spelt so that this file does not find itself.
MACHINE = re.compile(r"(?<![\w.>}])/(?:[h]ome|[r]oot|[w]ork|[t]mp|[U]sers)/\w|\b[A-Z]:\\\w")
HOSTS = re.compile(r"[p]ypi\.org|[p]ythonhosted|[a]naconda\.(?:org|com)|[d]evpi|[a]rtifactory", re.IGNORECASE)

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)).replace("/", "_")
)


def blocks(document: Path) -> list[tuple[str, str]]:
    """Language and text of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def prose(document: Path) -> str:
    """The document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def quoted(document: Path) -> list[str]:
    """What stands between backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(document))


def code(document: Path) -> str:
    """All that is set as code."""
    return "\n".join([*quoted(document), *(text for _, text in blocks(document))])


def is_value(text: str) -> bool:
    """Whether a quoted text looks like the name of a catalogue value; <lineage> stands for any."""
    return (
        re.fullmatch(r"[a-z_0-9]+(\.([a-z_0-9]+|<[a-z]+>))+", text) is not None
        and text.split(".")[0] in SUBJECTS
        and not text.endswith(ENDINGS)
    )


def meets(text: str) -> set[str]:
    """The catalogue values that a quoted name stands for."""
    pattern = re.sub(r"<[a-z]+>", "[a-z_0-9]+", text.replace(".", r"\."))
    return {name for name in VALUES if re.fullmatch(pattern, name)}


# Keys of the study file

SECTIONS = [
    (StudyFile, "Keys of the file"),
    (ArmFile, "Keys of an arm"),
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
    if "$ref" in json.dumps(schema.get("additionalProperties", {})):
        return f"mapping of names, each: {type_of(schema['additionalProperties'])}"
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


@pytest.mark.parametrize(("model", "heading"), SECTIONS)
def test_the_tables_of_keys_are_current(model, heading):
    text = (REPOSITORY / "config/README.md").read_text()
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = "".join(line + "\n" for line in section.splitlines() if line.startswith("|"))
    assert rows == key_table(model), f"config/README.md, {heading}, should hold:\n{key_table(model)}"


# Names


@documents
def test_quoted_catalogue_values_exist(document):
    wrong = [text for text in quoted(document) if is_value(text) and not meets(text)]
    assert not wrong


@pytest.mark.parametrize("stage", STAGES)
def test_a_chapter_names_every_value_and_table_that_its_stage_reads(stage):
    names = [name for path in REPOSITORY.glob(f"docs/{stage}*.md") for name in quoted(path)]
    reads = STAGES[stage]
    named = set().union(*(meets(text) for text in names if is_value(text)))
    assert {name for name in VALUES if name.startswith(reads.values)} <= named
    assert {*reads.tables, *reads.study} <= set(names)


@pytest.mark.parametrize("stage", STAGES)
def test_a_chapter_names_every_table_that_its_stage_writes(stage):
    module = importlib.import_module(f"hsc_pipeline.{stage}")
    tables = {value.name for value in vars(module).values() if isinstance(value, Table)}
    assert tables
    text = (REPOSITORY / f"docs/{stage}.md").read_text()
    assert all(f"{name}.parquet" in text for name in tables), tables


@documents
def test_quoted_tests_exist(document):
    text = "\n".join(path.read_text() for path in REPOSITORY.glob("tests/test_*.py"))
    known = set(re.findall(r"^def (test_\w+)\(", text, re.MULTILINE))
    wrong = [name for name in quoted(document) if re.fullmatch(r"test_\w+", name) and name not in known]
    assert not wrong


def test_every_stage_has_a_chapter_that_the_first_page_links():
    index = (REPOSITORY / "docs/index.md").read_text()
    rules = {path.stem for path in REPOSITORY.glob("workflow/rules/*.smk")} - {
        *("common", "gather", "tracking", "calibration")
    }
    assert rules == set(CHAPTERS)
    for chapter in CHAPTERS:
        assert f"]({chapter}.md)" in index


def test_no_stage_imports_a_later_one():
    """One direction, as the first page says."""
    order = re.findall(r"^   -> (\w+) ", (REPOSITORY / "docs/index.md").read_text(), re.MULTILINE)
    assert set(order) == set(CHAPTERS)
    for place, stage in enumerate(order):
        folder = REPOSITORY / "hsc_pipeline"
        for path in [*folder.glob(f"{stage}.py"), *folder.glob(f"{stage}/**/*.py")]:
            imported = set(re.findall(r"^\s*from hsc_pipeline\.(\w+)", path.read_text(), re.MULTILINE))
            assert not imported & set(order[place + 1 :]), path


def test_evidence_and_units_of_the_catalogue_are_explained():
    names = quoted(REPOSITORY / "docs/catalogue.md")
    assert {*EVIDENCE, *UNITS} <= set(names)


def test_a_disease_file_with_the_listed_values_is_enough():
    """What the page lists as needed is what no general file gives and no stage can do without."""
    text = (REPOSITORY / "docs/catalogue.md").read_text()
    lists = text.partition("It must give:")[2].partition("It may give:")
    general = {name for path in FOLDER.glob("*.yaml") for name in read_yaml(path).get("values", {})}
    must, may = (
        set().union(*(meets(name) for name in re.findall(r"`([^`]+)`", part) if is_value(name)))
        for part in (lists[0], lists[2].partition("\n\n")[2].partition("\n\n")[0])
    )
    for disease in diseases():
        own = set(read_yaml(FOLDER / f"diseases/{disease}.yaml")["values"])
        assert must <= own
        assert own <= must | may | general


# Commands and examples


@documents
def test_quoted_commands_exist(document, capsys):
    targets = set(re.findall(r"^([a-z][\w-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for line in code(document).splitlines():
        for target in re.findall(r"^make(?: \w+=\S+)* ([a-z][\w-]*)", line):
            assert target in targets
        for subcommand in re.findall(r"python -m hsc_pipeline (\w[\w-]*)", line):
            with pytest.raises(SystemExit) as ended:
                main([subcommand, "--help"])
            assert ended.value.code == 0, subcommand
        for file in re.findall(r"(?:--configfile|hsc_pipeline check) (config/\S+)", line):
            assert (REPOSITORY / file).is_file(), file


def examples() -> Iterator[str]:
    for document in DOCUMENTS:
        for language, text in blocks(document):
            if language == "yaml" and text.startswith("kind: study"):
                yield text


def test_example_study_files_are_good():
    found = list(examples())
    assert any(text in (REPOSITORY / "README.md").read_text() for text in found)
    for text in found:
        study = load_study(yaml.safe_load(text), "README.md")
        assert len(text.splitlines()) <= 15
        assert len(study.arms) > 1


# Links, hosts and versions


def anchors(document: Path) -> set[str]:
    """Names by which a code host links to the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_relative_links_resolve(document):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(REPOSITORY), link
        if anchor:
            assert anchor in anchors(target), link


def tracked() -> list[Path]:
    """Files that git keeps, or in an exported tree what it would."""
    if (REPOSITORY / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        paths = [REPOSITORY / name for name in listing.stdout.split("\0") if name]
    else:
        folders = ("docs", "config", "hsc_pipeline", "workflow", "profiles", "tests")
        paths = [*REPOSITORY.glob("*"), *(p for folder in folders for p in (REPOSITORY / folder).rglob("*"))]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_machine_or_a_package_host():
    found = []
    for path in {*tracked(), *DOCUMENTS}:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(REPOSITORY)}: {match.group()}"
            for pattern in (MACHINE, HOSTS)
            for match in pattern.finditer(text)
        ]
    assert not found


def test_the_version_to_cite_is_this_one():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["cff-version"] == "1.2.0"
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"## {__version__} - {citation['date-released']}" in changes
