"""The figure of validation: ranks of published values, and the coverage of intervals against their level."""

from itertools import pairwise

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from hsc_pipeline.report.page import VEGA_LITE
from hsc_pipeline.report.style import NORM, PALETTE

BINS = 10
NAMES = {"cohorts": "published outcomes", "patients": "statistics of single patients"}


def draw(cohorts: pd.DataFrame, patients: pd.DataFrame, covered: pd.DataFrame, free: set[str]) -> str:
    """Return the figure as SVG; only rows that set no default are drawn."""
    of = {"cohorts": cohorts[cohorts["row"].isin(free)], "patients": patients[patients["sets"] == ""]}
    panels = [histogram(rows, NAMES[name], number) for number, (name, rows) in enumerate(of.items())]
    panels += [curve(covered[covered["table"] == name], NAMES[name], n) for n, name in enumerate(of)]
    chart = alt.concat(*panels, columns=2).configure_view(stroke=None)
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGA_LITE, allowed_base_urls=[])


def histogram(rows: pd.DataFrame, title: str, number: int) -> alt.LayerChart:
    """Draw how the ranks are spread; even ones make a level line, ties are spread over their bins."""
    edges = np.linspace(0, 1, BINS + 1)
    low, high = rows["rank_low"].to_numpy(), rows["rank_high"].to_numpy()
    wide = np.maximum(high - low, 1e-12)
    shares = [
        float(np.mean(np.clip(np.minimum(high, b) - np.maximum(low, a), 0, None) / wide))
        for a, b in pairwise(edges)
    ]
    bars = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "share": shares})
    marks = alt.Chart(bars).mark_rect(color=PALETTE[number], opacity=0.75, stroke="white", strokeWidth=0.5)
    marks = marks.encode(
        alt.X("from:Q", title="rank of the published value among the worlds", scale=dict(domain=[0, 1])),
        alt.X2("to"),
        alt.Y("share:Q", title="share of rows", scale=dict(zero=True), axis=dict(format="%", tickCount=5)),
    )
    marks = marks.transform_calculate(zero="0").encode(alt.Y2("zero:Q"))
    even = alt.Chart(pd.DataFrame({"share": [1 / BINS]})).mark_rule(color=NORM, strokeDash=[4, 3])
    return alt.layer(marks, even.encode(alt.Y("share:Q"))).properties(width=280, height=130, title=title)


def curve(rows: pd.DataFrame, title: str, number: int) -> alt.LayerChart:
    """Draw the share inside against the level, over the band in which the model expects it."""
    x = alt.X("level:Q", title="level of the interval", scale=dict(domain=[0, 1]), axis=dict(format="%"))
    share = dict(domain=[0, 1])
    band = alt.Chart(rows).mark_area(color=NORM, opacity=0.35)
    band = band.encode(
        x,
        alt.Y("expected_low:Q", scale=share, title="share inside", axis=dict(format="%")),
        alt.Y2("expected_high"),
    )
    line = alt.Chart(rows).mark_line(color=PALETTE[number], point=dict(color=PALETTE[number]))
    line = line.encode(x, alt.Y("share:Q", scale=share))
    return alt.layer(band, line).properties(width=280, height=180, title=title)
