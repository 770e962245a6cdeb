"""`make validate`: simulates what was published, keeps what it found, and writes docs/validation.md.

Rows of cohorts need nothing but the pipeline.  Those of single patients need the published tables, which
are not part of the repository: VALIDATION_DATA names their folder.  Without it they stay as last computed.
"python validation/run.py page" writes the page anew from what is kept.
"""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import kept  # the modules beside this one
import page
import pandas as pd
from patients import simulate_subjects
from worlds import simulate_cohorts

from hsc_pipeline.yaml_files import read_yaml

FOLDER = Path(__file__).parent
RAW = FOLDER.parent / "results" / "validation"  # every world, not committed; kept.py says what is
DATA = "VALIDATION_DATA"
WORKERS, WORLDS_A_JOB = 2, 12
OWN = (-4, -1)  # worlds at the catalogue's own values, of cohorts


def main() -> None:
    """Compute what can be computed, and write the page."""
    published, asked = read_yaml(FOLDER / "published.yaml"), read_yaml(FOLDER / "tolerances.yaml")
    worlds, seed = asked["worlds"], asked["seed"]
    batches = [(at, min(at + WORLDS_A_JOB, worlds) - 1) for at in range(0, worlds, WORLDS_A_JOB)]
    jobs = [
        (simulate_cohorts, (entry, published["rows"][study], worlds, seed, first, last))
        for study, entry in published["studies"].items()
        for first, last in (OWN, *batches)
    ]
    keep(run(jobs), "cohorts", ["row", "world"])
    folder = os.environ.get(DATA, "")
    if folder:
        tables = published["tables"]
        jobs = [
            (simulate_subjects, (tables, cohort, Path(folder), worlds, seed, first, last))
            for cohort in tables["cohorts"]
            for first, last in batches
        ]
        keep(run(jobs), "patients", ["cohort", "subject", "statistic", "world"])
    else:
        print(
            f"{DATA} is not set: the rows of single patients stay as they were last computed", file=sys.stderr
        )
    kept.keep(RAW, published, asked)
    page.write()


def run(jobs: Iterable[tuple[Callable, tuple]]) -> pd.DataFrame:
    """Return the rows of all jobs."""
    with ProcessPoolExecutor(WORKERS) as pool:
        waiting = [pool.submit(rows_of, *job) for job in jobs]
        return pd.concat([one.result() for one in waiting], ignore_index=True)


def rows_of(job: Callable, given: tuple) -> pd.DataFrame:
    """Return the rows that one job yields."""
    return pd.DataFrame(list(job(*given)))


def keep(rows: pd.DataFrame, name: str, key: list[str]) -> None:
    """Write what was simulated, in an order that jobs do not change."""
    RAW.mkdir(parents=True, exist_ok=True)
    rows.drop_duplicates(key).sort_values(key, kind="stable").to_parquet(RAW / f"{name}.parquet", index=False)


if __name__ == "__main__":
    page.write() if sys.argv[1:] == ["page"] else main()
