"""What figures draw: few rows, made of many.  Data frames in, data frames out, nothing random."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.norms import CENTILES_10_TO_90, Norms

LOW, HIGH = 0.05, 0.95
LINES = 20  # patients drawn one by one
MOST_MONTHS = 40

SHORT = {
    "neutrophil": "neutrophils",
    "monocyte": "monocytes",
    "platelet": "platelets",
    "b_cell": "B cells",
    "nk_cell": "NK cells",
    "cd4_t": "CD4+ T cells",
    "cd8_t": "CD8+ T cells",
    "t_cell": "T cells",
    "red_cell": "red cells",
    "cd4_naive": "CD4+ naive T cells",
    "cd4_memory": "CD4+ memory T cells",
    "cd8_naive": "CD8+ naive T cells",
    "cd8_memory": "CD8+ memory T cells",
}


def thinned(frame: pd.DataFrame, most: int = MOST_MONTHS) -> pd.DataFrame:
    """Return the rows of at most `most` months, the first and the last among them."""
    months = np.sort(frame["month"].unique())
    if len(months) <= most:
        return frame
    kept = months[np.unique(np.linspace(0, len(months) - 1, most).round().astype(int))]
    return frame[frame["month"].isin(kept)]


def bands(frame: pd.DataFrame, value: str, by: Sequence[str] = ("arm", "month")) -> pd.DataFrame:
    """Return ``low``, ``median``, ``high`` (5th, 50th, 95th centile) and ``n`` of `value` by group."""
    groups = frame.groupby(list(by), sort=False)[value]
    out = groups.quantile([LOW, 0.5, HIGH]).unstack()
    out.columns = ["low", "median", "high"]
    return out.assign(n=groups.size()).reset_index()


def patient_lines(frame: pd.DataFrame, value: str, patients: int = LINES) -> pd.DataFrame:
    """Return `value` of the first patients of each arm, who are as random as any."""
    first = np.sort(frame["patient"].unique())[:patients]
    chosen = frame[frame["patient"].isin(first)]
    return chosen[["arm", "patient", "month"]].assign(value=chosen[value])


def composition(marrow: pd.DataFrame) -> pd.DataFrame:
    """Return the mean share of corrected, uncorrected and host stem cells by arm and month.

    Means, not medians: only means of parts add up to the whole.
    """
    kinds = ["corrected", "uncorrected", "host"]
    total = marrow[kinds].sum(axis=1)
    shares = marrow[kinds].div(total.where(total > 0), axis=0).fillna(0.0)
    mean = marrow[["arm", "month"]].join(shares).groupby(["arm", "month"], sort=False).mean().reset_index()
    long = mean.melt(["arm", "month"], kinds, "kind", "share")
    return long.assign(kind=long["kind"].replace({"uncorrected": "infused, uncorrected"}))


def waves(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the mean share of the cells in blood by where they come from, by lineage and month."""
    corrected, share = counts["corrected_fraction"], counts["stem_cell_share"] + counts["thymic_share"]
    kinds = {
        "corrected, stem cells": corrected * counts["stem_cell_share"],
        "corrected, thymic progenitors": corrected * counts["thymic_share"],
        "corrected, short-term progenitors": corrected * (1 - share).clip(0),
        "not corrected": 1 - corrected,
    }
    by = ["arm", "lineage", "month"]
    mean = counts[by].assign(**kinds).groupby(by, sort=False).mean().reset_index()
    return mean.melt(by, list(kinds), "kind", "share")


def chimerism(marrow: pd.DataFrame) -> pd.DataFrame:
    """Return `marrow` with the corrected share of stem cells in percent; zero in an empty marrow."""
    total = marrow["host"] + marrow["uncorrected"] + marrow["corrected"]
    return marrow.assign(chimerism=100 * (marrow["corrected"] / total.where(total > 0)).fillna(0.0))


def reference_band(counts: pd.DataFrame, norms: Norms) -> pd.DataFrame:
    """Return the 10th-90th centile for age of each lineage, at the cohort's ages of each visit.

    The median patient's interval: ages differ, so each bound is the median of the patients' own.
    """
    parts = []
    for lineage, rows in counts.groupby("lineage", sort=False):
        median, ln_sd = norms.median(lineage, rows["age_years"]), norms.ln_sd(lineage, rows["age_years"])
        half = np.exp(ln_sd * CENTILES_10_TO_90 / 2)
        bounds = pd.DataFrame({"month": rows["month"], "p10": median / half, "p90": median * half})
        parts.append(bounds.groupby("month").median().reset_index().assign(lineage=lineage))
    return pd.concat(parts, ignore_index=True)


