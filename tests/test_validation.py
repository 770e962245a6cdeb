"""Validation: ranks, coverage and marking are right, and docs/validation.md is of the rows that it shows."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.catalogue import default_product, values_for
from hsc_pipeline.errors import ModelError
from hsc_pipeline.report.sections.trust import PUBLISHED

FOLDER = Path(__file__).parents[1] / "validation"


@pytest.fixture(scope="module")
def modules():
    """The modules of validation/, which is no package, by name."""
    sys.path.insert(0, str(FOLDER))
    try:
        names = ("ranks", "kept", "page", "worlds", "measures")
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def of(modules) -> dict:
    """What the page is made of."""
    return modules["page"].given()


def test_a_rank_is_the_place_among_the_simulated(modules):
    rank = modules["ranks"].rank
    assert rank(2.5, np.array([1.0, 2.0, 3.0, np.nan])) == (2 / 4, 3 / 4)
    assert rank(2.0, np.array([1.0, 2.0, 2.0])) == (1 / 4, 4 / 4)
    assert rank(0.0, np.arange(1.0, 10.0)) == (0, 0.1)


def test_a_rank_cut_by_an_interval_counts_in_part(modules):
    inside = modules["ranks"].inside
    assert inside(0.4, 0.6, 0.5) == 1
    assert inside(0.0, 0.2, 0.5) == 0
    assert inside(0.0, 1.0, 0.5) == pytest.approx(0.5)
    assert inside(0.2, 0.3, 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_mean_coverage_of_worlds_is_the_level_with_ties_or_not(modules, level):
    """An identity, so without false alarms: over all worlds every place is taken once."""
    ranks = modules["ranks"]
    rng = np.random.default_rng(1)
    drawn = np.vstack([rng.standard_normal((3, 40)), rng.integers(0, 3, (3, 40)), np.ones((1, 40))])
    low, high = ranks.ranks_of_worlds(drawn)
    assert ranks.inside(low, high, level).mean(axis=1) == pytest.approx(np.full(7, level))


def worlds_of(units: int, shared: float, seed: int) -> np.ndarray:
    """Rows over 200 worlds that share a part of their variance."""
    rng = np.random.default_rng(seed)
    return np.sqrt(shared) * rng.standard_normal(200) + np.sqrt(1 - shared) * rng.standard_normal(
        (units, 200)
    )


@pytest.mark.parametrize(("spread", "verdict"), [(3.0, "too narrow"), (0.1, "too wide")])
def test_values_spread_too_far_or_too_little_are_called(modules, spread, verdict):
    """Of 60 independent rows: power near 1; a fixed seed, so no false alarm."""
    ranks = modules["ranks"]
    simulated = worlds_of(60, 0.0, 2)
    observed = spread * np.random.default_rng(3).standard_normal(60)
    places = [ranks.rank(y, row) for y, row in zip(observed, simulated, strict=True)]
    found = ranks.coverage(places, simulated, list(range(60)), 0.5)
    assert found.verdict == verdict


def test_rows_that_share_their_chance_are_worth_fewer(modules):
    ranks = modules["ranks"]
    places = [ranks.Rank(0.4, 0.41)] * 30
    alone, together = (
        ranks.coverage(places, worlds_of(30, shared, 4), list(range(30)), 0.9) for shared in (0.0, 0.95)
    )
    assert alone.worth > 15
    assert together.worth < 5
    assert together.expected[0] < alone.expected[0]


def test_rows_of_a_unit_count_as_one(modules):
    by_unit = modules["ranks"].by_unit
    assert by_unit(np.array([1.0, 0.0, 1.0, np.nan]), ["a", "a", "b", "b"]).tolist() == [0.5, 1.0]


def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(modules):
    from scipy.stats import binomtest

    exact = binomtest(7, 10).proportion_ci(0.9, "exact")
    assert modules["ranks"].clopper_pearson(0.7, 10, 0.9) == pytest.approx((exact.low, exact.high))


def synthetic(published: float, **more: object) -> tuple[dict, dict, pd.DataFrame]:
    """One study of two rows, of which the second set a default, in twenty worlds."""
    row = {"trial": 1, "what": "x", "family": "f", "unit": "", "patients": 1, "error": "none", "source": "s"}
    rows = [{**row, "id": "free", "published": published, **more}]
    rows.append({**row, "id": "used", "published": 1e9, "sets": "a.value"})
    worlds = pd.DataFrame(
        {
            "row": ["free"] * 21 + ["used"] * 21,
            "world": [*range(-1, 20)] * 2,  # the first at the catalogue's own values
            "value": [77.0, *np.arange(1.0, 21.0)] * 2,
        }
    )
    asked = {"worlds": 20, "seed": 1, "levels": [0.5, 0.9], "chance": 0.9, "errors": {"none": 0.0}}
    return {"rows": {"study": rows}, "studies": {"study": {"simulated": 1}}}, asked, worlds


def test_a_row_that_set_a_default_is_not_counted(modules):
    published, asked, worlds = synthetic(10.5)
    lines, covered = modules["kept"].of_cohorts(worlds, published, asked)
    assert len(lines) == 2
    assert set(covered["rows"]) == {1}
    assert set(lines["worlds"]) == {20}
    assert set(lines["own"]) == {77}
    assert covered.set_index("level").loc[0.5, "share"] == 1


def test_a_row_out_of_reach_is_reported(modules):
    published, asked, worlds = synthetic(500.0)
    lines, covered = modules["kept"].of_cohorts(worlds, published, asked)
    assert modules["page"].place(lines.to_dict("records")[0]) == "**above every world**"
    assert covered.set_index("level").loc[0.9, "share"] == 0


def test_a_row_that_no_world_has_is_reported(modules):
    published, asked, worlds = synthetic(10.0)
    lines, _ = modules["kept"].of_cohorts(worlds.assign(value=np.nan), published, asked)
    assert modules["page"].place(lines.to_dict("records")[0]) == "**out of reach**: no world has it"


def test_the_error_of_a_published_number_widens_its_interval(modules):
    published, asked, worlds = synthetic(10.0, error=0.5)
    wide, _ = modules["kept"].of_cohorts(worlds.assign(value=10.0), published, asked)
    spread = np.log(wide.loc[0, "high90"] / wide.loc[0, "low90"])
    assert 0.8 < spread < 2.5  # 1.64 expected of twenty draws


def test_a_cohort_is_its_first_patients_who_have_the_measure(modules):
    summary = modules["worlds"].summary
    values = pd.Series({4: 1.0, 5: np.nan, 6: 5.0, 7: 100.0})
    assert summary({"patients": 3}, values, [4, 5, 6, 7]) == 3
    assert summary({"patients": 3, "summary": "most"}, values, [4, 5, 6, 7]) == 5
    assert np.isnan(summary({"patients": 1}, values, [5]))


def test_a_world_has_the_same_values_in_every_study(modules, of):
    """But where they are impossible together in one of them: then all are others."""
    worlds, studies = modules["worlds"], of["published"]["studies"]
    one, other = (
        worlds.drawn_values(worlds.study_of(studies[name]["content"], 1), 24, 1)[1]
        for name in ("mld", "cald")
    )
    common = [name for name in one if name in other and name.startswith("lab.") and "reads" not in name]
    assert len(common) > 5
    same = np.array([one[name] == other[name] for name in common])
    assert (same.all(axis=0) | ~same.any(axis=0)).all()
    assert same.all(axis=0).mean() > 0.5


def test_a_world_gives_each_row_of_a_study_and_says_if_it_is_impossible(modules, of, monkeypatch):
    worlds, published = modules["worlds"], of["published"]
    entry, rows = published["studies"]["hiv"], published["rows"]["hiv"]
    found = list(worlds.simulate_cohorts(entry, rows, 2, 1, -1, 0))
    assert [(row["row"], row["world"], row["failed"]) for row in found] == [
        ("xu_alleles", -1, ""),
        ("xu_alleles", 0, ""),
    ]
    assert found[0]["value"] != found[1]["value"] > 0

    def impossible(*_, **__):
        raise ModelError("no such marrow")

    monkeypatch.setattr(worlds, "simulate", impossible)
    (said,) = worlds.simulate_cohorts(entry, rows, 2, 1, 0, 0)
    assert said["failed"] == "no such marrow"
    assert np.isnan(said["value"])


def test_every_row_is_well_formed(modules, of):
    published, errors = of["published"], of["tolerances"]["errors"]
    rows = modules["kept"].rows_of(published)
    assert len({row["id"] for row in rows}) == len(rows)
    assert set(published["rows"]) == set(published["studies"])
    for row in rows:
        content = published["studies"][row["study"]]["content"]
        values = values_for(content["disease"], content.get("product") or default_product(content["disease"]))
        assert isinstance(row["error"], float) or row["error"] in errors, row["id"]
        assert row.get("sets", next(iter(values))) in values, row["id"]
        assert row.get("summary", "median") in modules["worlds"].SUMMARIES, row["id"]
        assert hasattr(modules["measures"], row["statistic"]["name"]), row["id"]


@pytest.mark.parametrize("trial", [1, 2, 4, 6, 7, 9, 12, 13, 17, 19, 20, 21, 22, 25, 26, 27, 28])
def test_every_development_trial_has_a_row(modules, of, trial):
    assert any(row["trial"] == trial for row in modules["kept"].rows_of(of["published"]))


def test_what_is_kept_is_of_the_published_rows(modules, of):
    rows = {row["id"]: row["published"] for row in modules["kept"].rows_of(of["published"])}
    assert dict(zip(of["cohorts"]["row"], of["cohorts"]["published"], strict=True)) == pytest.approx(rows)
    members = {name for names in of["published"]["tables"]["families"].values() for name in names}
    assert set(of["patients"]["statistic"]) == members


def test_every_miss_has_a_reason_and_no_reason_is_stale(modules, of):
    assert set(of["misses"]["cohorts"]) == set(modules["page"].missed(of))


def test_reports_quote_the_rows_of_the_page(modules, of):
    quoted = modules["page"].quoted(of)
    packaged = pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False)
    assert packaged.to_dict("records") == quoted.to_dict("records")
    missed = set(modules["page"].missed(of))
    ids = [row["id"] for row in modules["kept"].rows_of(of["published"])]
    assert {name for name, said in zip(ids, quoted["verdict"], strict=True) if said == "outside"} == missed


def test_the_page_is_of_the_rows_that_it_shows(modules, of):
    page = modules["page"]
    assert page.PAGE.read_text(encoding="utf-8") == page.page(of), (
        "python validation/run.py page writes it anew"
    )
