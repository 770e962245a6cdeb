"""Courses of infections, many at once, and what is read off them."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity.pathogens import PATHOGENS, Numbers
from hsc_pipeline.settings import Settings

STEPS = 280  # times at which a course is kept, after day 0
RELATIVE_TOLERANCE = 1e-5
MOST_STEPS = 20_000  # of the solver between two of these times
# How far below zero a state may run, in tolerances of the solver, before the model is wrong.
UNDERSHOOT = 1000


@dataclass(frozen=True)
class Course:
    """Courses of infections with one pathogen.

    Attributes
    ----------
    days : array, shape (times,)
    states : array, shape (states, times, courses)
        In the order of `Pathogen.states`.
    load : array, shape (times, courses)
        In the unit of ``pathogen.<name>.detection``.
    """

    days: np.ndarray
    states: np.ndarray
    load: np.ndarray


@dataclass(frozen=True)
class Readings:
    """What is read off courses; arrays of shape (courses,).

    Attributes
    ----------
    peak, area : array
        Highest load, and load summed over days.
    day : array
        From which on the load stays below detection; the horizon where it does not.
    cleared : array of bool
        Whether it does within the horizon.
    """

    peak: np.ndarray
    area: np.ndarray
    day: np.ndarray
    cleared: np.ndarray

    def of(self, courses: slice | np.ndarray) -> "Readings":
        """Return those of some of the courses."""
        return Readings(self.peak[courses], self.area[courses], self.day[courses], self.cleared[courses])


def parameters_of(pathogen: str, settings: Settings) -> dict[str, Any]:
    """Return the values of a pathogen, and of the responses that all of them meet, by quantity."""
    found = {}
    # A pathogen's own value stands for the common one of the same name.
    for prefix in ("challenge.", "response.", f"pathogen.{pathogen}."):
        found |= {
            name.removeprefix(prefix): value
            for name, value in settings.values.items()
            if name.startswith(prefix)
        }
    return found


def solve(
    pathogen: str,
    effectors: Mapping[str, np.ndarray],
    parameters: Mapping[str, float | np.ndarray],
    who: str = "challenge",
) -> Course:
    """Solve courses of infections.

    Parameters
    ----------
    pathogen : str
        One of `pathogens.PATHOGENS`.
    effectors : mapping of str to array, shape (courses,)
        At least those of the pathogen, against the median for age; ``protected`` is a share.
    parameters : mapping of str to float or array of shape (courses,)
        Of `parameters_of`; ``horizon_days`` is one number.
    who : str
        Named if the solver fails.

    Raises
    ------
    ModelError
        If the solver fails or a state runs below zero; names the pathogen and the parameters.
    """
    from scipy.integrate import ODEintWarning, odeint

    model = PATHOGENS[pathogen]
    used = {name: np.asarray(effectors[name], float) for name in model.effectors}
    courses = np.broadcast_shapes(*(np.shape(v) for v in used.values()))[0]
    known = {name: v for name, v in parameters.items() if not isinstance(v, str)}
    start = np.empty((courses, len(model.states)))
    for place, value in enumerate(model.start(used, known)):
        start[:, place] = value
    band, change_of = len(model.states) - 1, model.change(used, known)

    def change(flat: np.ndarray, _day: float) -> np.ndarray:
        # Courses side by side do not touch each other, so the Jacobian is a narrow band.
        rates = np.empty_like(start)
        for place, rate in enumerate(change_of(*flat.reshape(start.shape).T)):
            rates[:, place] = rate
        return rates.ravel()

    days = np.linspace(0, float(parameters["horizon_days"]), STEPS + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ODEintWarning)
        solved, told = odeint(
            change,
            start.ravel(),
            days,
            ml=band,
            mu=band,
            rtol=RELATIVE_TOLERANCE,
            atol=np.tile(model.tolerance, courses),
            mxstep=MOST_STEPS,
            full_output=True,
        )
    states = solved.reshape(len(days), courses, -1).transpose(2, 0, 1)
    lowest = states.min(axis=(1, 2)) / np.array(model.tolerance)
    if told["message"] != "Integration successful." or not lowest.min() > -UNDERSHOOT:
        reason = told["message"] if told["message"] != "Integration successful." else "a state below zero"
        raise ModelError(
            f"{who}: the course of {pathogen} could not be solved: {reason} Effectors {_told(used)}; "
            f"parameters {_told(known)}"
        )
    # What is left below zero is the error of the solver, within the bound above.
    states = np.maximum(states, 0)
    return Course(days, states, model.load(tuple(states), known))


def _told(values: Numbers) -> str:
    return ", ".join(f"{name} {np.array2string(np.asarray(v), precision=4)}" for name, v in values.items())


def read(course: Course, parameters: Mapping[str, float | np.ndarray]) -> Readings:
    """Return peak, area and clearance of courses."""
    present = course.load >= parameters["detection"]
    last = len(course.days) - 1 - present[::-1].argmax(axis=0)
    after = np.where(present.any(axis=0), np.minimum(last + 1, len(course.days) - 1), 0)
    return Readings(
        course.load.max(axis=0),
        np.trapezoid(course.load, course.days, axis=0),
        course.days[after],
        ~present[-1],
    )


def survival(
    readings: Readings, healthy: Readings, parameters: Mapping[str, float | np.ndarray]
) -> np.ndarray:
    """Return the share that survives: 1 / (1 + (a / a_50)^n), logistic in the logarithm of the area.

    The area a is that above a day at detection, against the healthy twin's; a_50 is
    ``fatal_ratio`` and n ``fatal_slope``.
    """
    floor = parameters["detection"]
    ratio = (readings.area + floor) / (healthy.area + floor)
    return 1 / (1 + (ratio / parameters["fatal_ratio"]) ** parameters["fatal_slope"])


def score(
    readings: Readings,
    healthy: Readings,
    parameters: Mapping[str, float | np.ndarray],
    who: str = "challenge",
) -> np.ndarray:
    """Return 100 times survival, a part for days to spare, both against the healthy twin's and at most 1.

    Raises
    ------
    ModelError
        If even the healthy twin does not clear the pathogen within the horizon.
    """
    if not np.all(healthy.cleared):
        raise ModelError(f"{who}: the healthy twin still carries the pathogen at the horizon")
    alive = survival(readings, healthy, parameters) / survival(healthy, healthy, parameters)
    spare = np.where(readings.cleared, parameters["horizon_days"] - readings.day, 0)
    in_time = spare / (parameters["horizon_days"] - healthy.day)
    share = parameters["day_share"]
    return 100 * np.minimum(alive, 1) * (1 - share + share * np.minimum(in_time, 1))


def growth_blocked(protected: np.ndarray, parameters: Mapping[str, float | np.ndarray]) -> np.ndarray:
    """Return 100 times the share of the growth R0 - 1 that protected targets block; all at 1 - 1/R0."""
    return 100 * np.minimum(np.asarray(protected) / (1 - 1 / parameters["reproduction_number"]), 1)
