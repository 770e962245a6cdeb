"""Published outcomes beside simulated ones: writes docs/validation.md.

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


def line(row: dict, values: np.ndarray, rng: np.random.Generator) -> str:
    """Return one line of the table."""
    published = row["published"]
    shown = f"{published[0]:g} to {published[1]:g}" if isinstance(published, list) else f"{published:g}"
    if len(values):
        low, middle, high = interval(values, row, rng)
        simulated, judged = f"{middle:.3g} ({low:.3g} to {high:.3g})", verdict(low, high, row)
    else:
        simulated, judged = "no patient has it", "**outside**"
    cells = (
        row["what"],
        f"{shown} {row['unit']}".strip(),
        str(row["patients"]),
        simulated,
        judged,
        "yes" if row["calibrated"] else "no",
        row["source"],
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Simulate every study and write the page."""
    content = read_yaml(FOLDER / "published.yaml")
    studies, rows = content["studies"], content["rows"]
    of_study = {name: [row for row in rows if row["study"] == name] for name in studies}
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(studies, pool.map(measure, studies.values(), of_study.values()), strict=True))
    rng = np.random.default_rng(SEED)
    lines, judged = [], []
    for name, values in found.items():
        for row, value in zip(of_study[name], values, strict=True):
            lines.append(line(row, value, rng))
            judged.append((row["calibrated"], "outside" not in lines[-1]))
    free = [inside for calibrated, inside in judged if not calibrated]
    PAGE.write_text(page(lines, free, studies), encoding="utf-8")
    print(f"{PAGE.name}: {sum(free)} of {len(free)} rows that calibrated nothing are inside")


def page(lines: list[str], free: list[bool], studies: dict) -> str:
    """Return docs/validation.md."""
    intro = (FOLDER / "intro.md").read_text(encoding="utf-8")
    listed = yaml.safe_dump(studies, sort_keys=False, width=100)
    return (
        f"{intro}\n"
        f"hsc_pipeline {__version__}, seed {SEED}, {PATIENTS} virtual patients a study. "
        f"**{sum(free)} of {len(free)}** rows that calibrated nothing are inside.\n\n"
        "| outcome | published | patients | simulated, 90 % | | calibrated a default | source |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n\n"
        f"## The simulated studies\n\n```yaml\n{listed}```\n"
    )


if __name__ == "__main__":
    sys.exit(main())
