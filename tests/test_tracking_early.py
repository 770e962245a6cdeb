"""Mistakes in the tables of a tracking file: one sentence before any job, by the commands one types."""

import pytest
import yaml

from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking import early
from hsc_pipeline.tracking.early import check_tables
from hsc_pipeline.tracking.settings import load_tracking
from tests.test_workflow import new_project, run

CLONES = """subject,month,tissue,lineage,clone,fragments
a,12,PB,Myeloid,chr1+100,5
a,12,PB,Myeloid,chr2-200,3.5
a,24,PB,Myeloid,chr1+100,7
a,24,PB,T,chr3+300,2
"""
CLINICAL = "subject,month,measure,lineage,value,unit\na,12,vcn,T,1.5,copies/cell\n"
COLONIES = "subject,colonies,coalescences\na,50,3\n"
GENES, LENGTHS = "gene,class\nLMO2,oncogene\nMECOM,oncogene\n", "gene,length\nLMO2,34500\n"
ADDED = {"clinical": CLINICAL, "colonies": COLONIES, "genes": GENES, "gene_lengths": LENGTHS}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with every table, from which paths start, and the tracking file that names them."""
    monkeypatch.chdir(tmp_path)
    texts = {"clones": CLONES, **ADDED}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
    added = {name: f"{name}.csv" for name in ADDED}
    head = {"kind": "tracking", "schema_version": 1, "name": "mine"}
    return {**head, "tables": [{"path": "clones.csv"}], **added}


def changed(folder, name, old, new):
    file = folder / f"{name}.csv"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


MISTAKES = [
    ("clones", "clone,", "site,", "clones.csv: .*clone"),
    ("clones", "chr2-200", "chr1+100", "clones.csv, line 3: clone 'chr1.100' stands twice in sample"),
    ("clones", ",7", ",-7", "clones.csv, line 4, column fragments: a count below 0: -7"),
    ("clones", "clone,fragments", "clone,reads", "clones.csv, line 3, column reads: a fractional count, 3.5"),
    ("clones", "lineage,clone", "lineage,lineage", "clones.csv, line 1: the column 'lineage' stands twice"),
    ("clones", "chr3+300", "3+300", "clones.csv, column of clones: .* has the prefix chr, .* has not"),
    ("clones", "a,24,PB,T", "a,1095,PB,T", "clones.csv, column month: runs to 1095 months, .* in days"),
    ("clones", "chr3+300,2", "chr3+300,0", "clones.csv: 1 of 3 samples hold no clone, the first 'a_T_PB_24'"),
    ("clones", "fragments\n", "fragments,assay\n", "clones.csv, line 2: 6 cells, where the header has 7"),
    ("clinical", "1.5", "-1", "clinical.csv, line 2, column value: vcn of -1"),
    ("clinical", "unit", "units", "clinical.csv: .*unit"),
    ("colonies", "50,3", "50,60", "colonies.csv, line 2: 50 colonies cannot have 60 coalescences"),
    ("genes", "gene,class", "gene,role", "genes.csv: no column 'class'; it has gene, role"),
    ("genes", "MECOM", "LMO2", "genes.csv, line 3: 'LMO2' stands there twice"),
    ("gene_lengths", "34500", "long", "gene_lengths.csv, line 2, column length: 'long'; allowed: bases"),
    ("gene_lengths", "34500", "0", "gene_lengths.csv, line 2, column length: '0'; allowed: bases"),
    ("gene_lengths", "length", "bases", "gene_lengths.csv: no column 'length'; it has gene, bases"),
]


@pytest.mark.parametrize(("table", "old", "new", "message"), MISTAKES)
def test_a_mistake_in_a_table_is_one_sentence(study, tmp_path, table, old, new, message):
    assert check_tables(load_tracking(study)) == 3  # without it there is none
    changed(tmp_path, table, old, new)
    with pytest.raises(UserError, match=message) as caught:
        check_tables(load_tracking(study))
    assert "\n" not in str(caught.value)


def test_tables_of_two_assays_are_refused(study, tmp_path):
    reads = CLONES.replace("fragments", "reads").replace("3.5", "3").replace("a,", "b,")
    (tmp_path / "reads.csv").write_text(reads)
    study["tables"].append({"path": "reads.csv"})
    with pytest.raises(UserError, match="different assays"):
        check_tables(load_tracking(study))


def test_a_subject_that_no_table_holds_is_refused(study):
    study["stem_cells"] = {"copies_by_subject": {"A": 2}}
    with pytest.raises(UserError, match="copies_by_subject: 'A' is in no table; allowed: a"):
        check_tables(load_tracking(study))


def test_of_large_tables_the_columns_are_looked_at(study, tmp_path):
    assert check_tables(load_tracking(study), largest=0) is None
    changed(tmp_path, "clones", ",7", ",-7")
    assert check_tables(load_tracking(study), largest=0) is None  # left to the job that reads it
    changed(tmp_path, "clones", "clone,", "site,")
    with pytest.raises(UserError, match="fits no known format; found the columns"):
        check_tables(load_tracking(study), largest=0)


def test_a_leak_between_lineages_that_are_none_is_refused(study):
    for leak, words in (
        ({"Myeloid": {"Tcell": 0.01}}, "leak.Myeloid.Tcell"),
        ({"T": {"B": 0.6}}, "leak.T.B = 0.6"),
    ):
        with pytest.raises(UserError, match=words):
            load_tracking({**study, "leak": leak})


def test_check_reads_tables_whole_whatever_their_size(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(early, "LARGEST", 0)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    assert main(["check", "mine.yaml"]) == 0
    assert capsys.readouterr().out == "mine.yaml: 3 samples in 1 tables of clones\n"
    changed(tmp_path, "clones", ",7", ",-7")
    assert main(["check", "mine.yaml"]) != 0
    assert "line 4, column fragments" in capsys.readouterr().err


def test_the_real_command_tells_mistakes_before_any_job(study, tmp_path):
    """A dry run is enough; nothing is begun and nothing left behind."""
    project = new_project(tmp_path / "project", study)
    for name in ("clones", *ADDED):
        (project / f"{name}.csv").write_text((tmp_path / f"{name}.csv").read_text())
    code, output = run(project, "-n", "tracking")
    assert code == 0, output[-2000:]
    for table, old, new, message in (
        ("clones", ",7", ",-7", "clones.csv, line 4, column fragments: a count below 0: -7"),
        ("genes", "gene,class", "gene,role", "genes.csv: no column 'class'; it has gene, role"),
    ):
        changed(project, table, old, new)
        code, output = run(project, "--cores", "1", "tracking")
        assert code != 0
        assert message in output
        assert "Traceback" not in output
        assert not (project / "results").exists()
        changed(project, table, new, old)
