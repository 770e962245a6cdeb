"""What the report says of published outcomes; that its table is the page's is in test_validation.py."""

import pandas as pd

from hsc_pipeline.report.sections import trust


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
