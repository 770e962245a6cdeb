"""Clones as the field draws them: areas, bubbles, ranks and what samples share.

The report of a study and that of measured tables draw with the same functions.  Data frames come in
with a column ``panel``; `picked` are the conditions by which the menus beside a figure choose rows.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.style import INK, log_scale, months_axis

# Twelve hues that the colour-blind tell apart, none of an arm.
CLONE_SHADES = (
    *("#88CCEE", "#CC6677", "#DDCC77", "#117733", "#332288", "#AA4499"),
    *("#44AA99", "#999933", "#882255", "#661100", "#6699CC", "#888888"),
)
REST = "#e3e8ed"
MONTH_SHADES = ("#b7cfe3", "#7ba6cb", "#3f79ab", "#123f6b")
MOST_CELLS_WITH_NUMBERS = 36


def rank_colour(ranks: Sequence[int], legend: dict | None = None) -> alt.Color:
    """Return the colour of a clone by its rank; beyond the shades all are grey."""
    shades = [CLONE_SHADES[rank - 1] if rank <= len(CLONE_SHADES) else REST for rank in ranks]
    return alt.Color("rank:O", scale=dict(domain=list(ranks), range=shades), legend=legend)


def pick(chart: alt.Chart, picked: Sequence[str]) -> alt.Chart:
    """Return the chart with the rows alone that the menus choose."""
    for condition in picked:
        chart = chart.transform_filter(condition)
    return chart


def areas(
    rows: pd.DataFrame,
    title: str,
    tips: Sequence[alt.Tooltip],
    most: Mapping[str, float],
    columns: int,
    height: int,
    picked: Sequence[str] = (),
    legend: dict | None = None,
    format: str = "~r",
) -> alt.ConcatChart:
    """Draw shares of clones over months, stacked, the largest at the bottom.

    Parameters
    ----------
    rows : pandas.DataFrame
        panel, month, rank, share and what `tips` name.
    title : str
        Of the axis, with its unit.
    most : mapping of str to float
        Where the axis of a panel ends; others end above their own sums.
    """
    ranks = sorted(rows["rank"].unique().tolist())
    x, panels = months_axis(float(rows["month"].max())), []
    for name, own in rows.groupby("panel", sort=False):
        scale = dict(domain=[0, most[name]], nice=False) if name in most else dict(nice=True)
        axis = dict(tickCount=5, format=format)
        y = alt.Y("share:Q", title=title, stack="zero", scale=scale, axis=axis)
        area = pick(alt.Chart(own), picked).mark_area(stroke="white", strokeWidth=0.5, clip=True)
        area = area.encode(x, y, rank_colour(ranks, legend), alt.Order("rank:Q"), tooltip=list(tips))
        panels.append(area.properties(title=str(name)))
    return grid(panels, columns, height)


def bubbles(
    rows: pd.DataFrame, tips: Sequence[alt.Tooltip], columns: int, picked: Sequence[str] = ()
) -> alt.ConcatChart:
    """Draw the largest clones by month, the area of a bubble their share; a panel a lineage.

    Parameters
    ----------
    rows : pandas.DataFrame
        panel, month, clone, rank, share.
    """
    ranks = sorted(rows["rank"].unique().tolist())
    legend = dict(title="share of the sample", format=".2~p", symbolType="circle", tickCount=4)
    legend |= dict(symbolStrokeWidth=0.4, symbolFillColor=REST, symbolStrokeColor=INK)
    size = alt.Size("share:Q", scale=dict(zero=True, range=[0, 420]), legend=legend)
    months = [f"{month:g}" for month in sorted(rows["month"].unique())]
    panels = []
    for name, own in rows.assign(month=rows["month"].map("{:g}".format)).groupby("panel", sort=False):
        order = alt.EncodingSortField("rank", order="ascending")
        chart = pick(alt.Chart(own), picked).mark_circle(opacity=0.9, stroke=INK, strokeWidth=0.4)
        chart = chart.encode(
            alt.X(
                "month:O",
                title="months after infusion",
                scale=dict(domain=months),
                axis=dict(labelAngle=0, grid=False),
            ),
            alt.Y("clone:N", title=None, sort=order, axis=dict(grid=True, labelOverlap=False)),
            size,
            rank_colour(ranks),
            tooltip=list(tips),
        )
        panels.append(chart.properties(title=str(name)))
    names = [str(name) for name in rows["clone"].unique()]
    return grid(panels, columns, 22 * len(ranks) + 10, room=names_room(names))


def rank_abundance(
    rows: pd.DataFrame, unit: str, columns: int, picked: Sequence[str] = (), by: str = "month"
) -> alt.ConcatChart:
    """Draw the share by rank, both logarithmic, a line a sample and a panel each.

    Parameters
    ----------
    rows : pandas.DataFrame
        panel, month, rank, share (of 1).
    unit : str
        What the share is of.
    by : str
        The column whose values, in their order, are ever darker lines.
    """
    names, panels = sorted(rows[by].unique().tolist()), []
    steps = (len(MONTH_SHADES) - 1) / max(1, len(names) - 1)
    shades = [MONTH_SHADES[round(i * steps)] for i in range(len(names))]
    across, x_axis = log_scale(1.0, max(10.0, float(rows["rank"].max()) * 1.1))
    up, _ = log_scale(float(rows["share"].min()) / 1.3, min(1.0, float(rows["share"].max()) * 1.5))
    percents = dict(values=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], format="~%")
    tips = [alt.Tooltip("month:Q"), alt.Tooltip("rank:Q"), alt.Tooltip("share:Q", format=".2%")]
    legend = dict(title=by, symbolType="stroke")
    shade = alt.Color(f"{by}:O", scale=dict(domain=names, range=shades), legend=legend)
    for name, own in rows.groupby("panel", sort=False):
        line = pick(alt.Chart(own), picked).mark_line(strokeWidth=2, point=dict(size=12))
        line = line.encode(
            alt.X("rank:Q", title="rank of the clone", scale=across, axis=x_axis),
            alt.Y("share:Q", title=f"share of {unit}", scale=up, axis=percents),
            shade,
            tooltip=tips,
        )
        panels.append(line.properties(title=str(name)))
    return grid(panels, columns, 200)


def pairs(
    rows: pd.DataFrame,
    value: str,
    shade: alt.Color,
    columns: int,
    height: int,
    tips: Sequence[alt.Tooltip] = (),
    white_from: float | None = None,
    picked: Sequence[str] = (),
) -> alt.ConcatChart:
    """Draw a number of every two samples as a heat map, a panel each; few cells hold their numbers.

    Parameters
    ----------
    rows : pandas.DataFrame
        panel, a, b and `value`, each pair both ways, names in the order to draw.
    shade : altair.Color
    white_from : float, optional
        Where the shade is so dark that numbers in it are white; None: no numbers.
    """
    panels = []
    for name, own in rows.groupby("panel", sort=False):
        names = list(dict.fromkeys(own["a"]))
        x_axis = dict(labelAngle=-45, labelOverlap=False)
        base = pick(alt.Chart(own), picked).encode(
            alt.X("a:N", title=None, sort=names, axis=x_axis),
            alt.Y("b:N", title=None, sort=names, axis=dict(labelOverlap=False)),
        )
        shown = [alt.Tooltip("a:N"), alt.Tooltip("b:N"), alt.Tooltip(f"{value}:Q", format=".2f"), *tips]
        layers = [base.mark_rect(stroke="white", strokeWidth=0.5).encode(shade, tooltip=shown)]
        if white_from is not None and len(names) ** 2 <= MOST_CELLS_WITH_NUMBERS:
            white = {"test": f"datum.{value} > {white_from:g}", "value": "white"}
            ink = alt.ColorValue(INK, condition=white)
            layers.append(base.mark_text(fontSize=10).encode(alt.Text(f"{value}:Q", format=".2f"), ink))
        panels.append(alt.layer(*layers).properties(title=str(name)))
    return grid(panels, columns, height, room=names_room(list(map(str, rows["a"].unique()))))
