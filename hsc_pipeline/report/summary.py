"""The numbers and sentences of the report, computed from the outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.intervals import (
    Estimate,
    independent_difference,
    median_interval,
    paired_share_difference,
    wilson,
)
from hsc_pipeline.report.wording import counted, interval, listed, number, with_interval


@dataclass(frozen=True)
class Measure:
    """A column of the outcomes as a reader wants it.

    Attributes
    ----------
    column, name : str
    unit : str
        After scaling.
    scale : float
        From the column's unit to `unit`.
    share : bool
        Whether the column is yes or no, and its share of patients is reported.
    meaning : str
        A sentence for those who ask.
    """

    column: str
    name: str
    unit: str = ""
    scale: float = 1.0
    share: bool = False
    meaning: str = ""


def _share(column: str, name: str, meaning: str = "") -> Measure:
    return Measure(column, name, "%", 100, True, meaning)


MEASURES = {
    measure.column: measure
    for measure in (
        _share(
            "benefit", "benefit", "infused, and the deciding lineage has enough corrected cells and function"
        ),
        _share("t_protected", "T-cell protection", "functional CD3+ cells within the interval for age"),
        _share("platelets_safe", "platelets above the bleeding threshold"),
        _share("graft_failure", "graft failure", "fewer infused stem cells took than the limit"),
        Measure("transformation_month", "malignant transformation", "month", meaning="of those who had one"),
        Measure("driver_share", "stem cells with a driver", "%", 100),
        _share("dominance_alarm", "clonal dominance alarm", "one site too large in a neutrophil sample"),
        Measure("immune_score", "immune competence score", "points"),
        Measure("clearance_day", "clearance of a respiratory virus", "day"),
        Measure("infections_per_year", "hazard of serious infection", "per year"),
        Measure("cd4_200_month", "CD4+ T cells above 200/µL", "month", meaning="of those who reached it"),
        Measure(
            "igg_independence_month",
            "independence of IgG infusions",
            "month",
            meaning="of those who reached it",
        ),
        Measure(
            "tetanus_vaccination_month", "tetanus vaccine worth giving from", "month", meaning="of those ever"
        ),
        Measure("t_protection_month", "first T-cell protection", "month", meaning="of those ever protected"),
        Measure("stem_cell_chimerism", "corrected stem cells", "%", 100),
        Measure("engrafted_clones", "corrected clones that took", "clones"),
        Measure("live_clones", "clones still alive", "clones"),
        Measure("vcn_neutrophil", "VCN of neutrophils", "copies/cell"),
        Measure("corrected_t_cells", "corrected T cells", "%", 100),
        Measure("corrected_b_cells", "corrected B cells", "%", 100),
        Measure("cd4_per_ul", "CD4+ T cells", "cells/µL"),
        Measure("platelets_per_ul", "platelets", "10³/µL", 1e-3),
        Measure("neutrophil_recovery_day", "neutrophil recovery", "day"),
        Measure("observed_sites", "sites seen in the last neutrophil sample", "sites"),
        Measure("largest_share", "largest site in a neutrophil sample", "%", 100),
    )
}
CONTRASTED = (
    "benefit",
    "t_protected",
    "immune_score",
    "stem_cell_chimerism",
    "vcn_neutrophil",
    "cd4_per_ul",
)
MEANS_OF_INTERVAL = (
    "Intervals are 90 % and span the Monte-Carlo error between {n}. They do not hold the "
    "uncertainty of the catalogue's values, many of which are assumed: see what is assumed."
)


def estimate(outcomes: pd.DataFrame, column: str) -> Estimate:
    """Return the share or the median of a measure over the rows, in its unit."""
    measure, values = MEASURES[column], outcomes[column]
    if measure.share:
        return wilson(int(values.sum()), len(values)).times(measure.scale)
    return median_interval(values.dropna()).times(measure.scale)


def contrast(outcomes: pd.DataFrame, column: str, reference: str, arm: str, independent: bool) -> Estimate:
    """Return the difference `arm` minus `reference` of a measure, in its unit.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES` of all arms.
    independent : bool
        Whether the arms hold different patients.  Otherwise patients are paired, and of a number
        the median of the differences within patients is taken.
    """
    measure = MEASURES[column]
    first, other = (outcomes[outcomes["arm"] == name] for name in (reference, arm))
    if independent:
        return independent_difference(estimate(first, column), estimate(other, column))
    pairs = first[["patient", column]].merge(other[["patient", column]], on="patient").dropna()
    before, after = pairs[f"{column}_x"], pairs[f"{column}_y"]
    if measure.share:
        return paired_share_difference(before, after).times(measure.scale)
    return median_interval(after - before).times(measure.scale)


def contrasts(outcomes: pd.DataFrame, arms: Sequence[str], independent: bool) -> pd.DataFrame:
    """Return every arm's difference from the first: endpoint, unit, arm, value, low, high, text."""
    rows = []
    for column in CONTRASTED:
        measure = MEASURES[column]
        unit = "percentage points" if measure.unit == "%" else measure.unit
        for arm in arms[1:]:
            found = contrast(outcomes, column, arms[0], arm, independent)
            text = with_interval(found, unit, signed=True)
            rows.append({"endpoint": measure.name, "unit": unit, "arm": arm, **found._asdict(), "text": text})
    return pd.DataFrame(rows, columns=["endpoint", "unit", "arm", "value", "low", "high", "text"])


def shares(outcomes: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return shares with their intervals by arm, in percent: the two that treatment is for."""
    rows = []
    for column in ("benefit", "t_protected"):
        for arm in arms:
            found = estimate(outcomes[outcomes["arm"] == arm], column)
            text = with_interval(found, "%")
            rows.append({"arm": arm, "endpoint": MEASURES[column].name, **found._asdict(), "text": text})
    return pd.DataFrame(rows)


def outcome_table(outcomes: pd.DataFrame, arms: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table by arm: shares with intervals, medians with ranges."""
    groups = {arm: outcomes[outcomes["arm"] == arm] for arm in arms}
    rows = [["virtual patients", *(f"{len(group):,}" for group in groups.values())]]
    for column, measure in MEASURES.items():
        cells = []
        for group in groups.values():
            values = group[column].dropna().astype(float)
            if measure.share:
                cells.append(
                    f"{with_interval(estimate(group, column))} · {int(values.sum()):,} of {len(group):,}"
                )
            elif len(values):
                low, middle, high = np.quantile(values, [0.05, 0.5, 0.95]) * measure.scale
                cells.append(f"{number(middle)} ({number(low)}–{number(high)})")
            else:
                cells.append("none")
        name = f"{measure.name}, {measure.unit}" if measure.unit else measure.name
        rows.append([f"{name} ({measure.meaning})" if measure.meaning else name, *cells])
    return ["", *arms], rows


@dataclass(frozen=True)
class Card:
    """A big number: its text, unit, interval and what it is."""

    value: str
    unit: str
    interval: str
    what: str


def cards(outcomes: pd.DataFrame, arms: Sequence[str], independent: bool) -> list[Card]:
    """Return the three big numbers: benefit, what the arms change in it, and the immune score."""
    first = outcomes[outcomes["arm"] == arms[0]]
    month = number(first["landmark_month"].iloc[0])
    benefit, score = estimate(first, "benefit"), estimate(first, "immune_score")
    found = [
        Card(
            number(benefit.value),
            "%",
            interval(benefit),
            f"benefit at month {month}, {arms[0]}",
        )
    ]
    if len(arms) > 1:
        changes = {arm: contrast(outcomes, "benefit", arms[0], arm, independent) for arm in arms[1:]}
        arm = max(changes, key=lambda name: abs(changes[name].value))
        largest = f", the largest of {len(changes)} differences" if len(changes) > 1 else ""
        what = f"percentage points of benefit, {arm} against {arms[0]}{largest}"
        found.append(
            Card(
                number(changes[arm].value, signed=True),
                "points",
                interval(changes[arm], signed=True),
                what,
            )
        )
    else:
        protected = estimate(first, "t_protected")
        what = f"protected by T cells at month {month}, {arms[0]}"
        found.append(Card(number(protected.value), "%", interval(protected), what))
    what = f"median immune competence score at month {month}, {arms[0]}"
    found.append(Card(number(score.value), "of 100", interval(score), what))
    return found


def sentences(outcomes: pd.DataFrame, arms: Sequence[str], independent: bool) -> list[str]:
    """Return three plain sentences: what is reached, what the arms change, what goes wrong."""
    groups = {arm: outcomes[outcomes["arm"] == arm] for arm in arms}
    first = groups[arms[0]]
    month, n = number(first["landmark_month"].iloc[0]), len(first)
    benefit, protected = estimate(first, "benefit"), estimate(first, "t_protected")
    reached = (
        f"At month {month}, {int(first['benefit'].sum()):,} of {counted(n, 'virtual patient')} of "
        f"{arms[0]} have the corrected cells and the function from which patients benefit, "
        f"{with_interval(benefit, '%')}, and functional T cells are within the interval for age in "
        f"{with_interval(protected, '%')}."
    )
    return [reached, _changes(outcomes, arms, independent), _failures(groups)]


def _changes(outcomes: pd.DataFrame, arms: Sequence[str], independent: bool) -> str:
    if len(arms) == 1:
        cells, score = estimate(outcomes, "stem_cell_chimerism"), estimate(outcomes, "immune_score")
        return (
            f"The median share of corrected stem cells is {with_interval(cells, '%')}, and the median immune "
            f"competence score {with_interval(score, 'of 100 points')}."
        )
    parts = []
    for arm in arms[1:4]:
        share = contrast(outcomes, "benefit", arms[0], arm, independent)
        score = contrast(outcomes, "immune_score", arms[0], arm, independent)
        parts.append(
            f"{arm} changes the share with benefit by "
            f"{with_interval(share, 'percentage points', signed=True)} and the immune competence score by "
            f"{with_interval(score, 'points', signed=True)}"
        )
    how = "in other patients" if independent else "in the same virtual patients"
    more = f" ({len(arms) - 4} more arms below)" if len(arms) > 4 else ""
    return f"Against {arms[0]}, {how}, {'; '.join(parts)}{more}."


def _failures(groups: dict[str, pd.DataFrame]) -> str:
    shown = list(groups.items())[:4]
    more = [f"{len(groups) - len(shown)} more arms below"] if len(groups) > len(shown) else []

    def by_arm(column: str) -> str:
        return listed([f"{int(g[column].sum()):,} of {len(g):,} ({arm})" for arm, g in shown] + more)

    groups = {arm: g.assign(transformed=g["transformation_month"].notna()) for arm, g in groups.items()}
    shown = list(groups.items())[:4]
    failed, alarmed, transformed = map(by_arm, ("graft_failure", "dominance_alarm", "transformed"))
    return (
        f"The graft failed in {failed}; a clone passed the dominance alarm in {alarmed} and turned malignant "
        f"in {transformed}."
    )
