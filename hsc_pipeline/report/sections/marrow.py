"""Engraftment: chimerism, clones and what the marrow is made of."""

import pandas as pd

from hsc_pipeline.report import measures
from hsc_pipeline.report.figures.marrow import (
    chimerism_over_time,
    log_bands,
    marrow_composition,
)
from hsc_pipeline.report.page import Choice, Figure, Section
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, listed, number


def engraftment(results: Results) -> Section:
    """Return the section on engraftment."""
    marrow = measures.thinned(results.tables["marrow"])
    figures = [
        _chimerism_figure(results, marrow),
        _live_clones_figure(results, marrow),
        _composition_figure(results, marrow),
    ]
    return Section("engraftment", "Engraftment", "Engraftment: whose stem cells fill the marrow", figures)


def _chimerism_figure(results: Results, marrow: pd.DataFrame) -> Figure:
    marrow = measures.chimerism(marrow)
    band, lines = measures.bands(marrow, "chimerism"), measures.patient_lines(marrow, "chimerism")
    drawn = sorted(lines["patient"].unique().tolist())
    last = band[band["month"] == band["month"].max()].set_index("arm")
    ends = listed([f"{number(last.loc[arm, 'median'])} % in {arm}" for arm in results.arms])
    caption = (
        "Corrected among all long-term stem cells of the marrow. Bold line: median; band: 5th to 95th "
        f"centile of {counted(results.drawn, 'patient')} an arm; thin lines: "
        f"{min(results.patients, measures.LINES)} of them, one of whom the menu picks. Median at month "
        f"{band['month'].max():g}: {ends}. "
        "Axis of time: square root."
    )
    return Figure(
        "chimerism",
        "Corrected stem cells",
        caption,
        "Lines of the corrected share of stem cells over months by arm.",
        chimerism_over_time(band, lines, results.arms),
        [Choice("patient", [-1, *drawn], ["none", *map(str, drawn)])],
    )


def _live_clones_figure(results: Results, marrow: pd.DataFrame) -> Figure:
    band = measures.floored(measures.bands(marrow, "live_clones"), ["low", "median", "high"], 1)
    bottom, top = float(band["low"].min()) / 1.5, max(10.0, float(band["high"].max()) * 1.4)
    caption = (
        "Corrected clones with at least one stem cell; no clone is born after infusion, so the number can "
        f"only fall. Median and 5th to 95th centile of {counted(results.drawn, 'patient')} an arm; "
        "logarithmic, less than one is drawn at one. Axis of time: square root."
    )
    return Figure(
        "live-clones",
        "Clones still alive",
        caption,
        "Lines of the number of live clones over months by arm.",
        log_bands(band, results.arms, "live clones", bottom, top),
    )


def _composition_figure(results: Results, marrow: pd.DataFrame) -> Figure:
    shares = measures.composition(marrow)
    caption = (
        "Mean share of stem cells: host cells that outlived conditioning, infused cells without a copy, "
        f"and corrected cells; n = {counted(results.drawn, 'patient')} an arm. Means, because only means of "
        "parts add up; the medians above differ where patients are uneven. Axis of time: square root."
    )
    return Figure(
        "composition",
        "What the marrow is made of",
        caption,
        "Stacked areas of host, uncorrected and corrected stem cells over months by arm.",
        marrow_composition(shares, results.arms),
    )
