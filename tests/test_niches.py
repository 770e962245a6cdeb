"""Niches and blood against the model of Ashcroft 2017, and the limit that the chain uses."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.engraftment.niches import Niches
from hsc_pipeline.engraftment.two_compartments import Exchange, mean_field, simulate_exchange
from tests.statistics_of import LIMIT, z_of_mean, z_of_share

SHARED = Path(os.environ.get("HSC_PIPELINE_SHARED", Path(__file__).parents[2] / "shared"))
MOUSE = {"niches": 10_000, "in_blood": 100, "in_niches": 9900, "minutes_in_blood": 3, "division": 1 / 39}
SIX = Exchange(niches=6, division=1.0, death=2.0, attachment=9.0, release=1.5)


@pytest.fixture(scope="module")
def oracle():
    """Entries of the published model, by their id."""
    path = SHARED / "oracles" / "ashcroft.json"
    if not path.exists():
        pytest.skip(f"SKIPPED: {path.name} is not here")
    return {entry["id"]: entry for entry in json.loads(path.read_text())["entries"]}


def exchange_of(par):
    """The rates that an oracle's parameters mean."""
    mouse = {"N": 10_000, "s": 100, "n": 9900, "lt_min": 3, "beta": "1/39", "alpha": 0}
    par = mouse | par
    top, _, bottom = str(par["beta"]).partition("/")
    division = float(top) / float(bottom or 1)
    return Exchange.at_equilibrium(par["N"], par["s"], par["n"], par["lt_min"], division, par["alpha"])


@pytest.mark.parametrize("name", ["eq1", "eq2", "eq5"])
def test_rates_follow_from_what_stands_in_blood_and_niches(oracle, name):
    exchange = exchange_of(oracle[name]["par"])
    found = exchange.death, exchange.attachment, exchange.release
    assert found == pytest.approx(tuple(oracle[name]["value"]), rel=1e-6)


@pytest.mark.parametrize("name", ["emp1", "emp2", "emp4", "empalpha1", "empalpha2", "empalpha4"])
def test_a_cell_in_an_empty_marrow_founds_a_line_as_published(oracle, name):
    """The branching limit is within 1e-4 of the stored exact solution up to 100 niches."""
    entry = oracle[name]
    assert exchange_of(entry["par"]).establishment(0) == pytest.approx(entry["value"], abs=2e-4)


@pytest.mark.parametrize("name", ["full1", "full4"])
def test_a_cell_with_an_advantage_takes_over_a_full_marrow_as_published(oracle, name):
    par = oracle[name]["par"]
    exchange = exchange_of({})
    assert exchange.establishment(9900, par["eps"]) == pytest.approx(oracle[name]["value"], rel=1e-6)


def test_without_an_advantage_no_single_cell_takes_over():
    assert Exchange.at_equilibrium(**MOUSE).establishment(9900) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.3, False)])
def test_event_by_event_reaches_four_niches_as_published(oracle, wrong, agrees):
    """2,000 runs from one cell in blood: chance and mean times; fails at a release 30 % faster."""
    chance, reached_at, lost_at = oracle["smallT1"]["value"]
    rng = np.random.default_rng(5)
    exchange = Exchange(6, SIX.division, SIX.death, SIX.attachment, wrong * SIX.release)
    runs = [
        simulate_exchange(rng, exchange, [1, 0], [0.0], lambda c: c[1] == 4 or sum(c) == 0)
        for _ in range(2000)
    ]
    won = np.array([cells[1] == 4 for cells, _ in runs])
    days = np.array([days for _, days in runs])
    z = [z_of_share(won, chance), z_of_mean(days[won], reached_at), z_of_mean(days[~won], lost_at)]
    assert (np.abs(z).max() < LIMIT) == agrees


