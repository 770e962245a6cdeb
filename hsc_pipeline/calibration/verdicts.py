"""What the checks of a fit say together: one verdict, in words."""

from collections.abc import Mapping, Sequence

import pandas as pd

NAMED = 3  # names that a sentence holds
MOST_FAILED = 0.2  # share of failed simulations that a verdict passes over


def verdict(
    *,
    inside: Mapping | None = None,
    uniformity: pd.DataFrame | None = None,
    predictive: pd.DataFrame | None = None,
    identifiability: pd.DataFrame | None = None,
    simulations: int = 0,
    failed: int = 0,
    warnings: Sequence[str] = (),
) -> str:
    """Return what the checks say, the outcome in the first line and each finding in one of its own.

    Parameters
    ----------
    inside, uniformity, predictive, identifiability : optional
        What the functions of these names returned; one left out is named as not checked.
    simulations, failed : int
    warnings : sequence of str
        Of the fit.

    Returns
    -------
    str
        The first line begins with ``The fit passes its checks`` or ``The fit fails``.
    """
    faults, notes, unchecked = [], list(warnings), []
    for name, found, judge in (
        ("data among the simulations", inside, _judge_place),
        ("ranks of known parameters", uniformity, _judge_ranks),
        ("predictions", predictive, _judge_predictions),
    ):
        if found is None:
            unchecked.append(name)
        else:
            faults += judge(found)
    if simulations and failed > MOST_FAILED * simulations:
        faults.append(
            f"{failed} of {simulations} simulations failed: the prior reaches where the model cannot"
        )
    if identifiability is not None:
        notes = _said_of_parameters(identifiability) + notes
    if unchecked:
        notes.append(f"not checked: {', '.join(unchecked)}")
    first = f"The fit fails {len(faults)} of its checks:" if faults else "The fit passes its checks."
    return "\n".join([" ".join([first, *faults[:1]]), *faults[1:], *notes])


def _judge_place(found: Mapping) -> list[str]:
    return [] if found["inside"] else [found["said"]]


def _judge_ranks(found: pd.DataFrame) -> list[str]:
    bad = found[~found["uniform"].astype(bool)]
    said = [f"{row.parameter} ({row.said})" for row in bad.itertuples()]
    return [f"simulations of known parameters are not recovered: {some(said)}"] if said else []


def _judge_predictions(found: pd.DataFrame) -> list[str]:
    bad = list(found.loc[~found["fits"].astype(bool), "statistic"])
    return [f"the fitted model does not give what was observed: {some(bad)}"] if bad else []


def _said_of_parameters(found: pd.DataFrame) -> list[str]:
    unmoved = list(found.loc[found["said"] == "unidentified", "parameter"])
    if not unmoved:
        return []
    return [f"the data do not identify {some(unmoved)}: the posterior is the prior"]


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
