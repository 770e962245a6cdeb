"""Pathogen challenges: what each pathogen of the catalogue does in this patient and its twins.

Effectors are the patient's functional cells at a visit against the median for age.  Courses of every
visit, of a healthy twin and of an untreated twin are solved together, one pathogen at a time.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import T_OF, ratio
from hsc_pipeline.immunity.columns import by_lineage
from hsc_pipeline.immunity.pathogens import PATHOGENS
from hsc_pipeline.immunity.reconstitution import functional_count, uncorrected_function
from hsc_pipeline.immunity.twins import TWINS, WHO, median_count, twin_counts
from hsc_pipeline.immunity.within_host import (
    Course,
    growth_blocked,
    parameters_of,
    read,
    score,
    solve,
    survival,
)
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

COMPOSITE_PATHOGENS = tuple(name for name, model in PATHOGENS.items() if model.in_composite)
CELLS = ("cd8_naive", "cd8_t", "cd4_t", "b_cell", "nk_cell", "neutrophil")
KEPT_STEPS = 10  # steps of a course between two rows of `CHALLENGE_COURSES`

_OF_THE_PATHOGEN = "of pathogen.<name>.detection"

CHALLENGES = Table(
    "challenges",
    ("patient", "month", "pathogen", "who"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "visit at which the pathogen comes; 0 for the twins", 0),
        "pathogen": Column(pa.string(), "", "name in the catalogue"),
        "who": WHO,
        "peak_log10": Column(pa.float64(), f"log10 {_OF_THE_PATHOGEN}", "highest load"),
        "area": Column(pa.float64(), f"{_OF_THE_PATHOGEN}, times days", "load summed over time", 0),
        "clearance_day": Column(
            pa.float64(),
            "days",
            "from which on the load stays below detection; the horizon if it does not",
            0,
        ),
        "cleared": Column(pa.bool_(), "", "whether it does within the horizon; of HIV, for good"),
        "survival": Column(
            pa.float64(), "", "share that survives; of HIV, that keeps CD4+ cells enough for a year", 0, 1
        ),
        "set_point_log10": Column(
            pa.float64(), f"log10 {_OF_THE_PATHOGEN}", "load of HIV at the horizon, if any", nullable=True
        ),
        "cd4_nadir_per_ul": Column(pa.float64(), "cells/uL", "lowest CD4+ cells under HIV", 0, nullable=True),
        "score": Column(
            pa.float64(),
            "points",
            "survival and days to spare against the healthy twin's; of HIV, growth blocked",
            0,
            100,
        ),
    },
)

CHALLENGE_COURSES = Table(
    "challenge_courses",
    ("patient", "pathogen", "who", "day"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "last visit; 0 for the twins", 0),
        "pathogen": Column(pa.string(), "", "name in the catalogue"),
        "who": WHO,
        "day": Column(pa.float64(), "days", "since the pathogen came", 0),
        "load": Column(pa.float64(), _OF_THE_PATHOGEN, "what a laboratory would measure", 0),
    },
)


def challenge_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `CHALLENGES`, at every visit and of the twins, and `CHALLENGE_COURSES`.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``counts``.
    settings : Settings
        Of the stage ``immunity``.

    Raises
    ------
    ModelError
        If a course cannot be solved, or if a healthy twin does not clear a pathogen.
    """
    counts = [tables["counts"], *(twin_counts(patient, who == "healthy", settings) for who in TWINS)]
    met = [effectors_of(patient, part, settings) for part in counts]
    effectors = {name: np.concatenate([part[name] for part in met]) for name in met[0]}
    months = by_lineage(tables["counts"])[CELLS[0]]["month"]
    # Sound cells count as corrected in the healthy twin; nobody but the patient has the edit.
    effectors["protected"][len(months) :] = 0
    rows = {
        "patient": np.full(len(months) + len(TWINS), patient["patient"]),
        "month": np.concatenate([months, np.zeros(len(TWINS))]),
        "who": np.array(["patient"] * len(months) + list(TWINS)),
    }
    challenges, courses = [], []
    for pathogen in PATHOGENS:
        told = f"patient {patient['patient']}"
        parameters = parameters_of(pathogen, settings)
        course = solve(pathogen, effectors, parameters, told)
        rows["pathogen"] = np.full(len(rows["month"]), pathogen)
        outcome = (
            outcomes(course, parameters, len(months), f"{told}, {pathogen}")
            if pathogen in COMPOSITE_PATHOGENS
            else outcomes_of_hiv(course, effectors, parameters)
        )
        challenges.append({**rows, **outcome})
        courses.append(kept_course(course, rows, len(months) - 1))
    return {
        table.name: table.build({name: np.concatenate([p[name] for p in parts]) for name in table.columns})
        for table, parts in ((CHALLENGES, challenges), (CHALLENGE_COURSES, courses))
    }


