"""Immunity, the cells: reconstitution, milestones, thymus and antibodies, repertoire."""

import pandas as pd

from hsc_pipeline.intervals import wilson
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import immunity as figures
from hsc_pipeline.report.immune import CELLS, SQUARE_ROOT, cohort
from hsc_pipeline.report.page import Figure, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import number, with_interval


def cell_blocks(results: Results) -> list[Figure | TextTable]:
    """Return what came back of the cells, and when."""
    return [
        _reconstitution_figure(results),
        _milestones_table(results),
        _markers_figure(results),
        _repertoire_figure(results),
    ]


def _reconstitution_figure(results: Results) -> Figure:
    cells = measures.thinned(results.tables["reconstitution"])
    cells = cells[cells["cell"].isin(CELLS)].assign(z_score=cells["z_score"].clip(lower=-10))
    band = measures.bands(cells, "z_score", ("cell", "arm", "month"))
    order = {cell: place for place, cell in enumerate(CELLS)}
    band = band.sort_values(["cell", "arm", "month"], key=lambda c: c.map(order) if c.name == "cell" else c)
    caption = (
        "Counts in standard deviations from the median for age, of logarithms. Grey: 10th to 90th centile "
        f"of healthy people. Median and 5th to 95th centile of {cohort(results)}; drawn at −6 where lower. "
        f"{SQUARE_ROOT}"
    )
    return Figure(
        "reconstitution",
        "Reconstitution against the norm for age",
        caption,
        "Lines of z-scores of cell counts over months by arm, over the reference interval.",
        figures.against_norm(band.assign(panel=band["cell"].map(CELLS)), results.arms),
    )


def _milestones_table(results: Results) -> TextTable:
    table = results.tables["milestones"]
    rows = []
    for milestone, group in table.groupby("milestone", sort=False):
        cells = []
        for arm in results.arms:
            months = group.loc[group["arm"] == arm, "month"]
            reached = with_interval(wilson(int(months.notna().sum()), len(months)).times(100), "%")
            when = f", month {number(float(months.median()))}" if months.notna().any() else ""
            cells.append(f"{reached}{when}")
        rows.append([measures.milestone_name(str(milestone)), *cells])
    caption = (
        "Milestones: share of patients who reached them at some visit (Wilson 90 % interval), and the "
        f"median month of those who did; n = {cohort(results)}, all followed to the end."
    )
    return TextTable(caption, ["", *results.arms], rows)


def _markers_figure(results: Results) -> Figure:
    markers = measures.thinned(results.tables["immune_markers"])
    panels = {
        "TREC": ("trec_per_ul", "trec_normal_per_ul", "copies/µL"),
        "own IgG": ("igg_g_per_l", "igg_normal_g_per_l", "g/L"),
    }
    bands, lines = [], []
    for panel, (column, normal, _) in panels.items():
        bands.append(measures.bands(markers, column).assign(panel=panel))
        lines.append({"panel": panel, "who": "median for age", "value": float(markers[normal].median())})
    caption = (
        "TREC mark T cells fresh from the thymus. Own IgG is what the patient's B cells make, without "
        f"infusions. Median and 5th to 95th centile of {cohort(results)}. Dashed: median of healthy people "
        f"of the cohort's ages. {SQUARE_ROOT}"
    )
    return Figure(
        "markers",
        "Thymic output and antibodies of one's own",
        caption,
        "Lines of TREC and own IgG over months by arm, with the healthy median as dashed lines.",
        figures.with_levels(
            pd.concat(bands, ignore_index=True),
            pd.DataFrame(lines),
            results.arms,
            {panel: unit for panel, (_, _, unit) in panels.items()},
        ),
    )


def _repertoire_figure(results: Results) -> Figure:
    found = measures.thinned(results.tables["repertoire"])
    found = found.assign(share=100 * found["functional_clonotypes"] / found["normal_clonotypes"])
    band = measures.bands(found, "share", ("cell", "arm", "month"))
    band = measures.floored(band, ["low", "median", "high"], 1e-3)
    band = band.assign(panel=band["cell"].map(CELLS))
    lines = pd.DataFrame(
        [{"panel": panel, "who": "healthy", "value": 100.0} for panel in band["panel"].unique()]
    )
    caption = (
        "Functional clonotypes of the whole body in percent of those of a median person of the same age "
        f"and weight, logarithmic. Median and 5th to 95th centile of {cohort(results)}. {SQUARE_ROOT}"
    )
    panels = list(band["panel"].unique())
    return Figure(
        "repertoire",
        "Diversity of T and B cells",
        caption,
        "Lines of clonotypes against the norm over months by arm, a panel a kind of cell.",
        figures.with_levels(band, lines, results.arms, dict.fromkeys(panels, "% of normal"), panels),
    )
