"""Whose uncertainty: known components come back, and the catalogue's interval holds what it promises."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from hsc_pipeline.intervals import Estimate, wilson
from hsc_pipeline.models import uncertainty
from hsc_pipeline.models.sensitivity import rank_parameters
from hsc_pipeline.models.uncertainty import (
    COLUMNS,
    IDENTITY,
    LOG,
    SOURCES,
    _median_over_draws,
    _share_over_draws,
    logit,
    shares_of_variance,
    whose_uncertainty,
)
from hsc_pipeline.models.variance import (
    FEWEST_DRAWS,
    Components,
    centre_of_draws,
    components,
    number_interval,
    share_interval,
)
from hsc_pipeline.report.sections import uncertainty as sections
from hsc_pipeline.report.sections.uncertainty import uncertainty as uncertainty_section

ASKED = ("benefit", "graft_failure", "vcn_neutrophil", "stem_cell_chimerism")
LIMITS = {"benefit": (None, None), "graft_failure": (None, None), "vcn_neutrophil": (0, None)}
LIMITS |= {"stem_cell_chimerism": (0, 1)}
DRAWS, FEW, STUDY = 12, 6, 60  # of the default study


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(uncertainty, "ENDPOINTS", ASKED)


def two_way(rng, draws, patients, sds):
    """Effects of draws, of patients and of both together, and the patients' own effects."""
    persons = sds[1] * rng.standard_normal(patients)
    own = sds[0] * rng.standard_normal(draws)
    return own[:, None] + persons + sds[2] * rng.standard_normal((draws, patients)), persons


def tables(effect=0.0, seed=0, draws=DRAWS, few=FEW, patients=STUDY, arms=("first", "second")):
    """A study and draws of it; the second arm has half the cells; a draw moves ln VCN by `effect`."""
    rng = np.random.default_rng(seed)
    person, moved = rng.standard_normal(patients), effect * rng.standard_normal(draws)

    def rows(arm, number, ln_shift, spread):
        ln = ln_shift + 0.5 * person[:number] + 0.1 * spread - np.log(2) * (arm != arms[0])
        vcn = np.exp(ln)
        return pd.DataFrame(
            {
                "arm": arm,
                "patient": range(number),
                "vcn_neutrophil": vcn,
                "stem_cell_chimerism": vcn / (1 + vcn),
                "benefit": vcn > 0.6,
                "graft_failure": False,
            }
        )

    study = pd.concat([rows(arm, patients, 0, rng.standard_normal(patients)) for arm in arms])
    drawn = [
        rows(arm, few, moved[point], rng.standard_normal(few)).assign(point=point)
        for arm in arms
        for point in range(draws)
    ]
    return study, pd.concat(drawn), pd.DataFrame({"point": [], "arm": [], "reason": []})


def asked(study, draws, failed, independent=False, ranges="catalogue"):
    return whose_uncertainty(study, draws, failed, LIMITS, independent, ranges)


