"""Checks of a fit: right posteriors pass, wrong ones fail, and the verdict says so in its first line."""

import numpy as np
import pandas as pd
import pytest
from calibration_toys import DIVISION, GAUSSIAN, births_table, gaussian, gaussian_posterior, gaussian_table

from hsc_pipeline.calibration import checks, infer
from hsc_pipeline.calibration.checks import (
    coverage,
    identifiability,
    inside,
    predictive,
    simulation_based_calibration,
    uniformity,
    verdict,
)
from hsc_pipeline.calibration.draws import draw, priors_of
from hsc_pipeline.calibration.plans import Fitted, Structure
from hsc_pipeline.calibration.priors import Prior, sample
from hsc_pipeline.errors import UserError

RANKS = 200


@pytest.fixture(scope="module")
def table():
    return gaussian_table(1700, 1)


@pytest.fixture(scope="module")
def learnt(table):
    """Gives the checks one reference, learnt once: they differ in what is made of it."""
    made = {}

    def refer_once(theta, stats, priors, seed):
        if seed not in made:
            made[seed] = infer.refer(theta, stats, priors, seed)
        return made[seed]

    return refer_once


@pytest.fixture(scope="module")
def ranked(table, learnt):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "refer", learnt)
        return simulation_based_calibration(*table, GAUSSIAN, seed=1, ranks=RANKS)


def exact_ranks(rng, patients: int, parameters: int = 3, width: float = 1.0, shift: float = 0.0):
    """Ranks of standard normal truths among draws of posteriors of another width and place."""
    truth = rng.standard_normal((patients, parameters, 1))
    draws = shift + width * rng.standard_normal((patients, parameters, 99))
    rank = (draws < truth).sum(axis=2)
    names = np.tile([f"p{i}" for i in range(parameters)], patients)
    return pd.DataFrame({"parameter": names, "rank": rank.ravel(), "draws": 99})


# Simulation-based calibration ---------------------------------------------------------------------


def test_ranks_of_the_linear_toy_are_uniform(ranked):
    """200 ranks of three parameters by one family-wise test: false alarms 5 %, over seeds.

    Power: see `test_posteriors_that_are_too_sure_fail`.
    """
    assert len(ranked) == 3 * RANKS
    assert ranked["rank"].between(0, 99).all()
    assert uniformity(ranked)["uniform"].all()
    covered = coverage(ranked)
    assert ((covered["low"] <= covered["level"] + 0.03) & (covered["high"] >= covered["level"] - 0.03)).all()
    a = ranked[ranked["parameter"] == "a"]
    assert np.corrcoef(a["truth"], a["median"])[0, 1] > 0.8


def test_ranks_of_birth_death_totals_are_uniform():
    """200 ranks: false alarms 5 %, over seeds."""
    ranks = simulation_based_calibration(*births_table(1700, 3), DIVISION, seed=2, ranks=RANKS)
    assert uniformity(ranks)["uniform"].all()


@pytest.mark.slow
def test_a_thousand_ranks_are_uniform():
    """False alarms 1 % over seeds; an sd that is 8 % off fails in 80 of 100."""
    theta, stats = gaussian_table(5000, 31)
    ranks = simulation_based_calibration(theta, stats, GAUSSIAN, seed=3, ranks=1000)
    assert uniformity(ranks)["p_adjusted"].min() > 0.01


def test_posteriors_that_are_too_sure_fail(table, learnt, monkeypatch):
    """The shipped path with residuals cut to 0.7 of their size: 200 ranks find it in 100 of 100."""
    right = infer.adjusted

    def too_sure(z, apart, weights):
        found = right(z, apart, weights)
        centre = weights @ found
        return centre + 0.7 * (found - centre)

    monkeypatch.setattr(checks, "refer", learnt)
    monkeypatch.setattr(infer, "adjusted", too_sure)
    found = uniformity(simulation_based_calibration(*table, GAUSSIAN, seed=1, ranks=RANKS))
    assert not found["uniform"].any()
    assert set(found["said"]) == {"posteriors too narrow"}
    assert (found["excess"] > 1.2).all()


def test_posteriors_off_their_place_fail(table, learnt, monkeypatch):
    right = infer.adjusted
    monkeypatch.setattr(checks, "refer", learnt)
    monkeypatch.setattr(infer, "adjusted", lambda z, apart, weights: right(z, apart, weights) - 0.4)
    found = uniformity(simulation_based_calibration(*table, GAUSSIAN, seed=1, ranks=RANKS)).set_index(
        "parameter"
    )
    assert found["said"]["a"] == "posteriors too low"


