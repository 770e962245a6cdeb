"""The engine against closed forms of birth-death processes, exact chains and invariants.

The fast engine has three ways: each clone by itself where there is no feedback, small marrows event
by event, and large ones by steps of the total from which clones are dealt.  Laws are checked on
each, and on the event-by-event reference.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.special import digamma

from hsc_pipeline.dynamics import simulate_clones, simulate_patients
from hsc_pipeline.dynamics.rates import kendall_parameters
from tests.statistics_of import LEAST_P, LIMIT, p_of_counts, z_of_mean, z_of_share, z_of_variance

CLONES = 20_000
ENGINES = ["fast", "events"]

# cells at the start, divisions and losses per year, years
GROWING, SHRINKING, CRITICAL = (5, 1.5, 1.0, 1.2), (3, 1.0, 1.5, 1.0), (2, 1.0, 1.0, 1.0)
DYING, PURE_BIRTH = (4, 0.0, 1.0, 0.7), (1, 2.0, 0.0, 1.0)
PROCESSES = [GROWING, SHRINKING, CRITICAL, DYING, PURE_BIRTH]


def independent(process, clones=CLONES, seed=1, **options):
    """Sizes of clones that do not meet: no capacity, no feedback."""
    cells, division, loss, years = process
    kinds = np.zeros(clones, int)
    rates = np.array([division]), np.array([loss])
    return simulate_clones(np.full(clones, cells), kinds, *rates, np.array([years]), seed, **options)[0]


def marrow(sizes, times, *, division=(1.0,), loss=(1.0,), kinds=None, seed=1, **feedback):
    """Sizes of clones that compete."""
    kinds = np.zeros(len(sizes), int) if kinds is None else np.array(kinds)
    rates = np.array(division), np.array(loss)
    return simulate_clones(np.array(sizes), kinds, *rates, np.array(times), seed, **feedback)


def mean_of(cells, division, loss, years):
    return cells * np.exp((division - loss) * years)


def variance_of(cells, division, loss, years):
    net = division - loss
    if net == 0:
        return 2 * division * years * cells
    growth = np.exp(net * years)
    return cells * (division + loss) / net * growth * (growth - 1)


def extinction_of(cells, division, loss, years):
    net = division - loss
    if net == 0:
        return (division * years / (1 + division * years)) ** cells
    growth = np.exp(net * years)
    return (loss * (growth - 1) / (division * growth - loss)) ** cells


def pmf_of(cells, division, loss, years, largest=400):
    """P(0), P(1), ... of Kendall's law: a zero-modified geometric per cell, convolved over the cells."""
    gone = extinction_of(1, division, loss, years)
    more = gone * division / loss if loss else 1 - np.exp(-division * years)
    one = np.append(gone, (1 - gone) * (1 - more) * more ** np.arange(largest))
    whole = np.ones(1)
    for _ in range(cells):
        whole = np.convolve(whole, one)[: largest + 1]
    return whole


@pytest.mark.parametrize("process", PROCESSES)
def test_mean_clone_size_agrees_with_exponential_growth(process):
    """n0 e^((b-d)t); fails if net growth were 0.05 a year off in the critical case (SE 0.014 of 2)."""
    assert abs(z_of_mean(independent(process), mean_of(*process))) < LIMIT


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.25, False), (0.75, False)])
def test_variance_of_clone_size_agrees_with_birth_death_closed_form(process, wrong, agrees):
    """n0 (b+d)/(b-d) e^rt (e^rt - 1), or 2 b t n0; fails if the variance were a quarter off."""
    z = z_of_variance(independent(process), wrong * variance_of(*process))
    assert (abs(z) < LIMIT) == agrees


