"""docs/validation.md, its figure and the table that reports quote, from what is published and kept."""

from collections.abc import Mapping
from pathlib import Path

import kept  # the module beside this one
import numpy as np
import pandas as pd
from ranks import Rank, out_of_reach

from hsc_pipeline import __version__
from hsc_pipeline.yaml_files import read_yaml

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "validation.md"
TABLE = FOLDER.parent / "hsc_pipeline" / "report" / "validation.csv"
FIGURE = FOLDER.parent / "docs" / "images" / "validation_coverage.svg"
COLUMNS = (
    *("study", "outcome", "published", "patients", "own values", "middle", "50 %", "90 %"),
    *("published is", "sets", "source"),
)
MEANING = {
    "met": "as the model expects",
    "too narrow": "fewer than the model expects: its intervals are too narrow, or in the wrong place",
    "too wide": "more than the model expects: its intervals are too wide",
}


def given() -> dict:
    """Return what the page is made of, by name."""
    yaml = {name: read_yaml(FOLDER / f"{name}.yaml") for name in ("published", "tolerances", "misses")}
    paths = {"cohorts": kept.COHORTS, "patients": kept.PATIENTS, "coverage": kept.COVERAGE}
    return yaml | {
        name: pd.read_csv(path, keep_default_na=False, na_values=["nan"]) for name, path in paths.items()
    }


def write() -> None:
    """Write the page, its figure and the table that reports quote."""
    from figure import draw

    of = given()
    PAGE.write_text(page(of), encoding="utf-8")
    quoted(of).to_csv(TABLE, index=False, lineterminator="\n")
    FIGURE.write_text(draw(of["cohorts"], of["patients"], of["coverage"], free(of)), encoding="utf-8")


def quoted(of: Mapping) -> pd.DataFrame:
    """Return the published outcomes as reports quote them, as texts."""
    lines = {line["row"]: line for line in of["cohorts"].to_dict("records")}
    studies, found = of["published"]["studies"], []
    for row in kept.rows_of(of["published"]):
        line = lines[row["id"]]
        low, middle, high = (shown(line[name]) for name in ("low90", "middle", "high90"))
        found.append(
            {
                "disease": studies[row["study"]]["content"]["disease"],
                "outcome": row["what"],
                "published": published_as(row),
                "patients": str(row["patients"]),
                "simulated, 90 %": f"{middle} ({low} to {high})",
                "verdict": "inside" if kept.is_inside(line, 0.9) else "outside",
                "calibrated a default": "yes" if "sets" in row else "no",
                "source": row["source"],
            }
        )
    return pd.DataFrame(found)


def published_as(row: Mapping) -> str:
    """Return a published number with its unit."""
    return f"{shown(row['published'])} {row['unit']}".strip()


def free(of: Mapping) -> set[str]:
    """Return the rows that set no default."""
    return {row["id"] for row in kept.rows_of(of["published"]) if "sets" not in row}


def page(of: Mapping) -> str:
    """Return docs/validation.md."""
    intro = (FOLDER / "intro.md").read_text(encoding="utf-8")
    asked = of["tolerances"]
    head = (
        f"hsc_pipeline {__version__}, {asked['worlds']} worlds, seed {asked['seed']}. "
        "Rows that set a default are not counted.\n\n"
        f"{verdicts(of)}\n\n"
        "![Ranks of published values, and coverage of intervals](images/validation_coverage.svg)\n"
    )
    return "\n".join([intro, head, cohort_tables(of), misses(of), left_out(of), patient_tables(of)])


def verdicts(of: Mapping) -> str:
    """Return the summary: how many of how many are inside, and what it means."""
    lines = [
        "| | rows | count as | level | inside | expected by the model | worth | binomial interval | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = {
        "cohorts": "published outcomes",
        "patients": f"statistics of {of['patients']['subject'].nunique()} patients",
    }
    levels = of["tolerances"]["levels"]
    lines += [
        f"| {names[row.table]} | {row.rows} | {row.units} | {percent(row.level)} "
        f"| **{row.share * row.units:.1f} of {row.units}**, {percent(row.share)} "
        f"| {percent(row.expected_low)} to {percent(row.expected_high)} | {row.worth:.0f} "
        f"| {percent(row.binomial_low)} to {percent(row.binomial_high)} | {MEANING[row.verdict]} |"
        for row in of["coverage"].itertuples()
        if row.level in levels
    ]
    return "\n".join(lines)


def percent(share: float) -> str:
    """Return a share as ``90 %``."""
    return f"{100 * share:.0f} %"