def effectors_of(patient: Mapping, counts: pa.Table, settings: Settings) -> dict[str, np.ndarray]:
    """Return functional `CELLS` against the median for age, ``protected`` and ``cd4_per_ul``, one a visit.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    counts : pyarrow.Table
        `blood.COUNTS` of the patient or of a twin.
    settings : Settings
    """
    norms, columns, found = Norms(settings.rows("cell_norms")), by_lineage(counts), {}
    for cell in CELLS:
        row = columns[cell]
        medians = np.array([median_count(cell, age, norms) for age in row["age_years"]])
        found[cell] = functional_cells(cell, row, patient["null_genotype"], settings) / medians
    edited = settings["pathogen.hiv.protected_by"] == "correction"
    found["protected"] = columns["cd4_t"]["corrected_fraction"] * edited
    found["cd4_per_ul"] = columns["cd4_t"]["count_per_ul"]
    return found


def functional_cells(
    cell: str, row: Mapping[str, np.ndarray], null_genotype: bool, settings: Settings
) -> np.ndarray:
    """Return functional cells per microlitre; neutrophils without oxidase by that of the corrected ones.

    A corrected neutrophil with activity f of a normal one counts f (1 + K)/(f + K), at most 1, where the
    disease is one of neutrophils.
    """
    uncorrected = uncorrected_function(T_OF.get(cell, cell), null_genotype, settings)
    if cell != "neutrophil" or uncorrected >= 1:
        return functional_count(row, uncorrected)
    activity, half = (
        ratio(row["function"], row["corrected_fraction"]),
        settings["pathogen.bacterium.half_oxidase"],
    )
    competent = np.clip(activity * (1 + half) / (activity + half), uncorrected, 1)
    corrected = row["corrected_per_ul"]
    return competent * corrected + uncorrected * np.maximum(row["count_per_ul"] - corrected, 0)


def outcomes(
    course: Course, parameters: Mapping[str, float], healthy: int, who: str
) -> dict[str, np.ndarray]:
    """Return columns of `CHALLENGES` of one pathogen; `healthy` is the place of the healthy twin."""
    readings = read(course, parameters)
    twin = readings.of(slice(healthy, healthy + 1))
    nothing = np.full(len(readings.day), np.nan)
    return {
        **columns_of(course, parameters),
        "survival": survival(readings, twin, parameters),
        "set_point_log10": nothing,
        "cd4_nadir_per_ul": nothing,
        "score": score(readings, twin, parameters, who),
    }


def outcomes_of_hiv(
    course: Course, effectors: Mapping[str, np.ndarray], parameters: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Return columns of `CHALLENGES` of HIV, on a scale of its own: the healthy twin is wholly susceptible.

    The share that keeps its CD4+ cells is 1 / (1 + (c_50 / c)^n) of the lowest count c.
    """
    uninfected, protected = course.states[0], effectors["protected"]
    lost = 1 - protected - uninfected.min(axis=0) / parameters["permissive_cells"]
    lowest = effectors["cd4_per_ul"] * (1 - parameters["permissive_share"] * lost)
    last = course.load[-1]
    lasting = last >= parameters["detection"]
    blocked = growth_blocked(protected, parameters)
    columns = columns_of(course, parameters)
    power = lowest ** parameters["survival_slope"]
    return {
        **columns,
        # Below detection at the horizon is no cure as long as the virus can grow.
        "cleared": columns["cleared"] & (blocked >= 100),
        "survival": power / (power + parameters["survival_cd4"] ** parameters["survival_slope"]),
        "set_point_log10": np.log10(last, where=lasting, out=np.full(len(last), np.nan)),
        "cd4_nadir_per_ul": lowest,
        "score": blocked,
    }


def columns_of(course: Course, parameters: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Return the columns of `CHALLENGES` that are read off a load."""
    readings = read(course, parameters)
    return {
        "peak_log10": np.log10(readings.peak),
        "area": readings.area,
        "clearance_day": readings.day,
        "cleared": readings.cleared,
    }


def kept_course(course: Course, rows: Mapping[str, np.ndarray], last_visit: int) -> dict[str, np.ndarray]:
    """Return columns of `CHALLENGE_COURSES`: the last visit and the twins, at every tenth step."""
    kept, days = slice(last_visit, None), course.days[::KEPT_STEPS]
    load = course.load[::KEPT_STEPS, kept].T
    return {
        **{name: np.repeat(column[kept], len(days)) for name, column in rows.items()},
        "day": np.tile(days, len(load)),
        "load": load.ravel(),
    }
