"""The documents say what is true: keys, values, tables, tests, commands and links that they quote exist."""

import argparse
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import generated
import pytest
import yaml
from conf import NAVIGATION, include_patterns, root_doc
from keys import SECTIONS, key_table
from snakemake.cli import get_argument_parser

from hsc_pipeline import __version__
from hsc_pipeline.__main__ import build_parser, main
from hsc_pipeline.calibration.settings import load_calibration
from hsc_pipeline.catalogue import EVIDENCE, FOLDER, UNITS, diseases, products, values_for
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import Table
from hsc_pipeline.tracking.settings import load_tracking
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


@pytest.mark.parametrize(("model", "heading"), SECTIONS)
def test_the_tables_of_keys_are_current(model, heading):
    text = (REPOSITORY / "config/README.md").read_text()
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = "".join(line + "\n" for line in section.splitlines() if line.startswith("|"))
    assert rows == key_table(model), "config/README.md is stale: python docs/site/keys.py writes it"


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
    """One direction, as the chapter on the whole says."""
    order = re.findall(r"^   -> (\w+) ", (REPOSITORY / "docs/chain.md").read_text(), re.MULTILINE)
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


SUBCOMMANDS = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
COMMANDS = re.compile(r"^(?:\. \S+ && )?(python -m hsc_pipeline|hsc_pipeline|snakemake)(?= )(.*)$")


def commands(document: Path) -> list[tuple[str, list[str]]]:
    """Program and arguments of every command line that is quoted, without its comment."""
    found = []
    for line in code(document).splitlines():
        text = re.split(r"\s{3,}|\s# ", line.strip())[0]
        if match := COMMANDS.match(text):
            found.append((match[1], shlex.split(match[2])))
    return found


@documents
def test_quoted_make_targets_exist(document):
    targets = set(re.findall(r"^([a-z][\w-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for line in code(document).splitlines():
        named = re.match(r"make((?: \w+=\S+| [a-z][\w-]*)+)(?:\s{2,}.*|\s*)$", line)
        if named and "FILE" not in line:
            assert {word for word in named[1].split() if "=" not in word} <= targets, line


@documents
def test_quoted_commands_are_understood(document, monkeypatch, capsys):
    """Parsed by the program's own parser; what is quick, and reads alone, is run."""
    monkeypatch.chdir(REPOSITORY)
    for program, arguments in commands(document):
        if program == "snakemake":
            get_argument_parser().parse_args(arguments)
            continue
        if arguments[1:] in ([], ["--help"]):
            assert arguments[0] in (*SUBCOMMANDS, "COMMAND", "--help", "--version")
            continue
        build_parser().parse_args([re.sub("^N$", "1", word) for word in arguments])
        reads = arguments[0] in ("catalogue", "schema") or (
            arguments[0] == "check" and arguments[1].startswith("config/")
        )
        if reads and not any("<" in word for word in arguments):
            assert main(arguments) == 0, arguments
            assert capsys.readouterr().out


def test_the_commands_of_the_tutorial_are_seen():
    """What the tests above go by."""
    found = commands(REPOSITORY / "docs/tutorial.md")
    assert ("snakemake", ["--cores", "all", "--configfile", "my_studies/more_copies.yaml"]) in found
    assert ("python -m hsc_pipeline", ["check", "config/config.yaml"]) in found


def quoted_runs() -> list[tuple[str, ...]]:
    """Targets and study files of the documents' Snakemake commands, of files that come with the project."""
    runs = set()
    for document in DOCUMENTS:
        for program, arguments in commands(document):
            if program == "snakemake":
                parsed = get_argument_parser().parse_args(arguments)
                files = [str(file) for file in parsed.configfile or []]
                whole = files or not parsed.targets  # not the name of a target alone
                here = all((REPOSITORY / file).is_file() for file in files)
                if whole and here and parsed.workflow_profile is None:
                    runs.add((*sorted(parsed.targets), *(["--configfile", *files] if files else [])))
    return sorted(runs)


@pytest.mark.parametrize("arguments", quoted_runs(), ids=" ".join)
def test_quoted_runs_are_planned(arguments, tmp_path):
    """A dry run in a folder of its own plans jobs."""
    for name in ("config", "hsc_pipeline", "profiles", "workflow", "Snakefile"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--dry-run", "--quiet", "all", "--cores", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


LOADERS = {"study": load_study, "tracking": load_tracking, "calibration": load_calibration}


def examples() -> Iterator[object]:
    """Every file of the documents that says its kind."""
    for document in DOCUMENTS:
        for language, text in blocks(document):
            if language == "yaml" and (kind := re.match(r"kind: (\w+)", text)):
                yield pytest.param(kind[1], text, id=f"{document.stem}-{kind[1]}")


@pytest.mark.parametrize(("kind", "text"), list(examples()))
def test_example_files_are_good(kind, text, tmp_path, monkeypatch, capsys):
    """As `check` sees them; empty files, which are not read, stand for the tables of a reader."""
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(REPOSITORY / "config")
    readers = [path for path in re.findall(r"[\w/]+\.(?:tsv|csv)(?:\.gz)?", text) if not Path(path).exists()]
    for path in readers:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    file = tmp_path / "example.yaml"
    file.write_text(text)
    loaded = LOADERS[kind](read_yaml(file), "example")
    assert kind != "study" or len(loaded.arms) > 1
    if not readers:
        assert main(["check", str(file)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=document.stem)
        for document in DOCUMENTS
        for language, text in blocks(document)
        if language == "python"
    ],
)
def test_python_of_the_documents_runs(text, tmp_path):
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_examples_of_a_study_and_of_a_disease_of_ones_own():
    texts = [example.values[1] for example in examples()]
    readme = (REPOSITORY / "README.md").read_text()
    assert any(text in readme and len(text.splitlines()) <= 15 for text in texts)
    assert any("\ncatalogue:\n" in text for text in texts)


# The site


def test_every_page_has_its_place_in_the_navigation_and_on_the_first_page():
    pages = [page for part in NAVIGATION.values() for page in part]
    assert len(pages) == len(set(pages))
    exist = {
        path.relative_to(REPOSITORY).with_suffix("").as_posix()
        for pattern in include_patterns
        for path in REPOSITORY.glob(pattern)
    }
    assert {*pages, root_doc} == exist
    first = REPOSITORY / f"{root_doc}.md"
    linked = {(first.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)", first.read_text())}
    assert {(REPOSITORY / f"{page}.md").resolve() for page in pages} == linked


def test_generated_pages_hold_every_value_table_and_command():
    values = generated.values()
    assert all(f"{{#{generated.anchor(name)}}}" in values for name in VALUES - {"product.modification"})
    of_products, of_diseases = generated.product_values(), generated.disease_values()
    assert all(f"\n### {name}\n" in of_products for name in products())
    assert all(f"## {name}\n" in of_diseases for name in diseases())
    assert {"patients", "counts", "outcomes", "scores"} <= {
        table.name for _, table in generated.found_tables()
    }
    assert "hsc_pipeline verify" in generated.commands()


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
