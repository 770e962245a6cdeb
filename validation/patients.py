"""Single patients of published tables, each beside simulated patients who were sampled as they were."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from worlds import drawn_values, study_of  # the module beside this one

from hsc_pipeline.calibration.data import read_patients
from hsc_pipeline.calibration.plans import SIMULATED
from hsc_pipeline.calibration.settings import load_calibration
from hsc_pipeline.calibration.simulate import Person, simulate_person
from hsc_pipeline.calibration.statistics import statistics

ANY = "marrow.division_per_year"  # a calibration file needs a parameter; none is fitted here


def read_persons(asked: Mapping, cohort: str, folder: Path, seed: int) -> list[tuple[str, Person, dict]]:
    """Return the subjects of a cohort: how to simulate them, and their statistics.

    Parameters
    ----------
    asked : mapping
        ``tables`` of published.yaml.
    cohort : str
    folder : Path
        Where the file is.
    seed : int
    """
    of = dict(asked["cohorts"][cohort])
    study = {key: of.pop(key) for key in ("disease", "product") if key in of}
    path = folder / asked["file"]
    content = {
        "kind": "calibration",
        "schema_version": 1,
        "name": "validation",
        "seed": seed,
        **study,
        "tables": [{"path": str(path), **of}],
        "patients": [{"subject": subject} for subject in subjects_of(path, cohort)],
        "parameters": {ANY: None},
        "statistics": {"least_reads": asked["least_reads"], "stable_month": asked["stable_month"]},
    }
    calibration = load_calibration(content, "validation/published.yaml")
    found = []
    for given, patient in zip(calibration.file.patients, read_patients(calibration), strict=True):
        months = patient.design.months
        sampling = {"months": [months[-1]], "lineages": ["neutrophil"]}
        settings, _ = drawn_values(
            study_of({**study, "visits_months": months, "sampling": sampling}, seed), 0, seed
        )
        chosen = {stage: settings[stage] for stage in SIMULATED}
        person = Person(chosen, patient.design, None, asked["least_reads"], asked["stable_month"])
        observed = statistics(patient.measured, asked["stable_month"])
        found.append((given.subject, person, observed))
    return found


def subjects_of(path: Path, cohort: str) -> list[str]:
    """Return the subjects of a trial in a file of the deposit."""
    rows = pd.read_csv(path, sep="\t", usecols=["trial", "patient"]).drop_duplicates()
    return sorted(f"{cohort}_{patient}" for patient in rows.loc[rows["trial"] == cohort, "patient"])


def draws_of(asked: Mapping, cohort: str, worlds: int, seed: int) -> dict[str, np.ndarray]:
    """Return each uncertain value of a cohort's disease in every world."""
    study = {
        key: asked["cohorts"][cohort][key]
        for key in ("disease", "product")
        if key in asked["cohorts"][cohort]
    }
    return drawn_values(study_of({**study, "visits_months": [1, 12]}, seed), worlds, seed)[1]


def simulate_subjects(
    asked: Mapping, cohort: str, folder: Path, worlds: int, seed: int, first: int, last: int
) -> Iterator[dict]:
    """Yield ``cohort``, ``subject``, ``statistic``, ``family``, ``world``, ``value``; -1 is the patient.

    Subjects of a cohort have the same values in one world, and chance of their own.
    """
    drawn = draws_of(asked, cohort, worlds, seed)
    for number, (subject, person, observed) in enumerate(read_persons(asked, cohort, folder, seed)):
        instrument = next(iter(person.design.tubes))
        names = {
            f"{instrument}.{name}": (name, family)
            for family, members in asked["families"].items()
            for name in members
            if f"{instrument}.{name}" in observed
        }
        for world in range(first, last + 1):
            values = {name: float(of[world]) for name, of in drawn.items()}
            simulated = simulate_person(person, values, seed + number, world)
            for full, (name, family) in names.items():
                of = {"cohort": cohort, "subject": subject, "statistic": name, "family": family}
                yield {**of, "world": world, "value": simulated[full]}
        for full, (name, family) in names.items():
            of = {"cohort": cohort, "subject": subject, "statistic": name, "family": family}
            yield {**of, "world": -1, "value": observed[full]}
