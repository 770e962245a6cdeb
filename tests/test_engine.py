"""The engine: the fast two-level simulation against the reference and closed forms."""

from collections import Counter

import numpy as np
import pytest
from panel import chi_square, compare, summarise
from scipy import stats

from hsc_pipeline.dynamics import Drivers, events, fast, simulate_clones, simulate_patients
from hsc_pipeline.dynamics.rates import Feedback, kendall_parameters, make_tables
from hsc_pipeline.dynamics.stepper import step_clones

SIZES = np.array([1] * 20 + [2] * 10 + [5] * 4 + [3] * 10 + [30])
KINDS = np.array([0] * 34 + [1] * 11)
TIMES = [0.3, 1.0, 2.0]
CASES = {
    "division": {"division": [1, 1.3], "loss": [1, 1], "capacity": 200.0, "regrowth": 6.0},
    "loss": {"division": [2, 2.2], "loss": [1, 1], "capacity": 200.0, "regrowth": 1.0, "regulation": "loss"},
    "rates and capacity that change": {
        "division": ([0, 0.5], [[1, 1.3], [2, 2]]),
        "loss": ([0, 0.7], [[1, 1], [1, 2]]),
        "capacity": ([0, 1.2], [100.0, 250.0]),
        "regrowth": 3.0,
    },
    "no feedback": {"division": [1, 1.3], "loss": [1.2, 1]},
}
BLOCK = 500
LAW = Drivers(per_cell_year=0.05, shape=0.65, rate=5.0, least=0.05)


