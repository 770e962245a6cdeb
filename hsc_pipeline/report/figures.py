"""The figures: one small pure function each, from data frames to an Altair chart.

Every function takes the arms in the order of the study and a `Layout`.  A band is the 5th to the
95th centile of the patients, a bold line their median, a thin line one patient.
"""

from collections.abc import Callable, Sequence

import altair as alt
import pandas as pd

from hsc_pipeline.report.style import (
    INK,
    LINEAGE_COLOURS,
    MARROW_COLOURS,
    NORM,
    PALETTE,
    QUIET,
    Layout,
    arm_colour,
    arm_dash,
    colour,
    count_axis,
    lit,
    months_axis,
)

alt.data_transformers.disable_max_rows()  # the page's size is what is watched


def grid(panels: Sequence[alt.Chart], layout: Layout, most: int, height: int) -> alt.ConcatChart:
    """Set panels beside and below one another, as wide as the layout allows."""
    columns = layout.columns(len(panels), most)
    sized = [panel.properties(width=layout.panel(columns), height=height) for panel in panels]
    return alt.concat(*sized, columns=columns)


def band_layers(data: pd.DataFrame, arms: Sequence[str], x: alt.X, y: alt.Y, tip: str) -> list[alt.Chart]:
    """Return band and median line of each arm.

    Parameters
    ----------
    data : pandas.DataFrame
        arm, month, low, median, high, n.
    tip : str
        What the tooltip calls the value.
    """
    base = alt.Chart(data).encode(x=x, color=arm_colour(arms))
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("month:Q"),
        alt.Tooltip("median:Q", title=f"{tip}, median", format=".3~s"),
        alt.Tooltip("low:Q", title="5th centile", format=".3~s"),
        alt.Tooltip("high:Q", title="95th centile", format=".3~s"),
        alt.Tooltip("n:Q", title="patients"),
    ]
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", **_same(y)), y2="high:Q", opacity=lit(0.13), color=arm_colour(arms, legend=False)
    )
    line = base.mark_line(clip=True, strokeWidth=2.2).encode(y=y, opacity=lit(1), strokeDash=arm_dash(arms))
    points = base.mark_circle(clip=True, size=26).encode(y=y, opacity=lit(1), tooltip=tooltip)
    return [band, line, points]


def _same(y: alt.Y) -> dict:
    """Return title, scale and axis of an encoding, for another field on the same axis."""
    content = y.to_dict(context={"data": pd.DataFrame()})
    return {name: content[name] for name in ("title", "scale", "axis") if name in content}


def protection_by_arm(shares: pd.DataFrame, arms: Sequence[str], layout: Layout) -> alt.Chart:
    """Draw shares of patients by arm with their intervals, a panel an endpoint.

    `shares` holds arm, endpoint, value, low, high (percent) and text.
    """
    y = alt.Y("arm:N", sort=list(arms), title=None, axis=alt.Axis(labels=False, ticks=False, domain=False))
    panels = []
    for endpoint, rows in shares.groupby("endpoint", sort=False):
        base = alt.Chart(rows).encode(y=y, color=arm_colour(arms, legend=False))
        x = alt.X("value:Q", title="% of patients", scale=alt.Scale(domain=[0, 100]))
        rule = base.mark_rule(strokeWidth=3, strokeCap="round").encode(
            x=alt.X("low:Q", title="% of patients"), x2="high:Q", opacity=lit(0.45)
        )
        tooltip = ["arm:N", alt.Tooltip("text:N", title=str(endpoint))]
        dot = base.mark_circle(size=110).encode(x=x, opacity=lit(1), tooltip=tooltip)
        names = base.mark_text(align="left", dy=-14, fontSize=11.5, baseline="middle").encode(
            x=alt.value(0), text="arm:N", opacity=lit(1)
        )
        panels.append(alt.layer(rule, dot, names).properties(title=str(endpoint)))
    return grid(panels, layout, 2 if layout.width > 600 else 1, 44 * len(arms))


