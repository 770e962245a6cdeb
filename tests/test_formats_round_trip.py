"""What a format holds, it gives back: every sample, clone, count, place and name."""

import gzip

import pyarrow as pa
import pytest
from hypothesis import given, settings

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import detect, read, write
from tests.clone_tables import assert_same, drawn, observations

FEW = settings(max_examples=40)
SITE_ASSAYS = {
    "isanalytics": ("reads", "fragments", "barcodes", "cells"),
    "gt23": ("reads", "fragments"),
    "barcodetrackr": ("reads", "fragments", "cells", "barcodes", "unstated"),
    "long": ("reads", "fragments", "cells", "barcodes", "unstated"),
}


def there_and_back(observed, format_, folder):
    write(observed, folder, format_)
    assert detect(folder) == format_
    assert_same(read(folder, empty="keep"), observed)


@FEW
@given(observed=drawn(SITE_ASSAYS["isanalytics"]))
def test_isanalytics_loses_nothing(observed, tmp_path_factory):
    there_and_back(observed, "isanalytics", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(SITE_ASSAYS["gt23"]))
def test_gt23_loses_nothing(observed, tmp_path_factory):
    there_and_back(observed, "gt23", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(SITE_ASSAYS["barcodetrackr"]))
def test_barcodetrackr_loses_nothing_of_sites(observed, tmp_path_factory):
    there_and_back(observed, "barcodetrackr", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(SITE_ASSAYS["barcodetrackr"], sites=False))
def test_barcodetrackr_loses_nothing_of_barcodes(observed, tmp_path_factory):
    there_and_back(observed, "barcodetrackr", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(SITE_ASSAYS["long"]))
def test_a_long_table_loses_nothing_of_sites(observed, tmp_path_factory):
    there_and_back(observed, "long", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(SITE_ASSAYS["long"], sites=False))
def test_a_long_table_loses_nothing_of_barcodes(observed, tmp_path_factory):
    there_and_back(observed, "long", tmp_path_factory.mktemp("written"))


@FEW
@given(observed=drawn(("reads", "barcodes"), sites=False, least=1))
def test_airr_loses_nothing(observed, tmp_path_factory):
    there_and_back(observed, "airr", tmp_path_factory.mktemp("written"))


SAMPLES = [
    {"sample": "a1", "subject": "a", "month": 12.0, "marker": "CD15", "tissue": "PB"},
    {"sample": "b1", "subject": "b", "month": 18.5, "marker": "CD3", "tissue": "PB"},
]
ROWS = [
    ("a1", "chr1+100", 2.5, "1", 100, "+", "LMO2"),
    ("a1", "chrX-5", 1, "X", 5, "-", ""),
    ("b1", "chr1+100", 7, "1", 100, "+", "LMO2"),
]
READS = [(sample, clone, 40 + at, *place) for at, (sample, clone, _, *place) in enumerate(ROWS)]


@pytest.mark.parametrize("format_", ["isanalytics", "gt23"])
def test_two_assays_of_the_same_samples_stand_in_one_folder(format_, tmp_path):
    fragments, reads = observations(SAMPLES, ROWS), observations(SAMPLES, READS, "reads")
    write([fragments, reads], tmp_path, format_)
    assert_same(read(tmp_path), fragments)
    assert_same(read(tmp_path, assay="reads"), reads)


def test_gt23_joins_assays_that_saw_different_clones(tmp_path):
    fragments, reads = observations(SAMPLES, ROWS[:2]), observations(SAMPLES, READS[1:], "reads")
    write([fragments, reads], tmp_path, "gt23")
    assert_same(read(tmp_path, empty="keep"), fragments)
    assert_same(read(tmp_path, assay="reads", empty="keep"), reads)


