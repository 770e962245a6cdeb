"""Sections of a tracking report on clones: their sizes, their diversity, their lineages."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.report.clone_measures import abundance
from hsc_pipeline.report.figures import clones as clone_figures
from hsc_pipeline.report.page import Figure, Section, TextTable
from hsc_pipeline.tracking import figures
from hsc_pipeline.tracking.blocks import INTERVAL, MOST_SUBJECTS, by_lineage, first, same, table
from hsc_pipeline.tracking.run import FEWEST, LINEAGES, deep_enough
from hsc_pipeline.tracking.series import Series, all_series, frame

MOST_HEAT, HEAT_CLONES, HEAT_SAMPLES = 4, 20, 24  # subjects, clones and samples of a heat map
SAMPLES = ("first sample", "last sample")
MOST_PLACES = 32  # samples of a matrix of correlations


def clones(observations, found: Mapping, settings: Mapping) -> Section:
    """Return the largest clones over time, a figure a lineage, and how far samples share clones."""
    wanted = settings["stem_cells"]
    every = [one.at(deep_enough(one)) for one in all_series(frame(observations))]
    every = [one for one in every if one.tissue == wanted["tissue"] and len(one.months)]
    subjects = list(dict.fromkeys(one.subject for one in every))[:MOST_SUBJECTS]
    every = [one for one in every if one.subject in subjects]
    top = {subject: _top([one for one in every if one.subject == subject]) for subject in subjects}
    blocks = []
    for lineage in dict.fromkeys([wanted["lineage"], *LINEAGES]):
        own = [one for one in every if one.lineage == lineage and len(one.months) > 1]
        if own:
            blocks.append(_areas(own, top, lineage or "All cells", wanted["tissue"]))
    blocks += _ranks([one for one in every if one.lineage == wanted["lineage"]], observations.assay)
    blocks += _heat(every, [wanted["lineage"], *LINEAGES])
    blocks += [*_correlations(found), *_persistence(found, settings)]
    return Section("clones", "Clones", "Clones over time", blocks)


def _areas(series: list[Series], top: Mapping, lineage: str, tissue: str) -> Figure:
    where = f" of {tissue}" if tissue else ""
    caption = (
        f"Shares in samples of {lineage}{where}, of {FEWEST} counts or more; the rest up to 100 % is other "
        f"clones. Colours: the {figures.TOP} clones of each subject with the largest shares, all its "
        "samples here together; one colour is the same clone in all lineages of a subject, and another "
        "clone in another subject. Axis of time: square root."
    )
    label = f"Stacked areas of the shares of the largest clones in {lineage} over months, a panel a subject."
    name = f"largest-{''.join(c for c in lineage.lower() if c.isalnum())}"
    return Figure(name, f"The largest clones: {lineage}", caption, label, figures.largest_clones(series, top))


def _ranks(series: list[Series], assay: str) -> list[Figure]:
    """Return the share of clones by rank of the first and the last sample of each subject."""
    parts = [
        abundance(one.counts[:, at]).assign(panel=one.subject, month=float(one.months[at]), sample=name)
        for one in series
        for name, at in zip(SAMPLES, dict.fromkeys((0, len(one.months) - 1)), strict=False)
    ]
    if not parts:
        return []
    caption = (
        f"Share of a clone by its rank, in the first and the last sample of "
        f"{series[0].lineage or 'all cells'} with {FEWEST} counts or more; both axes logarithmic. A steep "
        "curve has a few large clones, a flat one many even ones; where it ends, the sample ends. Shares are "
        "as counted, without interval."
    )
    label = "Lines of the share of clones by rank, a panel a subject."
    chart = clone_figures.rank_abundance(pd.concat(parts, ignore_index=True), assay, 4, by="sample")
    return [Figure("ranks", "Rank and abundance", caption, label, chart)]


def _heat(series: list[Series], lineages: list[str]) -> list[Figure]:
    """Return the figure of the largest clones in all samples, which shows who shares them."""
    lineages = list(dict.fromkeys(lineages))
    chosen = [one for one in series if one.lineage in lineages]
    chosen.sort(key=lambda one: lineages.index(one.lineage))
    subjects = list(dict.fromkeys(one.subject for one in series))[:MOST_HEAT]
    parts = [_cells([one for one in chosen if one.subject == subject]) for subject in subjects]
    if not any(map(len, parts)):
        return []
    caption = (
        f"The {HEAT_CLONES} clones of a subject with the largest shares, by the sample in which they are "
        f"largest; its {HEAT_SAMPLES} deepest samples, by lineage and month. White: not seen. Logarithmic."
    )
    label = "Heat map of the shares of the largest clones in all samples, a panel a subject."
    chart = figures.clone_heat(pd.concat(parts, ignore_index=True))
    return [Figure("clone-heat", "The largest clones in all samples", caption, label, chart)]


def _cells(series: list[Series]) -> pd.DataFrame:
    """Return the shares of the largest clones of a subject in its deepest samples, clones in order."""
    totals = np.sort(np.concatenate([one.counts.sum(axis=0) for one in series] or [np.zeros(0)]))
    least = totals[-HEAT_SAMPLES] if len(totals) > HEAT_SAMPLES else 0
    columns = {}
    for one in series:
        for at in np.flatnonzero(one.counts.sum(axis=0) >= least):
            name = f"{one.lineage or 'all'} {one.months[at]:.3g}"
            columns[name] = pd.Series(one.counts[:, at] / one.counts[:, at].sum(), one.clones)
    if not columns:
        return pd.DataFrame()
    shares = pd.DataFrame(columns).fillna(0.0)
    shares = shares.loc[shares.max(axis=1).sort_values(ascending=False, kind="stable").index[:HEAT_CLONES]]
    shares = shares.iloc[np.lexsort((-shares.max(axis=1), shares.to_numpy().argmax(axis=1)))]
    rows = shares.rename_axis("clone").reset_index().melt("clone", var_name="sample", value_name="share")
    return rows.replace({"share": {0.0: np.nan}}).assign(subject=series[0].subject)


def _top(series: list[Series]) -> np.ndarray:
    """Return the clones of a subject with the largest share over all series together."""
    parts = [pd.Series((one.counts / one.counts.sum(axis=0)).sum(axis=1), one.clones) for one in series]
    total = pd.concat(parts).groupby(level=0).sum().sort_values(ascending=False, kind="stable")
    return total.index[: figures.TOP].to_numpy()


def diversity(found: Mapping, settings: Mapping) -> Section:
    """Return diversity over time, and whether it changed at one depth."""
    tissue, blocks = settings["stem_cells"]["tissue"], []
    rarefied = found["rarefied"]
    rarefied = first(rarefied[(rarefied["measure"] == "shannon") & (rarefied["tissue"] == tissue)])
    raw = found["diversity"].dropna(subset=["month", "shannon"])
    raw = first(raw[raw["tissue"] == tissue])
    if len(rarefied):
        caption = (
            "Shannon index, nats, of all samples of a series brought to the depth of its smallest with 50 "
            f"counts or more, so that its samples compare; series have other depths. {INTERVAL} Sampling "
            "alone; not the scatter from draw to draw. Axis of time: square root."
        )
        chart = figures.lines(
            by_lineage(rarefied.rename(columns={"estimate": "value"})), "lineage", "nats", band=True
        )
        blocks.append(
            Figure(
                "shannon",
                "Shannon index at one depth",
                caption,
                "Lines with bands of the Shannon index.",
                chart,
            )
        )
    elif len(raw):
        means = raw.groupby(["subject", "lineage", "month"], as_index=False)["shannon"].mean()
        caption = (
            "Shannon index, nats, mean of the samples of a month; a line a subject. It rises with depth, "
            "which differs between samples. Axis of time: square root."
        )
        chart = figures.lines(by_lineage(means.rename(columns={"shannon": "value"})), "lineage", "nats")
        blocks.append(
            Figure("shannon", "Shannon index", caption, "Lines of the Shannon index over months.", chart)
        )
    change = found["depth"][found["depth"]["measure"].isin(["richness", "shannon"])]
    if len(change):
        blocks.append(_change(change))
    blocks += _curves(found) + _accumulation(found, settings)
    return Section("diversity", "Diversity", "Diversity, and whether it changed", blocks)


def _change(change: pd.DataFrame) -> TextTable:
    columns = {
        **same("subject", "tissue", "lineage", "measure"),
        **{"month_a": "from month", "month_b": "to month", "depth": "at depth", "first": "first"},
        **{"second": "last", **same("difference", "low", "high", "p")},
    }
    caption = (
        "Is the change real at this depth: the last sample of a series against its first from the stable "
        "month on, both brought to the smaller depth; p by sampling alone, not corrected for the number of "
        f"rows. {INTERVAL}"
    )
    return table(change, columns, caption)


def _curves(found: Mapping) -> list[Figure]:
    """Return richness by depth of the first and the last sample of the stable months."""
    rows = first(found["curves"])
    if rows.empty:
        return []
    early = rows["month"] == rows.groupby("subject")["month"].transform("min")
    rows = rows.assign(sample=np.where(early, "first sample", "last sample"))
    rows = rows.sort_values(["subject", "sample", "depth"], kind="stable")
    caption = (
        f"Clones by depth in {rows['lineage'].iloc[0] or 'all'} samples: what a smaller sample would have "
        "shown, and beyond the dot, dashed, what a larger one may, by the clones seen once and twice. "
        "Where curves part at one depth, richness has changed; a curve that still climbs is far from all "
        f"clones. {INTERVAL}"
    )
    label = "Curves with bands of clones by depth, a panel a subject."
    chart = figures.curves(rows, "counts of the sample")
    return [Figure("curves", "Clones by depth", caption, label, chart)]


def _accumulation(found: Mapping, settings: Mapping) -> list[Figure]:
    wanted, rows = settings["stem_cells"], found["accumulation"]
    rows = rows[(rows["tissue"] == wanted["tissue"]) & rows["lineage"].isin([wanted["lineage"], *LINEAGES])]
    rows = first(rows).rename(columns={"time": "month", "cumulative": "value"})
    if rows.empty:
        return []
    caption = "Distinct clones seen up to a month. A line that goes on rising: many clones are still unseen."
    chart = figures.lines(by_lineage(rows), "lineage", "clones", zero=True)
    return [
        Figure(
            "accumulation", "Clones seen so far", caption, "Lines of cumulative clones over months.", chart
        )
    ]


def lineages(found: Mapping, settings: Mapping) -> Section:
    """Return what lineages share."""
    shared, blocks = found["sharing"], []
    shared = first(shared[shared["tissue"] == settings["stem_cells"]["tissue"]])
    if len(shared):
        caption = (
            "Jaccard index of the clones of two lineages, all samples from the stable month on together: "
            "shared over the clones of either. Sampling alone keeps it below 1."
        )
        label = "Heat map of the share of clones that two lineages have in common, a panel a subject."
        blocks.append(
            Figure("sharing", "Clones shared between lineages", caption, label, figures.heat(shared))
        )
    if len(found["multilineage"]):
        columns = {**same("subject", "lineages"), "clones": "clones seen", "naive": "naive share"}
        columns |= {"pure_estimate": "corrected, sorts pure", "pure_low": "low", "pure_high": "high"}
        columns |= {"estimate": "corrected, sorts as stated", "low": "low ", "high": "high "}
        caption = (
            "Clones that serve two lineages or more. Naive: seen in two. Corrected: also for clones that a "
            "sample misses; the last also for cells of other lineages in a sort, by the leak of the "
            f"tracking file or else by the catalogue's purity. {INTERVAL}"
        )
        blocks.append(table(found["multilineage"], columns, caption))
    biased = found["bias"][found["bias"]["p_adjusted"] < 0.05] if len(found["bias"]) else found["bias"]
    if len(biased):
        columns = {**same("subject", "clone", "lineage", "count"), "log2_ratio": "log2 ratio"}
        columns |= {**same("low", "high"), "p_adjusted": "p, adjusted"}
        caption = (
            "Of the 30 largest clones of a subject, those larger or smaller in a lineage than in the "
            f"others. {INTERVAL}"
        )
        blocks.append(table(biased.sort_values("p_adjusted", kind="stable"), columns, caption, 30))
    return Section("lineages", "Lineages", "Lineages: what they share", blocks)


def _correlations(found: Mapping) -> list[Figure]:
    """Return the correlation of samples, like ones side by side."""
    rows = found["correlation"]
    rows = rows[rows["subject"].isin(list(dict.fromkeys(rows["subject"]))[:MOST_HEAT])]
    rows = rows[(rows["place_a"] < MOST_PLACES) & (rows["place_b"] < MOST_PLACES)]
    if rows.empty:
        return []
    for end in "ab":
        months = rows[f"month_{end}"].map("{:.3g}".format)
        rows = rows.assign(**{f"sample_{end}": rows[f"lineage_{end}"].replace("", "all") + " " + months})
    caption = (
        f"Pearson correlation of square roots of clone shares, of samples of {FEWEST} counts or more; "
        "samples in the order of average linkage, so that alike ones stand together; at most "
        f"{MOST_PLACES}. Blocks by lineage: lineages of their own clones; by time: clones replace one "
        "another."
    )
    label = "Heat map of the correlation of clone shares of samples, a panel a subject."
    chart = figures.correlations(rows)
    return [Figure("correlation", "How alike samples are", caption, label, chart)]


def _persistence(found: Mapping, settings: Mapping) -> list[Figure]:
    """Return the share of clones of a sample that the next one shows again."""
    wanted, rows = settings["stem_cells"], found["persistence"]
    rows = rows[(rows["tissue"] == wanted["tissue"]) & rows["lineage"].isin([wanted["lineage"], *LINEAGES])]
    rows = first(rows).rename(columns={"month_b": "month", "frac_a": "value"})
    if rows.empty:
        return []
    caption = (
        "Share of the clones of a sample that the next one of its series shows again, at the month of the "
        "later one. Sampling alone keeps it below 1, more so in small samples. Axis of time: square root."
    )
    chart = figures.lines(by_lineage(rows), "lineage", "seen again", zero=True)
    label = "Lines of the share of clones seen again over months."
    return [Figure("persistence", "Clones seen again", caption, label, chart)]
