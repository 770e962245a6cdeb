"""The chapters of a page that sets two studies side by side."""

from collections.abc import Iterator

import pandas as pd

from hsc_pipeline.compare import figures
from hsc_pipeline.compare.design import arm_differences, design_differences, value_differences
from hsc_pipeline.compare.read import OVER_TIME, Run, matched, paired
from hsc_pipeline.intervals import Estimate
from hsc_pipeline.report import measures
from hsc_pipeline.report.figures import endpoints
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import MOST_PATIENTS
from hsc_pipeline.report.summary import CONTRASTED, MEASURES, Card, contrast, estimate
from hsc_pipeline.report.wording import counted, interval, listed, number, with_interval

MOST_VALUES, MOST_FILES, MOST_ARMS = 150, 60, 6
SHOWN_FIRST = ("benefit", "t_protected", "immune_score")  # of which the three numbers are


def compose(first: Run, second: Run) -> list[Section]:
    """Return the sections of the page."""
    table = differences(first, second)
    return [
        summary(first, second, table),
        design(first, second),
        outcomes(first, second, table),
        over_time(first, second),
        provenance(first, second),
    ]


def differences(first: Run, second: Run) -> pd.DataFrame:
    """Return every outcome of every pair of arms in both studies, and its difference.

    Returns
    -------
    pandas.DataFrame
        arm, column, endpoint, unit, first, second (texts), value, low, high, text.
    """
    common = [name for name in MEASURES if name in first.outcomes and name in second.outcomes]
    apart, rows = not paired(first, second), []
    for one, other in matched(first, second)[:MOST_ARMS]:
        ours = first.outcomes[first.outcomes["arm"] == one]
        theirs = second.outcomes[second.outcomes["arm"] == other]
        both = pd.concat([ours.assign(arm="first"), theirs.assign(arm="second")], ignore_index=True)
        for column in common:
            measure = MEASURES[column]
            unit = "percentage points" if measure.unit == "%" else measure.unit
            found = contrast(both, column, "first", "second", apart)
            shown = {
                name: with_interval(estimate(rows_of, column), measure.unit)
                for name, rows_of in (("first", ours), ("second", theirs))
            }
            own = {"arm": _title(one, other), "column": column, "endpoint": measure.name, "unit": unit}
            text = with_interval(found, unit, signed=True)
            rows.append({**own, **shown, **found._asdict(), "text": text})
    return pd.DataFrame(rows)


def _title(one: str, other: str) -> str:
    return one if one == other else f"{one} | {other}"


def _clear(table: pd.DataFrame) -> pd.DataFrame:
    """Return the differences whose interval leaves zero out."""
    return table[(table["low"] > 0) | (table["high"] < 0)]


def summary(first: Run, second: Run, table: pd.DataFrame) -> Section:
    """Return the section that stands first."""
    arm = table["arm"].iloc[0]
    own = table[table["arm"] == arm].set_index("column")
    cards = [
        Card(
            number(own.loc[name, "value"], signed=True),
            own.loc[name, "unit"].replace("percentage points", "points"),
            interval(_estimate(own.loc[name]), signed=True),
            f"{'percentage points of ' if MEASURES[name].share else ''}{MEASURES[name].name}, "
            f"{second.name} minus {first.name}, {arm}",
        )
        for name in SHOWN_FIRST
        if name in own.index
    ]
    lead = [_design_said(first, second), _outcomes_said(table), _same_said(first, second)]
    return Section("summary", "Summary", "Summary", [Text(_how(first, second), quiet=True)], lead, cards)


def _estimate(row: pd.Series) -> Estimate:
    return Estimate(float(row["value"]), float(row["low"]), float(row["high"]))


def _design_said(first: Run, second: Run) -> str:
    keys = [row[0] for row in design_differences(first, second)]
    values, sets = value_differences(first, second), arm_differences(first, second)
    if not (keys or values or sets):
        return "The two study files say the same."
    named = f" ({listed(keys[:4])}{' and more' if len(keys) > 4 else ''})" if keys else ""
    return (
        f"The studies differ in {counted(len(keys), 'key')} of the design{named}, "
        f"{counted(len(values), 'value')} of the catalogue and {counted(len(sets), 'value')} that arms set."
    )


