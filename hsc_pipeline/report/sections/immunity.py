"""Immunity: reconstitution, repertoire, challenges, vaccines, infections, and the score with its parts."""

from collections.abc import Mapping

import pandas as pd

from hsc_pipeline.immunity.score import DOMAINS
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import immunity as figures
from hsc_pipeline.report.figures.common import bands_by_panel
from hsc_pipeline.report.intervals import wilson
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, listed, number, with_interval

TWINS = {"healthy": "healthy twin", "untreated": "untreated twin"}
NAMES = {
    "composite": "composite",
    "t_cells": "T cells",
    "b_cells": "B cells",
    "innate": "NK cells and neutrophils",
    "repertoire": "T and B repertoire",
    "defence": "defence against pathogens",
    "vaccines": "response to vaccines",
    "infection": "freedom from infection",
    "kept_corrected_cells": "corrected cells kept",
    "autoimmune_reset": "autoimmune reset",
    "graft_against_leukaemia": "graft against leukaemia",
}
CELLS = {
    "cd3": "CD3+ T cells",
    "cd4_t": "CD4+ T cells",
    "cd4_naive": "CD4+ naive T cells",
    "cd8_t": "CD8+ T cells",
    "b_cell": "B cells",
    "nk_cell": "NK cells",
    "neutrophil": "neutrophils",
}
PATHOGENS = {
    "respiratory_virus": "respiratory virus",
    "cmv": "cytomegalovirus",
    "bacterium": "bacterium killed by oxidase",
    "opportunist": "opportunist of CD4+ deficiency",
    "hiv": "HIV",
}
LOAD_UNITS = {
    "respiratory_virus": "TCID50/mL",
    "cmv": "copies/mL",
    "bacterium": "CFU/mL",
    "opportunist": "organisms",
    "hiv": "copies/mL",
}
VACCINES = {
    "tetanus": "tetanus",
    "pneumococcal": "pneumococcal conjugate",
    "measles": "measles",
    "hepatitis_b": "hepatitis B",
    "sars_cov_2": "SARS-CoV-2",
}
MOSTLY = 0.5  # share of a band from which a score is said to rest on assumptions
SQUARE_ROOT = "Axis of time: square root."


def immunity(results: Results) -> Section:
    """Return the section on immunity."""
    blocks: list = [
        Text(
            "Scores from 0 to 100 points compare arms with a healthy person of the same age. A score is not "
            "a clinical probability."
        ),
        _decomposition_figure(results),
        _twins_table(results),
        _scores_figure(results),
        *_ranges_blocks(results),
        _reconstitution_figure(results),
        _milestones_table(results),
        _markers_figure(results),
        _repertoire_figure(results),
        _courses_figure(results),
        _survival_table(results),
        _vaccine_figure(results),
        _titre_figure(results),
        _infection_figure(results),
        _infection_table(results),
        *_tolerance_blocks(results),
    ]
    return Section("immunity", "Immunity", "Immunity: what the cells can do", blocks)


def _of_patients(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["who"] == "patient"] if "who" in frame else frame


def _landmark(results: Results) -> float:
    return float(results.outcomes["landmark_month"].iloc[0])


def _cohort(results: Results) -> str:
    return f"{counted(results.drawn, 'patient')} an arm"


# The composite ----------------------------------------------------------------------------------


def _decomposition_figure(results: Results) -> Figure:
    lost, rows = measures.composite_with_losses(results.tables["scores"], results.arms, _landmark(results))
    named = lost.assign(
        row=lost["row"].replace(TWINS),
        kind=[name if name == "composite" else f"lost: {NAMES[name]}" for name in lost["kind"]],
    )
    caption = (
        f"Mean composite at month {number(_landmark(results))}, whole colour, and the points that "
        "each domain "
        f"takes from a hundred, pale: {_cohort(results)}. The composite is the geometric mean of "
        f"{len(DOMAINS)} domains, so that one that fails cannot hide; the points lost are divided by "
        "what each "
        "takes from its logarithm. The twins have the cells of a healthy person and of an untreated "
        "patient of "
        "the same age."
    )
    return Figure(
        "score-parts",
        "The composite score and what it lacks",
        caption,
        "Stacked bars of the composite and the points lost by domain, a bar an arm and a twin.",
        figures.points_lost(named, [TWINS.get(row, row) for row in rows]),
    )


