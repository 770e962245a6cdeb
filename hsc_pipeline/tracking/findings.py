"""Sections of a tracking report on what clones tell: stem cells, alarms, selection, sites, plans."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.report.page import Figure, Section, Text
from hsc_pipeline.tracking import figures
from hsc_pipeline.tracking.blocks import INTERVAL, first, same, table

MOST_FALSE, LEAST_FOUND = 0.05, 0.9  # what a rule that is good enough keeps to


def stem_cells(found: Mapping, settings: Mapping) -> Section:
    """Return the number of clones by each estimator, raw and corrected."""
    rows, blocks = found["stem_cells"], []
    known = rows.replace([np.inf], np.nan).dropna(subset=["estimate"])
    if len(known):
        caption = (
            "Insertions by each estimator (grey), and corrected for its bias under clones of unequal "
            "output that come and go, impure sorts, and this study's own sampling (blue, with interval). "
            "The raw ones differ because clones are unequal. No blue dot: no number is given; below stands "
            "why. Logarithmic."
        )
        label = "Dots of the number of clones by estimator, raw and corrected, a panel a subject."
        blocks.append(Figure("number", "How many clones", caption, label, figures.numbers(first(known))))
        columns = {
            **{"subject": "subject", "occasions": "samples", "seen": "clones seen", "estimator": "estimator"},
            **{"estimate": "estimate", "standard_error": "standard error", "clones": "corrected"},
            **same("low", "high", "copies", "cells"),
        }
        blocks.append(table(rows, columns, f"Cells: corrected insertions over copies a cell. {INTERVAL}"))
        blocks += [Text(said, quiet=True) for said in _notes(rows)]
    if len(found["phylogeny"]):
        columns = {**same("subject", "colonies", "coalescences"), "founders_median": "founders"}
        columns |= {"founders_low": "low", "founders_high": "high"}
        caption = (
            "Founders of the sampled stem cells by the coalescences of colonies, exact posterior on a grid "
            f"from 1,024 to 99,334; a number at an end of the grid may lie beyond it. {INTERVAL}"
        )
        blocks.append(table(found["phylogeny"], columns, caption))
    return Section("stem-cells", "Stem cells", "How many stem cells", blocks)


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return what is to be known of corrected numbers, a sentence a subject and note."""
    tried, said = rows.dropna(subset="note"), []
    for (subject, note), own in tried[tried["note"] != ""].groupby(["subject", "note"], sort=False):
        every = len(own) == (tried["subject"] == subject).sum()
        said.append(f"{subject}, {'every estimator' if every else ', '.join(own['estimator'])}: {note}.")
    return said


def clinical(found: Mapping) -> Section:
    """Return the clinical series."""
    rows = found["clinical"]
    if rows.empty:
        return Section("clinical", "Clinical", "Clinical series", [])
    what = rows["measure"] + rows["lineage"].map(lambda name: f", {name}" if name else "")
    rows = first(rows.assign(what=what + " (" + rows["unit"] + ")"))
    below = int(rows["below_limit"].sum())
    caption = f"As measured. {below} of {len(rows)} values lie below the limit of detection and stand at it."
    chart = figures.lines(rows, "what", "", zero=True)
    figure = Figure(
        "clinical", "Measures over time", caption, "Lines of clinical measures over months.", chart
    )
    return Section("clinical", "Clinical", "Clinical series", [figure])


def dominance(found: Mapping) -> Section:
    """Return alarms, and how often each rule errs under this sampling."""
    alarms, operating, blocks = found["alarms"], found["operating"], []
    if len(alarms):
        columns = same("subject", "tissue", "lineage", "rule", "month", "clone", "share")
        blocks.append(table(alarms, columns, "Alarms of every rule; a row an alarm."))
    else:
        blocks.append(Text("No rule raised an alarm in any sample."))
    if len(operating):
        caption = (
            "How often each rule errs, and what it finds, in virtual patients without and with one driver "
            f"clone from infusion on, under this study's sampling and other schedules. {INTERVAL}"
        )
        label = "Dots with intervals of false alarms and of drivers found, by rule and schedule."
        chart = figures.errors_of_rules(operating)
        blocks += [Figure("operating", "How often each rule errs", caption, label, chart), _advice(operating)]
        columns = {
            **same("schedule", "samples", "rule"),
            **{"false_alarms_per_patient_year": "false alarms per patient-year", "false_low": "low"},
            **{"false_high": "high", "advantage": "driver, per year", "detected": "found"},
            **{
                "detected_low": "low ",
                "detected_high": "high ",
                "months_to_detection": "months to detection",
            },
        }
        blocks.append(table(operating, columns, "Months to detection ∞: less than half were found.", most=80))
    return Section("alarms", "Alarms", "Dominance: alarms, and how often they err", blocks)


