"""Figures of early prediction: skill by month of knowledge, what it rests on and what it is worth."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import NUMBERS, grid
from hsc_pipeline.report.style import INK, QUIET

SHADES = {"linear model": "#b4bec7", "forest": "#7a8894", "chosen": "#24405f"}
SHAPES = ("square", "diamond", "circle")
NAMES_ROOM, NAMES_LIMIT = 236, 220  # pixels of names with units
STRATEGY_COLOURS = {
    "known at infusion": "#7ba6cb",
    "known later": "#24405f",
    "act on all": "#b0641f",
    "act on none": "#5c6b78",
}
_STRATEGY_DASHES = ([6, 3], [1, 0], [2, 2], [1, 3])


def skill_by_month(skill: pd.DataFrame, known: Sequence[str]) -> alt.ConcatChart:
    """Draw held-out skill by what is known, a panel a target at a visit.

    Parameters
    ----------
    skill : pandas.DataFrame
        panel, known (named for readers), model (of `SHADES`), skill, low and high.
    known : sequence of str
        Months of knowledge in their order.
    """
    x = alt.X(
        "known:N",
        sort=list(known),
        title="known up to (months after infusion)",
        scale=dict(paddingOuter=0.25),
        axis=dict(labelAngle=0, grid=False),
    )
    return _skill_panels(skill, x)


def learning(learnt: pd.DataFrame) -> alt.ConcatChart:
    """Draw held-out skill by number of training patients, a panel a target at a visit.

    `learnt` holds panel, patients, model (of `SHADES`), skill, low and high.
    """
    counts = sorted(learnt["patients"].unique())
    scale = dict(type="log", domain=[0.9 * counts[0], 1.1 * counts[-1]], nice=False)
    axis = dict(values=counts, format="d", grid=False)
    return _skill_panels(learnt, alt.X("patients:Q", title="training patients", scale=scale, axis=axis))


def _skill_panels(rows: pd.DataFrame, x: alt.X) -> alt.ConcatChart:
    least = max(-0.6, min(0.0, rows["low"].min()))
    y = alt.Y(
        "skill:Q",
        title="skill, held-out patients",
        scale=dict(domain=[least, 1], nice=False, clamp=True),
        axis=dict(tickCount=5),
    )
    shade = alt.Color("model:N", scale=dict(domain=list(SHADES), range=list(SHADES.values())))
    shape = alt.Shape("model:N", scale=dict(domain=list(SHADES), range=list(SHAPES)))
    tips = [alt.Tooltip("model:N")]
    tips += [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("skill", "low", "high")]
    panels = []
    for title, own in rows.groupby("panel", sort=False):
        base = alt.Chart(own).encode(x, shade)
        chosen = base.transform_filter("datum.model == 'chosen'")
        span = (
            chosen.mark_rule(strokeWidth=4, opacity=0.3, clip=True)
            .encode(y, alt.Y2("bottom"))
            .transform_calculate(skill="datum.high", bottom="datum.low")
        )
        line = base.mark_line(strokeWidth=1.6).encode(y)
        marks = base.mark_point(filled=True, size=46, opacity=1).encode(y, shape, tooltip=tips)
        panels.append(alt.layer(_level(0.0), span, line, marks).properties(title=str(title)))
    return grid(panels, 2, 130)


def _level(value: float) -> alt.Chart:
    level = alt.Chart(pd.DataFrame({"level": [value]}))
    return level.mark_rule(color=QUIET, strokeDash=[4, 3]).encode(alt.Y("level:Q"))


def calibration(curve: pd.DataFrame) -> alt.ConcatChart:
    """Draw the observed share by the predicted one, a panel a target at a visit.

    `curve` holds panel, predicted, observed, low and high (percent), rows and patients.
    """
    ends = pd.DataFrame({"predicted": [0.0, 100.0], "observed": [0.0, 100.0]})
    scale, axis = dict(domain=[0, 100], nice=False), dict(tickCount=5)
    x = alt.X("predicted:Q", title="predicted chance, %", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="observed share, %", scale=scale, axis=axis)
    ideal = alt.Chart(ends).mark_line(color=QUIET, strokeDash=[4, 3], strokeWidth=1).encode(x, y)
    tips = [alt.Tooltip(f"{name}:Q", format=".0f") for name in ("predicted", "observed", "low", "high")]
    tips += [alt.Tooltip("patients:Q")]
    panels = []
    for title, own in curve.groupby("panel", sort=False):
        base = alt.Chart(own).encode(x)
        span = base.mark_rule(color=SHADES["chosen"], strokeWidth=3, opacity=0.35).encode(
            alt.Y("low:Q", title="observed share, %", scale=scale, axis=axis), alt.Y2("high")
        )
        marks = base.mark_circle(color=SHADES["chosen"], size=80, opacity=1).encode(y, tooltip=tips)
        panels.append(alt.layer(ideal, span, marks).properties(title=str(title)))
    return grid(panels, 2, 220)


def decision(curves: pd.DataFrame) -> alt.ConcatChart:
    """Draw the net benefit of each strategy by threshold, a panel a target at a visit.

    `curves` holds panel, strategy (of `STRATEGY_COLOURS`), threshold (percent) and net_benefit, in
    events acted upon per 100 patients.
    """
    strategies = list(STRATEGY_COLOURS)
    legend, dashes = dict(symbolType="stroke"), dict(domain=strategies, range=list(_STRATEGY_DASHES))
    scale = dict(domain=strategies, range=list(STRATEGY_COLOURS.values()))
    colour = alt.Color("strategy:N", scale=scale, legend=legend)
    dash = alt.StrokeDash("strategy:N", scale=dashes, legend=legend)
    most = 1.1 * max(curves["net_benefit"].max(), 1.0)
    x = alt.X(
        "threshold:Q", title="threshold of risk, %", scale=dict(domain=[0, 100]), axis=dict(tickCount=5)
    )
    y = alt.Y(
        "net_benefit:Q",
        title="net benefit per 100 patients",
        scale=dict(domain=[-most / 3, most], nice=False),
        axis=dict(tickCount=5),
    )
    tips = [alt.Tooltip("strategy:N"), alt.Tooltip("threshold:Q"), alt.Tooltip("net_benefit:Q", format=".1f")]
    panels = []
    for title, own in curves.groupby("panel", sort=False):
        base = alt.Chart(own).encode(x, y, colour)
        line = base.mark_line(strokeWidth=2.2, clip=True).encode(dash)
        marks = base.mark_circle(size=16, clip=True).encode(tooltip=tips)
        panels.append(alt.layer(line, marks).properties(title=str(title)))
    return grid(panels, 2, 200)


def importance(losses: pd.DataFrame) -> alt.ConcatChart:
    """Draw how much skill is lost when a measurement is shuffled, a panel a target at a visit.

    `losses` holds panel, feature (with unit), skill_loss, low and high, the most important first.
    """
    x = alt.X("skill_loss:Q", title="loss of skill when shuffled", axis=dict(tickCount=5))
    tips = [alt.Tooltip("feature:N")]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("skill_loss", "low", "high")]
    panels, most = [], losses.groupby("panel").size().max()
    for title, rows in losses.groupby("panel", sort=False):
        axis = dict(domain=False, ticks=False, labelLimit=NAMES_LIMIT)
        y = alt.Y("feature:N", sort=list(rows["feature"]), title=None, axis=axis)
        base = alt.Chart(rows).encode(y)
        bar = base.mark_bar(color="#7ba6cb", cornerRadiusEnd=2, height=12).encode(x, tooltip=tips)
        span = base.mark_rule(color=INK, strokeWidth=1.2).encode(alt.X("low:Q"), alt.X2("high"))
        panels.append(alt.layer(bar, span).properties(title=str(title)))
    return grid(panels, 2, 22 * int(most), room=NAMES_ROOM)


def dependence(courses: pd.DataFrame, title: str) -> alt.ConcatChart:
    """Draw the mean prediction by the value of a measurement, a panel a measurement.

    `courses` holds feature (with unit), value, quantile, predicted, least and most; `title` is the axis of
    predictions.
    """
    domain = [courses["least"].min(), courses["most"].max()]
    y_of = dict(title=title, scale=dict(domain=domain, nice=True, zero=False), axis=dict(tickCount=5))
    tips = [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("value", "quantile", "predicted")]
    panels = []
    for feature, rows in courses.groupby("feature", sort=False):
        values = [rows["value"].min(), rows["value"].max()]
        scale = dict(domain=values, nice=False, zero=False)
        x = alt.X("value:Q", title=str(feature), scale=scale, axis=dict(tickCount=5))
        base = alt.Chart(rows).encode(x)
        band = base.mark_area(color=SHADES["chosen"], opacity=0.15).encode(
            alt.Y("least:Q", **y_of), alt.Y2("most")
        )
        line = base.mark_line(color=SHADES["chosen"], strokeWidth=2.4).encode(alt.Y("predicted:Q", **y_of))
        marks = base.mark_circle(color=SHADES["chosen"], size=40, opacity=1).encode(
            alt.Y("predicted:Q", **y_of), tooltip=tips
        )
        panels.append(alt.layer(band, line, marks))
    return grid(panels, 3, 170, room=NUMBERS)
