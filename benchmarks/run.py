"""Measure the engine beside its peers, and write benchmarks/results.md.

Every engine has a process of its own that stays; rounds go in turn through the engines, so that
what else the machine does falls on all alike.  Verdicts are on ratios of CPU time, medians over the
rounds; nothing is asserted, and a row that misses its aim is printed as such.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import table
from checks import LIMIT, against_closed_form, against_reference, panel
from tasks import COHORT, PANEL, STARTS, SWEEPS, TASKS, Sweep, Task
from workers import Time, Worker, single_threaded, start_up

RESULTS = Path(__file__).with_name("results.md")


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, starts of Python, and replicates of the panel."""

    rounds: int = 7
    starts: int = 11
    panel: int = PANEL.compared


QUICK = Effort(rounds=2, starts=3, panel=1000)


@dataclass
class Measured:
    """One engine on one task.

    Attributes
    ----------
    times : list of Time
        Per replicate, one per round; empty if the engine was not timed.
    first : Time, optional
        To the first result, imports included.
    memory : float
        Largest resident memory in MB.
    z : dict of str to float
        Deviations from what is known, in standard errors.
    note : str
        Why it was not timed.
    """

    times: list[Time] = field(default_factory=list)
    first: Time | None = None
    memory: float = 0.0
    z: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass
class Findings:
    """All that a run found; what was not selected is empty."""

    tasks: dict[str, dict[str, Measured]] = field(default_factory=dict)
    slopes: list[tuple[Sweep, float, list[float]]] = field(default_factory=list)
    starts: dict[str, list[Time]] = field(default_factory=dict)
    memory: dict[int, float] = field(default_factory=dict)
    panel: tuple[float, float, int] | None = None


def measure_task(task: Task, rounds: int) -> dict[str, Measured]:
    """Check, then time, all engines of a task."""
    workers = {name: Worker(name, task) for name in task.engines}
    found = {name: Measured() for name in task.engines}
    for name, worker in workers.items():
        _or_note(found[name], worker.wait_until_ready)
        found[name].first = getattr(worker, "first", None)
    check(task, workers, found)
    usable = [name for name in workers if not found[name].note]
    for number in range(task.rounds or rounds):
        for name in np.roll(usable, number).tolist():
            found[name].times.append(workers[name].answer("time", workers[name].repeats))
    for name in usable:
        found[name].memory = workers[name].answer("memory")
    for worker in workers.values():
        worker.stop()
    return found


def check(task: Task, workers: dict[str, Worker], found: dict[str, Measured]) -> None:
    """Note every engine whose replicates deviate from the closed form, or from our reference."""
    if not task.compared:
        return
    alive = [name for name in workers if not found[name].note]
    for name in alive:
        twice = task.capacity is not None and name == "events"
        workers[name].ask("sample", task.compared * (2 if twice else 1))
    samples: dict[str, np.ndarray] = {}
    for name in alive:
        _or_note(found[name], lambda name=name: samples.update({name: workers[name].receive()}))
    for name, sizes in samples.items():
        if task.capacity is None:
            found[name].z = against_closed_form(sizes, task)
        elif name != "events":
            found[name].z = against_reference(sizes, samples["events"])
        if any(not abs(z) < LIMIT for z in found[name].z.values()):
            found[name].note = "disagrees, not timed"


def _or_note(measured: Measured, action) -> None:
    try:
        action()
    except RuntimeError as error:
        measured.note = f"failed: {error}"


def measure_slope(sweep: Sweep, rounds: int) -> tuple[Sweep, float, list[float]]:
    """Return the slope of log cost of a call on log quantity, and the costs in seconds."""
    workers = [Worker("fast", task) for task in sweep.tasks]
    for worker in workers:
        worker.wait_until_ready()
    cost = [
        [
            worker.answer("time", worker.repeats).cpu * task.batch
            for worker, task in zip(workers, sweep.tasks, strict=True)
        ]
        for _ in range(rounds)
    ]
    for worker in workers:
        worker.stop()
    slopes = [np.polyfit(np.log(sweep.values), np.log(one), 1)[0] for one in cost]
    return sweep, float(np.median(slopes)), np.median(cost, axis=0).tolist()


def measure_memory() -> dict[int, float]:
    """Return the largest memory in MB by patients simulated, one block after the other."""
    task = next(task for task in TASKS if task.name == COHORT)
    worker = Worker("fast", task)
    worker.wait_until_ready()
    found = {task.batch: worker.first_memory, 4 * task.batch: worker.answer("memory", 3)}
    worker.stop()
    return found


def measure_panel(replicates: int) -> tuple[float, float, int]:
    """Compare `fast`, kept to steps, with `events` in small marrows."""
    workers = [Worker(name, PANEL) for name in ("fast", "events")]
    for worker, question in zip(workers, ("sample by steps", "sample"), strict=True):
        worker.wait_until_ready()
        worker.ask(question, replicates)
    found = panel(*(worker.receive() for worker in workers))
    for worker in workers:
        worker.stop()
    return found


def measure(wanted: list[str], effort: Effort) -> Findings:
    """Measure all that is wanted: beginnings of names of tasks, or of other parts."""

    def is_wanted(name: str) -> bool:
        return not wanted or any(name.startswith(beginning) for beginning in wanted)

    found = Findings()
    for task in filter(lambda task: is_wanted(task.name), TASKS):
        with said(task.name):
            found.tasks[task.name] = measure_task(task, effort.rounds)
    for sweep in SWEEPS if is_wanted("sweep") else ():
        with said(f"sweep of {sweep.title}"):
            found.slopes.append(measure_slope(sweep, min(effort.rounds, 3)))
    if is_wanted("start"):
        with said("start-up"):
            found.starts = start_up(STARTS, effort.starts)
    if is_wanted("memory"):
        with said("memory"):
            found.memory = measure_memory()
    if is_wanted("panel"):
        with said("panel"):
            found.panel = measure_panel(effort.panel)
    return found


@contextmanager
def said(what: str) -> Iterator[None]:
    """Say what is measured, and how long it took."""
    print(f"{what} ... ", end="", flush=True)
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    """Measure, print the table, and write it if all of it was measured in full."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help=f"rounds of timing (default {Effort.rounds})")
    parser.add_argument(
        "--tasks", default="", help="only these, by the beginnings of their names, with ; between them"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds and a small panel")
    asked = parser.parse_args()
    effort = QUICK if asked.quick else Effort()
    if asked.rounds:
        effort = replace(effort, rounds=asked.rounds)
    wanted = [name.strip() for name in asked.tasks.split(";") if name.strip()]
    single_threaded()
    start = time.perf_counter()
    found = measure(wanted, effort)
    before = table.measured_before(RESULTS)
    text = table.render(found, effort, before, time.perf_counter() - start)
    print(f"\n{text}")
    if wanted or asked.quick:
        print("Not in full, so benchmarks/results.md stays as it was.")
    else:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
