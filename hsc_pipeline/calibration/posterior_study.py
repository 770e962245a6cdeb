"""What goes on from a posterior: its draws as a CSV, and a study file that draws from it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.draws import columns_of, new_patients, whole_numbers
from hsc_pipeline.calibration.plans import Calibration, Structure

VISITS = (1, 3, 6, 12, 24, 36, 48, 60)  # months, to the horizon of a trial
PATIENTS, DRAWS, PATIENTS_A_DRAW = 10, 100, 3
DRAWN_FROM = 1000  # draws that a CSV holds at most


def write_studies(calibration: Calibration, joint: pd.DataFrame, posterior: str, study: str) -> None:
    """Write draws by name of the catalogue value, and the study files that read them.

    Of one patient, both are of this patient.  Of several, they are of a new patient of the same kind,
    and ``patient_1.csv``, ``patient_1.yaml`` and so on, beside them, of each.

    Parameters
    ----------
    calibration : Calibration
    joint : pandas.DataFrame
        Draws of all columns of `draws.priors_of`.
    posterior, study : path
    """
    structure = calibration.structures[calibration.fitted]
    joint = joint.head(DRAWN_FROM)
    several = calibration.patients > 1
    if several:
        new = new_patients(joint, structure.parameters, calibration.file.seed)
        _write(calibration, None, new, Path(posterior), Path(study))
    for number in range(calibration.patients):
        columns = columns_of(structure, calibration.patients, number)
        own = pd.DataFrame({name: joint[column] for name, column in columns.items()})
        beside = Path(posterior).with_name(f"patient_{number + 1}.csv")
        if several:
            _write(calibration, number, own, beside, beside.with_suffix(".yaml"))
        else:
            _write(calibration, number, own, Path(posterior), Path(study))


def _write(
    calibration: Calibration, patient: int | None, draws: pd.DataFrame, posterior: Path, study: Path
) -> None:
    import yaml

    from hsc_pipeline.calibration.run import write_frame
    from hsc_pipeline.tables import replacing

    draws = whole_numbers(draws, calibration.structures[calibration.fitted].parameters)
    write_frame(posterior, draws)
    content = study_of(calibration, patient, draws, posterior.as_posix())
    head = (
        f"# Goes on from {posterior.name}, which the calibration {calibration.name} left: run it with\n"
        f"# snakemake --configfile {study.as_posix()}\n"
    )
    with replacing(study) as aside:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        aside.write_text(head + text, encoding="utf-8", newline="\n")


def study_of(calibration: Calibration, patient: int | None, draws: pd.DataFrame, posterior: str) -> dict:
    """Return the content of a study file whose uncertainty is a posterior.

    Parameters
    ----------
    calibration : Calibration
    patient : int or None
        Whose; None for a new one, who is drawn from the cohort.
    draws : pandas.DataFrame
    posterior : str
        Where the draws lie, from the folder of the run.
    """
    file, structure = calibration.file, calibration.structures[calibration.fitted]
    whose = "a new patient" if patient is None else f"patient {patient + 1}"
    chosen = calibration.set_of(calibration.fitted, patient) if patient is not None else {}
    chosen = chosen or _of_all(calibration, structure)
    medians = {name: float(np.median(column)) for name, column in draws.items()}
    medians = {name: round(m) if structure.parameters[name].whole else m for name, m in medians.items()}
    name = f"{calibration.name[:30]}_{'new' if patient is None else f'p{patient + 1}'}"
    return {
        "kind": "study",
        "schema_version": 1,
        "name": name,
        "title": f"What the fit of {calibration.name} foresees for {whose}",
        "seed": file.seed,
        "disease": file.disease,
        **({"product": file.product} if file.product else {}),
        "patients": PATIENTS,
        "visits_months": list(VISITS),
        "set": {**chosen, **_dose(calibration, patient), **medians},
        "uncertainty": {
            "draws": min(DRAWS, len(draws)),
            "patients": PATIENTS_A_DRAW,
            "posterior": posterior,
        },
        "arms": [{"name": "as_fitted"}],
    }


def _of_all(calibration: Calibration, structure: Structure) -> dict[str, float | str]:
    """Return what is set for every patient alike; what each has of their own is the cohort's again."""
    from hsc_pipeline.calibration.plans import SPREAD_OF

    own = {
        SPREAD_OF[name]: 0.0 for name, one in structure.parameters.items() if one.own and name in SPREAD_OF
    }
    whole = {**own, **calibration.file.set, **structure.set}
    return {name: value for name, value in whole.items() if name not in structure.parameters}


def _dose(calibration: Calibration, patient: int | None) -> Mapping[str, float]:
    """Return the dose per kg that gives a patient of known weight their cells, at the weight of the age."""
    from hsc_pipeline.catalogue import tables

    if patient is None or calibration.file.patients[patient].weight_kg is None:
        return {}
    chosen = calibration.set_of(calibration.fitted, patient)

    def value(name: str) -> float:
        return float(chosen.get(name, calibration.values[name].value))

    ages, weights = zip(*tables()["weight_for_age"]["rows"], strict=True)
    usual = float(np.interp(value("cohort.age_median"), ages, weights))
    weight = calibration.file.patients[patient].weight_kg
    return {"product.cd34_per_kg": value("product.cd34_per_kg") * weight / usual}