def _advice(operating: pd.DataFrame) -> Text:
    from hsc_pipeline.tracking.operating import recommend

    asked = (
        f"at most {MOST_FALSE:g} false alarms a patient and year and at least {100 * LEAST_FOUND:g} % of "
        "drivers found, both by the worse end of the interval"
    )
    said = []
    for advantage in sorted(set(operating["advantage"])):
        good = recommend(operating, advantage, MOST_FALSE, LEAST_FOUND)
        best = (
            f"{good['rule'].iloc[0]}, {good['schedule'].iloc[0]}"
            if len(good)
            else _nearest(operating, advantage)
        )
        said.append(f"for a driver of {advantage:g} a year, {best}")
    return Text(f"Good enough ({asked}): {'; '.join(said)}.")


def _nearest(operating: pd.DataFrame, advantage: float) -> str:
    """Say what finds most without too many false alarms, where nothing is good enough."""
    quiet = operating[(operating["advantage"] == advantage) & (operating["false_high"] <= MOST_FALSE)]
    if quiet.empty or not quiet["detected"].max() > 0:
        return "no rule and schedule, nor one that finds any with so few false alarms"
    best = quiet.sort_values("detected", ascending=False, kind="stable").iloc[0]
    return (
        f"no rule and schedule; with so few false alarms, {best['rule']}, {best['schedule']}, finds most, "
        f"{100 * best['detected']:.0f} %"
    )


def flagged(observations, found: Mapping) -> Section:
    """Return the clones that a rule, or growth beyond drift, flags, and drift or selection of the largest."""
    rows, blocks = found["selection"], []
    picked = flagged_clones(observations, found)
    if len(picked):
        names = {**same("subject", "clone", "rules", "alarms"), "first": "first month", "last": "last month"}
        names |= {"share": "largest share", **same("gene", "class"), "bayes_factor": "Bayes factor"}
        caption = (
            "Clones that a rule or the test of selection flags: the rules, how many alarms, the largest "
            "share at one, the gene that the tables name for the site and its class in the list given."
        )
        blocks.append(table(picked, names, caption, 30))
    if len(rows):
        names = {**same("subject", "clone"), "first_share": "first share", "last_share": "last share"}
        names |= {"bayes_factor": "Bayes factor", **same("probability"), "advantage": "advantage per year"}
        names |= same("low", "high", "p", "flagged")
        ordered = rows.sort_values("bayes_factor", ascending=False, kind="stable")
        caption = (
            "Growth beyond drift: Bayes factor of an advantage against none, given draw, capture, division "
            "and the spread of clone output; flagged so that at most a twentieth of the flagged of a "
            f"subject are expected to be false. {INTERVAL}"
        )
        text = (
            f"{int(rows['flagged'].sum())} of {len(rows)} clones that were tested for selection are flagged."
        )
        blocks += [Text(text), table(ordered, names, caption, 30)]
    return Section("selection", "Flagged clones", "Flagged clones; drift or selection", blocks)


def flagged_clones(observations, found: Mapping) -> pd.DataFrame:
    """Return the clones that a rule or the test of selection flags, a row each."""
    alarms, tested = found["alarms"], found["selection"]
    marked = tested.loc[tested["flagged"].astype(bool), ["subject", "clone", "last_share"]]
    marked = marked.rename(columns={"last_share": "share"}).assign(rule="selection", month=np.nan)
    both = pd.concat([alarms[["subject", "clone", "rule", "month", "share"]], marked], ignore_index=True)
    if both.empty:
        return both
    grouped = both.groupby(["subject", "clone"], sort=False)
    picked = grouped.agg(
        rules=("rule", lambda names: ", ".join(dict.fromkeys(names))),
        alarms=("month", "count"),
        first=("month", "min"),
        last=("month", "max"),
        share=("share", "max"),
    ).reset_index()
    picked = picked.merge(_genes_of(observations, picked["clone"]), on="clone", how="left")
    classes = dict(zip(found["listed_genes"]["gene"], found["listed_genes"]["class"], strict=True))
    picked["class"] = [classes.get(gene, "") for gene in picked["gene"]]
    factors = tested.drop_duplicates(["subject", "clone"])[["subject", "clone", "bayes_factor"]]
    return picked.merge(factors, on=["subject", "clone"], how="left").sort_values(
        "share", ascending=False, kind="stable"
    )


