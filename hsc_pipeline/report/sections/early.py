"""How early one can know: what each month's laboratory reports say of late visits."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.models.early_scores import MARGIN, SURE
from hsc_pipeline.report.page import Section, Text
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.early_blocks import (
    TARGETS,
    blocks,
    known_until,
    measured,
    panel,
    spanned,
    two,
)
from hsc_pipeline.report.wording import listed

TITLE = "How early one can know"
EVENTS = {"benefit": "benefit", "alarm": "a dominance alarm"}
ACTED_ON = {"benefit": "benefit will stay away", "alarm": "an alarm will come"}
MOST_SAID = 4


def early(results: Results) -> Section:
    """Return the section on early prediction."""
    skill = results.answers["early_skill"]
    skipped = _skipped(results.answers["early_skipped"])
    if skill.empty:
        note = skipped or "Too few patients or visits: nothing was foreseen."
        return Section("early", "Early signs", TITLE, [Text(note, quiet=True)])
    notes = [Text(_how(skill), quiet=True)]
    if skipped:
        notes.append(Text(skipped, quiet=True))
    lead = [*_foreseen(results), *_acted(results), *_rests_on(results)]
    return Section("early", "Early signs", TITLE, [*notes, *blocks(results)], lead=lead)


def _how(skill: pd.DataFrame) -> str:
    patients = int(skill["patients"].max())
    return (
        f"Predicted for {patients:,} patients whom the model has met in no arm, from what was known at "
        "infusion and what the laboratory had reported by then; missed visits and samples stay missing. "
        "Skill: one minus the mean squared error over that of the rate, or the mean, alone; one is perfect, "
        "zero no better than knowing nothing of the patient. Model: a penalised linear model or a forest of "
        "trees, whichever is better within the training patients. All intervals are 90 %, between held-out "
        "patients; neither the choice of the training patients nor the uncertainty of the catalogue is in "
        "them, and patients are simulated."
    )


def _foreseen(results: Results) -> Iterator[str]:
    """Say of each event from when on it can be told, and sum up the amounts."""
    skill = results.answers["early_skill"]
    cases = list(skill[skill["model"] == "chosen"].groupby(["target", "goal_month"], sort=False))
    for (target, goal), rows in [case for case in cases if case[0][0] in EVENTS][:MOST_SAID]:
        yield _event_said(target, goal, rows, _enough(results, target, goal))
    yield from _amounts_said({key: rows for key, rows in cases if key[0] not in EVENTS})


def _amounts_said(amounts: Mapping[tuple[str, float], pd.DataFrame]) -> Iterator[str]:
    """Say from which month on each amount is told better than by its mean."""
    by_month: dict[str, dict[str, list[str]]] = {}
    for (target, goal), rows in amounts.items():
        claimed = rows.loc[rows["beats_constant"], "known_month"]
        when = f"from {known_until(claimed.iloc[0])}" if len(claimed) else "not in the first year"
        by_month.setdefault(when, {}).setdefault(TARGETS[target], []).append(f"{goal:g}")
    if by_month:
        said = [
            f"{when}, {listed([f'the {name} at month {listed(goals)}' for name, goals in found.items()])}"
            for when, found in sorted(by_month.items())
        ]
        yield f"Amounts told better than by their mean: {'; '.join(said)}."


def _enough(results: Results, target: str, goal: float) -> pd.DataFrame:
    enough = results.answers["early_enough"]
    return enough[(enough["target"] == target) & (enough["goal_month"] == goal)]


def _event_said(target: str, goal: float, rows: pd.DataFrame, enough: pd.DataFrame) -> str:
    """Say when an event is first told better than by its rate, and when early enough."""
    what, claimed = f"{EVENTS[target].capitalize()} at month {goal:g}", rows[rows["beats_constant"]]
    if claimed.empty:
        best = rows.loc[rows["skill"].idxmax()]
        return (
            f"{what} is not shown to be told better than by its rate alone in the first year: skill "
            f"{spanned(best)} at best, with what is known up to {known_until(best.known_month)}."
        )
    first, more = claimed.iloc[0], rows.loc[rows["beats_infusion"], "known_month"]
    said = (
        f"{what} is told better than by its rate from {known_until(first.known_month)} on, with skill "
        f"{spanned(first)} and AUC {two(first.auc)}"
    )
    if first.known_month:
        said += f" against skill {spanned(rows.iloc[0])} at infusion"
    if more.empty:
        said += "; no laboratory report is shown to add to that"
    elif more.iloc[0] != first.known_month:
        said += f"; what the laboratory adds shows from {known_until(more.iloc[0])}"
    return f"{said}. {_enough_said(enough)}"


def _enough_said(enough: pd.DataFrame) -> str:
    """Say which month is early enough, and how sure that is."""
    row, last = enough[enough["earliest"]].iloc[0], enough["known_month"].iloc[-1]
    month, share = known_until(row.known_month).capitalize(), 100 * row.within_share
    if row.known_month == last:
        before = enough.iloc[-2] if len(enough) > 1 else None
        said = f"{month}, the last that was asked, is better still"
        if before is not None:
            said += f": {known_until(before.known_month)} is {two(before.behind)} of skill behind"
            said += f" ({two(before.behind_low)} to {two(before.behind_high)})"
    else:
        said = f"{month} is early enough: within {MARGIN:g} of the best skill in {share:.0f} % of resamples"
    if not enough["sure"].any():
        return f"{said}; no month is so in {100 * SURE:.0f} % of them."
    sure = enough.loc[enough["sure"], "known_month"].iloc[0]
    later = "" if sure == row.known_month else f"; {known_until(sure)} is so in {100 * SURE:.0f} % or more"
    return f"{said}{later}."


def _acted(results: Results) -> Iterator[str]:
    """Say at which thresholds acting on the prediction is better than acting on all or on nobody."""
    curves, explained = results.answers["early_decision"], results.answers["early_importance"]
    for (target, goal), rows in list(curves.groupby(["target", "goal_month"], sort=False))[:1]:
        own = explained[(explained["target"] == target) & (explained["goal_month"] == goal)]
        month = own["known_month"].iloc[0]
        own = rows[rows["known_month"] == month]
        run = _longest(own["gain_low"].to_numpy() > 0)
        at = f"what is known up to {known_until(month)}"
        who = f"on those of whom {at} says that {ACTED_ON[target]}"
        if not len(run):
            yield f"Acting {who} is not shown to be better than acting on all or on nobody."
        else:
            low, high = (f"{100 * own['threshold'].iloc[place]:.0f}" for place in (run[0], run[-1]))
            span = low if low == high else f"{low} to {high}"
            yield (
                f"Acting {who} (by month {goal:g}) is better than acting on all or on nobody where one would "
                f"act at a risk of {span} %."
            )


def _longest(better: np.ndarray) -> np.ndarray:
    """Return the places of the longest run of neighbours that are all better."""
    runs = np.split(np.arange(len(better)), np.flatnonzero(np.diff(better)) + 1)
    return max((run for run in runs if better[run].all()), key=len, default=np.array([], int))


def _rests_on(results: Results) -> Iterator[str]:
    """Name the measurements on which the first target's prediction rests."""
    importance = results.answers["early_importance"]
    for (target, goal), rows in list(importance.groupby(["target", "goal_month"], sort=False))[:1]:
        clear = rows[rows["skill_loss"] > rows["skill_loss_sd"]].head(3)
        if len(clear):
            names = [measured(name) for name in clear["feature"]]
            month = known_until(rows["known_month"].iloc[0])
            yield f"With what is known up to {month}, {panel(target, goal)} rests most on {listed(names)}."


def _skipped(skipped: pd.DataFrame) -> str:
    """Say what could not be learnt, and why."""
    said = [f"{panel(row.target, row.goal_month)}: {row.reason}" for row in skipped.itertuples()]
    return f"Not learnt: {'; '.join(said)}." if said else ""
