"""Safety: clones that grow for a reason, and those that turn malignant."""

import numpy as np
import pandas as pd

from hsc_pipeline.intervals import wilson
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures.common import bands_by_panel
from hsc_pipeline.report.page import Figure, Section, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, number, with_interval


def safety(results: Results) -> Section:
    """Return the section on safety."""
    marrow = measures.thinned(results.tables["marrow"])
    return Section(
        "safety",
        "Safety",
        "Safety: clones with a reason to grow",
        [_events(results), _growth(results, marrow)],
    )


def _events(results: Results) -> TextTable:
    years = max(results.study["visits_months"]) / 12
    clones, rows = results.tables["clones"], []
    for arm in results.arms:
        group = results.outcomes[results.outcomes["arm"] == arm]
        own = clones[clones["arm"] == arm]
        month = group["transformation_month"]
        followed = np.where(month.notna(), month / 12, years).sum()
        hit = int(month.notna().sum())
        rows.append(
            [
                arm,
                number(own["insertional"].sum() / results.drawn_by_clone),
                number(own["driver"].ge(0).sum() / results.drawn_by_clone),
                f"{hit:,} of {len(group):,}",
                with_interval(wilson(hit, len(group)).times(100), "%"),
                number(100 * hit / followed),
                f"{int(group['dominance_alarm'].sum()):,}",
                f"{int(group['rescue_month'].notna().sum()):,}",
            ]
        )
    head = [
        "arm",
        "deregulating clones a patient",
        "driver clones a patient",
        "transformed",
        "share",
        "per 100 years",
        "alarms",
        "rescued",
    ]
    caption = (
        "Clones of the product in which an insertion deregulates an oncogene, or that carried a driver of "
        f"clonal haematopoiesis when harvested, mean of {counted(results.drawn_by_clone, 'patient')}; "
        "patients in whom a clone, of whatever origin, turns malignant, with Wilson 90 % interval and the "
        "rate until the first; dominance alarms; patients given their unmodified reserve."
    )
    return TextTable(caption, head, rows, numbers=(1, 2, 3, 4, 5, 6, 7))


def _growth(results: Results, marrow: pd.DataFrame) -> Figure:
    total = marrow[["host", "uncorrected", "corrected"]].sum(axis=1)
    parts = []
    for column, name in (
        ("driver_cells", "with a driver, any origin"),
        ("insertional_cells", "with a deregulated oncogene"),
    ):
        share = marrow.assign(share=100 * (marrow[column] / total.where(total > 0)).fillna(0.0))
        parts.append(measures.bands(share, "share").assign(panel=name))
    band = pd.concat(parts, ignore_index=True)
    most = max(1.0, float(band["high"].max()) * 1.05)
    caption = (
        "Share of all stem cells. Median and 5th to 95th centile of "
        f"{counted(results.drawn, 'patient')} an arm. Axis of time: square root."
    )
    return Figure(
        "growth",
        "Stem cells with a reason to grow",
        caption,
        "Lines of the share of stem cells with a driver or a deregulated oncogene over months by arm.",
        bands_by_panel(band, results.arms, "% of stem cells", (0, most), 2),
    )