@pytest.mark.parametrize("process", [GROWING, SHRINKING, CRITICAL, DYING])
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.6, False)])
def test_clone_survival_agrees_with_birth_death_closed_form(process, wrong, agrees):
    """[d(e^rt - 1)/(b e^rt - d)]^n0, or (bt/(1+bt))^n0; fails if extinction were 60 % more frequent."""
    z = z_of_share(independent(process) == 0, wrong * extinction_of(*process))
    assert (abs(z) < LIMIT) == agrees


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("days", "clones", "survival", "size"),
    [(365, 120_000, 0.067617, 14.789), (1000, 400_000, 0.025881, 38.64)],
)
def test_surviving_clones_are_those_of_kiem(engine, days, clones, survival, size):
    """Published branching, day by day: f(s) = 0.85 s + 0.15 (0.5 + 0.5 s)^2, so 0.0375 born and lost a day.

    Continuous time differs from days by less than 0.8 % of both numbers.  Power: rates 7 % off are
    6 standard errors away at a year.
    """
    rate = np.array([0.0375 * 365])
    if engine == "events":
        clones //= 4  # every event costs
    sizes = simulate_clones(
        np.ones(clones, int), np.zeros(clones, int), rate, rate, np.array([days / 365]), 9, engine=engine
    )[0]
    alive = sizes[sizes > 0]
    error = np.sqrt(survival * (1 - survival) / clones)
    assert abs((sizes > 0).mean() - survival) < LIMIT * error + 0.008 * survival
    assert abs(alive.mean() - size) < LIMIT * alive.std() / np.sqrt(len(alive)) + 0.008 * size


def test_survival_of_an_advantaged_clone_approaches_one_minus_loss_over_division():
    """1 - d/b for t -> infinity: 1/3 at b = 1.5; after 12 years the remainder is below 0.1 %."""
    assert abs(z_of_share(independent((1, 1.5, 1.0, 12.0), 5_000) > 0, 1 / 3)) < LIMIT


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("process", PROCESSES)
def test_clone_sizes_follow_kendalls_law(process, engine):
    """Chi-square over the whole distribution, from zero on."""
    assert p_of_counts(independent(process, engine=engine), pmf_of(*process)) > LEAST_P


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("regulation", ["division", "loss"])
def test_without_capacity_there_is_no_feedback(regulation, engine):
    """Regrowth is of no account where nothing is full or empty."""
    sizes = independent(CRITICAL, engine=engine, regulation=regulation, regrowth=9.0)
    assert p_of_counts(sizes, pmf_of(*CRITICAL)) > LEAST_P


def test_two_visits_give_the_same_law_as_one():
    """Sizes at the second of two visits, half the time each, by the distribution of the whole time."""
    cells, division, loss, years = GROWING
    sizes = simulate_clones(
        np.full(CLONES, cells), np.zeros(CLONES, int), [division], [loss], [years / 2, years], seed=1
    )
    assert p_of_counts(sizes[0], pmf_of(cells, division, loss, years / 2)) > LEAST_P
    assert p_of_counts(sizes[1], pmf_of(*GROWING)) > LEAST_P


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("regulation", ["division", "loss"])
def test_clones_of_a_full_marrow_follow_the_critical_law(regulation, engine):
    """20,000 clones of one cell at capacity are each critical, b = d, to one part in the total.

    Dealt after steps of the total; fails if the rates were 15 % off, as the next test shows.
    """
    feedback = {"capacity": float(CLONES), "regulation": regulation, "engine": engine}
    assert p_of_counts(marrow(np.ones(CLONES, int), [2.0], **feedback)[0], pmf_of(1, 1.0, 1.0, 2.0)) > LEAST_P


@pytest.mark.parametrize("wrong", [0.85, 1.15])
def test_the_check_of_a_full_marrow_sees_rates_fifteen_percent_off(wrong):
    rates = {"division": (wrong,), "loss": (wrong,)}
    sizes = marrow(np.ones(CLONES, int), [2.0], **rates, capacity=float(CLONES))[0]
    assert p_of_counts(sizes, pmf_of(1, 1.0, 1.0, 2.0)) < LEAST_P


