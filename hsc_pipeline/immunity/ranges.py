"""How far each score moves over the catalogue's ranges, and how much of that rests on assumed values.

The patient with the median composite of an arm is scored again under draws of the values that the
immunity stage reads.  What the earlier stages made of the patient stays as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import ModelError
from hsc_pipeline.immunity.allogeneic import graft_effects
from hsc_pipeline.immunity.challenge import COMPOSITE_PATHOGENS, effectors_of
from hsc_pipeline.immunity.infection import infection_patient
from hsc_pipeline.immunity.reconstitution import reconstitute
from hsc_pipeline.immunity.repertoire import repertoire_patient
from hsc_pipeline.immunity.reset import reset_patient
from hsc_pipeline.immunity.score import DOMAINS, domain_score, geometric_mean
from hsc_pipeline.immunity.tolerance import immunogenicity_patient
from hsc_pipeline.immunity.vaccine import vaccinate_patient
from hsc_pipeline.immunity.within_host import parameters_of, read, score, solve
from hsc_pipeline.prior import within
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table

DRAWS = 48
FEWEST = 24  # draws that make a band
LEVEL = (0.05, 0.95)
# Scores beside the composite: table, and the row of a visit.
BESIDE: dict[str, tuple[str, dict[str, str]]] = {
    "infection": ("infection_risk", {"who": "patient"}),
    "kept_corrected_cells": ("immunogenicity", {"antigen": "transgene"}),
    "autoimmune_reset": ("autoimmune_reset", {}),
    "graft_against_leukaemia": ("graft_effects", {}),
}
_POINTS: dict[str, Any] = {"unit": "points", "least": 0, "most": 100}

SCORE_RANGES = Table(
    "score_ranges",
    ("patient", "score"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient, whose composite is the median", 0),
        "month": Column(pa.float64(), "months", "visit", 0),
        "score": Column(pa.string(), "", "composite, one of its domains, or a score beside it"),
        "value": Column(pa.float64(), meaning="under the catalogue's values", **_POINTS),
        "low": Column(pa.float64(), meaning="5th centile over the catalogue's ranges", **_POINTS),
        "high": Column(pa.float64(), meaning="95th centile", **_POINTS),
        "assumed_low": Column(
            pa.float64(), meaning="5th centile over the ranges of assumed values", **_POINTS
        ),
        "assumed_high": Column(pa.float64(), meaning="95th centile", **_POINTS),
        "assumed_share": Column(
            pa.float64(),
            "",
            "variance over the ranges of assumed values against that over all; empty where nothing moves",
            0,
            1,
            nullable=True,
        ),
        "values": Column(pa.int32(), "", "catalogue values with a range that were drawn", 0),
        "assumed_values": Column(pa.int32(), "", "of them, assumed ones", 0),
        "draws": Column(
            pa.int32(), "", "of all values together in which a healthy twin clears every pathogen", 1
        ),
    },
)

Ranges = Mapping[str, Sequence]  # least, most and evidence, by name
Read = Callable[[int], tuple[Mapping, Mapping[str, pa.Table]]]


def range_scores(scores: pa.Table, month: float, read: Read, ranges: Ranges, settings: Settings) -> pa.Table:
    """Return `SCORE_RANGES` of the patient with the median composite of an arm.

    Parameters
    ----------
    scores : pyarrow.Table
        `score.SCORES` of the whole arm.
    month : float
        Visit at which patients are scored.
    read : callable
        Returns a patient's row of `plan.PATIENTS` and its `immunity.INPUTS`, by number.
    ranges : mapping of str to (least, most, evidence)
        Of the values of the stage that have one.
    settings : Settings
        Of the stage ``immunity``.
    """
    rows = patient_ranges(*read(at_median(scores, month)), month, ranges, settings)
    return SCORE_RANGES.build({name: [row[name] for row in rows] for name in SCORE_RANGES.columns})


def at_median(scores: pa.Table, month: float) -> int:
    """Return the patient whose composite is the median; the lower of two."""
    here = scores.filter((pc.field("who") == "patient") & (pc.field("month") == month))
    order = here.sort_by([("composite", "ascending"), ("patient", "ascending")]).column("patient")
    return order[(len(order) - 1) // 2].as_py()


def patient_ranges(
    patient: Mapping,
    tables: Mapping[str, pa.Table],
    month: float,
    ranges: Ranges,
    settings: Settings,
) -> list[dict]:
    """Return one patient's rows of `SCORE_RANGES`."""
    assumed = {name: entry for name, entry in ranges.items() if entry[2] == "assumed"}
    seed = patient["patient_seed"]
    every = [settings, *drawn(ranges, seed, settings), *drawn(ranges, seed, settings, set(assumed))]
    found = score_under(patient, tables, month, every)
    rows = []
    for name, values in found.items():
        wide, narrow = (part[np.isfinite(part)] for part in (values[1 : DRAWS + 1], values[DRAWS + 1 :]))
        if len(wide) < FEWEST or len(narrow) < FEWEST:
            raise ModelError(
                f"patient {patient['patient']}: {name} has no value under most draws of the catalogue's "
                "ranges: a healthy twin clears no pathogen there; the ranges are too wide"
            )
        spread = float(np.var(wide))
        low, high = np.quantile(wide, LEVEL)
        assumed_low, assumed_high = np.quantile(narrow, LEVEL)
        rows.append(
            {
                "patient": patient["patient"],
                "month": month,
                "score": name,
                "value": values[0],
                "low": low,
                "high": high,
                "assumed_low": assumed_low,
                "assumed_high": assumed_high,
                "assumed_share": min(float(np.var(narrow)) / spread, 1.0) if spread > 1e-9 else None,
                "values": len(ranges),
                "assumed_values": len(assumed),
                "draws": len(wide),
            }
        )
    return rows


