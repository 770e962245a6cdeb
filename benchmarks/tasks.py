"""What is measured, as plain data: tasks, the rows of the table and what they aim at."""

from dataclasses import dataclass, replace

import numpy as np

PEERS = ("rebop", "copasi tau-leap", "copasi direct", "libroadrunner")


@dataclass(frozen=True)
class Task:
    """Clones of one patient, and how often to simulate them.

    Attributes
    ----------
    name : str
    sizes, kinds : array of int, shape (clones,)
        Cells at time 0 and class of each clone.
    division, loss : tuple of float
        Per class and year.
    times : array of float
        Visits in years.
    capacity : float, optional
    regulation : str
    regrowth : float
        Per year.
    drivers : tuple of float, optional
        Arguments of `hsc_pipeline.dynamics.Drivers`.
    batch : int
        Patients that the fast engine simulates at once.
    engines : tuple of str
        Names in `engines.ENGINES`.
    compared : int
        Replicates of each engine in the statistical check; 0: the task is checked elsewhere.
    rounds : int, optional
        Rounds of timing, where they differ from the others'.
    """

    name: str
    sizes: np.ndarray
    kinds: np.ndarray
    division: tuple[float, ...]
    loss: tuple[float, ...]
    times: np.ndarray
    capacity: float | None = None
    regulation: str = "division"
    regrowth: float = 6.0
    drivers: tuple[float, ...] | None = None
    batch: int = 1
    engines: tuple[str, ...] = ("fast", "events")
    compared: int = 0
    rounds: int | None = None


@dataclass(frozen=True)
class Row:
    """A ratio of CPU times per replicate, and its aim.

    Attributes
    ----------
    title : str
    above, below : tuple of str
        Task and engine above and below the stroke.
    at_least, at_most : float, optional
        The aim; neither: the ratio is only reported.
    """

    title: str
    above: tuple[str, str]
    below: tuple[str, str]
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Sweep:
    """Tasks along one quantity, to fit how the cost of a call of the fast engine grows with it.

    Attributes
    ----------
    title : str
    values : tuple of float
    tasks : tuple of Task
    at_most : float
        Largest slope of log cost on log quantity.
    """

    title: str
    values: tuple[float, ...]
    tasks: tuple[Task, ...]
    at_most: float


def spread(years: float, visits: int) -> np.ndarray:
    """Return equally spaced visits up to the last year."""
    return np.arange(1, visits + 1) * years / visits


def clones_alone(clones: int, engines: tuple[str, ...], compared: int, rounds: int | None = None) -> Task:
    """Return task A: clones at constant equal rates, so each a critical branching process."""
    return Task(
        name=f"A, K = {clones:,}",
        sizes=1 + np.arange(clones) % 20,
        kinds=np.zeros(clones, np.int64),
        division=(2.0,),
        loss=(2.0,),
        times=spread(5, 10),
        engines=engines,
        compared=compared,
        rounds=rounds,
    )


