"""Reference intervals: the table at the middle of its bands, smooth between, within another laboratory's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.catalogue import tables
from hsc_pipeline.norms import Norms

ROWS = [tuple(row) for row in tables()["cell_norms"]["rows"]]
NORMS = Norms(ROWS)
CELLS = sorted({row[0] for row in ROWS})
RANGES = Path(__file__).parents[2] / "shared/data/lymphocyte_reference/reference_ranges_cells_per_ul.csv"


def middle(start, stop):
    """Age at which a band's numbers hold; the adult band is flat from its beginning."""
    return start if stop >= 100 else (start + stop) / 2


@pytest.mark.parametrize(("cell", "start", "stop", "median", "p10", "p90"), ROWS)
def test_bands_are_reproduced_at_their_middle(cell, start, stop, median, p10, p90):
    """The median, and an sd of the logarithm of ln(p90/p10) / 2.5631."""
    age = middle(start, stop)
    assert NORMS.median(cell, age) == pytest.approx(median)
    assert NORMS.z_score(cell, median, age) == pytest.approx(0, abs=1e-12)
    width = NORMS.z_score(cell, p90, age) - NORMS.z_score(cell, p10, age)
    assert width == pytest.approx(2 * 1.28155, abs=1e-3)


@pytest.mark.parametrize(("cell", "start", "stop", "median", "p10", "p90"), ROWS)
def test_the_tenth_centile_scores_z_of_minus_1_28_where_the_interval_is_symmetric(
    cell, start, stop, median, p10, p90
):
    """Off by ln(median^2 / (p10 p90)) / (2 sd), what the interval lacks of symmetry on the log scale."""
    asymmetry = np.log(median**2 / (p10 * p90)) / 2 / NORMS.ln_sd(cell, middle(start, stop))
    assert NORMS.z_score(cell, p10, middle(start, stop)) == pytest.approx(-1.28155 - asymmetry, abs=1e-3)
    if start == 18:  # adult medians are geometric middles, rounded
        assert abs(asymmetry) < 0.05


@pytest.mark.parametrize("cell", CELLS)
def test_nobody_jumps_on_a_birthday(cell):
    """Four days change median and spread by less than 4 %; a step between bands would be 10 % and more."""
    ages = np.arange(0, 100, 0.01)
    assert np.abs(np.diff(np.log(NORMS.median(cell, ages)))).max() < 0.04
    assert np.abs(np.diff(np.log(NORMS.ln_sd(cell, ages)))).max() < 0.04


@given(cell=st.sampled_from(CELLS), age=st.floats(0, 120), count=st.floats(1, 1e6), more=st.floats(1.001, 10))
def test_z_score_rises_with_the_count(cell, age, count, more):
    assert NORMS.z_score(cell, count, age) < NORMS.z_score(cell, count * more, age)


@given(cell=st.sampled_from(CELLS), age=st.floats(0, 120))
def test_medians_stay_between_those_of_the_bands(cell, age):
    medians = [row[3] for row in ROWS if row[0] == cell]
    assert min(medians) * (1 - 1e-9) <= NORMS.median(cell, age) <= max(medians) * (1 + 1e-9)
    assert NORMS.ln_sd(cell, age) > 0


def test_no_cells_are_minus_infinity_without_a_warning():
    assert NORMS.z_score("cd4_t", np.array([0.0]), np.array([3.0])) == -np.inf


@pytest.mark.parametrize("age", [0.3, 1.5, 4, 9, 15, 30])
def test_helpers_and_killers_are_no_more_than_all_t_cells(age):
    assert NORMS.median("cd4_t", age) + NORMS.median("cd8_t", age) < 1.05 * NORMS.median("cd3", age)


@pytest.mark.parametrize(
    ("cell", "column"),
    [("cd3", "cd3"), ("cd4_t", "cd4"), ("cd8_t", "cd8"), ("b_cell", "cd19"), ("nk_cell", "nk")],
)
def test_medians_lie_within_another_laboratorys_reference_ranges(cell, column):
    """Seven age groups of a handbook that did not supply the table."""
    if not RANGES.exists():
        pytest.skip("no reference ranges: the check of the norms against another laboratory did NOT run")
    groups = pd.read_csv(RANGES)
    ages = (groups["age_from_y"] + groups["age_to_y"].fillna(60)) / 2
    assert len(groups) == 7
    assert pd.Series(NORMS.median(cell, ages)).between(groups[f"{column}_lo"], groups[f"{column}_hi"]).all()
