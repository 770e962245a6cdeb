"""What all figures share: panels in a grid, and bands of patients over time.

A band is the 5th to the 95th centile of the patients, a bold line their median, a thin line one
patient.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.style import arm_colour, arm_dash, lit, months_axis

alt.data_transformers.disable_max_rows()  # the size of the page is what is watched

WIDTH, NARROW_WIDTH, SPACING = 948, 352, 20
NUMBERS = 48  # pixels that an axis of numbers takes beside its panel, with its title


def names_room(names: Sequence[str]) -> int:
    """Return the pixels that an axis of these names takes."""
    return 16 + min(170, round(5.4 * max(map(len, names))))


def grid(
    panels: Sequence[alt.Chart], most: int, height: int, room: int = NUMBERS, narrow: int = 1
) -> alt.ConcatChart:
    """Set panels beside and below one another, over the width of the page.

    Parameters
    ----------
    panels : sequence of altair.Chart
    most : int
        Panels in a row; rows are filled evenly.
    height : int
        Pixels of a panel.
    room : int
        Pixels beside a panel for its axis.
    narrow : int
        Panels in a row on a telephone.
    """
    rows = -(-len(panels) // most)
    columns = -(-len(panels) // rows)
    sized = [panel.properties(width=panel_width(WIDTH, columns, room), height=height) for panel in panels]
    few = min(narrow, len(panels))
    layout = {"columns": few, "width": panel_width(NARROW_WIDTH, few, room)}  # read by page.js
    return alt.concat(*sized, columns=columns, spacing=SPACING, usermeta=layout)


def panel_width(width: int, columns: int, room: int) -> int:
    """Return the pixels of one of `columns` panels."""
    return max(60, (width - SPACING * (columns - 1)) // columns - room)


def band_layers(data: pd.DataFrame, arms: Sequence[str], y: alt.Y, tip: str, last: float) -> list[alt.Chart]:
    """Return band, its edges, median line and points of each arm.

    Parameters
    ----------
    data : pandas.DataFrame
        arm, month, low, median, high, n.
    y : altair.Y
        Title, scale and axis of the median.
    tip : str
        What the tooltip calls the value.
    last : float
        Last month of the axis.
    """
    base = alt.Chart(data).encode(months_axis(last), arm_colour(arms))
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("month:Q"),
        alt.Tooltip("median:Q", title=f"{tip}, median", format=".3~s"),
        alt.Tooltip("low:Q", title="5th centile", format=".3~s"),
        alt.Tooltip("high:Q", title="95th centile", format=".3~s"),
        alt.Tooltip("n:Q", title="patients"),
    ]
    low, high = on_axis(y, "low"), on_axis(y, "high")
    # Fills of many arms lie on one another; their edges stay apart.
    band = base.mark_area(clip=True).encode(low, alt.Y2("high"), lit(max(0.03, 0.18 / len(arms))))
    edges = [base.mark_line(clip=True, strokeWidth=0.8).encode(edge, lit(0.6)) for edge in (low, high)]
    line = base.mark_line(clip=True, strokeWidth=2.4).encode(y, lit(1), arm_dash(arms))
    points = base.mark_circle(clip=True, size=28).encode(y, lit(1), tooltip=tooltip)
    return [band, *edges, line, points]


def on_axis(y: alt.Y, field: str) -> alt.Y:
    """Return another field on the same axis."""
    same = {name: y[name] for name in ("title", "scale", "axis") if y[name] is not alt.Undefined}
    return alt.Y(f"{field}:Q", **same)


def bands_by_panel(
    data: pd.DataFrame, arms: Sequence[str], y_title: str, domain: Sequence[float], most: int = 3
) -> alt.ConcatChart:
    """Draw band and median of each arm over months on a linear axis, a panel a value of ``panel``."""
    last, panels = float(data["month"].max()), []
    for title, rows in data.groupby("panel", sort=False):
        y = alt.Y("median:Q", title=y_title, scale=dict(domain=list(domain)), axis=dict(tickCount=5))
        panels.append(alt.layer(*band_layers(rows, arms, y, str(title), last)).properties(title=str(title)))
    return grid(panels, most, 150)


def stacked_shares(
    panels: Mapping[str, pd.DataFrame], colours: Mapping[str, str], title: str
) -> alt.ConcatChart:
    """Draw what a whole is made of over months, a panel each.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        ``arm``, ``month``, ``kind`` and ``share``, which add up to at most 1, by title.
    colours : mapping of str to str
        Of the kinds, from the bottom up.
    title : str
        Of the axis.
    """
    kinds = list(colours)
    scale = dict(domain=kinds, range=list(colours.values()))
    axis = dict(format="%", tickCount=5)
    share = alt.Y("share:Q", title=title, stack="zero", axis=axis, scale=dict(domain=[0, 1]))
    tips = [alt.Tooltip("kind:N"), alt.Tooltip("month:Q"), alt.Tooltip("share:Q", format=".1%")]
    kind = alt.Color("kind:N", scale=scale, legend=dict(symbolType="square", symbolStrokeWidth=0))
    charts = []
    for name, rows in panels.items():
        ordered = rows.assign(order=rows["kind"].map(kinds.index))
        area = alt.Chart(ordered).mark_area(stroke="white", strokeWidth=0.8)
        last = months_axis(float(rows["month"].max()))
        area = area.encode(last, share, kind, alt.Order("order:Q"), lit(1), tooltip=tips)
        charts.append(area.properties(title=name))
    return grid(charts, 4, 150)
