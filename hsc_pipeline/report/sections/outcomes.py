"""Summary, outcomes and what drives them."""

import pandas as pd

from hsc_pipeline.models import FEATURES, TARGETS, compare_to_baseline
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import endpoints as figures
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.summary import (
    MEANS_OF_INTERVAL,
    cards,
    contrasts,
    outcome_table,
    sentences,
    shares,
)
from hsc_pipeline.report.wording import counted, listed, number

MODELS = {"constant": "constant", "linear": "linear model", "surrogate": "random forest"}


def summary(results: Results) -> Section:
    """Return the section that stands first."""
    data, arms = results.outcomes, results.arms
    independent = results.study["independent_arms"]
    table = shares(data, arms)
    month = number(data["landmark_month"].iloc[0])
    caption = (
        f"Share of patients at month {month} by arm with its Wilson 90 % interval. {_threshold(results)}; "
        f"n = {counted(results.patients, 'virtual patient')} an arm."
    )
    figure = Figure(
        "benefit",
        f"Benefit, and protection by T cells, at month {month}",
        caption,
        "Dots of the share of patients with benefit and with T-cell protection by arm.",
        figures.shares_by_arm(table, arms),
    )
    note = Text(MEANS_OF_INTERVAL.format(n=counted(results.patients, "virtual patient")), quiet=True)
    return Section(
        "summary",
        "Summary",
        "Summary",
        [note, figure],
        lead=sentences(data, arms, independent),
        cards=cards(data, arms, independent),
    )


def _threshold(results: Results) -> str:
    """Say from what a patient benefits in this disease."""
    values = results.values(results.arms[0])
    cells = measures.SHORT[values["benefit.lineage"]]
    asked = []
    if values["benefit.corrected_fraction"] > 0:
        asked.append(f"at least {number(100 * values['benefit.corrected_fraction'])} % of {cells} corrected")
    if values["benefit.function"] > 0:
        asked.append(f"{number(values['benefit.function'])} of the normal function in all {cells}")
    if values["benefit.reset_share"] > 0:
        asked.append(f"{number(100 * values['benefit.reset_share'])} % of autoreactive memory gone")
    return f"Benefit: infused, with {listed(asked)}" if asked else "Benefit: infused"


def outcomes(results: Results) -> Section:
    """Return the section on outcomes."""
    head, rows = outcome_table(results.outcomes, results.arms)
    month = number(results.outcomes["landmark_month"].iloc[0])
    caption = (
        f"Outcomes by arm, at month {month} where they have a month. Shares: percent, Wilson 90 % interval, "
        "and patients. Numbers: median (5th–95th centile of patients)."
    )
    blocks: list = [TextTable(caption, head, rows), _time_figure(results)]
    if len(results.arms) > 1:
        blocks.append(_differences_figure(results))
    return Section("outcomes", "Outcomes", "Outcomes", blocks)


def _time_figure(results: Results) -> Figure:
    curve = measures.cumulative_protection(results.outcomes, results.study["visits_months"])
    caption = (
        "Share of patients whose functional T cells stood within the interval for age at this or an "
        f"earlier visit; they may fall below later. All {counted(results.patients, 'patient')} an arm are "
        "followed to the end, so nothing is censored. Axis of time: square root."
    )
    return Figure(
        "time-to-protection",
        "Time to T-cell protection",
        caption,
        "Steps of the cumulative share of patients with T-cell protection over months by arm.",
        figures.protection_over_time(curve, results.arms),
    )


def _differences_figure(results: Results) -> Figure:
    independent = results.study["independent_arms"]
    table = contrasts(results.outcomes, results.arms, independent)
    how = (
        "Different patients: square-and-add of the arms' intervals."
        if independent
        else "The same patients: shares by discordant pairs (Bonett and Price), numbers by the median of the "
        "differences within patients (sign test)."
    )
    caption = (
        f"Difference from {results.arms[0]}, dot, with its 90 % interval, line; n = {results.patients:,}. "
        f"{how} The interval spans the Monte-Carlo error between virtual patients, not the uncertainty of "
        "the catalogue."
    )
    return Figure(
        "differences",
        f"What each arm changes against {results.arms[0]}",
        caption,
        "Dots of the difference of six endpoints from the first arm.",
        figures.differences(table, results.arms),
    )


