"""The report of a tracking run: one page, of the same make as that of a study."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.report.page import Figure, Section, Text, TextTable, render
from hsc_pipeline.report.wording import number
from hsc_pipeline.tables import replacing
from hsc_pipeline.tracking import figures
from hsc_pipeline.tracking.run import FEWEST, LINEAGES, deep_enough
from hsc_pipeline.tracking.series import Series, all_series, frame, read_observations

MOST_SUBJECTS = 8  # drawn; all stand in the tables
NOT_SHOWN = ("seen",)
INTERVAL = "Intervals are 90 %."
MOST_FALSE, LEAST_FOUND = 0.05, 0.9  # what a rule that is good enough keeps to


def write_page(path: str, tidy: Mapping[str, str], tables: Mapping[str, str], settings: Mapping) -> None:
    """Write the report.

    Parameters
    ----------
    path : str
    tidy : mapping of str to str
        Files of `series.read_observations`.
    tables : mapping of str to str
        Parquet of each topic, and CSV of what `cleaning.clean` found.
    settings : mapping
        The filled `settings.TrackingFile`.
    """
    observations = read_observations(**tidy)
    found = {name: _read(file) for name, file in tables.items() if name not in NOT_SHOWN}
    sections = [
        quality(observations, found, settings),
        clones(observations, settings),
        diversity(found, settings),
        lineages(found, settings),
        stem_cells(found, settings),
        clinical(found),
        dominance(found),
        flagged(found),
        sites(found),
        planning(found),
        provenance(observations, settings),
    ]
    page = render(head_of(settings, observations), [section for section in sections if section.blocks])
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def _read(file: str) -> pd.DataFrame:
    return pd.read_parquet(file) if file.endswith(".parquet") else pd.read_csv(file, keep_default_na=False)


def head_of(settings: Mapping, observations) -> dict[str, object]:
    """Return what the page says before its sections; see `report.page.render`."""
    subjects = len(set(observations.samples["subject"].to_pylist()))
    samples = observations.samples.num_rows
    return {
        "title": settings["title"] or settings["name"],
        "study": settings["name"],
        "kicker": f"Clonal tracking {settings['name']} · {observations.assay}",
        "subtitle": f"{samples} samples of {subjects} subject{'s' if subjects > 1 else ''}.",
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
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, int | float | np.number):
        return str(value)
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    # Places and whole numbers stand as they are; three digits are enough for the rest.
    return f"{value:,.0f}".replace("-", "−") if float(value).is_integer() else number(float(value))


def same(*names: str) -> dict[str, str]:
    """Return columns whose headers are their names."""
    return {name: name for name in names}


def quality(observations, found: Mapping, settings: Mapping) -> Section:
    """Return what was read: samples, clones and depth by subject and lineage."""
    rows = found["diversity"]
    grouped = rows.groupby(["subject", "tissue", "lineage"], sort=True, dropna=False)
    seen = grouped.agg(
        samples=("sample", "size"),
        first=("month", "min"),
        last=("month", "max"),
        clones=("richness", "median"),
        depth=("total", "median"),
    ).reset_index()
    columns = {
        **same("subject", "tissue", "lineage", "samples"),
        **{"first": "first month", "last": "last month", "clones": "clones, median"},
        "depth": f"{observations.assay}, median",
    }
    seen = seen.astype({"clones": float, "depth": float})
    blocks = [table(seen, columns, "What was read: a row a series of samples.")]
    remarks = " ".join(_remarks(observations, found, settings))
    return Section("tables", "Tables", "The tables, as they were read", [*blocks, Text(remarks, quiet=True)])


def _remarks(observations, found: Mapping, settings: Mapping) -> list[str]:
    rows, near, shared = found["diversity"], found["near_sites"], found["collisions"]
    small, timeless = int((rows["total"] < 50).sum()), int(rows["month"].isna().sum())
    said = [f"{small} of {len(rows)} samples hold fewer than 50 counts and say little."]
    if timeless:
        said.append(f"{timeless} samples have no month: they stand in the table of diversity alone.")
    if observations.assay in ("reads", "unstated"):
        said.append(
            "Counts of reads are not counts of cells: comparison at one depth, multilineage fractions, "
            "drift "
            "or selection and planning are left out, and Chao1 has no interval."
        )
    if observations.clones["position"].null_count < observations.clones.num_rows:
        done = "merged" if settings["sites"]["near"] == "merge" else "left alone"
        said.append(f"Sites near a larger one of the same subject: {len(near)}, {done}.")
        doubtful = int((shared["kept"].astype(str) != "True").sum())
        done = "removed" if settings["sites"]["collisions"] == "remove" else "left alone"
        pairs = shared["clone"].nunique()
        said.append(
            f"Sites found in several subjects: {pairs}, with {doubtful} subjects that may not own them, "
            f"{done}."
        )
    wanted = settings["stem_cells"]
    held = rows[(rows["lineage"] == wanted["lineage"]) & (rows["tissue"] == wanted["tissue"])]
    if held.empty:
        names = sorted(
            {f"{row.lineage or 'not stated'} of {row.tissue or 'not stated'}" for row in rows.itertuples()}
        )
        said.append(
            f"No sample is {wanted['lineage']!r} of {wanted['tissue']!r}, as stem_cells wants: the "
            f"number of stem "
            f"cells and what follows from it are left out. There are: {', '.join(names)}."
        )
    return said


def clones(observations, settings: Mapping) -> Section:
    """Return the largest clones over time, a figure a lineage."""
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
    return Section("clones", "Clones", "Clones over time", blocks)


def _areas(series: list[Series], top: Mapping, lineage: str, tissue: str) -> Figure:
    where = f" of {tissue}" if tissue else ""
    caption = (
        f"Shares in {lineage} samples{where} of {FEWEST} counts or more; the rest up to 100 % is other "
        f"clones. Colours: the {figures.TOP} clones of each subject with the largest shares, all its samples "
        "here together; one colour is the same clone in all lineages of a subject, and another clone "
        "in another subject. Axis of time: square root."
    )
    label = f"Stacked areas of the shares of the largest clones in {lineage} over months, a panel a subject."
    name = f"largest-{''.join(c for c in lineage.lower() if c.isalnum())}"
    return Figure(name, f"The largest clones: {lineage}", caption, label, figures.largest_clones(series, top))


def _top(series: list[Series]) -> np.ndarray:
    """Return the clones of a subject with the largest share over all series together."""
    parts = [pd.Series((one.counts / one.counts.sum(axis=0)).sum(axis=1), one.clones) for one in series]
    total = pd.concat(parts).groupby(level=0).sum().sort_values(ascending=False, kind="stable")
    return total.index[: figures.TOP].to_numpy()


def diversity(found: Mapping, settings: Mapping) -> Section:
    """Return diversity over time, and whether it changed at one depth."""
    tissue, blocks = settings["stem_cells"]["tissue"], []
    rarefied = found["rarefied"]
    rarefied = _first(rarefied[(rarefied["measure"] == "shannon") & (rarefied["tissue"] == tissue)])
    raw = found["diversity"].dropna(subset=["month", "shannon"])
    raw = _first(raw[raw["tissue"] == tissue])
    if len(rarefied):
        caption = (
            "Shannon index, nats, of all samples of a series brought to the depth of its smallest with 50 "
            f"counts or more, so that its samples compare; series have other depths. {INTERVAL} Sampling "
            "alone; not the scatter from draw to draw. Axis of time: square root."
        )
        chart = figures.lines(
            _by_lineage(rarefied.rename(columns={"estimate": "value"})), "lineage", "nats", band=True
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
            "Shannon index, nats, mean of the samples of a month; a line a subject. It rises with "
            "depth, which "
            "differs between samples. Axis of time: square root."
        )
        chart = figures.lines(_by_lineage(means.rename(columns={"shannon": "value"})), "lineage", "nats")
        blocks.append(
            Figure("shannon", "Shannon index", caption, "Lines of the Shannon index over months.", chart)
        )
    change = found["depth"][found["depth"]["measure"].isin(["richness", "shannon"])]
    if len(change):
        blocks.append(_change(change))
    blocks += _accumulation(found, settings)
    return Section("diversity", "Diversity", "Diversity, and whether it changed", blocks)


def _change(change: pd.DataFrame) -> TextTable:
    columns = {
        **same("subject", "tissue", "lineage", "measure"),
        **{"month_a": "from month", "month_b": "to month", "depth": "at depth", "first": "first"},
        **{"second": "last", **same("difference", "low", "high", "p")},
    }
    caption = (
        "Is the change real at this depth: the last sample of a series against its first from the "
        "stable month "
        f"on, both brought to the smaller depth; p by sampling alone, not corrected for the number of "
        f"rows. {INTERVAL}"
    )
    return table(change, columns, caption)


def _accumulation(found: Mapping, settings: Mapping) -> list[Figure]:
    wanted, rows = settings["stem_cells"], found["accumulation"]
    rows = rows[(rows["tissue"] == wanted["tissue"]) & rows["lineage"].isin([wanted["lineage"], *LINEAGES])]
    rows = _first(rows).rename(columns={"time": "month", "cumulative": "value"})
    if rows.empty:
        return []
    caption = "Distinct clones seen up to a month. A line that goes on rising: many clones are still unseen."
    chart = figures.lines(_by_lineage(rows), "lineage", "clones", zero=True)
    return [
        Figure(
            "accumulation", "Clones seen so far", caption, "Lines of cumulative clones over months.", chart
        )
    ]


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the subjects that are drawn."""
    return rows[rows["subject"].isin(list(dict.fromkeys(rows["subject"]))[:MOST_SUBJECTS])]


