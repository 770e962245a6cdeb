"""One small adapter per engine: `run` is what the clock sees, `sizes` reads out the last run.

Modules of peers are imported by the engine that needs them, so that each process holds only one.
"""

from itertools import count

import numpy as np
from product import EngraftmentStage, ProductStage
from tasks import Task

from hsc_pipeline.dynamics import Drivers, simulate_clones, simulate_patients
from hsc_pipeline.dynamics.urn import deal

MOST_STEPS = 10**9  # COPASI gives up after a million events if not told


class Engine:
    """An engine that is ready to simulate a task.

    Parameters
    ----------
    task : Task

    Attributes
    ----------
    replicates : int
        Patients simulated by one run.
    """

    replicates = 1

    def __init__(self, task: Task):
        self.task = task

    def run(self, seed: int) -> None:
        """Simulate."""
        raise NotImplementedError

    def sizes(self) -> np.ndarray:
        """Return the last run's cells, shape (replicates, visits, clones)."""
        raise NotImplementedError


class Fast(Engine):
    """Our engine as the workflow runs it: a block of patients."""

    name = "fast"

    def __init__(self, task: Task):
        super().__init__(task)
        self.replicates = task.batch

    def run(self, seed: int) -> None:
        self.found = None  # one block at a time, as in the workflow
        self.found = _simulate(self.task, seed, self.name, self.replicates)

    def sizes(self) -> np.ndarray:
        if isinstance(self.found, np.ndarray):
            return self.found[None]
        columns = self.found.columns
        out = np.zeros((self.replicates, len(self.task.times), len(self.task.sizes)), np.int64)
        out[columns["patient"], columns["visit"], columns["clone"]] = columns["cells"]
        return out


class Alone(Fast):
    """Our engine for one patient at a time."""

    def __init__(self, task: Task):
        super().__init__(task)
        self.replicates = 1


class Events(Alone):
    """Our reference, event by event."""

    name = "events"


def _simulate(task: Task, seed: int, engine: str, patients: int):
    """Simulate by the door that fits: one patient, or a block."""
    drivers = Drivers(*task.drivers) if task.drivers else None
    rates = (
        list(task.division),
        list(task.loss),
        task.times,
        seed,
        task.capacity,
        task.regulation,
        task.regrowth,
    )
    if patients == 1 and drivers is None:
        return simulate_clones(task.sizes, task.kinds, *rates, engine=engine)
    return simulate_patients(
        [task.sizes] * patients, [task.kinds] * patients, *rates, engine=engine, drivers=drivers
    )


class Rebop(Engine):
    """rebop, clones as species: mass action, and sparse, which is the quicker in both tasks."""

    def __init__(self, task: Task):
        import rebop

        super().__init__(task)
        self.model = rebop.Gillespie()
        self.start = dict(zip(_species(task), task.sizes.tolist(), strict=True))
        for name, kind in zip(self.start, task.kinds, strict=True):
            self.model.add_reaction(task.division[kind], [name], [name, name])
            self._add_loss(name, task.loss[kind])

    def _add_loss(self, name: str, loss: float) -> None:
        """Add a loss, under feedback as (loss - regrowth) + regrowth * total / capacity."""
        if self.task.capacity is None:
            self.model.add_reaction(loss, [name], [])
            return
        each = self.task.regrowth / self.task.capacity
        # Two cells of one species meet at n (n - 1), so one `each` is missing.
        self.model.add_reaction(loss - self.task.regrowth + each, [name], [])
        for other in self.start:
            self.model.add_reaction(each, [name, other], [other])

    def run(self, seed: int) -> None:
        years, visits = self.task.times[-1], len(self.task.times)
        self.found = self.model.run(self.start, years, visits, rng=seed, sparse=True)

    def sizes(self) -> np.ndarray:
        return np.array([self.found[name].values[1:] for name in self.start], np.int64).T[None]


class Copasi(Engine):
    """COPASI through its own task, without the data frames of basico."""

    def __init__(self, task: Task):
        import basico
        import COPASI

        super().__init__(task)
        self.model = basico.load_model_from_string(sbml(task))
        years, visits = float(task.times[-1]), len(task.times)
        course = {"method": self.method, "max_steps": MOST_STEPS, "use_seed": True, "use_numbers": True}
        basico.run_time_course(years, visits, seed=1, model=self.model, **course)
        self.course = self.model.getTask("Time-Course")
        self.seed = self.course.getMethod().getParameter("Random Seed")
        self.output = COPASI.CCopasiTask.ONLY_TIME_SERIES

    def run(self, seed: int) -> None:
        self.seed.setIntValue(seed + 1)
        if not (self.course.initialize(self.output) and self.course.process(True)):
            raise RuntimeError("COPASI did not run")
        self.course.restore()

    def sizes(self) -> np.ndarray:
        series = self.course.getTimeSeries()
        column = {series.getTitle(i): i for i in range(series.getNumVariables())}
        steps = range(1, series.getRecordedSteps())
        found = [[series.getData(step, column[name]) for name in _species(self.task)] for step in steps]
        return np.rint(np.array(found)).astype(np.int64)[None]