def drivers(results: Results) -> Section:
    """Return the section on what drives the outcomes."""
    title = "What drives it"
    if results.performance.empty:
        note = Text("Fewer than ten patients leave nothing to learn from: no model was fitted.", quiet=True)
        return Section("drivers", "Drivers", title, [note])
    compared = compare_to_baseline(results.performance)
    blocks = [
        Text(_verdict(compared)),
        _skill_table(compared),
        _skill_figure(results),
        _importance_figure(results),
    ]
    return Section("drivers", "Drivers", title, blocks)


def _verdict(compared: pd.DataFrame) -> str:
    """Say whether the random forest is better than a straight line, and than nothing."""
    better = [TARGETS[row.target] for row in compared.itertuples() if row.surrogate_beats_linear]
    useless = [TARGETS[row.target] for row in compared.itertuples() if row.surrogate_r2_mean <= 0]
    if better:
        said = (
            f"The random forest is better than the linear model for {listed(better)}, and for nothing else."
        )
    else:
        said = "The random forest is not better than the linear model for any outcome: trust the simpler one."
    if useless:
        said += f" For {listed(useless)} the forest foresees nothing: its R² is zero or below."
    return (
        f"{said} Both are asked to foresee the outcomes of patients they have not seen, from what is known "
        "at infusion: dose, busulfan exposure, VCN of the product, age, weight and genotype."
    )


def _skill_table(compared: pd.DataFrame) -> TextTable:
    rows = []
    for row in compared.itertuples():
        gain = f"{number(row.gain_mean, signed=True)} ± {number(row.gain_standard_error)}"
        means = [number(getattr(row, f"{model}_r2_mean")) for model in MODELS]
        rows.append([TARGETS[row.target], *means, gain, "yes" if row.surrogate_beats_linear else "no"])
    caption = (
        "R² in held-out patients, mean over folds. Gain: forest minus linear model, ± its standard error "
        "between folds, widened because folds share training rows; better means beyond a one-sided t test at "
        "5 % over all outcomes together."
    )
    head = ["outcome", *MODELS.values(), "gain", "forest better"]
    return TextTable(caption, head, rows, numbers=(1, 2, 3, 4))


def _skill_figure(results: Results) -> Figure:
    performance = results.performance
    folds = performance["fold"].nunique()
    named = performance.assign(
        target=performance["target"].map(TARGETS), model=performance["model"].map(MODELS)
    )
    caption = (
        "R² in held-out patients: one is perfect, zero no better than their own mean, which no model "
        f"knows. Large mark: mean; dots: each of {folds} folds, drawn at −1 where worse. A virtual "
        "patient's rows of all arms stand in the same fold, so that nobody is met twice. n = "
        f"{len(results.outcomes):,} rows of {counted(results.patients, 'patient')}."
    )
    return Figure(
        "skill",
        "How well the outcome is foreseen at infusion",
        caption,
        "Dots of R squared by outcome and model.",
        figures.skill(named),
    )


def _importance_figure(results: Results) -> Figure:
    losses = results.importance
    losses = losses.assign(
        target=losses["target"].map(TARGETS),
        feature=losses["feature"].map(FEATURES),
        low=losses["r2_loss"] - losses["r2_loss_sd"],
        high=losses["r2_loss"] + losses["r2_loss_sd"],
    )
    caption = (
        "R² that the random forest loses in held-out patients when a feature is shuffled: mean, and one "
        "standard deviation over folds and shuffles. Bars near or below zero say nothing; correlated "
        "features (age and weight) share what they know. What is unknown at infusion, such as stem cells "
        "per CD34+ cell, is not here."
    )
    return Figure(
        "importance",
        "Which features the forest uses",
        caption,
        "Bars of permutation importance by outcome and feature.",
        figures.importance(losses),
    )