def shown(value: float) -> str:
    """Return a number of the table, three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def place(line: Mapping) -> str:
    """Say where a published value stands."""
    if not line["worlds"]:
        return "**out of reach**: no world has it"
    if kept.is_inside(line, 0.5):
        return "inside 50 %"
    if kept.is_inside(line, 0.9):
        return "inside 90 %"
    side = "below" if line["rank_low"] + line["rank_high"] < 1 else "above"
    reach = out_of_reach(Rank(line["rank_low"], line["rank_high"]), line["worlds"])
    return f"**{side} every world**" if reach else f"**{side}**"


def cohort_tables(of: Mapping) -> str:
    """Return the table of published outcomes."""
    lines = {line["row"]: line for line in of["cohorts"].to_dict("records")}
    found = [
        "## Published outcomes\n",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    for row in kept.rows_of(of["published"]):
        line = lines[row["id"]]
        some = f" ({line['worlds']} worlds)" if line["worlds"] < of["tolerances"]["worlds"] else ""
        ranges = [f"{shown(line[f'low{level}'])} to {shown(line[f'high{level}'])}" for level in (50, 90)]
        cells = (
            row["study"],
            row["what"],
            published_as(row),
            patients_of(row, of["published"]["studies"][row["study"]]),
            shown(line["own"]) if np.isfinite(line["own"]) else "none",
            shown(line["middle"]) + some,
            *ranges,
            place(line),
            f"`{row['sets']}`" if "sets" in row else "",
            row["source"],
        )
        found.append("| " + " | ".join(cells) + " |")
    return "\n".join(found) + "\n"


def patients_of(row: Mapping, entry: Mapping) -> str:
    """Return how many patients were published, and how many a world simulates where these are fewer."""
    n, simulated = row["patients"], entry["simulated"]
    return str(n) if n <= simulated else f"{n} ({simulated})"


def missed(of: Mapping) -> list[str]:
    """Return the rows outside their 90 % interval."""
    return [line["row"] for line in of["cohorts"].to_dict("records") if not kept.is_inside(line, 0.9)]


def misses(of: Mapping) -> str:
    """Return a line on each miss."""
    rows = {row["id"]: row for row in kept.rows_of(of["published"])}
    lines = [
        f"- {rows[name]['study']}, {rows[name]['what']}: {of['misses']['cohorts'][name]}"
        for name in missed(of)
    ]
    return "## Misses, and why\n\n" + "\n".join(lines) + "\n"


def left_out(of: Mapping) -> str:
    """Return what was published and is not reproduced."""
    lines = [f"- {row['source']}, {row['what']}: {row['why']}" for row in of["published"]["not_reproduced"]]
    return "## Not reproduced\n\n" + "\n".join(lines) + "\n"


def patient_tables(of: Mapping) -> str:
    """Return the tables of single patients."""
    rows = of["patients"].assign(
        inside50=[kept.is_inside(line, 0.5) for line in of["patients"].to_dict("records")],
        inside90=[kept.is_inside(line, 0.9) for line in of["patients"].to_dict("records")],
    )
    rows["middle_rank"] = (rows["rank_low"] + rows["rank_high"]) / 2
    counted = rows[rows["sets"] == ""]
    text = (FOLDER / "patients.md").read_text(encoding="utf-8")
    why = of["misses"]["patients"]
    found = [
        text,
        "| patient | statistics | inside 50 % | inside 90 % | below | above |",
        "|---|---|---|---|---|---|",
    ]
    found += [f"| {name} | {tally(part)} |" for name, part in counted.groupby("subject", sort=True)]
    found += [
        "",
        "| cohort | statistic | patients | inside 50 % | inside 90 % | below | above | sets |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (cohort, statistic), part in rows.groupby(["cohort", "statistic"], sort=True):
        value = part["sets"].iloc[0]
        found.append(f"| {cohort} | {statistic} | {tally(part)} | {f'`{value}`' if value else ''} |")
    found += ["", *(f"- {what}: {reason}" for what, reason in why.items()), ""]
    return "\n".join(found)


def tally(part: pd.DataFrame) -> str:
    """Return cells: how many, inside 50 % and 90 %, below and above the 90 % interval."""
    out = part[~part["inside90"]]
    below = int((out["middle_rank"] < 0.5).sum())
    cells = (len(part), part["inside50"].sum(), part["inside90"].sum(), below, len(out) - below)
    return " | ".join(str(cell) for cell in cells)
