"""Files from strangers are safe to open: no code runs, nothing hangs, every refusal is one sentence."""

import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hsc_pipeline import formats
from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import files
from hsc_pipeline.limits import MOST_LINE
from hsc_pipeline.privacy import NAMING, ROUNDED, Pseudonyms
from hsc_pipeline.product.release import read_colonies, read_gene_table, read_sites
from hsc_pipeline.report.page import Section, Text, TextTable, render, script_json
from hsc_pipeline.study import load_study
from hsc_pipeline.tracking.settings import load_tracking
from hsc_pipeline.tracking.topics import COLUMNS, columns_of
from hsc_pipeline.yaml_files import MOST_BYTES, MOST_DEPTH, MOST_NODES, read_yaml
from tests.mutations import mutated
from tests.test_workflow import REPOSITORY, new_project, run

SEED = 20261126
STUDY = """\
kind: study
schema_version: 1
name: tiny
title: Half the dose?
seed: 7
disease: was
patients: 3
visits_months: [1, 6, 24]
sampling: {months: [6], lineages: [neutrophil]}
events:
  - {kind: infection, month: 3}
set: {product.cd34_per_kg: 9.0e+6}
arms:
  - name: full
  - name: half
    description: half the dose
    set: {product.cd34_per_kg: 4.5e+6, conditioning.busulfan_auc: 60}
"""


