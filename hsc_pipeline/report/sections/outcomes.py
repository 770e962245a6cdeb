"""Summary and outcomes."""

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
