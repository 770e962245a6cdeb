"""How many patients: power, sizes, doses, stopping rules, harm over time and the smallest design."""

import pandas as pd

from hsc_pipeline.report.page import Section, Text
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.trial_blocks import asked_of, blocks, endpoint_words, named, percent
from hsc_pipeline.report.wording import counted, listed, number, unit_words

MOST_SAID = 4  # comparisons in the sentences; all are in the table
TITLE = "How many patients"
ANALYSES = {
    "fisher": "Fisher's exact test",
    "boschloo": "Boschloo's exact test",
    "barnard": "Barnard's exact test",
    "chi_square": "the chi-square test",
    "score": "the score test",
    "exact_binomial": "the exact binomial test",
    "log_rank": "the log-rank test",
    "interval": "an interval",
}


def trial(results: Results) -> Section:
    """Return the section on trials."""
    powers, sizes = named(results, "power"), named(results, "sample_size")
    if powers.empty and sizes.empty:
        note = Text("One arm and no past leave nothing to compare: no trial was simulated.", quiet=True)
        return Section("trial", "Trial", TITLE, [note])
    shown = [_how(results), *blocks(results)]
    lead = [*_sizes_said(results), *_designs_said(results), *_harm_said(results)]
    return Section("trial", "Trial", TITLE, shown, lead=lead)


def _how(results: Results) -> Text:
    powers, asked = named(results, "power"), asked_of(results)
    said = f"Endpoint: {endpoint_words(asked['endpoint'])}. "
    if not powers.empty:
        row = powers.iloc[0]
        said += (
            f"Analysis: {ANALYSES[row.analysis]}, {asked['sides']}-sided at {percent(asked['alpha'])}; "
            f"wanted power {percent(asked['power'])}. {percent(row.evaluable)} of patients are seen at the "
            f"endpoint; who is lost counts as {asked['missing']}. "
        )
    said += (
        "Trials draw patients from the simulated cohorts, each arm apart; the cohorts are finite, and what "
        "that leaves open is a band of its own. Nothing here spans the uncertainty of the model's form."
    )
    return Text(said, quiet=True)


def _sizes_said(results: Results) -> list[str]:
    """Say for each comparison how many patients it takes, or that no number will do."""
    sizes, asked = named(results, "sample_size"), asked_of(results)
    compared = sizes[sizes["design"].isin(["arms beside each other", "one arm against the past"])]
    said = [_size_said(row, asked) for row in compared.head(MOST_SAID).itertuples()]
    single = sizes[sizes["design"] == "one stage"].sort_values("n_arm").head(1)
    if asked["historical"] is None:
        said += [_single_said(row, sizes) for row in single.itertuples()]
    return said


def _size_said(row: object, asked: dict) -> str:
    what = f"{row.arm} ({percent(row.share_arm)}) from {row.control} ({percent(row.share_control)})"
    if pd.isna(row.n_arm):
        why = "they do not differ" if pd.isna(row.n_normal) else f"it would take about {row.n_normal:,.0f}"
        return (
            f"No trial of up to {row.largest_tried:,} patients in the arm tells {what}: {why}; power at the "
            f"largest is {percent(row.power)}."
        )
    beside = (
        "" if pd.isna(row.n_control) or not row.n_control else f" and {row.n_control:,.0f} of the control"
    )
    return (
        f"To tell {what} with {percent(asked['power'])} power takes {counted(int(row.n_arm), 'patient')} of "
        f"the arm{beside}{_range_said(row)}."
    )


def _range_said(row: object) -> str:
    if pd.isna(row.n_low):
        return ""
    if pd.isna(row.n_high):
        return f" (90 % interval from {row.n_low:,.0f} to more than {row.largest_tried:,})"
    return f" (90 % interval {row.n_low:,.0f}–{row.n_high:,.0f})"