def _twins_table(results: Results) -> TextTable:
    scores = results.tables["scores"]
    month = _landmark(results)
    rows = []
    columns = ["composite", *DOMAINS]
    for arm in results.arms:
        own = scores[(scores["arm"] == arm) & (scores["who"] == "patient") & (scores["month"] == month)]
        rows.append([arm, *(_median_range(own[column]) for column in columns)])
    for who, name in TWINS.items():
        twins = scores[(scores["arm"] == results.arms[0]) & (scores["who"] == who)]
        rows.append([name, *(_median_range(twins[column]) for column in columns)])
    caption = (
        f"Composite and its domains at month {number(month)}: median (5th to 95th centile) of "
        f"{_cohort(results)}, and of their twins."
    )
    return TextTable(caption, ["", *(NAMES[column] for column in columns)], rows)


def _median_range(values: pd.Series) -> str:
    low, middle, high = (number(value) for value in values.quantile([measures.LOW, 0.5, measures.HIGH]))
    return middle if low == high else f"{middle} ({low}–{high})"


def _scores_figure(results: Results) -> Figure:
    scores = measures.thinned(_of_patients(results.tables["scores"]))
    parts = [measures.bands(scores, column).assign(panel=NAMES[column]) for column in ("composite", *DOMAINS)]
    caption = (
        "A count scores 100 from the limiting centile for age up, uncorrected cells weighed by their "
        f"function; defence and vaccines are against a healthy twin. Median and 5th to 95th centile of "
        f"{_cohort(results)}. {SQUARE_ROOT}"
    )
    return Figure(
        "scores",
        "Immune competence and its domains",
        caption,
        "Lines of the composite score and its domains over months by arm.",
        bands_by_panel(pd.concat(parts, ignore_index=True), results.arms, "points", (0, 100)),
    )


def _ranges_blocks(results: Results) -> list:
    middle = results.tables["score_ranges"]
    asked = _asked(results)
    shown = [name for name in NAMES if asked.get(name, True) and _moves(middle, name)]
    if not shown:
        return []
    first = middle.iloc[0]
    caption = (
        f"Scores at month {number(first['month'])} of the patient with the median composite in each "
        "arm. Dot: "
        f"under the catalogue's values; thin line: 5th to 95th centile over the ranges of {first['values']} "
        f"values that the immunity stage reads ({first['draws']} draws); thick line: over the ranges of the "
        f"{first['assumed_values']} assumed ones among them alone. The patient's blood is held as it is."
    )
    named = middle.assign(
        text=[f"{number(row.low)}–{number(row.high)}" for row in middle.itertuples()],
        score=middle["score"].map(NAMES),
    )[middle["score"].isin(shown)]
    figure = Figure(
        "score-ranges",
        "How far the scores move over the catalogue's ranges",
        caption,
        "Dots of scores with their bands over the ranges of catalogue values, a panel an arm.",
        figures.ranges(named, [NAMES[name] for name in shown], results.arms),
    )
    return [Text(_warning(middle)), figure, _ranges_table(middle, shown, results)]


def _asked(results: Results) -> dict[str, bool]:
    """Return whether a score answers a question of this study, where not all studies ask it."""
    values = [results.values(arm) for arm in results.arms]
    return {
        "autoimmune_reset": any(value["reset.relapse_per_year"] > 0 for value in values),
        "graft_against_leukaemia": any(value["product.donor"] == "allogeneic" for value in values),
    }


def _moves(found: pd.DataFrame, score: str) -> bool:
    rows = found[found["score"] == score]
    return bool(((rows["high"] - rows["low"]) > 0.5).any())


def _warning(middle: pd.DataFrame) -> str:
    """Say how much of the composite's band rests on assumed values."""
    row = middle[middle["score"] == "composite"].iloc[0]
    band = f"{number(row['low'])} to {number(row['high'])}"
    if pd.isna(row["assumed_share"]):
        return "The composite does not move over the catalogue's ranges."
    share = f"{number(100 * row['assumed_share'])} %"
    said = (
        f"Over the catalogue's ranges the composite of the median patient of {row['arm']}, "
        f"{number(row['value'])}, lies between {band}; {share} of that band's variance remains when "
        "the assumed "
        "values alone are drawn."
    )
    if row["assumed_share"] >= MOSTLY:
        said += " The composite rests mostly on assumptions: read differences between arms, not its level."
    return said


