"""Mistakes in a calibration file and its tables, found before any job starts."""

from hsc_pipeline.calibration.data import read_patients
from hsc_pipeline.calibration.plans import Calibration
from hsc_pipeline.tracking.early import LARGEST


def check_calibration(calibration: Calibration, largest: float = LARGEST) -> int | None:
    """Read the tables of a calibration file and fill the model of each patient, and refuse the first mistake.

    Parameters
    ----------
    calibration : Calibration
    largest : float
        Bytes of the tables of clones together, beyond which they are left to the job that reads them.

    Returns
    -------
    int or None
        Samples that a fit can use, where the tables were read.

    Raises
    ------
    UserError
        Of a reader; for a subject in no table or with one sample; for values that are impossible together.
    """
    from pathlib import Path

    found = None
    months = [[12.0, 24.0]] * calibration.patients
    if sum(Path(file).stat().st_size for file in calibration.files()) <= largest:
        patients = read_patients(calibration)
        months = [patient.design.months for patient in patients]
        found = sum(len(tubes) for patient in patients for tubes in patient.design.tubes.values())
    for structure in calibration.structures:
        for number in range(calibration.patients):
            calibration.study(structure, number, months[number])
    return found