def logistic(cells: int, engines: tuple[str, ...], compared: int, rounds: int | None = None) -> Task:
    """Return task B: three classes whose loss is 1 + total / capacity."""
    one = round(cells / 30)
    return Task(
        name=f"B, N = {cells:,}",
        sizes=np.array([cells // 10 - 2 * one, one, one]),
        kinds=np.arange(3),
        division=(2.0, 2.0, 2.2),
        loss=(2.0, 2.0, 2.0),
        times=spread(5, 10),
        capacity=float(cells),
        regulation="loss",
        regrowth=1.0,
        batch=100,
        engines=engines,
        compared=compared,
        rounds=rounds,
    )


def patient(name: str, clones: int, cells: int, **changes) -> Task:
    """Return a full marrow of three classes over 15 years and 16 visits, at task B's rates."""
    task = Task(
        name=name,
        sizes=np.full(clones, cells // clones),
        kinds=np.arange(clones) % 3,
        division=(2.0, 2.0, 2.2),
        loss=(2.0, 2.0, 2.0),
        times=spread(15, 16),
        capacity=float(cells),
        regulation="loss",
        regrowth=1.0,
        batch=100,
    )
    return replace(task, **changes)


# The workflow's rates: one division a year in a full marrow, six more in an empty one.
CHAIN = {"division": (1.0, 1.0, 1.2), "loss": (1.0, 1.0, 1.0), "regulation": "division", "regrowth": 6.0}
LAW_OF_DRIVERS = (8e-4, 0.65, 31.0, 0.05)

A_1000, B_100_000 = "A, K = 1,000", "B, N = 100,000"
PATIENT, COHORT = "patient, K = 10,000, N = 100,000", "cohort, K = N = 10,000"
NO_DRIVERS, DRIVERS = "no drivers, K = 10,000, N = 100,000", "drivers, K = 10,000, N = 100,000"
CHAIN_TASK, DEAL = "chain, K = 10,000, N = 100,000", "deal, 10,000 singletons"
STAGES, STAGES_LT_HSC = "stages, 100 patients of 10,000 LT-HSC", 10_000

TASKS = (
    clones_alone(10, ("fast", "events", *PEERS), 800),
    clones_alone(100, ("fast", "events", *PEERS), 100),
    clones_alone(1_000, ("fast", "events", *PEERS), 2, rounds=5),
    clones_alone(10_000, ("fast", "events"), 2),
    clones_alone(100_000, ("fast", "events"), 1, rounds=3),
    clones_alone(1_000_000, ("fast",), 1, rounds=3),
    logistic(1_000, ("fast", "fast alone", "events", *PEERS), 300),
    logistic(10_000, ("fast", "fast alone", "events", *PEERS), 60),
    logistic(100_000, ("fast", "fast alone", "events", *PEERS), 10),
    logistic(1_000_000, ("fast", "fast alone", "events", *PEERS[:3]), 4, rounds=3),
    patient(PATIENT, 10_000, 100_000),
    patient(COHORT, 10_000, 10_000, engines=("fast", "events", "uniforms"), rounds=10),
    patient(NO_DRIVERS, 10_000, 100_000, **CHAIN, batch=25, engines=("fast", "events"), rounds=3),
    patient(DRIVERS, 10_000, 100_000, **CHAIN, batch=25, drivers=LAW_OF_DRIVERS, rounds=3),
    patient(
        CHAIN_TASK,
        10_000,
        100_000,
        **CHAIN,
        sizes=np.ones(10_000, np.int64),
        times=spread(5, 11),
        batch=1,
    ),
    Task(
        name=DEAL,
        sizes=np.ones(10_000, np.int64),
        kinds=np.zeros(10_000, np.int64),
        division=(1.0,),
        loss=(1.0,),
        times=np.ones(1),
        engines=("deal", "uniforms"),
    ),
    Task(  # the stages draw their own clones
        name=STAGES,
        sizes=np.ones(STAGES_LT_HSC, np.int64),
        kinds=np.zeros(STAGES_LT_HSC, np.int64),
        division=(1.0,),
        loss=(1.0,),
        times=spread(5, 11),
        batch=100,
        engines=("product stage", "engraftment stage"),
        rounds=3,
    ),
)

ROWS = (
    Row("task A, K = 1,000: rebop (sparse) / `fast`", (A_1000, "rebop"), (A_1000, "fast"), 300),
    Row(
        "task B, N = 100,000: rebop (mass action) / `fast` in a batch of 100",
        (B_100_000, "rebop"),
        (B_100_000, "fast"),
        60,
    ),
    Row(
        "task B, N = 100,000: COPASI tau-leaping / `fast` in a batch of 100",
        (B_100_000, "copasi tau-leap"),
        (B_100_000, "fast"),
        6,
    ),
    Row("task A, K = 1,000: rebop (sparse) / `events`", (A_1000, "rebop"), (A_1000, "events"), 200),
    Row(
        "task B, N = 100,000: rebop (mass action) / `events`",
        (B_100_000, "rebop"),
        (B_100_000, "events"),
        1.4,
    ),
    Row(
        "patient, K = 10,000, N = 100,000, 15 years: `events` / `fast` in a batch of 100",
        (PATIENT, "events"),
        (PATIENT, "fast"),
        8,
    ),
    Row(
        "dealing a visit to 10,000 live singletons / drawing one uniform each",
        (DEAL, "deal"),
        (DEAL, "uniforms"),
        at_most=25,
    ),
    Row(
        "cohort, 10,000 clones and cells x 15 years x 16 visits: `fast` / one uniform per clone-visit",
        (COHORT, "fast"),
        (COHORT, "uniforms"),
    ),
    Row("the same cohort: `events` / `fast`", (COHORT, "events"), (COHORT, "fast")),
    Row(
        "drivers on, N = 100,000, 15 years, regrowth 6: `events` / `fast` in a batch of 25",
        (DRIVERS, "events"),
        (DRIVERS, "fast"),
    ),
    Row("the same with drivers off: `events` / `fast`", (NO_DRIVERS, "events"), (NO_DRIVERS, "fast")),
    Row("`fast`: drivers on / off", (DRIVERS, "fast"), (NO_DRIVERS, "fast")),
    Row(
        "the chain's use, one patient at a time, N = 100,000, 5 years: `events` / `fast`",
        (CHAIN_TASK, "events"),
        (CHAIN_TASK, "fast"),
    ),
    Row(
        "100 patients of 10,000 LT-HSC, 11 visits: the product stage / the engraftment stage",
        (STAGES, "product stage"),
        (STAGES, "engraftment stage"),
        at_most=0.5,
    ),
)


def _sweep_patient(**changes) -> Task:
    name = ", ".join(f"{key} {np.size(value)}" for key, value in changes.items())
    return patient(f"sweep, {name}", 1_000, 10_000, **{"engines": ("fast",), "batch": 50, **changes})


CLONES, PATIENTS, VISITS = (1_000, 10_000, 100_000, 1_000_000), (50, 100, 200, 400), (8, 16, 32, 64)
CELLS = (100_000, 1_000_000, 10_000_000)

SWEEPS = (
    Sweep("clones K (task A)", CLONES, tuple(clones_alone(k, ("fast",), 0) for k in CLONES), 1.1),
    Sweep("patients of a block", PATIENTS, tuple(_sweep_patient(batch=p) for p in PATIENTS), 1.1),
    Sweep("visits", VISITS, tuple(_sweep_patient(times=spread(15, v)) for v in VISITS), 1.1),
    Sweep(
        "cells N, at 1,000 clones",
        CELLS,
        tuple(patient(f"sweep, N = {n:,}", 1_000, n, engines=("fast",), batch=50) for n in CELLS),
        0.1,
    ),
)

# Programs whose start is timed.  The first result is that of an adult marrow of 10,000 clones.
STARTS = {
    "import numpy": "import numpy",
    "first result": (
        "import numpy; from hsc_pipeline.dynamics import simulate_clones; "
        "simulate_clones(numpy.ones(10_000, int), numpy.arange(10_000) % 3, [2, 2, 2.2], [2, 2, 2], "
        "numpy.arange(1, 17) * 15 / 16, 1, 10_000, 'loss', 1.0)"
    ),
}
START_AT_MOST = 2.0
MEMORY_AT_MOST = 1.1

# Small marrows whose every clone is watched: the panel of statistics of `fast` against `events`.
PANEL = Task(
    name="panel",
    sizes=np.array([1] * 20 + [2] * 10 + [5] * 4 + [3] * 10 + [30]),
    kinds=np.repeat([0, 1], [34, 11]),
    division=(1.0, 1.3),
    loss=(1.0, 1.0),
    times=np.array([0.3, 1.0, 2.0]),
    capacity=200.0,
    batch=500,
    compared=20_000,
)
