"""Immunity: from cells in blood to scores of what the immune system can do.  Scores, not probabilities."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from hsc_pipeline.immunity.allogeneic import GRAFT_EFFECTS, graft_effects
from hsc_pipeline.immunity.challenge import CHALLENGE_COURSES, CHALLENGES, challenge_patient
from hsc_pipeline.immunity.infection import INFECTION_EPISODES, INFECTION_RISK, infection_patient
from hsc_pipeline.immunity.reconstitution import (
    IMMUNE_MARKERS,
    MILESTONES,
    RECONSTITUTION,
    reconstitute,
)
from hsc_pipeline.immunity.repertoire import CLONE_CLONOTYPES, REPERTOIRE, repertoire_patient
from hsc_pipeline.immunity.reset import RESET, reset_patient
from hsc_pipeline.immunity.score import SCORES, score_patient
from hsc_pipeline.immunity.tolerance import IMMUNOGENICITY, immunogenicity_patient
from hsc_pipeline.immunity.vaccine import RESPONSES, TITRES, vaccinate_patient
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Table, split_by_patient

__all__ = ["INPUTS", "TABLES", "assess_patient", "assess_patients"]

# Each part takes a patient, the tables of the earlier stages and parts, and the settings.
PARTS = (
    reconstitute,
    repertoire_patient,
    challenge_patient,
    vaccinate_patient,
    immunogenicity_patient,
    reset_patient,
    graft_effects,
    infection_patient,
    score_patient,
)
INPUTS = ("products", "clones", "marrow", "clone_sizes", "counts", "events")
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        RECONSTITUTION,
        IMMUNE_MARKERS,
        MILESTONES,
        REPERTOIRE,
        CLONE_CLONOTYPES,
        CHALLENGES,
        CHALLENGE_COURSES,
        RESPONSES,
        TITRES,
        IMMUNOGENICITY,
        RESET,
        GRAFT_EFFECTS,
        INFECTION_RISK,
        INFECTION_EPISODES,
        SCORES,
    )
}


def assess_patients(
    patients: Sequence[Mapping], tables: Mapping[str, pa.Table], settings: Settings
) -> Iterator[dict[str, pa.Table]]:
    """Assess each patient's immune system at every visit.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        `INPUTS` by name, rows of one patient together and patients in order.
    settings : Settings
        Of the stage ``immunity``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `TABLES`.
    """
    numbers = [patient["patient"] for patient in patients]
    split = {name: split_by_patient(tables[name], numbers) for name in INPUTS}
    for patient in patients:
        yield assess_patient(
            patient, {name: rows[patient["patient"]] for name, rows in split.items()}, settings
        )


def assess_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `TABLES` from its `INPUTS`."""
    known = dict(tables)
    for part in PARTS:
        known |= part(patient, known, settings)
    return {name: known[name] for name in TABLES}
