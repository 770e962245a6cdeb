"""The question, what each arm is given, and who the patients are."""

import pandas as pd

from hsc_pipeline.report.figures.marrow import patient_strips
from hsc_pipeline.report.measures import SHORT
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import MOST_ARMS, Results
from hsc_pipeline.report.style import label
from hsc_pipeline.report.wording import listed, number, unit_words


def question(results: Results) -> Section:
    """Return the section on the question and the design."""
    study = results.study
    visits = listed([f"{month:g}" for month in study["visits_months"]])
    sampled = listed([f"{month:g}" for month in study["sampling"]["months"]])
    cells = listed([SHORT[name] for name in study["sampling"]["lineages"]])
    how = (
        "Each arm has other virtual patients, as in a parallel-group trial."
        if study["independent_arms"]
        else "The same virtual patients stand in every arm, so that arms differ by treatment alone."
    )
    if len(study["arms"]) == 1:
        how = "There is one arm."
    sequencing = f"Integration sites are read in {cells} at months {sampled}." if sampled else ""
    blocks = [
        Text(f"{how} Visits take place at months {visits} after infusion. {sequencing}"),
        _arms_table(results),
        _cohort_figure(results),
    ]
    if len(results.all_arms) > MOST_ARMS:
        note = (
            f"Shown are the first {MOST_ARMS} of {len(results.all_arms)} arms; outcomes.csv holds them all."
        )
        blocks.insert(1, Text(note, quiet=True))
    return Section("design", "Design", "Question and design", blocks)


def _arms_table(results: Results) -> TextTable:
    values, rows = results.study["values"], []
    for entry in results.study["arms"][:MOST_ARMS]:
        sets = [_shown(name, value, values, entry) for name, value in entry["set"].items()]
        if entry["product"] != results.study["arms"][0]["product"]:
            sets = [f"product: {entry['product_title']}"]
        given = "; ".join(sets) or ("the reference" if not rows else "nothing else than the first arm")
        rows.append([label(entry["name"]), entry["description"], given])
    head = ["arm", "in words", "differs from the first arm in"]
    return TextTable("Arms, and the values that each sets.", head, rows)


def _shown(name: str, value: float | str, values: dict, entry: dict) -> str:
    if isinstance(value, str):
        return f"{name} = {value}"
    return f"{name} = {value:g} {unit_words(entry['values'].get(name, values.get(name))['unit'])}"


def _cohort_figure(results: Results) -> Figure:
    given = results.tables["products"][["arm", "patient", "infused", "cd34_per_kg"]]
    patients = results.tables["patients"].merge(given, on=["arm", "patient"])
    patients["busulfan_auc"] = patients["busulfan_auc"].where(patients["infused"])
    age, weight = patients["age_years"], patients["weight_kg"]
    null = patients["null_genotype"].mean()
    ages = ", ".join(
        f"{name} {number(age.quantile(q))}" for name, q in (("5th centile", 0.05), ("95th", 0.95))
    )
    caption = (
        f"One tick is one virtual patient, the dark tick the median; n = {results.drawn:,} in each arm. "
        f"Median age {number(age.median())} years ({ages}), median weight {number(weight.median())} kg; "
        f"{number(100 * null)} % have a genotype without any protein. Busulfan exposure is the cumulative "
        "area under the curve, of those who were infused."
    )
    quantities = (
        ("age_years", "age at infusion", "years", "linear", 1),
        ("cd34_per_kg", "CD34+ cells given", "10⁶ cells/kg", "linear", 1e-6),
        ("busulfan_auc", "busulfan exposure", "mg·h/L", "linear", 1),
    )
    values = strips(patients, quantities)
    return Figure(
        "cohort",
        "The cohort: age, dose and conditioning",
        caption,
        "Strips of age, CD34+ dose and busulfan exposure of each patient by arm.",
        patient_strips(values, results.arms),
    )


def strips(frame: pd.DataFrame, quantities: tuple, patients: int = 200) -> pd.DataFrame:
    """Return what `patient_strips` draws: columns of `frame` below one another.

    Parameters
    ----------
    quantities : tuple of (column, name, unit, scale, factor)
    patients : int
        More ticks than that in an arm would be one dark bar.
    """
    frame = frame[frame["patient"] < patients]
    parts = [
        frame[["arm", "patient"]].assign(quantity=name, unit=unit, scale=scale, value=frame[column] * factor)
        for column, name, unit, scale, factor in quantities
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="value")
