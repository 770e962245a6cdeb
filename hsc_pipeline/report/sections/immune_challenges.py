"""Immunity, what the cells meet: pathogens, vaccines, infections, and what tolerance asks."""

from collections.abc import Mapping

import pandas as pd

from hsc_pipeline.intervals import wilson
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import immunity as figures
from hsc_pipeline.report.figures.common import bands_by_panel
from hsc_pipeline.report.immune import SQUARE_ROOT, TWINS, asked, cohort, landmark, of_patients
from hsc_pipeline.report.page import Figure, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import listed, number, with_interval

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


def challenge_blocks(results: Results) -> list[Figure | TextTable]:
    """Return how pathogens, vaccines and infections go, and how the cells are borne."""
    return [
        _courses_figure(results),
        _survival_table(results),
        _vaccine_figure(results),
        _titre_figure(results),
        _infection_figure(results),
        _infection_table(results),
        *_tolerance_blocks(results),
    ]


def _courses_figure(results: Results) -> Figure:
    loads = measures.median_courses(results.tables["challenge_courses"], TWINS)
    values = results.values(results.arms[0])
    named = loads.assign(
        panel=loads["pathogen"].map(PATHOGENS),
        unit=loads["pathogen"].map(LOAD_UNITS),
        detection=[values[f"pathogen.{pathogen}.detection"] for pathogen in loads["pathogen"]],
    )
    caption = (
        f"Course of an infection at the last visit: median load of {cohort(results)} by day after exposure, "
        "logarithmic, and of their twins, dashed. Dotted: the limit of detection. HIV meets nobody in "
        "these studies: its course tells what would happen without drugs, and the healthy twin has no "
        "protected cells."
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
    month, rows = landmark(results), []
    for pathogen, name in PATHOGENS.items():
        met = table[table["pathogen"] == pathogen]
        own = met[(met["who"] == "patient") & (met["month"] == month)]
        cells = [_challenge(own[own["arm"] == arm]) for arm in results.arms]
        first = met[met["arm"] == results.arms[0]]
        cells += [_challenge(first[first["who"] == who]) for who in TWINS]
        rows.append([name, *cells])
    caption = (
        f"Survival of the challenge, %, and day of clearance at month {number(month)}: medians of "
        f"{cohort(results)}. Survival follows the area under the load against the healthy twin's; it ranks "
        "arms and is no prognosis. Of HIV: who keeps CD4+ cells for a year without drugs, and how much of "
        "its growth cells without the receptor block; at 100 % it cannot grow."
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
    table = measures.thinned(of_patients(results.tables["vaccine_responses"]))
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
        "Chance that a schedule begun at this visit protects a month after its last dose. Median and 5th "
        f"to 95th centile of {cohort(results)}. Dashed: twins with a healthy person's cells, and with few. "
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
        f"logarithmic. Median and 5th to 95th centile of {cohort(results)}, each with a response of its "
        f"own. {SQUARE_ROOT}"
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
    band = measures.bands(measures.thinned(of_patients(risk)), "hazard_per_year")
    first = risk[risk["arm"] == results.arms[0]]
    lines = [
        {"panel": "serious infections", "who": name, "value": float(hazard)}
        for who, name in TWINS.items()
        if pd.notna(hazard := first.loc[first["who"] == who, "hazard_per_year"].median())
    ]
    caption = (
        f"Hazard of serious infection per person-year: median and 5th to 95th centile of {cohort(results)}, "
        "logarithmic. Dashed: twins. Calibrated to published rates before and after gene therapy of ADA "
        f"deficiency; elsewhere it is a score. {SQUARE_ROOT}"
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
        f"Simulated serious infections of {cohort(results)} and of their twins, followed for {number(last)} "
        "months, and what raises the hazard most when they come."
    )
    head = ["", "episodes", "per person-year", "in year 1", "later", "leading cause"]
    return TextTable(caption, head, rows, numbers=(1, 2, 3, 4))


# Tolerance --------------------------------------------------------------------------------------


def _tolerance_blocks(results: Results) -> list:
    blocks: list = [_immunogenicity_table(results)]
    wanted = asked(results)
    if wanted["autoimmune_reset"]:
        blocks.append(_reset_figure(results))
    if wanted["graft_against_leukaemia"]:
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
        "Immune responses against what the cells bring, mean chance in % by the last visit; antibodies "
        "against the product; and patients whose plan holds a rejection of corrected cells."
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
        "Renewal of the T cells after conditioning and the chance of no relapse so far, percent. Median "
        f"and 5th to 95th centile of {cohort(results)}. {SQUARE_ROOT}"
    )
    return Figure(
        "reset",
        "Autoimmune reset",
        caption,
        "Lines of renewed naive cells, old memory cells and relapse-free patients over months by arm.",
        bands_by_panel(pd.concat(bands, ignore_index=True), results.arms, "%", (0, 100), 4),
    )


def _graft_table(results: Results, values: Mapping[str, Mapping]) -> TextTable:
    effects, month = results.tables["graft_effects"], landmark(results)
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
        "donor's, %; patients with graft-versus-host disease so far (Wilson 90 % interval); and the median "
        "hazard of a relapse of leukaemia against a graft of one's own."
    )
    head = ["", "graft", "donor T cells", "graft-versus-host disease", "relapse ratio"]
    return TextTable(caption, head, rows, numbers=(2, 4))
