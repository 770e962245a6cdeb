"""What a comparison reads of two finished studies, and what it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hsc_pipeline.errors import UserError
from hsc_pipeline.manifest import read_manifest
from hsc_pipeline.report.style import label
from hsc_pipeline.report.summary import MEASURES
from hsc_pipeline.yaml_files import read_yaml

# Columns that readers see over months: title, unit, factor, axis from zero to this or to the data.
OVER_TIME: Mapping[str, tuple[str, str, float, float | None]] = {
    "stem_cell_chimerism": ("corrected stem cells", "% of stem cells", 100, 100),
    "vcn_neutrophil": ("VCN of neutrophils", "copies per cell", 1, None),
    "corrected_t_cells": ("corrected T cells", "% of T cells", 100, 100),
    "cd4_per_ul": ("CD4+ T cells", "cells/µL", 1, None),
    "platelets_per_ul": ("platelets", "10³/µL", 1e-3, None),
    "immune_score": ("immune competence score", "points of 100", 1, 100),
}
NEEDED = ("name", "seed", "disease", "disease_title", "patients", "arms", "values")  # of study.yaml
KEY = ("arm", "patient")


@dataclass(frozen=True)
class Run:
    """A finished study, arms by the names that readers see.

    Attributes
    ----------
    name : str
        By which the page tells it from the other.
    folder : Path
    study : dict
        Content of ``study.yaml``.
    outcomes, visits : pandas.DataFrame
        Columns that this version of the package knows and the run has.
    manifest : dict
    """

    name: str
    folder: Path
    study: dict
    outcomes: pd.DataFrame
    visits: pd.DataFrame
    manifest: dict

    @property
    def arms(self) -> list[str]:
        """Names of all arms."""
        return [label(entry["name"]) for entry in self.study["arms"]]

    @property
    def patients(self) -> int:
        """Virtual patients in each arm."""
        return self.study["patients"]


def read_runs(first: str | Path, second: str | Path) -> tuple[Run, Run]:
    """Read two runs.

    Raises
    ------
    UserError
        If one is no finished study, if both are the same folder, or if they have no outcome in common.
    """
    folders = [Path(first), Path(second)]
    if folders[0].resolve() == folders[1].resolve():
        raise UserError(f"{second}: this is the same folder twice; name two studies")
    studies = [_study(folder) for folder in folders]
    names = [study["name"] for study in studies]
    if names[0] == names[1]:
        names = [folder.resolve().name for folder in folders]
    if names[0] == names[1]:
        names = [str(folder) for folder in folders]
    runs = [_run(name, *found) for name, *found in zip(names, folders, studies, strict=True)]
    if not set(MEASURES) & set(runs[0].outcomes) & set(runs[1].outcomes):
        raise UserError(f"{second}: its outcomes.parquet has no outcome in common with that of {first}")
    return runs[0], runs[1]


def _study(folder: Path) -> dict:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name the results of a study, results/<study>")
    read_manifest(folder)  # which a run writes last
    if not (folder / "study.yaml").exists():
        raise UserError(
            f"{folder}: there is no study.yaml; studies can be compared, tracking and calibration cannot"
        )
    study = read_yaml(folder / "study.yaml")
    if study.get("kind") != "study" or not set(NEEDED) <= set(study):
        raise UserError(f"{folder / 'study.yaml'}: this is not the study.yaml of a finished study")
    return study


def _run(name: str, folder: Path, study: dict) -> Run:
    outcomes = _columns(folder / "outcomes.parquet", [*KEY, "landmark_month", *MEASURES])
    visits = _columns(folder / "visits.parquet", [*KEY, "month", *OVER_TIME])
    return Run(name, folder, study, outcomes, visits, read_manifest(folder))


def _columns(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Return those of some columns that a table has: another version may have others."""
    try:
        known = set(pq.read_schema(path).names)
        frame = pq.read_table(path, columns=[name for name in names if name in known]).to_pandas()
    except (OSError, pa.ArrowInvalid):
        raise UserError(f"{path}: this table is missing or cannot be read") from None
    if not set(KEY) <= set(frame):
        raise UserError(f"{path}: there are no columns {' and '.join(KEY)}, so that nothing can be compared")
    return frame.assign(arm=frame["arm"].map(label))


def matched(first: Run, second: Run) -> list[tuple[str, str]]:
    """Return arms to set side by side: those of one name, or else, where there is none, by their place."""
    same = [(arm, arm) for arm in first.arms if arm in second.arms]
    return same or list(zip(first.arms, second.arms, strict=False))


def paired(first: Run, second: Run) -> bool:
    """Return whether a patient's number names the same virtual patient in both."""
    apart = first.study.get("independent_arms") or second.study.get("independent_arms")
    return first.study["seed"] == second.study["seed"] and not apart
