"""What the parts of the section on immunity share."""

import pandas as pd

from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted

TWINS = {"healthy": "healthy twin", "untreated": "untreated twin"}
CELLS = {
    "cd3": "CD3+ T cells",
    "cd4_t": "CD4+ T cells",
    "cd4_naive": "CD4+ naive T cells",
    "cd8_t": "CD8+ T cells",
    "b_cell": "B cells",
    "nk_cell": "NK cells",
    "neutrophil": "neutrophils",
}
SQUARE_ROOT = "Axis of time: square root."


def of_patients(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the patients themselves, not of their twins."""
    return frame[frame["who"] == "patient"] if "who" in frame else frame


def landmark(results: Results) -> float:
    """Return the month at which outcomes are read."""
    return float(results.outcomes["landmark_month"].iloc[0])


def cohort(results: Results) -> str:
    """Return how many patients the figures over time draw."""
    return f"{counted(results.drawn, 'patient')} an arm"


def asked(results: Results) -> dict[str, bool]:
    """Return whether a score answers a question of this study, where not all studies ask it."""
    values = [results.values(arm) for arm in results.arms]
    return {
        "autoimmune_reset": any(value["reset.relapse_per_year"] > 0 for value in values),
        "graft_against_leukaemia": any(value["product.donor"] == "allogeneic" for value in values),
    }
