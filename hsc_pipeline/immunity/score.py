"""The composite: one number with its parts, in which one missing vital part cannot hide."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.immunity.challenge import COMPOSITE_PATHOGENS
from hsc_pipeline.immunity.columns import of_table
from hsc_pipeline.immunity.reconstitution import reconstitute
from hsc_pipeline.immunity.repertoire import CELLS as REPERTOIRES
from hsc_pipeline.immunity.repertoire import repertoire_patient
from hsc_pipeline.immunity.twins import TWINS, WHO, twin_of
from hsc_pipeline.immunity.vaccine import VACCINES
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

# What each domain is the geometric mean of: scores of one table by one column.
DOMAINS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "t_cells": ("reconstitution", "cell", "functional_score", ("cd4_t", "cd8_t")),
    "b_cells": ("reconstitution", "cell", "functional_score", ("b_cell",)),
    "innate": ("reconstitution", "cell", "functional_score", ("nk_cell", "neutrophil")),
    "repertoire": ("repertoire", "cell", "score", REPERTOIRES),
    "defence": ("challenges", "pathogen", "score", COMPOSITE_PATHOGENS),
    "vaccines": ("vaccine_responses", "vaccine", "score", VACCINES),
}
MEANING = {
    "t_cells": "functional CD4+ and CD8+ cells for age",
    "b_cells": "functional B cells for age",
    "innate": "functional NK cells and neutrophils for age",
    "repertoire": "functional clonotypes of T and B cells for age",
    "defence": "pathogens met, against a healthy twin",
    "vaccines": "responses to vaccines, against a healthy twin's",
}
# Parts that hold their twins themselves.
OWN_TWINS = ("challenges", "vaccine_responses")
_POINTS: dict[str, Any] = {"unit": "points", "least": 0, "most": 100}

SCORES = Table(
    "scores",
    ("patient", "month", "who"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion; 0 for the twins", 0),
        "who": WHO,
        **{name: Column(pa.float64(), meaning=MEANING[name], **_POINTS) for name in DOMAINS},
        "composite": Column(pa.float64(), "points", f"geometric mean of the {len(DOMAINS)} domains", 0, 100),
        **{
            f"lost_{name}": Column(
                pa.float64(), meaning=f"of the points that the composite lacks, those by {name}", **_POINTS
            )
            for name in DOMAINS
        },
    },
)


def score_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `SCORES`, at every visit and of the twins.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's `immunity.INPUTS`, ``reconstitution``, ``repertoire``, ``challenges`` and
        ``vaccine_responses``.
    settings : Settings
        Of the stage ``immunity``.
    """
    floor = settings["score.floor"]
    known = {"patient": tables}
    for who in TWINS:
        known[who] = {name: tables[name] for name in OWN_TWINS} | twin_parts(patient, tables, who, settings)
    months = np.unique(of_table(tables["reconstitution"])["month"])
    parts = {
        domain: np.concatenate([domain_score(domain, rows, who, floor) for who, rows in known.items()])
        for domain in DOMAINS
    }
    composite = geometric_mean(parts, floor)
    visits = len(months)
    return {
        "scores": SCORES.build(
            {
                "patient": np.full(visits + len(TWINS), patient["patient"]),
                "month": np.concatenate([months, np.zeros(len(TWINS))]),
                "who": np.array(["patient"] * visits + list(TWINS)),
                **parts,
                "composite": composite,
                **{f"lost_{name}": lost for name, lost in points_lost(parts, composite, floor).items()},
            }
        )
    }


def twin_parts(
    patient: Mapping, tables: Mapping[str, pa.Table], who: str, settings: Settings
) -> dict[str, pa.Table]:
    """Return the parts of a twin that are counted rather than met."""
    inputs = twin_of(patient, tables, who, settings)
    return {
        **reconstitute(patient, inputs, settings),
        **repertoire_patient(patient, inputs, settings),
    }


def domain_score(domain: str, tables: Mapping[str, pa.Table], who: str, floor: float) -> np.ndarray:
    """Return a domain's score at each visit of the patient or at a twin's only one."""
    name, key, value, members = DOMAINS[domain]
    rows = of_table(tables[name])
    mine = rows["who"] == who if "who" in rows else np.ones(len(rows[key]), bool)
    return geometric_mean({one: rows[value][mine & (rows[key] == one)] for one in members}, floor)


def geometric_mean(parts: Mapping[str, np.ndarray], floor: float) -> np.ndarray:
    """Return the geometric mean of parts, each at least `floor`.

    A vital part near zero pulls the whole down, whatever the others.
    """
    return np.minimum(np.exp(np.mean(list(_logs(parts, floor).values()), axis=0)), 100)


def points_lost(
    parts: Mapping[str, np.ndarray], composite: np.ndarray, floor: float
) -> dict[str, np.ndarray]:
    """Return how many of the points that the composite lacks each part accounts for.

    In the logarithm, where the mean is a sum, the parts' shares of what is missing are exact; the
    points are divided in these proportions, so that they add up to 100 less the composite.
    """
    missing = {name: np.log(100) - log for name, log in _logs(parts, floor).items()}
    whole = np.sum(list(missing.values()), axis=0)
    share = np.where(whole > 0, (100 - composite) / np.where(whole > 0, whole, 1), 0)
    return {name: np.clip(share * part, 0, 100) for name, part in missing.items()}


def _logs(parts: Mapping[str, np.ndarray], floor: float) -> dict[str, np.ndarray]:
    return {name: np.log(np.maximum(part, floor)) for name, part in parts.items()}
