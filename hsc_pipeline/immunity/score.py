"""The composite: one number with its parts, in which one missing vital part cannot hide."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

# Domains of the composite, and the counts whose scores each takes.
DOMAINS = {"t_cells": ("cd4_t", "cd8_t"), "b_cells": ("b_cell",), "innate": ("nk_cell", "neutrophil")}

SCORES = Table(
    "scores",
    ("patient", "month"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        **{
            name: Column(pa.float64(), "points", f"functional {name.replace('_', ' ')} for age", 0, 100)
            for name in DOMAINS
        },
        "defence": Column(pa.float64(), "points", "speed of clearing the challenge", 0, 100),
        "composite": Column(pa.float64(), "points", "geometric mean of the four parts", 0, 100),
    },
)


def score_patient(reconstitution: pa.Table, challenges: pa.Table, settings: Settings) -> pa.Table:
    """Return one patient's `SCORES` from its `RECONSTITUTION` and `CHALLENGES`."""
    scores: dict[str, list[float]] = {
        row_cell: [r["functional_score"] for r in reconstitution.to_pylist() if r["cell"] == row_cell]
        for cells in DOMAINS.values()
        for row_cell in cells
    }
    visits = [row for row in challenges.to_pylist() if row["who"] == "patient"]
    floor = settings["score.floor"]
    parts = {
        domain: geometric_mean({cell: np.array(scores[cell]) for cell in cells}, floor)
        for domain, cells in DOMAINS.items()
    }
    parts["defence"] = np.array([row["score"] for row in visits])
    return SCORES.build(
        {
            "patient": [row["patient"] for row in visits],
            "month": [row["month"] for row in visits],
            **parts,
            "composite": geometric_mean(parts, floor),
        }
    )


def geometric_mean(parts: Mapping[str, np.ndarray], floor: float) -> np.ndarray:
    """Return the geometric mean of parts, each at least `floor`.

    A vital part near zero pulls the whole down, whatever the others.
    """
    logs = [np.log(np.maximum(part, floor)) for part in parts.values()]
    return np.minimum(np.exp(np.mean(logs, axis=0)), 100)
