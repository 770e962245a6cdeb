"""The calibration file: what it may say, what is filled in, and how its work is cut into jobs."""

import copy
import json

import numpy as np
import pytest
from scipy.stats import kstest

from hsc_pipeline.calibration import draws
from hsc_pipeline.calibration.plans import ADVANTAGE, OUTPUT, PILOT, Fitted, Structure
from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.calibration.settings import json_schema, load_calibration
from hsc_pipeline.errors import UserError
from hsc_pipeline.yaml_files import read_yaml
from tests.test_workflow import REPOSITORY

FREQUENCY, DIVISION = "product.lt_hsc_per_cd34", "marrow.division_per_year"


@pytest.fixture
def content():
    """The example, by paths that hold wherever the tests run."""
    return example()


def example():
    written = read_yaml(REPOSITORY / "config/calibration.yaml")
    for table in written["tables"]:
        table["path"] = str(REPOSITORY / table["path"])
    return {**written, **{name: str(REPOSITORY / written[name]) for name in ("clinical", "colonies")}}


def changed(content, **keys):
    return {**copy.deepcopy(content), **keys}


def test_the_example_is_good(content):
    calibration = load_calibration(content)
    assert calibration.fitted == "output_noise"
    assert {FREQUENCY, OUTPUT, DIVISION} <= set(calibration.structures["output_noise"].parameters)


def test_a_parameter_without_a_prior_has_the_range_of_the_catalogue(content):
    prior = load_calibration(content).structures["output_noise"].parameters[DIVISION].prior
    assert (prior.kind, prior.least, prior.most) == ("uniform", 0.5, 1.5)


def test_a_wide_range_is_a_prior_on_the_logarithm(content):
    given = changed(content, parameters={"lab.capture_efficiency": None}, structures=[])
    prior = load_calibration(given).structures["as_given"].parameters["lab.capture_efficiency"].prior
    assert (prior.kind, prior.least, prior.most) == ("log_uniform", 0.01, 0.15)


def test_known_structures_set_what_makes_them_and_free_what_they_are_about(content):
    given = changed(
        content, structures=[{"name": n} for n in ("drift", "output_noise", "selection", "niche")]
    )
    of = load_calibration(given).structures
    assert of["drift"].set[OUTPUT] == 0
    assert OUTPUT not in of["drift"].parameters
    assert ADVANTAGE in of["selection"].parameters
    assert ADVANTAGE not in of["output_noise"].parameters
    assert of["niche"].set["marrow.model"] == "niche"


def test_what_is_known_of_a_patient_has_no_spread(content):
    chosen = load_calibration(content).set_of("output_noise", 0)
    known = ("product.cd34_ln_sd", "cohort.age_ln_sd", "product.lt_hsc_log10_sd", "cohort.weight_ln_sd")
    assert [chosen[name] for name in known] == [0, 0, 0, 0]
    assert FREQUENCY not in chosen


WRONG = [
    ({"parametres": {}}, "unknown key 'parametres'; did you mean 'parameters'?"),
    ({"parameters": {"marrow.division_per_yaer": None}}, "did you mean 'marrow.division_per_year'?"),
    ({"parameters": {"marrow.model": None}}, "is a choice, not a number; make each choice a structure"),
    ({"parameters": {"score.weight.t_cell": None}}, "the catalogue has no value"),
    ({"parameters": {"igg.half_life_days": None}}, "no stage up to the blood reads it"),
    (
        {"parameters": {DIVISION: {"prior": {"kind": "normal", "median": 1, "spread": 2}}}},
        "its prior reaches -8.51; allowed: from 0 to 1000 (per_year)",
    ),
    (
        {"parameters": {DIVISION: {"prior": {"kind": "uniform", "least": 2, "most": 1}}}},
        "least 2 is not below",
    ),
    ({"parameters": {ADVANTAGE: {"prior": {"kind": "flat"}}}}, "prior.kind = 'flat'; input should be"),
    ({"set": {DIVISION: 1.0}}, "is set here and fitted; leave it out of one of the two"),
    ({"set": {"lab.capture_efficency": 1.0}}, "did you mean 'lab.capture_efficiency'?"),
    ({"structures": [{"name": "mine"}]}, "'mine' neither sets nor fits anything"),
    ({"structures": [{"name": "drift"}, {"name": "drift"}]}, "'drift' stands twice"),
    ({"fitted": "selection"}, "there is no structure 'selection'"),
    ({"structures": [{"name": "one", "set": {"marrow.model": "lattice"}}]}, "allowed: well_mixed, niche"),
    ({"simulations": 10}, "simulations = 10; input should be greater than or equal to 800"),
    ({"clinical": "nowhere.csv"}, "nowhere.csv: there is no such file or folder"),
    ({"product": "allogeneic"}, "allogeneic has no vector"),
]


@pytest.mark.parametrize(("keys", "said"), WRONG)
def test_a_mistake_is_one_sentence_with_where_and_what(content, keys, said):
    with pytest.raises(UserError) as refused:
        load_calibration(changed(content, **keys), "my.yaml")
    text = str(refused.value)
    assert text.startswith("my.yaml: ")
    assert said in text
    assert "\n" not in text


def test_a_structure_that_sets_every_parameter_is_refused(content):
    given = changed(content, parameters={OUTPUT: None}, structures=[{"name": "drift"}])
    with pytest.raises(UserError, match="drift sets every parameter; leave one to fit"):
        load_calibration(given)


def test_a_value_without_a_range_needs_a_prior(content):
    given = changed(content, parameters={"disease.odds_ratio.neutrophil": None}, structures=[])
    with pytest.raises(UserError, match="the catalogue has no range of it; give it a prior"):
        load_calibration(given)


