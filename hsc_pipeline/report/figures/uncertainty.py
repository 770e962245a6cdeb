"""Figures of whose uncertainty an interval spans, and of what the outcomes follow."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.figures.endpoints import names_axis
from hsc_pipeline.report.style import INK, lit

# Hues that no arm has, apart in lightness too.
SPANS = {"between patients": "#b9c4cf", "Monte Carlo": "#24405f", "uncertain values": "#c9862b"}
EVIDENCE = {
    "assumed": "#a33b20",
    "derived": "#c9a24b",
    "computed": "#7f9a6f",
    "published": "#4f7f86",
    "study file": "#b4bec7",
}
MOST_NAMES = 26  # characters of a value's name beside an axis


def intervals(spans: pd.DataFrame, arms: Sequence[str], colours: Mapping[str, str]) -> alt.ConcatChart:
    """Draw the intervals of each arm below one another, a panel an endpoint.

    `spans` holds endpoint, unit, arm, span (a key of `colours`), value, low, high and text.
    """
    kinds, panels = list(colours), []
    colour = alt.Color("span:N", scale=dict(domain=kinds, range=list(colours.values())))
    offset = alt.YOffset("span:N", sort=kinds, scale=dict(domain=kinds))
    for (endpoint, unit), rows in spans.groupby(["endpoint", "unit"], sort=False):
        base = alt.Chart(rows).encode(names_axis("arm", arms), offset, colour)
        tips = [alt.Tooltip("arm:N"), alt.Tooltip("span:N"), alt.Tooltip("text:N", title=str(endpoint))]
        span = base.mark_rule(strokeWidth=6, strokeCap="round").encode(
            alt.X("low:Q", title=unit, scale=dict(zero=False), axis=dict(tickCount=5)),
            alt.X2("high"),
            lit(0.85),
            tooltip=tips,
        )
        dot = base.mark_circle(size=34, color=INK).encode(
            alt.X("value:Q"), color=alt.value(INK), opacity=lit(1), tooltip=tips
        )
        panels.append(alt.layer(span, dot).properties(title=str(endpoint)))
    return grid(panels, 3, max(60, 46 * len(arms)), room=names_room(arms))


def indices(drawn: pd.DataFrame) -> alt.ConcatChart:
    """Draw the index of each value with its interval, a panel an outcome.

    `drawn` holds outcome, parameter, index, low, high, s1 and evidence; values in their order.
    """
    kinds = [kind for kind in EVIDENCE if kind in set(drawn["evidence"])]
    colour = alt.Color("evidence:N", scale=dict(domain=kinds, range=[EVIDENCE[kind] for kind in kinds]))
    tips = [alt.Tooltip("parameter:N"), alt.Tooltip("evidence:N")]
    tips += [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("index", "low", "high", "s1")]
    x = alt.X("index:Q", title="share of variance, total", scale=dict(domain=[0, 1]), axis=dict(tickCount=5))
    names = [short_name(name) for name in drawn["parameter"].unique()]
    panels = []
    for outcome, rows in drawn.groupby("outcome", sort=False):
        rows = rows.assign(name=rows["parameter"].map(short_name))
        base = alt.Chart(rows).encode(names_axis("name", list(rows["name"])))
        bar = base.mark_bar(height=11, cornerRadiusEnd=2).encode(x, colour, tooltip=tips)
        span = base.mark_rule(color=INK, strokeWidth=1.2).encode(alt.X("low:Q"), alt.X2("high"))
        first = base.mark_tick(color=INK, thickness=2, size=11).encode(alt.X("s1:Q"))
        panels.append(alt.layer(bar, span, first).properties(title=str(outcome)))
    most = int(drawn.groupby("outcome").size().max())
    return grid(panels, 2, max(40, 22 * most), room=names_room(names))


def short_name(name: str) -> str:
    """Return the end of a value's name that has room beside an axis."""
    return name if len(name) <= MOST_NAMES else f"…{name[-MOST_NAMES:]}"
