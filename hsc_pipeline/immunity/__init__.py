"""Immunity: from cell counts to scores of what the immune system can do.  Scores, not probabilities."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from hsc_pipeline.immunity.challenge import CHALLENGES, challenge_patient
from hsc_pipeline.immunity.reconstitution import RECONSTITUTION, reconstitute
from hsc_pipeline.immunity.score import SCORES, score_patient
from hsc_pipeline.settings import Settings

__all__ = ["CHALLENGES", "RECONSTITUTION", "SCORES", "assess_patients"]


def assess_patients(
    patients: Sequence[Mapping], counts: Mapping[int, Mapping], settings: Settings
) -> Iterator[dict[str, pa.Table]]:
    """Score each patient at every visit.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    counts : mapping of int to mapping of str to array
        Columns of `blood.COUNTS` by patient.
    settings : Settings
        Of the stage ``immunity``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `RECONSTITUTION`, `CHALLENGES` and `SCORES`.
    """
    for patient in patients:
        reconstitution = reconstitute(patient, counts[patient["patient"]], settings)
        challenges = challenge_patient(patient, reconstitution, settings)
        scores = score_patient(reconstitution, challenges, settings)
        yield {"reconstitution": reconstitution, "challenges": challenges, "scores": scores}
