"""How figures look: one palette, one colour an arm, one axis of time, two widths."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

# Okabe & Ito 2008, safe for the colour-blind; yellow last, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
# Lineages and parts of the marrow take hues that no arm has, so that colour never says two things.
LINEAGE_COLOURS = {"T cells": "#882255", "B cells": "#44AA99", "NK cells": "#B8A12E", "neutrophils": "#332288"}
MARROW_COLOURS = {"corrected": "#24405f", "infused, uncorrected": "#93a8bf", "host": "#dfe5ec"}
INK, QUIET, GRID, NORM = "#22303c", "#5c6b78", "#e6eaee", "#8a97a3"

# True where nothing, or this mark's arm, is picked on the page.
LIT = "highlight == '' || datum.arm == highlight"
FADED = 0.12
MONTH_TICKS = (0, 1, 3, 6, 12, 24, 36, 60, 84, 120, 180, 240)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

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
        "labelLimit": 220,
        "offset": 8,
        "symbolStrokeWidth": 2.5,
        "title": None,
        "titleColor": QUIET,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    "title": {"anchor": "start", "color": INK, "fontSize": 12.5, "fontWeight": 600, "offset": 8},
    "concat": {"spacing": 18},
}


@dataclass(frozen=True)
class Layout:
    """A width of the page.

    Attributes
    ----------
    name : str
    width : int
        Pixels that a figure may take.
    least : int
        Pixels below which a panel is not read.
    """

    name: str
    width: int
    least: int

    def columns(self, panels: int, most: int) -> int:
        """Return how many of `panels` stand beside one another, at most `most`."""
        fit = max(1, self.width // (self.least + GUTTER))
        columns = max(1, min(panels, most, fit))
        rows = -(-panels // columns)
        return -(-panels // rows)  # even rows: four panels as two and two, not three and one

    def panel(self, columns: int, gutter: int | None = None) -> int:
        """Return the width of one of `columns` panels; `gutter` holds its axis and the space between."""
        return self.width // columns - (GUTTER if gutter is None else gutter)


GUTTER = 66
WIDE = Layout("wide", 920, 140)
NARROW = Layout("narrow", 350, 95)
LAYOUTS = (WIDE, NARROW)


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
    scale = alt.Scale(domain=list(arms), range=[colour(i) for i in range(len(arms))])
    return alt.Color("arm:N", scale=scale, legend=_legend(arms, legend))


def arm_dash(arms: Sequence[str]) -> alt.StrokeDash:
    """Return the encoding of the arm as dashes, for arms beyond the palette."""
    scale = alt.Scale(domain=list(arms), range=[dash(i) for i in range(len(arms))])
    return alt.StrokeDash("arm:N", scale=scale, legend=_legend(arms, True))


def _legend(arms: Sequence[str], wanted: bool) -> alt.Legend | None:
    if not wanted or len(arms) < 2:
        return None
    return alt.Legend(columns=4 if len(arms) > 4 else 0, symbolType="stroke")


def lit(opacity: float) -> object:
    """Return the opacity of a mark that fades when another arm is picked."""
    return alt.condition(LIT, alt.value(opacity), alt.value(opacity * FADED))


def months_axis(last: float, title: str | None = "months after infusion") -> alt.X:
    """Return the axis of time: square root, so that the first year has room, and zero is on it."""
    ticks = [tick for tick in MONTH_TICKS if tick <= last] or [0, last]
    scale = alt.Scale(type="sqrt", domain=[0, last], nice=False)
    return alt.X("month:Q", title=title, scale=scale, axis=alt.Axis(values=ticks, grid=False, format="~g"))


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten that span [low, high], for a logarithmic axis."""
    from math import ceil, floor, log10

    return [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]


def count_axis(field: str, title: str | None, low: float, high: float) -> alt.Y:
    """Return a logarithmic axis with labels at powers of ten."""
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=log_ticks(low, high), format="~s")
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis)
