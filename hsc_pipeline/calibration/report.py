"""The report of a calibration: the verdict first, then why it can or cannot be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.calibration import report_sections as sections
from hsc_pipeline.calibration.checks import verdict
from hsc_pipeline.calibration.draws import priors_of
from hsc_pipeline.calibration.plans import Calibration
from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.calibration.run import KEPT_BACK, read_frame, read_json
from hsc_pipeline.calibration.settings import load_calibration
from hsc_pipeline.report.page import render
from hsc_pipeline.report.wording import counted
from hsc_pipeline.tables import replacing

FAR_SHIFT = 2.0  # mean score of a posterior that has left the middle 95 % of its prior
TABLES = (
    *("observed", "summary", "identifiability", "correlations", "sbc", "uniformity", "coverage"),
    *("predictive", "structures", "confusion", "farthest"),
)


@dataclass(frozen=True)
class Results:
    """What the jobs of a calibration left.

    Attributes
    ----------
    calibration : Calibration
    folder : str
    tables : mapping of str to pandas.DataFrame
        `TABLES`, by name.
    joint, replicated : pandas.DataFrame
        Draws of the posterior, and what some of them gave when they were simulated.
    fit, inside, designs : mapping
    priors : mapping of str to Prior
        Of every column of `joint`.
    verdict : str
        Of `checks.verdict`.
    """

    calibration: Calibration
    folder: str
    tables: Mapping[str, pd.DataFrame]
    joint: pd.DataFrame
    replicated: pd.DataFrame
    fit: Mapping
    inside: Mapping
    designs: Mapping
    priors: Mapping[str, Prior]
    verdict: str


def read_results(folder: str, settings: Mapping) -> Results:
    """Read the results of a calibration, and judge them."""
    here, calibration = Path(folder), load_calibration(settings)
    tables = {name: read_frame(here / f"{name}.csv") for name in TABLES}
    fit, inside, designs = (read_json(here / f"{name}.json") for name in ("fit", "inside", "designs"))
    constant = read_json(here / "pilot.json")["constant"]
    kept = tables["predictive"]
    kept = kept[kept["use"] == KEPT_BACK]
    said = verdict(
        inside=inside,
        uniformity=tables["uniformity"],
        predictive=kept if len(kept) else None,
        identifiability=tables["identifiability"],
        simulations=fit["within_box"],
        failed=fit["failed"],
        warnings=[
            *said_of_ends(tables["summary"]),
            *said_of_structures(tables["structures"], calibration.fitted),
            *fit["warnings"],
        ],
    )
    return Results(
        calibration,
        folder,
        tables,
        read_frame(here / "joint.parquet"),
        read_frame(here / "replicated.parquet"),
        {**fit, "constant": constant},
        inside,
        designs,
        priors_of(calibration.structures[calibration.fitted], calibration.patients),
        said,
    )


def said_of_ends(rows: pd.DataFrame) -> list[str]:
    """Say which posteriors press against an end of their prior: the data would have it go on."""
    pressed = rows[rows["shift"].abs() > FAR_SHIFT]
    return [
        f"{row.parameter} lies at the {'upper' if row.shift > 0 else 'lower'} end of its prior: widen it, or "
        "mistrust what is set beside it"
        for row in pressed.itertuples()
    ]


def said_of_structures(rows: pd.DataFrame, fitted: str) -> list[str]:
    """Say whether the fitted structure is the most probable one, where the learners of the folds agree."""
    if len(rows) < 2:
        return []
    best = rows.loc[rows["probability"].idxmax()]
    mine = rows.loc[rows["structure"] == fitted].iloc[0]
    share = f"{fitted} ({100 * mine['probability']:.0f} %)"
    if best["structure"] == fitted:
        return [f"of the structures compared, the fitted one is the most probable: {share}"]
    other = f"{best['structure']} ({100 * best['probability']:.0f} %)"
    if best["low"] <= mine["high"]:
        return [f"the data do not tell the fitted structure, {share}, from {other}"]
    return [f"the structure {other} is more probable than the fitted one, {share}"]


def write_report(folder: str, report: str, verdict_file: str, settings: Mapping) -> None:
    """Write the report, and its verdict as text.

    Parameters
    ----------
    folder : str
        ``results/<name>/calibration``.
    report, verdict_file : str
        Where they go.
    settings : mapping
        The filled `settings.CalibrationFile`.
    """
    results = read_results(folder, settings)
    with replacing(verdict_file) as aside:
        aside.write_text(results.verdict + "\n", encoding="utf-8", newline="\n")
    made = [
        sections.verdict(results),
        sections.parameters(results),
        sections.recovery(results),
        sections.predictions(results),
        sections.structures(results),
        sections.data(results),
        sections.onward(results),
        sections.provenance(results),
    ]
    page = render(head_of(results), [section for section in made if section.blocks or section.lead])
    with replacing(report) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def head_of(results: Results) -> dict[str, object]:
    """Return what the page says before its sections; see `report.page.render`."""
    file, fit = results.calibration.file, results.fit
    samples = sum(len(tubes) for one in results.designs["patients"] for tubes in one["tubes"].values())
    return {
        "title": file.title or file.name,
        "study": file.name,
        "kicker": f"Calibration {file.name} · {file.disease}",
        "subtitle": f"{counted(samples, 'sample')} of {counted(results.calibration.patients, 'patient')}, "
        f"{counted(fit['statistics'], 'statistic')} fitted, {counted(fit['simulations'], 'simulation')} in "
        f"{counted(fit['rounds'], 'round')}.",
        "version": __version__,
        "footer": "A model fitted to the tables given; not a diagnosis; not a medical device.",
        "arms": [],
        "colours": {},
    }