def patient_strips(values: pd.DataFrame, arms: Sequence[str], layout: Layout) -> alt.Chart:
    """Draw one tick a patient by arm, with the median and the 5-95 % range; a panel a quantity.

    `values` holds arm, patient, quantity, unit, value and scale (linear or symlog).
    """
    panels = []
    for (quantity, unit, scale), rows in values.groupby(["quantity", "unit", "scale"], sort=False):
        extent = [0.0, float(rows["value"].max()) * 1.05 or 1.0]
        ticks = [0, *(10.0**p for p in range(9) if 10.0**p <= extent[1])] if scale == "symlog" else alt.Undefined
        axis = alt.Axis(values=ticks, format="~s", tickCount=5)
        x = alt.X("value:Q", title=unit, scale=alt.Scale(type=scale, domain=extent, nice=False), axis=axis)
        y = alt.Y("arm:N", sort=list(arms), title=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=90))
        base = alt.Chart(rows).encode(y=y, color=arm_colour(arms, legend=False))
        tips = ["arm:N", "patient:N", alt.Tooltip("value:Q", title=str(quantity), format=".3~s")]
        tick = base.mark_tick(thickness=1.2, size=20).encode(x=x, opacity=lit(0.45), tooltip=tips)
        median = base.mark_tick(thickness=3, size=28, color=INK).encode(
            x=alt.X("median(value):Q", title=unit), color=alt.value(INK), opacity=lit(1)
        )
        panels.append(alt.layer(tick, median).properties(title=str(quantity)))
    return grid(panels, layout, 3 if layout.width > 600 else 1, max(36, 34 * len(arms)))


def copies_per_cell(
    drawn: pd.DataFrame, expected: pd.DataFrame, arms: Sequence[str], layout: Layout
) -> alt.Chart:
    """Draw copies of corrected clones as bars and their law as points, a panel an arm."""
    panels = []
    x = alt.X("copies:O", title="vector copies per cell (10: ten and more)", axis=alt.Axis(labelAngle=0))
    for arm in arms:
        bars = alt.Chart(drawn[drawn["arm"] == arm]).mark_bar(cornerRadiusEnd=2)
        tips = ["copies:O", alt.Tooltip("drawn:Q", format=".2%"), alt.Tooltip("clones:Q", format=",")]
        share = alt.Y("drawn:Q", title="share of corrected clones", axis=alt.Axis(format="%", tickCount=5))
        bars = bars.encode(x=x, y=share, color=arm_colour(arms, legend=False), opacity=lit(0.65), tooltip=tips)
        law = alt.Chart(expected[expected["arm"] == arm]).mark_point(
            filled=False, color=INK, size=46, strokeWidth=1.6
        )
        law = law.encode(x=x, y="expected:Q", tooltip=[alt.Tooltip("expected:Q", format=".2%")])
        panels.append(alt.layer(bars, law).properties(title=arm))
    return grid(panels, layout, 4 if layout.width > 600 else 1, 150)


def chimerism_over_time(
    band: pd.DataFrame, lines: pd.DataFrame, arms: Sequence[str], layout: Layout
) -> alt.Chart:
    """Draw corrected stem cells: all arms together, then each with some of its patients."""
    last = float(band["month"].max())

    def panel(layers: Callable[[alt.X, alt.Y], list], title: str) -> alt.Chart:
        y = alt.Y("median:Q", title="% of stem cells", scale=alt.Scale(domain=[0, 100]))
        return alt.layer(*layers(months_axis(last), y)).properties(title=title)

    def with_patients(arm: str) -> Callable[[alt.X, alt.Y], list]:
        def layers(x: alt.X, y: alt.Y) -> list[alt.Chart]:
            thin = alt.Chart(lines[lines["arm"] == arm]).mark_line(strokeWidth=0.8)
            value = alt.Y("value:Q", **_same(y))
            tips = ["patient:N", "month:Q", alt.Tooltip("value:Q", title="% corrected", format=".3~r")]
            colours = arm_colour(arms, legend=False)
            thin = thin.encode(x=x, y=value, detail="patient:N", color=colours, opacity=lit(0.5), tooltip=tips)
            return [thin, *band_layers(band[band["arm"] == arm], arms, x, y, "% corrected")]

        return layers

    panels = [panel(with_patients(arm), arm) for arm in arms]
    if len(arms) > 1:
        panels.insert(0, panel(lambda x, y: band_layers(band, arms, x, y, "% corrected"), "all arms"))
    return grid(panels, layout, 4 if layout.width > 600 else 1, 190)