def _ranges_table(middle: pd.DataFrame, shown: list[str], results: Results) -> TextTable:
    rows = []
    for score in shown:
        cells = []
        for arm in results.arms:
            [row] = middle[(middle["score"] == score) & (middle["arm"] == arm)].itertuples()
            share = "" if pd.isna(row.assumed_share) else f" · {number(100 * row.assumed_share)} %"
            cells.append(f"{number(row.value)} ({number(row.low)}–{number(row.high)}){share}")
        rows.append([NAMES[score], *cells])
    caption = (
        "Score (band over the catalogue's ranges) · share of the band's variance that rests on assumed "
        "values."
    )
    return TextTable(caption, ["", *results.arms], rows)


# Cells ------------------------------------------------------------------------------------------


def _reconstitution_figure(results: Results) -> Figure:
    cells = measures.thinned(results.tables["reconstitution"])
    cells = cells[cells["cell"].isin(CELLS)].assign(z_score=cells["z_score"].clip(lower=-10))
    band = measures.bands(cells, "z_score", ("cell", "arm", "month"))
    order = {cell: place for place, cell in enumerate(CELLS)}
    band = band.sort_values(["cell", "arm", "month"], key=lambda c: c.map(order) if c.name == "cell" else c)
    caption = (
        "Counts in standard deviations from the median for age, of logarithms. Grey: 10th to 90th centile of "
        f"healthy people. Median and 5th to 95th centile of {_cohort(results)}; drawn at −6 where lower. "
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
        "Milestones: share of patients who reached them at some visit (Wilson 90 % interval), and the median "
        f"month of those who did; n = {_cohort(results)}, all followed to the end."
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
        f"infusions. Median and 5th to 95th centile of {_cohort(results)}. Dashed: median of healthy people "
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
        "Functional clonotypes of the whole body in percent of those of a median person of the same age and "
        f"weight, logarithmic. Median and 5th to 95th centile of {_cohort(results)}. {SQUARE_ROOT}"
    )
    panels = list(band["panel"].unique())
    return Figure(
        "repertoire",
        "Diversity of T and B cells",
        caption,
        "Lines of clonotypes against the norm over months by arm, a panel a kind of cell.",
        figures.with_levels(band, lines, results.arms, dict.fromkeys(panels, "% of normal"), panels),
    )


# Pathogens, vaccines, infections -----------------------------------------------------------------


def _courses_figure(results: Results) -> Figure:
    loads = measures.median_courses(results.tables["challenge_courses"], TWINS)
    values = results.values(results.arms[0])
    named = loads.assign(
        panel=loads["pathogen"].map(PATHOGENS),
        unit=loads["pathogen"].map(LOAD_UNITS),
        detection=[values[f"pathogen.{pathogen}.detection"] for pathogen in loads["pathogen"]],
    )
    caption = (
        "Course of an infection at the last visit: median load of "
        f"{_cohort(results)} by day after exposure, logarithmic, and of their twins, dashed. Dotted: the "
        "limit of detection. HIV meets nobody in these studies: its course tells what would happen without "
        "drugs, and the healthy twin has no protected cells."
    )
    return Figure(
        "courses",
        "Pathogens met by these cells",
        caption,
        "Lines of the load of each pathogen over days by arm, and of the healthy and the untreated twin.",
        figures.courses(named, results.arms),
    )


def _survival_table(results: Results) -> TextTable:
    table = results.tables["challenges"]
    month, rows = _landmark(results), []
    for pathogen, name in PATHOGENS.items():
        met = table[table["pathogen"] == pathogen]
        own = met[(met["who"] == "patient") & (met["month"] == month)]
        cells = [_challenge(own[own["arm"] == arm]) for arm in results.arms]
        first = met[met["arm"] == results.arms[0]]
        cells += [_challenge(first[first["who"] == who]) for who in TWINS]
        rows.append([name, *cells])
    caption = (
        f"Survival of the challenge, %, and day of clearance at month {number(month)}: medians of "
        f"{_cohort(results)}. Survival follows the area under the load against the healthy twin's; it "
        "ranks arms and is no prognosis. Of HIV: who keeps CD4+ cells for a year without drugs, and how much "
        "of its growth cells without the receptor block; at 100 % it cannot grow."
    )
    return TextTable(caption, ["", *results.arms, *TWINS.values()], rows)


