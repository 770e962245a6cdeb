"""The jobs of a calibration: observe, draw, simulate in batches, look early, fit, predict."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hsc_pipeline.calibration import draws
from hsc_pipeline.calibration.data import Design, read_patients
from hsc_pipeline.calibration.exact import capture_history
from hsc_pipeline.calibration.plans import Calibration
from hsc_pipeline.calibration.simulate import Person, labelled, simulate_rows
from hsc_pipeline.calibration.statistics import Measured, statistics
from hsc_pipeline.errors import UserError

FITTED, KEPT_BACK, LEFT_OUT, CONSTANT = "fitted", "kept_back", "left_out", "constant"
NAMED = 5  # statistics that a message names
LEAST_LEFT = 0.5  # of the first simulations that must not fail
NUMBERED = ["simulation", "failed"]


# What was measured ----------------------------------------------------------------------------------


def observe(calibration: Calibration) -> tuple[pd.DataFrame, dict]:
    """Return the statistics of the patients, and the designs under which they were measured.

    Returns
    -------
    observed : pandas.DataFrame
        ``statistic, value, use``: fitted, kept_back or left_out.
    designs : dict
        Of each patient ``patients``, `data.Design.as_dict`; ``remarks``, what is not used; and
        ``coalescences``, (colonies, coalescences); ``captures``, see `captures_of`.
    """
    patients = read_patients(calibration)
    asked = calibration.file.statistics
    rows = []
    for number, patient in enumerate(patients):
        of = statistics(patient.measured, asked.stable_month)
        for name, value in labelled(of, number, len(patients)).items():
            rows.append({"statistic": name, "value": value, "use": use_of(name, asked)})
    observed = pd.DataFrame(rows)
    for word in asked.leave_out:
        if not observed["statistic"].str.contains(word, regex=False).any():
            known = ", ".join(sorted({name.split(".")[1] for name in observed["statistic"]}))
            raise UserError(f"statistics.leave_out: no statistic has {word!r} in its name; there are {known}")
    if not (observed["use"] == FITTED).any():
        raise UserError("statistics: none is left to fit; leave out or keep back fewer")
    designs = [patient.design.as_dict() for patient in patients]
    return observed, {
        "patients": designs,
        "remarks": [list(patient.remarks) for patient in patients],
        "coalescences": [[list(row[1:]) for row in patient.measured.colonies] for patient in patients],
        "captures": [captures_of(patient.measured, asked.stable_month) for patient in patients],
    }


def captures_of(measured: Measured, stable_month: float) -> list[dict]:
    """Return the clones caught at the first two stable visits, and at either, by instrument and lineage."""
    found = []
    for instrument, lineages in measured.samples.items():
        for lineage, samples in lineages.items():
            stable = [sample for sample in samples if sample.month >= stable_month and len(sample.clones)]
            if len(stable) < 2:
                continue
            caught, seen = capture_history(*stable[:2])
            months = [sample.month for sample in stable[:2]]
            found.append(
                {
                    "instrument": instrument,
                    "lineage": lineage,
                    "months": months,
                    "caught": caught,
                    "seen": seen,
                }
            )
    return found


def use_of(name: str, asked) -> str:
    """Return what a statistic is for."""
    if any(word in name for word in asked.leave_out):
        return LEFT_OUT
    return KEPT_BACK if any(word in name for word in asked.keep_back) else FITTED


def persons_of(calibration: Calibration, structure: str, designs: Mapping) -> list[Person]:
    """Return whom a simulation simulates."""
    asked = calibration.file.statistics
    found = []
    for number, content in enumerate(designs["patients"]):
        design = Design.of(content)
        settings = calibration.settings(structure, number, design.months)
        weight = calibration.file.patients[number].weight_kg
        found.append(Person(settings, design, weight, asked.least_reads, asked.stable_month))
    return found


def simulate(
    calibration: Calibration, structure: str, what: str, theta: pd.DataFrame, designs: Mapping
) -> pd.DataFrame:
    """Return a row of statistics for each row of parameters; see `simulate.simulate_rows`."""
    persons = persons_of(calibration, structure, designs)
    names = [
        draws.columns_of(calibration.structures[structure], len(persons), number)
        for number in range(len(persons))
    ]
    rows = list(simulate_rows(theta, persons, names, calibration.file.seed, f"{structure}.{what}"))
    return pd.DataFrame(rows)


# What was simulated ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Simulations of a structure.

    Attributes
    ----------
    theta, statistics : pandas.DataFrame
        Rows of one are those of the other; those that failed are left out.
    failed : pandas.Series of str
        Why each of the others failed.
    """

    theta: pd.DataFrame
    statistics: pd.DataFrame
    failed: pd.Series

    @property
    def simulated(self) -> int:
        """How many were tried."""
        return len(self.theta) + len(self.failed)


