"""The simulator in the loop: the chain's own stages, sampled as the patient was."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.calibration import run
from hsc_pipeline.calibration.data import Design, Tube, read_patients
from hsc_pipeline.calibration.settings import load_calibration
from hsc_pipeline.calibration.simulate import (
    DERIVED,
    Person,
    measure,
    of_tube,
    simulate_person,
    simulate_rows,
)
from hsc_pipeline.calibration.statistics import statistics
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.errors import UserError
from hsc_pipeline.study import load_study
from tests.test_calibration_file import changed, example

FREQUENCY, CAPTURE = "product.lt_hsc_per_cd34", "lab.capture_efficiency"
FEW = {FREQUENCY: 3e-6}
SORTS = {"neutrophil": "Myeloid", "b_cell": "B", "t_cell": "T"}


@pytest.fixture(scope="module")
def calibration():
    return load_calibration(example())


@pytest.fixture(scope="module")
def patient(calibration):
    return read_patients(calibration)[0]


@pytest.fixture(scope="module")
def person(calibration, patient):
    (one,) = run.persons_of(calibration, "output_noise", {"patients": [patient.design.as_dict()]})
    return one


def test_a_simulation_has_just_the_statistics_that_the_patient_has(person, patient):
    simulated = simulate_person(person, FEW, 3, 0)
    assert simulated.pop("derived.engrafted") > 0
    assert 0 < simulated.pop("derived.residual_host") < 1
    assert simulated.keys() == statistics(patient.measured, person.stable_month).keys()
    assert np.isfinite(list(simulated.values())).all()


def test_the_samples_are_those_of_the_chain(calibration):
    """A study with the same seed, visits and values finds the same sites, fragment by fragment."""
    months = [6.0, 12.0, 24.0]
    values = {FREQUENCY: 3e-6, CAPTURE: 0.05}
    study = load_study(
        {
            **{"kind": "study", "schema_version": 1, "name": "same", "seed": 11, "disease": "was"},
            **{"patients": 3, "visits_months": months, "set": values, "uncertainty": {"draws": 0}},
            **{"sampling": {"months": months}, "arms": [{"name": "fit"}]},
        }
    )
    sites = simulate_arm(study, "fit", [2])["integration_sites"].to_pandas()
    tubes = [Tube(SORTS[sort], sort, month, 1, None) for sort in SORTS for month in months]
    settings = calibration.settings("output_noise", 0, months)
    plain = {stage: replace(one, values=study_values(study, stage)) for stage, one in settings.items()}
    whole = Person(plain, Design({"fragments": tubes}, {"fragments": True}), None, 1, 9)
    samples = measure(whole, {}, 11, 2).samples["fragments"]
    found = 0
    for sort, lineage in SORTS.items():
        for one in samples[lineage]:
            there = sites[(sites["lineage"] == sort) & (sites["month"] == one.month)]
            assert sorted(there["fragments"]) == sorted(one.counts)
            found += len(there)
    assert found > 100


def study_values(study, stage):
    return study.settings(stage, "fit")["values"]


def test_a_row_has_the_same_numbers_in_whatever_job(person):
    theta = pd.DataFrame({FREQUENCY: [1e-6, 2e-6, 4e-6]})
    names = [{FREQUENCY: FREQUENCY}]
    together = pd.DataFrame(simulate_rows(theta, [person], names, 1, "x"))
    alone = pd.DataFrame(simulate_rows(theta.iloc[2:], [person], names, 1, "x"))
    pd.testing.assert_frame_equal(together.iloc[2:].reset_index(drop=True), alone)
    other = pd.DataFrame(simulate_rows(theta.iloc[2:], [person], names, 1, "y"))
    assert not other.equals(alone)


@pytest.mark.parametrize(
    ("name", "low", "high", "statistic"),
    [
        (CAPTURE, 0.01, 0.1, "fragments.total.Myeloid.stable"),
        (FREQUENCY, 1e-6, 2e-5, "fragments.richness.Myeloid.stable"),
        ("marrow.clone_output_sigma", 0.2, 2.0, "fragments.gini.Myeloid.stable"),
        ("product.mean_copies", 2.5, 6.0, "clinic.vcn.Myeloid.early"),
    ],
)
def test_a_parameter_moves_what_tells_of_it(person, name, low, high, statistic):
    """In the mean of six pairs; the least of the four effects is seven times its standard error."""
    ends = [
        np.mean([simulate_person(person, {**FEW, name: value}, seed, 0)[statistic] for seed in range(6)])
        for value in (low, high)
    ]
    assert ends[1] > ends[0]


def test_known_dna_is_used_and_unknown_dna_drawn(person):
    settings = person.settings["blood"]
    usual, spread = settings["lab.dna_ng.t_cell"], settings["lab.dna_ln_sd"]
    known = of_tube(Tube("T", "t_cell", 12, 2, 77.0), True, settings)
    assert (known["lab.dna_ng.t_cell"], known["lab.dna_ln_sd"]) == (77.0, 0.0)
    unknown = of_tube(Tube("T", "t_cell", 12, 2, None), True, settings)
    assert (unknown["lab.dna_ng.t_cell"], unknown["lab.dna_ln_sd"]) == (2 * usual, spread)


def test_an_estimate_and_molecules_do_not_saturate(person):
    """Six hundred cells of one clone have at most 300 lengths, and six hundred molecules."""
    one = replace(person, design=Design({"cells": [Tube("T", "t_cell", 12, 1, 300.0)]}, {"cells": False}))
    other = replace(person, design=Design({"fragments": one.design.tubes["cells"]}, {"fragments": True}))
    values = {FREQUENCY: 1e-7, CAPTURE: 0.5}
    molecules = measure(one, values, 5, 0).samples["cells"]["T"][0].counts
    lengths = measure(other, values, 5, 0).samples["fragments"]["T"][0].counts
    assert molecules.max() > 300 >= lengths.max()
    assert len(molecules) == len(lengths)


def test_unsorted_cells_hold_every_lineage(person):
    """In WAS, T cells are all corrected and neutrophils are not: whole blood has more copies."""
    months = {"whole": "Other", "neutrophil": "Myeloid"}
    tubes = [Tube(lineage, sort, 24.0, 1, 200.0) for sort, lineage in months.items()]
    one = replace(person, design=Design({"cells": tubes}, {"cells": False}))
    low = {**FEW, "conditioning.busulfan_auc": 25.0}
    totals = [
        [sample[0].counts.sum() for sample in measure(one, low, seed, 0).samples["cells"].values()]
        for seed in range(5)
    ]
    whole, sorted_ = np.sum(totals, axis=0)
    assert whole > 1.5 * sorted_


def test_rows_below_the_least_reads_are_not_there(person):
    full, cut = (simulate_person(replace(person, least_reads=least), FEW, 5, 0) for least in (1, 30))
    name = "fragments.richness.Myeloid.stable"
    assert cut[name] < full[name]


def test_weight_is_that_of_the_patient(person):
    light, heavy = (
        np.mean(
            [
                simulate_person(replace(person, weight_kg=kg), FEW, seed, 0)["fragments.chao1.Myeloid.stable"]
                for seed in range(4)
            ]
        )
        for kg in (5.0, 60.0)
    )
    assert heavy > light + 0.5


def test_parameters_that_are_impossible_together_are_counted_and_named(person):
    theta = pd.DataFrame({"product.transduced_fraction": [0.99999, 0.9]})
    names = [{"product.transduced_fraction": "product.transduced_fraction"}]
    rows = pd.DataFrame(simulate_rows(theta, [person], names, 1, "x"))
    assert "the Poisson limit" in rows["failed"][0]
    assert rows["failed"][1] == ""
    reference = run.gather([(theta, rows)])
    assert (len(reference.theta), len(reference.failed), reference.simulated) == (1, 1, 2)


def test_several_patients_share_what_is_shared():
    content = example()
    second = {"subject": "trial_P0001", "set": {"product.mean_copies": 3.1}}
    calibration = load_calibration(changed(content, patients=[*content["patients"], second]))
    observed, designs = run.observe(calibration)
    theta = pd.DataFrame({f"{FREQUENCY}@1": [1e-6], f"{FREQUENCY}@2": [3e-6], "conditioning.a50@1": [30.0]})
    theta = theta.assign(**{"conditioning.a50@2": 31.0, CAPTURE: 0.05, "marrow.division_per_year": 1.0})
    theta["marrow.clone_output_sigma"] = 1.0
    rows = run.simulate(calibration, "output_noise", "test", theta, designs)
    assert set(observed["statistic"]) == {
        name for name in rows.columns if name not in run.NUMBERED and not name.startswith(DERIVED)
    }
    assert {name.rpartition("@")[2] for name in observed["statistic"]} == {"1", "2"}


# Early looks


def pilot_of(**columns):
    return pd.DataFrame({"simulation": range(20), "failed": "", **columns})


OBSERVED = pd.DataFrame({"statistic": ["x", "y"], "value": [1.0, 2.0], "use": "fitted"})
VARIED = np.arange(20.0)


def test_a_statistic_that_no_parameter_moves_is_named():
    assert run.look_at_pilot(pilot_of(x=VARIED, y=2.0), OBSERVED) == ["y"]
    with pytest.raises(UserError, match="y is 5 in each of the first 20 simulations and 2 in the data"):
        run.look_at_pilot(pilot_of(x=VARIED, y=5.0), OBSERVED)
    with pytest.raises(UserError, match="every one is the same in all simulations"):
        run.look_at_pilot(pilot_of(x=1.0, y=2.0), OBSERVED)


def test_simulations_that_mostly_fail_end_the_run():
    part = pilot_of(x=VARIED, y=VARIED)
    part.loc[:14, "failed"] = "too many copies"
    with pytest.raises(UserError, match="15 of the first 20 simulations are impossible, such as: too many"):
        run.look_at_pilot(part, OBSERVED)


def test_a_prior_without_mass_where_the_data_are_is_refused_or_reported():
    theta = pd.DataFrame({"a": VARIED})
    reference = run.gather([(theta, pilot_of(x=VARIED, y=VARIED + 100))])
    seen = OBSERVED.set_index("statistic")["value"]
    outside = {"inside": False, "said": "the data lie beyond all simulations in y (2)"}
    with pytest.raises(UserError, match=r"no mass where the data are: .*y is 2, simulated 100 to 119"):
        run.look_at_round(reference, seen, outside, "stop")
    run.look_at_round(reference, seen, outside, "report")
    run.look_at_round(reference, seen, {"inside": True, "said": ""}, "stop")