def _outcomes_said(table: pd.DataFrame) -> str:
    main = table[table["column"].isin(CONTRASTED)]
    clear = _clear(main)
    if clear.empty:
        return (
            f"Of {len(main)} differences in the main outcomes, none is beyond chance: every 90 % interval "
            "holds zero."
        )
    arms = main["arm"].nunique()
    said = [
        f"{row['endpoint']} {row['text']}" + (f" in {row['arm']}" if arms > 1 else "")
        for _, row in clear.head(4).iterrows()
    ]
    more = f", and {len(clear) - 4} more" if len(clear) > 4 else ""
    return (
        f"Of {len(main)} differences in the main outcomes, {len(clear)} "
        f"{'is' if len(clear) == 1 else 'are'} beyond chance: {'; '.join(said)}{more}."
    )


def _same_said(first: Run, second: Run) -> str:
    versions = [run.manifest["versions"]["hsc_pipeline"] for run in (first, second)]
    ours, theirs = (run.manifest["files"] for run in (first, second))
    same = [name for name in ours.keys() & theirs.keys() if ours[name]["sha256"] == theirs[name]["sha256"]]
    code = (
        f"Both were run by hsc_pipeline {versions[0]}"
        if versions[0] == versions[1]
        else f"{first.name} was run by hsc_pipeline {versions[0]} and {second.name} by {versions[1]}"
    )
    return f"{code}; {len(same)} of {counted(len(ours.keys() | theirs.keys()), 'file')} are the same bytes."


def _how(first: Run, second: Run) -> str:
    who = (
        f"A patient's number names the same virtual patient in both (same seed), so that differences are "
        f"taken within {counted(min(first.patients, second.patients), 'patient')}"
        if paired(first, second)
        else f"The patients are others in each ({first.patients:,} and {second.patients:,} an arm)"
    )
    months = [number(run.outcomes["landmark_month"].iloc[0]) for run in (first, second)]
    when = (
        f"Outcomes are those at month {months[0]}."
        if months[0] == months[1]
        else f"Beware: outcomes are those at month {months[0]} in {first.name} and {months[1]} in "
        f"{second.name}, so that differences are also those of time."
    )
    return (
        f"Differences are {second.name} minus {first.name}. {who}. {when} Intervals are 90 % and span the "
        "Monte-Carlo error between virtual patients, not the uncertainty of the catalogue's values; they are "
        "not corrected for their number, so that one in ten leaves zero out where nothing differs."
    )


def design(first: Run, second: Run) -> Section:
    """Return what differs in the study files."""
    runs = [first.name, second.name]
    alone = [
        f"{run.name} alone has {listed(names)}."
        for run, names in zip((first, second), _unmatched(first, second), strict=True)
        if names
    ]
    blocks: list[Text | TextTable] = [Text(" ".join(alone))] if alone else []
    keys, sets = design_differences(first, second), arm_differences(first, second)
    values = value_differences(first, second)
    if keys:
        blocks.append(TextTable("Keys of the study file that differ.", ["key", *runs], keys))
    if sets:
        blocks.append(TextTable("What arms set, where it differs.", ["arm", "value", *runs], sets))
    if values:
        caption = "Values of the catalogue that differ, as they hold in all arms; –: not used."
        if len(values) > MOST_VALUES:
            caption += f" The first {MOST_VALUES} of {len(values)}."
        head = ["name", *runs, "unit", "meaning"]
        blocks.append(TextTable(caption, head, values[:MOST_VALUES], (1, 2), tall=len(values) > 12))
    if not blocks:
        blocks.append(Text("Nothing differs in design, arms and values.", quiet=True))
    return Section("design", "Design", "What differs in the design", blocks)


def _unmatched(first: Run, second: Run) -> tuple[list[str], list[str]]:
    ours, theirs = (set(arms) for arms in zip(*matched(first, second), strict=True))
    return [arm for arm in first.arms if arm not in ours], [arm for arm in second.arms if arm not in theirs]