def test_a_subject_stands_once(content):
    given = changed(content, patients=content["patients"] * 2)
    with pytest.raises(UserError, match="'trial_P0000' stands 2 times"):
        load_calibration(given)


def test_batches_hold_every_simulation_once_and_begin_with_the_pilot(content):
    calibration = load_calibration(content)
    for structure in calibration.structures:
        for round_ in range(1, calibration.rounds_of(structure) + 1):
            spans = [[int(n) for n in b.split("-")] for b in calibration.batches(structure, round_)]
            rows = [row for first, last in spans for row in range(first, last + 1)]
            assert rows == list(range(calibration.simulations(structure)))
            pilots = [
                b
                for b in calibration.batches(structure, round_)
                if calibration.is_pilot(structure, round_, b)
            ]
            wanted = [f"0-{PILOT - 1}"] if (structure, round_) == (calibration.fitted, 1) else []
            assert pilots == wanted


def test_a_job_that_simulates_reads_only_what_changes_its_numbers(content):
    before = load_calibration(content).part(structure="niche")
    same = changed(
        content,
        title="another",
        rounds=3,
        predictions=50,
        minutes_per_job=9,
        statistics={"leave_out": ["chao1"]},
        structures=[*content["structures"], {"name": "selection"}],
    )
    assert load_calibration(same).part(structure="niche") == before
    other = changed(content, set={"marrow.regrowth_per_year": 5.0})
    assert load_calibration(other).part(structure="niche") != before
    assert load_calibration(before).structures.keys() == {"niche"}


def test_the_schema_is_current():
    assert (REPOSITORY / "workflow/schemas/calibration.schema.json").read_text() == json_schema()
    assert json.loads(json_schema())["title"] == "CalibrationFile"


# Draws


SHARED, OWN = Prior("uniform", least=1.0, most=3.0), Prior("log_uniform", least=1e-6, most=1e-3)
TWO = Structure("as_given", {}, {"a": Fitted(SHARED, False, False), "b": Fitted(OWN, True, False)})


def test_one_patient_has_one_column_a_parameter():
    assert list(draws.priors_of(TWO, 1)) == ["a", "b"]
    assert draws.columns_of(TWO, 1, 0) == {"a": "a", "b": "b"}


def test_several_patients_have_their_own_columns_around_a_population():
    assert list(draws.priors_of(TWO, 2)) == ["a", "b@1", "b@2", "population:b", "likeness:b"]
    assert draws.columns_of(TWO, 2, 1) == {"a": "a", "b": "b@2"}


@pytest.mark.parametrize("patients", [1, 3])
def test_each_column_alone_has_its_prior(patients):
    """Kolmogorov's test of 4,000 draws a column: false alarm 1e-4 each; a law moved by 4 % is found."""
    theta = draws.draw(TWO, patients, 4000, 5, "test")
    for name, prior in draws.priors_of(TWO, patients).items():
        assert kstest(prior.cdf(theta[name].to_numpy()), "uniform").pvalue > 1e-4, name


def test_patients_are_as_alike_as_the_draw_says():
    """Correlation of scores among the most and the least alike: 0.95 and 0.05 in the mean, error 0.03."""
    theta = draws.draw(TWO, 2, 20_000, 5, "test")
    one, other = (OWN.score(theta[name].to_numpy()) for name in ("b@1", "b@2"))
    for low, high, wanted in ((0.9, 1.0, 0.95), (0.0, 0.1, 0.05)):
        held = theta["likeness:b"].between(low, high).to_numpy()
        assert abs(np.corrcoef(one[held], other[held])[0, 1] - wanted) < 0.1


def test_draws_within_a_box_lie_in_it_and_keep_their_shape():
    box = {"a": [1.0, 2.0], "b@1": [1e-5, 1e-4]}
    theta = draws.draw(TWO, 2, 2000, 5, "test", box)
    assert len(theta) == 2000
    assert draws.inside_box(theta, box).all()
    assert kstest((theta["a"].to_numpy() - 1), "uniform").pvalue > 1e-4


def test_the_same_seed_gives_the_same_draws_and_another_name_others():
    one, same, other = (draws.draw(TWO, 2, 50, 5, what) for what in ("x", "x", "y"))
    assert one.equals(same)
    assert not one.equals(other)


def test_whole_numbers_are_drawn_whole():
    counted = Structure("as_given", {}, {"n": Fitted(Prior("uniform", least=1, most=100), False, True)})
    theta = draws.draw(counted, 1, 100, 5, "test")
    assert (theta["n"] == np.rint(theta["n"])).all()


def test_a_box_holds_the_draws_and_stays_within_the_prior():
    theta = draws.draw(TWO, 1, 200, 5, "test")
    theta = theta[theta["a"] < 2].reset_index(drop=True)
    box = draws.box_of(theta, draws.priors_of(TWO, 1))
    assert draws.inside_box(theta, box).all()
    assert 1 <= box["a"][0] < theta["a"].min()
    assert theta["a"].max() < box["a"][1] < 3


def test_new_patients_follow_the_population():
    """Where all are alike, a new one is the population's; where none are, one of the prior."""
    theta = draws.draw(TWO, 2, 5000, 5, "test")
    alike = draws.new_patients(theta.assign(**{"likeness:b": 1.0}), TWO.parameters, 3)
    np.testing.assert_allclose(alike["b"], theta["population:b"], rtol=1e-6)
    apart = draws.new_patients(theta.assign(**{"likeness:b": 0.0}), TWO.parameters, 3)
    assert kstest(OWN.cdf(apart["b"].to_numpy()), "uniform").pvalue > 1e-4
