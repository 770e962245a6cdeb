"""One pathogen challenge: a respiratory virus meets this patient's cells.

Target cells T, infected cells in eclipse E and productive I, virus V after Baccam 2006,
10.1128/JVI.01623-05, with regrowing epithelium, NK cells N, killer T cells K, plasmablasts B and
antibody A::

    T' = -beta T V + rho (T0 - T - E - I)
    E' = beta T V - k E
    I' = k E - (delta + nu N + kappa K) I
    V' = p I - (c + gamma A) V
    K' = a (1 - h + h H) K (1 - K/m) I/(I + i) - w (K - K0)
    B' = g H B I/(I + i) - u (B - B0)
    A' = B - B0 - d A

Killer T cells number at most m.  K0, B0, N and the help H are the patient's functional CD8+, B, NK and
CD4+ cells against the median for age, so that a median healthy child has one of each.  The patient at
every visit, a healthy twin and an untreated twin are solved together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity.columns import of_table
from hsc_pipeline.immunity.reconstitution import uncorrected_function
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

COMPOSITE_PATHOGENS = ("respiratory_virus",)  # whose scores enter the composite
STEP_DAYS = 0.1
STATES = 7  # T, E, I, V, K, B, A

CHALLENGES = Table(
    "challenges",
    ("patient", "month", "pathogen", "who"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "visit at which the virus comes; 0 for the twins", 0),
        "pathogen": Column(pa.string(), "", "name in the catalogue"),
        "who": Column(pa.string(), "", "patient, healthy (twin with median cells) or untreated (twin)"),
        "peak_log10": Column(pa.float64(), "log10 TCID50/mL", "highest viral load"),
        "area": Column(pa.float64(), "TCID50/mL*d", "viral load summed over time", 0),
        "clearance_day": Column(
            pa.float64(), "days", "day the load falls below detection; the horizon where it does not", 0
        ),
        "score": Column(pa.float64(), "points", "days to spare against the healthy twin's", 0, 100),
    },
)

ARMS = ("cd8_t", "cd4_t", "b_cell", "nk_cell")


@dataclass(frozen=True)
class Course:
    """Courses of infections, one a column.

    Attributes
    ----------
    days : array, shape (times,)
    load : array, shape (times, courses)
        TCID50/mL.
    states : array, shape (STATES, courses, times)
    """

    days: np.ndarray
    load: np.ndarray
    states: np.ndarray


def challenge_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `CHALLENGES`: at every visit, and the twins.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``reconstitution``.
    settings : Settings
        Of the stage ``immunity``.
    """
    columns = of_table(tables["reconstitution"])
    relative = {}
    for cell in ARMS:
        here = columns["cell"] == cell
        relative[cell] = columns["functional_per_ul"][here] / columns["normal_per_ul"][here]
        months = columns["month"][here]
        untreated = settings[f"disease.untreated_count.{cell}"] * uncorrected_function(
            cell, patient["null_genotype"], settings
        )
        relative[cell] = np.concatenate([relative[cell], [1.0, untreated]])
    course = infect(relative, settings, f"patient {patient['patient']}")
    day = clearance_day(course, settings["pathogen.detection"])
    visits, healthy = len(months), len(months)
    table = CHALLENGES.build(
        {
            "patient": np.full(visits + 2, patient["patient"]),
            "month": [*months, 0.0, 0.0],
            "pathogen": np.full(visits + 2, COMPOSITE_PATHOGENS[0]),
            "who": ["patient"] * visits + ["healthy", "untreated"],
            "peak_log10": np.log10(course.load.max(axis=0)),
            "area": np.trapezoid(course.load, course.days, axis=0),
            "clearance_day": day,
            "score": clearance_score(day, float(day[healthy]), settings["challenge.horizon_days"]),
        }
    )
    return {"challenges": table}