def lineage_copies(counts: pd.DataFrame) -> pd.DataFrame:
    """Return VCN of T, B and NK cells and neutrophils; T cells are CD4+ and CD8+ together."""
    group = {"cd4_t": "T cells", "cd8_t": "T cells"} | {
        name: SHORT[name] for name in ("b_cell", "nk_cell", "neutrophil")
    }
    rows = counts[counts["lineage"].isin(group)]
    rows = rows.assign(cells=rows["lineage"].map(group), copies=rows["vcn"] * rows["count_per_ul"])
    sums = rows.groupby(["arm", "cells", "month", "patient"], sort=False)[["copies", "count_per_ul"]].sum()
    vcn = (sums["copies"] / sums["count_per_ul"].where(sums["count_per_ul"] > 0)).fillna(0.0)
    return vcn.rename("vcn").reset_index()


def cumulative_protection(outcomes: pd.DataFrame, months: Sequence[float]) -> pd.DataFrame:
    """Return the share of patients, in percent, protected by T cells at or before each visit."""
    parts = []
    for arm, rows in outcomes.groupby("arm", sort=False):
        first = rows["t_protection_month"].to_numpy(float)
        shares = [100 * float(np.mean(first <= month)) for month in months]  # never: NaN, not counted
        parts.append(
            pd.DataFrame({"arm": arm, "month": [0.0, *months], "share": [0.0, *shares], "n": len(rows)})
        )
    return thinned(pd.concat(parts, ignore_index=True))


def floored(frame: pd.DataFrame, columns: Sequence[str], least: float) -> pd.DataFrame:
    """Return the frame with columns at least `least`, for a logarithmic axis."""
    return frame.assign(**{name: frame[name].clip(lower=least) for name in columns})


def composite_with_losses(
    scores: pd.DataFrame, arms: Sequence[str], month: float
) -> tuple[pd.DataFrame, list[str]]:
    """Return the mean composite and the mean points that each domain takes, by arm and twin.

    Means, not medians: only means of parts add up to the whole.

    Returns
    -------
    pandas.DataFrame
        row (arm, or ``who`` of a twin), kind (``composite`` or a domain), order, points.
    list of str
        The rows in their order.
    """
    lost = [column for column in scores if column.startswith("lost_")]
    groups = {arm: scores[(scores["arm"] == arm) & (scores["month"] == month)] for arm in arms}
    groups = {arm: rows[rows["who"] == "patient"] for arm, rows in groups.items()}
    first = scores[scores["arm"] == arms[0]]
    groups |= {who: first[first["who"] == who] for who in ("healthy", "untreated")}
    parts = [
        {"row": row, "kind": column.removeprefix("lost_"), "order": order, "points": rows[column].mean()}
        for row, rows in groups.items()
        for order, column in enumerate(["composite", *lost])
    ]
    return pd.DataFrame(parts), list(groups)


def median_courses(courses: pd.DataFrame, twins: dict[str, str]) -> pd.DataFrame:
    """Return the median load by day of each pathogen: by arm, and of the first arm's twins by name."""
    first = courses["arm"].iloc[0]
    own = courses[courses["who"] == "patient"].assign(line=courses["arm"])
    others = courses[courses["who"].isin(twins) & (courses["arm"] == first)]
    both = pd.concat([own, others.assign(line=others["who"].map(twins))], ignore_index=True)
    return both.groupby(["pathogen", "line", "day"], sort=False)["load"].median().reset_index()


MILESTONES = {
    "cd4_200": "CD4+ T cells above 200/µL",
    "cd4_500": "CD4+ T cells above 500/µL",
    "cd3_normal": "CD3+ T cells normal for age",
    "naive_cd4_normal": "naive CD4+ T cells normal for age",
    "nk_cell_normal": "NK cells normal for age",
    "b_cell_normal": "B cells normal for age",
    "igg_independence": "independent of IgG infusions",
    "thymus_recovered": "thymus recovered",
}


def milestone_name(milestone: str) -> str:
    """Return what a milestone is, in words."""
    return MILESTONES.get(milestone, milestone.replace("_", " "))