@pytest.mark.parametrize(("loss", "agrees"), [(0.0, True), (0.5, False)])
@pytest.mark.parametrize(("founders", "marrows"), [(2000, 1), (20, 100)])
def test_crowded_pure_birth_leaves_a_uniform_composition(founders, marrows, loss, agrees):
    """Whatever slows division, the sizes of n clones of N cells are geometric of mean N/n.

    A large marrow goes by steps, small ones event by event; a loss of half a year is seen.
    """
    rates = {"division": (1.0,), "loss": (loss,), "capacity": 10.0 * founders}
    runs = [marrow(np.ones(founders, int), [1.0], **rates, seed=s)[0] for s in range(marrows)]
    more = 1 - founders * marrows / np.sum(runs)
    pmf = np.append(0, (1 - more) * more ** np.arange(200))
    assert (p_of_counts(np.concatenate(runs), pmf) > LEAST_P) == agrees


@pytest.mark.parametrize("wrong", [(2, 1.15, 1.15, 1.0), (2, 1.15, 1.0, 1.0), (2, 1.0, 1.0, 1.15)])
def test_the_distribution_check_sees_rates_fifteen_percent_off(wrong):
    assert p_of_counts(independent(CRITICAL), pmf_of(*wrong)) < LEAST_P


@given(
    division=st.floats(0, 5),
    loss=st.floats(0, 5),
    years=st.floats(0, 0.5),
    at=st.floats(0, 1, exclude_max=True),
)
def test_two_half_steps_compose_to_one_step(division, loss, years, at):
    """Generating functions of Kendall's law form a semigroup: G_t(s) = G_t/2(G_t/2(s))."""

    def generating(s, time):
        gone, more = kendall_parameters(np.array([division]), np.array([loss]), time)
        return gone + (1 - gone) * (1 - more) * s / (1 - more * s)

    assert generating(at, years) == pytest.approx(generating(generating(at, years / 2), years / 2), abs=1e-8)


@pytest.mark.parametrize("excess", [0, 1e-15, -1e-12, 1e-10, 1e-8, -1e-6])
def test_kendalls_law_is_continuous_at_equal_rates(excess):
    """b -> d: alpha = beta = bt/(1+bt), 2/3 at b = 1 and t = 2, without loss of digits nearby."""
    gone, more = kendall_parameters(np.array([1.0 + excess]), np.array([1.0]), 2.0)
    assert gone == pytest.approx(2 / 3, abs=2e-6)
    assert more == pytest.approx(2 / 3, abs=2e-6)


FOUNDERS, EXPANSIONS = 20, 2_000


def expansion(founders=FOUNDERS, loss=0.0):
    """Shares of the founders of many expansions by division, each grown about 8,000-fold."""
    sizes = independent((1, 20.0, loss, 0.45), EXPANSIONS * founders).reshape(EXPANSIONS, founders)
    return sizes / sizes.sum(axis=1, keepdims=True)


def shannon(shares):
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=1)


DIRICHLET_LAWS = {
    "variance (n-1)/(n^2 (n+1)), as sum of squares": (
        lambda shares: (shares**2).sum(axis=1),
        2 / (FOUNDERS + 1),
    ),
    "Shannon psi(n+1) - psi(2)": (shannon, digamma(FOUNDERS + 1) - digamma(2)),
    "largest share H_n / n": (lambda x: x.max(axis=1), (1 / np.arange(1, FOUNDERS + 1)).sum() / FOUNDERS),
    "share of the first founder 1/n": (lambda shares: shares[:, 0], 1 / FOUNDERS),
}


@pytest.mark.parametrize("law", DIRICHLET_LAWS)
def test_pure_birth_shares_follow_the_flat_dirichlet_law(law):
    """Yule expansion of n founders: shares ~ Dirichlet(1, .., 1).

    Fails if the sum of squares were 3 % off, or Shannon by 0.012 nats.
    """
    measure, expected = DIRICHLET_LAWS[law]
    assert abs(z_of_mean(measure(expansion()), expected)) < LIMIT


@pytest.mark.parametrize("law", list(DIRICHLET_LAWS)[:3])
def test_the_dirichlet_check_sees_losses(law):
    """With losses, a tenth of the divisions, shares are less even than Dirichlet(1)."""
    measure, expected = DIRICHLET_LAWS[law]
    assert abs(z_of_mean(measure(expansion(loss=2.0)), expected)) > LIMIT


# Cells of two clones, and the capacity to which they regrow or shrink.
MOVING = {"division": (np.array([300, 200]), 2000.0), "loss": (np.array([1200, 800]), 1000.0)}


