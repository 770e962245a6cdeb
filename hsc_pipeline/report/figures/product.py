"""Figures of the product: copies, alleles and insertion sites, drawn against their law."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.style import INK, arm_colour, lit


def against_law(
    drawn: pd.DataFrame, expected: pd.DataFrame, arms: Sequence[str], title: str, share: str
) -> alt.ConcatChart:
    """Draw shares of classes as bars and their law as points, a panel an arm.

    Parameters
    ----------
    drawn, expected : pandas.DataFrame
        arm, class, ``drawn`` and ``count``; arm, class and ``expected``; classes in their order.
    arms : sequence of str
        Those with rows are drawn.
    title, share : str
        Of the two axes.
    """
    order = list(dict.fromkeys([*expected["class"], *drawn["class"]]))
    x = alt.X("class:N", sort=order, title=title, axis=dict(labelAngle=0, labelOverlap=True))
    y = alt.Y("drawn:Q", title=share, axis=dict(format="%", tickCount=5))
    panels = []
    for arm in [arm for arm in arms if (drawn["arm"] == arm).any()]:
        tips = [
            alt.Tooltip("class:N", title=title),
            alt.Tooltip("drawn:Q", format=".2%"),
            alt.Tooltip("count:Q", format=","),
        ]
        bars = alt.Chart(drawn[drawn["arm"] == arm]).mark_bar(cornerRadiusEnd=2)
        law = alt.Chart(expected[expected["arm"] == arm]).mark_point(color=INK, size=40, strokeWidth=1.5)
        layers = [
            bars.encode(x, y, arm_colour(arms, False), lit(0.65), tooltip=tips),
            law.encode(x, alt.Y("expected:Q"), alt.Tooltip("expected:Q", format=".2%")),
        ]
        panels.append(alt.layer(*layers).properties(title=arm))
    return grid(panels, 3, 150)


def allele_pairs(drawn: pd.DataFrame, expected: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw shares of allele pairs as horizontal bars and their law as points, a panel an arm."""
    ordered = (
        expected.sort_values("expected", ascending=False),
        drawn.sort_values("drawn", ascending=False),
    )
    pairs = list(dict.fromkeys(name for table in ordered for name in table["class"]))
    y = alt.Y("class:N", sort=pairs, title=None, axis=dict(labelLimit=190, domain=False, ticks=False))
    x = alt.X("drawn:Q", title="share of corrected stem cells", axis=dict(format="%", tickCount=5))
    panels = []
    for arm in [arm for arm in arms if (drawn["arm"] == arm).any()]:
        tips = [alt.Tooltip("class:N"), alt.Tooltip("drawn:Q", format=".2%"), alt.Tooltip("count:Q")]
        bars = alt.Chart(drawn[drawn["arm"] == arm]).mark_bar(cornerRadiusEnd=2)
        law = alt.Chart(expected[expected["arm"] == arm]).mark_point(color=INK, size=40, strokeWidth=1.5)
        layers = [
            bars.encode(y, x, arm_colour(arms, False), lit(0.65), tooltip=tips),
            law.encode(y, alt.X("expected:Q"), alt.Tooltip("expected:Q", format=".2%")),
        ]
        panels.append(alt.layer(*layers).properties(title=arm))
    return grid(panels, 2, max(60, 24 * len(pairs)), room=names_room(pairs))