def _single_said(row: object, sizes: pd.DataFrame) -> str:
    said = (
        f"One arm of {row.arm} ({percent(row.share_arm)}) against a past share of "
        f"{percent(row.share_control)}, that of {row.control}, takes {counted(int(row.n_arm), 'patient')}"
    )
    stages = sizes[
        (sizes["design"] == "Simon's two stages, optimal")
        & (sizes["arm"] == row.arm)
        & (sizes["control"] == row.control)
    ]
    for design in stages.itertuples():
        said += (
            f"; in two stages {design.n_arm:,.0f} at most, and {number(design.expected_patients)} expected "
            "if it is no better"
        )
    return said + "."


def _designs_said(results: Results) -> list[str]:
    """Say the least dose and the smallest design that reach the target, or that none does."""
    said = []
    dose = results.answers["dose"]
    if not dose.empty:
        answers = dose[(dose["kind"] == "answer") & dose["what"].str.startswith("least dose", na=False)]
        said += [_dose_said(row, results) for row in answers.head(MOST_SAID).itertuples()]
    chosen, verified = named(results, "chosen"), named(results, "verified")
    for arm, rows in chosen.groupby("arm", sort=False) if not chosen.empty else []:
        said.append(_chosen_said(rows, results))
        for row in verified[verified["arm"] == arm].itertuples() if not verified.empty else []:
            said.append(
                f"Simulated with {counted(int(row.patients), 'fresh patient')}, {percent(row.simulated)} "
                f"({_span(row.simulated_low, row.simulated_high)}) reach the endpoint: {row.verdict}."
            )
    return said


def _span(low: float, high: float) -> str:
    return f"{number(100 * low)}–{number(100 * high)}"


def _value_said(results: Results, name: str, value: float) -> str:
    unit = unit_words(results.study["values"].get(name, {}).get("unit", ""))
    return f"{name} {_amount(value)} {unit}".rstrip()


def _amount(value: float) -> str:
    return f"{value:.3g}".replace("e+0", "e")


def _dose_said(row: object, results: Results) -> str:
    target = percent(row.share)
    unit = unit_words(results.study["values"].get(row.parameter, {}).get("unit", ""))
    if pd.isna(row.dose):
        return f"No {row.parameter} within the range tried lets {target} of patients reach the endpoint."
    high = "above the range" if pd.isna(row.dose_high) else _amount(row.dose_high)
    low = "above the range" if pd.isna(row.dose_low) else _amount(row.dose_low)
    return (
        f"The least {row.parameter} with which {target} of patients reach the endpoint is "
        f"{_amount(row.dose)} {unit} (90 % interval {low} to {high}), other swept values at their middle."
    )


def _chosen_said(rows: pd.DataFrame, results: Results) -> str:
    row = rows.iloc[0]
    if pd.isna(row["value"]):
        return "No smallest design is named: the surrogate foresees no better than one share for all designs."
    design = listed([_value_said(results, r.parameter, r.value) for r in rows.itertuples()])
    reached = (
        f"{percent(row['share'])} reach the endpoint ({_span(row['low'], row['high'])}), with confidence "
        f"{percent(row['confidence'])} that it is {percent(row['target'])} or more"
    )
    if row["status"] != "found":
        return (
            f"No design tried reaches the target with the confidence wanted; the most likely is {design}: "
            f"{reached}."
        )
    patients = ""
    if not pd.isna(row["patients"]):
        patients = (
            f"; {counted(int(row['patients']), 'patient')} in one arm show that it is above "
            f"{percent(row['past_share'])}"
        )
    return f"The smallest design that reaches the target is {design}: {reached}{patients}."


def _harm_said(results: Results) -> list[str]:
    incidence, said = named(results, "incidence"), []
    harm = incidence[incidence["event"] == "transformation"] if not incidence.empty else incidence
    if not harm.empty:
        last = harm[harm["month"] == harm["month"].max()]
        worst = last.sort_values(["incidence", "high"], ascending=False).iloc[0]
        month = number(worst["month"])
        if worst["events"] == 0:
            said.append(
                f"No malignant transformation by month {month} in any arm; up to {percent(worst['high'])} of "
                "patients cannot be excluded (90 % interval between virtual patients)."
            )
        else:
            said.append(
                f"By month {month} malignant transformation has come to at most "
                f"{percent(worst['incidence'])} of patients in any arm (90 % interval "
                f"{_span(worst['low'], worst['high'])}, {worst['arm']})."
            )
    return said