def final_shares(regulation, scale, replicates, advantage=0.0):
    """Share of the second clone after half a year in many marrows, `scale` times as large."""
    sizes, capacity = MOVING[regulation]
    rates = {"division": (1.0, 1.0 + advantage), "loss": (1.0, 1.0), "kinds": [0, 1]}
    feedback = {"capacity": scale * capacity, "regulation": regulation}
    runs = np.array([marrow(scale * sizes, [0.5], **rates, **feedback, seed=s)[0] for s in range(replicates)])
    return runs[:, 1] / runs.sum(axis=1)


@pytest.mark.parametrize("regulation", MOVING)
@pytest.mark.parametrize(("scale", "replicates"), [(1, 150), (20, 40)])
@pytest.mark.parametrize(("advantage", "agrees"), [(0.0, True), (0.2, False)])
def test_neutral_share_is_a_martingale_under_feedback(regulation, scale, replicates, advantage, agrees):
    """E p(t) = p(0) = 0.4 while the total changes; fails at a hidden advantage of 0.2 a year.

    Small marrows go event by event, those twenty times as large by steps.
    """
    assert (abs(z_of_mean(final_shares(regulation, scale, replicates, advantage), 0.4)) < LIMIT) == agrees


@pytest.mark.parametrize("regulation", ["division", "loss"])
@pytest.mark.parametrize("advantage", [0.0, 0.1, 0.5, -0.3])
def test_logit_of_the_advantaged_share_grows_as_s_t(regulation, advantage):
    """logit p(t) = logit p(0) + s t whatever the crowding, here from 60 % to a full marrow.

    With 1e8 cells drift is sqrt(2 b t / (N p q)) < 7e-4 and the tolerance 5 times that: an advantage
    one percent off (0.005 a year at 0.5) would be seen.
    """
    times = np.array([1.0, 2.0])
    rates = {"division": (1.0, 1.0 + advantage), "loss": (1.0, 1.0), "kinds": [0, 1]}
    feedback = {"capacity": 1e8, "regulation": regulation}
    host, corrected = marrow([40_000_000, 20_000_000], times, **rates, **feedback).T
    gained = np.log(corrected / host) - np.log(0.5)
    assert gained == pytest.approx(advantage * times, abs=3.5e-3)


@pytest.mark.parametrize("change", [{"division": (1.0, 1.3)}, {"loss": (1.0, 0.7)}])
def test_fitness_through_division_or_loss_is_the_same_net_growth(change):
    rates = {"division": (1.0, 1.0), "loss": (1.0, 1.0), **change}
    host, fit = marrow([50_000_000, 50_000_000], [1.0], **rates, kinds=[0, 1], capacity=1e8)[0]
    assert np.log(fit / host) == pytest.approx(0.3, abs=3.5e-3)


DRIFTING = 50  # cells; divisions and losses at 3 a year for 4 years


@pytest.fixture(scope="module")
def heterozygosity():
    """Chance that two cells of a full marrow stem from different founders, in many marrows."""
    rates = {"division": (3.0,), "loss": (3.0,), "regrowth": 3.0}
    founders = np.ones(DRIFTING, int)
    runs = [marrow(founders, [4.0], **rates, capacity=DRIFTING, seed=s)[0] for s in range(250)]
    return np.array([1 - ((n / n.sum()) ** 2).sum() for n in runs])


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (0.5, False), (2.0, False), (1.4, False)])
def test_heterozygosity_decays_at_twice_the_birth_rate_over_population(heterozygosity, wrong, agrees):
    """H(t) = H0 exp(-2bt/N) at capacity: two cells differ in clone until their lines coalesce.

    The total has mean K - b/r and variance bK/r, so that 1/E[1/N] = K - 2b/r.
    Fails if the rate were 40 % off; the factor of two between N and N_e is refused.
    """
    expected = (1 - 1 / DRIFTING) * np.exp(-2 * 3.0 * 4.0 / (DRIFTING - 2) * wrong)
    assert (abs(z_of_mean(heterozygosity, expected)) < LIMIT) == agrees