def bands_by_panel(
    data: pd.DataFrame, arms: Sequence[str], layout: Layout, y_title: str, most: int = 3, domain: tuple = ()
) -> alt.Chart:
    """Draw band and median of each arm over months on a linear axis, a panel a value of ``panel``."""
    last, panels = float(data["month"].max()), []
    for title, rows in data.groupby("panel", sort=False):
        scale = alt.Scale(domain=list(domain)) if domain else alt.Scale(zero=True)
        y = alt.Y("median:Q", title=y_title, scale=scale, axis=alt.Axis(tickCount=5))
        layers = band_layers(rows, arms, months_axis(last), y, str(title))
        panels.append(alt.layer(*layers).properties(title=str(title)))
    return grid(panels, layout, most, 150)


def log_bands(
    data: pd.DataFrame, arms: Sequence[str], layout: Layout, title: str, domain: tuple[float, float]
) -> alt.Chart:
    """Draw band and median of each arm over months on a logarithmic axis, in one panel."""
    layers = band_layers(
        data, arms, months_axis(float(data["month"].max())), count_axis("median", title, *domain), title
    )
    return grid([alt.layer(*layers)], layout, 1, 240)


def marrow_composition(shares: pd.DataFrame, arms: Sequence[str], layout: Layout) -> alt.Chart:
    """Draw what the marrow is made of, on average, a panel an arm."""
    kinds, last = list(MARROW_COLOURS), float(shares["month"].max())
    scale = alt.Scale(domain=kinds, range=list(MARROW_COLOURS.values()))
    panels = []
    for arm in arms:
        rows = shares[shares["arm"] == arm]
        rows = rows.assign(order=rows["kind"].map(kinds.index))
        area = alt.Chart(rows).mark_area(stroke="white", strokeWidth=0.8)
        share = alt.Y(
            "share:Q", title="mean % of stem cells", stack="zero", axis=alt.Axis(format="%", tickCount=5),
            scale=alt.Scale(domain=[0, 1]),
        )  # fmt: skip
        tips = ["kind:N", "month:Q", alt.Tooltip("share:Q", format=".1%")]
        kind = alt.Color("kind:N", scale=scale, legend=alt.Legend(symbolType="square"))
        panels.append(
            area.encode(
                x=months_axis(last), y=share, color=kind, order="order:Q", opacity=lit(1), tooltip=tips
            ).properties(title=arm)
        )
    return grid(panels, layout, 4 if layout.width > 600 else 1, 150)


def blood_counts(
    data: pd.DataFrame, reference: pd.DataFrame, arms: Sequence[str], layout: Layout
) -> alt.Chart:
    """Draw counts by lineage over months against the reference interval for age."""
    last, panels = float(data["month"].max()), []
    for lineage, rows in data.groupby("lineage", sort=False):
        normal = reference[reference["lineage"] == lineage]
        low = max(1.0, min(rows["low"].min(), normal["p10"].min()) / 1.3)
        high = max(rows["high"].max(), normal["p90"].max()) * 1.3
        x, y = months_axis(last), count_axis("median", "cells/µL", low, high)
        norm = alt.Chart(normal).mark_area(color=NORM, opacity=0.22, clip=True)
        norm = norm.encode(x=x, y=alt.Y("p10:Q", **_same(y)), y2="p90:Q")
        layers = [norm, *band_layers(rows, arms, x, y, "cells/µL")]
        panels.append(alt.layer(*layers).properties(title=str(lineage)))
    return grid(panels, layout, 4 if layout.width > 600 else 2, 150)