def _challenge(rows: pd.DataFrame) -> str:
    survived = f"{number(100 * rows['survival'].median())} %"
    if (rows["pathogen"] == "hiv").all():
        return f"{survived}, growth blocked to {number(rows['score'].median())} %"
    if rows["cleared"].mean() < 0.5:
        return f"{survived}, not cleared"
    return f"{survived}, day {number(rows['clearance_day'].median())}"


def _vaccine_figure(results: Results) -> Figure:
    table = measures.thinned(_of_patients(results.tables["vaccine_responses"]))
    table = table.assign(share=100 * table["response_probability"])
    band = measures.bands(table, "share", ("vaccine", "arm", "month"))
    twins = results.tables["vaccine_responses"]
    twins = twins[twins["who"] != "patient"].groupby(["vaccine", "who"])["response_probability"].median()
    lines = [
        {"panel": VACCINES[vaccine], "who": who, "value": 100 * value}
        for (vaccine, who), value in twins.items()
        if who in ("healthy", "weakened")
    ]
    panels = list(VACCINES.values())
    caption = (
        "Chance that a schedule begun at this visit protects a month after its last dose. Median and 5th to "
        f"95th centile of {_cohort(results)}. Dashed: twins with a healthy person's cells, and with few. "
        f"Whether a live vaccine may be given is another question: see vaccine_responses. {SQUARE_ROOT}"
    )
    return Figure(
        "vaccine-response",
        "When to vaccinate anew",
        caption,
        "Lines of the response to each vaccine by month of its first dose, by arm.",
        figures.with_levels(
            band.assign(panel=band["vaccine"].map(VACCINES)),
            pd.DataFrame(lines),
            results.arms,
            dict.fromkeys(panels, "% protected"),
        ),
    )


def _titre_figure(results: Results) -> Figure:
    table = measures.thinned(results.tables["titres"])
    table = table[table["given"]].assign(ratio=(table["titre"] / table["threshold"]).clip(lower=1e-3))
    band = measures.bands(table, "ratio", ("vaccine", "arm", "month"))
    panels = list(VACCINES.values())
    lines = pd.DataFrame([{"panel": panel, "who": "protects", "value": 1.0} for panel in panels])
    caption = (
        "Titre against the threshold that protects, from the recommended month of the first dose on, "
        f"logarithmic. Median and 5th to 95th centile of {_cohort(results)}, each with a response of "
        "its own. "
        f"{SQUARE_ROOT}"
    )
    return Figure(
        "titres",
        "Titres and their waning",
        caption,
        "Lines of titres over months by arm and vaccine, with the protective threshold as a dashed line.",
        figures.with_levels(
            band.assign(panel=band["vaccine"].map(VACCINES)),
            lines,
            results.arms,
            dict.fromkeys(panels, "titre/threshold"),
            panels,
        ),
    )


def _infection_figure(results: Results) -> Figure:
    risk = results.tables["infection_risk"]
    band = measures.bands(measures.thinned(_of_patients(risk)), "hazard_per_year")
    first = risk[risk["arm"] == results.arms[0]]
    lines = [
        {"panel": "serious infections", "who": name, "value": float(hazard)}
        for who, name in TWINS.items()
        if pd.notna(hazard := first.loc[first["who"] == who, "hazard_per_year"].median())
    ]
    caption = (
        "Hazard of serious infection per person-year: median and 5th to 95th centile of "
        f"{_cohort(results)}, logarithmic. Dashed: twins. Calibrated to published rates before and "
        "after gene "
        f"therapy of ADA deficiency; elsewhere it is a score. {SQUARE_ROOT}"
    )
    band = measures.floored(band, ["low", "median", "high"], 1e-3)
    return Figure(
        "infection-risk",
        "Risk of serious infection",
        caption,
        "Lines of the hazard of serious infection over months by arm, with twins as dashed lines.",
        figures.with_levels(
            band.assign(panel="serious infections"),
            pd.DataFrame(lines),
            results.arms,
            {"serious infections": "per person-year"},
            ["serious infections"],
        ),
    )


