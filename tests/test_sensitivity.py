"""Sensitivity: published indices come out, noise resolves nothing, and no more is said than is known."""

import numpy as np
import pandas as pd
import pytest
from SALib.test_functions import Ishigami
from scipy.stats import qmc

from hsc_pipeline.models import screening, sensitivity
from hsc_pipeline.models.screening import (
    FALSE_ALARMS,
    main_effect_intervals,
    main_effects,
    resolved_main_effects,
)
from hsc_pipeline.models.sensitivity import (
    COLUMNS,
    DROWNED,
    PRIMARY,
    SAME,
    SURROGATE_COLUMNS,
    analyse_sensitivity,
    better_than_the_mean,
    patients_noise,
    rank_parameters,
    resolved_totals,
    scaled_evenly,
    sensitivity_tables,
)
from hsc_pipeline.models.sobol import learn, marginal_quantiles, sobol_indices, surrogate_indices

# a = 7, b = 0.1; Ishigami and Homma 1990, 10.1109/ISUMA.1990.151285
ISHIGAMI_S1, ISHIGAMI_ST = (0.3139, 0.4424, 0.0), (0.5576, 0.4424, 0.2437)


def ishigami(u):
    return Ishigami.evaluate(-np.pi + 2 * np.pi * u)


def cube(points, parameters, seed=0):
    return qmc.LatinHypercube(parameters, rng=np.random.default_rng(seed)).random(points)


def ensemble(effect, points=60, patients=4, parameters=3, noise=0.0, seed=0, arms=("a",)):
    """Points and outcomes; every endpoint is `effect` of the values, plus noise of patients."""
    x, rng = cube(points, parameters, seed), np.random.default_rng(seed + 1)
    names = [f"p.{i}" for i in range(parameters)]
    long = (
        pd.DataFrame(x, columns=names)
        .melt(ignore_index=False, var_name="parameter")
        .reset_index(names="point")
    )
    rows = pd.DataFrame({"point": np.repeat(range(points), patients), "patient": [*range(patients)] * points})
    value = effect(x)[rows["point"]] + noise * rng.standard_normal(len(rows))
    rows = rows.assign(**{name: value for name in ASKED})
    return (
        pd.concat([long.assign(arm=arm) for arm in arms]),
        pd.concat([rows.assign(arm=arm) for arm in arms]),
    )


ASKED = ("benefit", "immune_score")  # two outcomes and fewer permutations show the same laws in less time


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "PERMUTATIONS", 199)
        patch.setattr(sensitivity, "ENDPOINTS", ASKED)
        yield


def test_ishigami_comes_out_of_the_function_itself():
    """SALib's interval at 1,024 points is about 0.06 wide; 0.03 off would be z = 1.6 to 5."""
    found = sobol_indices(Ishigami.evaluate, lambda u: -np.pi + 2 * np.pi * u, 3, seed=1)
    assert found.s1 == pytest.approx(ISHIGAMI_S1, abs=0.04)
    assert found.st == pytest.approx(ISHIGAMI_ST, abs=0.04)
    assert (found.st_low <= ISHIGAMI_ST).all()
    assert (found.st_high >= ISHIGAMI_ST).all()


def test_ishigami_comes_out_of_a_surrogate_of_300_points():
    """The same sample and analysis on a surrogate that foresees 99 % of held-out variance."""
    x = cube(300, 3)
    y = ishigami(x)
    surrogate = learn(x, y, seed=1)
    assert surrogate.name == "gaussian process"
    explained = 1 - np.mean((y - surrogate.held_out) ** 2) / y.var()
    assert explained > 0.98
    found = surrogate_indices(surrogate, x, y, np.full(41, explained), seed=1)
    assert found.s1 == pytest.approx(ISHIGAMI_S1, abs=0.05)
    assert found.st == pytest.approx(ISHIGAMI_ST, abs=0.05)
    for truth, low, high in (
        (ISHIGAMI_S1, found.s1_low, found.s1_high),
        (ISHIGAMI_ST, found.st_low, found.st_high),
    ):
        assert (low <= truth).all()
        assert (truth <= high).all()


def test_a_parameter_that_acts_through_another_alone_is_resolved():
    """The third of Ishigami has no main effect; its total index is found by held-out error."""
    table = analyse_sensitivity(*ensemble(ishigami, 200), "sweep", 1)["sensitivity"]
    third = table[table["parameter"] == "p.2"]
    assert third["resolved"].all()
    assert (third["s1"] < 0.05).all()
    assert third["st"].to_numpy() == pytest.approx(ISHIGAMI_ST[2], abs=0.06)


