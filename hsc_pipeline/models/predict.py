"""Prediction for a table of patients by models that were kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.errors import UserError
from hsc_pipeline.limits import regular_size
from hsc_pipeline.models.features import Swept, design_matrix, sources
from hsc_pipeline.models.kept import MOST_BYTES, load
from hsc_pipeline.models.surrogates import bounds, foresee_of, intervals_of
from hsc_pipeline.models.targets import TARGETS, unit
from hsc_pipeline.tables import replacing, whole

MOST_ROWS = 1_000_000  # of a table to predict
UNITS_OF_CHANCES = {"classification": "chance", "time_to_event": "chance; months"}


def predict(models: Mapping[str, Any], table: pd.DataFrame, where: str = "table") -> pd.DataFrame:
    """Return what the models foresee of each row, with its conformal interval.

    Parameters
    ----------
    models : mapping
        Of `load`.
    table : pandas.DataFrame
        The columns of the card's ``features``, no more and no fewer.
    where : str
        What a message calls the table.

    Returns
    -------
    pandas.DataFrame
        ``row`` (from 1), ``target``, ``unit``, ``prediction`` (a value, a chance, or the chance of the
        event by the last visit), ``low`` and ``high`` (of the value; 0 and 1 for classes; months,
        infinite for no event within follow-up) and ``outside``: features beyond their training range.

    Raises
    ------
    UserError
        Naming columns that are missing or foreign, and cells that are empty or impossible.
    """
    features = models["card"]["features"]
    rows = _checked(table, features, where)
    swept = {
        name: Swept(feature["unit"], feature["learnt_as"] == "log10", {})
        for name, feature in features.items()
        if name not in sources({})
    }
    x = design_matrix(rows, swept).to_numpy()
    outside = _outside(rows, features)
    parts = []
    for target, entry in models["targets"].items():
        low, high = bounds(target, *intervals_of(entry, x), entry["months"])
        parts.append(
            pd.DataFrame(
                {
                    "row": np.arange(1, len(rows) + 1),
                    "target": target,
                    "unit": UNITS_OF_CHANCES.get(TARGETS[target].kind) or unit(target),
                    "prediction": foresee_of(entry, x),
                    "low": low,
                    "high": high,
                    "outside": outside,
                }
            )
        )
    columns = ["row", "target", "unit", "prediction", "low", "high", "outside"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _checked(table: pd.DataFrame, features: Mapping[str, Any], where: str) -> pd.DataFrame:
    missing = [name for name in features if name not in table]
    foreign = [str(name) for name in table if name not in features]
    if missing or foreign:
        said = [
            f"{what}: {', '.join(names)}"
            for what, names in (("missing", missing), ("foreign", foreign))
            if names
        ]
        raise UserError(f"{where}: columns {'; '.join(said)}; wanted: {', '.join(features)}")
    if not 0 < len(table) <= MOST_ROWS:
        raise UserError(f"{where}: {len(table):,} rows; allowed 1 to {MOST_ROWS:,}")
    rows = {}
    for name, feature in features.items():
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
        bad = ~np.isfinite(values)
        if feature["learnt_as"] == "log10":
            bad |= values <= 0
        if bad.any():
            wanted = "a number above 0" if feature["learnt_as"] == "log10" else "a number"
            raise UserError(f"{where}, row {int(bad.argmax()) + 1}: {name} is not {wanted}")
        rows[name] = values
    return pd.DataFrame(rows)


def _outside(rows: pd.DataFrame, features: Mapping[str, Any]) -> list[str]:
    """Return the names of the features beyond their training range, of each row."""
    beyond = {
        name: ((rows[name] < feature["least"]) | (rows[name] > feature["most"])).to_numpy()
        for name, feature in features.items()
    }
    return ["; ".join(name for name, is_out in beyond.items() if is_out[row]) for row in range(len(rows))]


def predict_file(model: str | Path, table: str | Path, out: str | Path) -> int:
    """Predict for a CSV or Parquet table, write a CSV, and return the number of its rows.

    Raises
    ------
    UserError
    """
    models = load(model)
    found = predict(models, read_table(table), str(table))
    with replacing(out) as aside:
        found.to_csv(aside, index=False)
    return len(found)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of patients, CSV or Parquet.

    Raises
    ------
    UserError
    """
    try:
        if regular_size(path) > MOST_BYTES:
            raise UserError(f"{path}: larger than {MOST_BYTES:,} bytes, the limit of a table to predict")
        if str(path).endswith(".parquet"):
            with whole(path):
                return pd.read_parquet(path)
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a table in CSV or Parquet: {said}") from None
