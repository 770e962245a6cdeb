"""Immunity: the composite score with its parts, twins and band; then cells, and what they meet."""

import pandas as pd

from hsc_pipeline.immunity.score import DOMAINS
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import immunity as figures
from hsc_pipeline.report.figures.common import bands_by_panel
from hsc_pipeline.report.immune import SQUARE_ROOT, TWINS, asked, cohort, landmark, of_patients
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.immune_cells import cell_blocks
from hsc_pipeline.report.sections.immune_challenges import challenge_blocks
from hsc_pipeline.report.wording import number

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
MOSTLY = 0.5  # share of a band from which a score is said to rest on assumptions


def immunity(results: Results) -> Section:
    """Return the section on immunity."""
    blocks: list = [
        Text(
            "Scores from 0 to 100 points compare arms with a healthy person of the same age. A score is "
            "not a clinical probability."
        ),
        _decomposition_figure(results),
        _twins_table(results),
        _scores_figure(results),
        *_ranges_blocks(results),
        *cell_blocks(results),
        *challenge_blocks(results),
    ]
    return Section("immunity", "Immunity", "Immunity: what the cells can do", blocks)


def _decomposition_figure(results: Results) -> Figure:
    lost, rows = measures.composite_with_losses(results.tables["scores"], results.arms, landmark(results))
    named = lost.assign(
        row=lost["row"].replace(TWINS),
        kind=[name if name == "composite" else f"lost: {NAMES[name]}" for name in lost["kind"]],
    )
    caption = (
        f"Mean composite at month {number(landmark(results))}, whole colour, and the points that each "
        f"domain takes from a hundred, pale: {cohort(results)}. The composite is the geometric mean of "
        f"{len(DOMAINS)} domains, so that one that fails cannot hide; the points lost are divided by what "
        "each takes from its logarithm. The twins have the cells of a healthy person and of an untreated "
        "patient of the same age."
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
    month = landmark(results)
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
        f"{cohort(results)}, and of their twins."
    )
    return TextTable(caption, ["", *(NAMES[column] for column in columns)], rows)


def _median_range(values: pd.Series) -> str:
    low, middle, high = (number(value) for value in values.quantile([measures.LOW, 0.5, measures.HIGH]))
    return middle if low == high else f"{middle} ({low}–{high})"


def _scores_figure(results: Results) -> Figure:
    scores = measures.thinned(of_patients(results.tables["scores"]))
    parts = [measures.bands(scores, column).assign(panel=NAMES[column]) for column in ("composite", *DOMAINS)]
    caption = (
        "A count scores 100 from the limiting centile for age up, uncorrected cells weighed by their "
        "function; defence and vaccines are against a healthy twin. Median and 5th to 95th centile of "
        f"{cohort(results)}. {SQUARE_ROOT}"
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
    wanted = asked(results)
    shown = [name for name in NAMES if wanted.get(name, True) and _moves(middle, name)]
    if not shown:
        return []
    first = middle.iloc[0]
    caption = (
        f"Scores at month {number(first['month'])} of the patient with the median composite in each arm. "
        "Dot: under the catalogue's values; thin line: 5th to 95th centile over the ranges of "
        f"{first['values']} values that the immunity stage reads ({first['draws']} draws); thick line: over "
        f"the ranges of the {first['assumed_values']} assumed ones among them alone. The patient's blood is "
        "held as it is."
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
        f"{number(row['value'])}, lies between {band}; {share} of that band's variance remains when the "
        "assumed values alone are drawn."
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