def exact_chain(start, capacity, years, regrowth=6.0, most=150):
    """Mean and variance of the total by the master equation of the chain, rates changing with every cell."""
    n = np.arange(most + 1.0)
    birth = n * np.maximum(1 + regrowth * (1 - n / capacity), 0)
    birth[-1] = 0
    generator = np.diag(birth[:-1], 1) + np.diag(n[1:], -1)
    generator -= np.diag(generator.sum(axis=1))
    law = expm(generator * years)[start]
    mean = law @ n
    return mean, law @ (n - mean) ** 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.7, False)])
def test_total_of_a_small_marrow_agrees_with_the_master_equation(engine, wrong, agrees):
    """50 niches from 10 cells: mean and variance, whose rates change with every event.

    Fails if the mean were 3 % off, or the variance by 70 %.
    """
    totals = np.array([marrow([10], [0.6], capacity=50, seed=s, engine=engine)[0, 0] for s in range(500)])
    mean, variance = exact_chain(10, 50, 0.6)
    assert abs(z_of_mean(totals, mean)) < LIMIT
    assert (abs(z_of_variance(totals, wrong * variance)) < LIMIT) == agrees


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.7, False)])
def test_total_of_a_large_marrow_fluctuates_by_the_linear_noise_law(wrong, agrees):
    """Around capacity the variance is bK/r (1 - e^-2rt); steps inflate it by about 2 %.

    400 marrows; fails if it were 70 % more, and the mean if it were 0.01 % off.
    """
    capacity, marrows = 1_000_000, 400
    full = [np.array([capacity])] * marrows
    found = simulate_patients(
        full, [np.zeros(1, int)] * marrows, [1.0], [1.0], [1.0], 1, capacity=float(capacity)
    )
    totals = found.columns["cells"]
    assert abs(z_of_mean(totals, capacity)) < LIMIT
    assert (abs(z_of_variance(totals, wrong * capacity / 6)) < LIMIT) == agrees


@pytest.mark.parametrize(
    ("regulation", "start"),
    [("division", 100_000), ("division", 1_400_000), ("loss", 400_000), ("loss", 3_000_000)],
)
def test_regulation_brings_the_total_to_capacity_and_holds_it_there(regulation, start):
    """At capacity the total fluctuates by sqrt(bK/r) = 410 of a million; tolerance 5.5 times that."""
    totals = marrow([start], [5.0, 6.0, 7.0], capacity=1e6, regulation=regulation).sum(axis=1)
    assert totals == pytest.approx([1e6] * 3, abs=5.5 * 410)


@pytest.mark.parametrize(("regulation", "start"), [("division", 0.1), ("loss", 3.0)])
def test_regrowth_follows_the_logistic_curve(regulation, start):
    """n(t) = K / (1 + (K/n0 - 1) e^-rt) to 0.2 % with 1e8 cells; fails if the rate were 1 % off."""
    years = np.array([0.25, 0.5, 1.0])
    totals = marrow([int(start * 1e8)], years, capacity=1e8, regulation=regulation)[:, 0]
    assert totals / 1e8 == pytest.approx(1 / (1 + (1 / start - 1) * np.exp(-6 * years)), rel=2e-3)


def test_capacity_follows_its_step_table():
    """1e6 cells until year 2, three times as many then: a logistic curve from each step."""
    totals = marrow([1_000_000], [1.9, 2.25, 6.0], capacity=([0, 2, 5], [1e6, 3e6, 2e6]))[:, 0]
    after_step = 3e6 / (1 + 2 * np.exp(-6 * 0.25))
    assert totals == pytest.approx([1e6, after_step, 2e6 / (1 - np.exp(-6.0) / 3)], rel=5e-3)


def test_clones_of_one_kind_are_exchangeable():
    """Every clone expects the same share, first or last in the list; SE of the difference 1.5 %."""
    runs = np.array([marrow(np.full(400, 2), [1.0], capacity=2000, seed=s)[0] for s in range(30)])
    assert abs(z_of_mean(runs[:, :200].sum(axis=1) / runs.sum(axis=1), 0.5)) < LIMIT
    assert abs(z_of_mean(runs[:, ::2].sum(axis=1) / runs.sum(axis=1), 0.5)) < LIMIT