def drawn(ranges: Ranges, seed: int, settings: Settings, names: set[str] | None = None) -> Iterator[Settings]:
    """Yield `DRAWS` settings with values from their ranges: a Latin hypercube, of `names` or of all.

    A value has the same draws whether or not the others are drawn with it.
    """
    values = {}
    for name, (least, most, _) in sorted(ranges.items()):
        if names is None or name in names:
            rng = stream(seed, f"immunity.ranges.{name}")
            u = (rng.permutation(DRAWS) + rng.random(DRAWS)) / DRAWS
            values[name] = within(u, least, most)
    for draw in range(DRAWS):
        changed = {name: float(column[draw]) for name, column in values.items()}
        yield replace(settings, values={**settings.values, **changed})


def score_under(
    patient: Mapping, tables: Mapping[str, pa.Table], month: float, every: Sequence[Settings]
) -> dict[str, np.ndarray]:
    """Return each score of one patient at one visit, an entry for each of the settings.

    ``defence`` and ``composite`` are NaN under settings that do not even let a healthy twin clear a
    pathogen: ranges of single values do not know of one another.

    Raises
    ------
    ModelError
        If the patient was not seen in that month.
    """
    if month not in tables["counts"].column("month").to_pylist():
        raise ModelError(f"patient {patient['patient']} was not seen in month {month:g}")
    here = {**tables, "counts": tables["counts"].filter(pc.field("month") == month)}
    met = met_together(patient, here["counts"], every)
    found: dict[str, list[float]] = {}
    for draw, settings in enumerate(every):
        known = at_visit(patient, tables, here, month, settings)
        floor = settings["score.floor"]
        domains = {name: domain_score(name, known, "patient", floor) for name in DOMAINS if name != "defence"}
        met_here = {pathogen: scores[draw : draw + 1] for pathogen, scores in met.items()}
        domains["defence"] = geometric_mean(met_here, floor)
        for name, value in {**domains, "composite": geometric_mean(domains, floor)}.items():
            found.setdefault(name, []).append(float(value[0]))
        for name, (table, where) in BESIDE.items():
            rows = known[table]
            for column, wanted in where.items():
                rows = rows.filter(pc.field(column) == wanted)
            found.setdefault(name, []).append(rows.column("score")[0].as_py())
    return {name: np.array(values) for name, values in found.items()}


def at_visit(
    patient: Mapping,
    tables: Mapping[str, pa.Table],
    here: Mapping[str, pa.Table],
    month: float,
    settings: Settings,
) -> dict[str, pa.Table]:
    """Return the tables of every part but the challenges, their rows of one visit."""
    known = dict(tables) | reconstitute(patient, tables, settings)
    for part in (vaccinate_patient, infection_patient, immunogenicity_patient, reset_patient, graft_effects):
        known |= part(patient, known, settings)
    known |= repertoire_patient(patient, here, settings)  # a visit needs no history
    return {
        name: table.filter(pc.field("month") == month)
        for name, table in known.items()
        if "month" in table.column_names
    }


def met_together(patient: Mapping, counts: pa.Table, every: Sequence[Settings]) -> dict[str, np.ndarray]:
    """Return the score of each pathogen under each of the settings, against a healthy twin of its own.

    Courses of all settings are solved together.
    """
    parts = [effectors_of(patient, counts, settings) for settings in every]
    effectors = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    courses, found = len(every), {}
    for pathogen in COMPOSITE_PATHOGENS:
        parameters = stacked([parameters_of(pathogen, settings) for settings in every])
        both = {name: np.append(values, np.ones(courses)) for name, values in effectors.items()}
        twice = {name: np.tile(v, 2) if np.ndim(v) else v for name, v in parameters.items()}
        readings = read(solve(pathogen, both, twice, f"patient {patient['patient']}"), twice)
        own, healthy = readings.of(slice(courses)), readings.of(slice(courses, None))
        found[pathogen] = np.full(courses, np.nan)
        held = np.flatnonzero(healthy.cleared)
        some = {name: v[held] if np.ndim(v) else v for name, v in parameters.items()}
        found[pathogen][held] = score(own.of(held), healthy.of(held), some)
    return found


def stacked(parameters: Sequence[Mapping]) -> dict:
    """Return parameters as arrays, an entry for each of the settings; what never differs stays one number."""
    return {
        name: first
        if isinstance(first, str) or all(one[name] == first for one in parameters)
        else np.array([one[name] for one in parameters])
        for name, first in parameters[0].items()
    }