def _genes_of(observations, clones: pd.Series) -> pd.DataFrame:
    """Return the gene of each of some clones, ``clone, gene``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = observations.clones.select(["clone", "gene"])
    wanted = pc.is_in(rows["clone"].cast(pa.string()), pa.array(clones.unique(), pa.string()))
    return rows.filter(wanted).to_pandas().astype(str).drop_duplicates("clone")


def sites(found: Mapping) -> Section:
    """Return collisions between subjects, common sites and genes of the user's list."""
    blocks: list = []
    if len(found["collisions"]):
        names = {"clone": "site", "subject": "subject", "count": "count", "kept": "belongs here"}
        caption = "Sites found in several subjects, and to whom they belong by their counts."
        blocks.append(table(found["collisions"], names, caption, 30))
    if len(found["common_sites"]):
        names = {**same("against", "chromosome", "start", "end", "sites", "expected"), "p": "p, whole genome"}
        caption = (
            "Common integration sites by a scan statistic: windows of the genome with the most sites. "
            "Against an even genome, hot spots of the vector stand here too; against a background, windows "
            "in which its share of the sites is smallest. Lost clones: sites that the stable months do not "
            "show again."
        )
        blocks.append(table(found["common_sites"], {**names, "genes": "genes"}, caption, 20))
    if len(found["common_genes"]):
        names = {
            **same("gene", "length", "sites", "z", "p"),
            "p_bonferroni": "p, Bonferroni",
            "p_fdr": "p, FDR",
        }
        caption = (
            "Common integration sites by Grubbs' outlier test: genes with more sites for their length than "
            f"the other genes with a site and a length. {found['common_genes']['unlisted'].iloc[0]} genes "
            "with a site have no length in the list."
        )
        blocks.append(table(found["common_genes"], names, caption, 20))
    if len(found["enriched_genes"]):
        names = {**same("gene", "sites", "against", "background"), "odds_ratio": "odds ratio", "p": "p"}
        names |= {"p_adjusted": "p, adjusted"}
        caption = (
            "Genes with more sites in the stable months than the background has, Fisher's exact test, "
            "one-sided, adjusted for the number of genes."
        )
        blocks.append(table(found["enriched_genes"], names, caption, 20))
    if len(found["listed_genes"]):
        names = {**same("subject", "gene", "class", "sites"), "clone": "largest clone"}
        names |= {**same("lineage", "month"), "share": "its share"}
        ordered = found["listed_genes"].sort_values("share", ascending=False, kind="stable")
        caption = (
            "Genes of the list given in which, or nearest to which, clones were found; the largest clone "
            "of each."
        )
        blocks.append(table(ordered, names, caption, 30))
    return Section("sites", "Sites", "Integration sites", blocks)


def planning(found: Mapping) -> Section:
    """Return what the next samples should be."""
    clone, change, blocks = found["see_clone"], found["see_change"], []
    if len(clone):
        names = {**same("lineage"), "share": "share of corrected cells", "chance": "chance in a usual sample"}
        names |= {"ng_needed": "ng for 90 %", "samples_needed": "usual samples"}
        names |= {"month_at_0.5": "month, driver of 0.5", "month_at_1": "month, driver of 1"}
        known = (
            "capture as in these samples"
            if clone["stated"].all()
            else "capture of the catalogue where DNA or VCN is not stated"
        )
        caption = (
            f"What shows a clone, one of its insertions followed; {known}. Month: when a driver that began "
            "as one marked stem cell holds that share."
        )
        blocks.append(table(clone, names, caption))
    if len(change):
        names = {"times_dna": "DNA, times the present", **same("fragments"), "occasions": "samples"}
        names |= {"ln_error": "error of ln number", "power": "power"}
        first = change.iloc[0]
        caption = (
            f"Power to tell {first['clones']:,.0f} clones from {first['fold'] * first['clones']:,.0f}, at "
            "10 %, two-sided, by bias-corrected Chao2 in both."
        )
        blocks.append(table(change, names, caption))
    return Section("planning", "Planning", "What the next samples should be", blocks)
