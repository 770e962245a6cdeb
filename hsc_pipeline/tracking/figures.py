"""Figures of a tracking run: panels a subject or a lineage, over months."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from hsc_pipeline.report.figures import clones
from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.style import PALETTE, log_scale, months_axis
from hsc_pipeline.tracking.series import Series

TOP = 8  # clones with a colour of their own
MOST_PANELS = 9
RAW, CORRECTED = "#8a97a3", "#0072B2"


def largest_clones(series: Sequence[Series], top: Mapping[str, np.ndarray]) -> alt.ConcatChart:
    """Draw the shares of the clones in `top` of each subject, a panel a series, on one axis.

    The axis ends above the largest sum: of a polyclonal sample, little would be seen on one up to 1.
    """
    rows = pd.concat([_shares(one, top[one.subject]) for one in series], ignore_index=True)
    most = min(1.0, 1.1 * float(rows.groupby(["panel", "month"])["share"].sum().max()))
    tips = [alt.Tooltip("clone:N"), alt.Tooltip("rank:O"), alt.Tooltip("month:Q")]
    tips.append(alt.Tooltip("share:Q", format=".2%"))
    legend = dict(title="rank of the clone", symbolType="square", symbolStrokeWidth=0)
    ends = dict.fromkeys(rows["panel"], most)
    return clones.areas(rows, "% of counts", tips, ends, 4, 150, legend=legend, format="~%")


def _shares(one: Series, top: np.ndarray) -> pd.DataFrame:
    share = one.counts / one.counts.sum(axis=0)
    place = {name: at for at, name in enumerate(one.clones)}
    none = np.zeros(len(one.months))
    parts = [
        pd.DataFrame({"panel": one.subject, "clone": str(name), "rank": rank, "month": one.months}).assign(
            share=share[place[name]] if name in place else none
        )
        for rank, name in enumerate(top, 1)
    ]
    return pd.concat(parts, ignore_index=True)


def lines(
    rows: pd.DataFrame, panel: str, unit: str, band: bool = False, zero: bool = False
) -> alt.ConcatChart:
    """Draw ``value`` over months, a line a subject, with the band from ``low`` to ``high`` if wanted.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject, month, value``, and the column `panel`.
    panel : str
    unit : str
    band : bool
    zero : bool
        Whether the axis begins at zero.
    """
    subjects, last = list(dict.fromkeys(rows["subject"])), float(rows["month"].max())
    scale = dict(domain=subjects, range=[PALETTE[i % len(PALETTE)] for i in range(len(subjects))])
    colour = alt.Color("subject:N", scale=scale, legend=dict(symbolType="stroke", columns=6))
    kept = ["subject", "month", "value", *(("low", "high") if band else ())]
    panels = []
    for name, own in list(rows.groupby(panel, sort=False))[:MOST_PANELS]:
        y = alt.Y("value:Q", title=unit, scale=dict(zero=zero), axis=dict(tickCount=5))
        tips = [alt.Tooltip("subject:N"), alt.Tooltip("month:Q"), alt.Tooltip("value:Q", format=".3~r")]
        base = alt.Chart(own[kept]).encode(months_axis(last), colour)
        marks = [base.mark_line(strokeWidth=1.6).encode(y), base.mark_circle(size=30).encode(y, tooltip=tips)]
        if band:
            marks.insert(0, base.mark_area(opacity=0.16).encode(alt.Y("low:Q", title=unit), alt.Y2("high")))
        panels.append(alt.layer(*marks).properties(title=str(name) or "not stated"))
    return grid(panels, 3, 170)


def depths(rows: pd.DataFrame, unit: str) -> alt.ConcatChart:
    """Draw clones against counts of every sample, a panel a lineage; grey where there is one count a clone.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject, lineage, month, total, richness``.
    unit : str
        What is counted.
    """
    (x_scale, x_axis), (y_scale, y_axis) = (
        log_scale(1, max(float(rows[name].max()), 2)) for name in ("total", "richness")
    )
    whole = pd.DataFrame({"total": [1.0, float(rows["richness"].max())]})
    whole["richness"] = whole["total"]
    x = alt.X("total:Q", title=unit, scale=x_scale, axis=x_axis)
    y = alt.Y("richness:Q", title="clones", scale=y_scale, axis=y_axis)
    tips = [alt.Tooltip("subject:N"), alt.Tooltip("month:Q"), alt.Tooltip("total:Q", format=",")]
    limit = alt.Chart(whole).mark_line(color=RAW, strokeWidth=1, strokeDash=[4, 3]).encode(x, y)
    panels = []
    for name, own in list(rows.groupby("lineage", sort=False))[:MOST_PANELS]:
        own = own[["subject", "month", "total", "richness"]]
        dots = alt.Chart(own).mark_circle(size=36, color=CORRECTED, opacity=0.6).encode(x, y, tooltip=tips)
        panels.append(alt.layer(limit, dots).properties(title=str(name) or "not stated"))
    return grid(panels, 4, 150)


def clone_heat(rows: pd.DataFrame) -> alt.ConcatChart:
    """Draw the share of the largest clones in every sample, a panel a subject, on one scale.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject, clone, sample, share``, in the order to draw; share above 0.
    """
    low, high = float(rows["share"].min()), float(rows["share"].max())
    scale = dict(type="log", domain=[max(low, high / 1e3), high], scheme="viridis", clamp=True)
    shade = alt.Color("share:Q", title="share", scale=scale, legend=dict(format=".2~p", gradientLength=160))
    panels = []
    for subject, own in rows.groupby("subject", sort=False):
        samples, clones = (list(dict.fromkeys(own[name])) for name in ("sample", "clone"))
        tips = [alt.Tooltip("clone:N"), alt.Tooltip("sample:N"), alt.Tooltip("share:Q", format=".2%")]
        cells = alt.Chart(own[["clone", "sample", "share"]].dropna()).mark_rect()
        cells = cells.encode(
            alt.X("sample:N", title=None, sort=samples, axis=dict(labelAngle=-60, labelOverlap=False)),
            alt.Y("clone:N", title=None, sort=clones, axis=dict(labelOverlap=False, labelFontSize=9)),
            shade,
            tooltip=tips,
        )
        panels.append(cells.properties(title=str(subject)))
    return grid(panels, 2, 280, room=names_room(list(map(str, rows["clone"]))))


def curves(rows: pd.DataFrame, unit: str) -> alt.ConcatChart:
    """Draw richness by depth with bands, a panel a subject, a colour a sample; beyond its own depth dashed.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject, sample, depth, own_depth, estimate, low, high``; `sample` is first or last.
    unit : str
        What is counted.
    """
    names = list(dict.fromkeys(rows["sample"]))
    scale = dict(domain=names, range=list(PALETTE[: len(names)]))
    colour = alt.Color("sample:N", scale=scale, legend=dict(symbolType="stroke"))
    kept = ["sample", "month", "depth", "estimate", "low", "high"]
    panels = []
    for subject, own in rows.groupby("subject", sort=False):
        x = alt.X("depth:Q", title=unit, axis=dict(tickCount=4, format="~s"))
        tips = [alt.Tooltip("sample:N"), alt.Tooltip("month:Q"), alt.Tooltip("depth:Q", format=",")]
        tips.append(alt.Tooltip("estimate:Q", format=",.0f"))
        base = alt.Chart(own[kept]).encode(x, colour)
        band = base.mark_area(opacity=0.16).encode(alt.Y("low:Q", title="clones"), alt.Y2("high"))
        marks = [band]
        for part, dash in (
            (own["depth"] <= own["own_depth"], []),
            (own["depth"] >= own["own_depth"], [4, 3]),
        ):
            line = alt.Chart(own.loc[part, kept]).encode(x, colour, alt.Y("estimate:Q", title="clones"))
            marks.append(line.mark_line(strokeWidth=1.6, strokeDash=dash))
        at = alt.Chart(own.loc[own["depth"] == own["own_depth"], kept]).mark_circle(size=40)
        marks.append(at.encode(x, colour, alt.Y("estimate:Q", title="clones"), tooltip=tips))
        panels.append(alt.layer(*marks).properties(title=str(subject)))
    return grid(panels, 4, 150)


def correlations(rows: pd.DataFrame) -> alt.ConcatChart:
    """Draw the correlation of every two samples, like ones side by side, a panel a subject.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``subject, sample_a, sample_b, place_a, place_b, correlation``.
    """
    names = {"sample_a": "a", "sample_b": "b", "place_a": "place", "subject": "panel"}
    mirrored = {"sample_b": "a", "sample_a": "b", "place_b": "place", "subject": "panel"}
    kept = ["panel", "a", "b", "place", "correlation"]
    both = pd.concat([rows.rename(columns=columns)[kept] for columns in (names, mirrored)])
    scale = dict(scheme="blueorange", domain=[-1, 1], reverse=True)
    shade = alt.Color("correlation:Q", scale=scale, legend=dict(gradientLength=160))
    ordered = both.sort_values("place", kind="stable").drop(columns="place")
    return clones.pairs(ordered, "correlation", shade, 2, 330)


def heat(shared: pd.DataFrame) -> alt.ConcatChart:
    """Draw the Jaccard index of pairs of lineages, a panel a subject; one scale for all."""
    names = {"lineage_a": "a", "lineage_b": "b", "subject": "panel"}
    mirrored = {"lineage_b": "a", "lineage_a": "b", "subject": "panel"}
    kept = ["panel", "a", "b", "jaccard", "shared"]
    both = pd.concat([shared.rename(columns=columns)[kept] for columns in (names, mirrored)])
    most = float(both["jaccard"].max()) or 1.0
    shade = alt.Color("jaccard:Q", scale=dict(scheme="blues", domain=[0, most]), legend=None)
    tips = [alt.Tooltip("shared:Q", title="shared clones", format=",")]
    return clones.pairs(both.sort_values(["a", "b"]), "jaccard", shade, 4, 150, tips, white_from=most / 2)


def numbers(rows: pd.DataFrame) -> alt.ConcatChart:
    """Draw the number of clones by estimator, raw and corrected with its interval, a panel a subject."""
    values = rows[["estimate", "low", "high", "clones"]].to_numpy(float)
    values = values[np.isfinite(values) & (values > 0)]
    scale, axis = log_scale(float(values.min()) / 1.5, float(values.max()) * 1.5)
    panels = []
    for subject, own in rows.groupby("subject", sort=False):
        own = own[["estimator", "estimate", "clones", "low", "high"]]
        y = alt.Y("estimator:N", title=None, sort=None)
        tips = [alt.Tooltip(f"{name}:Q", format=",.0f") for name in ("estimate", "clones", "low", "high")]
        raw = alt.X("estimate:Q", title="clones", scale=scale, axis=axis)
        dots = alt.Chart(own).mark_circle(size=46, color=RAW).encode(raw, y, tooltip=tips)
        corrected = alt.Chart(own.dropna(subset=["clones"])).encode(y)
        line = corrected.mark_rule(color=CORRECTED, strokeWidth=2, opacity=0.5)
        line = line.encode(alt.X("low:Q", scale=scale), alt.X2("high:Q"))
        dot = corrected.mark_circle(size=56, color=CORRECTED)
        dot = dot.encode(alt.X("clones:Q", scale=scale), tooltip=tips)
        panels.append(alt.layer(dots, line, dot).properties(title=str(subject)))
    return grid(panels, 2, 240, room=110)


def errors_of_rules(table: pd.DataFrame) -> alt.ConcatChart:
    """Draw false alarms and drivers found of each rule by schedule, with intervals."""
    first = table["advantage"].min()
    false = table[table["advantage"] == first].rename(
        columns={"false_alarms_per_patient_year": "value", "false_low": "low", "false_high": "high"}
    )
    found = table.rename(columns={"detected": "value", "detected_low": "low", "detected_high": "high"})
    panels = [_by_rule(false, "a patient and year", None).properties(title="false alarms without a driver")]
    for advantage, own in found.groupby("advantage"):
        title = f"drivers found, advantage {advantage:g} a year"
        panels.append(_by_rule(own, "share of patients", [0, 1]).properties(title=title))
    return grid(panels, 3, 260, room=names_room(list(table["rule"])))


def _by_rule(rows: pd.DataFrame, unit: str, domain: Sequence[float] | None) -> alt.LayerChart:
    rows = rows[["rule", "schedule", "value", "low", "high"]]
    rules, schedules = (list(dict.fromkeys(rows[name])) for name in ("rule", "schedule"))
    scale = dict(domain=list(domain)) if domain else alt.Undefined
    colour = dict(domain=schedules, range=list(PALETTE[: len(schedules)]))
    base = alt.Chart(rows).encode(
        alt.Y("rule:N", title=None, sort=rules),
        alt.YOffset("schedule:N", sort=schedules),
        alt.Color("schedule:N", scale=colour, legend=dict(symbolType="circle")),
    )
    x = alt.X("value:Q", title=unit, scale=scale, axis=dict(tickCount=5))
    tips = [alt.Tooltip("rule:N"), alt.Tooltip("schedule:N"), alt.Tooltip("value:Q", format=".3~r")]
    bar = base.mark_rule(strokeWidth=2, opacity=0.5).encode(alt.X("low:Q", title=unit), alt.X2("high:Q"))
    return alt.layer(bar, base.mark_circle(size=40).encode(x, tooltip=tips))