def test_false_alarms_and_power_of_the_test_of_ranks():
    """900 right parameters in families of three: 5 % of families fail, 10 % would be 4 standard errors off.

    Of 60 parameters whose posteriors have 0.7 or 1.5 of their width, or are off by 0.35 sd, 9 in 10 fail.
    """
    rng = np.random.default_rng(5)
    p = uniformity(exact_ranks(rng, RANKS, 900))["p_value"].to_numpy().reshape(300, 3)
    assert 0.01 < (p.min(axis=1) * 3 < checks.FALSE_ALARMS).mean() < 0.1
    for width, shift in ((0.7, 0.0), (1.5, 0.0), (1.0, 0.35)):
        found = uniformity(exact_ranks(rng, RANKS, 60, width, shift))
        assert (found["p_value"] < checks.FALSE_ALARMS).mean() > 0.9, (width, shift)
        assert (
            abs(found["mean_rank"].mean() - 0.5) > 0.05
            if shift
            else (found["excess"] > 1).all() == (width < 1)
        )


def test_coverage_is_that_of_the_widths():
    """Posteriors with half their width cover 58.9 % by their 90 % intervals, within 0.05 of 2,000."""
    rng = np.random.default_rng(6)
    right = coverage(exact_ranks(rng, 2000, 1)).set_index("level")
    assert right["covered"].to_numpy() == pytest.approx([0.5, 0.9], abs=0.04)
    assert (right["low"] < right.index).all()
    assert (right["high"] > right.index).all()
    narrow = coverage(exact_ranks(rng, 2000, 1, 0.5)).set_index("level")
    assert narrow["covered"][0.9] == pytest.approx(0.589, abs=0.05)


def test_too_few_simulations_to_check_are_refused():
    with pytest.raises(UserError, match="600 simulations can be used; needed: 500 and 200"):
        simulation_based_calibration(*gaussian_table(600, 1), GAUSSIAN, seed=1, ranks=200)


# Identifiability ------------------------------------------------------------------------------------


def test_what_the_data_identify_is_said(table):
    theta, stats = table
    observed = gaussian(pd.DataFrame({"a": [2.0], "b": [-0.5]}), 3)
    found = infer.fit(theta, stats, observed.iloc[0].to_dict(), GAUSSIAN, 1)
    said = identifiability(found.summary, found.draws, GAUSSIAN).set_index("parameter")
    covariance = gaussian_posterior(observed)[1]
    assert list(said["said"]) == ["identified", "weakly identified", "unidentified"]
    assert said["with"]["a"] == "b"
    rho = covariance[0, 1] / np.sqrt(np.prod(np.diag(covariance)))
    assert said["correlation"]["a"] == pytest.approx(rho, abs=0.1)
    assert abs(said["correlation"]["idle"]) < 0.2
    last = verdict(identifiability=said.reset_index()).splitlines()
    assert "the data do not identify idle: the posterior is the prior" in last


# The data among the simulations ---------------------------------------------------------------------


def test_data_of_the_model_are_inside_and_the_distance_ranks_evenly(table):
    """300 patients of the model: 1 % are called outside, up to 4 % pass; ranks of distance are even.

    Would fail if the covariance were of the raw statistics with an outlier among them.
    """
    stats = table[1]
    patients = gaussian(sample(GAUSSIAN, 300, 40), 41)
    found = [inside(stats, row.to_dict()) for _, row in patients.iterrows()]
    assert np.mean([not one["inside"] for one in found]) < 0.04
    assert np.mean([one["farther"] for one in found]) == pytest.approx(0.5, abs=0.06)


def test_data_beyond_all_simulations_are_named(table):
    stats = table[1]
    observed = stats.iloc[3].to_dict()
    found = inside(stats, {**observed, "v": 60.0})
    assert not found["inside"]
    assert found["outside"] == ["v"]
    assert found["said"] == "the data lie beyond all simulations in v (60)"
    first = verdict(inside=found).splitlines()[0]
    assert first == "The fit fails 1 of its checks: the data lie beyond all simulations in v (60)"


def test_data_that_are_common_one_by_one_but_not_together_are_outside(table):
    """u and v follow a and b nearly alike: they never part by 8."""
    stats = table[1]
    observed = {**stats.median().to_dict(), "u": 5.0, "v": -3.0}
    for name in ("u", "v"):
        assert stats[name].min() < observed[name] < stats[name].max()
    found = inside(stats, observed)
    assert not found["inside"]
    assert found["outside"] == []
    assert found["farther"] < 0.01
    assert "together" in found["said"]


