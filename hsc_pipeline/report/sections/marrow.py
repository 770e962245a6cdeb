"""Product and engraftment: copies, stem cells, chimerism, clones and what the marrow is made of."""

import pandas as pd

from hsc_pipeline.product import solve_dispersion
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures.marrow import (
    chimerism_over_time,
    copies_per_cell,
    log_bands,
    marrow_composition,
    patient_strips,
)
from hsc_pipeline.report.page import Figure, Section, Text
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.design import strips
from hsc_pipeline.report.wording import counted, listed, number


def product(results: Results) -> Section:
    """Return the section on the product."""
    blocks = [_copies_figure(results), _stem_cells_figure(results)]
    return Section("product", "Product", "Product: stem cells and vector copies", blocks)


def _copies_figure(results: Results) -> Figure | Text:
    clones, arms = results.tables["clones"], results.arms
    if clones.empty:
        return Text("No product held a corrected stem cell: vector copies are not drawn.", quiet=True)
    drawn = measures.copies_drawn(clones)
    expected = pd.concat([_expected_copies(results, arm) for arm in arms], ignore_index=True)
    counts = clones.groupby("arm")["patient"].agg(["size", "nunique"])
    n = listed([f"{counts.loc[arm, 'size']:,} in {arm}" for arm in arms if arm in counts.index])
    caption = (
        "Bars: vector copies of the corrected stem-cell clones drawn. Circles: the law they are drawn "
        "from, a negative binomial around each patient's mean (VCN), cut at one copy, because a cell "
        f"without is not corrected. Clones of the first {counted(results.drawn_by_clone, 'patient')}: {n}."
    )
    return Figure(
        "copies",
        "Vector copies per corrected stem cell",
        caption,
        "Bars of the share of clones by vector copies, with the expected share as points.",
        copies_per_cell(drawn, expected, arms),
    )


def _expected_copies(results: Results, arm: str) -> pd.DataFrame:
    mean, fraction = (
        results.value(arm, f"product.{name}") for name in ("mean_copies", "transduced_fraction")
    )
    products = results.tables["products"]
    rows = products[(products["arm"] == arm) & (products["patient"] < results.drawn_by_clone)]
    in_stem_cells = rows["mean_copies"] * results.value(arm, "product.lt_copies_ratio")
    law = measures.copies_expected(in_stem_cells, rows["lt_hsc"], solve_dispersion(mean, fraction))
    return law.assign(arm=arm)


def _stem_cells_figure(results: Results) -> Figure:
    taken = results.tables["marrow"].query("month == 0").set_index(["arm", "patient"])["live_clones"]
    frame = results.tables["products"].join(taken, on=["arm", "patient"])
    values = strips(
        frame,
        (
            ("lt_hsc_corrected", "corrected stem cells in the product", "cells", "log", 1),
            ("live_clones", "corrected clones that took", "clones", "log", 1),
            ("mean_copies", "VCN of the product", "copies/cell", "linear", 1),
        ),
    )
    caption = (
        "One tick is one patient, the dark tick the median; cells and clones on logarithmic axes, none "
        "drawn at their left end. A clone takes where conditioning has freed a niche; every clone begins "
        f"with one long-term stem cell. n = {min(results.patients, 200):,} in each arm."
    )
    return Figure(
        "stem-cells",
        "Stem cells infused, and those that took",
        caption,
        "Strips of corrected stem cells, engrafted clones and VCN of each patient by arm.",
        patient_strips(values, results.arms),
    )


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
    last = band[band["month"] == band["month"].max()].set_index("arm")
    ends = listed([f"{number(last.loc[arm, 'median'])} % in {arm}" for arm in results.arms])
    caption = (
        "Corrected among all long-term stem cells of the marrow. Bold line: median; band: 5th to 95th "
        f"centile of {counted(results.drawn, 'patient')} an arm; thin lines: "
        f"{min(results.patients, measures.LINES)} of them. Median at month {band['month'].max():g}: {ends}. "
        "Axis of time: square root."
    )
    return Figure(
        "chimerism",
        "Corrected stem cells",
        caption,
        "Lines of the corrected share of stem cells over months by arm.",
        chimerism_over_time(band, lines, results.arms),
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