def row_of(table, endpoint, arm="first", reference=""):
    chosen = table[
        (table["arm"] == arm) & (table["endpoint"] == endpoint) & (table["reference"] == reference)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_known_components_come_back_without_bias():
    """Means of 2,000 tables: standard errors of 0.01 or less, so that 0.04 is z = 4 at least."""
    rng, found = np.random.default_rng(1), []
    for _ in range(2000):
        parts = components(two_way(rng, DRAWS, FEW, (0.5, 1.0, 0.8))[0])
        found.append((parts.draws, parts.noise * FEW, parts.within))
    assert np.mean(found, axis=0) == pytest.approx([0.25, 0.64, 1.64], abs=0.04)


def test_components_of_yes_and_no_come_back_too():
    """Without any law: the variance of the shares of draws, with patients who differ."""
    rng, found = np.random.default_rng(2), []
    for _ in range(2000):
        latent, _ = two_way(rng, DRAWS, FEW, (1.0, 1.0, 1.0))
        found.append(components((latent > 0).astype(float)).draws)
    shares = ndtr(rng.standard_normal(400_000) / np.sqrt(2))
    assert np.mean(found) == pytest.approx(shares.var(), abs=0.006)  # standard error 0.0012


def test_a_draw_without_effect_leaves_no_reliability():
    rng = np.random.default_rng(3)
    found = [components(two_way(rng, 100, FEW, (0, 2.0, 1.0))[0]).reliability for _ in range(50)]
    assert np.mean(found) < 0.15
    assert components(two_way(rng, 100, FEW, (5.0, 0, 1.0))[0]).reliability > 0.95


@pytest.mark.parametrize("between", [0.2, 0.5, 2.0])
@pytest.mark.parametrize("persons", [0.0, 2.0])
def test_the_catalogue_interval_of_a_number_holds_another_draw(between, persons):
    """Of 200 studies 90 % is 180 with an sd of 4.2: fewer than 166 is z = 3.3.

    Would fail if the unknown sd of twelve draws were taken as known: 84 % at the largest effect.
    """
    rng, held = np.random.default_rng(4), 0
    for _ in range(200):
        y, own = two_way(rng, DRAWS, FEW, (between, persons, 1.0))
        study = np.r_[own, persons * rng.standard_normal(STUDY)]
        study = study - study.mean() + rng.standard_normal(len(study))
        parts = components(y)
        centre, variance = centre_of_draws(parts, y.shape, study, study[:FEW])
        low, high = number_interval(centre, variance, parts, DRAWS)
        held += low <= between * rng.standard_normal() <= high
    assert held >= 166


@pytest.mark.parametrize("share", [0.7, 0.95, 0.99])
@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("persons", [0.0, 1.0])
def test_the_catalogue_interval_of_a_share_holds_another_draw(share, between, persons):
    """Of 80 studies 90 % is 72 with an sd of 2.7: fewer than 63 is z = 3.3.

    Would fail if the sd between draws were taken as its estimate, which is 0 in every third study.
    """
    rng, held, middle = np.random.default_rng(5), 0, norm.ppf(share)
    for _ in range(80):
        y, study = yes_or_no(rng, middle, between, persons)
        low, high = _share_over_draws(study, y)
        held += low <= ndtr(middle + between * rng.standard_normal()) <= high
        assert 0 <= low <= high <= 1
    assert held >= 63


def yes_or_no(rng, middle, between, persons, draws=DRAWS):
    scale = np.sqrt(1 + persons**2)
    own = persons * rng.standard_normal(STUDY)
    level = scale * (middle + between * rng.standard_normal(draws))
    y = level[:, None] + own[:FEW] + rng.standard_normal((draws, FEW)) > 0
    study = scale * middle + own + rng.standard_normal(STUDY) > 0
    return pd.DataFrame(y.astype(float)), pd.Series(study.astype(float))


def test_noise_of_few_patients_is_taken_off_the_interval():
    """Without any effect of the draws the interval is narrower than the draws' own shares are wide."""
    rng = np.random.default_rng(6)
    widths, raw = [], []
    for _ in range(15):
        y, study = yes_or_no(rng, 0.0, 0.0, 0.0, draws=100)
        low, high = _share_over_draws(study, y)
        widths.append(high - low)
        raw.append(np.ptp(np.quantile(y.mean(axis=1), [0.05, 0.95])))
    assert np.mean(widths) < 0.6 * np.mean(raw)


def test_shares_of_none_and_of_all_have_an_interval():
    """None of 72, none of 60: a share of a few per cent is not excluded, a tenth is."""
    none = pd.DataFrame(np.zeros((DRAWS, FEW)))
    low, high = _share_over_draws(pd.Series(np.zeros(STUDY)), none)
    assert low == pytest.approx(0, abs=0.001)
    assert 0.02 < high < 0.1
    mirrored = _share_over_draws(pd.Series(np.ones(STUDY)), none + 1)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_shares_of_a_beta_law_are_recovered_with_many_draws():
    """Against the exact quantiles of beta(4, 2), from 400 draws of 20 patients each."""
    from scipy.stats import beta

    rng = np.random.default_rng(7)
    y = (rng.random((400, 20)) < rng.beta(4, 2, 400)[:, None]).astype(float)
    found = share_interval(y, y.mean(), 0.0)
    assert found == pytest.approx(beta.ppf([0.05, 0.95], 4, 2), abs=0.03)


def test_too_few_draws_have_no_interval():
    y = np.random.default_rng(8).standard_normal((FEWEST_DRAWS - 1, FEW))
    assert np.isnan(number_interval(0, 0.1, components(y), len(y))).all()
    assert np.isnan(share_interval((y > 0).astype(float), 0.5, 0.01)).all()


def test_what_never_differs_is_known():
    assert number_interval(3.0, 0.0, components(np.full((DRAWS, FEW), 3.0)), DRAWS) == (3.0, 3.0)


@pytest.mark.parametrize(("limits", "link"), [((0, None), LOG), ((0, 1), logit(1)), ((None, None), IDENTITY)])
def test_the_median_moves_as_the_draws_move_the_mean_and_keeps_its_limits(limits, link):
    rng = np.random.default_rng(9)
    study = pd.Series(0.2 + 0.6 * rng.random(200))
    moved = link.back(link.there(study.to_numpy()[None, :FEW]) + rng.choice([-1.5, 1.5], (40, 1)))
    low, high = _median_over_draws(study, pd.DataFrame(moved), limits)
    assert low < study.median() < high
    if limits[0] is not None:
        assert low > 0
    if limits[1] is not None:
        assert high < 1


def test_a_number_that_is_zero_somewhere_is_moved_as_it_is():
    """A draw in which nobody engrafts has no logarithm."""
    study, grid = pd.Series(np.arange(1.0, 61)), pd.DataFrame(np.ones((DRAWS, FEW)))
    grid.iloc[0] = 0
    low, high = _median_over_draws(study, grid, (0, None))
    assert 0 <= low < high


def test_links_agree_with_their_slopes():
    for link in (IDENTITY, LOG, logit(100)):
        x, step = np.array([0.2, 0.5, 30]), 1e-6
        slope = (link.there(x + step) - link.there(x - step)) / (2 * step)
        assert link.slope(x) == pytest.approx(slope, rel=1e-4)
        assert link.back(link.there(x)) == pytest.approx(x)


def test_patients_of_the_study_correct_the_level_of_the_few():
    """Six patients far above the average do not lift the catalogue's interval with them."""
    rng = np.random.default_rng(10)
    person = np.r_[np.full(FEW, 2.0) + 0.1 * np.arange(FEW), rng.standard_normal(1000)]
    y = 0.3 * rng.standard_normal((DRAWS, 1)) + person[:FEW] + 0.1 * rng.standard_normal((DRAWS, FEW))
    centre, _ = centre_of_draws(components(y), y.shape, person, person[:FEW])
    assert y.mean() > 1.8
    assert abs(centre) < 0.5


def test_the_table_has_a_row_for_each_endpoint_and_difference():
    table = asked(*tables(0.5))
    assert list(table) == list(COLUMNS)
    assert len(table) == 3 * len(ASKED)  # two arms, one difference
    assert (table["draws"] == DRAWS).all()
    assert (table["patients_per_draw"] == FEW).all()


def test_estimates_are_those_of_the_report():
    study, draws, failed = tables(0.5)
    table, first = asked(study, draws, failed), study[study["arm"] == "first"]
    benefit, vcn = row_of(table, "benefit"), row_of(table, "vcn_neutrophil")
    shown = (benefit["estimate"], benefit["monte_carlo_low"], benefit["monte_carlo_high"])
    assert shown == tuple(wilson(int(first["benefit"].sum()), STUDY))
    assert vcn["estimate"] == first["vcn_neutrophil"].median()
    assert vcn["patients_low"] == pytest.approx(first["vcn_neutrophil"].quantile(0.05))


def test_the_interval_over_the_catalogue_widens_with_its_ranges():
    widths = []
    for effect in (0.1, 0.5, 1.5):
        row = row_of(asked(*tables(effect, draws=40)), "vcn_neutrophil")
        widths.append(np.log(row["catalogue_high"] / row["catalogue_low"]))
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] == pytest.approx(2 * 1.645 * 1.5, rel=0.4)


