"""Figures of immunity."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from hsc_pipeline.report.figures.common import band_layers, grid, names_room, on_axis
from hsc_pipeline.report.figures.endpoints import names_axis
from hsc_pipeline.report.style import INK, NORM, QUIET, arm_colour, lit, log_scale, months_axis

# Twelve hues would be too many to tell; a domain of the composite keeps its own on every figure.
DOMAIN_COLOURS = ("#332288", "#44AA99", "#B8A12E", "#882255", "#6699CC", "#661100")
TWIN_COLOURS = {"healthy twin": "#117733", "untreated twin": "#882255"}


def against_norm(band: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw z-scores by cell over months over the 10th to the 90th centile for age.

    `band` holds panel, arm, month, low, median, high, n.
    """
    last, panels = float(band["month"].max()), []
    norm = pd.DataFrame({"month": [0.0, last], "p10": -1.2816, "p90": 1.2816})
    y = alt.Y(
        "median:Q", title="z-score for age", scale=dict(domain=[-6, 3], clamp=True), axis=dict(tickCount=5)
    )
    for title, rows in band.groupby("panel", sort=False):
        grey = alt.Chart(norm).mark_area(color=NORM, opacity=0.25)
        grey = grey.encode(months_axis(last), on_axis(y, "p10"), alt.Y2("p90"))
        layers = [grey, *band_layers(rows, arms, y, "z-score", last)]
        panels.append(alt.layer(*layers).properties(title=str(title)))
    return grid(panels, 4, 150, narrow=2)


def with_levels(
    band: pd.DataFrame,
    lines: pd.DataFrame,
    arms: Sequence[str],
    units: Mapping[str, str],
    log: Sequence[str] = (),
) -> alt.ConcatChart:
    """Draw values over months, a panel each, with reference levels as dashed lines.

    Parameters
    ----------
    band : DataFrame
        panel, arm, month, low, median, high, n.
    lines : DataFrame
        panel, who, value.
    arms : sequence of str
    units : mapping of str to str
        Title of the axis of each panel.
    log : sequence of str
        Panels with a logarithmic axis.
    """
    last, panels = float(band["month"].max()), []
    for title, rows in band.groupby("panel", sort=False):
        known = lines[lines["panel"] == title].assign(month=0.0)
        most = max(float(rows["high"].max()), float(known["value"].max()) if len(known) else 0.0, 1e-9)
        scale: dict = dict(domain=[0, most * 1.1], nice=False)
        axis: dict = dict(tickCount=5)
        if title in log:
            least = min(float(rows["low"].min()), float(known["value"].min()) if len(known) else np.inf)
            scale, axis = log_scale(max(least, most * 1e-4) / 1.3, most * 1.3)
        y = alt.Y("median:Q", title=units[str(title)], scale=scale, axis=axis)
        level = on_axis(y, "value")
        rule = alt.Chart(known).mark_rule(color=NORM, strokeDash=[5, 4], clip=True).encode(level)
        name = alt.Chart(known).mark_text(align="left", dx=4, dy=-6, fontSize=10.5, color=QUIET, clip=True)
        name = name.encode(months_axis(last), level, alt.Text("who:N"))
        layers = [rule, name, *band_layers(rows, arms, y, str(title), last)]
        panels.append(alt.layer(*layers).properties(title=str(title)))
    return grid(panels, 3, 170)


def courses(loads: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw median loads by day after exposure, a panel a pathogen: the arms, and twins dashed.

    `loads` holds panel, unit, line, day, load and detection; lines that are no arm are twins.
    """
    panels = []
    lines = [*arms, *TWIN_COLOURS]
    arm_shades = list(arm_colour(arms).to_dict()["scale"]["range"])
    scale = dict(domain=lines, range=[*arm_shades, *TWIN_COLOURS.values()])
    legend = dict(symbolType="stroke", columns=4)
    colour = alt.Color("line:N", scale=scale, legend=legend)
    dashes = alt.StrokeDash(
        "line:N",
        scale=dict(domain=lines, range=[[1, 0]] * len(arms) + [[6, 3]] * len(TWIN_COLOURS)),
        legend=legend,
    )
    for (title, unit), rows in loads.groupby(["panel", "unit"], sort=False):
        floor = float(rows["detection"].iloc[0]) / 10
        shown = rows.assign(load=rows["load"].clip(lower=floor))
        up, axis = log_scale(floor, max(float(shown["load"].max()) * 2, floor * 100))
        y = alt.Y("load:Q", title=str(unit), scale=up, axis=axis)
        x = alt.X("day:Q", title="days after exposure", axis=dict(grid=False), scale=dict(nice=False))
        tips = [
            alt.Tooltip("line:N"),
            alt.Tooltip("day:Q", format=".1f"),
            alt.Tooltip("load:Q", format=".3~s"),
        ]
        line = alt.Chart(shown).mark_line(strokeWidth=2).encode(x, y, colour, dashes, tooltip=tips)
        seen = (
            alt.Chart(shown.head(1)).mark_rule(color=NORM, strokeDash=[2, 3]).encode(on_axis(y, "detection"))
        )
        panels.append(alt.layer(seen, line).properties(title=str(title)))
    return grid(panels, 3, 180)


def points_lost(lost: pd.DataFrame, rows: Sequence[str]) -> alt.ConcatChart:
    """Draw the composite and what each domain takes from a hundred, a bar an arm or twin.

    `lost` holds row, kind (composite, or a domain's name), order and points.
    """
    kinds = list(lost.drop_duplicates("order").sort_values("order")["kind"])
    scale = dict(domain=kinds, range=["#24405f", *DOMAIN_COLOURS][: len(kinds)])
    legend = dict(symbolType="square", symbolStrokeWidth=0, columns=4)
    x = alt.X("points:Q", title="points of 100", stack="zero", scale=dict(domain=[0, 100]))
    tips = [alt.Tooltip("row:N"), alt.Tooltip("kind:N"), alt.Tooltip("points:Q", format=".1f")]
    whole = {"test": "datum.kind == 'composite'", "value": 1.0}
    bar = alt.Chart(lost).mark_bar(height=20, stroke="white", strokeWidth=0.8)
    bar = bar.encode(
        names_axis("row", rows),
        x,
        alt.Color("kind:N", scale=scale, legend=legend),
        alt.Order("order:Q"),
        alt.OpacityValue(0.55, condition=whole),
        tooltip=tips,
    )
    return grid([bar], 1, 30 * len(rows), room=names_room(rows))


def ranges(found: pd.DataFrame, names: Sequence[str], arms: Sequence[str]) -> alt.ConcatChart:
    """Draw each score with its band over the catalogue's ranges, a panel an arm.

    `found` holds arm, score, value, low, high, assumed_low, assumed_high and text.
    """
    panels = []
    x = alt.X("low:Q", title="points", scale=dict(domain=[0, 100]))
    tips = [alt.Tooltip("score:N"), alt.Tooltip("text:N", title="band")]
    for arm in arms:
        base = alt.Chart(found[found["arm"] == arm]).encode(
            names_axis("score", names), arm_colour(arms, False)
        )
        wide = base.mark_rule(strokeWidth=2.2).encode(x, alt.X2("high"), lit(0.6))
        narrow = base.mark_rule(strokeWidth=8).encode(
            alt.X("assumed_low:Q"), alt.X2("assumed_high"), lit(0.35)
        )
        dot = base.mark_circle(size=70, color=INK).encode(alt.X("value:Q"), lit(1), tooltip=tips)
        panels.append(alt.layer(wide, narrow, dot).properties(title=arm))
    return grid(panels, 3, 24 * len(names), room=names_room(names))
