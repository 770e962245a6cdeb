"""Blood and clones: counts, copies by lineage, and what sequencing sees of the clones."""

import pandas as pd

from hsc_pipeline.norms import Norms
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import blood as figures
from hsc_pipeline.report.page import Figure, Section, Text
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


def clones(results: Results) -> Section:
    """Return the section on clones."""
    sites, first = results.tables["integration_sites"], results.arms[0]
    blocks: list[Figure | Text] = []
    if results.representative is None:
        blocks.append(Text("No patient of the first arm has live clones at the landmark.", quiet=True))
    else:
        one = results.representative
        own = results.clone_sizes[results.clone_sizes["arm"] == first]
        blocks.append(_largest_figure(results, measures.top_clones(measures.thinned(own))))
        samples = sites[(sites["arm"] == first) & (sites["patient"] == one)]
        if len(samples):
            blocks.append(_ranks_figure(results, measures.rank_abundance(samples)))
    if len(sites):
        blocks.append(_diversity_figure(results, sites))
    else:
        blocks.append(Text("No integration site was sequenced, so that no sample is drawn.", quiet=True))
    return Section("clones", "Clones", "Clones: how many, how even, and what sequencing sees", blocks)


def _who(results: Results) -> str:
    one, arm = results.representative, results.arms[0]
    return f"patient {one} of {arm}, the one with the median share of corrected stem cells"


def _largest_figure(results: Results, top: pd.DataFrame) -> Figure:
    share = top[(top["month"] == top["month"].max()) & (top["order"] == 1)]["share"].iloc[0]
    caption = (
        f"True stem cells of {_who(results)}. Colours: the {measures.TOP_CLONES} clones that are largest "
        f"over all visits; grey: all others together. The largest holds {number(share)} % of corrected stem "
        f"cells at month {top['month'].max():g}. n = 1 patient. Axis of time: square root."
    )
    return Figure(
        "largest-clones",
        "The largest clones of one patient",
        caption,
        "Stacked areas of the largest clones over months.",
        figures.largest_clones(top),
    )


def _ranks_figure(results: Results, ranks: pd.DataFrame) -> Figure:
    caption = (
        f"Samples of {_who(results)}, as a laboratory sees them: each insertion is a site, a cell with two "
        "copies counts twice, and rare clones are missed. A steep curve has a few large clones, a flat one "
        "many even ones. Shares of distinct fragments; both axes logarithmic. n = 1 patient."
    )
    return Figure(
        "ranks",
        "Rank and abundance of integration sites",
        caption,
        "Lines of the share of fragments by rank of the site, by sorted lineage and month.",
        figures.rank_abundance(ranks),
    )


def _diversity_figure(results: Results, sites: pd.DataFrame) -> Figure:
    found = measures.diversity(sites, results.arms, range(results.drawn_by_clone), results.study["sampling"])
    parts = []
    for column, name, unit in (("richness", "sites", "sites observed"), ("shannon", "Shannon index", "nats")):
        part = measures.bands(found, column, ("lineage", "arm", "month"))
        parts.append(
            part.assign(
                panel=part["lineage"].map(lambda cell, name=name: f"{name}, {measures.SHORT[cell]}"),
                unit=unit,
            )
        )
    band = pd.concat(parts, ignore_index=True)
    caption = (
        "Richness and Shannon index of the sequenced samples, not corrected for depth: sites seen depend "
        "on the DNA and the corrected fraction as much as on the clones. Dot: median; line: 5th to 95th "
        f"centile of {counted(results.drawn_by_clone, 'patient')} an arm; a sample without sites counts as "
        "zero."
    )
    return Figure(
        "diversity",
        "Diversity as sequencing sees it",
        caption,
        "Dots of observed sites and Shannon index by month, lineage and arm.",
        figures.diversity_by_arm(band, results.arms),
    )
