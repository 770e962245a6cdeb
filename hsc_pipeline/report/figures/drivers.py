"""Figures of what drives the outcomes, and how well they are foreseen."""

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import grid, names_room
from hsc_pipeline.report.figures.endpoints import names_axis, zero_line
from hsc_pipeline.report.style import INK, NORM

# Baselines in greys, the surrogate dark; each has a shape too.
MODEL_SHADES = ("#c9d1d8", "#98a5b0", "#6d7c89", "#24405f")
MODEL_SHAPES = ("square", "triangle-up", "diamond", "circle")


def skill(performance: pd.DataFrame) -> alt.ConcatChart:
    """Draw skill in held-out patients by target and model: mean and every fold.

    `performance` holds target, model (both named for readers), fold and skill.
    """
    models, panels = list(performance["model"].unique()), []
    shade = alt.Color("model:N", scale=dict(domain=models, range=list(MODEL_SHADES)), legend=None)
    shape = alt.Shape("model:N", scale=dict(domain=models, range=list(MODEL_SHAPES)), legend=None)
    extent = performance["skill"].agg(["min", "max"])
    domain = [max(-1.0, min(0.0, extent["min"] - 0.05)), min(1.0, max(0.1, extent["max"] + 0.05))]
    x = alt.X(
        "skill:Q",
        title="skill in held-out patients",
        scale=dict(domain=domain, nice=False, clamp=True),
        axis=dict(tickCount=6),
    )
    for target, rows in performance.groupby("target", sort=False):
        base = alt.Chart(rows).encode(names_axis("model", models), shade)
        tips = [alt.Tooltip("model:N"), alt.Tooltip("fold:O"), alt.Tooltip("skill:Q", format=".2f")]
        folds = base.mark_circle(size=30, opacity=0.45).encode(x, tooltip=tips)
        mean = alt.Tooltip("mean(skill):Q", title="mean skill", format=".2f")
        marks = base.mark_point(size=120, filled=True, opacity=1).encode(alt.X("mean(skill):Q"), shape, mean)
        panels.append(alt.layer(zero_line(), folds, marks).properties(title=str(target)))
    return grid(panels, 2, 24 * len(models), room=names_room(models))


def importance(losses: pd.DataFrame) -> alt.ConcatChart:
    """Draw how much skill is lost when a feature is shuffled, a panel a target.

    `losses` holds target, feature (both named for readers), skill_loss, low and high.
    """
    panels = []
    features = list(losses.groupby("feature")["skill_loss"].mean().sort_values(ascending=False).index)
    x = alt.X("skill_loss:Q", title="loss of skill when shuffled", axis=dict(tickCount=5))
    tips = [alt.Tooltip("feature:N")]
    tips += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("skill_loss", "low", "high")]
    for target, rows in losses.groupby("target", sort=False):
        base = alt.Chart(rows).encode(names_axis("feature", features))
        bar = base.mark_bar(color="#7ba6cb", cornerRadiusEnd=2, height=12).encode(x, tooltip=tips)
        span = base.mark_rule(color=INK, strokeWidth=1.2).encode(alt.X("low:Q"), alt.X2("high"))
        panels.append(alt.layer(bar, span).properties(title=str(target)))
    return grid(panels, 2, 22 * len(features), room=names_room(features))


def calibration(bins: pd.DataFrame) -> alt.ConcatChart:
    """Draw the share that had the event against the chance that was foreseen, a panel a target.

    `bins` holds target, model (both named for readers), predicted, observed, low, high, rows, patients.
    """
    models, panels = list(bins["model"].unique()), []
    scale = dict(domain=[0, 1])
    shade = alt.Color("model:N", scale=dict(domain=models, range=["#98a5b0", "#24405f"]))
    shape = alt.Shape("model:N", scale=dict(domain=models, range=["triangle-up", "circle"]))
    x = alt.X("predicted:Q", title="chance foreseen", scale=scale, axis=dict(tickCount=5, format="%"))
    y = alt.Y("observed:Q", title="share with the event", scale=scale, axis=dict(tickCount=5, format="%"))
    ideal = pd.DataFrame({"predicted": [0.0, 1.0], "observed": [0.0, 1.0]})
    right = alt.Chart(ideal).mark_line(color=NORM, strokeDash=[4, 3]).encode(x, y)
    tips = [alt.Tooltip("model:N")]
    tips += [alt.Tooltip(f"{name}:Q", format=".0%") for name in ("predicted", "observed", "low", "high")]
    tips += [alt.Tooltip(f"{name}:Q") for name in ("rows", "patients")]
    for target, rows in bins.groupby("target", sort=False):
        base = alt.Chart(rows).encode(x, shade)
        span = base.mark_rule(strokeWidth=1.6, opacity=0.6).encode(alt.Y("low:Q"), alt.Y2("high"))
        marks = base.mark_point(size=70, filled=True, opacity=1).encode(y, shape, tooltip=tips)
        line = base.mark_line(strokeWidth=1.2).encode(y)
        panels.append(alt.layer(right, span, line, marks).properties(title=str(target)))
    return grid(panels, 3, 200)