def _infection_table(results: Results) -> TextTable:
    episodes, first = results.tables["infection_episodes"], results.arms[0]
    groups = {
        arm: episodes[(episodes["arm"] == arm) & (episodes["who"] == "patient")] for arm in results.arms
    }
    groups |= {
        name: episodes[(episodes["arm"] == first) & (episodes["who"] == who)] for who, name in TWINS.items()
    }
    last, people = results.study["visits_months"][-1], results.drawn
    rows = []
    for name, own in groups.items():
        causes = [f"{cause.replace('_', ' ')} {n:,}" for cause, n in own["cause"].value_counts().items()]
        early = int((own["month"] < 12).sum())
        later = number((len(own) - early) / ((last - 12) / 12 * people)) if last > 12 else "none"
        rows.append(
            [
                name,
                f"{len(own):,}",
                number(len(own) / (last / 12 * people)),
                number(early / (min(last, 12) / 12 * people)),
                later,
                listed(causes) if causes else "none",
            ]
        )
    caption = (
        f"Simulated serious infections of {_cohort(results)} and of their twins, followed for {number(last)} "
        "months, and what raises the hazard most when they come."
    )
    head = ["", "episodes", "per person-year", "in year 1", "later", "leading cause"]
    return TextTable(caption, head, rows, numbers=(1, 2, 3, 4))


# Tolerance --------------------------------------------------------------------------------------


def _tolerance_blocks(results: Results) -> list:
    blocks: list = [_immunogenicity_table(results)]
    asked = _asked(results)
    if asked["autoimmune_reset"]:
        blocks.append(_reset_figure(results))
    if asked["graft_against_leukaemia"]:
        blocks.append(_graft_table(results, {arm: results.values(arm) for arm in results.arms}))
    return blocks


def _immunogenicity_table(results: Results) -> TextTable:
    table = results.tables["immunogenicity"]
    at_last = table[table["month"] == table["month"].max()]
    rows = []
    for arm in results.arms:
        own = at_last[at_last["arm"] == arm]
        cells = []
        for antigen in ("transgene", "editor", "vector"):
            chance = 100 * own.loc[own["antigen"] == antigen, "response_probability"]
            cells.append(number(float(chance.mean())) if len(chance) else "none")
        product = own[own["antigen"] == "transgene"]
        lost = int((product["drawn_loss"] > 0).sum())
        antibodies = number(100 * float(product["antibody_probability"].mean()))
        rows.append([arm, *cells, antibodies, f"{lost:,} of {len(product):,}"])
    caption = (
        "Immune responses against what the cells bring, mean chance in % by the last visit; "
        "antibodies against "
        "the product; and patients whose plan holds a rejection of corrected cells."
    )
    head = ["", "product", "editor", "vector", "antibodies", "rejections drawn"]
    return TextTable(caption, head, rows, numbers=(1, 2, 3, 4, 5))


def _reset_figure(results: Results) -> Figure:
    table = measures.thinned(results.tables["autoimmune_reset"])
    columns = {
        "naive T cells made anew": "naive_renewed",
        "old memory CD4+ cells": "cd4_memory_old",
        "old memory CD8+ cells": "cd8_memory_old",
        "relapse-free": "relapse_free",
    }
    bands = [
        measures.bands(table.assign(value=100 * table[column]), "value").assign(panel=panel)
        for panel, column in columns.items()
    ]
    caption = (
        "Renewal of the T cells after conditioning and the chance of no relapse so far, percent. Median and "
        f"5th to 95th centile of {_cohort(results)}. {SQUARE_ROOT}"
    )
    return Figure(
        "reset",
        "Autoimmune reset",
        caption,
        "Lines of renewed naive cells, old memory cells and relapse-free patients over months by arm.",
        bands_by_panel(pd.concat(bands, ignore_index=True), results.arms, "%", (0, 100), 4),
    )


def _graft_table(results: Results, values: Mapping[str, Mapping]) -> TextTable:
    effects, month = results.tables["graft_effects"], _landmark(results)
    rows = []
    for arm in results.arms:
        own = effects[(effects["arm"] == arm) & (effects["month"] == month)]
        ill = wilson(int((own["gvhd_months"] > 0).sum()), len(own)).times(100)
        rows.append(
            [
                arm,
                "donor" if values[arm]["product.donor"] == "allogeneic" else "own cells",
                number(100 * float(own["donor_t_cells"].median())),
                with_interval(ill, "%"),
                number(float(own["relapse_ratio"].median())),
            ]
        )
    caption = (
        f"What a donor's graft does, by month {number(month)}: median share of T cells that are the "
        "donor's, %; "
        "patients with graft-versus-host disease so far (Wilson 90 % interval); and the median hazard of a "
        "relapse of leukaemia against a graft of one's own."
    )
    head = ["", "graft", "donor T cells", "graft-versus-host disease", "relapse ratio"]
    return TextTable(caption, head, rows, numbers=(2, 4))
