"""How figures look: one palette, one colour an arm, one axis of time."""

from collections.abc import Sequence
from math import ceil, floor, log10

import altair as alt

# Okabe & Ito 2008, safe for the colour-blind; yellow last, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
# Lineages and parts of the marrow take hues that no arm has, so that colour never says two things.
LINEAGE_COLOURS = {
    "T cells": "#882255",
    "B cells": "#44AA99",
    "NK cells": "#B8A12E",
    "neutrophils": "#332288",
}
MARROW_COLOURS = {"corrected": "#24405f", "infused, uncorrected": "#93a8bf", "host": "#dfe5ec"}
ORIGIN_COLOURS = {
    "corrected, stem cells": "#24405f",
    "corrected, thymic progenitors": "#7a4a78",
    "corrected, short-term progenitors": "#c9a24b",
    "not corrected": "#dfe5ec",
}
INK, QUIET, GRID, NORM = "#22303c", "#5c6b78", "#e6eaee", "#8a97a3"

# True where nothing, or this mark's arm, is picked on the page.
LIT = "highlight == '' || datum.arm == highlight"
FADED = 0.12
MONTH_TICKS = (0, 1, 3, 6, 12, 24, 36, 60, 84, 120, 180, 240)
# Fonts of the same widths on every system, so that labels keep the room that was measured for them.
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"

CONFIG = {
    "font": FONT,
    "background": "white",
    "aria": False,  # the figure has one label; thousands of labelled marks would drown a screen reader
    "view": {"stroke": None},
    "axis": {
        "domainColor": "#b4bec7",
        "gridColor": GRID,
        "labelColor": QUIET,
        "labelFontSize": 11,
        "labelOverlap": "greedy",
        "labelSeparation": 4,
        "tickColor": "#b4bec7",
        "tickSize": 4,
        "titleColor": QUIET,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 6,
    },
    "legend": {
        "orient": "top",
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 240,
        "columnPadding": 14,
        "offset": 10,
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2.5,
        "title": None,
        "titleColor": QUIET,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titleOrient": "left",
    },
    "title": {
        "anchor": "start",
        "color": INK,
        "fontSize": 12.5,
        "fontWeight": 600,
        "frame": "group",
        "offset": 9,
    },
}


def label(name: str) -> str:
    """Return an arm's name as a reader wants it."""
    return name.replace("_", " ")


def colour(index: int) -> str:
    """Return the colour of the arm at this place of the study file."""
    return PALETTE[index % len(PALETTE)]


def dash(index: int) -> list[int]:
    """Return the dashes of an arm's lines: whole, until the palette begins anew."""
    return ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])[index // len(PALETTE) % 4]


def arm_colour(arms: Sequence[str], legend: bool = True) -> alt.Color:
    """Return the encoding of the arm as colour; one arm needs no legend."""
    scale = dict(domain=list(arms), range=[colour(i) for i in range(len(arms))])
    return alt.Color("arm:N", scale=scale, legend=_legend(arms, legend))


def arm_dash(arms: Sequence[str]) -> alt.StrokeDash:
    """Return the encoding of the arm as dashes, for arms beyond the palette."""
    scale = dict(domain=list(arms), range=[dash(i) for i in range(len(arms))])
    return alt.StrokeDash("arm:N", scale=scale, legend=_legend(arms, wanted=True))


def _legend(arms: Sequence[str], wanted: bool) -> dict | None:
    if not wanted or len(arms) < 2:
        return None
    return dict(columns=4 if len(arms) > 4 else 0, symbolType="stroke")


def lit(opacity: float) -> alt.OpacityValue:
    """Return the opacity of a mark that fades when another arm is picked."""
    return alt.OpacityValue(opacity * FADED, condition={"test": LIT, "value": opacity})


def months_axis(last: float) -> alt.X:
    """Return the axis of time: square root, so that the first year has room, and zero is on it."""
    ticks = [tick for tick in MONTH_TICKS if tick <= last]
    scale = dict(type="sqrt", domain=[0, last], nice=False)
    axis = dict(values=ticks, grid=False, format="d")
    return alt.X("month:Q", title="months after infusion", scale=scale, axis=axis)


def log_scale(low: float, high: float) -> tuple[dict, dict]:
    """Return a logarithmic scale and an axis with labels enough to read it.

    Powers of ten, and their double and fivefold where the axis spans less than two of them.
    """
    within = (1, 2, 5) if log10(high / low) < 2 else (1,)
    ticks = [m * 10.0**p for p in range(floor(log10(low)), ceil(log10(high)) + 1) for m in within]
    axis = dict(values=[tick for tick in ticks if low <= tick <= high], labelExpr=SHORT_NUMBER)
    return dict(type="log", domain=[low, high], nice=False), axis


# A format on the axis would give all labels one prefix: 0k, 1k; and nobody reads 100m as a tenth.
SHORT_NUMBER = "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, '~s')"
