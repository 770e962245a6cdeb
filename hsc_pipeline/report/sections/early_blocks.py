"""Figures and tables of the section on early prediction."""

from collections.abc import Iterator

import pandas as pd

from hsc_pipeline.models.early_cases import TARGETS as ASKED
from hsc_pipeline.models.early_explain import SHUFFLES
from hsc_pipeline.models.early_scores import MARGIN, RESAMPLES
from hsc_pipeline.models.features import FEATURES
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.report.figures import early as figures
from hsc_pipeline.report.measures import SHORT
from hsc_pipeline.report.page import Figure, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.visits import VISITS

TARGETS = {
    "benefit": "benefit",
    "alarm": "dominance alarm",
    "immune_score": "immune competence score",
    "corrected_t_cells": "corrected fraction of T cells",
    "top_share": "largest share of one site in neutrophils",
}
MODELS = {"linear": "linear model", "forest": "forest", "chosen": "chosen"}
KINDS = {
    "vcn": "VCN of {}",
    "sites": "integration sites in {}",
    "shannon": "Shannon index in {}",
    "top_share": "largest share in {}",
}
OTHERS = {"lab_trec_per_ul": "TREC", "lab_igg_g_per_l": "own IgG"}
MOST_FEATURES = 8
COUNTED = ("", "sites")  # units that say nothing beside the name
UNITS = {"cells/uL": "cells/µL", "copies/uL": "copies/µL", "mg*h/L": "mg·h/L"}


def panel(target: str, goal: float) -> str:
    """Return a target at a visit as readers see it."""
    return f"{TARGETS[target]}, month {goal:g}"


def known_until(month: float) -> str:
    """Return a month of knowledge in words."""
    return f"month {month:g}" if month else "infusion"


def known_words(month: float) -> str:
    """Return what is known by a month, in words."""
    return f"known up to month {month:g}" if month else "known at infusion"


def two(value: float) -> str:
    """Return a score with two decimals and a true minus sign."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def spanned(row: object) -> str:
    """Return a skill with its interval."""
    span = "" if pd.isna(row.skill_low) else f" ({two(row.skill_low)} to {two(row.skill_high)})"
    return f"{two(row.skill)}{span}"


def measured(feature: str) -> str:
    """Return what a feature measures, without unit."""
    if feature in FEATURES or feature in OTHERS:
        return {**FEATURES, **OTHERS}[feature]
    name = feature.removeprefix("lab_")
    if name.endswith("_per_ul"):
        return SHORT[name.removesuffix("_per_ul")]
    kind = next(kind for kind in KINDS if name.startswith(f"{kind}_"))
    return KINDS[kind].format(SHORT[name.removeprefix(f"{kind}_")])


def with_unit(feature: str) -> str:
    """Return what a feature measures, with its unit."""
    column = VISITS.columns.get(feature) or OUTCOMES.columns.get(feature)
    unit = column.unit if column else ""
    return f"{measured(feature)} ({UNITS.get(unit, unit)})" if unit not in COUNTED else measured(feature)


def blocks(results: Results) -> Iterator[Figure | TextTable]:
    """Yield every figure and table that the study's answers allow."""
    yield _skill_figure(results)
    yield _enough_table(results)
    if not results.answers["early_decision"].empty:
        yield _event_table(results)
        yield _calibration_figure(results)
        yield _decision_figure(results)
    yield _importance_figure(results)
    yield _dependence_figure(results)
    yield _learning_figure(results)


def _panelled(table: pd.DataFrame) -> pd.DataFrame:
    names = [panel(*key) for key in zip(table["target"], table["goal_month"], strict=True)]
    return table.assign(panel=names)


def _modelled(table: pd.DataFrame) -> pd.DataFrame:
    kept = _panelled(table[table["model"].isin(MODELS)])
    kept = kept.rename(columns={"skill_low": "low", "skill_high": "high"})
    return kept.assign(model=kept["model"].map(MODELS))


def _months(table: pd.DataFrame) -> pd.DataFrame:
    months = ["infusion" if month == 0 else f"{month:g}" for month in table["known_month"]]
    return table.assign(known=months)


def _explained(results: Results) -> float:
    """Return the month of knowledge whose models are taken apart."""
    return float(results.answers["early_importance"]["known_month"].iloc[0])


def _who(skill: pd.DataFrame) -> str:
    """Say how many patients were predicted, of a table with ``patients`` and ``rows``."""
    patients, rows = skill["patients"], skill["rows"]
    counts = f"{patients.max():,}" if patients.nunique() == 1 else f"{patients.min():,} to {patients.max():,}"
    every = f"{rows.max():,}" if rows.nunique() == 1 else f"{rows.min():,} to {rows.max():,}"
    return f"n = {counts} patients, {every} with all arms counted"


