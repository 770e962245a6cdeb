"""Clones: how many, how even, who shares them, and what sequencing sees."""

import altair as alt
import pandas as pd

from hsc_pipeline.report import clone_measures as clones
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import clones as figures
from hsc_pipeline.report.figures.blood import diversity_by_arm
from hsc_pipeline.report.page import Choice, Figure, Section, Text
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, listed, number

TITLE = "Clones: how many, how even, and what sequencing sees"
PICKED = ("datum.patient == patient", "datum.arm == arm")  # in the order of the menus
MOST_MONTHS = 20


def clone_section(results: Results) -> Section:
    """Return the section on clones."""
    sites = results.tables["integration_sites"]
    blocks: list[Figure | Text] = []
    if not results.followed:
        blocks.append(Text("No patient of the first arm has live clones at the landmark.", quiet=True))
    else:
        blocks.append(Text(_who(results)))
        blocks.append(_largest_figure(results))
        own = sites[sites["patient"].isin(results.followed) & sites["arm"].isin(results.arms_by_clone)]
        if len(own):
            blocks += [_bubbles(results, own), _ranks(results, own), _sharing(results, own)]
    if len(sites):
        blocks.append(_diversity_figure(results, sites))
    else:
        blocks.append(Text("No integration site was sequenced, so that no sample is drawn.", quiet=True))
    return Section("clones", "Clones", TITLE, blocks)


def _who(results: Results) -> str:
    chosen = listed([f"patient {one} ({rule})" for one, rule in results.followed.items()])
    arms = results.arms_by_clone
    more = f" of the first {len(arms)} arms" if len(arms) < len(results.arms) else ""
    menus = " The menus beside a figure choose another patient or arm." if _several(results) else ""
    return (
        f"Clones are drawn of single patients: {chosen} of the share of corrected stem cells in {arms[0]} at "
        f"the landmark, among those with clones{more}. Drawings show the first of them in {arms[0]}.{menus}"
    )


def _several(results: Results) -> bool:
    return len(results.followed) > 1 or len(results.arms_by_clone) > 1


def _choices(results: Results) -> list[Choice]:
    patients = [f"{one}, {rule}" for one, rule in results.followed.items()]
    arms = results.arms_by_clone
    return [Choice("patient", list(results.followed), patients), Choice("arm", arms, arms)]


def _picked(results: Results) -> list[str]:
    """Return the conditions of the menus that there are: one option needs none."""
    choices = _choices(results)
    return [condition for condition, choice in zip(PICKED, choices, strict=True) if len(choice.options) > 1]


def _shown(results: Results) -> str:
    one, arm = next(iter(results.followed)), results.arms[0]
    return f"n = 1 patient at a time; the drawing shows patient {one} of {arm}"


def _largest_figure(results: Results) -> Figure:
    top = clones.top_clones(measures.thinned(results.clone_sizes, MOST_MONTHS))
    one, arm = next(iter(results.followed)), results.arms[0]
    own = top[(top["arm"] == arm) & (top["patient"] == one) & (top["rank"] == 1)]
    last = own[own["month"] == own["month"].max()].iloc[0]
    n = clones.TOP_CLONES
    whole = top.assign(panel="all corrected stem cells")
    largest = top[top["rank"] <= n].assign(panel=f"the {n} largest, enlarged")
    tips = [alt.Tooltip("clone:N"), alt.Tooltip("rank:O"), alt.Tooltip("month:Q")]
    tips += [
        alt.Tooltip("share:Q", title="%", format=".3~r"),
        alt.Tooltip("cells:Q", title="stem cells", format=","),
    ]
    caption = (
        f"True corrected stem cells. Colours: the {n} clones with the largest mean share over all visits; "
        f"grey: all others together. {_shown(results)}, in whom the largest clone holds "
        f"{number(last['share'])} % of corrected stem cells at month {last['month']:g}. No interval: these "
        "are the clones themselves. Axis of time: square root."
    )
    chart = figures.areas(
        pd.concat([whole, largest], ignore_index=True),
        "% of corrected stem cells",
        tips,
        {"all corrected stem cells": 100},
        2,
        240,
        _picked(results),
    )
    return Figure(
        "largest-clones",
        "The largest clones of a patient",
        caption,
        "Stacked areas of the largest clones over months.",
        chart,
        _choices(results),
    )


def _bubbles(results: Results, sites: pd.DataFrame) -> Figure:
    rows = clones.largest_sites(sites)
    rows = rows.assign(panel=rows["lineage"].map(measures.SHORT))
    tips = [alt.Tooltip("clone:N", title="site"), alt.Tooltip("rank:O"), alt.Tooltip("month:N")]
    tips.append(alt.Tooltip("share:Q", title="share of fragments", format=".2%"))
    caption = (
        f"The {clones.TOP_CLONES} sites of a patient with the largest mean share over all samples, by the "
        "gene in or nearest to the site, chromosome, strand and position; the area of a bubble is the share "
        f"of the sample's fragments, no bubble: not seen. {_shown(results)}. Shares are as counted, without "
        "interval."
    )
    return Figure(
        "bubbles",
        "The largest sites, sample by sample",
        caption,
        "Bubbles of the share of the largest integration sites by month, a panel a lineage.",
        figures.bubbles(rows, tips, 3, _picked(results)),
        _choices(results),
    )


def _ranks(results: Results, sites: pd.DataFrame) -> Figure:
    rows = clones.rank_abundance(sites)
    rows = rows.assign(panel=rows["lineage"].map(measures.SHORT))
    caption = (
        "Samples as a laboratory sees them: each insertion is a site, a cell with two copies counts twice, "
        "and rare clones are missed. A steep curve has a few large clones, a flat one many even ones. "
        f"Shares of distinct fragments; both axes logarithmic. {_shown(results)}; no interval."
    )
    return Figure(
        "ranks",
        "Rank and abundance of integration sites",
        caption,
        "Lines of the share of fragments by rank of the site, by sorted lineage and month.",
        figures.rank_abundance(rows, "fragments", 3, _picked(results)),
        _choices(results),
    )


def _sharing(results: Results, sites: pd.DataFrame) -> Figure:
    rows = clones.shared_sites(sites).assign(panel="lineage and month of the samples")
    apart = rows["jaccard"].where(rows["a"] != rows["b"])
    most = float(apart.max()) or 1.0
    shade = alt.Color(
        "jaccard:Q",
        scale=dict(scheme="blues", domain=[0, most], clamp=True),
        legend=dict(title="Jaccard index", gradientLength=160, format=".2~r"),
    )
    caption = (
        "Sites that two samples share, over the sites of either (Jaccard index); the shade ends at the "
        "largest between two samples. Blocks by lineage would be lineages of their own clones. Samples "
        f"that see part of the clones share few sites even where the clones are the same. {_shown(results)}; "
        "no interval."
    )
    tips = [alt.Tooltip("shared:Q", title="shared sites", format=",")]
    return Figure(
        "sharing",
        "Sites that samples share",
        caption,
        "Heat map of the Jaccard index of the sites of every two samples.",
        figures.pairs(rows, "jaccard", shade, 1, 330, tips, picked=_picked(results)),
        _choices(results),
    )


def _diversity_figure(results: Results, sites: pd.DataFrame) -> Figure:
    found = clones.diversity(sites, results.arms, range(results.drawn_by_clone), results.study["sampling"])
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
        diversity_by_arm(band, results.arms),
    )
