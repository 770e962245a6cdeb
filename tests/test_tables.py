"""Tables between stages: checked, whole or absent, the same bytes for the same rows."""

import os
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hsc_pipeline import tables
from hsc_pipeline.errors import ModelError
from hsc_pipeline.tables import (
    Column,
    Table,
    by_patient,
    gather,
    read_patients,
    replacing,
    sweep,
    turns,
    write,
    write_together,
)

CELLS = Table(
    "cells",
    ("patient", "month"),
    {
        "patient": Column(pa.int32(), "", "number", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "share": Column(pa.float64(), "", "of all", 0, 1, nullable=True),
    },
)


def cells(patient, months, share=0.5):
    return CELLS.build({"patient": [patient] * len(months), "month": months, "share": [share] * len(months)})


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"patient": [1], "month": [1.0]}, "missing or foreign: share"),
        ({"patient": [1], "month": [1.0], "share": [0.1], "more": [1]}, "missing or foreign: more"),
        ({"patient": [1], "month": [1.0], "share": [1.5]}, "share runs from 1.5 to 1.5"),
        ({"patient": [-1], "month": [1.0], "share": [0.5]}, "patient runs from -1"),
        ({"patient": [1], "month": [np.nan], "share": [0.5]}, "month holds NaN"),
        ({"patient": [1, 1], "month": [2.0, 2.0], "share": [0.5, 0.6]}, "1 rows repeat the key"),
    ],
)
def test_a_table_against_its_schema_fails_loudly(columns, problem):
    with pytest.raises(ModelError, match=problem):
        CELLS.build(columns)


def test_not_measured_is_a_state_of_nullable_columns_only():
    table = CELLS.build({"patient": [1], "month": [1.0], "share": [np.nan]})
    assert table.column("share").null_count == 1
    with pytest.raises(ModelError, match="month has 1 empty"):
        CELLS.build({"patient": [1], "month": pa.array([None], pa.float64()), "share": [0.5]})


def test_the_schema_carries_units_and_survives_the_file(tmp_path):
    write(tmp_path / "a.parquet", cells(1, [1.0, 2.0]))
    table = CELLS.read(tmp_path / "a.parquet")
    assert table.schema.field("month").metadata[b"unit"] == b"months"
    assert table.equals(cells(1, [1.0, 2.0]))


@pytest.mark.parametrize(("rows", "groups"), [(1, 5), (3, 3), (100, 1)])
def test_gathered_bytes_do_not_depend_on_the_batches(tmp_path, monkeypatch, rows, groups):
    monkeypatch.setattr(tables, "ROWS_OF_A_GROUP", rows)
    parts = [cells(patient, [1.0] * 0 if patient == 2 else [1.0, 2.0], patient / 10) for patient in range(6)]
    for cuts in ([0, 6], [0, 1, 6], [0, 2, 3, 5, 6]):
        files = []
        for first, last in pairwise(cuts):
            files.append(tmp_path / f"{first}-{last}.parquet")
            write_together({"cells": files[-1]}, [{"cells": part} for part in parts[first:last]])
        gather(files, tmp_path / f"{len(cuts)}.parquet")
    whole = {(tmp_path / f"{n}.parquet").read_bytes() for n in (2, 3, 5)}
    assert len(whole) == 1
    assert pq.ParquetFile(tmp_path / "2.parquet").num_row_groups == groups
    assert CELLS.read(tmp_path / "2.parquet").equals(pa.concat_tables(parts))


@pytest.mark.parametrize("number", [1, 49, 50, 51, 120])
def test_turns_hold_every_patient_once(number):
    cut = list(turns((7, 6 + number)))
    assert [patient for first, last in cut for patient in range(first, last + 1)] == list(
        range(7, 7 + number)
    )
    assert max(last - first + 1 for first, last in cut) <= tables.AT_ONCE


def test_some_patients_are_read_without_the_rest(tmp_path):
    write_together({"cells": tmp_path / "a.parquet"}, [{"cells": cells(p, [1.0, 2.0])} for p in range(5)])
    some = by_patient(CELLS.read(tmp_path / "a.parquet", (2, 3)), [2, 3, 4])
    assert {p: columns["month"].tolist() for p, columns in some.items()} == {
        2: [1.0, 2.0],
        3: [1.0, 2.0],
        4: [],
    }


def test_patients_named_one_by_one_are_read_without_the_rest(tmp_path):
    write_together({"cells": tmp_path / "a.parquet"}, [{"cells": cells(p, [1.0])} for p in range(9)])
    some = CELLS.read(tmp_path / "a.parquet", among=np.array([7, 2, 11]))
    assert some["patient"].to_pylist() == [2, 7]
    both = CELLS.read(tmp_path / "a.parquet", (0, 4), among=np.array([7, 2]))
    assert both["patient"].to_pylist() == [2]
    assert read_patients(tmp_path / "a.parquet", (0, 1), columns=["month"]).column_names == ["month"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def cut_short():
        with replacing(file) as aside:
            aside.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut_short()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert file.read_text() == "old"


def test_a_failed_batch_leaves_no_table_at_all(tmp_path):
    def parts():
        yield {"cells": cells(0, [1.0])}
        raise ModelError("impossible")

    with pytest.raises(ModelError, match="impossible"):
        write_together({"cells": tmp_path / "a.parquet"}, parts())
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_job_left_aside_is_swept(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_text("whole")
    (tmp_path / ".a.parquet.part-1").write_text("half")
    (tmp_path / ".b.parquet.part-1").write_text("another file's")
    sweep(file)
    assert sorted(os.listdir(tmp_path)) == [".b.parquet.part-1", "a.parquet"]