def _events(results: Results) -> pd.DataFrame:
    skill = results.answers["early_skill"]
    return skill[skill["target"].map(lambda name: ASKED[name].events)]


def _skill_figure(results: Results) -> Figure:
    skill = _months(_modelled(results.answers["early_skill"]))
    order = skill.sort_values("known_month")["known"].unique()
    kept = skill[["panel", "known", "model", "skill", "low", "high"]]
    caption = (
        "Skill in held-out patients by what was known: zero, dashed, is the rate or the mean alone. Chosen: "
        "the better of the two other models within the training patients; bar: its 90 % interval between "
        "held-out patients. The largest share of one site is foreseen as its logarithm. "
        f"{_who(results.answers['early_skill'])}."
    )
    return Figure(
        "early-skill",
        "How well late visits are foreseen, by month of knowledge",
        caption,
        "Lines of skill over months of knowledge by target and model.",
        figures.skill_by_month(kept, list(order)),
    )


def _enough_table(results: Results) -> TextTable:
    skill = results.answers["early_skill"]
    skill = skill[skill["model"] == "chosen"]
    months, enough = sorted(skill["known_month"].unique()), results.answers["early_enough"]
    rows = []
    for (target, goal), own in skill.groupby(["target", "goal_month"], sort=False):
        by_month = own.set_index("known_month")
        cells = [_skill_cell(by_month.loc[month]) if month in by_month.index else "" for month in months]
        at = enough[(enough["target"] == target) & (enough["goal_month"] == goal) & enough["earliest"]].iloc[
            0
        ]
        told = own["beats_constant"].any()
        when = f"{known_until(at.known_month)} ({100 * at.within_share:.0f} %)" if told else "not foreseen"
        rows.append([panel(target, goal), *cells, when])
    head = ["target", *(known_until(month) for month in months), "early enough"]
    caption = (
        "Skill of the chosen model in held-out patients, by what was known. * better than the rate or the "
        "mean alone; ** better than what was known at infusion too: one-sided t tests over patients, from "
        "the last month backwards, at 5 % over all events, and over all amounts, together. Early enough: the "
        f"first month within {MARGIN:g} of the best month's skill, and in how many of {RESAMPLES:,} "
        "resamples of the held-out patients it is."
    )
    return TextTable(caption, head, rows, numbers=tuple(range(1, len(months) + 1)))


def _skill_cell(row: pd.Series) -> str:
    mark = "*" * (int(row["beats_constant"]) + int(row["beats_constant"] and row["beats_infusion"]))
    return f"{two(row['skill'])}{mark}"


def _event_table(results: Results) -> TextTable:
    events = _events(results)
    events = events[events["model"].isin(["constant", "chosen"])]
    rows = []
    for row in events.itertuples():
        if row.model == "constant" and row.known_month:
            continue
        what = "rate alone" if row.model == "constant" else known_words(row.known_month)
        scores = [_scored(row, name) for name in ("auc", "mean_squared_error", "log_loss")]
        known = "" if pd.isna(row.already_share) else f"{100 * row.already_share:.0f} %"
        rows.append([panel(row.target, row.goal_month), what, *scores, known, _plain(row.auc_not_yet)])
    head = ["event", "known", "AUC", "Brier score", "log loss", "had come already", "AUC of the others"]
    if events["already_share"].isna().all():
        head, rows = head[:5], [row[:5] for row in rows]
    caption = (
        "Events by the chosen model in held-out patients, with 90 % intervals between patients. AUC compares "
        "patients held out together; Brier score and log loss are better when smaller, and the rate alone is "
        "what any model must beat."
    )
    return TextTable(caption, head, rows, numbers=tuple(range(2, len(head))))


