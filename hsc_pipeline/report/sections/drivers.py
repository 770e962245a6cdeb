"""What drives the outcomes, and how well they are foreseen from what is known at infusion."""

import pandas as pd

from hsc_pipeline.models import FEATURES, TARGETS, compare_to_baseline
from hsc_pipeline.report.figures import drivers as figures
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import counted, listed, number

MODELS = {
    "constant": "constant",
    "linear": "linear model",
    "closed_form": "dose, exposure and VCN",
    "surrogate": "surrogate",
}
KINDS = {"regression": "value", "classification": "chance", "time_to_event": "time"}
TITLE = "What drives it"


def drivers(results: Results) -> Section:
    """Return the section on what drives the outcomes."""
    performance = results.answers["performance"]
    skipped = _skipped(results.answers["skipped"])
    if performance.empty:
        why = (
            skipped
            or "Fewer than ten patients who were infused leave nothing to learn from: no model was fitted."
        )
        return Section("drivers", "Drivers", TITLE, [Text(why, quiet=True)])
    compared = compare_to_baseline(performance, results.answers["repeats"])
    blocks = [
        Text(_about(results), quiet=True),
        _skill_table(compared, performance),
        _skill_figure(results),
        *_importance(results, compared),
        *_calibration(results.answers["calibration"]),
    ]
    if skipped:
        blocks.append(Text(skipped, quiet=True))
    return Section("drivers", "Drivers", TITLE, blocks, lead=verdict(compared))


def verdict(compared: pd.DataFrame) -> list[str]:
    """Say what can be foreseen, and whether the surrogate is better than its baselines."""
    foreseen = [TARGETS[row.target].title for row in compared.itertuples() if row.foreseen]
    blind = [TARGETS[row.target].title for row in compared.itertuples() if not row.foreseen]
    better = [TARGETS[row.target].title for row in compared.itertuples() if row.surrogate_beats_baselines]
    said = []
    if foreseen:
        said.append(f"What is known at infusion foretells {listed(foreseen)} in patients not seen before.")
    if blind:
        no_skill = "no model was shown to do better than telling everybody the same"
        said.append(f"For {listed(blind)}, {no_skill}.")
    if better:
        said.append(
            f"The surrogate is better than every baseline for {listed(better)}, and for nothing else."
        )
    else:
        said.append(
            "The surrogate is not better than its baselines for any outcome: trust the simpler model."
        )
    return said


def _about(results: Results) -> str:
    points = (
        "Neither a patient nor a design point stands on both sides of a split."
        if results.study.get("sweep")
        else "A virtual patient's rows of all arms stand on the same side of every split."
    )
    return (
        "Skill is 1 − error / error of the held-out rows' own mean: one is perfect, zero no better than "
        "that mean. It is R² for values, of the Brier score for chances, and of the integrated Brier "
        f"score against Kaplan and Meier for times. {points} Surrogates are chosen in folds within the "
        "training rows from quadratic surfaces, random forests and gradient boosting; baselines are a "
        "constant, a linear model of all features, and one of dose, exposure and VCN alone."
    )


def _skipped(skipped: pd.DataFrame) -> str:
    if skipped.empty:
        return ""
    reasons = [f"{TARGETS[row.target].title} ({row.reason})" for row in skipped.itertuples()]
    return f"Not learnt: {listed(reasons)}."


def _skill_table(compared: pd.DataFrame, performance: pd.DataFrame) -> TextTable:
    kinds = performance.groupby("target")["kind"].first()
    rows = []
    for row in compared.itertuples():
        gain = f"{number(row.gain_mean, signed=True)} ± {number(row.gain_standard_error)}"
        means = [number(getattr(row, f"{model}_skill_mean")) for model in MODELS]
        better = "yes" if row.surrogate_beats_baselines else "no"
        known = "yes" if row.foreseen else "no"
        kept = MODELS[row.kept]
        rows.append([TARGETS[row.target].title, KINDS[kinds[row.target]], *means, gain, better, known, kept])
    caption = (
        "Skill in held-out patients, mean over folds. Gain: surrogate minus the baseline that is hardest to "
        "beat, ± its standard error between folds, widened because folds share training rows. Better: "
        "beyond every baseline. Foreseen: any model beyond the constant, baselines in ten drawings of the "
        "folds. Both in one-sided t tests at 5 % over all outcomes together (Holm). Kept: the surrogate if "
        "better, else the best baseline."
    )
    head = ["outcome", "kind", *MODELS.values(), "gain", "better", "foreseen", "kept"]
    return TextTable(caption, head, rows, numbers=(2, 3, 4, 5, 6))


def _skill_figure(results: Results) -> Figure:
    performance = results.answers["performance"]
    folds = performance["fold"].nunique()
    named = performance.assign(
        target=performance["target"].map(_title), model=performance["model"].map(MODELS)
    )
    caption = (
        "Skill in held-out patients. Large mark: mean; dots: each of "
        f"{folds} folds, drawn at −1 where worse. One patient in five, of "
        f"{counted(results.patients, 'patient')} an arm, is in no fold."
    )
    return Figure(
        "skill",
        "How well the outcome is foreseen at infusion",
        caption,
        "Dots of skill by outcome and model.",
        figures.skill(named),
    )


def _importance(results: Results, compared: pd.DataFrame) -> list[Figure | Text]:
    """Return the figure of importance, of the outcomes that the surrogate foresees at all."""
    skilled = compared.loc[compared["surrogate_skill_mean"] > 0, "target"]
    losses = results.answers["importance"]
    losses = losses[losses["target"].isin(skilled)]
    if losses.empty:
        said = "No surrogate has skill, so what it uses says nothing: no importance is shown."
        return [Text(said, quiet=True)]
    losses = losses.assign(
        target=losses["target"].map(_title),
        feature=losses["feature"].map(lambda name: FEATURES.get(name, name)),
        low=losses["skill_loss"] - losses["skill_loss_sd"],
        high=losses["skill_loss"] + losses["skill_loss_sd"],
    )
    caption = (
        "Skill that the surrogate loses in held-out patients when a feature is shuffled: mean, and one "
        "standard deviation over folds and shuffles. Bars near or below zero say nothing; correlated "
        "features (age and weight) share what they know. What is unknown at infusion, such as stem cells "
        "per CD34+ cell, is not here, nor are outcomes for which the surrogate has no skill."
    )
    figure = Figure(
        "importance",
        "Which features the surrogate uses",
        caption,
        "Bars of permutation importance by outcome and feature.",
        figures.importance(losses),
    )
    return [figure]


def _calibration(bins: pd.DataFrame) -> list[Figure]:
    if bins.empty:
        return []
    named = bins.assign(target=bins["target"].map(_title), model=bins["model"].map(MODELS))
    caption = (
        "Share of held-out rows with the event against the chance that was foreseen, in five groups of "
        "equally many; on the dashed line chances are right. Lines: Wilson 90 % interval that counts "
        "patients, since rows of one patient hang together. Times: the event by the last visit."
    )
    figure = Figure(
        "calibration",
        "Whether chances are right",
        caption,
        "Points of observed shares against foreseen chances by outcome and model.",
        figures.calibration(named),
    )
    return [figure]


def _title(target: str) -> str:
    return TARGETS[target].title
