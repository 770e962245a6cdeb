"""Figures of a comparison: two studies side by side, on the same axes."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import band_layers, grid


def side_by_side(
    data: pd.DataFrame, runs: Sequence[str], arms: Sequence[str], unit: str, most: float | None
) -> alt.ConcatChart:
    """Draw band and median of each arm over months, a panel a study.

    Parameters
    ----------
    data : pandas.DataFrame
        run, arm, month, low, median, high, n.
    runs, arms : sequence of str
        In the order to draw; an arm has one colour in both.
    unit : str
    most : float or None
        End of the axis; None: above the data of both.
    """
    last = float(data["month"].max())
    top = most or float(data["high"].max()) * 1.05 or 1.0
    panels = []
    for run in runs:
        own = data[data["run"] == run].drop(columns="run")
        y = alt.Y("median:Q", title=unit, scale=dict(domain=[0, top], nice=False), axis=dict(tickCount=5))
        panels.append(alt.layer(*band_layers(own, arms, y, unit, last)).properties(title=run))
    return grid(panels, 2, 190, narrow=1)