def replicates(count, engine, seed, **rates):
    """Sizes of `count` replicates in blocks, shape (replicates, visits, clones)."""
    parts = []
    for block in range(count // BLOCK):
        found = simulate_patients(
            [SIZES] * BLOCK,
            [KINDS] * BLOCK,
            times=TIMES,
            seed=np.random.SeedSequence([seed, block]),
            engine=engine,
            **rates,
        ).columns
        sizes = np.zeros((BLOCK, len(TIMES), len(SIZES)), np.int64)
        sizes[found["patient"], found["visit"], found["clone"]] = found["cells"]
        parts.append(sizes)
    return np.concatenate(parts)


def one_by_one(count, seed, **rates):
    return np.array(
        [simulate_clones(SIZES, KINDS, times=TIMES, seed=[seed, i], **rates) for i in range(count)]
    )


def agree(first, second):
    """Fail unless two sets of replicates have one law.

    With equal laws the rms of about 45 correlated z is near 1 (0.8-1.15 seen); beyond 1.5, or a
    smallest KS p below 1e-5 / 45, about one pair in 10,000 would go.
    """
    a, names = summarise(first, KINDS, 2)
    b, _ = summarise(second, KINDS, 2)
    z, p = compare(a, b)
    worst = np.argsort(-np.abs(z))[:3]
    assert np.sqrt(np.mean(z**2)) < 1.5, [(names[i], round(z[i], 2)) for i in worst]
    assert p.min() > 1e-5 / len(names), names[p.argmin()]


@pytest.fixture(scope="module")
def reference():
    return {name: replicates(4000, "events", 1, **rates) for name, rates in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_fast_in_blocks_has_the_law_of_the_reference(case, reference, monkeypatch):
    monkeypatch.setattr(fast, "EVENTS_UP_TO", 0)
    agree(replicates(4000, "fast", 2, **CASES[case]), reference[case])


@pytest.mark.parametrize("case", ["division", "rates and capacity that change"])
def test_fast_for_one_patient_has_the_law_of_the_reference(case, reference, monkeypatch):
    monkeypatch.setattr(fast, "EVENTS_UP_TO", 0)
    agree(one_by_one(1500, 3, **CASES[case]), reference[case])


@pytest.mark.parametrize("case", ["division", "loss"])
def test_fast_with_totals_event_by_event_has_the_law_of_the_reference(case, reference, monkeypatch):
    monkeypatch.setattr(fast, "EVENTS_UP_TO", 10**9)
    agree(replicates(1000, "fast", 4, **CASES[case]), reference[case])


def test_the_stepper_has_the_law_of_the_reference(reference):
    case = CASES["division"]
    tables = make_tables(case["division"], case["loss"], case["capacity"], np.array(TIMES), 1, 2)
    feedback = Feedback("division", np.array([[case["regrowth"]]]))
    rng = np.random.default_rng(5)
    steps = [step_clones(rng, SIZES, KINDS, tables, feedback, np.array(TIMES), 0.02 / 6) for _ in range(400)]
    agree(np.array(steps), reference["division"])


def test_the_panel_sees_a_clone_dealt_wrongly(reference):
    # The power of `agree`: the right totals, but each visit's cells dealt afresh from the first sizes.
    sizes = reference["division"].copy()
    rng = np.random.default_rng(6)
    for row in sizes:
        for kind in (0, 1):
            mine = kind == KINDS
            row[2, mine] = rng.multinomial(row[2, mine].sum(), SIZES[mine] / SIZES[mine].sum())
    with pytest.raises(AssertionError):
        agree(sizes, reference["division"])


def test_the_panel_sees_a_tenth_more_turnover(reference):
    case = {**CASES["division"], "division": [1.1, 1.43], "loss": [1.1, 1.1]}
    with pytest.raises(AssertionError):
        agree(replicates(4000, "events", 7, **case), reference["division"])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_fast_has_the_law_of_the_reference_with_20000_replicates(case, monkeypatch):
    monkeypatch.setattr(fast, "EVENTS_UP_TO", 0)
    a, names = summarise(replicates(20_000, "fast", 8, **CASES[case]), KINDS, 2)
    b, _ = summarise(replicates(20_000, "events", 9, **CASES[case]), KINDS, 2)
    z, p = compare(a, b)
    assert np.sqrt(np.mean(z**2)) < 1.3
    assert p.min() > 0.001 / len(names)


# ---------------------------------------------------------------- drivers


def driver_statistics(engine, seed, count):
    """Per replicate: drivers, their cells, and what became of the clones they arose in."""
    found = {}
    parts = []
    for block in range(count // BLOCK):
        columns = simulate_patients(
            [SIZES] * BLOCK,
            [KINDS] * BLOCK,
            times=[1.0, 3.0],
            seed=np.random.SeedSequence([seed, block]),
            engine=engine,
            drivers=LAW,
            **CASES["division"],
        ).columns
        parts.append(columns)
    for visit in (0, 1):
        names = (
            "drivers",
            "driver cells",
            "total",
            "parents' cells",
            "extinct parents",
            "parents of class 1",
        )
        rows = {name: [] for name in names}
        for columns in parts:
            here = columns["visit"] == visit
            driver = columns["class"] == 2
            sizes = np.zeros((BLOCK, len(SIZES)))
            old = here & ~driver
            sizes[columns["patient"][old], columns["clone"][old]] = columns["cells"][old]
            new = here & driver
            first = new & (columns["parent"] < len(SIZES))
            parent = columns["parent"][first]
            at_parent = sizes[columns["patient"][first], parent]

            def count_by(mask, weights=None, patient=columns["patient"]):
                return np.bincount(patient[mask], weights, BLOCK)

            rows["drivers"].append(count_by(new))
            rows["driver cells"].append(count_by(new, columns["cells"][new]))
            rows["total"].append(count_by(here, columns["cells"][here]))
            rows["parents' cells"].append(count_by(first, at_parent))
            rows["extinct parents"].append(count_by(first, at_parent == 0))
            rows["parents of class 1"].append(count_by(first, KINDS[parent]))
        found |= {f"{name}, visit {visit}": np.concatenate(values) for name, values in rows.items()}
    return found


def test_drivers_and_their_parents_have_the_law_of_the_reference():
    # 12 statistics, z < 4.5: about one false alarm in 10,000 seeds.  Drawing the parent as a random cell of
    # the interval's start, without its surviving kin, would put the parents' cells 20 z off.
    first, second = driver_statistics("fast", 1, 3000), driver_statistics("events", 2, 3000)
    for name, a in first.items():
        b = second[name]
        z = (a.mean() - b.mean()) / np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(z) < 4.5, (name, z)


@pytest.mark.parametrize("engine", ["fast", "events"])
def test_every_driver_has_a_line_to_a_clone_of_its_class(engine):
    found = simulate_patients(
        [SIZES] * 20, [KINDS] * 20, times=[1.0, 3.0], seed=4, engine=engine, drivers=LAW, **CASES["division"]
    )
    drivers, columns = found.drivers, found.columns
    assert len(drivers["clone"])
    assert (KINDS[drivers["root"]] == drivers["class"]).all()
    assert (drivers["advantage"] >= LAW.least).all()
    known = set(zip(drivers["patient"], drivers["clone"], strict=True))
    seen = columns["class"] == 2
    assert {*zip(columns["patient"][seen], columns["clone"][seen], strict=True)} <= known
    assert (columns["clone"][seen] >= len(SIZES)).all()
    assert (columns["parent"][~seen] == -1).all()
    assert len(known) == len(drivers["clone"])


def test_a_driver_with_an_advantage_grows_by_it():
    # Advantages of 1.0 and 0.01 a year over three years: cells differ fivefold, noise is per cent.
    strong, weak = Drivers(0.01, 50.0, 50.0, 0.0), Drivers(0.01, 50.0, 5000.0, 0.0)
    cells = {}
    for name, law in {"strong": strong, "weak": weak}.items():
        found = simulate_patients(
            [[500]] * 200, [[0]] * 200, [1.0], [1.0], [3.0], seed=5, capacity=500.0, drivers=law
        ).columns
        cells[name] = found["cells"][found["class"] == 1].sum()
    assert cells["strong"] > 2 * cells["weak"]


# ---------------------------------------------------------------- closed forms, both engines


@pytest.mark.parametrize("engine", ["fast", "events"])
@pytest.mark.parametrize(("birth", "death"), [(1.0, 1.0), (1.5, 1.0), (0.8, 1.2)])
def test_sizes_follow_the_zero_modified_negative_binomial(engine, birth, death):
    # Chi-square over 12,000 clones, p > 1e-5; a beta of 0.53 for 0.50 would show with p < 1e-6.
    alpha, beta = kendall_parameters(np.array([birth]), np.array([death]), 1.5)
    sizes = simulate_clones(
        np.full(12_000, 2), np.zeros(12_000, int), [birth], [death], [1.5], 3, engine=engine
    )[0]
    law = {0: alpha[0] ** 2}
    for n in range(1, 9):
        one = 2 * alpha[0] * (1 - alpha[0]) * (1 - beta[0]) * beta[0] ** (n - 1)
        two = (1 - alpha[0]) ** 2 * (n - 1) * (1 - beta[0]) ** 2 * beta[0] ** (n - 2) if n > 1 else 0
        law[n] = one + two
    law[9] = 1 - sum(law.values())
    assert chi_square(Counter(np.minimum(sizes, 9).tolist()), law) > 1e-5


def binned(counts, law):
    """Chi-square of counts against a frozen law of scipy, in about 20 bins of equal chance."""
    inner = np.unique(law.ppf(np.linspace(0, 1, 21)[1:-1]))
    chance = np.diff([0, *law.cdf(inner), 1])
    found = np.bincount(np.searchsorted(inner, counts), minlength=len(chance))
    return stats.chisquare(found, len(counts) * chance).pvalue


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (1.015, False)])
@pytest.mark.parametrize(("birth", "death"), [(0.0, 1.0), (1.0, 0.0)])
def test_events_come_at_the_rate_of_the_cells_that_are_there(birth, death, wrong, agrees):
    """Totals of 400 cells under pure loss and pure birth, p > 1e-5; rates 1.5 % off would go.

    The visits cut blocks of twenty candidate events early and in the middle.
    """
    runs, cells, times = 4000, 400, np.array([0.011, 0.3, 0.8])
    found = simulate_patients(
        [[cells]] * runs, [[0]] * runs, [birth], [death], times, 31, engine="events"
    ).columns
    p = []
    for visit, years in enumerate(wrong * times):
        totals = np.bincount(found["patient"], found["cells"] * (found["visit"] == visit), runs).astype(int)
        stays = np.exp(-years)
        law = stats.binom(cells, stays) if death else stats.nbinom(cells, stays, loc=cells)
        p.append(binned(totals, law))
    assert (min(p) > 1e-5) == agrees, p


@pytest.mark.parametrize(("wrong", "agrees"), [(1.0, True), (0.96, False)])
def test_a_driver_ends_the_block_of_events_at_its_own_time(wrong, agrees):
    """Drivers of cells that neither divide nor die are Poisson; p > 1e-5.

    Each driver fitter than all before ends a block of ten.  Ending it at the block's end would lose a
    tenth of a year or so of 0.6; a number 4 % off would go.
    """
    runs, cells, times = 2000, 100, np.array([0.25, 0.6])
    law = Drivers(per_cell_year=1.0, shape=0.65, rate=1e9, least=0.0)
    found = simulate_patients(
        [[cells]] * runs, [[0]] * runs, [0.0], [0.0], times, 32, engine="events", drivers=law
    ).drivers
    number = np.bincount(found["patient"], minlength=runs)
    assert (binned(number, stats.poisson(wrong * cells * times[-1])) > 1e-5) == agrees


@pytest.mark.parametrize(
    ("size", "advantage", "regrowth", "years"), [(20, 0.0, 50.0, 400.0), (100, 0.2, 2.0, 150.0)]
)
def test_fixation_in_a_full_marrow_agrees_with_moran(size, advantage, regrowth, years):
    # 3,000 marrows in which one cell has fitness r.  Tolerance z = 4.5 (false alarms below 1e-5), and 6 %
    # of the probability because totals wander; r = 1.1 for 1.2 is z = 11 away, a doubled neutral chance 12.
    # Regulation must be weak where there is an advantage: it is added to rates that crowding moves.
    runs, ratio = 3000, 1 + advantage
    found = simulate_patients(
        [[1, size - 1]] * runs,
        [[1, 0]] * runs,
        [1.0, ratio],
        [1.0, 1.0],
        [years],
        6,
        capacity=float(size),
        regrowth=regrowth,
        engine="events",
    ).columns
    alive = [np.bincount(found["patient"][found["clone"] == clone], minlength=runs) > 0 for clone in (0, 1)]
    fixed = alive[0] & ~alive[1]
    assert (alive[0] & alive[1]).mean() < 0.002, "the race is over"
    expected = 1 / size if advantage == 0 else (1 - 1 / ratio) / (1 - ratio**-size)
    error = np.sqrt(expected * (1 - expected) / runs)
    assert abs(fixed.mean() - expected) < 4.5 * error + 0.06 * expected, fixed.mean()


def kingman(cells, generations, runs, seed):
    """Clone sizes of whole populations by Kingman's coalescent, from msprime."""
    msprime = pytest.importorskip("msprime", reason="msprime, of the extra 'test', is not installed")
    many = msprime.sim_ancestry(
        samples=cells,
        ploidy=1,
        population_size=cells,
        end_time=generations,
        num_replicates=runs,
        random_seed=seed,
    )
    for run in many:
        tree = run.first()
        yield np.array([tree.num_samples(root) for root in tree.roots])


@pytest.mark.parametrize("engine", ["fast", "events"])
@pytest.mark.parametrize(("turnover", "agrees"), [(1.0, True), (1.1, False)])
def test_neutral_clones_of_a_full_marrow_agree_with_msprime(engine, turnover, agrees):
    # Moran at b a cell is Kingman at 2 b / N a pair.  Live clones and the sum of squared shares of 400
    # marrows within z = 4.5 (false alarms below 3e-5); a turnover a tenth off is z = 14 away.
    cells, years, runs = 300, 2.0, 400
    found = simulate_patients(
        [np.ones(cells, int)] * runs,
        [np.zeros(cells, int)] * runs,
        [turnover],
        [turnover],
        [years],
        5,
        capacity=float(cells),
        regrowth=20.0,
        engine=engine,
    ).columns
    ours = [found["cells"][found["patient"] == run] for run in range(runs)]
    theirs = list(kingman(cells, 2 * years, runs, 6))
    apart = []
    for statistic in (len, lambda sizes: ((sizes / sizes.sum()) ** 2).sum()):
        one, other = (np.array([float(statistic(sizes)) for sizes in many]) for many in (ours, theirs))
        apart.append(abs(one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / runs))
    assert (max(apart) < 4.5) == agrees, apart


# ---------------------------------------------------------------- manners


def test_the_same_seed_gives_the_same_clones_and_other_seeds_others():
    first = simulate_clones(SIZES, KINDS, times=TIMES, seed=1, **CASES["division"])
    assert (simulate_clones(SIZES, KINDS, times=TIMES, seed=1, **CASES["division"]) == first).all()
    assert not (simulate_clones(SIZES, KINDS, times=TIMES, seed=2, **CASES["division"]) == first).all()
    sequence = np.random.SeedSequence(1)
    again = [
        simulate_clones(SIZES, KINDS, times=TIMES, seed=sequence, engine="events", **CASES["loss"])
        for _ in "ab"
    ]
    assert (again[0] == again[1]).all(), "the caller's seed sequence is left as it was"


@pytest.mark.parametrize("case", CASES)
def test_the_reference_is_the_same_with_and_without_a_compiler(case, monkeypatch):
    def run():
        return simulate_patients(
            [SIZES, 100 * SIZES],
            [KINDS, KINDS],
            times=[0.3, 0.6],
            seed=1,
            engine="events",
            drivers=LAW,
            **CASES[case] | ({"capacity": [200.0, 2e4]} if case in ("division", "loss") else {}),
        )

    compiled = run()
    monkeypatch.setattr(events, "kernel", lambda: events._run)
    plain = run()
    assert len(plain.drivers["clone"]) > 100
    for table in ("columns", "drivers"):
        one, other = getattr(compiled, table), getattr(plain, table)
        assert all((one[name] == other[name]).all() for name in one), table


@pytest.mark.parametrize("rates", [(1, 1.3), [1, 1.3], np.array([1, 1.3]), ([0], [[1, 1.3]])])
def test_rates_may_be_any_sequence(rates):
    as_array = simulate_clones([5, 9], [0, 1], np.array([1, 1.3]), [1, 1], [1.0], 1)
    assert (simulate_clones([5, 9], [0, 1], rates, [1, 1], [1.0], 1) == as_array).all()


def test_steps_are_short_against_relaxation_and_recorded():
    found = simulate_patients([[50_000, 1000]], [[0, 1]], [1, 1], [1, 1], [0.5, 5.0], 1, capacity=1e5)
    assert 0.01 < found.k_dt <= 0.02 + 1e-12
    assert simulate_patients([[5]], [[0]], [1], [1], [1.0], 1).k_dt == 0


def test_patients_of_a_block_have_their_own_rates():
    found = simulate_patients([[2000], [2000]], [[0], [0]], [[1.0], [2.0]], [[1.0], [1.0]], [1.0], 1).columns[
        "cells"
    ]
    # Means 2000 and 2000 e = 5437, sd 63 and 212: far apart.
    assert 1600 < found[0] < 2400
    assert 4600 < found[1] < 6300


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"sizes": [-1, 2]}, "sizes"),
        ({"sizes": [1.5, 2]}, "sizes"),
        ({"sizes": [2**62, 2**62]}, "sizes"),
        ({"fitness_class": [0, 2]}, "fitness_class"),
        ({"fitness_class": [0]}, "fitness_class"),
        ({"division": [np.nan, 1]}, "division"),
        ({"division": [-1, 1]}, "division"),
        ({"loss": [1, np.inf]}, "loss"),
        ({"loss": [1, 1, 1]}, "loss"),
        ({"loss": ([0.5], [[1, 1]])}, "loss"),
        ({"times": [2.0, 1.0]}, "times"),
        ({"times": [-1.0]}, "times"),
        ({"times": [np.nan]}, "times"),
        ({"times": []}, "times"),
        ({"capacity": 0.5}, "capacity"),
        ({"capacity": np.nan}, "capacity"),
        ({"capacity": ([0, 1], [10.0])}, "capacity"),
        ({"regulation": "both"}, "regulation"),
        ({"regrowth": -1}, "regrowth"),
        ({"engine": "slow"}, "engine"),
        ({"division": [30, 30], "times": [10.0]}, "growth without bound"),
        ({"division": [30, 30], "times": [10.0], "engine": "events"}, "growth without bound"),
        ({"division": [30, 30], "capacity": 1e3, "regrowth": 0, "times": [10.0]}, "growth without bound"),
    ],
)
def test_bad_arguments_are_named(change, name):
    good = {
        "sizes": [1, 2],
        "fitness_class": [0, 1],
        "division": [1, 1],
        "loss": [1, 1],
        "times": [1.0],
        "seed": 1,
    }
    with pytest.raises(ValueError, match=name):
        simulate_clones(**{**good, **change})


