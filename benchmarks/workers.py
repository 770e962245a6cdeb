"""Persistent processes, one for each engine and task, and the clocks around them."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from engines import ENGINES, Engine
from tasks import Task

LEAST_CPU_S = 0.1  # of one measurement: quick runs are repeated to fill it
MOST_REPEATS = 200
COLD_FROM_S = 1.0  # runs longer than this need not be warmed up
LONG_CPU_S = 5.0  # a first result after this is from runs too long to repeat
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


@dataclass(frozen=True)
class Time:
    """Seconds, of a process and of the clock on the wall."""

    cpu: float
    wall: float

    @classmethod
    def now(cls) -> "Time":
        """Read both clocks."""
        return cls(time.process_time(), time.perf_counter())

    def since(self, start: "Time", share: int = 1) -> "Time":
        """Return the time from `start` to here, divided by `share`."""
        return Time((self.cpu - start.cpu) / share, (self.wall - start.wall) / share)


class Worker:
    """A process that holds one engine, ready to run one task.

    Parameters
    ----------
    engine : str
        Name in `engines.ENGINES`.
    task : Task

    Attributes
    ----------
    first : Time
        To import, build the model and give a first result.
    first_memory : float
        Largest resident memory by then, in MB.
    repeats : int
        Runs in one measurement.
    """

    def __init__(self, engine: str, task: Task):
        self.name = engine
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, engine, task), daemon=True)
        self.process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Wait for the first result."""
        self.first, self.first_memory, self.repeats = self.receive()

    def ask(self, question: str, argument: int = 0) -> None:
        """Put one of the questions of `ANSWERS` without waiting for the answer."""
        self.pipe.send((question, argument))

    def receive(self):
        """Wait for the answer; a failure there is a RuntimeError here."""
        try:
            found = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise RuntimeError(f"{self.name} ended with exit code {self.process.exitcode}") from None
        if isinstance(found, Exception):
            raise RuntimeError(f"{self.name}: {found!r}") from found
        return found

    def answer(self, question: str, argument: int = 0):
        """Put a question and wait for the answer."""
        self.ask(question, argument)
        return self.receive()

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def serve(pipe, name: str, task: Task) -> None:
    """Prepare an engine and answer a worker's questions until its pipe closes."""
    try:
        start = Time.now()
        engine, seeds = ENGINES[name](task), count()
        engine.run(next(seeds))
        first, memory = Time.now().since(start), peak_memory(engine, seeds, 0)
        pipe.send((first, memory, 1 if first.cpu > LONG_CPU_S else _repeats(engine, seeds)))
        while True:
            question, argument = pipe.recv()
            pipe.send(ANSWERS[question](engine, seeds, argument))
    except EOFError:
        pass
    except Exception as error:
        pipe.send(error)


def _repeats(engine: Engine, seeds: Iterator[int]) -> int:
    """Return how many runs make a measurement long enough; the first run, with imports, would not tell."""
    once = measure(engine, seeds, 1).cpu * engine.replicates
    return int(np.clip(np.ceil(LEAST_CPU_S / max(once, 1e-6)), 1, MOST_REPEATS))


def measure(engine: Engine, seeds: Iterator[int], repeats: int) -> Time:
    """Return the time per replicate over several runs, quick ones after one that is not counted.

    While the other processes run, this one's memory grows cold: a run of 80 ms was seen to take 140.
    """
    start = Time.now()
    engine.run(next(seeds))
    once = Time.now().since(start)
    if once.cpu > COLD_FROM_S and repeats == 1:
        return once.since(Time(0, 0), engine.replicates)
    start = Time.now()
    for _ in range(repeats):
        engine.run(next(seeds))
    return Time.now().since(start, repeats * engine.replicates)


def sample(engine: Engine, seeds: Iterator[int], replicates: int) -> np.ndarray:
    """Return cells at the visits, shape (replicates, visits, clones)."""
    parts, found = [], 0
    while found < replicates:
        engine.run(next(seeds))
        parts.append(engine.sizes())
        found += len(parts[-1])
    return np.concatenate(parts)[:replicates]


def sample_by_steps(engine: Engine, seeds: Iterator[int], replicates: int) -> np.ndarray:
    """Return the same, of an engine kept from going event by event in small marrows."""
    from hsc_pipeline.dynamics import fast

    fast.EVENTS_UP_TO = 0
    return sample(engine, seeds, replicates)


def peak_memory(engine: Engine, seeds: Iterator[int], runs: int) -> float:
    """Return the process's largest resident memory in MB, after more runs."""
    for _ in range(runs):
        engine.run(next(seeds))
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone; `getrusage` includes the process it was forked from
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


ANSWERS = {"time": measure, "sample": sample, "sample by steps": sample_by_steps, "memory": peak_memory}


def start_up(programs: dict[str, str], rounds: int) -> dict[str, list[Time]]:
    """Time whole Python processes, interleaved, after one round that is not counted."""
    found: dict[str, list[Time]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            start = _children()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:
                found[name].append(_children().since(start))
    return found


def _children() -> Time:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Time(used.ru_utime + used.ru_stime, time.perf_counter())


def single_threaded() -> None:
    """Let this process's children compute in one thread."""
    os.environ.update(ONE_THREAD)