def test_variance_is_given_to_whom_it_belongs():
    """ln VCN varies by 0.26 between patients; draws by nothing, as much, or twenty times as much."""
    given = [row_of(asked(*tables(effect, draws=60)), "vcn_neutrophil") for effect in (0, 0.5, 2.2)]
    assert [sum(row[f"{source}_share"] for source in SOURCES) for row in given] == pytest.approx([1, 1, 1])
    assert given[0]["catalogue_share"] < 0.05
    assert 0.2 < given[1]["catalogue_share"] < 0.9
    assert given[2]["catalogue_share"] > given[1]["catalogue_share"]
    assert all(row["monte_carlo_share"] < 0.1 for row in given)


def test_shares_of_variance_follow_their_definition():
    parts = Components(0, draws=3.0, patients=1.0, within=6.0, noise=0.5, spread=3.5)
    one = Estimate(0.0, -norm.ppf(0.95), norm.ppf(0.95))  # a standard error of one
    assert tuple(shares_of_variance(parts, one).values()) == pytest.approx((0.6, 0.1, 0.3))


def test_what_nobody_ever_had_has_no_shares_of_variance():
    row = row_of(asked(*tables(0.5)), "graft_failure")
    assert row[[f"{source}_share" for source in SOURCES]].isna().all()
    assert row["catalogue_high"] < 0.1


