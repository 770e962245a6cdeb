"""Figures of cohort, product and engraftment."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.figures.common import band_layers, grid, names_room, on_axis, stacked_shares
from hsc_pipeline.report.style import FADED, INK, LIT, MARROW_COLOURS, arm_colour, lit, log_scale, months_axis


def patient_strips(values: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw one tick a patient by arm, with the median; a panel a quantity.

    `values` holds arm, patient, quantity, unit, value and scale (linear or log).
    """
    panels = []
    for (quantity, unit, kind), rows in values.groupby(["quantity", "unit", "scale"], sort=False):
        most = float(rows["value"].max()) * 1.05 or 1.0
        if kind == "log":
            low = max(1.0, float(rows.loc[rows["value"] > 0, "value"].min()) / 1.6)
            rows = rows.assign(value=rows["value"].clip(lower=low))
            scale, axis = log_scale(low, max(most * 1.2, low * 10))
        else:
            scale, axis = dict(domain=[0, most], nice=False), dict(tickCount=5)
        y = alt.Y("arm:N", sort=list(arms), title=None, axis=dict(domain=False, ticks=False, labelLimit=170))
        base = alt.Chart(rows).encode(y)
        tips = [
            alt.Tooltip("arm:N"),
            alt.Tooltip("patient:N"),
            alt.Tooltip("value:Q", title=unit, format=".3~s"),
        ]
        tick = base.mark_tick(thickness=1.2, size=20).encode(
            alt.X("value:Q", title=unit, scale=scale, axis=axis),
            arm_colour(arms, False),
            lit(0.45),
            tooltip=tips,
        )
        median = base.mark_tick(thickness=3, size=28, color=INK).encode(alt.X("median(value):Q"), lit(1))
        panels.append(alt.layer(tick, median).properties(title=str(quantity)))
    return grid(panels, 3, max(36, 34 * len(arms)), room=names_room(arms))


def chimerism_over_time(band: pd.DataFrame, lines: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw corrected stem cells: all arms together, then each with some of its patients.

    The parameter ``patient`` makes one of them stand out in every arm.
    """
    last = float(band["month"].max())
    y = alt.Y("median:Q", title="% of stem cells", scale=dict(domain=[0, 100]))
    tips = [
        alt.Tooltip("patient:N"),
        alt.Tooltip("month:Q"),
        alt.Tooltip("value:Q", title="%", format=".3~r"),
    ]
    panels = []
    if len(arms) > 1:
        medians = band_layers(band, arms, y, "% corrected", last)[-2:]
        panels.append(alt.layer(*medians).properties(title="medians of all arms"))
    chosen = "datum.patient == patient"
    width = alt.StrokeWidthValue(0.8, condition={"test": chosen, "value": 3})
    opacity = alt.OpacityValue(
        0.5 * FADED, condition=[{"test": chosen, "value": 1}, {"test": LIT, "value": 0.5}]
    )
    for arm in arms:
        thin = alt.Chart(lines[lines["arm"] == arm]).mark_line()
        value, patient = on_axis(y, "value"), alt.Detail("patient:N")
        thin = thin.encode(months_axis(last), value, patient, arm_colour(arms), width, opacity, tooltip=tips)
        own = band_layers(band[band["arm"] == arm], arms, y, "% corrected", last)
        panels.append(alt.layer(thin, *own).properties(title=arm))
    return grid(panels, 4, 190)


def log_bands(
    data: pd.DataFrame, arms: Sequence[str], title: str, low: float, high: float
) -> alt.ConcatChart:
    """Draw band and median of each arm over months on a logarithmic axis, in one panel."""
    scale, axis = log_scale(low, high)
    y = alt.Y("median:Q", title=title, scale=scale, axis=axis)
    return grid([alt.layer(*band_layers(data, arms, y, title, float(data["month"].max())))], 1, 240)


def marrow_composition(shares: pd.DataFrame, arms: Sequence[str]) -> alt.ConcatChart:
    """Draw what the marrow is made of, on average, a panel an arm."""
    panels = {arm: shares[shares["arm"] == arm] for arm in arms}
    return stacked_shares(panels, MARROW_COLOURS, "mean % of stem cells")