@pytest.mark.parametrize(("name", "agrees"), [("small1", True), ("small3", True), (None, False)])
def test_two_kinds_event_by_event_fix_as_published(oracle, name, agrees):
    """1,500 runs of six niches, with and without an advantage; the runs of one miss the other's oracle."""
    entry = oracle[name or "small3"]
    advantage = entry["par"]["eps"] if name else 0.0
    chance, fixed_at, _ = entry["value"]
    rng = np.random.default_rng(6)
    over = lambda c: c[0] + c[2] == 0 or c[1] + c[3] == 0  # noqa: E731
    runs = [simulate_exchange(rng, SIX, [2, 1, 4, 0], [0.0, advantage], over) for _ in range(1500)]
    fixed = np.array([cells[0] + cells[2] == 0 for cells, _ in runs])
    days = np.array([days for _, days in runs])
    z = [z_of_share(fixed, chance), z_of_mean(days[fixed], fixed_at)]
    assert (np.abs(z).max() < LIMIT) == agrees


def test_chimerism_a_day_after_a_large_dose_is_as_published(oracle):
    """8,192 cells into a full host: 0.40 after a day, though blood held only 100 cells before."""
    found = mean_field(
        Exchange.at_equilibrium(**MOUSE), [100, 8192, 9900, 0], [0.0, 0.0], np.array([0.0, 1.0])
    )
    assert found[-1, 3] / found[-1, 2:].sum() == pytest.approx(oracle["init3"]["value"], rel=1e-3)


def test_chimerism_rises_in_the_published_time(oracle):
    """From 0.1 to 10^-0.1 at an advantage of 0.5: 282 days of the mean field."""
    days = np.arange(0, 1500, 0.25)
    exchange = Exchange.at_equilibrium(**MOUSE)
    found = mean_field(exchange, [100, 10, 9900, 0], [0.0, 0.5], days)
    share = found[:, 3] / found[:, 2:].sum(axis=1)
    first, last = (days[np.argmax(share >= level)] for level in (0.1, 10**-0.1))
    assert last - first == pytest.approx(oracle["dchim1"]["value"], rel=0.005)


def test_the_limit_has_the_establishment_of_two_compartments():
    """Cells in niches divide at beta p and are lost at d (1 - p): the same chance.

    1 - (1 - loss/division) of a birth-death line, seen from blood, is 1 - psi.
    """
    exchange = Exchange.at_equilibrium(**MOUSE)
    p = exchange.attaching(0) / (exchange.attaching(0) + exchange.death)
    dies = exchange.release * (1 - p) / (exchange.division * p)
    assert p * (1 - dies) == pytest.approx(exchange.establishment(0), rel=1e-6)


def test_the_limit_has_the_affinity_of_its_equilibrium():
    exchange = Exchange.at_equilibrium(**MOUSE)
    kept = exchange.release / (exchange.release + exchange.division)
    niches = Niches(free_share=0.01, reattachment=kept)
    assert niches.affinity == pytest.approx(exchange.attachment / exchange.death, rel=1e-9)
    assert niches.finding(0.01) == pytest.approx(kept)


@given(
    free=st.floats(1e-4, 0.5),
    kept=st.floats(0.1, 0.999),
    occupied=st.floats(0, 1),
    infused=st.integers(1, 10**6),
)
def test_no_more_cells_take_than_there_are_free_niches(free, kept, occupied, infused):
    niches = Niches(free, kept)
    room = 1e5 / (1 - free)
    empty = room * (1 - occupied * (1 - free))
    take = niches.take_probability(occupied, 1e5, infused)
    assert 0 <= take <= 1
    assert take * infused <= empty * (1 + 1e-6)
    assert take <= niches.finding(empty / room) + 1e-6


def test_each_cell_that_homes_makes_the_next_one_find_less():
    """The closed form against a sum cell by cell."""
    niches, full, infused, occupied = Niches(0.1, 0.5), 1000.0, 700, 0.6
    room = full / (1 - niches.free_share)
    free = 1 - occupied * (1 - niches.free_share)
    took = 0.0
    for _ in range(infused * 100):
        took += niches.finding(free - took / room) / 100
    assert niches.take_probability(occupied, full, infused) * infused == pytest.approx(took, rel=1e-3)


def test_in_a_full_marrow_only_the_free_niches_are_taken():
    """Exposure 0: at most the 1 % of niches that always stand empty."""
    assert Niches(0.01, 0.985).take_probability(1.0, 1e5, 10_000) * 10_000 < 0.0102 * 1e5
