"""Every mistake in a table is one sentence that names the file and the line or the column."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import detect, files, read, read_clinical, read_colonies
from tests.test_formats_readers import ASSOCIATION, GT23, LONG, TIDY, WIDE, airr, tree


def refused(message, path, format_=None, **options):
    with pytest.raises(UserError, match=message) as caught:
        read(path, format_, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path)) or str(path.parent) in text
    return text


def written(tmp_path, text, name="clones.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8,1", "8,-1", r"line 3, column count: a count below 0: -1"),
        (
            "8,1",
            "8,1.5",
            r"line 3, column count: a fractional count, 1.5, in a column not declared an estimate",
        ),
        ("8,1", "8,NaN", r"line 3, column count: nan is not a count"),
        ("8,1", "8,inf", r"line 3, column count: inf is not a count"),
        ("8,1", "8,", r"line 3, column count: the count is empty"),
        ("8,1", "8,NA", r"line 3, column count: the count is empty"),
        ("8,1", "8,many", r"line 3, column count: 'many' is not a number"),
        ("8,1", "8,1_0", r"line 3, column count: '1_0' is not a number"),
        ("8,1", "8", r"line 3: 5 cells, where the header has 6"),
        ("8,1", "8,1,1", r"line 3: 7 cells, where the header has 6"),
        ("8,1", "7,1", r"line 3: clone '7' stands twice in sample 'a_CD3_PB_3'"),
        ("8,1", ",1", r"line 3, column clone: the clone has no name"),
        ("b,6", "b,late", r"line 4, column month: 'late' is not a number"),
        ("b,6", "b,nan", r"line 4, column month: 'nan' is not a number"),
        ("b,6", "b,1265", r"column month: runs to 1265 months, so it seems to be in days; say time_unit"),
        ("b,6", ",6", r"line 4: no subject"),
        ("clone,", "name,", "no column names the clone; found subject, month"),
        ("count", "how_many", "no column of counts; found subject"),
        ("tissue", "month", r"line 1: the column 'month' stands twice"),
        ("subject", "who", "no column names the subject; say subject="),
        ("7,5", "7,0", "1 of 2 samples hold no clone, the first 'b_odd_BM_6'; say empty="),
    ],
)
def test_mistakes_in_a_long_table(old, new, message, tmp_path):
    refused(message, written(tmp_path, LONG.replace(old, new, 1)), "long")


def test_two_columns_that_mean_the_same_are_refused(tmp_path):
    text = LONG.replace("subject", "donor").replace("tissue", "patient")
    refused("the columns donor, patient all seem to hold the subject", written(tmp_path, text), "long")


def test_what_is_refused_can_be_asked_for(tmp_path):
    fractional = written(tmp_path, LONG.replace("8,1", "8,1.5"))
    assert read(fractional, estimate=True).clones["count"].to_pylist() == [2, 1.5, 5]
    assert read(fractional, assay="fragments").assay == "fragments"
    days = written(tmp_path, LONG.replace("b,6", "b,1265"))
    assert read(days, time_unit="days").samples["month"].to_pylist()[1] == 41.5890
    empty = written(tmp_path, LONG.replace("7,5", "7,0"))
    assert read(empty, empty="keep").samples.num_rows == 2
    assert read(empty, empty="drop").samples.num_rows == 1


def test_lines_are_those_of_the_file_though_some_are_empty(tmp_path):
    text = LONG.replace("\na,3,PB,CD3,8,1", "\n\n\na,3,PB,CD3,8,-1")
    refused("line 5, column count: a count below 0", written(tmp_path, text))
    quoted = LONG.replace("PB", '"P\nB"', 1).replace("7,5", "7,-5")
    refused("line 5, column count: a count below 0", written(tmp_path, quoted))


def test_mixed_assays_are_refused_not_averaged(tmp_path):
    text = "subject,month,clone,assay,count\na,3,x,reads,90\na,3,x,fragments,4.5\n"
    path = written(tmp_path, text)
    refused("column assay: holds reads and fragments, different assays that cannot be compared", path)
    assert read(path, assay="reads").clones["count"].to_pylist() == [90]
    assert read(path, assay="fragments").clones["count"].to_pylist() == [4.5]
    refused("column assay: holds no cells", path, assay="cells")
    refused("column assay: 'rads'; did you mean 'reads'", written(tmp_path, text.replace("reads", "rads")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("X\t5", "chrX\t5", "column chr: 'chrX' has the prefix chr, '1' has not"),
        ("\t3\t2", "\t3\t-2", "line 2, column id2: a count below 0: -2"),
        ("\t3\t2", "\t3\t2.5", "line 2, column id2: a fractional count, 2.5"),
        ("\t3\t2", "\t3\tNaN", "line 2, column id2: nan is not a count"),
        ("\t3\t2", "\t3\tmany", "line 2, column id2: 'many' is not a number"),
        ("\t5\t-", "\t5\t*", r"column strand: '\*'; allowed: \+ and -"),
        ("\t5\t-", "\tfive\t-", "line 3, column integration_locus: 'five' is not a whole number"),
        ("X\t5\t-", "1\t100\t+", r"line 3: clone 'chr1\+100' stands twice in sample 'id1'"),
        ("id2", "id3", "column id3: no such CompleteAmplificationID"),
        ("strand", "direction", "a matrix of sites needs the column strand; found chr, integration_locus"),
        ("\t3\t2", "\t3\t", "1 of 2 samples hold no clone, the first 'id2'"),
    ],
)
def test_mistakes_in_a_matrix(old, new, message, tmp_path):
    assert old in WIDE
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": WIDE.replace(old, new, 1)})
    refused(message, root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0730", "0024", "line 3: 24 .*TimepointMonths.* are not the same time; are months taken for days"),
        ("0730", "730", "column TimePoint: days have four digits, such as 0360, unlike '730'"),
        ("\tid2", "\tid1", "line 3: sample 'id1' stands twice"),
        ("CompleteAmplificationID", "ID", "no column names the sample"),
        ("\t0.8", "\t-0.8", "line 2, column VCN: -0.8 is below 0"),
        ("\t0.8", "\thigh", "line 2, column VCN: 'high' is not a number"),
        ("\t150", "", "line 3: 10 cells, not 11"),
    ],
)
def test_mistakes_in_an_association_file(old, new, message, tmp_path):
    assert old in ASSOCIATION
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": WIDE})
    path = root / "PJ" / "association.tsv"
    path.write_text(ASSOCIATION.replace(old, new, 1))
    refused(message, root, metadata=path)


def test_a_sample_in_two_matrices_is_refused(tmp_path):
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": WIDE, "PJ_P2_seqCount_matrix.tsv": WIDE})
    refused("sample 'id1' also stands in", root)


def test_a_matrix_without_association_needs_columns_that_say_all(tmp_path):
    path = written(tmp_path, WIDE, "x_seqCount_matrix.tsv")
    refused("column id1: not Subject_CellMarker_Tissue_Time, and there is no association file", path)
    mixed = WIDE.replace("id1", "a_CD3_PB_0365").replace("id2", "a_CD3_PB_12")
    refused(
        "a_CD3_PB_0365 seems to be in days and a_CD3_PB_12 in months", written(tmp_path, mixed, path.name)
    )


def test_the_tidy_form_needs_samples_too(tmp_path):
    refused("no column names the subject", written(tmp_path, TIDY, "x_seqCount_matrix.tsv"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("chr10-7,2.5", "10-7,2.5", "has the prefix chr, .* has not"),
        ("M18.5,562.71,18.5", "M18.5,18.5,18.5", "are not the same time"),
        ("M18.5", "month 18", "line 2, column timePoint: 'month 18' is not a time such as M18.5"),
        (",posid,", ",site,", "a table of sites needs the column posid"),
        ("T cells,M18.5,562.71,18.5,chrX", "B cells,M18.5,562.71,18.5,chrX", "rows that differ in marker"),
    ],
)
def test_mistakes_in_gt23_sites(old, new, message, tmp_path):
    assert old in GT23
    refused(message, written(tmp_path, GT23.replace(old, new, 1)), "gt23")


@pytest.mark.parametrize(
    ("counts", "metadata", "message"),
    [
        ("\ts1\ts2\nA\t1\t2\n", "SAMPLENAME\tsubject\ns1\ta\n", "column s2: no such SAMPLENAME"),
        ("\ts1\nA\t1\n", "SAMPLENAME\tsubject\ns1\ta\ns2\ta\n", "sample 's2' has no column in"),
        (
            "\ts1\nA\t1\nA\t2\n",
            "SAMPLENAME\tsubject\ns1\ta\n",
            "line 3: clone 'A' stands twice in sample 's1'",
        ),
        (
            "\ts1\nA\t1\n",
            "SAMPLENAME\tsubject\tassay\ns1\ta\tcelz\n",
            "column assay: 'celz'; did you mean 'cells'",
        ),
        ("\ts1\nA\t1\n", "SAMPLENAME\tsubject\ttimepoint\ns1\ta\t12\n", "column timepoint: months or days"),
    ],
)
def test_mistakes_in_barcodetrackr_tables(counts, metadata, message, tmp_path):
    written(tmp_path, metadata, "metadata.tsv")
    refused(message, written(tmp_path, counts, "counts.tsv"))


def test_a_matrix_of_barcodes_needs_its_metadata(tmp_path):
    path = written(tmp_path, "\ts1\nA\t1\n", "counts.tsv")
    refused("there is no table of samples beside it", path)
    path = written(tmp_path, "SAMPLENAME\tsubject\ns1\ta\n", "metadata.tsv")
    refused("this is a table of samples; name the table of counts", path)


def test_mistakes_in_airr_tables(tmp_path):
    rows = [("s1", "c1", 5, 2, "r1"), ("s2", "c1", 3, 1, "r1")]
    twice = airr([rows[0], rows[0]])
    refused("line 3: sequence_id 's1' stands twice in 'r1'", written(tmp_path, twice, "a.tsv"))
    nameless = airr([rows[0], ("s2", "", 3, 1, "r1")])
    refused("line 3, column clone_id: an empty cell", written(tmp_path, nameless, "a.tsv"))
    no_id = airr(rows).replace("clone_id", "clone")
    refused("an AIRR table of clones needs the column clone_id", written(tmp_path, no_id, "a.tsv"), "airr")
    refused("holds no rearrangement", written(tmp_path, airr([]), "a.tsv"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,3,vcn,T,-1,copies/cell", "line 2, column value: vcn of -1 copies/cell cannot be"),
        ("a,3,chimerism,T,110,%", "chimerism of 110 % cannot be"),
        ("a,3,chimerism,T,0.5,share", "chimerism in 'share'; allowed: fraction, %"),
        ("a,3,vcn,T,,copies/cell", "line 2, column value: an empty cell"),
        ("a,3,vcn,T,<low,copies/cell", "line 2, column value: 'low' is not a number"),
        ("a,,vcn,T,1,copies/cell", "line 2: no month"),
        ("a,3,IgG,,1,g/L\na,3,IgG,,2,g/L", "line 3: a, 3, IgG stands twice"),
        ("a,3,IgG,,1,g/L\na,6,IgG,,200,mg/dL", "IgG in 'g/L' and in 'mg/dL'; use one unit"),
        ("a,3650,IgG,,1,g/L", "seems to be in days"),
    ],
)
def test_mistakes_in_a_clinical_series(row, message, tmp_path):
    path = written(tmp_path, f"subject,month,measure,lineage,value,unit\n{row}\n")
    with pytest.raises(UserError, match=message):
        read_clinical(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,5,5", "line 2: 5 colonies cannot have 5 coalescences"),
        ("a,5,-1", "cannot have -1 coalescences"),
        ("a,0,0", "0 colonies cannot"),
        ("a,5.5,1", "line 2, column colonies: '5.5' is not a whole number"),
        ("a,5,1\na,6,1", "line 3: a stands twice"),
    ],
)
def test_mistakes_in_summaries_of_phylogenies(row, message, tmp_path):
    path = written(tmp_path, f"subject,colonies,coalescences\n{row}\n")
    with pytest.raises(UserError, match=message):
        read_colonies(path)


# Files that are none, or too much


def test_what_fits_no_format_is_said_with_what_was_found(tmp_path):
    path = written(tmp_path, "height,weight\n1,2\n")
    with pytest.raises(
        UserError, match="fits no known format; found the columns height, weight; a plain table"
    ):
        detect(path)
    with pytest.raises(UserError, match=r"fits no known format; found clones\.csv; looked for"):
        detect(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        detect(tmp_path / "none.tsv")
    with pytest.raises(UserError, match="xlsx files are not read; save the table as tsv"):
        detect(tmp_path / "sites.xlsx")
    with pytest.raises(UserError, match="format: 'isanalitics'; did you mean 'isanalytics'"):
        read(path, "isanalitics")
    with pytest.raises(UserError, match="assay: 'read'; did you mean 'reads'"):
        read(path, "long", assay="read")


def test_broken_files_are_one_sentence(tmp_path):
    good = gzip.compress(LONG.encode() * 100)
    for name, content, message in (
        ("empty.csv", b"", "the first line is empty"),
        ("binary.csv", b"\xff\xfe\x00\x01,\n", "this is not text in UTF-8"),
        ("cut.csv.gz", good[: len(good) // 2], "cannot be read"),
        ("latin.csv", LONG.replace("odd", "\u00e9").encode("latin-1"), "cannot be read"),
        ("header.csv", LONG.splitlines()[0].encode() + b"\n", "holds no sample"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        refused(message, path, "long")


def test_limits_stop_what_would_fill_the_memory(tmp_path, monkeypatch):
    wide = written(tmp_path, "\t".join(f"c{at}" for at in range(100_001)) + "\n")
    refused("100,001 columns; at most 100,000 are read", wide, "long")
    bomb = tmp_path / "bomb.csv.gz"
    bomb.write_bytes(gzip.compress(b"a," * (1 << 24)))
    refused("line 1: longer than 16,777,216 bytes, the limit", bomb, "long")
    monkeypatch.setattr(files, "MOST_ROWS", 2)
    refused("more than 2 rows, the limit", written(tmp_path, LONG), "long")


@pytest.mark.parametrize("form", ["wide", "long"])
def test_lines_are_right_beyond_the_first_block(form, tmp_path, monkeypatch):
    """Read in blocks of some dozen rows, the counts are the same and a mistake has its line."""
    monkeypatch.setattr(files, "_LEAST_BLOCK", 256)
    if form == "wide":
        head = "chr\tintegration_locus\tstrand\ta_CD3_PB_6\ta_CD3_PB_12\n"
        rows = [f"1\t{at}\t+\t{at % 3}\t{at}" for at in range(1, 1001)]
    else:
        head, rows = "subject\tmonth\tclone\treads\n", [f"a\t{at % 2}\tc{at}\t{at}" for at in range(1, 1001)]
    path = tmp_path / "x_seqCount_matrix.tsv"
    path.write_text(head + "\n".join(rows) + "\n")
    found = read(path).clones
    total = sum(range(1001)) + (sum(at % 3 for at in range(1001)) if form == "wide" else 0)
    assert sum(found["count"].to_pylist()) == total
    assert len(set(found["clone"].to_pylist())) == 1000
    path.write_text(
        head + "\n".join([*rows[:800], rows[800].rpartition("\t")[0] + "\t-7", *rows[801:]]) + "\n"
    )
    refused("line 802, column .*: a count below 0: -7", path)


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_file_ends_in_anything_but_a_sentence(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "any.csv"
    path.write_bytes(content)
    with pytest.raises(UserError):
        read(path)


CELLS = st.sampled_from(
    ["a", "1", "-1", "1.5", "", "NA", "NaN", "chr1+5", "1e400", '"', "0003", "M3", "\u00e9", " "]
)


@given(
    header=st.lists(
        st.sampled_from(
            ["subject", "month", "tissue", "marker", "clone", "count", "reads", "trial", "vcn", "posid"]
        ),
        min_size=2,
        max_size=8,
    ),
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=6),
)
def test_no_cells_end_in_anything_but_observations_or_a_sentence(header, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "any.csv"
    path.write_text("\n".join([",".join(header), *(",".join(row[: len(header)]) for row in rows)]) + "\n")
    try:
        found = read(path, "long")
    except UserError:
        return
    assert found.clones.num_rows > 0
