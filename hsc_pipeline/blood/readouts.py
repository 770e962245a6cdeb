"""What the clinic follows in a disease: haemoglobin, enzyme, oxidase-positive cells.

The catalogue names a disease's read-outs and says of each what kind it is, in which cells, and its
value in health and in an untreated patient.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import PARTS, Blood, ratio
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

PREFIX = "disease.readout."
ADULT = 30.0  # years; the age for which the catalogue gives a normal haemoglobin

READOUTS = Table(
    "readouts",
    ("patient", "month", "readout"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "readout": Column(pa.string(), "", "name in the catalogue"),
        "lineage": Column(pa.string(), "", "cells in which it is read"),
        "value": Column(
            pa.float64(), "see unit", "true value; empty where there is no cell to read", 0, None, True
        ),
        "unit": Column(pa.string(), "", "of value, normal and untreated"),
        "normal": Column(
            pa.float64(), "see unit", "in health; empty for what the healthy do not have", 0, None, True
        ),
        "untreated": Column(pa.float64(), "see unit", "in an untreated patient", 0),
        "state": Column(
            pa.string(),
            "",
            "ok; no_cells; transfused: so low that the ward would transfuse, value is the own",
        ),
    },
)


@dataclass(frozen=True)
class Cells:
    """The cells of a read-out at every visit.

    Attributes
    ----------
    corrected, function : array of float, shape (visits,)
        Corrected share of the cells, and mean function of the corrected ones.
    per_normal : array of float, shape (visits,)
        Count against the median norm of an adult.
    """

    corrected: np.ndarray
    function: np.ndarray
    per_normal: np.ndarray


def readout_names(settings: Settings) -> list[str]:
    """Return the read-outs that the catalogue defines."""
    return sorted(
        name.removeprefix(PREFIX).removesuffix(".kind")
        for name in settings.values
        if name.startswith(PREFIX) and name.endswith(".kind") and settings[name] != "none"
    )


def portion(function: np.ndarray, at_one: float) -> np.ndarray:
    """Return how much of a cell's content a function makes up: s f / (s f + 1 - s).

    s at a function of one, none at none and all at very much: it competes with what is there.
    """
    made = at_one * np.asarray(function, float)
    return ratio(made, made + 1 - at_one)


def activity(cells: Cells, of: Mapping[str, float]) -> np.ndarray:
    """Return a mean over all cells, such as enzyme: function of the corrected, the rest untreated."""
    return of["normal"] * (cells.corrected * cells.function + (1 - cells.corrected) * of["untreated"])


def positive_cells(cells: Cells, of: Mapping[str, float]) -> np.ndarray:
    """Return the share of cells that show the protein: most corrected ones, dim or bright."""
    shows = portion(cells.function, of.get("at_full_function", 1.0))
    return of["normal"] * (cells.corrected * shows + (1 - cells.corrected) * of["untreated"])


def haemoglobin(cells: Cells, of: Mapping[str, float]) -> np.ndarray:
    """Return haemoglobin: red cells times what each holds, that of uncorrected ones `untreated`."""
    holds = of["untreated"] + (1 - of["untreated"]) * np.minimum(cells.function, 1)
    content = cells.corrected * holds + (1 - cells.corrected) * of["untreated"]
    return of["normal"] * cells.per_normal * content


def haemoglobin_share(cells: Cells, of: Mapping[str, float]) -> np.ndarray:
    """Return a kind of haemoglobin as part of all: that of the corrected cells, the rest `untreated`."""
    corrected = of["untreated"] + (1 - of["untreated"]) * portion(
        cells.function, of.get("at_full_function", 1.0)
    )
    share = cells.corrected * corrected + (1 - cells.corrected) * of["untreated"]
    return of["normal"] * share


KINDS: dict[str, Callable[[Cells, Mapping[str, float]], np.ndarray]] = {
    "activity": activity,
    "positive_cells": positive_cells,
    "haemoglobin": haemoglobin,
    "haemoglobin_share": haemoglobin_share,
}


def read_out(patient: Mapping, blood: Blood, norms: Norms, settings: Settings) -> pa.Table:
    """Return one patient's `READOUTS`."""
    columns: dict[str, list] = {name: [] for name in READOUTS.columns}
    visits = len(blood.months)
    for name in readout_names(settings):
        of = {
            key.removeprefix(f"{PREFIX}{name}."): value
            for key, value in settings.values.items()
            if key.startswith(f"{PREFIX}{name}.")
        }
        per_ul = blood.per_ul[of["lineage"]]
        corrected = blood.corrected(of["lineage"])
        made = blood.parts[of["lineage"]][PARTS.index("function")]
        adult = float(norms.median(of["lineage"], ADULT))
        cells = Cells(ratio(corrected, per_ul), ratio(made, corrected), per_ul / adult)
        value = KINDS[of["kind"]](cells, of)
        is_there = per_ul > 0
        bare = Cells(np.zeros(1), np.zeros(1), np.array([_bare_count(of["lineage"], settings)]))
        row = {
            "patient": np.full(visits, patient["patient"]),
            "month": blood.months,
            "readout": np.full(visits, name),
            "lineage": np.full(visits, of["lineage"]),
            "value": np.where(is_there, value, np.nan),
            "unit": np.full(visits, of["unit"]),
            "normal": np.full(visits, np.nan if of["kind"] == "haemoglobin_share" else of["normal"]),
            "untreated": np.full(visits, KINDS[of["kind"]](bare, of)[0]),
            "state": _state(is_there, value, of),
        }
        for key, values in row.items():
            columns[key].append(values)
    return READOUTS.build({key: np.concatenate(values or [[]]) for key, values in columns.items()})


def _state(is_there: np.ndarray, value: np.ndarray, of: Mapping[str, float]) -> np.ndarray:
    kept_up = value < of.get("transfused_below", 0.0)
    return np.select([~is_there, kept_up], ["no_cells", "transfused"], "ok")


def _bare_count(lineage: str, settings: Settings) -> float:
    return settings.values.get(f"disease.untreated_count.{lineage}", 1.0)