def _by_lineage(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the lineages that share no cell first."""
    order = {name: at for at, name in enumerate(LINEAGES)}
    return rows.sort_values(
        "lineage", key=lambda names: names.map(lambda name: order.get(name, 9)), kind="stable"
    )


def lineages(found: Mapping, settings: Mapping) -> Section:
    """Return what lineages share."""
    shared, blocks = found["sharing"], []
    shared = _first(shared[shared["tissue"] == settings["stem_cells"]["tissue"]])
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
        columns |= {"estimate": "corrected share", **same("low", "high")}
        caption = (
            "Clones that serve two lineages or more. Naive: seen in two. Corrected: also for the "
            "clones that "
            f"a sample misses; sorts taken as pure, so that contamination counts as sharing. {INTERVAL}"
        )
        blocks.append(table(found["multilineage"], columns, caption))
    biased = found["bias"][found["bias"]["p_adjusted"] < 0.05] if len(found["bias"]) else found["bias"]
    if len(biased):
        columns = {**same("subject", "clone", "lineage", "count"), "log2_ratio": "log2 ratio"}
        columns |= {**same("low", "high"), "p_adjusted": "p, adjusted"}
        caption = (
            f"Of the 30 largest clones of a subject, those larger or smaller in a lineage than in "
            f"the others. {INTERVAL}"
        )
        blocks.append(table(biased.sort_values("p_adjusted", kind="stable"), columns, caption, 30))
    return Section("lineages", "Lineages", "Lineages: what they share", blocks)


def stem_cells(found: Mapping, settings: Mapping) -> Section:
    """Return the number of clones by each estimator, raw and corrected."""
    rows, blocks = found["stem_cells"], []
    known = rows.replace([np.inf], np.nan).dropna(subset=["estimate"])
    if len(known):
        caption = (
            "Insertions by each estimator (grey), and corrected for its bias under clones of unequal "
            "output "
            "and this study's own sampling (blue, with interval). The estimators differ because clones are "
            "unequal; the correction takes clones as neither coming nor going between samples, and where "
            "they do, as in a small or young marrow, it is too high. No blue dot: no number of clones "
            "would give what "
            "was seen. Logarithmic."
        )
        label = "Dots of the number of clones by estimator, raw and corrected, a panel a subject."
        blocks.append(Figure("number", "How many clones", caption, label, figures.numbers(_first(known))))
        columns = {
            **{"subject": "subject", "occasions": "samples", "seen": "clones seen", "estimator": "estimator"},
            **{"estimate": "estimate", "standard_error": "standard error", "clones": "corrected"},
            **same("low", "high", "copies", "cells"),
        }
        blocks.append(table(rows, columns, f"Cells: corrected insertions over copies a cell. {INTERVAL}"))
    if len(found["phylogeny"]):
        columns = {**same("subject", "colonies", "coalescences"), "founders_median": "founders"}
        columns |= {"founders_low": "low", "founders_high": "high"}
        caption = (
            "Founders of the sampled stem cells by the coalescences of colonies, exact posterior on a grid "
            f"from 1,024 to 99,334; a number at an end of the grid may lie beyond it. {INTERVAL}"
        )
        blocks.append(table(found["phylogeny"], columns, caption))
    return Section("stem-cells", "Stem cells", "How many stem cells", blocks)


def clinical(found: Mapping) -> Section:
    """Return the clinical series."""
    rows = found["clinical"]
    if rows.empty:
        return Section("clinical", "Clinical", "Clinical series", [])
    what = rows["measure"] + rows["lineage"].map(lambda name: f", {name}" if name else "")
    rows = _first(rows.assign(what=what + " (" + rows["unit"] + ")"))
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
            "How often each rule errs, and what it finds, in virtual patients without and with one "
            "driver clone "
            f"from infusion on, under this study's sampling and other schedules. {INTERVAL}"
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
        f"at most {MOST_FALSE:g} false alarms a patient and year and at least {100 * LEAST_FOUND:g} % "
        f"of drivers found, "
        "both by the worse end of the interval"
    )
    said = []
    for advantage in sorted(set(operating["advantage"])):
        good = recommend(operating, advantage, MOST_FALSE, LEAST_FOUND)
        best = f"{good['rule'].iloc[0]}, {good['schedule'].iloc[0]}" if len(good) else "no rule and schedule"
        said.append(f"for a driver of {advantage:g} a year, {best}")
    return Text(f"Good enough ({asked}): {'; '.join(said)}.")


def flagged(found: Mapping) -> Section:
    """Return drift or selection of single clones."""
    rows = found["selection"]
    if not len(rows):
        return Section("selection", "Selection", "Drift or selection", [])
    names = {
        **{"subject": "subject", "clone": "clone", "first_share": "first share", "last_share": "last share"},
        **{"bayes_factor": "Bayes factor", "probability": "probability", "advantage": "advantage per year"},
        **same("low", "high", "p", "flagged"),
    }
    ordered = rows.sort_values("bayes_factor", ascending=False, kind="stable")
    caption = (
        "Growth beyond drift: Bayes factor of an advantage against none, given draw, capture, division and "
        "the spread of clone output; flagged so that at most a tenth of the flagged of a subject are "
        "expected to be false."
    )
    text = f"{int(rows['flagged'].sum())} of {len(rows)} clones that were looked at are flagged."
    blocks = [Text(text), table(ordered, names, caption, 30)]
    return Section("selection", "Selection", "Drift or selection", blocks)


def sites(found: Mapping) -> Section:
    """Return collisions between subjects, common sites and genes of the user's list."""
    blocks: list = []
    if len(found["collisions"]):
        names = {"clone": "site", "subject": "subject", "count": "count", "kept": "belongs here"}
        caption = "Sites found in several subjects, and to whom they belong by their counts."
        blocks.append(table(found["collisions"], names, caption, 30))
    if len(found["common_sites"]):
        names = {**same("chromosome", "start", "end", "sites", "expected"), "p": "p, whole genome"}
        caption = (
            "Windows of the genome with the most sites, against sites that fall anywhere alike: hot "
            "spots of "
            "the vector stand here too."
        )
        blocks.append(table(found["common_sites"], {**names, "genes": "genes"}, caption, 20))
    if len(found["listed_genes"]):
        names = {**same("subject", "gene", "class", "sites"), "clone": "largest clone"}
        names |= {**same("lineage", "month"), "share": "its share"}
        ordered = found["listed_genes"].sort_values("share", ascending=False, kind="stable")
        caption = (
            "Genes of the list given in which, or nearest to which, clones were found; the "
            "largest clone of each."
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
            f"What shows a clone, one of its insertions followed; {known}. Month: when a driver that "
            f"began as one marked "
            "stem cell holds that share."
        )
        blocks.append(table(clone, names, caption))
    if len(change):
        names = {"times_dna": "DNA, times the present", **same("fragments"), "occasions": "samples"}
        names |= {"ln_error": "error of ln number", "power": "power"}
        first = change.iloc[0]
        caption = (
            f"Power to tell {first['clones']:,.0f} clones from {first['fold'] * first['clones']:,.0f}, "
            f"at 10 %, two-sided, by "
            "bias-corrected Chao2 in both."
        )
        blocks.append(table(change, names, caption))
    return Section("planning", "Planning", "What the next samples should be", blocks)


def provenance(observations, settings: Mapping) -> Section:
    """Return what was read and how."""
    rows = [
        [entry["path"], entry["format"] or "found out", entry["assay"] or observations.assay]
        for entry in settings["tables"]
    ]
    rows += [[settings[name], name, ""] for name in ("colonies", "clinical", "genes") if settings[name]]
    marrow = settings["stem_cells"]
    words = (
        f"Stem cells are read in {marrow['lineage'] or 'samples without lineage'} of "
        f"{marrow['tissue'] or 'tissue not stated'} from month {marrow['from_month']:g} on, "
        f"{marrow['copies_per_cell']:g} copies a cell where no subject has its own, "
        f"{marrow['marked']:,.0f} marked stem "
        f"cells assumed. hsc_pipeline {__version__}, seed {settings['seed']}. Every table is a CSV and "
        f"a Parquet file in the "
        "folder tracking; manifest.json holds their checksums."
    )
    blocks = [TextTable("Tables read.", ["table", "format", "assay"], rows), Text(words, quiet=True)]
    return Section("provenance", "Provenance", "Provenance", blocks)