def test_a_result_beyond_memory_says_what_it_needs():
    with pytest.raises(MemoryError, match="GB"):
        simulate_clones(
            np.broadcast_to(np.int64(1), 10**12), np.broadcast_to(np.int64(0), 10**12), [1], [1], [1.0], 1
        )


def test_a_regulation_that_needs_endless_steps_is_refused():
    with pytest.raises(ValueError, match="regrowth"):
        simulate_clones([5000], [0], [1], [1], [5.0], 1, capacity=1e4, regrowth=1e6)


def test_events_refuse_growth_under_a_capacity_without_regrowth():
    with pytest.raises(ValueError, match="growth without bound"):
        simulate_clones(
            [1, 2], [0, 1], [30, 30], [1, 1], [10.0], 1, capacity=1e3, regrowth=0.0, engine="events"
        )


@pytest.mark.parametrize("engine", ["fast", "events"])
def test_an_empty_marrow_stays_empty(engine):
    out = simulate_clones([0, 0], [0, 1], [1, 1], [1, 1], [1.0, 2.0], 1, capacity=100.0, engine=engine)
    assert out.shape == (2, 2)
    assert not out.any()
    assert simulate_clones([], [], [1, 1], [1, 1], [1.0], 1, engine=engine).shape == (1, 0)
