"""Published outcomes beside simulated ones: writes docs/validation.md, and the table that reports quote.

Each row of published.yaml names a study, a measure of measures.py and what was published.  Every
study is simulated once; a cohort of as many patients as were published is drawn from its patients
again and again, which gives the interval.  A miss is shown as a miss.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import measures  # the module beside this one
import numpy as np
import pandas as pd
import yaml

from hsc_pipeline import __version__
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.study import load_study
from hsc_pipeline.yaml_files import read_yaml

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "validation.md"
TABLE = FOLDER.parent / "hsc_pipeline" / "report" / "validation.csv"
PATIENTS = 60
SEED = 20261123
COHORTS = 4000
CENTRAL = (0.05, 0.5, 0.95)


def simulate(content: dict) -> dict[str, pd.DataFrame]:
    """Return every table of one validation study."""
    study = load_study(
        {
            "kind": "study",
            "schema_version": 1,
            "name": "validation",
            "seed": SEED,
            "patients": PATIENTS,
            "arms": [{"name": "arm"}],
            **content,
        },
        "validation/published.yaml",
    )
    return {name: table.to_pandas() for name, table in simulate_arm(study, "arm").items()}


def measure(content: dict, rows: list[dict]) -> list[np.ndarray]:
    """Return the statistic of each row, patient by patient."""
    tables = simulate(content)
    return [
        getattr(measures, row["statistic"]["name"])(
            tables, **{key: value for key, value in row["statistic"].items() if key != "name"}
        ).to_numpy(float)
        for row in rows
    ]


def interval(values: np.ndarray, row: dict, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the 5th, 50th and 95th centile of what a cohort of the published size would show."""
    cohort = rng.choice(values, (COHORTS, row["patients"]))
    summary = np.median if row.get("summary", "median") == "median" else np.mean
    return tuple(np.quantile(summary(cohort, axis=1), CENTRAL))


def verdict(low: float, high: float, row: dict) -> str:
    """Say whether the published value, or its interval, meets the simulated one."""
    published = row["published"]
    least, most = published if isinstance(published, list) else (published, published)
    return "inside" if least <= high and most >= low else "**outside**"


def line(row: dict, values: np.ndarray, rng: np.random.Generator) -> dict[str, str]:
    """Return one line of the table, by column."""
    published = row["published"]
    shown = f"{published[0]:g} to {published[1]:g}" if isinstance(published, list) else f"{published:g}"
    if len(values):
        low, middle, high = interval(values, row, rng)
        simulated, judged = f"{middle:.3g} ({low:.3g} to {high:.3g})", verdict(low, high, row)
    else:
        simulated, judged = "no patient has it", "**outside**"
    return {
        "outcome": row["what"],
        "published": f"{shown} {row['unit']}".strip(),
        "patients": str(row["patients"]),
        "simulated, 90 %": simulated,
        "": judged,
        "calibrated a default": "yes" if row["calibrated"] else "no",
        "source": row["source"],
    }


def tabulated(lines: dict[str, list[dict[str, str]]], studies: dict) -> pd.DataFrame:
    """Return the lines as a table, with the disease of each: what reports quote."""
    rows = [
        {"disease": studies[name]["disease"], **cells, "": cells[""].strip("*")}
        for name, own in lines.items()
        for cells in own
    ]
    return pd.DataFrame(rows).rename(columns={"": "verdict"})


def main() -> None:
    """Simulate every study and write the page."""
    content = read_yaml(FOLDER / "published.yaml")
    studies, rows = content["studies"], content["rows"]
    of_study = {name: [row for row in rows if row["study"] == name] for name in studies}
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(studies, pool.map(measure, studies.values(), of_study.values()), strict=True))
    rng = np.random.default_rng(SEED)
    lines = {
        name: [line(row, value, rng) for row, value in zip(of_study[name], values, strict=True)]
        for name, values in found.items()
    }
    table = tabulated(lines, studies)
    table.to_csv(TABLE, index=False, lineterminator="\n")
    free = (table.loc[table["calibrated a default"] == "no", "verdict"] == "inside").tolist()
    every = [cells for own in lines.values() for cells in own]
    PAGE.write_text(page(every, free, studies), encoding="utf-8")
    print(f"{PAGE.name}: {sum(free)} of {len(free)} rows that calibrated nothing are inside")


def page(lines: list[dict[str, str]], free: list[bool], studies: dict) -> str:
    """Return docs/validation.md."""
    intro = (FOLDER / "intro.md").read_text(encoding="utf-8")
    rows = [list(lines[0]), ["---"] * len(lines[0]), *(list(cells.values()) for cells in lines)]
    listed = yaml.safe_dump(studies, sort_keys=False, width=100)
    return (
        f"{intro}\n"
        f"hsc_pipeline {__version__}, seed {SEED}, {PATIENTS} virtual patients a study. "
        f"**{sum(free)} of {len(free)}** rows that calibrated nothing are inside.\n\n"
        + "\n".join("| " + " | ".join(row) + " |" for row in rows)
        + "\n\n"
        f"## The simulated studies\n\n```yaml\n{listed}```\n"
    )


if __name__ == "__main__":
    sys.exit(main())