@pytest.mark.parametrize("format_", SITE_ASSAYS)
def test_the_same_observations_are_the_same_bytes(format_, tmp_path):
    """Whenever written; and in whatever order the rows stand, for matrices."""
    observed = observations(SAMPLES, ROWS)
    again = observations(SAMPLES, ROWS[::-1] if format_ in ("isanalytics", "barcodetrackr") else ROWS)
    first, second = (write(o, tmp_path / name, format_) for o, name in ((observed, "x"), (again, "y")))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("format_", ["isanalytics", "gt23", "barcodetrackr", "long"])
def test_plain_and_packed_files_read_alike(format_, tmp_path):
    observed = observations(SAMPLES, ROWS)
    for path in write(observed, tmp_path, format_):
        if path.suffix == ".gz" and format_ in ("isanalytics", "gt23"):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
        elif path.suffix == ".gz":  # plain text under a packed name
            path.write_bytes(gzip.decompress(path.read_bytes()))
    assert_same(read(tmp_path), observed)


@pytest.mark.parametrize(
    ("format_", "row", "message"),
    [
        ("isanalytics", ("a1", "ACGT", 1), "holds integration sites; clone 'ACGT' has none"),
        ("gt23", ("a1", "ACGT", 1), "holds integration sites; clone 'ACGT' has none"),
        ("gt23", ("a1", "mine", 1, "1", 5, "+", ""), "'mine' would be lost"),
        ("isanalytics", ("a1", "chr1+5.2", 1, "1", 5, "+", ""), r"'chr1\+5.2' would be lost"),
        ("airr", ("a1", "chr1+5", 1, "1", 5, "+", ""), "no place for sites"),
        ("isanalytics", ("a2", "chr1+100", 1, "1", 100, "+", "MECOM"), "has two genes"),
        ("barcodetrackr", ("a2", "chr1+100", 1, "1", 100, "+", "MECOM"), "two places or genes"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(format_, row, message, tmp_path):
    samples = [*SAMPLES, {**SAMPLES[0], "sample": "a2"}]
    observed = observations(samples, [("a1", "chr1+100", 3, *ROWS[0][3:]), row], "reads")
    with pytest.raises(UserError, match=message):
        write(observed, tmp_path / "out", format_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": "NA"}, "subject 'NA' cannot be written"),
        ({"marker": " CD3"}, "marker ' CD3' cannot be written"),
        ({"tissue": "P\nB"}, "cannot be written"),
        ({"subject": ""}, "a subject has no name"),
        ({"other": {"month": "3"}}, "other: 'month' with '3' cannot be written"),
    ],
)
def test_names_that_would_not_come_back_are_refused(change, message, tmp_path):
    observed = observations([{**SAMPLES[0], **change}], ROWS[:1])
    for format_ in SITE_ASSAYS:
        with pytest.raises(UserError, match=message):
            write(observed, tmp_path, format_)


@pytest.mark.parametrize("format_", ["barcodetrackr", "long", "airr"])
def test_formats_of_one_assay_refuse_two(format_, tmp_path):
    both = [observations(SAMPLES, ROWS), observations(SAMPLES, READS, "reads")]
    with pytest.raises(UserError, match="one assay"):
        write(both, tmp_path, format_)
    with pytest.raises(UserError, match="different assays of the same samples"):
        write([both[0], both[0]], tmp_path, format_)


def test_an_assay_that_a_format_has_no_column_for_is_refused(tmp_path):
    for format_, assay in (("gt23", "cells"), ("isanalytics", "unstated"), ("airr", "fragments")):
        with pytest.raises(UserError, match=format_):
            write(observations(SAMPLES, READS, assay), tmp_path, format_)


def test_names_are_dictionary_encoded_under_one_dictionary():
    """Codes of clones may be used as numbers: one array, no name twice."""
    clones = observations(SAMPLES, ROWS).clones
    for name in ("subject", "tissue", "lineage", "sample", "clone"):
        column = clones[name].unify_dictionaries()
        assert pa.types.is_dictionary(column.type)
        assert column.num_chunks == 1
        dictionary = column.chunk(0).dictionary.to_pylist()
        assert len(set(dictionary)) == len(dictionary)