def gather(rounds: Sequence[tuple[pd.DataFrame, pd.DataFrame]], box: draws.Box | None = None) -> Reference:
    """Join rounds of (parameters, statistics), those inside a box alone.

    Within the box every round is a draw of the same law: the prior, cut to it.
    """
    theta = pd.concat([parameters for parameters, _ in rounds], ignore_index=True)
    parts = pd.concat([found for _, found in rounds], ignore_index=True)
    held = draws.inside_box(theta, box)
    theta, parts = theta[held], parts[held]
    failed = parts["failed"] != ""
    good = parts[~failed].drop(columns=NUMBERED).reset_index(drop=True)
    return Reference(theta[~failed].reset_index(drop=True), good, parts.loc[failed, "failed"])


# Looking early --------------------------------------------------------------------------------------


def look_at_pilot(part: pd.DataFrame, observed: pd.DataFrame) -> list[str]:
    """Return the statistics that no parameter moves, though the data have them right; they are not used.

    Raises
    ------
    UserError
        If simulations fail, or a statistic is the same in all of them and another in the data.
    """
    failed = part["failed"] != ""
    if failed.mean() > LEAST_LEFT:
        raise UserError(
            f"parameters: {failed.sum()} of the first {len(part)} simulations are impossible, such as: "
            f"{part.loc[failed, 'failed'].iloc[0]}; narrow the priors"
        )
    good = part[~failed]
    wanted = observed[observed["use"] == FITTED].set_index("statistic")["value"]
    constant = [name for name in wanted.index if np.ptp(good[name].to_numpy(float)) < 1e-12]
    for name in constant:
        here = float(good[name].iloc[0])
        if abs(here - wanted[name]) > 1e-9 * max(1, abs(here)):
            raise UserError(
                f"statistics: {name} is {here:.4g} in each of the first {len(good)} simulations and "
                f"{wanted[name]:.4g} in the data: no parameter moves it; free what does, or name it under "
                "statistics.leave_out"
            )
    if len(constant) == len(wanted):
        raise UserError("statistics: every one is the same in all simulations; no parameter moves them")
    return constant


def look_at_round(reference: Reference, observed: pd.Series, inside: Mapping, outside: str) -> None:
    """Refuse to go on where no simulation of the prior is like the data, unless told to report it.

    Raises
    ------
    UserError
        Naming the statistics that are the farthest out.
    """
    if inside["inside"] or outside == "report":
        return
    far = farthest(reference.statistics, observed)
    shown = "; ".join(
        f"{name} is {row.value:.3g}, simulated {row.low:.3g} to {row.high:.3g}"
        for name, row in far.head(NAMED).iterrows()
    )
    raise UserError(
        f"parameters: the priors have no mass where the data are: {inside['said']} ({shown}); widen the "
        "priors, correct what is set of the patient, leave statistics out that the model cannot have, or "
        "write outside: report"
    )


def farthest(simulated: pd.DataFrame, observed: pd.Series) -> pd.DataFrame:
    """Return each statistic with its middle 98 % of simulations, the farthest from the data first."""
    names = [name for name in observed.index if name in simulated]
    low, middle, high = (simulated[names].quantile(q) for q in (0.01, 0.5, 0.99))
    value = observed[names]
    out = (value - middle).abs() / np.maximum(high - low, 1e-12)
    rows = pd.DataFrame({"value": value, "low": low, "high": high, "distance": out})
    return rows.sort_values("distance", ascending=False, kind="stable")


# Files ----------------------------------------------------------------------------------------------


def write_frame(path: str | Path, rows: pd.DataFrame) -> None:
    """Write a table, as CSV or Parquet by its name."""
    from hsc_pipeline.tables import write, write_csv
    from hsc_pipeline.tracking.series import table_of

    (write_csv if str(path).endswith(".csv") else write)(path, table_of(rows))


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read what `write_frame` wrote."""
    from hsc_pipeline.tables import whole

    if str(path).endswith(".csv"):
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    with whole(path):
        return pd.read_parquet(path)


def write_json(path: str | Path, content: object) -> None:
    """Write plain content, the same bytes each time."""
    from hsc_pipeline.tables import replacing

    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict:
    """Read what `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