def outcomes(first: Run, second: Run, table: pd.DataFrame) -> Section:
    """Return the outcomes of both, and their differences."""
    main = table[table["column"].isin(CONTRASTED)]
    how = (
        "The same patients: shares by discordant pairs (Bonett and Price), numbers by the median of the "
        "differences within patients (sign test)."
        if paired(first, second)
        else "Other patients: square-and-add of the intervals of both."
    )
    arms = list(dict.fromkeys(table["arm"]))
    n = listed([f"{run.patients:,} ({run.name})" for run in (first, second)])
    caption = (
        f"Dot: {second.name} minus {first.name}; line: its 90 % interval; dashed: no difference. n = {n} "
        f"virtual patients an arm. {how}"
    )
    figure = Figure(
        "differences",
        "Differences in the main outcomes",
        caption,
        "Dots of the difference of six outcomes between the studies, by arm.",
        endpoints.differences(main.drop(columns=["column", "first", "second"]), arms, arms),
    )
    rows = [
        [row["arm"], row["endpoint"], row["first"], row["second"], row["text"], _verdict(row)]
        for _, row in table.iterrows()
    ]
    head = ["arm", "outcome", first.name, second.name, "difference", "beyond chance"]
    said = (
        "All outcomes: shares with Wilson's 90 % interval, medians with that of the sign test, and their "
        "difference with its own 90 % interval; a difference within patients need not be that of the medians."
    )
    blocks = [figure, TextTable(said, head, rows, tall=True)]
    return Section("outcomes", "Outcomes", "Outcomes side by side", blocks)


def _verdict(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return "not known"
    return "yes" if row["low"] > 0 or row["high"] < 0 else "no"


def over_time(first: Run, second: Run) -> Section:
    """Return what readers see over months, a panel a study on the same axes."""
    blocks = list(_over_time(first, second))
    if not blocks:
        blocks = [Text("The studies have no measure over time in common.", quiet=True)]
    return Section("time", "Over time", "Over time, side by side", blocks)


def _over_time(first: Run, second: Run) -> Iterator[Figure]:
    runs = (first, second)
    shown = [arm for pair in matched(first, second)[:MOST_ARMS] for arm in pair]
    arms = [arm for arm in dict.fromkeys([*first.arms, *second.arms]) if arm in shown]
    for column, (title, unit, factor, most) in OVER_TIME.items():
        if not all(column in run.visits for run in runs):
            continue
        parts = [_band(run, column, factor, shown) for run in runs]
        data = pd.concat(parts, ignore_index=True)
        n = listed([f"{min(run.patients, MOST_PATIENTS):,} ({run.name})" for run in runs])
        caption = (
            f"{title[0].upper()}{title[1:]}, {unit}. Line: median; band: 5th to 95th centile of patients, "
            f"n = {n} an arm. Both panels have the same axes. Axis of time: square root."
        )
        yield Figure(
            column.replace("_", "-"),
            f"{title[0].upper()}{title[1:]}",
            caption,
            f"Lines of {title} over months by arm, a panel a study.",
            figures.side_by_side(data, [run.name for run in runs], arms, unit, most),
        )


def _band(run: Run, column: str, factor: float, arms: list[str]) -> pd.DataFrame:
    rows = run.visits[run.visits["arm"].isin(arms) & (run.visits["patient"] < MOST_PATIENTS)]
    rows = rows.dropna(subset=column)
    return measures.bands(rows.assign(value=factor * rows[column]), "value").assign(run=run.name)


def provenance(first: Run, second: Run) -> Section:
    """Return versions and files of both."""
    runs = (first, second)
    versions = [run.manifest["versions"] for run in runs]
    names = list(dict.fromkeys([*versions[0], *versions[1]]))
    rows = [["folder", *(str(run.folder) for run in runs)]]
    rows += [["seed", *(str(run.manifest["seed"]) for run in runs)]]
    rows += [[name, *(version.get(name, "–") for version in versions)] for name in names]
    rows = [[*row, "" if row[1] == row[2] else "differs"] for row in rows]
    head = ["", first.name, second.name, ""]
    blocks: list[Text | TextTable] = [TextTable("What made the two.", head, rows), *_files(first, second)]
    return Section("provenance", "Provenance", "Provenance", blocks)


def _files(first: Run, second: Run) -> Iterator[TextTable]:
    ours, theirs = (run.manifest["files"] for run in (first, second))
    rows = []
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            rows.append([name, f"only in {first.name if name in ours else second.name}"])
        elif ours[name]["sha256"] != theirs[name]["sha256"]:
            rows.append([name, "differs"])
    if rows:
        caption = "Files that are not the same bytes in both."
        if len(rows) > MOST_FILES:
            caption += f" The first {MOST_FILES} of {len(rows)}."
        yield TextTable(caption, ["file", "how"], rows[:MOST_FILES], tall=len(rows) > 12)
