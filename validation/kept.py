"""What is kept of the simulated worlds: a line a row, a line a statistic of a patient, and their coverage.

These tables are part of the repository and hold no published table, only statistics of it; the page is
made of them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from ranks import Rank, coverage, inside, rank  # the module beside this one

from hsc_pipeline.streams import stream

FOLDER = Path(__file__).with_name("kept")
COHORTS, PATIENTS, COVERAGE = FOLDER / "cohorts.csv", FOLDER / "patients.csv", FOLDER / "coverage.csv"
CENTILES = {"low90": 0.05, "low50": 0.25, "middle": 0.5, "high50": 0.75, "high90": 0.95}
NOWHERE = 1e-9  # end of the rank of a value that no world has: outside every interval
CURVE = [level / 10 for level in range(1, 10)]  # levels of the figure; those of the verdict are among them


def rows_of(published: Mapping) -> list[dict]:
    """Return every row of published.yaml with its study."""
    return [{**row, "study": study} for study, rows in published["rows"].items() for row in rows]


def error_of(row: Mapping, errors: Mapping) -> float:
    """Return the standard deviation of ln of a published number's error."""
    return errors[row["error"]] if isinstance(row["error"], str) else row["error"]


def with_error(values: np.ndarray, row: Mapping, errors: Mapping, seed: int) -> np.ndarray:
    """Return simulated values as they would have been published."""
    noise = stream(seed, f"validation.{row['id']}").standard_normal(len(values))
    return values * np.exp(error_of(row, errors) * noise)


def of_cohorts(worlds: pd.DataFrame, published: Mapping, asked: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a line a row, and the coverage of those that set no default.

    Parameters
    ----------
    worlds : pandas.DataFrame
        ``row, world, value, failed``; worlds below 0 have the catalogue's own values.
    published, asked : mapping
        published.yaml and tolerances.yaml.
    """
    wide = worlds.pivot(index="row", columns="world", values="value")
    own = wide[[world for world in wide.columns if world < 0]].median(axis=1)
    wide = wide[[world for world in wide.columns if world >= 0]]
    lines, simulated, ranks, units = [], [], [], []
    for row in rows_of(published):
        values = with_error(wide.loc[row["id"]].to_numpy(float), row, asked["errors"], asked["seed"])
        line = {"row": row["id"], "published": row["published"], "own": own[row["id"]]}
        line |= placed(row["published"], values)
        lines.append(line)
        if "sets" not in row:
            simulated.append(values)
            ranks.append(Rank(line["rank_low"], line["rank_high"]))
            units.append((row["study"], row["family"]))
    return pd.DataFrame(lines), covered("cohorts", ranks, np.array(simulated), units, asked)


def of_patients(
    worlds: pd.DataFrame, published: Mapping, asked: Mapping
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a line a subject and statistic, and the coverage of those that set no default.

    Parameters
    ----------
    worlds : pandas.DataFrame
        ``cohort, subject, statistic, family, world, value``; world -1 is the patient.
    published, asked : mapping
    """
    sets = published["tables"]["sets"]
    lines, simulated, ranks, units = [], [], [], []
    for (cohort, subject, statistic, family), of in worlds.groupby(
        ["cohort", "subject", "statistic", "family"], sort=True
    ):
        of = of.sort_values("world")["value"].to_numpy(float)
        observed, values = float(of[0]), of[1:]
        line = {"cohort": cohort, "subject": subject, "statistic": statistic, "family": family}
        line |= {"sets": sets.get(cohort, {}).get(statistic, ""), "observed": observed} | placed(
            observed, values
        )
        lines.append(line)
        if not line["sets"]:
            simulated.append(values)
            ranks.append(Rank(line["rank_low"], line["rank_high"]))
            units.append((subject, family))
    return pd.DataFrame(lines), covered("patients", ranks, np.array(simulated), units, asked)


def placed(observed: float, values: np.ndarray) -> dict:
    """Return the centiles of simulated values, and where the observed one stands among them."""
    held = values[np.isfinite(values)]
    if not len(held):
        return {**dict.fromkeys(CENTILES, np.nan), "worlds": 0, "rank_low": 0.0, "rank_high": NOWHERE}
    found = dict(zip(CENTILES, np.quantile(held, list(CENTILES.values())).tolist(), strict=True))
    place = rank(observed, held)
    return found | {"worlds": len(held), "rank_low": place.low, "rank_high": place.high}


def covered(table: str, ranks: list, simulated: np.ndarray, units: list, asked: Mapping) -> pd.DataFrame:
    """Return the coverage at each level of the curve."""
    lines = []
    for level in CURVE:
        of = coverage(ranks, simulated, units, level, asked["chance"])
        lines.append(
            {
                "table": table,
                "level": level,
                "rows": len(ranks),
                "units": of.units,
                "share": of.share,
                "expected_low": of.expected[0],
                "expected_high": of.expected[1],
                "worth": of.worth,
                "binomial_low": of.binomial[0],
                "binomial_high": of.binomial[1],
                "verdict": of.verdict,
            }
        )
    return pd.DataFrame(lines)


def is_inside(line: Mapping, level: float) -> bool:
    """Whether most of a line's rank lies in its interval; of ties, the greater part."""
    return bool(inside(line["rank_low"], line["rank_high"], level) >= 0.5)


def write(path: Path, table: pd.DataFrame) -> None:
    """Write one table, five digits of each number."""
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


def keep(raw: Path, published: Mapping, asked: Mapping) -> None:
    """Reduce the worlds of a folder to the tables; those of a kind that it lacks stay as they are."""
    found = pd.read_csv(COVERAGE) if COVERAGE.exists() else pd.DataFrame({"table": []})
    for name, path, reduce in (("cohorts", COHORTS, of_cohorts), ("patients", PATIENTS, of_patients)):
        worlds = raw / f"{name}.parquet"
        if not worlds.exists():
            continue
        lines, covers = reduce(pd.read_parquet(worlds), published, asked)
        write(path, lines)
        found = pd.concat([found[found["table"] != name], covers], ignore_index=True)
    write(COVERAGE, found.sort_values(["table", "level"]))