def copies_by_lineage(data: pd.DataFrame, arms: Sequence[str], layout: Layout) -> alt.Chart:
    """Draw VCN of the lineages over months, a panel an arm."""
    last, most = float(data["month"].max()), float(data["median"].max()) * 1.08 or 1.0
    scale = alt.Scale(domain=list(LINEAGE_COLOURS), range=list(LINEAGE_COLOURS.values()))
    panels = []
    for arm in arms:
        base = alt.Chart(data[data["arm"] == arm]).encode(
            x=months_axis(last),
            y=alt.Y("median:Q", title="copies per cell", scale=alt.Scale(domain=[0, most])),
            color=alt.Color("cells:N", scale=scale, legend=alt.Legend(symbolType="stroke")),
            opacity=lit(1),
        )
        tips = ["cells:N", "month:Q", *(alt.Tooltip(f"{c}:Q", format=".2f") for c in ("median", "low", "high"))]
        layers = base.mark_line(strokeWidth=2.2), base.mark_circle(size=24).encode(tooltip=tips)
        panels.append(alt.layer(*layers).properties(title=arm))
    return grid(panels, layout, 4 if layout.width > 600 else 1, 190)


def rank_abundance(ranks: pd.DataFrame, layout: Layout) -> alt.Chart:
    """Draw the share of fragments by rank, a line a month and a panel a sorted lineage."""
    low, high = float(ranks["share"].min()) / 1.3, min(1.0, float(ranks["share"].max()) * 1.5)
    most, panels = max(2.0, float(ranks["rank"].max()) * 1.1), []
    months = sorted(ranks["month"].unique())
    ramp = ["#b7cfe3", "#7ba6cb", "#3f79ab", "#123f6b"]
    shades = [ramp[round(i * (len(ramp) - 1) / max(1, len(months) - 1))] for i in range(len(months))]
    scale = alt.Scale(domain=months, range=shades)
    for lineage, rows in ranks.groupby("lineage", sort=False):
        line = alt.Chart(rows).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=12)).encode(
            x=alt.X(
                "rank:Q", title="rank of the site", scale=alt.Scale(type="log", domain=[1, most], nice=False),
                axis=alt.Axis(values=[1, 10, 100, 1000, 10000, 100000], format="~s"),
            ),
            y=alt.Y(
                "share:Q", title="share of fragments",
                scale=alt.Scale(type="log", domain=[low, high], nice=False),
                axis=alt.Axis(values=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], format="~%"),
            ),
            color=alt.Color("month:O", scale=scale, legend=alt.Legend(title="month", symbolType="stroke")),
            tooltip=["month:Q", "rank:Q", alt.Tooltip("share:Q", format=".2%")],
        )  # fmt: skip
        panels.append(line.properties(title=str(lineage)))
    return grid(panels, layout, 3 if layout.width > 600 else 1, 190)


def largest_clones(clones: pd.DataFrame, layout: Layout) -> alt.Chart:
    """Draw one patient's largest clones and all others: the whole, and the largest enlarged."""
    last = float(clones["month"].max())
    names = clones.drop_duplicates("order").sort_values("order")
    n = int((~names["clone"].str.startswith("all ")).sum())
    shades = [CLONE_SHADES[i % len(CLONE_SHADES)] for i in range(n)] + ["#e3e8ed"] * (len(names) - n)
    scale = alt.Scale(domain=list(names["clone"]), range=shades)
    top = clones[~clones["clone"].str.startswith("all ")]
    zoom = max(0.1, float(top.groupby("month")["share"].sum().max()) * 1.08)

    def panel(rows: pd.DataFrame, most: float, title: str) -> alt.Chart:
        area = alt.Chart(rows).mark_area(stroke="white", strokeWidth=0.6, clip=True)
        y = alt.Y(
            "share:Q", title="% of corrected stem cells", stack="zero",
            scale=alt.Scale(domain=[0, most], nice=False), axis=alt.Axis(tickCount=6),
        )  # fmt: skip
        tips = ["clone:N", "month:Q", alt.Tooltip("share:Q", title="%", format=".3~r"), "cells:Q"]
        return area.encode(
            x=months_axis(last), y=y, color=alt.Color("clone:N", scale=scale, legend=None), order="order:Q", tooltip=tips
        ).properties(title=title)

    panels = [panel(clones, 100, "the whole marrow")]
    if len(names) > n:
        panels.append(panel(top, zoom, f"the {n} largest, enlarged"))
    return grid(panels, layout, 2 if layout.width > 600 else 1, 240)


CLONE_SHADES = (*PALETTE[:6], "#7a5195", "#88735b", "#3d7ea6", "#b8a12e", "#aa4466", "#4f6d50")
