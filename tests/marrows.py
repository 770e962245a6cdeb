"""One patient's marrow, from a product that a test describes."""

import numpy as np

from hsc_pipeline.engraftment import engraft_patient

# Patients who are alike, with conditioning that does to each the same.
ALIKE = {"conditioning.a50_ln_sd": 0, "conditioning.a50": 31.3, "conditioning.hill": 4.85}
# As they are, without what comes by itself.
QUIET = {"drivers.per_cell_year": 0}
SMALL = {**ALIKE, **QUIET, "marrow.capacity_adult": 300, "marrow.capacity_birth": 300}

EVENT = {"scheduled": True, "duration_months": 0.1}


def columns(rows, names):
    """Rows as arrays by column name."""
    return {name: np.array([row[name] for row in rows]) for name in names}


def engraft_one(
    patient,
    settings_for,
    corrected,
    uncorrected=0,
    *,
    visits=(12,),
    values=ALIKE,
    product=None,
    clones=None,
    drivers=None,
    events=(),
    **person,
):
    """Return the tables of one patient, as data frames by name."""
    settings = settings_for("engraftment", {**ALIKE, **values}, visits_months=list(visits))
    given = {
        "infused": True,
        "lt_hsc": corrected + uncorrected,
        "lt_hsc_corrected": corrected,
        "backup_lt_hsc": 0,
        "cd34_per_kg": 1e7,
        "corrected_fraction": 1.0,
        "copies_per_corrected": 2.0,
        **(product or {}),
    }
    made = {
        "clone": np.arange(corrected),
        "corrected": np.ones(corrected, bool),
        "copies": np.full(corrected, 2),
        "function": np.ones(corrected),
        "driver": np.full(corrected, -1),
        "insertional": np.zeros(corrected, bool),
        "advantage_per_year": np.zeros(corrected),
        **(clones or {}),
    }
    theirs = drivers or {"origin": [], "driver": [], "share": [], "advantage_per_year": []}
    theirs = {name: np.array(column, str if name == "origin" else float) for name, column in theirs.items()}
    happens = columns([EVENT | dict(event) for event in events], ("month", "kind", "duration_months", "size"))
    tables = engraft_patient({**patient, **person}, given, made, theirs, happens, settings)
    return {name: table.to_pandas() for name, table in tables.items()}
