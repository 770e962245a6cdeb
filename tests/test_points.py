"""Points: laid where they were asked for, drawn from what is uncertain, simulated as the arms are."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from hsc_pipeline import points
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.ensembles import MOST_JOBS, Ensemble, seconds_a_patient
from hsc_pipeline.errors import ModelError, UserError
from hsc_pipeline.outcomes import OUTCOMES, summarise
from hsc_pipeline.points import (
    lay_points,
    simulate_point,
    simulate_points,
)
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import load_study

DOSE, EXPOSURE = "product.cd34_per_kg", "conditioning.busulfan_auc"
FEW = {"product.lt_hsc_per_cd34": 2e-6}
OVER = {
    DOSE: {"least": 1e6, "most": 1e8, "scale": "log", "levels": 3},
    EXPOSURE: {"values": [20, 40, 60, 80]},
}


@pytest.fixture(scope="module")
def load(study):
    def make(**keys):
        return load_study({**study, "visits_months": [1, 6, 12, 24], "set": FEW, **keys})

    return make


def settings_by_stage(loaded, arm="trial"):
    return {stage: Settings(**loaded.settings(stage, arm)) for stage in STAGES}


def laid_in(loaded, ensemble, arm):
    return lay_points(arm, loaded.ensembles[ensemble].lay[arm], settings_by_stage(loaded, arm))


def swept(load, **sweep):
    loaded = load(sweep={"over": OVER, "patients": 2, **sweep})
    return loaded, laid_in(loaded, "sweep", "trial")


def wide(table):
    frame = table.to_pandas()
    return frame.pivot(index=["arm", "point"], columns="parameter", values="value")


def test_a_grid_holds_every_combination(load):
    loaded, laid = swept(load, design="grid")
    found = wide(laid)
    assert loaded.ensembles["sweep"].points == 12 == len(found)
    assert sorted(set(found[DOSE])) == pytest.approx([1e6, 1e7, 1e8])
    assert not found.duplicated().any()
    assert set(found[EXPOSURE]) == {20, 40, 60, 80}


def test_a_latin_hypercube_has_one_point_in_each_stratum(load):
    _, laid = swept(load, design="latin_hypercube", points=20)
    u = np.log(wide(laid)[DOSE] / 1e6) / np.log(100)
    assert sorted((u * 20).astype(int)) == list(range(20))
    assert Counter(wide(laid)[EXPOSURE]) == dict.fromkeys([20, 40, 60, 80], 5)


def test_a_sobol_sequence_is_balanced(load):
    """Each quarter of each axis, and each quadrant of both, holds its part of the points exactly."""
    _, laid = swept(load, design="sobol", points=16)
    found = wide(laid)
    u = np.log(found[DOSE] / 1e6) / np.log(100)
    assert Counter((u * 4).astype(int)) == dict.fromkeys(range(4), 4)
    assert Counter(found[EXPOSURE]) == dict.fromkeys([20, 40, 60, 80], 4)
    assert Counter(zip(u > 0.5, found[EXPOSURE] > 50, strict=True)).most_common()[0][1] == 4


def test_the_same_study_lays_the_same_points(load):
    for design in ("latin_hypercube", "sobol"):
        assert swept(load, design=design, points=8)[1].equals(swept(load, design=design, points=8)[1])
    other = swept(lambda **keys: load(seed=8, **keys), design="sobol", points=8)[1]
    assert not other.equals(swept(load, design="sobol", points=8)[1])


def test_a_point_with_the_arms_own_values_is_the_arm(load):
    loaded = load()
    own = settings_by_stage(loaded)
    values = {DOSE: own["product"][DOSE], EXPOSURE: own["plan"][EXPOSURE]}
    found = simulate_point(own, "trial", values, range(3))["outcomes"]
    expected = summarise("trial", simulate_arm(loaded, "trial", range(3)), own["outcomes"])["outcomes"]
    assert found.equals(expected)


def test_a_point_moves_what_it_is_about(load):
    """The same persons with a tenth of the cells: fewer clones in every one of them."""
    own = settings_by_stage(load())
    many, few = (
        simulate_point(own, "trial", {DOSE: dose}, range(4))["outcomes"].to_pandas() for dose in (2e7, 2e6)
    )
    assert (many["engrafted_clones"] > few["engrafted_clones"]).all()
    assert many["age_years"].equals(few["age_years"])


def test_bytes_of_points_do_not_depend_on_jobs(load):
    loaded, laid = swept(load, design="sobol", points=4, same_patients=False)
    given = dict(settings=settings_by_stage(loaded), patients=2, same_patients=False, may_fail=False)

    def rows(*jobs):
        parts = [simulate_points(laid, "trial", first, last, **given) for first, last in jobs]
        return pa.concat_tables([found["outcomes"] for part in parts for found in part])

    whole = rows((0, 3))
    assert whole.equals(rows((0, 1), (2, 3)))
    assert whole["patient"].to_pylist() == list(range(8)), "other persons at each point"
    assert [name for name in whole.column_names if name != "point"] == list(OUTCOMES.columns)


def test_the_same_patients_at_every_point_on_demand(load):
    loaded, laid = swept(load, design="sobol", points=2)
    given = dict(settings=settings_by_stage(loaded), patients=2, same_patients=True, may_fail=False)
    found = pa.concat_tables([part["visits"] for part in simulate_points(laid, "trial", 0, 1, **given)])
    assert set(found["patient"].to_pylist()) == {0, 1}


def uncertain(load, **keys):
    arms = [{"name": "trial"}, {"name": "half", "set": {DOSE: 4.5e6}}]
    loaded = load(arms=arms, uncertainty={"draws": 20, **keys})
    return loaded, pa.concat_tables([laid_in(loaded, "uncertainty", arm) for arm in loaded.arms])


def test_draws_are_common_to_arms_and_within_their_ranges(load):
    loaded, drawn = uncertain(load)
    found = wide(drawn)
    assert found.loc["trial"].equals(found.loc["half"])
    assert len(found.loc["trial"]) == 20
    for name, column in found.loc["trial"].items():
        least, most = loaded.arms["trial"].values[name].range
        assert column.between(least * (1 - 1e-12), most * (1 + 1e-12)).all(), name
        if loaded.arms["trial"].values[name].unit == "count":
            assert (column % 1 == 0).all(), name


def test_wide_ranges_are_drawn_on_their_logarithm(load):
    """Half the draws of a range of decades lie below its geometric mean."""
    found = wide(uncertain(load, over=["marrow."])[1]).loc["trial"]
    assert (found["marrow.driver_conversion_per_cell_year"] < 1e-7).sum() == 10


def test_choices_are_not_drawn(load):
    found = set(wide(uncertain(load)[1]).columns)
    assert "marrow.division_per_year" in found
    assert "product.lt_hsc_per_cd34" not in found, "the study sets it"
    assert DOSE not in found
    assert not any(name.startswith(("benefit.", "alarm.", "score.", "cohort.")) for name in found)


def test_some_values_only_on_demand(load):
    found = set(wide(uncertain(load, over=["marrow."])[1]).columns)
    assert found
    assert all(name.startswith("marrow.") for name in found)


def test_impossible_draws_are_drawn_anew(load):
    """No draw transduces more cells than its mean copies allow; about half of independent ones would."""
    found = wide(uncertain(load)[1]).loc["trial"]
    reached = found["product.transduced_fraction"]
    assert (reached < 1 - np.exp(-found["product.mean_copies"])).all()


def test_an_impossible_point_is_listed_or_ends_the_run(load, monkeypatch):
    loaded, laid = swept(load, design="sobol", points=2)
    given = dict(settings=settings_by_stage(loaded), patients=1, same_patients=True)

    def fail(*args):
        raise ModelError("no such marrow")

    monkeypatch.setattr(points, "simulate_point", fail)
    [first, _] = simulate_points(laid, "trial", 0, 1, **given, may_fail=True)
    assert first["failed"].to_pylist() == [{"point": 0, "arm": "trial", "reason": "no such marrow"}]
    assert first["outcomes"].num_rows == 0
    with pytest.raises(ModelError, match=r"point 0 of the sweep, arm 'trial': no such marrow"):
        list(simulate_points(laid, "trial", 0, 1, **given, may_fail=False))


def test_rows_of_a_posterior_stay_whole(load, tmp_path):
    path = tmp_path / "posterior.csv"
    rows = [(0.5 + i / 100, 10 + i) for i in range(40)]
    lines = ["marrow.division_per_year,marrow.regrowth_per_year", *(f"{a},{b}" for a, b in rows)]
    path.write_text("\n".join(lines))
    loaded = load(uncertainty={"draws": 30, "posterior": str(path)})
    drawn = wide(laid_in(loaded, "uncertainty", "trial"))
    found = list(zip(drawn["marrow.division_per_year"], drawn["marrow.regrowth_per_year"], strict=True))
    assert len(set(found)) == 30
    assert set(found) <= set(rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("marrow.division_per_year\n", "holds no draw"),
        ("marrow.divisions\n1\n2", "did you mean 'marrow.division_per_year'"),
        ("marrow.division_per_year\n1\nx", "line 3: marrow.division_per_year is not a number"),
        ("marrow.division_per_year\n1\n-2", "line 3: marrow.division_per_year = -2; allowed"),
        ("marrow.division_per_year\n1", "1 draws; uncertainty.draws asks for 2"),
    ],
)
def test_a_bad_posterior_is_one_sentence(load, tmp_path, text, said):
    path = tmp_path / "posterior.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        load(uncertainty={"draws": 2, "posterior": str(path)})


def test_a_missing_posterior_is_one_sentence(load):
    with pytest.raises(UserError, match=r"uncertainty.posterior: none.csv: there is no such file"):
        load(uncertainty={"posterior": "none.csv"})


@pytest.mark.parametrize(("points_", "patients"), [(1000, 100), (7, 1), (1, 5), (100_000, 10)])
def test_jobs_hold_every_point_once_and_are_not_too_many(points_, patients):
    made = Ensemble(points_, patients, ["a"], False, False, {})
    spans = [tuple(map(int, batch.split("-"))) for batch in made.batches(0.4, 0.5)]
    assert [first for first, _ in spans] == [0, *(last + 1 for _, last in spans[:-1])]
    assert spans[-1][1] == points_ - 1
    assert len(spans) <= MOST_JOBS
    longest = max(last - first + 1 for first, last in spans) * patients * 0.4
    assert longest <= max(30, 0.4 * patients, 0.4 * patients * -(-points_ // MOST_JOBS))


def test_cost_grows_with_clones_and_visits():
    assert seconds_a_patient(1e4, 10) < seconds_a_patient(1e5, 10) < seconds_a_patient(1e5, 20)