def test_a_statistic_that_is_nearly_constant_may_not_move():
    stats = pd.DataFrame({"zero": np.zeros(500), "x": np.random.default_rng(1).standard_normal(500)})
    assert inside(stats, {"zero": 0.0, "x": 0.1})["inside"]
    assert inside(stats, {"zero": 0.5, "x": 0.1})["outside"] == ["zero"]
    with pytest.raises(UserError, match="0 simulations have all of them"):
        inside(stats * np.nan, {"zero": 0.0, "x": 0.1})


# Predictions ----------------------------------------------------------------------------------------


def test_predictions_of_the_right_model_fit():
    """2,000 statistics in families of five, 100 simulations: at most 5 % of families fail, 4 standard errors.

    Intervals hold what they say, within 0.035.
    """
    rng = np.random.default_rng(7)
    drawn = pd.DataFrame(rng.standard_normal((101, 2000))).add_prefix("x")
    found = predictive(drawn[1:], drawn.iloc[0].to_dict())
    p = found["p_value"].to_numpy().reshape(400, 5)
    assert (p.min(axis=1) * 5 < checks.FALSE_ALARMS).mean() < 0.094
    assert (found["p_value"] < 0.2).mean() == pytest.approx(0.2, abs=0.036)
    within = found[["within_50", "within_90"]].mean().to_numpy(float)
    assert within == pytest.approx([0.5, 0.9], abs=0.035)


def test_predictions_that_miss_are_named():
    rng = np.random.default_rng(8)
    drawn = pd.DataFrame(rng.standard_normal((100, 3)), columns=list("xyz"))
    found = predictive(drawn, {"x": 0.1, "y": 6.0, "z": np.nan}).set_index("statistic")
    assert list(found["fits"]) == [True, False, False]
    assert found["within_50"]["x"]
    assert not found["within_90"]["y"]
    first = verdict(predictive=found.reset_index()).splitlines()[0]
    assert first.endswith("the fitted model does not give what was observed: y, z")


def test_ties_count_half():
    drawn = pd.DataFrame({"x": np.zeros(99)})
    row = predictive(drawn, {"x": 0.0}).iloc[0]
    assert row["p_value"] == 1
    assert row["fits"]


# Verdict --------------------------------------------------------------------------------------------


def test_a_fit_without_fault_passes_in_its_first_line(ranked):
    said = verdict(
        inside={"inside": True, "said": ""},
        uniformity=uniformity(ranked),
        predictive=predictive(pd.DataFrame({"x": np.arange(100.0)}), {"x": 50.0}),
        simulations=1000,
        failed=10,
        warnings=["statistic 'y' is left out"],
    )
    assert said.splitlines() == ["The fit passes its checks.", "statistic 'y' is left out"]


def test_every_fault_is_told_and_what_was_not_checked():
    bad = pd.DataFrame(
        {"parameter": ["a", "b"], "uniform": [False, True], "said": ["posteriors too narrow", ""]}
    )
    lines = verdict(uniformity=bad, simulations=100, failed=30).splitlines()
    assert lines[0] == (
        "The fit fails 2 of its checks: simulations of known parameters are not recovered: "
        "a (posteriors too narrow)"
    )
    assert lines[1].startswith("30 of 100 simulations failed")
    assert lines[2] == "not checked: data among the simulations, predictions"


@pytest.mark.slow
def test_ranks_of_several_patients_are_uniform():
    """Three alike patients, one parameter of their own and one of all: 300 ranks of each of six columns.

    One family-wise test at 5 %: false alarm 5 % over seeds, none with this one.  Patients drawn each on
    their own, or a likeness that is not drawn, would shift or narrow the posteriors of the population.
    """
    own = Fitted(Prior("normal", median=0, spread=1), True, False)
    shared = Fitted(Prior("uniform", least=-1, most=1), False, False)
    structure = Structure("toy", {}, {"a": own, "b": shared})
    theta = draw(structure, 3, 3000, 5, "toy")
    rng = np.random.default_rng(6)
    found = {}
    for patient in (1, 2, 3):
        mean = theta[f"a@{patient}"].to_numpy()
        found[f"x@{patient}"] = mean + 0.5 * rng.standard_normal(len(theta))
        found[f"y@{patient}"] = mean + theta["b"].to_numpy() + 0.7 * rng.standard_normal(len(theta))
    ranks = simulation_based_calibration(theta, pd.DataFrame(found), priors_of(structure, 3), 7, ranks=300)
    even = uniformity(ranks)
    assert set(even["parameter"]) == {"a@1", "a@2", "a@3", "population:a", "likeness:a", "b"}
    assert even["uniform"].all(), even