def test_expected_size_is_proportional_to_the_cells_at_the_start():
    sizes = np.tile([1, 3], 2000)
    final = marrow(sizes, [0.5], capacity=8000)[0]
    assert abs(z_of_mean(final[::2] / final.sum() * sizes.sum(), 1)) < LIMIT
    assert abs(z_of_mean(final[1::2] / final.sum() * sizes.sum(), 3)) < LIMIT


def test_classes_never_mix():
    """A class that neither divides nor dies stands still while the others grow or vanish."""
    sizes, kinds = np.full(300, 7), np.repeat([0, 1, 2], 100)
    final = marrow(sizes, [3.0], division=(0, 5.0, 0), loss=(0, 0, 5.0), kinds=kinds)[0]
    assert (final[kinds == 0] == 7).all()
    assert (final[kinds == 1] > 7).all()
    assert final[kinds == 2].sum() == 0


CLONE = st.tuples(st.integers(0, 30), st.integers(0, 2))
RATES = st.tuples(*[st.floats(0, 4)] * 3)


@settings(max_examples=25)
@given(
    clones=st.lists(CLONE, min_size=1, max_size=8),
    division=RATES,
    loss=RATES,
    capacity=st.none() | st.floats(1, 200),
    regulation=st.sampled_from(["division", "loss"]),
    regrowth=st.floats(0, 10),
    seed=st.integers(0, 2**32),
)
def test_whatever_the_rates_cells_are_whole_and_the_dead_stay_dead(
    clones, division, loss, capacity, regulation, regrowth, seed
):
    sizes, kinds = np.array(clones).T
    times = np.array([0.0, 0.05, 0.3])
    feedback = {"capacity": capacity, "regulation": regulation, "regrowth": regrowth}
    out = marrow(sizes, times, division=division, loss=loss, kinds=kinds, seed=seed, **feedback)
    assert out.dtype == np.int64
    assert out.shape == (3, len(clones))
    assert (out >= 0).all()
    assert (out[0] == sizes).all()
    assert (out[1:][out[:-1] == 0] == 0).all()
    again = marrow(sizes, times, division=division, loss=loss, kinds=kinds, seed=seed, **feedback)
    assert (out == again).all()


def test_no_clones_are_a_valid_marrow():
    assert marrow(np.zeros(0, int), [1.0], capacity=100).shape == (1, 0)


GOOD = {
    "sizes": np.array([1, 2]),
    "fitness_class": np.array([0, 0]),
    "division": np.array([1.0]),
    "loss": np.array([1.0]),
    "times": np.array([1.0]),
    "seed": 1,
}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("sizes", np.array([1, -1])),
        ("sizes", np.array([1.0, 2.0])),
        ("sizes", np.array([[1, 2]])),
        ("fitness_class", np.array([0])),
        ("fitness_class", np.array([0.0, 0.0])),
        ("fitness_class", np.array([0, 1])),
        ("fitness_class", np.array([-1, 0])),
        ("division|loss", np.array([1.0, 1.0])),
        ("division", np.array([-1.0])),
        ("division", np.array([np.nan])),
        ("loss", np.array([1.0, 1.0])),
        ("loss", np.array([-0.1])),
        ("loss", np.array([np.inf])),
        ("times", np.array([2.0, 1.0])),
        ("times", np.array([-1.0])),
        ("times", np.array([np.nan])),
        ("times", 1.0),
        ("capacity", 0),
        ("capacity", np.nan),
        ("capacity", ([1, 2], [10, 10])),
        ("capacity", ([0, 2, 1], [10, 10, 10])),
        ("capacity", ([0], [0])),
        ("capacity", ([0, 1], [10, 10, 10])),
        ("engine", "slow"),
        ("regulation", "birth"),
        ("regrowth", -1.0),
        ("regrowth", np.nan),
    ],
)
def test_a_bad_argument_is_named(argument, value):
    with pytest.raises(ValueError, match=argument):
        simulate_clones(**{**GOOD, argument.partition("|")[0]: value})
