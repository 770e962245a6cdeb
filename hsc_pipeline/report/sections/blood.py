"""Blood: counts against the reference, copies by lineage, waves, and the read-outs of the disease."""

import pandas as pd

from hsc_pipeline.norms import Norms
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import blood as figures
from hsc_pipeline.report.page import Figure, Section
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, listed, number

WAVES = ("neutrophil", "b_cell", "nk_cell", "cd4_t")


def blood(results: Results) -> Section:
    """Return the section on blood."""
    counts = measures.thinned(results.tables["counts"])
    blocks = [
        _counts_figure(results, counts),
        _copies_figure(results, counts),
        _waves_figure(results, counts),
    ]
    readouts = measures.thinned(results.tables["readouts"])
    if len(readouts):
        blocks.append(_readouts_figure(results, readouts))
    return Section("blood", "Blood", "Blood: counts and gene marking by lineage", blocks)


def _counts_figure(results: Results, counts: pd.DataFrame) -> Figure:
    band = measures.bands(counts, "count_per_ul", ("lineage", "arm", "month"))
    band = measures.floored(band, ["low", "median", "high"], 1).replace({"lineage": measures.SHORT})
    # The ages are those of the first arm: with other patients in each arm they are of one law.
    first = counts[counts["arm"] == results.arms[0]]
    norms = Norms(results.catalogue_tables["cell_norms"])
    reference = measures.reference_band(first, norms).replace({"lineage": measures.SHORT})
    caption = (
        "Cells per microlitre, logarithmic. Coloured: median and 5th to 95th centile of "
        f"{counted(results.drawn, 'patient')} an arm, less than one drawn at one. Grey: 10th to 90th "
        "centile of healthy children of the cohort's ages at each visit, of the patient with the median "
        "interval. Axis of time: square root."
    )
    return Figure(
        "counts",
        "Counts against the reference for age",
        caption,
        "Lines of blood counts by lineage over months by arm, over the reference interval.",
        figures.blood_counts(band, reference, results.arms),
    )


def _copies_figure(results: Results, counts: pd.DataFrame) -> Figure:
    band = measures.bands(measures.lineage_copies(counts), "vcn", ("arm", "cells", "month"))
    last = band[(band["month"] == band["month"].max()) & (band["arm"] == results.arms[0])]
    ordered = last.sort_values("median", ascending=False)
    ends = listed(
        [f"{cells} {number(vcn)}" for cells, vcn in zip(ordered["cells"], ordered["median"], strict=True)]
    )
    caption = (
        f"Vector copies per cell (VCN) of sorted cells, median of {counted(results.drawn, 'patient')} an "
        "arm; the tooltip holds the 5th and 95th centile. Early marking is that of short-lived infused "
        "progenitors. Where correction lets cells survive, the lineage is marked above its stem cells. At "
        f"month {band['month'].max():g} in {results.arms[0]}: {ends}. Axis of time: square root."
    )
    return Figure(
        "marking",
        "Vector copies by lineage",
        caption,
        "Lines of vector copies per cell of T, B, NK cells and neutrophils over months.",
        figures.copies_by_lineage(band, results.arms),
    )


def _waves_figure(results: Results, counts: pd.DataFrame) -> Figure:
    arm = results.arms[0]
    shown = counts[(counts["arm"] == arm) & counts["lineage"].isin(WAVES)]
    caption = (
        f"Where the cells in blood come from, mean of {counted(results.drawn, 'patient')} of {arm}. "
        "Short-lived infused progenitors make the first wave and are gone within months; long-term stem "
        "cells take over; lymphocytes of the first wave outlive it. Axis of time: square root."
    )
    return Figure(
        "waves",
        "The waves of blood formation",
        caption,
        "Stacked areas of the origin of neutrophils, B cells, NK cells and T cells over months.",
        figures.waves(measures.waves(shown).replace({"lineage": measures.SHORT})),
    )


def _readouts_figure(results: Results, readouts: pd.DataFrame) -> Figure:
    named = readouts.assign(readout=readouts["readout"].str.replace("_", " "))
    band = measures.bands(named.dropna(subset="value"), "value", ("readout", "unit", "arm", "month"))
    lines = named.drop_duplicates(["arm", "readout"])
    lines = lines[["readout", "normal", "untreated"]].melt("readout", var_name="who").dropna()
    lines = lines.groupby(["readout", "who"], sort=False)["value"].median().reset_index()
    lines = lines.drop_duplicates(["readout", "value"])  # where the disease spares it, health says it all
    caption = (
        f"What the clinic follows in this disease. Median and 5th to 95th centile of "
        f"{counted(results.drawn, 'patient')} an arm. Dashed: the value in health, and without treatment. "
        "Axis of time: square root."
    )
    return Figure(
        "readouts",
        "Read-outs of the disease",
        caption,
        "Lines of each read-out over months by arm, with health and no treatment as dashed lines.",
        figures.readouts_over_time(band, lines, results.arms),
    )
