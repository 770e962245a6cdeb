"""The card of the models that are kept: data, seed, versions, features, metrics and limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.models.features import FEATURES, Swept, sources
from hsc_pipeline.models.surrogates import UNTOUCHED, Learnt
from hsc_pipeline.models.targets import TARGETS, unit

FORMAT = 1  # of card and models together
LIMITS = (
    "The models learnt the simulator, not patients: they say what it would say, faster.",
    "Values outside the training ranges are marked; nothing is known of the error there.",
    "Intervals span patients and the model's own error, not the uncertainty of the catalogue.",
)


def card(learnt: Learnt, outcomes: pd.DataFrame, seed: int, swept: Mapping[str, Swept]) -> dict:
    """Return the model card: data, seed, versions, features, metrics and limits, as JSON holds them.

    Parameters
    ----------
    learnt : Learnt
    outcomes : pandas.DataFrame
        From which was learnt.
    seed : int
    swept : mapping of str to Swept
    """
    import sklearn
    import skops

    infused = outcomes[outcomes["infused"].to_numpy(bool)]
    targets = {}
    for name, entry in learnt.kept.items():
        tested = _rows(learnt.tables["test_set"], name)
        targets[name] = {
            "title": TARGETS[name].title,
            "unit": unit(name),
            "kind": TARGETS[name].kind,
            "learnt_as": "log10(1 + value)" if TARGETS[name].logarithmic else "value",
            "model": entry["name"],
            "settings": entry["settings"],
            "rows": entry["rows"],
            "patients": entry["patients"],
            "untouched_patients": tested[0]["patients"],
            "test_set": {row["model"]: _scores(row) for row in tested},
            "interval": _rows(learnt.tables["intervals"], name)[0],
        }
    arms = sorted(infused["arm"].unique())
    return {
        "format": FORMAT,
        "data": {
            "rows": len(infused),
            "patients": int(infused["patient"].nunique()),
            "arms": arms,
            "points": int(infused["point"].nunique()) if "point" in infused else len(arms),
        },
        "put_aside": f"one patient in {UNTOUCHED}, and of a sweep one design point in {UNTOUCHED}",
        "seed": seed,
        "versions": {
            "hsc_pipeline": __version__,
            "scikit-learn": sklearn.__version__,
            "skops": skops.__version__,
        },
        "features": _feature_card(infused, swept),
        "targets": targets,
        "skipped": learnt.tables["skipped"].to_dict("records"),
        "limits": list(LIMITS),
    }


def _rows(table: pd.DataFrame, target: str) -> list[dict]:
    """Return the rows of a target as JSON holds them; what is not finite is null or text."""
    rows = table[table["target"] == target].drop(columns=["target", "kind"]).to_dict("records")
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value


def _scores(row: Mapping[str, Any]) -> dict:
    about = ("model", "kept", "rows", "patients")
    return {name: value for name, value in row.items() if name not in about and value is not None}


def _feature_card(infused: pd.DataFrame, swept: Mapping[str, Swept]) -> dict:
    meanings = dict(zip(sources({}), FEATURES.values(), strict=True))
    varied = "value of the catalogue that the study varies"
    logarithmic = {"cd34_per_kg", *(name for name, value in swept.items() if value.logarithmic)}
    return {
        name: {
            "meaning": meanings.get(name, varied).removeprefix("log10 "),
            "unit": of_unit,
            "learnt_as": "log10" if name in logarithmic else "value",
            "least": _plain(float(infused[name].min())),
            "most": _plain(float(infused[name].max())),
        }
        for name, of_unit in sources(swept).items()
    }
