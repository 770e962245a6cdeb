"""Priors: quantiles and cdf undo each other, and nothing is ever drawn outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline.calibration.priors import Prior, at_scores, sample, scores
from hsc_pipeline.errors import UserError

FAMILY = {
    "uniform": Prior("uniform", least=-2, most=3),
    "log_uniform": Prior("log_uniform", least=10, most=1e5),
    "normal": Prior("normal", median=1.5, spread=0.5),
    "bounded normal": Prior("normal", median=0, spread=1, least=0.5, most=0.8),
    "half normal": Prior("normal", median=-1, spread=2, least=0),
    "log_normal": Prior("log_normal", median=40, spread=0.7),
    "bounded log_normal": Prior("log_normal", median=40, spread=2, most=60),
}

numbers = st.floats(-1e3, 1e3)
widths = st.floats(1e-3, 1e3)


@st.composite
def laws(draw):
    kind = draw(st.sampled_from(["uniform", "log_uniform", "normal", "log_normal"]))
    centre, spread = draw(numbers), draw(st.floats(0.01, 3))
    least, width = draw(numbers), draw(widths)
    if kind == "uniform":
        return Prior(kind, least=least, most=least + width)
    if kind == "log_uniform":
        return Prior(kind, least=abs(least) + 1e-3, most=abs(least) + 1e-3 + width)
    near = draw(st.floats(0.1, 3)) * spread
    if kind == "normal":
        bounds = dict(least=centre - near, most=centre + near)
        return Prior(kind, median=centre, spread=spread, **draw(st.sampled_from([{}, bounds])))
    median = abs(centre) + 1e-3
    bounds = dict(least=median * np.exp(-near))
    return Prior(kind, median=median, spread=spread, **draw(st.sampled_from([{}, bounds])))


@given(laws(), st.floats(1e-6, 1 - 1e-6))
def test_quantile_and_cdf_undo_each_other(prior, u):
    assert prior.cdf(prior.quantile(u)) == pytest.approx(u, abs=1e-8)


@given(laws(), st.floats(0, 1))
def test_no_quantile_is_outside(prior, u):
    value = prior.quantile(u)
    assert prior.least is None or value >= prior.least
    assert prior.most is None or value <= prior.most
    assert not prior.logarithmic or value >= 0


@given(laws(), st.floats(-6, 6))
def test_scores_undo_each_other_and_stay_within(prior, z):
    value = prior.at_score(z)
    assert np.isfinite(value)
    assert prior.least is None or value >= prior.least
    assert prior.most is None or value <= prior.most
    assert abs(z) > 4 or prior.score(value) == pytest.approx(z, abs=1e-4)


@pytest.mark.parametrize("name", FAMILY)
def test_the_density_is_the_slope_of_the_cdf(name):
    prior = FAMILY[name]
    x = prior.quantile(np.linspace(0.02, 0.98, 25))
    step = 1e-5 * np.abs(x)
    slope = (prior.cdf(x + step) - prior.cdf(x - step)) / (2 * step)
    assert np.exp(prior.log_density(x)) == pytest.approx(slope, rel=1e-4)


def test_the_density_is_nothing_outside():
    assert np.isneginf(FAMILY["uniform"].log_density([-2.1, 3.1])).all()
    assert np.isneginf(FAMILY["log_uniform"].log_density([0, -1, 9.9])).all()
    assert np.isneginf(FAMILY["bounded log_normal"].log_density([0, -3, 61])).all()


def test_the_median_of_a_normal_law_is_its_median():
    assert FAMILY["normal"].quantile(0.5) == pytest.approx(1.5)
    assert FAMILY["log_normal"].quantile(0.5) == pytest.approx(40)
    assert FAMILY["log_normal"].quantile(0.8413447460685429) == pytest.approx(40 * np.exp(0.7))


def test_a_latin_hypercube_puts_one_draw_in_each_part_of_each_prior():
    drawn = sample(FAMILY, 200, 7)
    assert list(drawn) == list(FAMILY)
    for name, prior in FAMILY.items():
        parts = np.floor(prior.cdf(drawn[name].to_numpy()) * 200 + 1e-6 * (drawn[name] >= 0))
        assert len(np.unique(np.clip(parts, 0, 199))) >= 198, name  # rounding at a part's edge
    assert drawn.equals(sample(FAMILY, 200, 7))
    assert not drawn.equals(sample(FAMILY, 200, 8))


def test_scores_of_draws_are_standard_normal_and_return():
    """Latin hypercube: means of 2,000 scores are within 0.01 of 0 and their sd of 1, always."""
    drawn = sample(FAMILY, 2000, 1)
    z = scores(drawn, FAMILY)
    assert z.mean(axis=0) == pytest.approx(np.zeros(len(FAMILY)), abs=0.01)
    assert z.std(axis=0) == pytest.approx(np.ones(len(FAMILY)), abs=0.01)
    back = at_scores(z, FAMILY)
    for name in FAMILY:
        assert back[name].to_numpy() == pytest.approx(drawn[name].to_numpy(), rel=1e-6), name


@pytest.mark.parametrize("name", FAMILY)
def test_a_narrowed_prior_keeps_its_shape(name):
    prior = FAMILY[name]
    low, high = prior.quantile([0.3, 0.6])
    inner = prior.narrowed(low, high)
    x = np.linspace(low, high, 11)
    assert inner.cdf(x) == pytest.approx((prior.cdf(x) - 0.3) / 0.3, abs=1e-6)
    wide = prior.narrowed(-1e9 if not prior.logarithmic else 1e-9, 1e9)
    assert wide.quantile([0.1, 0.9]) == pytest.approx(prior.quantile([0.1, 0.9]), rel=1e-4)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (dict(kind="beta", least=0, most=1), "prior 'beta': no such law; allowed: uniform, log_uniform"),
        (dict(kind="uniform", least=0), "needs most"),
        (dict(kind="normal", least=0), "needs median and spread"),
        (dict(kind="uniform", least=2, most=2), "least 2 is not below most 2"),
        (dict(kind="log_uniform", least=0, most=2), "least 0; allowed on a logarithmic scale: above 0"),
        (dict(kind="log_normal", median=-1, spread=1), "median -1; allowed on a logarithmic scale"),
        (dict(kind="normal", median=1, spread=0), "spread 0; allowed: above 0"),
        (dict(kind="normal", median=np.nan, spread=1), "median nan; allowed: a finite number"),
        (dict(kind="uniform", least=0, most=1, spread=1), "spread belong to a normal law"),
        (dict(kind="normal", median=0, spread=1, least=20), "allowed: bounds where the law has mass"),
    ],
)
def test_what_is_no_law_is_refused_in_a_sentence(numbers, sentence):
    with pytest.raises(UserError, match=sentence):
        Prior(**numbers)
