"""Figures of outcomes."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.style import QUIET, arm_colour, arm_dash, lit, months_axis


def names_axis(field: str, names: Sequence[str]) -> alt.Y:
    """Return an axis of names, in their order."""
    axis = dict(domain=False, ticks=False, labelLimit=170)
    return alt.Y(f"{field}:N", sort=list(names), title=None, axis=axis)


def zero_line() -> alt.Chart:
    """Return the line of no effect."""
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=QUIET, strokeDash=[4, 3])
    return zero.encode(alt.X("zero:Q"))


def shares_by_arm(shares: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw shares of patients by arm with their intervals, a panel an endpoint.

    `shares` holds arm, endpoint, value, low, high (percent) and text.
    """
    panels, x = [], alt.X("value:Q", title="% of patients", scale=dict(domain=[0, 100]))
    for endpoint, rows in shares.groupby("endpoint", sort=False):
        base = alt.Chart(rows).encode(names_axis("arm", arms), arm_colour(arms, False))
        rule = base.mark_rule(strokeWidth=4, strokeCap="round").encode(
            alt.X("low:Q"), alt.X2("high"), lit(0.4)
        )
        tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title=str(endpoint))]
        dot = base.mark_circle(size=150).encode(x, lit(1), tooltip=tooltip)
        panels.append(alt.layer(rule, dot).properties(title=str(endpoint)))
    return grid(panels, 2, max(60, 38 * len(arms)), room=names_room(arms))


def protection_over_time(curve: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw the cumulative share of patients with T-cell protection at any visit so far."""
    y = alt.Y("share:Q", title="% of patients, cumulative", scale=dict(domain=[0, 100]))
    base = alt.Chart(curve).encode(months_axis(float(curve["month"].max())), y, arm_colour(arms), lit(1))
    tips = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("month:Q"),
        alt.Tooltip("share:Q", title="% protected", format=".3~r"),
    ]
    line = base.mark_line(interpolate="step-after", strokeWidth=2.4).encode(arm_dash(arms))
    return grid([alt.layer(line, base.mark_circle(size=28).encode(tooltip=tips))], 1, 240)


def differences(
    contrasts: pd.DataFrame, arms: Sequence[str], others: Sequence[str] | None = None
) -> alt.ConcatChart:
    """Draw differences by arm with their intervals, a panel an endpoint.

    `contrasts` holds endpoint, unit, arm, value, low, high and text; `arms` are all that have a colour,
    `others` those that are drawn: by default all but the first, from which they differ.
    """
    panels, others = [], list(arms)[1:] if others is None else list(others)
    for (endpoint, unit), rows in contrasts.groupby(["endpoint", "unit"], sort=False):
        bounds = [*rows[["low", "high", "value"]].stack().dropna(), 0.0]
        room = 0.08 * (max(bounds) - min(bounds) or 1.0)
        scale = dict(domain=[min(bounds) - room, max(bounds) + room], nice=False)
        x = alt.X("value:Q", title=unit, scale=scale, axis=dict(tickCount=5))
        base = alt.Chart(rows).encode(names_axis("arm", others), arm_colour(arms, False))
        span = base.mark_rule(strokeWidth=4, strokeCap="round").encode(
            alt.X("low:Q"), alt.X2("high"), lit(0.4)
        )
        tips = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="difference")]
        dot = base.mark_circle(size=110).encode(x, lit(1), tooltip=tips)
        panels.append(alt.layer(zero_line(), span, dot).properties(title=str(endpoint)))
    return grid(panels, 3, max(40, 32 * len(others)), room=names_room(others))
