"""The report of a tracking run: one page, of the same make as that of a study."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.report.figures.blood import CLONE_SHADES, REST
from hsc_pipeline.report.figures.common import grid, stacked_shares
from hsc_pipeline.report.page import Figure, Section, Text, TextTable, render
from hsc_pipeline.report.style import PALETTE, log_scale, months_axis
from hsc_pipeline.report.wording import number
from hsc_pipeline.tables import replacing
from hsc_pipeline.tracking.series import all_series, frame, read_observations

MOST_SUBJECTS = 8  # drawn; all stand in the tables
TOP = 8  # clones with a colour of their own
INTERVAL = "Intervals are 90 %."


def write_page(path: str, tidy: Mapping[str, str], topics: Mapping[str, str], settings: Mapping) -> None:
    """Write the report.

    Parameters
    ----------
    path : str
    tidy : mapping of str to str
        Files of `series.read_observations`.
    topics : mapping of str to str
        CSV of each topic.
    settings : mapping
        The filled `settings.TrackingFile`.
    """
    observations = read_observations(**tidy)
    found = {name: pd.read_csv(file) for name, file in topics.items()}
    sections = [
        quality(observations, found),
        clones(observations, settings),
        diversity(found),
        lineages(found),
        stem_cells(found, settings),
        dominance(found),
        flagged(found),
        sites(found),
        provenance(observations, settings),
    ]
    page = render(head_of(settings, observations), [section for section in sections if section.blocks])
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def head_of(settings: Mapping, observations) -> dict[str, object]:
    """Return what the page says before its sections; see `report.page.render`."""
    subjects = len(set(observations.samples["subject"].to_pylist()))
    samples = observations.samples.num_rows
    return {
        "title": settings["title"] or settings["name"],
        "study": settings["name"],
        "kicker": f"Clonal tracking {settings['name']} · {observations.assay}",
        "subtitle": f"{samples} samples of {subjects} subjects.",
        "version": __version__,
        "footer": "Statistics of the tables given; not a diagnosis; not a medical device.",
        "arms": [],
        "colours": {},
    }


def table(rows: pd.DataFrame, columns: Mapping[str, str], caption: str, most: int = 60) -> TextTable:
    """Return the first rows as a table of texts, with these headers."""
    shown = rows.head(most)
    kinds = [pd.api.types.is_numeric_dtype(rows[name]) for name in columns]
    cells = [[_cell(row[name]) for name in columns] for _, row in shown.iterrows()]
    if len(rows) > most:
        caption = f"{caption} The first {most} of {len(rows)} rows; all are in the CSV."
    numbers = tuple(at for at, kind in enumerate(kinds) if kind)
    return TextTable(caption, list(columns.values()), cells, numbers, tall=len(shown) > 14)


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else ("none" if np.isinf(value) else number(float(value)))
    return str(value)


def quality(observations, found: Mapping) -> Section:
    """Return what was read: samples, clones and depth by subject and lineage."""
    rows = found["diversity"].fillna({"lineage": "", "tissue": ""})
    grouped = rows.groupby(["subject", "tissue", "lineage"], sort=True)
    seen = grouped.agg(
        samples=("sample", "size"),
        first=("month", "min"),
        last=("month", "max"),
        clones=("richness", "median"),
        depth=("total", "median"),
    ).reset_index()
    seen["clones"], seen["depth"] = seen["clones"].astype(float), seen["depth"].astype(float)
    columns = {
        **{name: name for name in ("subject", "tissue", "lineage", "samples")},
        **{"first": "first month", "last": "last month", "clones": "clones, median"},
        "depth": f"{observations.assay}, median",
    }
    blocks = [table(seen, columns, "What was read: a row a series of samples.")]
    small = int((rows["total"] < 50).sum())
    remark = f"{small} of {len(rows)} samples hold fewer than 50 counts and say little."
    if observations.assay in ("reads", "unstated"):
        remark += (
            " Counts of reads are not counts of cells: depth-matched comparison, multilineage fractions, "
            "drift or selection are left out, and Chao1 has no interval."
        )
    return Section("tables", "Tables", "The tables, as they were read", [*blocks, Text(remark, quiet=True)])


def clones(observations, settings: Mapping) -> Section:
    """Return the largest clones over time."""
    wanted = settings["stem_cells"]
    panels = {}
    for one in all_series(frame(observations)):
        if one.lineage == wanted["lineage"] and one.tissue == wanted["tissue"] and len(one.months) > 1:
            panels[one.subject] = _largest(one)
    panels = dict(list(panels.items())[:MOST_SUBJECTS])
    if not panels:
        return Section("clones", "Clones", "Clones over time", [])
    colours = {**{f"clone {rank}": CLONE_SHADES[rank - 1] for rank in range(1, TOP + 1)}, "all others": REST}
    caption = (
        f"Shares of {wanted['lineage']} samples from {wanted['tissue']}. Colours: the {TOP} clones of each "
        "subject that are largest over all its samples, so that a colour is another clone in every panel. "
        "Axis of time: square root."
    )
    figure = Figure(
        "largest",
        "The largest clones of each subject",
        caption,
        "Stacked areas of the shares of the largest clones over months, a panel a subject.",
        stacked_shares(panels, colours, "% of counts"),
    )
    return Section("clones", "Clones", "Clones over time", [figure])


def _largest(one) -> pd.DataFrame:
    share = one.counts / one.counts.sum(axis=0)
    order = np.argsort(-share.sum(axis=1), kind="stable")[:TOP]
    rows = [
        (f"clone {rank}", month, value)
        for rank, clone in enumerate(order, 1)
        for month, value in zip(one.months, share[clone], strict=True)
    ]
    rest = 1 - share[order].sum(axis=0)
    rows += [("all others", month, max(value, 0.0)) for month, value in zip(one.months, rest, strict=True)]
    frame_ = pd.DataFrame(rows, columns=["kind", "month", "share"])
    return frame_.assign(arm=one.subject, clone=frame_["kind"])


def diversity(found: Mapping) -> Section:
    """Return diversity over time, and whether it changed at one depth."""
    rows = found["diversity"].dropna(subset=["month", "shannon"])
    rows = rows[rows["subject"].isin(_first(rows))]
    if rows.empty:
        return Section("diversity", "Diversity", "Diversity", [])
    figure = Figure(
        "shannon",
        "Shannon index by lineage",
        "Shannon index, nats, of every sample; a line a subject. It rises with depth: compare at one depth, "
        "below. Axis of time: square root.",
        "Lines of the Shannon index over months by lineage and subject.",
        _lines(rows, "shannon", "nats"),
    )
    blocks: list = [figure]
    change = found["depth"][found["depth"]["measure"].isin(["richness", "shannon"])]
    if len(change):
        columns = {
            **{name: name for name in ("subject", "lineage", "measure")},
            **{"month_a": "from month", "month_b": "to month", "depth": "at depth", "first": "first"},
            **{"second": "last", "difference": "difference", "low": "low", "high": "high", "p": "p"},
        }
        caption = (
            "Is the change real at this depth: the last sample of a series against its first, both brought "
            f"to the smaller depth; p by sampling alone. {INTERVAL}"
        )
        blocks.append(table(change, columns, caption))
    return Section("diversity", "Diversity", "Diversity, and whether it changed", blocks)


def _first(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(rows["subject"]))[:MOST_SUBJECTS]


def _lines(rows: pd.DataFrame, value: str, unit: str) -> alt.ConcatChart:
    subjects, last = _first(rows), float(rows["month"].max())
    colour = alt.Color(
        "subject:N",
        scale=dict(domain=subjects, range=list(PALETTE[: len(subjects)])),
        legend=dict(symbolType="stroke"),
    )
    panels = []
    for lineage, own in rows.groupby("lineage", sort=True):
        y = alt.Y(f"{value}:Q", title=unit, scale=dict(zero=False))
        tips = [alt.Tooltip("subject:N"), alt.Tooltip("month:Q"), alt.Tooltip(f"{value}:Q", format=".3~r")]
        base = alt.Chart(own[["subject", "month", value]]).encode(months_axis(last), y, colour)
        marks = base.mark_line(strokeWidth=1.6), base.mark_circle(size=30).encode(tooltip=tips)
        panels.append(alt.layer(*marks).properties(title=str(lineage) or "not stated"))
    return grid(panels[:9], 3, 170)


def lineages(found: Mapping) -> Section:
    """Return what lineages share."""
    shared = found["sharing"]
    blocks: list = []
    if len(shared):
        subjects = _first(shared)
        blocks.append(
            Figure(
                "sharing",
                "Clones shared between lineages",
                "Jaccard index of the clones of two lineages, all samples from the stable month on together: "
                "shared over the clones of either. Sampling alone keeps it below 1.",
                "Heat map of the share of clones that two lineages have in common, a panel a subject.",
                _heat(shared[shared["subject"].isin(subjects)], subjects),
            )
        )
    if len(found["multilineage"]):
        columns = {
            "subject": "subject",
            "lineages": "lineages",
            "clones": "clones seen",
            "naive": "naive share",
        }
        columns |= {"estimate": "corrected share", "low": "low", "high": "high"}
        caption = (
            "Clones that serve two lineages or more. Naive: seen in two. Corrected: also for the clones that "
            f"a sample misses; sorts taken as pure. {INTERVAL}"
        )
        blocks.append(table(found["multilineage"], columns, caption))
    return Section("lineages", "Lineages", "Lineages: what they share", blocks)


def _heat(shared: pd.DataFrame, subjects: list[str]) -> alt.ConcatChart:
    mirrored = shared.rename(columns={"lineage_a": "lineage_b", "lineage_b": "lineage_a"})
    both = pd.concat([shared, mirrored])[["subject", "lineage_a", "lineage_b", "jaccard", "shared"]]
    panels = []
    for subject in subjects:
        own = both[both["subject"] == subject]
        base = alt.Chart(own).encode(
            alt.X("lineage_a:N", title=None, axis=dict(labelAngle=0)), alt.Y("lineage_b:N", title=None)
        )
        shade = alt.Color("jaccard:Q", scale=dict(scheme="blues", domainMin=0), legend=None)
        tips = [alt.Tooltip(f"{name}") for name in ("lineage_a:N", "lineage_b:N", "jaccard:Q", "shared:Q")]
        text = base.mark_text(fontSize=10).encode(alt.Text("jaccard:Q", format=".2f"))
        panels.append(alt.layer(base.mark_rect().encode(shade, tooltip=tips), text).properties(title=subject))
    return grid(panels, 4, 150, room=80)


def stem_cells(found: Mapping, settings: Mapping) -> Section:
    """Return the number of clones by each estimator, raw and corrected."""
    rows = found["stem_cells"]
    blocks: list = []
    known = rows.replace([np.inf], np.nan).dropna(subset=["estimate"])
    if len(known):
        shown = known[known["subject"].isin(_first(known))]
        caption = (
            "Insertions by each estimator (grey), and corrected for its bias under clones of unequal output "
            "and this study's own sampling (blue, with interval). The estimators differ because clones are "
            "unequal; the correction takes clones as neither coming nor going between samples, and where "
            "they do, as in a small or young marrow, it is too high. Logarithmic."
        )
        blocks.append(
            Figure(
                "number",
                "How many clones",
                caption,
                "Dots of the number of clones by estimator, raw and corrected, a panel a subject.",
                _numbers(shown),
            )
        )
        columns = {
            **{"subject": "subject", "occasions": "samples", "seen": "clones seen", "estimator": "estimator"},
            **{
                "estimate": "estimate",
                "standard_error": "standard error",
                "clones": "corrected",
                "low": "low",
            },
            **{"high": "high", "cells": "cells"},
        }
        copies = settings["stem_cells"]["copies_per_cell"]
        blocks.append(
            table(rows, columns, f"Cells: corrected insertions over {copies:g} copies a cell. {INTERVAL}")
        )
    if len(found["phylogeny"]):
        columns = {"subject": "subject", "colonies": "colonies", "coalescences": "coalescences"}
        columns |= {"founders_median": "founders", "founders_low": "low", "founders_high": "high"}
        caption = (
            "Founders of the sampled stem cells by the coalescences of colonies, exact posterior on a grid "
            f"from 1,024 to 99,334; a number at an end of the grid may lie beyond it. {INTERVAL}"
        )
        blocks.append(table(found["phylogeny"], columns, caption))
    return Section("stem-cells", "Stem cells", "How many stem cells", blocks)


def _numbers(rows: pd.DataFrame) -> alt.ConcatChart:
    values = rows[["estimate", "low", "high", "clones"]].to_numpy(float)
    values = values[np.isfinite(values) & (values > 0)]
    scale, axis = log_scale(float(values.min()) / 1.5, float(values.max()) * 1.5)
    panels = []
    for subject, own in rows.groupby("subject", sort=False):
        own = own[["estimator", "estimate", "clones", "low", "high"]]
        y = alt.Y("estimator:N", title=None, sort=None)
        tips = [alt.Tooltip(f"{name}:Q", format=",.0f") for name in ("estimate", "clones", "low", "high")]
        base = alt.Chart(own).encode(y)
        raw = base.mark_circle(size=46, color="#8a97a3").encode(
            alt.X("estimate:Q", title="clones", scale=scale, axis=axis), tooltip=tips
        )
        fixed = own.dropna(subset=["clones"])
        corrected = alt.Chart(fixed).encode(y)
        line = corrected.mark_rule(color="#0072B2", strokeWidth=2, opacity=0.5).encode(
            alt.X("low:Q", scale=scale), alt.X2("high:Q")
        )
        dot = corrected.mark_circle(size=56, color="#0072B2").encode(
            alt.X("clones:Q", scale=scale), tooltip=tips
        )
        panels.append(alt.layer(raw, line, dot).properties(title=str(subject)))
    return grid(panels, 2, 240, room=110)


def dominance(found: Mapping) -> Section:
    """Return alarms, and how often each rule errs under this sampling."""
    blocks: list = []
    columns = {"subject": "subject", "lineage": "lineage", "rule": "rule", "month": "month", "clone": "clone"}
    if len(found["alarms"]):
        blocks.append(
            table(found["alarms"], {**columns, "share": "share"}, "Alarms of every rule; a row an alarm.")
        )
    elif len(found["diversity"]):
        blocks.append(Text("No rule raised an alarm in any sample."))
    if len(found["operating"]):
        names = {
            **{"schedule": "schedule", "samples": "samples", "rule": "rule"},
            "false_alarms_per_patient_year": "false alarms per patient-year",
            **{
                "false_low": "low",
                "false_high": "high",
                "advantage": "driver, per year",
                "detected": "found",
            },
            **{
                "detected_low": "low ",
                "detected_high": "high ",
                "months_to_detection": "months to detection",
            },
        }
        caption = (
            "How often each rule errs, and what it finds, in virtual patients without and with one driver "
            "clone under this study's sampling and other schedules. None: less than half were found. "
            f"{INTERVAL}"
        )
        blocks.append(table(found["operating"], names, caption, most=80))
    return Section("alarms", "Alarms", "Dominance: alarms, and how often they err", blocks)


def flagged(found: Mapping) -> Section:
    """Return drift or selection of single clones."""
    rows = found["selection"]
    if not len(rows):
        return Section("selection", "Selection", "Drift or selection", [])
    hit = int((rows["flagged"].astype(str) == "True").sum())
    names = {
        **{"subject": "subject", "clone": "clone", "first_share": "first share", "last_share": "last share"},
        **{"bayes_factor": "Bayes factor", "probability": "probability", "advantage": "advantage per year"},
        **{"low": "low", "high": "high", "p": "p", "flagged": "flagged"},
    }
    ordered = rows.sort_values("bayes_factor", ascending=False)
    caption = (
        "Growth beyond drift: Bayes factor of an advantage against none, given draw, capture, division and "
        "the spread of clone output; flagged so that at most a tenth of the flagged are expected to be false."
    )
    text = f"{hit} of {len(rows)} clones that were looked at are flagged."
    return Section(
        "selection", "Selection", "Drift or selection", [Text(text), table(ordered, names, caption, 30)]
    )


def sites(found: Mapping) -> Section:
    """Return collisions between subjects and common sites."""
    blocks: list = []
    if len(found["collisions"]):
        names = {"clone": "site", "subject": "subject", "count": "count", "kept": "stays"}
        caption = "Sites found in several subjects, and whether they stay with this one."
        blocks.append(table(found["collisions"], names, caption, 30))
    if len(found["common_sites"]):
        names = {"chromosome": "chromosome", "start": "start", "end": "end", "sites": "sites"}
        names |= {"expected": "expected", "p": "p, whole genome", "genes": "genes"}
        caption = (
            "Windows of the genome with the most sites, against sites that fall anywhere alike: hot spots of "
            "the vector stand here too."
        )
        blocks.append(table(found["common_sites"], names, caption, 20))
    return Section("sites", "Sites", "Integration sites", blocks)


def provenance(observations, settings: Mapping) -> Section:
    """Return what was read and how."""
    rows = [
        [entry["path"], entry["format"] or "found out", entry["assay"] or observations.assay]
        for entry in settings["tables"]
    ]
    marrow = settings["stem_cells"]
    words = (
        f"Stem cells are read in {marrow['lineage']} of {marrow['tissue']} from month "
        f"{marrow['from_month']:g} on, {marrow['copies_per_cell']:g} copies a cell, {marrow['marked']:g} "
        "marked stem cells assumed. "
        f"hsc_pipeline {__version__}, seed {settings['seed']}. Every table is a CSV in the folder tracking."
    )
    head = ["table", "format", "assay"]
    return Section(
        "provenance",
        "Provenance",
        "Provenance",
        [TextTable("Tables read.", head, rows), Text(words, quiet=True)],
    )
