"""Figures of the trial questions: power, dose, stopping, incidence and the search for a design."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid
from hsc_pipeline.report.style import INK, QUIET, arm_colour, arm_dash, lit, log_scale, months_axis

POWER, ASSURED, CATALOGUE = "#24405f", "#D55E00", "#009E73"
HARM_COLOURS = ("#009E73", "#56B4E9", "#E69F00", "#D55E00")
_PERCENT = dict(format="%", tickCount=5)


def _kinds(
    names: Sequence[str], colours: Sequence[str], field: str = "kind"
) -> tuple[alt.Color, alt.StrokeDash]:
    scale = dict(domain=list(names), range=list(colours)[: len(names)])
    dashes = dict(domain=list(names), range=[[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]][: len(names)])
    legend = dict(symbolType="stroke", columns=0)
    return (
        alt.Color(f"{field}:N", scale=scale, legend=legend, sort=None),
        alt.StrokeDash(f"{field}:N", scale=dashes, legend=legend, sort=None),
    )


def _rule(value: float, channel: str = "y") -> alt.Chart:
    rule = alt.Chart(pd.DataFrame({"wanted": [value]})).mark_rule(color=QUIET, strokeDash=[4, 3])
    return rule.encode(alt.Y("wanted:Q") if channel == "y" else alt.X("wanted:Q"))


def _share_axis(field: str, title: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=title, scale=dict(domain=[0, 1]), axis=_PERCENT)


def power_curves(powers: pd.DataFrame, wanted: float, x_title: str) -> alt.ConcatChart:
    """Draw power and assurance against the number of patients, a panel a comparison.

    `powers` holds panel, arm, n_arm, kind, value, low and high; the band of each kind runs from low to
    high where they are known.
    """
    panels, kinds = [], list(powers["kind"].unique())
    colour, dash = _kinds(kinds, (POWER, ASSURED, CATALOGUE))
    x = alt.X(
        "n_arm:Q", title=x_title, scale=dict(type="sqrt", nice=False), axis=dict(grid=False, tickCount=6)
    )
    for panel, rows in powers.groupby("panel", sort=False):
        base = alt.Chart(rows).encode(x, colour)
        banded = base.transform_filter("isValid(datum.low)")
        band = banded.mark_area().encode(
            _share_axis("low", "chance of a significant result"), alt.Y2("high"), lit(0.15)
        )
        tips = [alt.Tooltip("kind:N"), alt.Tooltip("n_arm:Q", title="patients")]
        tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("value", "low", "high")]
        y = _share_axis("value", "chance of a significant result")
        line = base.mark_line(strokeWidth=2.2).encode(y, dash, lit(1))
        dots = base.mark_circle(size=32).encode(y, lit(1), tooltip=tips)
        panels.append(alt.layer(_rule(wanted), band, line, dots).properties(title=str(panel)))
    return grid(panels, 2, 210)


def dose_curves(table: pd.DataFrame, target: float) -> alt.ConcatChart:
    """Draw the share that reaches the endpoint against each value of the design.

    `table` holds panel, x_title, kind (observed or curve), dose, share, low, high, logarithmic and arm.
    """
    panels = []
    for panel, rows in table.groupby("panel", sort=False):
        curve, seen = rows[rows["kind"] == "curve"], rows[rows["kind"] == "observed"]
        low, high = float(rows["dose"].min()), float(rows["dose"].max())
        scale, axis = dict(domain=[low, high], nice=False), dict(tickCount=6)
        if bool(rows["logarithmic"].iloc[0]):
            scale, axis = log_scale(low, high)
        x = alt.X("dose:Q", title=rows["x_title"].iloc[0], scale=scale, axis={**axis, "grid": False})
        y = _share_axis("share", "patients who reach the endpoint")
        base = alt.Chart(curve).encode(x)
        band = base.mark_area(color=POWER).encode(
            _share_axis("low", "patients who reach the endpoint"), alt.Y2("high"), alt.OpacityValue(0.18)
        )
        line = base.mark_line(color=POWER, strokeWidth=2.2).encode(y)
        layers = [_rule(target), band, line]
        if len(seen):
            points = alt.Chart(seen).encode(x)
            layers.append(points.mark_rule(color=INK).encode(alt.Y("low:Q"), alt.Y2("high")))
            tips = [alt.Tooltip("dose:Q", format=".3~s"), alt.Tooltip("share:Q", format=".1%")]
            layers.append(points.mark_circle(color=INK, size=70, opacity=1).encode(y, tooltip=tips))
        panels.append(alt.layer(*layers).properties(title=str(panel)))
    return grid(panels, 2, 210)


def stopping_curves(stops: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw the chance that an arm has been stopped for harm against its patients, a panel an arm.

    `stops` holds arm, scenario, n_arm, stopped and limit.
    """
    scenarios = list(stops["scenario"].unique())
    colour, dash = _kinds(scenarios, HARM_COLOURS, "scenario")
    panels = []
    x = alt.X("n_arm:Q", title="patients of the arm", axis=dict(grid=False, tickCount=6))
    tips = [
        alt.Tooltip("scenario:N"),
        alt.Tooltip("n_arm:Q", title="patients"),
        alt.Tooltip("limit:Q", title="events that stop"),
        alt.Tooltip("stopped:Q", format=".1%"),
    ]
    for arm in arms:
        rows = stops[stops["arm"] == arm]
        if rows.empty:
            continue
        base = alt.Chart(rows).encode(x, _share_axis("stopped", "chance to have stopped"), colour)
        line = base.mark_line(strokeWidth=2.2).encode(dash, lit(1))
        dots = base.mark_circle(size=20).encode(lit(1), tooltip=tips)
        panels.append(alt.layer(line, dots).properties(title=arm))
    return grid(panels, 3, 180)


