"""Figures of a calibration: what the data moved, and whether the fit can be trusted."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.style import NORM, PALETTE, QUIET, log_scale

BEFORE, AFTER, SEEN = NORM, PALETTE[0], PALETTE[1]
BINS = 24  # of a posterior over its prior
LEVEL = 0.99  # of the band in which a rank histogram lies if the fit is right, each bar alone


def posteriors(drawn: pd.DataFrame, priors: Mapping[str, Prior], names: Sequence[str]) -> alt.ConcatChart:
    """Draw the posterior of each parameter over its prior, which is flat where bars have the prior's mass.

    Bars lie between equally likely values of the prior, so that it is a level line, and the posterior
    stands above it where the data make a value more likely.
    """
    panels = []
    for name in names:
        prior = priors[name]
        edges = prior.quantile(np.linspace(0, 1, BINS + 1))
        edges = np.where(np.isfinite(edges), edges, prior.quantile(np.array([1e-3, 1 - 1e-3]))[[0, -1]].max())
        share = np.histogram(drawn[name].to_numpy(float), edges)[0] / len(drawn) * BINS
        rows = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "times": share})
        scale, axis = _scale(prior, edges)
        x = alt.X("from:Q", title="", scale=scale, axis=axis)
        tips = [alt.Tooltip(f"{end}:Q", format=".3~g") for end in ("from", "to")]
        tips.append(alt.Tooltip("times:Q", title="times as likely as before", format=".2f"))
        bars = alt.Chart(rows).mark_rect(color=AFTER, opacity=0.75, stroke="white", strokeWidth=0.5)
        bars = (
            bars.encode(
                x,
                alt.X2("to"),
                alt.Y("times:Q", title="posterior / prior", axis=dict(tickCount=4)),
                tooltip=tips,
            )
            .transform_calculate(zero="0")
            .encode(alt.Y2("zero:Q"))
        )
        level = alt.Chart(pd.DataFrame({"times": [1.0]})).mark_rule(color=BEFORE, strokeDash=[4, 3])
        panels.append(alt.layer(bars, level.encode(alt.Y("times:Q"))).properties(title=short(name)))
    return grid(panels, 3, 130)


def _scale(prior: Prior, edges: np.ndarray) -> tuple[dict, dict]:
    low, high = float(edges[0]), float(edges[-1])
    if prior.logarithmic and low > 0:
        return log_scale(low, high)
    return dict(domain=[low, high], nice=False), dict(tickCount=5, grid=False)


def short(name: str) -> str:
    """Return a catalogue value's name as a panel has room for."""
    return name if len(name) <= 38 else f"...{name[-35:]}"


def ranks(rows: pd.DataFrame, names: Sequence[str], bins: int = 10) -> alt.ConcatChart:
    """Draw how often a known parameter fell into each part of its posterior, with the band of a right fit.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``parameter``, ``rank`` and ``draws``, as of `checks.simulation_based_calibration`.
    names : sequence of str
    bins : int
    """
    from scipy.stats import binom

    panels = []
    for name in names:
        mine = rows[rows["parameter"] == name]
        rank = (mine["rank"].to_numpy(float) + 0.5) / (mine["draws"].to_numpy(float) + 1)
        counts = np.histogram(rank, np.linspace(0, 1, bins + 1))[0]
        low, high = binom.interval(LEVEL, len(rank), 1 / bins)
        edges = np.linspace(0, 1, bins + 1)
        found = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": counts, "zero": 0})
        x = alt.X("from:Q", title="rank in the posterior", scale=dict(domain=[0, 1]), axis=dict(tickCount=3))
        y = alt.Y("count:Q", title="simulations", axis=dict(tickCount=4))
        bars = alt.Chart(found).mark_rect(color=AFTER, opacity=0.75, stroke="white")
        bars = bars.encode(x, alt.X2("to"), y, alt.Y2("zero"), tooltip=[alt.Tooltip("count:Q")])
        band = pd.DataFrame({"from": [0.0], "to": [1.0], "count": [low], "high": [high]})
        shade = alt.Chart(band).mark_rect(color=BEFORE, opacity=0.25)
        shade = shade.encode(x, alt.X2("to"), y, alt.Y2("high"))
        panels.append(alt.layer(shade, bars).properties(title=short(name)))
    return grid(panels, 4, 110)


def predictions(rows: pd.DataFrame) -> alt.ConcatChart:
    """Draw the middle 90 % of what the posterior predicts, and what was measured, in its own half-widths.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``statistic, observed, low, median, high`` and ``use``.
    """
    half = np.maximum((rows["high"] - rows["low"]) / 2, 1e-9)
    drawn = pd.DataFrame(
        {
            "statistic": rows["statistic"],
            "low": (rows["low"] - rows["median"]) / half,
            "high": (rows["high"] - rows["median"]) / half,
            "seen": np.clip((rows["observed"] - rows["median"]) / half, -4, 4),
            "where": np.where(rows["observed"].between(rows["low"], rows["high"]), "inside", "outside"),
            "observed": rows["observed"],
        }
    )
    names = list(drawn["statistic"])
    y = alt.Y("statistic:N", title="", sort=names, axis=dict(labelLimit=230, labelOverlap=False))
    x = alt.X("low:Q", title="half-widths of the interval from its median", scale=dict(domain=[-4, 4]))
    base = alt.Chart(drawn)
    bars = base.mark_bar(color=AFTER, opacity=0.35, height=8).encode(x, alt.X2("high"), y)
    colour = alt.Color("where:N", scale=dict(domain=["inside", "outside"], range=[AFTER, SEEN]))
    tips = [alt.Tooltip("statistic:N"), alt.Tooltip("observed:Q", format=".3~g")]
    dots = base.mark_circle(size=46, opacity=1).encode(alt.X("seen:Q"), y, colour, tooltip=tips)
    return grid([alt.layer(bars, dots)], 1, max(90, 15 * len(drawn)), names_room(names) + 60)


def structures(rows: pd.DataFrame) -> alt.ConcatChart:
    """Draw the probability of each structure, and what it was before the data.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``structure, probability``.
    """
    names = list(rows["structure"])
    y = alt.Y("structure:N", title="", sort=names)
    x = alt.X("probability:Q", title="probability", scale=dict(domain=[0, 1]), axis=dict(format="%"))
    bars = alt.Chart(rows[["structure", "probability"]]).mark_bar(color=AFTER, height=14).encode(x, y)
    before = alt.Chart(pd.DataFrame({"probability": [1 / len(names)]}))
    rule = before.mark_rule(color=QUIET, strokeDash=[4, 3]).encode(alt.X("probability:Q"))
    return grid([alt.layer(bars, rule)], 1, 26 * len(names) + 20, names_room(names))