def test_an_additive_outcome_has_its_exact_indices_despite_patients_noise():
    """y = 2 a + b of uniform values: 4/5 and 1/5, total as first order, and none for the third.

    The noise of four patients a point is as large as the effect: uncorrected, indices would be halved.
    """

    def effect(x):
        return 2 * x[:, 0] + x[:, 1]

    sd = np.sqrt(4 * 5 / 12)  # of one patient, so that the mean of four varies as the effect does
    found = analyse_sensitivity(*ensemble(effect, 300, noise=sd), "sweep", 1)
    table, verdict = found["sensitivity"], found["sensitivity_surrogates"].iloc[0]
    table = table[table["outcome"] == "benefit"].set_index("parameter")
    assert verdict["patients_noise"] == pytest.approx(0.5, abs=0.06)
    assert table["st"].to_numpy() == pytest.approx([0.8, 0.2, 0], abs=0.1)
    assert table["s1"].to_numpy() == pytest.approx([0.8, 0.2, 0], abs=0.1)
    assert ((table["st_low"] <= [0.8, 0.2, 0]) & (table["st_high"] >= [0.8, 0.2, 0])).all()
    assert table["st_low"]["p.2"] == 0
    assert list(table["resolved"]) == [True, True, False]


def test_intervals_of_totals_hold_the_truth_and_inert_parameters_reach_zero():
    """Of 20 additive outcomes with noise, at least 90 % of the 60 intervals hold the exact index.

    With true coverage of 90 %, 48 of 60 or fewer would have a chance of 0.4 %; the upper ends hold what is
    unexplained and make true coverage higher.
    """
    held, zero = 0, 0
    for seed in range(20):
        x = cube(80, 3, seed)
        y = 2 * x[:, 0] + x[:, 1] + 0.3 * np.random.default_rng(seed).standard_normal(80)
        surrogate = learn(x, y, seed)
        explained = np.full(
            41, min(1, (1 - np.mean((y - surrogate.held_out) ** 2) / y.var()) * (5 / 12 + 0.09) * 12 / 5)
        )
        found = surrogate_indices(surrogate, x, y, explained, seed)
        held += int(((found.st_low <= [0.8, 0.2, 0]) & (found.st_high >= [0.8, 0.2, 0])).sum())
        zero += found.st_low[2] <= 0.005
    assert held >= 49
    assert zero >= 16


def test_pure_noise_resolves_nothing():
    found = analyse_sensitivity(*ensemble(lambda x: 0 * x[:, 0], noise=1.0), "uncertainty", 1)
    assert not found["sensitivity"]["resolved"].any()
    assert (found["sensitivity_surrogates"]["surrogate"] == "none").all()


def test_few_draws_of_many_parameters_resolve_nothing_and_say_so():
    """Twelve draws of 250 values: one of them does everything, and still cannot be told from luck."""
    found = analyse_sensitivity(*ensemble(lambda x: x[:, 0], 12, 6, 250, noise=0.3), "uncertainty", 1)
    assert found["sensitivity"]["st"].isna().all()
    assert found["sensitivity"]["resolved"].mean() < 0.01
    said = found["sensitivity_surrogates"]
    assert (said["entered"] == 0).all()
    unresolved = said[said["resolved"] == 0]
    assert unresolved["verdict"].str.contains("12 points for 250 parameters are too few").all()


def test_few_of_many_parameters_are_found_by_many_draws():
    """Three of 60 values drive the outcome; 200 draws find them, and nothing else."""

    def effect(x):
        return 3 * x[:, 7] + 2 * x[:, 20] + 2 * x[:, 41]

    points, outcomes = ensemble(effect, 200, 4, 60, noise=0.5)
    outcomes = outcomes.assign(**{name: 1.0 for name in ASKED if name != "benefit"})
    found = analyse_sensitivity(points, outcomes, "uncertainty", 1)
    table = found["sensitivity"].query("outcome == 'benefit'").set_index("parameter")
    assert set(table.index[table["resolved"]]) == {"p.7", "p.20", "p.41"}
    assert table["st"][["p.7", "p.20", "p.41"]].to_numpy() == pytest.approx(
        [9 / 17, 4 / 17, 4 / 17], abs=0.08
    )
    others = found["sensitivity_surrogates"].query("outcome != 'benefit'")
    assert (others["verdict"] == SAME).all()


def test_false_alarms_of_the_whole_table_are_one_in_twenty(monkeypatch):
    """Of 200 tables of noise, 25 parameters and 4 outcomes in two arms, at the nominal 5 % more than 21
    with any alarm has a chance of 0.1 %.  Without a correction for 200 tests every table would have some.
    """
    monkeypatch.setattr(screening, "PERMUTATIONS", 99)
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.random((30, 25))
        y = rng.standard_exponential((30, 4))  # skewed, as counts are
        found = resolved_main_effects([x, x], [y, y + rng.random((30, 4))], seed, FALSE_ALARMS)
        alarms += any(part.any() for part in found)
    assert alarms <= 21


@pytest.mark.slow
def test_false_totals_are_rare():
    """Held-out errors of noise, 300 tests at 1 %: more than 10 has a chance of 0.04 %."""
    alarms = 0
    for seed in range(100):
        x, rng = cube(40, 3, seed), np.random.default_rng(seed)
        surrogate = learn(x, rng.standard_normal(40), seed)
        alarms += int(resolved_totals(surrogate.excess, 0.01).sum())
    assert alarms <= 10


