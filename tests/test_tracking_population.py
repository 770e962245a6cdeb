"""Numbers of clones: estimators where their assumptions hold, where they do not, and corrected."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking import coalescence_posterior, population_size
from hsc_pipeline.tracking.captures import Captures
from hsc_pipeline.tracking.coalescence import FOUNDERS, MARROWS, log_likelihood
from hsc_pipeline.tracking.corrected_population import (
    MODELS,
    MOST_SEEN,
    NOTES,
    Design,
    Prior,
    Reference,
    Spread,
    catalogue_spread,
    corrected_population,
)
from hsc_pipeline.tracking.design import chance_to_see, dna_to_see, power_of_fold_change, samples_to_see
from hsc_pipeline.tracking.indices import chao1_interval
from hsc_pipeline.tracking.multilineage import multilineage
from hsc_pipeline.tracking.neutral import Marrow, read_until_seen
from hsc_pipeline.tracking.population import ESTIMATORS
from tests.statistics_of import LIMIT, z_of_mean, z_of_share

Z = stats.norm.ppf(0.95)
NOMINAL = 0.90


def covers(table, truth):
    low = table["estimate"] - Z * table["standard_error"]
    high = table["estimate"] + Z * table["standard_error"]
    return ((low <= truth) & (truth <= high)).to_numpy()


def within_family(hits, nominal=NOMINAL, two_sided=True):
    """Least binomial p-value of a family of coverages, times its size; small: one is off."""
    side = "two-sided" if two_sided else "less"
    p = [stats.binomtest(int(h.sum()), len(h), nominal, alternative=side).pvalue for h in np.transpose(hits)]
    return min(p) * len(p)


# Where the assumptions hold ---------------------------------------------------------------------

ALIKE = ("M0", "M0_bc", "Mt", "Mt_bc")
BY_TIME = ("Mt", "Mt_bc", "Chapman")


@pytest.mark.parametrize(
    ("chances", "estimators"), [((0.3, 0.3, 0.3, 0.3), ALIKE), ((0.2, 0.35, 0.4, 0.5), BY_TIME)]
)
def test_intervals_cover_where_clones_are_alike(chances, estimators):
    """2,000 data sets of 1,000 clones; family-wise. Fails if one covered 86 % or 94 % instead of 90 %."""
    rng = np.random.default_rng(20261126)
    hits = [
        covers(population_size(rng.random((1000, len(chances))) < chances, estimators), 1000)
        for _ in range(2000)
    ]
    assert within_family(hits) > 1e-5


def test_chao1_covers_where_clones_are_alike():
    """2,000 samples of 900 fragments of 400 clones; the log-normal interval."""
    rng = np.random.default_rng(20261127)
    hits = []
    for _ in range(2000):
        _, low, high = chao1_interval(rng.poisson(900 / 400, 400))
        hits.append(low <= 400 <= high)
    assert abs(z_of_share(hits, NOMINAL)) < LIMIT


def test_credible_intervals_of_founders_cover_on_average_over_the_prior():
    """Exactly, by summing over all coalescences: at least 90 % for founders drawn from the grid."""
    colonies = 100
    chance = np.exp(log_likelihood(colonies, np.arange(colonies)[:, None, None], FOUNDERS[:, None], MARROWS))
    by_founders = chance.mean(axis=2)  # coalescences x founders, flat over marrows
    covered = np.zeros(len(FOUNDERS))
    for seen in np.flatnonzero(by_founders.sum(axis=1) > 1e-10):
        running = np.cumsum(coalescence_posterior(colonies, int(seen))["probability"].to_numpy())
        low, high = np.searchsorted(running, [0.05, 0.95])
        covered[low : high + 1] += by_founders[seen, low : high + 1]
    assert NOMINAL <= covered.mean() < 0.95


# Where clones differ ----------------------------------------------------------------------------


def test_lincoln_and_petersen_find_two_thousand_of_five_thousand():
    """N (Ep)^2 / E(p^2): 2,000 of 5,000 for Beta(0.5, 4.5), 5,000 where alike; fails if 4 % off."""
    rng = np.random.default_rng(3)
    found = {"unequal": [], "alike": []}
    for _ in range(400):
        unequal = rng.beta(0.5, 4.5, 5000)
        for name, p in (("unequal", unequal), ("alike", np.full(5000, 0.1))):
            seen = rng.random((5000, 2)) < p[:, None]
            found[name].append(population_size(seen, ("Chapman",))["estimate"][0])
    moments = 0.1**2 / (0.5 * 1.5 / (5 * 6))
    # Chapman's own bias: with some 125 seen again, N exp(-n m / N), below a thousandth.
    assert abs(z_of_mean(found["unequal"], 5000 * moments)) < LIMIT
    assert abs(z_of_mean(found["alike"], 5000)) < LIMIT
    for name, truth in (("unequal", 5000 * moments), ("alike", 5000)):
        assert abs(z_of_mean(found[name], truth * 1.04)) > LIMIT


def sampled(rng, clones, sigma, fragments):
    output = np.exp(sigma * rng.standard_normal(clones))
    return rng.poisson(np.outer(output / output.sum(), fragments))


def expected_captures(clones, sigma, fragments):
    """Captures in the limit of a large study, by quadrature, and clones of both last occasions."""
    nodes = np.linspace(-6, 6, 241)
    law = stats.norm.pdf(nodes) / stats.norm.pdf(nodes).sum()
    output = np.exp(sigma * nodes)
    chance = -np.expm1(-np.outer(fragments, output) / (clones * (output @ law)))
    number = np.zeros((len(fragments) + 1, len(law)))
    number[0] = 1
    for seen in chance:
        number[1:] = number[1:] * (1 - seen) + number[:-1] * seen
        number[0] *= 1 - seen
    by_number = clones * (number[1:] @ law)
    captures = Captures(float(by_number.sum()), clones * (chance @ law), by_number)
    return captures, clones * ((chance[-2] * chance[-1]) @ law)


def test_no_estimator_covers_where_clones_differ_and_each_fails_by_the_known_amount():
    """4,000 clones of spread 1.2, four samples: all too low, by what quadrature says to 2 %."""
    rng = np.random.default_rng(4)
    fragments, sigma, truth = (1500, 1200, 2000, 1500), 1.2, 4000
    tables = [population_size(sampled(rng, truth, sigma, fragments) > 0, MODELS) for _ in range(60)]
    captures, again = expected_captures(truth, sigma, fragments)
    n, m = captures.by_occasion[-2:]
    means = np.mean([table["estimate"] for table in tables], axis=0)
    for name, mean in zip(MODELS, means, strict=True):
        chapman = (n + 1) * (m + 1) / (again + 1) - 1
        said = chapman if name == "Chapman" else ESTIMATORS[name](captures, np.zeros((0, 0), bool)).estimate
        assert said < 0.9 * truth, name
        assert mean == pytest.approx(said, rel=0.02), name
    assert not any(covers(table, truth).any() for table in tables)


# The model of studies ---------------------------------------------------------------------------


def test_clones_drift_as_critical_birth_and_death():
    """Mean n0, variance 2 b t n0, extinct (bt / (1 + bt))^n0 of geometric sizes; fails if b is 5 % off."""
    rng, m, gap = np.random.default_rng(14), 6.0, 2.0
    cells = Marrow(200_000, cells_per_clone=m).grow(rng, np.array([1.0, 1.0 + gap]))
    first, change = cells[:, 0], cells[:, 1] - cells[:, 0]
    assert abs(z_of_mean(first, m)) < LIMIT
    assert abs(z_of_mean(change, 0)) < LIMIT
    assert abs(z_of_mean(change**2, 2 * gap * m)) < LIMIT
    assert abs(z_of_mean(change**2, 2 * gap * m * 1.05)) > LIMIT
    q, p = gap / (1 + gap), 1 / m
    assert abs(z_of_share(cells[:, 1] == 0, p * q / (1 - (1 - p) * q))) < LIMIT


def test_insertions_of_one_cell_go_together():
    rng = np.random.default_rng(15)
    marrow = Marrow(20_000, sigma=1.0, visit_ln_sd=0.2, copies=2.2)
    outputs = marrow.outputs(rng, marrow.grow(rng, np.array([0.0, 1.0])))
    each = np.unique(outputs[outputs[:, 0] > 0], axis=0, return_counts=True)[1]
    assert abs(z_of_mean(each, 2.2)) < LIMIT


@pytest.mark.parametrize("least", [1, 2])
def test_samples_are_as_deep_as_the_clones_seen_say(least):
    rng, wanted = np.random.default_rng(16), np.array([100.0, 900.0, 1900.0])
    outputs = np.repeat(np.exp(rng.standard_normal((2000, 1))), 3, axis=1)
    found = [(read_until_seen(rng, outputs, wanted, least) >= least).sum(axis=0) for _ in range(40)]
    assert np.mean(found, axis=0) == pytest.approx(wanted, rel=0.02)
    assert read_until_seen(rng, outputs, np.array([2000.0, 5, 5])) is None


# Corrected --------------------------------------------------------------------------------------

CHEAP = ("M0_bc", "Chapman", "Chao2", "jackknife1")
MONTHS, TOTALS, COPIES, FOREIGN = np.array([12.0, 24, 36]), (1500, 1200, 1500), 1.8, 0.02


def laboratory(rng, marrow, totals=TOTALS):
    """Fragments of a marrow by the steps of a laboratory, and insertions living at the last sample.

    Cells of the sort, of which some are of other clones; DNA, two genomes for every fragment in
    twenty; capture of each insertion by chance; and as many of the fragments as are wanted.
    """
    cells = marrow.grow(rng, MONTHS / 12)
    output = marrow.outputs(rng, cells)
    living = (output[:, -1] > 0).sum()
    foreign = np.exp(1.5 * rng.standard_normal((len(output), 1)))
    pure = output / output.sum(axis=0) * (1 - FOREIGN * rng.uniform())
    share = np.vstack([pure, foreign / foreign.sum() * (1 - pure.sum(axis=0))])
    genomes = rng.poisson(share * np.array(totals) * 1.5 / 0.05)
    counts = rng.binomial(genomes, 0.05)
    exact = [rng.multivariate_hypergeometric(own, n) for own, n in zip(counts.T, totals, strict=True)]
    counts = np.column_stack(exact)
    return counts[counts.any(axis=1)], living


def reference(draws, seed):
    design = Design(MONTHS, np.array(TOTALS, float), True, 1, COPIES, 1000, np.full(3, FOREIGN))
    prior = Prior.of(design)
    prior = replace(prior, high=np.append(np.log(8000), prior.high[1:]))  # more cells: slower, no harder
    return Reference.simulate(np.random.default_rng(seed), design, prior, draws, CHEAP)


def full_model_hits(data_sets, draws, seed):
    """Whether each interval covers, ln ratio to the truth, and ln cells per clone, a row a study."""
    known, rng = reference(draws, seed), np.random.default_rng(seed + 1)
    rows = []
    while len(rows) < data_sets:
        at, marrow = known.prior.draw(rng, COPIES)
        try:
            counts, living = laboratory(rng, marrow)
        except ValueError:  # fewer fragments than wanted
            continue
        table = known.correct(counts)
        rows.append(
            (
                *((table["low"] <= living) & (living <= table["high"])),
                *np.log(table["clones"] / living),
                at[1],
            )
        )
    rows = np.array(rows, float)
    return rows[:, :4] == 1, rows[:, 4:8], rows[:, 8]


def test_corrected_numbers_cover_in_the_full_model():
    """300 studies with drift, draw, sort, DNA, capture and unequal clones, of marrows of 300-8,000 clones.

    False alarm 1e-5 family-wise; fails if one covered less than 80 %, or were 5 % off on average.
    """
    hits, ln_ratio, _ = full_model_hits(300, 700, 6)
    print(hits.mean(axis=0), ln_ratio.mean(axis=0), ln_ratio.std(axis=0))
    assert within_family(hits, two_sided=False) > 1e-5
    assert hits.mean() < 0.97
    assert np.abs(ln_ratio.mean(axis=0)).max() < 0.05


@pytest.mark.slow
def test_corrected_numbers_cover_in_the_full_model_at_length():
    """2,000 studies; fails if one covered less than 86.5 %, or 82 % where clones have few cells."""
    hits, _, ln_cells = full_model_hits(2000, 2000, 7)
    few = ln_cells < np.log(5)
    print(hits.mean(axis=0), hits[few].mean(axis=0), few.sum())
    assert within_family(hits, NOMINAL - 0.01, two_sided=False) > 1e-5
    assert within_family(hits[few], NOMINAL - 0.04, two_sided=False) > 1e-5


def errors_off(table, truth):
    """How far ln numbers lie from the truth, in the errors behind their intervals."""
    return np.log(table["clones"] / truth).abs() / (np.log(table["high"] / table["low"]) / (2 * Z))


def test_one_study_is_corrected_as_the_reference_says():
    """From raw estimates that are a third too low, whatever is given: fragments, or who was seen."""
    rng = np.random.default_rng(10)
    marrow = Marrow(2500, 50.0, 1.2, 0.1, COPIES)
    counts, living = laboratory(rng, marrow)
    for given in (counts, counts > 0):
        table = corrected_population(given, draws=250, copies_per_cell=COPIES, months=MONTHS, foreign=FOREIGN)
        assert list(table["estimator"]) == list(MODELS)
        assert (table["estimate"] < 0.9 * living).all()
        assert (np.log(table["clones"] / living).abs() < 0.5).all()
        assert errors_off(table, living).max() < LIMIT
        assert table["cells"].to_numpy() == pytest.approx(table["clones"] / COPIES)
        assert table["estimate"].to_numpy() == pytest.approx(table["factor"] * table["clones"])
        assert (table["lost"] < 0.2).all()


def test_a_part_of_the_clones_stands_for_all_of_a_large_study():
    """Seven thousand clones are seen; the thousand that are simulated give the number of all."""
    rng = np.random.default_rng(21)
    counts, living = laboratory(rng, Marrow(12000, 20.0, 1.2, 0.1, COPIES), (20_000,) * 3)
    assert len(counts) > 5 * MOST_SEEN
    table = corrected_population(
        counts, copies_per_cell=COPIES, months=MONTHS, foreign=FOREIGN, estimators=CHEAP
    )
    assert errors_off(table, living).max() < LIMIT
    assert (table["high"] < 3 * table["low"]).all()
    every = population_size(counts > 0, CHEAP)
    assert table["estimate"].to_numpy() == pytest.approx(every["estimate"].to_numpy())
    assert table["cells"].to_numpy() == pytest.approx(table["clones"] / COPIES)


def test_clones_that_go_are_told_of():
    rng = np.random.default_rng(17)
    counts, living = laboratory(rng, Marrow(1500, 1.5, 1.2, 0.1, COPIES))
    table = corrected_population(
        counts, copies_per_cell=COPIES, months=MONTHS, foreign=FOREIGN, estimators=CHEAP
    )
    assert (table["note"] == NOTES["lost"]).all()
    assert errors_off(table, living).max() < LIMIT


def test_the_spread_of_the_catalogue_has_an_error():
    spread = catalogue_spread()
    assert (spread.sigma, spread.error) == pytest.approx((1.2, 0.15))


def test_what_cannot_be_corrected_is_refused_or_left_empty_with_a_sentence():
    seen = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0, 1]]
    table = corrected_population(seen, Spread(1.2), estimators=("M0", "Chao2"), draws=120)
    assert np.isinf(table["estimate"][0])
    assert np.isnan(table["clones"][0])
    assert table["note"][0] == NOTES["unbounded"]
    rng = np.random.default_rng(18)
    sorted_badly = corrected_population(
        sampled(rng, 300, 1.2, (200, 200)), foreign=0.3, estimators=("Chao2",), draws=120
    )
    assert sorted_badly["clones"].isna().all()
    assert sorted_badly["note"][0] == NOTES["foreign"]
    with pytest.raises(UserError, match=r"copies_per_cell: 0\.5"):
        corrected_population(seen, copies_per_cell=0.5)
    with pytest.raises(UserError, match="months: of each occasion"):
        corrected_population(seen, months=[1, 2])
    with pytest.raises(UserError, match="foreign"):
        corrected_population(seen, foreign=2)


# Planning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fragments", [1, 3])
def test_the_dna_returned_shows_the_clone_with_the_power_stated(fragments):
    """100,000 samples of a clone of 0.1 %: genomes, scatter, capture, lengths; fails if 0.9 % off."""
    rng, share = np.random.default_rng(19), 0.001
    ng = float(dna_to_see(share, 0.9, fragments))
    cells = rng.poisson(ng * 152 * share * np.exp(0.1 * rng.standard_normal(100_000)))
    captured = rng.binomial(cells, 0.05)
    lengths = np.array([len(np.unique(rng.integers(0, 300, n))) for n in captured])
    assert abs(z_of_share(lengths >= fragments, 0.9)) < LIMIT
    assert float(chance_to_see(share, ng, fragments)) == pytest.approx(0.9)


def test_so_many_usual_samples_show_a_clone_when_their_dna_varies():
    """20,000 sets of samples of log-normal DNA: the number asked for is enough, one fewer is not."""
    rng, share, usual = np.random.default_rng(20), 3e-4, 451.0
    needed = int(samples_to_see(share, usual))
    ng = usual * np.exp(0.7 * rng.standard_normal((20_000, needed)))
    seen = rng.poisson(ng * 152 * share * 0.05) > 0
    assert seen.any(axis=1).mean() > 0.895
    assert seen[:, 1:].any(axis=1).mean() < 0.9


def test_the_power_for_a_twofold_change_is_that_of_studies_simulated_apart():
    """120 pairs with another reference; the powers agree within their errors, fails if 0.4 apart."""
    from hsc_pipeline.tracking.design import reference_between

    design = Design(MONTHS, np.full(3, 150.0), True)
    said = power_of_fold_change(2, 400, [150 / (152 * 0.05)], [3], pairs=120, seed=21).iloc[0]
    known = reference_between(np.random.default_rng(22), design, (400, 800), "Chao2", None, 250)
    rng, told = np.random.default_rng(23), []
    for _ in range(120):
        _, marrow = known.prior.draw(rng, 1.0)
        rows = []
        for clones in (400, 800):
            own = Marrow(clones, marrow.cells_per_clone, marrow.sigma, marrow.visit_ln_sd)
            counts = rng.poisson(laboratory_shares(rng, own) * 150)
            rows.append(known.correct(counts).iloc[0])
        errors = [np.log(row["high"] / row["low"]) / (2 * Z) for row in rows]
        told.append(np.log(rows[1]["clones"] / rows[0]["clones"]) / np.hypot(*errors))
    power = np.mean(np.abs(told) > Z)
    error = np.sqrt(2 * 0.25 / 120)
    assert abs(power - said["power"]) < LIMIT * error
    assert 0.2 < said["power"] < 0.95


def laboratory_shares(rng, marrow):
    output = marrow.outputs(rng, marrow.grow(rng, MONTHS / 12))
    return output / output.sum(axis=0)


# Lineages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [(500, 500, 500), (1e5, 1e5, 1e5), (1e6, 1e5, 2e4)])
def test_multilineage_clones_are_counted_at_every_depth(depth):
    """40 studies of 300 clones, half serve all lineages; fails if 3 % off or covering below 60 %."""
    rng, hits, gaps = np.random.default_rng(24), [], []
    for _ in range(40):
        several = rng.random(300) < 0.5
        serves = np.eye(3, dtype=bool)[rng.integers(0, 3, 300)] | several[:, None]
        size = np.exp(1.5 * rng.standard_normal((300, 1)))
        weight = size * serves * rng.gamma(2, 0.5, serves.shape)
        counts = rng.poisson(weight / weight.sum(axis=0) * depth)
        truth = several[counts.any(axis=1)].mean()
        found = multilineage(counts)
        hits.append(found.low <= truth <= found.high)
        gaps.append(found.estimate - truth)
    assert stats.binomtest(sum(hits), len(hits), NOMINAL, "less").pvalue > 1e-5
    assert abs(np.mean(gaps)) < 0.03
