"""What the report says of the models' validation is what the repository's page says."""

from pathlib import Path

import pandas as pd

from hsc_pipeline.report.sections import trust

PAGE = Path(__file__).parents[1] / "docs" / "validation.md"


def test_table_of_the_package_is_that_of_the_page():
    lines = [
        line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")
    ]
    packaged = pd.read_csv(trust.PUBLISHED, dtype=str, keep_default_na=False)
    rows = packaged.drop(columns="disease").to_numpy().tolist()
    assert [[cell.strip("*") for cell in line] for line in lines[1:]] == rows
    free = packaged[packaged["calibrated a default"] == "no"]
    assert f"**{(free['verdict'] == 'inside').sum()} of {len(free)}** rows" in PAGE.read_text()


def test_only_rows_that_set_no_default_count():
    rows = pd.DataFrame(
        {
            "disease": list("aab"),
            "verdict": ["inside", "inside", "outside"],
            "calibrated a default": ["yes", "no", "no"],
        }
    )
    said = trust._published_said(rows[rows["disease"] == "a"], rows, "a")
    assert "holds 1 of 1 in a; of all diseases 1 of 2" in said
    assert "none tests it" in trust._published_said(rows.head(1), rows, "a")
    assert "No published outcome of c" in trust._published_said(rows.head(0), rows, "c")


def test_large_numbers_are_written_out():
    assert trust._plain("5.36e+03 (3.77e+03 to 6.57e+03)") == "5,360 (3,770 to 6,570)"
    assert trust._plain("0.444 (0.222 to 0.667)") == "0.444 (0.222 to 0.667)"