def test_main_effects_of_noise_average_to_zero_and_their_intervals_hold_the_truth():
    """Of 400 linear effects with R2 of 0.2, 90 % intervals hold it in 340 to 380: z = 3 and more."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 1))
    noise = rng.standard_normal((50, 400))
    assert main_effects(x, noise).mean() == pytest.approx(0, abs=0.008)
    held = 0
    for _ in range(400):
        x = rng.standard_normal((50, 1))
        low, high = main_effect_intervals(x, 0.5 * x + rng.standard_normal((50, 1)))
        held += low[0, 0] <= 0.2 <= high[0, 0]
    assert 338 <= held <= 382


def test_what_patients_have_in_common_is_no_noise():
    """The same patients at every point: their common part, however large, cancels between points."""
    rng = np.random.default_rng(0)
    own, person = rng.standard_normal((200, 5)), 10 * rng.standard_normal(5)
    assert patients_noise(pd.DataFrame(own + person)) == pytest.approx(1 / 5, rel=0.15)
    others = np.full((200, 1000), np.nan)  # other patients at every point
    for point in range(200):
        others[point, 5 * point : 5 * point + 5] = own[point]
    assert patients_noise(pd.DataFrame(others)) == pytest.approx(1 / 5, rel=0.15)


def test_points_that_differ_less_than_patients_have_no_indices():
    points, outcomes = ensemble(lambda x: 0 * x[:, 0], noise=1.0, seed=4)
    said = analyse_sensitivity(points, outcomes, "sweep", 1)
    drowned = said["sensitivity_surrogates"]["verdict"] == DROWNED
    noise = said["sensitivity_surrogates"]["patients_noise"]
    assert ((noise == 1) == drowned).all()
    rows = said["sensitivity"].merge(said["sensitivity_surrogates"][["outcome", "verdict"]], on="outcome")
    assert rows[rows["verdict"] == DROWNED]["s1"].isna().all()


def test_quantiles_keep_the_levels_of_a_grid():
    levels = np.repeat([0.0, 0.3, 1.0], 20)[:, None]
    drawn = marginal_quantiles(levels, np.random.default_rng(0).random((1000, 1)))
    assert np.isin(drawn, levels).mean() > 0.95


def test_values_over_decades_are_scaled_by_their_logarithm():
    decades = np.geomspace(1e-6, 1e-2, 50)
    assert scaled_evenly(decades) == pytest.approx(np.linspace(0, 1, 50))
    assert scaled_evenly(np.linspace(0, 5, 50)) == pytest.approx(np.linspace(0, 1, 50))


def test_the_rank_puts_assumed_values_first_and_leaves_out_what_is_not_resolved():
    row = {"source": "sweep", "arm": "a", "outcome": PRIMARY[0], "s1": 0.3, "resolved": True}
    table = pd.DataFrame(
        [
            {**row, "parameter": "p.published", "st": 0.5},
            {**row, "parameter": "p.assumed", "st": 0.4},
            {**row, "parameter": "p.noise", "st": 0.9, "resolved": False},
        ]
    )
    values = {f"p.{e}": {"evidence": e, "source": f"of {e}"} for e in ("published", "assumed")}
    ranked = rank_parameters(table, values)
    assert set(ranked["outcome"]) == {PRIMARY[0], "primary endpoints"}
    assert list(ranked[ranked["outcome"] == "primary endpoints"]["parameter"]) == ["p.assumed", "p.published"]
    assert list(ranked["rank"][:2]) == [1, 2]
    assert ranked["reference"].iloc[0] == "of assumed"


def test_the_same_seed_gives_the_same_tables():
    made = ensemble(lambda x: x[:, 0] * x[:, 1], noise=0.1)
    one, other = (analyse_sensitivity(*made, "sweep", 7) for _ in range(2))
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name])
        assert one[name].to_csv(index=False) == other[name].to_csv(index=False)


def test_a_study_without_points_has_empty_tables():
    found = sensitivity_tables({}, {}, 1)
    assert list(found["sensitivity"]) == list(COLUMNS)
    assert list(found["sensitivity_surrogates"]) == list(SURROGATE_COLUMNS)
    assert all(frame.empty for frame in found.values())


def test_points_that_failed_in_one_arm_are_left_out_of_all():
    points, outcomes = ensemble(lambda x: x[:, 0], 30, arms=("a", "b"))
    outcomes = outcomes[~((outcomes["arm"] == "b") & (outcomes["point"] < 3))]
    found = analyse_sensitivity(points, outcomes, "uncertainty", 1)
    assert (found["sensitivity_surrogates"]["points"] == 27).all()
    assert list(found["sensitivity"]["arm"].unique()) == ["a", "b"]


def test_a_surrogate_must_beat_the_mean():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(50)
    assert better_than_the_mean(y, 0.9 * y)
    assert not better_than_the_mean(y, (y.sum() - y) / 49)
    assert not better_than_the_mean(y, rng.standard_normal(50))