def _scored(row: object, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    if pd.isna(value):
        return ""
    return two(value) if pd.isna(low) or low == high else f"{value:.2f} ({low:.2f}–{high:.2f})"


def _plain(value: float) -> str:
    return "" if pd.isna(value) else two(value)


def _calibration_figure(results: Results) -> Figure:
    curve, month = _panelled(results.answers["early_calibration"]), _explained(results)
    curve = curve[curve["known_month"] == month]
    shares = {name: 100 * curve[name] for name in ("predicted", "observed", "low", "high")}
    kept = curve[["panel", "rows", "patients"]].assign(**shares)
    caption = (
        f"Known up to {known_until(month)}: what was predicted and what came of it, in fifths of the "
        "held-out patients by prediction; on the dashed line chances are kept. Bar: Wilson 90 % interval, "
        f"counting patients once whatever their arms. {_who(_events(results))}."
    )
    return Figure(
        "early-calibration",
        "Whether the predicted chances are kept",
        caption,
        "Dots of observed against predicted shares by target.",
        figures.calibration(kept),
    )


def _decision_figure(results: Results) -> Figure:
    curves, month = _panelled(results.answers["early_decision"]), _explained(results)
    parts = []
    for known, name in ((0.0, "known at infusion"), (month, "known later")):
        own = curves[curves["known_month"] == known]
        parts.append(own.assign(strategy=name))
    parts.append(parts[-1].assign(strategy="act on all", net_benefit=parts[-1]["act_on_all"]))
    parts.append(parts[-1].assign(strategy="act on none", net_benefit=0.0))
    drawn = pd.concat(parts, ignore_index=True)
    scaled = {"threshold": 100 * drawn["threshold"], "net_benefit": 100 * drawn["net_benefit"]}
    caption = (
        "Net benefit of acting (closer follow-up, a boost) on held-out patients whose predicted risk reaches "
        "the threshold, in events acted upon per 100 patients less actions in vain, weighed by the "
        "threshold's odds (Vickers and Elkin). Risk: of no benefit, or of an alarm. Known later: up to "
        f"{known_until(month)}. Best is the highest line at the threshold one holds; mean over patients, "
        f"intervals are in early_decision.csv. {_who(_events(results))}."
    )
    return Figure(
        "early-decision",
        "Whether to act on the prediction",
        caption,
        "Lines of net benefit over the threshold of risk by strategy.",
        figures.decision(drawn.assign(**scaled)[["panel", "strategy", "threshold", "net_benefit"]]),
    )


def _importance_figure(results: Results) -> Figure:
    table = results.answers["early_importance"]
    firsts = table.groupby("target")["goal_month"].transform("min")
    top = _panelled(table[table["goal_month"] == firsts]).groupby("panel", sort=False).head(MOST_FEATURES)
    kept = top.assign(
        feature=top["feature"].map(with_unit),
        low=top["skill_loss"] - top["skill_loss_sd"],
        high=top["skill_loss"] + top["skill_loss_sd"],
    )
    caption = (
        f"Known up to {known_until(_explained(results))}: skill lost in held-out patients when a measurement "
        f"is shuffled, all its visits together; mean, and one standard deviation over folds and {SHUFFLES} "
        f"shuffles. The {MOST_FEATURES} largest. Lineages that are corrected together, as neutrophils and "
        "monocytes, share what they know."
    )
    return Figure(
        "early-importance",
        "What early knowledge rests on",
        caption,
        "Bars of permutation importance by target and measurement.",
        figures.importance(kept[["panel", "feature", "skill_loss", "low", "high"]]),
    )


def _dependence_figure(results: Results) -> Figure:
    table = results.answers["early_dependence"]
    target, goal = table["target"].iloc[0], table["goal_month"].iloc[0]
    own = table[(table["target"] == target) & (table["goal_month"] == goal)]
    scale = 100 if ASKED[target].events else 1
    title = f"predicted {TARGETS[target]}, %" if ASKED[target].events else f"predicted {TARGETS[target]}"
    scaled = {name: scale * own[name] for name in ("predicted", "least", "most")}
    kept = own.assign(feature=own["feature"].map(with_unit), **scaled)
    month = known_until(_explained(results))
    caption = (
        f"Mean prediction of {panel(target, goal)}, known up to {month}, if a measurement's whole course lay "
        "at the 5th to 95th centile of the patients, all else as it is; the axis gives its value at the last "
        "visit read. Band: between the models of the folds."
    )
    columns = ["feature", "value", "quantile", "predicted", "least", "most"]
    return Figure(
        "early-dependence",
        "How the prediction follows what is measured",
        caption,
        "Lines of the mean prediction over the value of three measurements.",
        figures.dependence(kept[columns], title),
    )


def _learning_figure(results: Results) -> Figure:
    learnt = _modelled(results.answers["early_learning"])
    kept = learnt.assign(patients=learnt["training_patients"].round().astype(int))
    caption = (
        f"Known up to {known_until(_explained(results))}: skill in the same held-out patients by how many "
        "others were learnt from. Where the lines still rise, more patients would teach more. Bar: 90 % "
        "interval of the chosen model between held-out patients."
    )
    return Figure(
        "early-learning",
        "How many patients it takes to learn",
        caption,
        "Lines of skill over the number of training patients by target and model.",
        figures.learning(kept[["panel", "patients", "model", "skill", "low", "high"]]),
    )