def test_differences_are_paired_over_draws():
    """Every draw halves VCN in the second arm: large effects of draws cancel from the contrast of shares."""
    table = asked(*tables(1.5, draws=60))
    own, change = row_of(table, "benefit"), row_of(table, "benefit", "second", "first")
    assert change["estimate"] < 0
    assert change["catalogue_high"] - change["catalogue_low"] < own["catalogue_high"] - own["catalogue_low"]
    assert -1 <= change["catalogue_low"] <= change["catalogue_high"] <= 1


def test_failed_draws_are_left_out_of_every_arm_and_counted():
    study, draws, _ = tables(0.5)
    failed = pd.DataFrame({"point": [3, 7], "arm": ["second", "second"], "reason": ["no cells"] * 2})
    lost = draws["point"].isin([3, 7]) & (draws["arm"] == "second")
    table = asked(study, draws[~lost], failed)
    assert (table["draws"] == DRAWS - 2).all()
    assert list(table.groupby("arm")["failed_draws"].first()) == [0, 2]


def test_without_draws_the_catalogue_has_no_interval():
    study, draws, failed = tables()
    table = asked(study, draws.iloc[:0], failed)
    assert table["catalogue_low"].isna().all()
    assert table["monte_carlo_low"].notna().all()


def test_other_persons_in_each_arm_have_wider_differences():
    study, draws, failed = tables(0.5)
    paired, apart = (
        row_of(asked(study, draws, failed, independent), "vcn_neutrophil", "second", "first")
        for independent in (False, True)
    )
    assert apart["monte_carlo_high"] - apart["monte_carlo_low"] > 2 * (
        paired["monte_carlo_high"] - paired["monte_carlo_low"]
    )
    assert np.isnan(apart["patients_low"])


def test_the_same_tables_give_the_same_bytes():
    one, other = (asked(*tables(0.5)).to_csv(index=False) for _ in range(2))
    assert one == other
    assert asked(*tables(0.5), ranges="posterior")["ranges"].eq("posterior").all()


def section(study, draws, failed, **answers):
    table = asked(study, draws, failed)
    results = SimpleNamespace(
        answers=defaultdict(pd.DataFrame, {"uncertainty": table, **answers}),
        arms=["first", "second"],
        patients=STUDY,
    )
    return uncertainty_section(results)


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(sections, "SAID", ("benefit", "graft_failure"))


def test_the_report_leads_with_what_each_kind_leaves_open(shown):
    study, draws, failed = tables(0.5)
    found = section(study, draws, failed)
    benefit = int(study.loc[study["arm"] == "first", "benefit"].sum())
    assert found.lead[0].startswith(
        f"Benefit in first: {100 * benefit / STUDY:.0f} %. 60 virtual patients leave"
    )
    assert "the catalogue's ranges leave" in found.lead[0]
    assert any("its sign holds" in said or "its sign hangs" in said for said in found.lead)
    drawn = next(block for block in found.blocks if block.kind == "figure").chart.to_dict()
    spans = {row["span"] for rows in drawn["datasets"].values() for row in rows}
    assert spans == set(sections.SPANS.values())


def test_the_report_says_what_is_worth_measuring_or_that_nothing_can_be_told(shown):
    made = {"points": 200, "parameters": 30, "r2": 0.8, "patients_noise": 0.1, "unexplained": 0.2}
    said = {"outcome": "benefit", "resolved": 1, "verdict": "the quadratic surrogate explains 80 %"}
    fits = pd.DataFrame([{"source": "uncertainty", "arm": "first", **made, **said}])
    index = {"s1": 0.5, "s1_low": 0.4, "s1_high": 0.7, "st": 0.6, "st_low": 0.5, "st_high": 0.9}
    value = {"source": "uncertainty", "parameter": "p.one"}
    indices = pd.DataFrame([{**value, "arm": "first", "outcome": "benefit", **index, "resolved": True}])
    ranks = rank_parameters(indices, {"p.one": {"evidence": "assumed", "source": "nobody knows"}})
    found = section(*tables(0.5), sensitivity=indices, sensitivity_surrogates=fits, worth_measuring=ranks)
    assert any("Most worth measuring better" in s and "p.one (assumed, 60 %)" in s for s in found.lead)
    assert any("nobody knows" in row for block in found.blocks if block.kind == "table" for row in block.rows)
    nothing = section(*tables(0.5), sensitivity_surrogates=fits, worth_measuring=ranks.iloc[:0])
    assert any("none can be told" in said for said in nothing.lead)


def test_without_the_table_the_report_says_that_nothing_was_asked():
    results = SimpleNamespace(answers=defaultdict(pd.DataFrame), arms=["first"], patients=STUDY)
    assert "No draws" in uncertainty_section(results).blocks[0].text
