"""Validation of the models used: surrogates in patients kept apart, the simulator beside publications."""

from functools import cache
from pathlib import Path

import pandas as pd

from hsc_pipeline.models import TARGETS
from hsc_pipeline.models.targets import unit
from hsc_pipeline.report.page import Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.drivers import MODELS
from hsc_pipeline.report.wording import counted, listed, number

TITLE = "Validation of the models used"
PUBLISHED = Path(__file__).parents[1] / "validation.csv"  # written by validation/run.py


def validation(results: Results) -> Section:
    """Return the section on how far the models can be trusted."""
    rows, tested = published(), _tested(results)
    own = rows[rows["disease"] == results.study["disease"]]
    blocks: list[Text | TextTable] = []
    if len(tested):
        blocks.append(_test_table(tested))
    if len(own):
        blocks.append(_published_table(own, results.study["disease_title"]))
    blocks.append(
        Text(
            "All rows of all diseases, and how each was simulated, stand in docs/validation.md of the "
            "repository. A row that set a default shows that the fit was done, and proves nothing. The rows "
            "test the simulator under its catalogue; values that this study sets otherwise were not tested.",
            quiet=True,
        )
    )
    lead = [_models_said(tested), _published_said(own, rows, results.study["disease_title"])]
    return Section("validation", "Validation", TITLE, blocks, lead=lead)


@cache
def published() -> pd.DataFrame:
    """Return published outcomes beside simulated ones, as texts: a row of docs/validation.md each."""
    return pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False)


def _published_said(own: pd.DataFrame, rows: pd.DataFrame, disease: str) -> str:
    """Say how many published outcomes that set no default the simulator meets."""

    def met(table: pd.DataFrame) -> str:
        free = table[table["calibrated a default"] == "no"]
        return f"{int((free['verdict'] == 'inside').sum())} of {len(free)}"

    every = f"of all diseases {met(rows)}"
    free = own[own["calibrated a default"] == "no"]
    if own.empty:
        return f"No published outcome of {disease} was set beside the simulator; {every} are met."
    if free.empty:
        return (
            f"Every published outcome of {disease} set beside the simulator has set a default, so that none "
            f"tests it; {every} are met."
        )
    return (
        f"Of published outcomes that set no default, the 90 % interval of the simulator holds {met(own)} in "
        f"{disease}; {every}."
    )


def _published_table(own: pd.DataFrame, disease: str) -> TextTable:
    names = [
        "outcome",
        "published",
        "patients",
        "simulated, 90 %",
        "verdict",
        "calibrated a default",
        "source",
    ]
    caption = (
        f"Published outcomes of {disease} beside those simulated: the middle and 90 % interval of cohorts, "
        "over patients and draws of the catalogue's uncertain values. Inside: the published value, with its "
        "error, lies in that interval."
    )
    return TextTable(caption, names, own[names].to_numpy().tolist(), numbers=(2,))


def _tested(results: Results) -> pd.DataFrame:
    """Return the kept models with their scores in the patients kept apart."""
    tested, intervals = results.answers["test_set"], results.answers["intervals"]
    if tested.empty:
        return tested
    kept = tested[tested["kept"].astype(bool)]
    return kept.merge(intervals.drop(columns=["kind", "model", "rows", "patients"]), on="target")


def _models_said(tested: pd.DataFrame) -> str:
    if tested.empty:
        return "No model was fitted to this study."
    good = tested.loc[tested["skill"] > 0].sort_values("skill", ascending=False)
    named = [f"{TARGETS[row.target].title} ({number(row.skill)})" for row in good.head(3).itertuples()]
    best = f"; most in {listed(named)}" if named else ""
    return (
        f"In {counted(int(tested['patients'].max()), 'patient')} kept apart, {len(good)} of {len(tested)} "
        f"fitted models have skill above none{best}."
    )


def _test_table(tested: pd.DataFrame) -> TextTable:
    rows = [
        [
            TARGETS[row.target].title,
            MODELS[row.model],
            number(row.skill),
            *_errors(row),
            f"{number(100 * row.coverage)} % ({number(100 * row.low)}–{number(100 * row.high)})",
            _width(row),
        ]
        for row in tested.itertuples()
    ]
    n = int(tested["patients"].max())
    first = tested.iloc[0]
    caption = (
        f"The kept models in {counted(n, 'patient')} that nothing else has touched. Error: root mean squared "
        "error, Brier score, or integrated Brier score. Order: area under the ROC curve, or concordance. "
        f"Coverage: share of outcomes in their conformal {number(100 * first.nominal)} % interval, with "
        f"Wilson's 90 % interval over patients; at least {number(100 * first.guaranteed)} % less a term that "
        "falls with the number of patients is proven. Width: median; of chances, share of rows in which "
        "both are left open. Logarithms where an outcome is learnt as one."
    )
    head = ["outcome", "kept", "skill", "error", "order", "coverage", "width"]
    return TextTable(caption, head, rows, numbers=(2, 3, 4, 5, 6))


def _errors(row) -> list[str]:
    if row.kind == "regression":
        return [number(row.rmse), ""]
    if row.kind == "classification":
        return [number(row.brier), number(row.auc)]
    return [number(row.integrated_brier), number(row.concordance)]


def _width(row) -> str:
    if row.kind == "classification":
        return f"{number(100 * row.width)} %"
    if row.width == float("inf"):
        return "open"
    measure = "months" if row.kind == "time_to_event" else unit(row.target)
    return f"{number(row.width)} {measure}".rstrip()
