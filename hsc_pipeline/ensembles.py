"""Ensembles: which points a study asks for beside its arms, checked before any job, and cut into jobs."""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hsc_pipeline.catalogue import CHOICE, Value
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.limits import bounded_lines, exists
from hsc_pipeline.prior import CHOSEN
from hsc_pipeline.study_file import StudyFile, Sweep, Uncertainty

MOST_POINTS = 100_000
MOST_JOBS = 2000  # of an ensemble; beyond, jobs grow
MOST_UNCERTAIN_ARMS = 12  # as many as the report draws
# Measured over 600 to 30,000 clones and 3 to 11 visits, in seconds of a core.
SECONDS_A_PATIENT, SECONDS_A_CLONE_AND_VISIT = 0.35, 5e-7
SECONDS_AFTERWARDS = 90  # of a core for models, trials and report of a small study

Check = Callable[[str, Mapping[str, Value]], None]


@dataclass(frozen=True)
class Ensemble:
    """The points of a sweep, or of the uncertainty of the catalogue.

    Attributes
    ----------
    points, patients : int
        Points, and virtual patients at each in each arm.
    arms : list of str
    same_patients, may_fail : bool
        As `points.simulate_points` takes them.
    lay : mapping of str to mapping
        What the points of each arm are laid by, as `points.lay_points` takes it.
    """

    points: int
    patients: int
    arms: list[str]
    same_patients: bool
    may_fail: bool
    lay: Mapping

    def batches(self, seconds_a_patient: float, minutes: float) -> list[str]:
        """Return the names of its jobs in an arm, ``"first-last"`` point, each of about some minutes."""
        fits = max(1, int(60 * minutes / (seconds_a_patient * self.patients)))
        size = max(fits, -(-self.points * len(self.arms) // MOST_JOBS))
        size = -(-self.points // -(-self.points // size))  # equal jobs
        return [f"{first}-{min(first + size, self.points) - 1}" for first in range(0, self.points, size)]


def seconds_a_patient(clones: float, visits: int) -> float:
    """Return the CPU time of one virtual patient from plan to outcomes."""
    return SECONDS_A_PATIENT + SECONDS_A_CLONE_AND_VISIT * clones * visits


def ensembles(file: StudyFile, arms: Mapping[str, Mapping[str, Value]], check: Check) -> dict[str, Ensemble]:
    """Return what a study asks for by name, ``sweep`` and ``uncertainty``.

    Parameters
    ----------
    file : StudyFile
    arms : mapping of str to mapping of str to Value
        Every value of each arm.
    check : callable
        Raises `UserError` for values that are impossible together.

    Raises
    ------
    UserError
        One sentence on what cannot be laid.
    """
    found = {}
    if file.sweep:
        found["sweep"] = _sweep(file, file.sweep, arms, check)
    if file.uncertainty.draws:
        found["uncertainty"] = _uncertainty(file, file.uncertainty, arms)
    return found


def _sweep(file: StudyFile, sweep: Sweep, arms: Mapping[str, Mapping[str, Value]], check: Check) -> Ensemble:
    arm = sweep.arm or next(iter(arms))
    if arm not in arms:
        raise UserError(f"sweep.arm = {arm!r} is no arm; allowed: {', '.join(arms)}")
    values = arms[arm]
    for name, span in sweep.over.items():
        if name not in values:
            raise UserError(f"sweep.over: the catalogue has no value {name!r}; {suggest(name, list(values))}")
        if values[name].unit == CHOICE:
            raise UserError(f"sweep.over: {name} is a choice, not a number; give each choice an arm")
        for end in span.values or (span.least, span.most):
            if problem := values[name].problem(end):
                raise UserError(f"sweep.over: {name} = {end:g}; {problem}")
            try:
                check(arm, {**values, name: values[name].replaced(end)})
            except UserError as error:
                raise UserError(f"sweep.over: {name} = {end:g}: {error}") from None
    return Ensemble(
        points=_number_of_points(sweep),
        patients=sweep.patients,
        arms=[arm],
        same_patients=sweep.same_patients,
        may_fail=False,
        lay={
            arm: {
                "sweep": sweep.model_dump(mode="json", include={"design", "over", "points"}),
                "whole": [name for name in sweep.over if values[name].unit == "count"],
                "seed": file.seed,
            }
        },
    )


def _number_of_points(sweep: Sweep) -> int:
    if sweep.design == "grid":
        if sweep.points is not None:
            raise UserError("sweep.points: a grid has as many points as its values make; leave points out")
        number = math.prod(len(span.values) if span.values else span.levels for span in sweep.over.values())
        if number > MOST_POINTS:
            raise UserError(f"sweep: a grid of {number:,} points; allowed: up to {MOST_POINTS:,}")
        return number
    if sweep.points is None:
        raise UserError(f"sweep.points: is missing; a {sweep.design} design needs their number")
    if sweep.design == "sobol" and sweep.points & (sweep.points - 1):
        below = 1 << (sweep.points.bit_length() - 1)
        raise UserError(
            f"sweep.points = {sweep.points}; a sobol design is balanced at powers of two, "
            f"such as {below} or {2 * below}"
        )
    return sweep.points


def _uncertainty(file: StudyFile, asked: Uncertainty, arms: Mapping[str, Mapping[str, Value]]) -> Ensemble:
    chosen = dict(list(arms.items())[:MOST_UNCERTAIN_ARMS])
    if asked.posterior:
        rows = read_posterior(asked.posterior, chosen, asked.draws)
        laid_by = {arm: {"rows": rows} for arm in chosen}
    else:
        laid_by = {arm: {"ranges": own} for arm, own in uncertain_ranges(chosen, asked.over).items()}
    return Ensemble(
        points=asked.draws,
        patients=asked.patients,
        arms=list(chosen),
        same_patients=True,
        may_fail=True,
        lay={arm: {**own, "draws": asked.draws, "seed": file.seed} for arm, own in laid_by.items()},
    )


def uncertain_ranges(arms: Mapping[str, Mapping[str, Value]], over: list[str]) -> dict[str, dict[str, list]]:
    """Return least, most and whether whole of the values that are uncertain, by arm and name.

    What the study sets is known, in the arms in which it does.
    """
    found = {
        arm: {
            name: [*value.range, value.unit == "count"]
            for name, value in sorted(values.items())
            if value.range and value.evidence != "study file" and not name.startswith(CHOSEN)
        }
        for arm, values in arms.items()
    }
    known = {name for own in found.values() for name in own}
    for beginning in over:
        if not any(name.startswith(beginning) for name in known):
            raise UserError(
                f"uncertainty.over: no uncertain value begins with {beginning!r}; "
                f"{suggest(beginning, sorted(known))}"
            )
    if not over:
        return found
    return {arm: {n: r for n, r in own.items() if n.startswith(tuple(over))} for arm, own in found.items()}


def read_posterior(path: str, arms: Mapping[str, Mapping[str, Value]], draws: int) -> dict[str, list[float]]:
    """Return the columns of a CSV of draws, each a value of the catalogue.

    Raises
    ------
    UserError
        If a column is no value of every arm, a number is impossible or there are too few rows.
    """
    where = f"uncertainty.posterior: {path}"
    if not (exists(path) and Path(path).is_file()):
        raise UserError(f"{where}: there is no such file")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(bounded_lines(file)))
    if len(rows) < 2:
        raise UserError(f"{where}: holds no draw; it needs a line of names and a line of numbers a draw")
    names, *lines = rows
    for name in names:
        if not all(name in values for values in arms.values()):
            known = sorted(next(iter(arms.values())))
            raise UserError(f"{where}: column {name!r} is no value of every arm; {suggest(name, known)}")
    if len(lines) < draws:
        raise UserError(f"{where}: {len(lines)} draws; uncertainty.draws asks for {draws}")
    values = next(iter(arms.values()))
    return {name: _numbers(where, name, values[name], i, lines) for i, name in enumerate(names)}


def _numbers(where: str, name: str, value: Value, column: int, lines: list[list[str]]) -> list[float]:
    found = []
    for number, line in enumerate(lines, start=2):
        try:
            found.append(float(line[column]))
        except (ValueError, IndexError):
            raise UserError(f"{where}: line {number}: {name} is not a number") from None
        if problem := value.problem(found[-1]):
            raise UserError(f"{where}: line {number}: {name} = {found[-1]:g}; {problem}")
    return found