def infect(relative: Mapping[str, np.ndarray], settings: Settings, who: str) -> Course:
    """Solve the course of infections from effectors against the norm.

    Parameters
    ----------
    relative : mapping of str to array, shape (courses,)
        Functional ``cd8_t``, ``cd4_t``, ``b_cell`` and ``nk_cell`` against the median for age.
    settings : Settings
    who : str
        Named if the solver fails.

    Raises
    ------
    ModelError
        If the solver fails.
    """
    from scipy.integrate import solve_ivp

    courses = len(relative["cd8_t"])
    start = np.zeros((courses, STATES))
    start[:, 0] = settings["pathogen.target_cells"]
    start[:, 3] = settings["pathogen.inoculum"]
    start[:, 4], start[:, 5] = relative["cd8_t"], relative["b_cell"]
    horizon = settings["challenge.horizon_days"]
    days = np.linspace(0, horizon, round(horizon / STEP_DAYS) + 1)
    # Courses do not touch each other: with a course's states side by side the Jacobian is a narrow band.
    solved = solve_ivp(
        _change,
        (0, horizon),
        start.ravel(),
        method="LSODA",
        t_eval=days,
        args=(relative, settings),
        rtol=1e-5,
        atol=1e-4,
        lband=STATES - 1,
        uband=STATES - 1,
    )
    if not solved.success:
        raise ModelError(f"{who}: the course of the infection could not be solved: {solved.message}")
    states = solved.y.reshape(courses, STATES, len(days)).swapaxes(0, 1)
    return Course(days, np.maximum(states[3].T, 0), states)


def _change(_day: float, flat: np.ndarray, relative: Mapping[str, np.ndarray], v: Settings) -> np.ndarray:
    target, eclipse, infected, virus, killers, plasmablasts, antibody = flat.reshape(-1, STATES).T
    infection = v["pathogen.infection_rate"] * target * virus
    drive = infected / (infected + v["response.half_infected"])
    killed = (
        v["pathogen.infected_cell_death"]
        + v["response.nk_killing"] * relative["nk_cell"]
        + v["response.t_cell_killing"] * killers
    )
    help_share, help_given = v["response.help_share"], np.minimum(relative["cd4_t"], 1)
    return np.column_stack(
        [
            v["pathogen.target_regrowth"] * (v["pathogen.target_cells"] - target - eclipse - infected)
            - infection,
            infection - v["pathogen.eclipse_exit"] * eclipse,
            v["pathogen.eclipse_exit"] * eclipse - killed * infected,
            v["pathogen.production"] * infected
            - (v["pathogen.virion_clearance"] + v["response.antibody_effect"] * antibody) * virus,
            v["response.t_cell_expansion"]
            * (1 - help_share + help_share * help_given)
            * killers
            * (1 - killers / v["response.most_killers"])
            * drive
            - v["response.t_cell_decline"] * (killers - relative["cd8_t"]),
            v["response.plasmablast_expansion"] * help_given * plasmablasts * drive
            - v["response.plasmablast_decline"] * (plasmablasts - relative["b_cell"]),
            plasmablasts - relative["b_cell"] - v["response.antibody_decay"] * antibody,
        ]
    ).ravel()


def clearance_day(course: Course, detection: float) -> np.ndarray:
    """Return the day after the peak on which the load falls below `detection`; the last day if never."""
    after_peak = np.arange(len(course.days))[:, None] >= course.load.argmax(axis=0)
    below = (course.load < detection) & after_peak
    return np.where(below.any(axis=0), course.days[below.argmax(axis=0)], course.days[-1])


def clearance_score(day: np.ndarray, healthy_day: float, horizon: float) -> np.ndarray:
    """Return 100 (horizon - day) / (horizon - healthy day), at most 100: no reward for excess.

    Raises
    ------
    ModelError
        If even the healthy twin does not clear the infection within the horizon.
    """
    if healthy_day >= horizon:
        raise ModelError(f"challenge: the healthy twin still carries the pathogen after {horizon:g} days")
    return np.minimum(100, 100 * (horizon - day) / (horizon - healthy_day))