def refused(call, *arguments) -> str:
    """The one sentence with which a call is refused."""
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(folder: Path, content: str | bytes, name: str = "study.yaml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Bombs ----------------------------------------------------------------------------------------------


def laughs(levels: int, link: str) -> str:
    """Aliases of aliases: ten times as many values with each level."""
    lines = [f"a0: &a0 {link % 'x'}"]
    for level in range(1, levels):
        held = ", ".join(f"k{i}: *a{level - 1}" if "{" in link else f"*a{level - 1}" for i in range(10))
        lines.append(f"a{level}: &a{level} " + ("{%s}" if "{" in link else "[%s]") % held)
    return "\n".join(lines) + "\n"


BOMBS = {
    "laughs of lists": (laughs(10, "[%s]"), f"more than {MOST_NODES:,} values"),
    "laughs of mappings": (laughs(10, "{k: %s}"), f"more than {MOST_NODES:,} values"),
    "nested lists": ("a: " + "[" * 50_000 + "]" * 50_000, f"deeper than {MOST_DEPTH}"),
    "nested mappings": ("a: " + "{b: " * 5_000 + "}" * 5_000, f"deeper than {MOST_DEPTH}"),
    "a list in itself": ("a: &a [*a]\n", "*a stands for nothing"),
    "many values": ("a: [" + "1," * (MOST_NODES + 1) + "]", f"more than {MOST_NODES:,} values"),
    "a large file": ("a: " + "x" * MOST_BYTES, f"larger than {MOST_BYTES:,} bytes"),
    "a number without end": ("seed: " + "9" * 100_000, "not YAML"),
}


@pytest.mark.parametrize(("text", "said"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_of_yaml_is_refused_in_one_sentence(tmp_path, text, said):
    assert said in refused(read_yaml, written(tmp_path, text))


def test_anchors_within_the_limits_are_read(tmp_path):
    text = "arms: [&a {name: a, set: {x: 1}}, {<<: *a, name: b}]\n"
    assert read_yaml(written(tmp_path, text))["arms"][1] == {"name": "b", "set": {"x": 1}}


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "."])
def test_what_is_no_file_is_not_read(path):
    assert "not a file" in refused(read_yaml, path)


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert "not a file" in refused(read_yaml, pipe)
    assert "this is not a file" in refused(read_gene_table, str(pipe), {})
    assert "no such file" in refused(formats.read, pipe, "long")


def bomb_gz(path: Path, begin: bytes, fill: bytes, size: int) -> Path:
    """A gz file of `size` bytes, all alike after the first, a thousandth of that on the disk."""
    block = fill * ((1 << 20) // len(fill))
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(begin)
        for _ in range(size >> 20):
            file.write(block)
    return path


HEAD = b"subject,month,tissue,lineage,clone,count\na,3,PB,T,7,2\n"


@pytest.mark.parametrize("fill", [b"\n", b"a,3,PB,T,7,2\n"], ids=["empty lines", "rows"])
def test_a_gz_bomb_is_refused(tmp_path, fill, monkeypatch):
    monkeypatch.setattr("hsc_pipeline.limits.FREE_BYTES", 1 << 23)  # a sixteenth, and as much quicker
    # Of empty lines, the reader would look for the first row without end.
    path = bomb_gz(tmp_path / "clones.csv.gz", HEAD if fill != b"\n" else HEAD[:41], fill, 1 << 24)
    assert path.stat().st_size < (1 << 24) / 100
    assert "unpack to more than" in refused(formats.read, path, "long")


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "colonies.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("colonies.csv", b"copies\n" + b"1\n" * (1 << 22))
    assert "more than 1,000,000 rows" in refused(read_colonies, str(tmp_path / "colonies.zip"))
    monkeypatch.setattr("hsc_pipeline.product.rows.MOST_BYTES", 1 << 20)
    assert "unpack to more than" in refused(read_colonies, str(tmp_path / "colonies.zip"))


def test_a_table_of_too_many_columns_is_refused(tmp_path):
    """A thousand million columns would take 2 GB: the first line is cut long before."""
    path = bomb_gz(tmp_path / "clones.csv.gz", b"a", b",a", 2 * files.MOST_HEADER_BYTES)
    assert "longer than" in refused(files.header, path)
    path = written(tmp_path, ",".join(map(str, range(files.MOST_COLUMNS + 1))) + "\n", "wide.csv")
    assert f"at most {files.MOST_COLUMNS:,} are read" in refused(files.header, path)


def test_a_line_without_end_is_refused(tmp_path):
    path = written(tmp_path, HEAD + b"a" * (MOST_LINE + 5) * 2, "clones.csv")
    assert "line is longer" in refused(formats.read, path, "long")
    path = written(tmp_path, "copies\n" + "1" * (MOST_LINE + 1), "colonies.csv")
    assert "line is longer" in refused(read_colonies, str(path))


def test_a_folder_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hsc_pipeline.tracking.settings.MOST_FILES", 10)
    for number in range(11):
        written(tmp_path, "", f"{number}.csv")
    content = {**read_yaml(REPOSITORY / "config/tracking.yaml"), "tables": [{"path": str(tmp_path)}]}
    monkeypatch.chdir(REPOSITORY)
    assert "more than 10 files" in refused(load_tracking, content)


# Code and paths -------------------------------------------------------------------------------------

CODE = {
    "yte": "__use_yte__: true\nkind: study\ntitle: ?open('made', 'w').write('x')\n",
    "definitions": "__use_yte__: true\n__definitions__: [\"open('made', 'w')\"]\n",
    "python": "a: !!python/object/apply:os.system ['touch made']\n",
}


@pytest.mark.parametrize("text", CODE.values(), ids=CODE)
def test_a_study_file_runs_no_code(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(read_yaml, written(tmp_path, text))
    assert not (tmp_path / "made").exists()


def test_snakemake_runs_no_code_and_follows_no_bomb_of_a_study_file(tmp_path):
    """Snakemake alone would do both, before any line of the workflow: the profile keeps it from it."""
    project = new_project(tmp_path / "project")
    for text in (CODE["yte"], laughs(10, "{k: %s}")):
        (project / "study.yaml").write_text(text)
        code, output = run(project, "-n")
        assert code != 0
        assert "Traceback" not in output
        assert len(output.strip().splitlines()) <= 2, output
        assert "study.yaml" in output
        assert not (project / "made").exists()


def test_every_profile_guards():
    for path in REPOSITORY.glob("profiles/*/profile.yaml"):
        assert "from hsc_pipeline.guard import protect\n  - protect()\n" in path.read_text(), path


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/b", "a\\b", ".", "", "x" * 41, "a\n", "é", "NUL:", "{study}"]
)
def test_a_name_is_no_path(name):
    study = read_yaml(REPOSITORY / "config/config.yaml")
    tracking = read_yaml(REPOSITORY / "config/tracking.yaml")
    arms = [{**study["arms"][0], "name": name}, *study["arms"][1:]]
    for load, content in (
        (load_study, {**study, "name": name}),
        (load_study, {**study, "arms": arms}),
        (load_tracking, {**tracking, "name": name}),
    ):
        assert "a-z" in refused(load, content)


def test_no_module_evaluates_or_unpickles():
    """By words in the sources: what reads a stranger's file must not be able to run it."""
    forbidden = re.compile(
        r"(?<![\w.])(?:eval|exec)\(|\bpickle\b|os\.system\(|shell=True|unsafe_load|full_load"
    )
    for path in REPOSITORY.glob("hsc_pipeline/**/*.py"):
        assert not forbidden.search(path.read_text()), path
    assert forbidden.search("= eval(text)")


# The report -----------------------------------------------------------------------------------------

SCRIPT = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def test_no_text_of_a_stranger_becomes_markup():
    import altair as alt
    import pandas as pd

    from hsc_pipeline.report.figures.common import grid
    from hsc_pipeline.report.page import Figure

    rows = pd.DataFrame({"x": [1.0, 2.0], "name": [SCRIPT, "a"]})
    chart = alt.Chart(rows).mark_point().encode(x="x:Q", y="name:N", color="name:N")
    table = TextTable(SCRIPT, [SCRIPT, "b"], [[SCRIPT, SCRIPT]])
    blocks = [Text(SCRIPT), table, Figure("f", SCRIPT, SCRIPT, SCRIPT, grid([chart], most=1, height=100))]
    head = {name: SCRIPT for name in ("title", "study", "kicker", "subtitle", "version", "footer")}
    page = render({**head, "arms": [], "colours": {}}, [Section("s", SCRIPT, SCRIPT, blocks, lead=[SCRIPT])])
    seen = Tags()
    seen.feed(page)
    assert seen.tags.count("script") == 3  # the data, the library, the page's own
    assert "img" not in seen.tags
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert "&lt;/script&gt;" in page


class Tags(HTMLParser):
    """Elements and attributes as a browser sees them."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_no_text_ends_the_script_that_holds_it():
    held = script_json({SCRIPT: [SCRIPT, "<!--", "]]>", "&"]})
    assert not re.search("[<>&]", held)
    assert json.loads(held) == {SCRIPT: [SCRIPT, "<!--", "]]>", "&"]}


# Privacy --------------------------------------------------------------------------------------------


def test_every_column_of_a_topic_that_names_somebody_is_known():
    """A new column must be seen here to be plain, or named in `privacy`."""
    suspects = re.compile(r"subject|sample|clone|patient|site|position|start|end|near_to|barcode|name")
    counted = {
        "samples",
        "clones",
        "sites",
        "patients_alarmed",
        "samples_needed",
        "false_alarms_per_patient_year",
    }  # numbers of them
    for topic in COLUMNS:
        odd = {name for name in columns_of(topic) if suspects.search(name)} - counted
        assert odd <= {*NAMING, *ROUNDED}, topic


def test_a_pseudonym_needs_the_key_and_tells_kinds_apart():
    one, other = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)
    assert one.of("subject", "P1") == Pseudonyms(b"1" * 32).of("subject", "P1")
    assert len({one.of("subject", "P1"), other.of("subject", "P1"), one.of("subject", "P2")}) == 3
    assert one.of("subject", "P1").split("-")[1] != one.of("sample", "P1").split("-")[1]
    assert one.of("subject", "") == ""


# Fuzz -----------------------------------------------------------------------------------------------


def _study(path: Path):
    return load_study(read_yaml(path), path.name)


def _tracking(path: Path):
    return load_tracking(read_yaml(path), path.name)


LENGTHS = {"1": 10**8, "2": 10**8}
TABLES = {
    "long": (
        "subject,month,tissue,lineage,clone,count\na,3,PB,T,7,2\na,3,PB,T,8,1\nb,6,PB,B,7,9\n",
        formats.read,
    ),
    "gt23": (
        "seqnames,start,strand,posid,GTSP,patient,cellType,timePoint,reads,estAbund,nearestFeature\n"
        "chr1,100,+,chr1+100,GTSP1,p1,CD3,M6,20,4,LMO2\nchr2,200,-,chr2-200,GTSP2,p1,CD15,Y1,30,6,MECOM\n",
        formats.read,
    ),
    "aavenger": (
        "trial,subject,sample,posid,reads,sonicLengths,nearestGene\n"
        "t,s,s1,chr1+100,10,3,A\nt,s,s2,chr1-500,10,3,B\n",
        formats.read,
    ),
    "matrix": ("chr,integration_locus,strand,s1,s2\n1,100,+,3,\n2,500,-,,7\n", formats.read),
    "clinical": (
        "subject,month,measure,lineage,value,unit\na,3,vcn,T,0.5,copies/cell\na,6,count,T,<5,cells/uL\n",
        formats.read_clinical,
    ),
    "phylogenies": ("subject,month,sample,colonies,coalescences\na,36,,120,62\n", formats.read_colonies),
    "sites": (
        "chr,position,strand,gene,reads\n1,100,+,A,3\n2,500,-,B,7\n",
        lambda path: read_sites(str(path), LENGTHS),
    ),
    "colonies": ("colony,copies\n1,2\n2,3\n", lambda path: read_colonies(str(path))),
    "genes": (
        "gene,class,frequency,chromosome,start,end\nA,oncogene,0.1,1,100,200\nB,,0.2,2,100,300\n",
        lambda path: read_gene_table(str(path), LENGTHS),
    ),
}
FUZZED = {
    "study": (STUDY, _study, 1500),
    "tracking": ((REPOSITORY / "config/tracking.yaml").read_text(), _tracking, 1500),
    **{name: (text, read, 300) for name, (text, read) in TABLES.items()},
}
LONGEST = 20  # seconds for one small file, which takes milliseconds: a hang, not a slow machine


@pytest.mark.parametrize("kind", FUZZED)
def test_spoilt_files_are_read_or_refused_in_one_sentence(kind, tmp_path, monkeypatch):
    """5,700 in all.  An error of any other kind, a second line or a hang is a failure."""
    monkeypatch.chdir(REPOSITORY)
    text, read, times = FUZZED[kind]
    good = 0
    for number in range(times):
        path = written(tmp_path, mutated(text, random.Random(f"{SEED} {kind} {number}")), f"{kind}.csv")
        begun = time.monotonic()
        try:
            read(path)
            good, said = good + 1, ""
        except UserError as error:
            said = str(error)
        except Exception as error:
            pytest.fail(f"{kind} {number}: {type(error).__name__}: {error}: {path.read_bytes()[:500]!r}")
        assert "\n" not in said, number
        assert time.monotonic() - begun < LONGEST, number
    assert good < times, "nothing was spoilt"
    assert good or kind == "matrix", "everything was refused, so little was tried"  # it wants a second file


def test_the_fuzz_is_of_5000_files_or_more():
    assert sum(times for _, _, times in FUZZED.values()) >= 5000


@pytest.mark.slow
def test_snakemake_refuses_spoilt_study_files_without_a_traceback(tmp_path):
    project = new_project(tmp_path / "project")
    ended = {0: 0, 1: 0}
    for number in range(50):
        data = mutated(STUDY, random.Random(f"{SEED} snakemake {number}"))
        (project / "study.yaml").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "-n", "--configfile", "study.yaml"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project), "HOME": str(project / "home")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, (number, data, said[-2000:])
        ended[done.returncode] += 1
        if done.returncode:
            assert len(said.strip().splitlines()) <= 2, (number, said)
        assert not (project / "results").exists()
    assert min(ended.values()) > 0, ended


def test_the_mutations_are_the_same_each_time():
    texts = [mutated(STUDY, random.Random("1")) for _ in range(2)]
    assert texts[0] == texts[1]
    assert io.BytesIO(texts[0]).read() != STUDY.encode()
