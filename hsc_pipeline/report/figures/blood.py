"""Figures of the blood and of the clones in it."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import band_layers, grid, on_axis, stacked_shares
from hsc_pipeline.report.style import (
    LINEAGE_COLOURS,
    NORM,
    ORIGIN_COLOURS,
    QUIET,
    SHORT_NUMBER,
    arm_colour,
    lit,
    log_scale,
    months_axis,
)


def blood_counts(data: pd.DataFrame, reference: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw counts by lineage over months against the reference interval for age."""
    last, panels = float(data["month"].max()), []
    for lineage, rows in data.groupby("lineage", sort=False):
        normal = reference[reference["lineage"] == lineage]
        low = max(1.0, min(rows["low"].min(), normal["p10"].min()) / 1.3)
        scale, axis = log_scale(low, max(rows["high"].max(), normal["p90"].max()) * 1.3)
        y = alt.Y("median:Q", title="cells/µL", scale=scale, axis=axis)
        norm = alt.Chart(normal).mark_area(color=NORM, opacity=0.25, clip=True)
        norm = norm.encode(months_axis(last), on_axis(y, "p10"), alt.Y2("p90"))
        layers = [norm, *band_layers(rows, arms, y, "cells/µL", last)]
        panels.append(alt.layer(*layers).properties(title=str(lineage)))
    return grid(panels, 4, 150, narrow=2)


def copies_by_lineage(data: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw VCN of the lineages over months, a panel an arm."""
    last, most = float(data["month"].max()), float(data["median"].max()) * 1.08 or 1.0
    scale = dict(domain=list(LINEAGE_COLOURS), range=list(LINEAGE_COLOURS.values()))
    tips = [alt.Tooltip("cells:N"), alt.Tooltip("month:Q")]
    tips += [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("median", "low", "high")]
    panels = []
    for arm in arms:
        base = alt.Chart(data[data["arm"] == arm]).encode(
            months_axis(last),
            alt.Y("median:Q", title="copies per cell", scale=dict(domain=[0, most])),
            alt.Color("cells:N", scale=scale, legend=dict(symbolType="stroke")),
            lit(1),
        )
        layers = base.mark_line(strokeWidth=2.4), base.mark_circle(size=28).encode(tooltip=tips)
        panels.append(alt.layer(*layers).properties(title=arm))
    return grid(panels, 4, 200)


def waves(shares: pd.DataFrame) -> alt.ConcatChart:
    """Draw where the cells in blood come from, on average, a panel a lineage."""
    panels = {str(lineage): rows for lineage, rows in shares.groupby("lineage", sort=False)}
    return stacked_shares(panels, ORIGIN_COLOURS, "mean % of cells")


def readouts_over_time(data: pd.DataFrame, lines: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw the read-outs of a disease over months, a panel each, with their reference values.

    `lines` holds readout, who (normal or untreated) and value.
    """
    last, panels = float(data["month"].max()), []
    for (readout, unit), rows in data.groupby(["readout", "unit"], sort=False):
        known = lines[lines["readout"] == readout].assign(month=0.0)
        most = max(float(rows["high"].max()), float(known["value"].max()), 1e-9) * 1.08
        y = alt.Y("median:Q", title=unit, scale=dict(domain=[0, most], nice=False), axis=dict(tickCount=5))
        level = alt.Y("value:Q")
        rule = alt.Chart(known).mark_rule(color=NORM, strokeDash=[5, 4]).encode(level)
        name = alt.Chart(known).mark_text(align="left", dx=4, dy=-6, fontSize=10.5, color=QUIET)
        name = name.encode(months_axis(last), level, alt.Text("who:N"))
        layers = [rule, name, *band_layers(rows, arms, y, str(readout), last)]
        panels.append(alt.layer(*layers).properties(title=str(readout)))
    return grid(panels, 3, 170)


def diversity_by_arm(data: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw richness and Shannon index of the samples by month, arms side by side.

    `data` holds arm, month, panel, unit, low, median, high, n.
    """
    panels, most = [], data.groupby("unit")["high"].max() * 1.04
    offset = alt.XOffset("arm:N", sort=list(arms), scale=dict(paddingInner=0.3, paddingOuter=0.4))
    x = alt.X("month:O", title="months after infusion", axis=dict(labelAngle=0, grid=False))
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("month:O")]
    tips += [alt.Tooltip(f"{name}:Q", format=".4~s") for name in ("median", "low", "high", "n")]
    for (title, unit), rows in data.groupby(["panel", "unit"], sort=False):
        base = alt.Chart(rows).encode(x, offset, arm_colour(arms))
        axis = dict(tickCount=5, labelExpr=SHORT_NUMBER)
        scale = dict(domain=[0, float(most[unit]) or 1.0], nice=False)
        low = alt.Y("low:Q", title=unit, scale=scale, axis=axis)
        span = base.mark_rule(strokeWidth=2.4, strokeCap="round").encode(low, alt.Y2("high"), lit(0.45))
        dot = base.mark_circle(size=60).encode(alt.Y("median:Q"), lit(1), tooltip=tips)
        panels.append(alt.layer(span, dot).properties(title=str(title)))
    return grid(panels, 3, 150)