class CopasiTauLeap(Copasi):
    """Approximate: many events in one leap."""

    method = "tauleap"


class CopasiDirect(Copasi):
    """Gillespie's direct method."""

    method = "directMethod"


class RoadRunner(Engine):
    """libRoadRunner's Gillespie integrator."""

    def __init__(self, task: Task):
        import roadrunner

        super().__init__(task)
        roadrunner.Logger.setLevel(roadrunner.Logger.LOG_ERROR)
        self.model = roadrunner.RoadRunner(sbml(task))
        self.model.setIntegrator("gillespie")
        self.model.getIntegrator().setValue("variable_step_size", False)
        self.model.timeCourseSelections = ["time", *_species(task)]

    def run(self, seed: int) -> None:
        self.model.reset()
        self.model.getIntegrator().setValue("seed", seed + 1)
        self.found = self.model.simulate(0, float(self.task.times[-1]), len(self.task.times) + 1)

    def sizes(self) -> np.ndarray:
        return np.rint(np.array(self.found)[1:, 1:]).astype(np.int64)[None]


class Deal(Engine):
    """Dealing one visit to live clones of one cell, half of them with progeny."""

    def run(self, seed: int) -> None:
        clones = len(self.task.sizes)
        self.rng = np.random.default_rng(seed)
        self.found = deal(self.rng, self.task.sizes, clones // 2, clones)


class Uniforms(Engine):
    """One uniform number for each clone and visit of each patient: the floor of any simulation."""

    def __init__(self, task: Task):
        super().__init__(task)
        self.replicates = task.batch

    def run(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(self.replicates * len(self.task.times)):
            rng.random(len(self.task.sizes))


ENGINES = {
    "fast": Fast,
    "fast alone": Alone,
    "events": Events,
    "rebop": Rebop,
    "copasi tau-leap": CopasiTauLeap,
    "copasi direct": CopasiDirect,
    "libroadrunner": RoadRunner,
    "deal": Deal,
    "uniforms": Uniforms,
    "product stage": ProductStage,
    "engraftment stage": EngraftmentStage,
}


# ---------------------------------------------------------------- the model as SBML

_MATH = "http://www.w3.org/1998/Math/MathML"
_SBML = "http://www.sbml.org/sbml/level3/version1/core"


def sbml(task: Task) -> str:
    """Return the task as an SBML model whose species are counts of cells, each reaction irreversible."""
    names = _species(task)
    species = "".join(
        f'<species id="{name}" compartment="marrow" initialAmount="{cells}" substanceUnits="item" '
        'hasOnlySubstanceUnits="true" boundaryCondition="false" constant="false"/>'
        for name, cells in zip(names, task.sizes, strict=True)
    )
    number = count()
    reactions = "".join(
        _reaction(f"r{next(number)}", name, 2, _times(name, f"<cn>{task.division[kind]}</cn>"), ())
        + _reaction(f"r{next(number)}", name, 0, *_loss(task, name, task.loss[kind]))
        for name, kind in zip(names, task.kinds, strict=True)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="{_SBML}" level="3" version="1">'
        '<model id="clones" substanceUnits="item" extentUnits="item" timeUnits="second">'
        '<listOfCompartments><compartment id="marrow" size="1" spatialDimensions="3" constant="true"/>'
        f"</listOfCompartments><listOfSpecies>{species}</listOfSpecies>"
        f"<listOfReactions>{reactions}</listOfReactions></model></sbml>"
    )


def _species(task: Task) -> list[str]:
    return [f"s{clone}" for clone in range(len(task.sizes))]


def _times(name: str, factor: str) -> str:
    return f"<apply><times/><ci>{name}</ci>{factor}</apply>"


def _loss(task: Task, name: str, loss: float) -> tuple[str, tuple[str, ...]]:
    """Return the kinetic law of a loss and the species that modify it."""
    if task.capacity is None:
        return _times(name, f"<cn>{loss}</cn>"), ()
    names = _species(task)
    total = "<apply><plus/>" + "".join(f"<ci>{other}</ci>" for other in names) + "</apply>"
    crowding = f"<apply><times/><cn>{task.regrowth / task.capacity:.17g}</cn>{total}</apply>"
    rate = f"<apply><plus/><cn>{loss - task.regrowth}</cn>{crowding}</apply>"
    return _times(name, rate), tuple(other for other in names if other != name)


def _reaction(label: str, name: str, after: int, law: str, modifiers: tuple[str, ...]) -> str:
    """Return a reaction that turns one cell into `after` cells."""
    one = f'<speciesReference species="{name}" constant="true" stoichiometry='
    products = f'<listOfProducts>{one}"{after}"/></listOfProducts>' if after else ""
    touched = "".join(f'<modifierSpeciesReference species="{other}"/>' for other in modifiers)
    return (
        f'<reaction id="{label}" reversible="false" fast="false">'
        f'<listOfReactants>{one}"1"/></listOfReactants>{products}'
        + (f"<listOfModifiers>{touched}</listOfModifiers>" if touched else "")
        + f'<kineticLaw><math xmlns="{_MATH}">{law}</math></kineticLaw></reaction>'
    )