def incidence_curves(table: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw cumulative incidence over months with its interval, a panel an event.

    `table` holds arm, month, event, incidence, low, high, events and at_risk.
    """
    panels = []
    axis = months_axis(float(table["month"].max()))
    for event, rows in table.groupby("event", sort=False):
        most = max(0.05, float(rows["high"].max()))
        scale = dict(domain=[0, min(1.0, most)])
        y = alt.Y("incidence:Q", title="patients, cumulative", scale=scale, axis=_PERCENT)
        low = alt.Y("low:Q", title="patients, cumulative", scale=scale, axis=_PERCENT)
        base = alt.Chart(rows).encode(axis, arm_colour(arms))
        opacity = max(0.04, 0.16 / len(arms))
        band = base.mark_area(interpolate="step-after").encode(low, alt.Y2("high"), lit(opacity))
        line = base.mark_line(interpolate="step-after", strokeWidth=2.2).encode(y, arm_dash(arms), lit(1))
        tips = [alt.Tooltip("arm:N"), alt.Tooltip("month:Q"), alt.Tooltip("at_risk:Q", title="at risk")]
        tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("incidence", "low", "high")]
        dots = base.mark_circle(size=24).encode(y, lit(1), tooltip=tips)
        panels.append(alt.layer(band, line, dots).properties(title=str(event)))
    return grid(panels, 2, 190)


def design_map(cells: pd.DataFrame, chosen: pd.DataFrame, titles: Sequence[str]) -> alt.ConcatChart:
    """Draw how sure it is that a design reaches the target, over two values of the design.

    `cells` holds panel, x, y, confidence, share, low and high; `chosen` holds panel, x and y; `titles` name
    the axes.
    """
    panels = []
    colour = alt.Color(
        "confidence:Q",
        scale=dict(domain=[0, 1], scheme="viridis"),
        legend=dict(title="confidence", format="%", gradientLength=220),
    )
    x = alt.X("x:O", title=titles[0], axis=dict(format=".3~s", labelAngle=0))
    y = alt.Y("y:O", title=titles[1], sort="descending", axis=dict(format=".3~s"))
    tips = [
        alt.Tooltip("x:Q", title=titles[0], format=".3~s"),
        alt.Tooltip("y:Q", title=titles[1], format=".3~s"),
    ]
    tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("confidence", "share", "low", "high")]
    for panel, rows in cells.groupby("panel", sort=False):
        tiles = alt.Chart(rows).mark_rect().encode(x, y, colour, tooltip=tips)
        layers = [tiles]
        mark = chosen[chosen["panel"] == panel]
        if len(mark):
            cross = alt.Chart(mark).mark_point(
                shape="diamond", size=160, filled=True, color="white", stroke=INK, strokeWidth=1.5, opacity=1
            )
            layers.append(cross.encode(x, y))
        panels.append(alt.layer(*layers).properties(title=str(panel)))
    return grid(panels, 2, 300, room=64)


def design_line(cells: pd.DataFrame, target: float, title: str) -> alt.ConcatChart:
    """Draw the share that the surrogate foresees over one value of the design, with its interval."""
    panels = []
    for panel, rows in cells.groupby("panel", sort=False):
        base = alt.Chart(rows).encode(alt.X("x:Q", title=title, axis=dict(grid=False, format=".3~s")))
        y = _share_axis("share", "patients who reach the endpoint")
        band = base.mark_area(color=POWER).encode(
            _share_axis("low", "patients who reach the endpoint"), alt.Y2("high"), alt.OpacityValue(0.18)
        )
        tips = [alt.Tooltip("x:Q", title=title, format=".3~s")]
        tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("confidence", "share", "low", "high")]
        line = base.mark_line(color=POWER, strokeWidth=2.2).encode(y)
        dots = base.mark_circle(color=POWER, size=24).encode(y, tooltip=tips)
        panels.append(alt.layer(_rule(target), band, line, dots).properties(title=str(panel)))
    return grid(panels, 2, 210)


def calibration(table: pd.DataFrame) -> alt.ConcatChart:
    """Draw what held-out points did against what was foreseen, a panel an arm.

    `table` holds panel, predicted, observed, low, high and rows.
    """
    panels = []
    scale = dict(domain=[0, 1])
    diagonal = alt.Chart(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})).mark_line(
        color=QUIET, strokeDash=[4, 3], strokeWidth=1
    )
    x = alt.X("predicted:Q", title="share foreseen", scale=scale, axis={**_PERCENT, "grid": False})
    for panel, rows in table.groupby("panel", sort=False):
        base = alt.Chart(rows).encode(x)
        span = base.mark_rule(color=POWER).encode(alt.Y("low:Q"), alt.Y2("high"))
        tips = [alt.Tooltip("rows:Q", title="patients held out")]
        tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("predicted", "observed", "low", "high")]
        dots = base.mark_circle(color=POWER, size=60, opacity=1)
        dots = dots.encode(_share_axis("observed", "share that reached the endpoint"), tooltip=tips)
        line = diagonal.encode(alt.X("x:Q"), alt.Y("y:Q"))
        panels.append(alt.layer(line, span, dots).properties(title=str(panel)))
    return grid(panels, 2, 210)
