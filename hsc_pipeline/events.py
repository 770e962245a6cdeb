"""The kinds of events that befall a patient: what each does, and what its size means."""

from collections.abc import Mapping

import numpy as np

KINDS = {
    "infection": "raises the cycling of stem cells; size 1 is the catalogue's effect",
    "chronic_inflammation": "as an infection, weaker and for longer",
    "rejection": "kills corrected cells; size: their share killed",
    "gvhd": "graft-versus-host disease kills host stem cells; size: their share killed",
    "chemotherapy": "kills stem cells of every kind; size: their share killed",
    "targeted_therapy": "kills all but corrected stem cells; size: their share killed",
    "boost": "a second infusion; size: share of the product kept back for it",
}
BY_CHANCE = ("infection", "chronic_inflammation", "rejection", "gvhd")
CYCLING = ("infection", "chronic_inflammation")
KILLING = ("rejection", "gvhd", "chemotherapy", "targeted_therapy")


def months_of(kind: str, months: np.ndarray, events: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how long events of a kind have lasted by each month; those that overlap count once.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    months : array of float, shape (n,)
    events : mapping of str to array
        Columns of `plan.EVENTS` of one patient.

    Returns
    -------
    array of float, shape (n,)
    """
    here = np.asarray(events["kind"]) == kind
    starts = np.asarray(events["month"], float)[here]
    ends = starts + np.asarray(events["duration_months"], float)[here]
    total, reached = np.zeros(len(months)), 0.0
    for start, end in sorted(zip(starts, ends, strict=True)):
        begin, end = max(start, reached), max(end, reached)
        total += np.clip(months, begin, end) - begin
        reached = end
    return total
