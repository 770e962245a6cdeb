"""The numbers of biology, each with its unit, evidence and source.

Values have dotted names (``marrow.division_per_year``); the part before the first dot says
which stage reads them.  The files beside this module hold them; a disease's file may replace
a general value by its own trial's.
"""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from hsc_pipeline.errors import UserError, suggest

FOLDER = Path(__file__).parent
EVIDENCE = ("published", "computed", "derived", "assumed", "study file")

# The limits that a unit by itself sets: (least, most, whether the least itself is allowed).
UNITS: dict[str, tuple[float, float, bool]] = {
    "cells": (0, 1e12, True),
    "centile": (0, 1, False),
    "cells_per_kg": (0, 1e9, False),
    "copies": (0, 20, False),
    "count": (1, 1e6, True),
    "days": (0, 3650, False),
    "exponent": (-3, 3, True),
    "fraction": (0, 1, True),
    "ln_sd": (0, 3, True),
    "log10_sd": (0, 2, True),
    "mg_h_per_l": (0, 150, True),
    "months": (0, 600, False),
    "ng": (0, 1e6, True),
    "per_day": (0, 1e6, True),
    "per_ng": (0, 1e4, False),
    "per_ul": (0, 1e7, True),
    "per_year": (0, 1e3, True),
    "per_year_signed": (-5, 5, True),
    "points": (0, 100, False),
    "ratio": (0, 1e6, False),
    "stem_cells": (1, 2e8, True),
    "tcid50_per_ml": (0, 1e9, False),
    "years": (0, 120, False),
}


@dataclass(frozen=True)
class Value:
    """One number of biology.

    Attributes
    ----------
    value : float
        In `unit`, one of `UNITS`.
    evidence : str
        One of `EVIDENCE`.
    source, meaning : str
        Where it was read, and what it is.
    range : tuple of float, optional
        Plausible values, least and most.
    """

    value: float
    unit: str
    evidence: str
    source: str
    meaning: str
    range: tuple[float, float] | None = None

    def replaced(self, value: float) -> "Value":
        """Return the same quantity with a value from the study file."""
        return Value(value, self.unit, "study file", "set in the study file", self.meaning, self.range)

    def problem(self, value: float) -> str | None:
        """Say why `value` is impossible in this unit, or None."""
        least, most, closed = UNITS[self.unit]
        if (least <= value if closed else least < value) and value <= most:
            return None
        return f"allowed: {'from' if closed else 'above'} {least:g} to {most:g} ({self.unit})"

    def as_dict(self) -> dict:
        """Return the plain mapping that ``study.yaml`` holds."""
        return {key: list(v) if key == "range" else v for key, v in asdict(self).items() if v is not None}


def diseases() -> list[str]:
    """Return the ids of the diseases in the catalogue."""
    return sorted(path.stem for path in (FOLDER / "diseases").glob("*.yaml"))


def disease_title(disease: str) -> str:
    """Return a disease's name in words."""
    return _read(_disease_file(disease))["title"]


def values_for(disease: str) -> dict[str, Value]:
    """Return every value of a study of `disease`, general ones first, by dotted name.

    Raises
    ------
    UserError
        If the catalogue has no such disease.
    """
    found: dict[str, Value] = {}
    for path in [*sorted(FOLDER.glob("*.yaml")), _disease_file(disease)]:
        for name, entry in _read(path).get("values", {}).items():
            found[name] = _value(path, name, entry)
    return found


@cache
def tables() -> dict[str, dict]:
    """Return the catalogue's tables by name, each with unit, columns, rows, evidence and source."""
    return {
        name: table
        for path in sorted(FOLDER.glob("*.yaml"))
        for name, table in _read(path).get("tables", {}).items()
    }


def _disease_file(disease: str) -> Path:
    if disease not in diseases():
        raise UserError(f"disease: the catalogue has no {disease!r}; {suggest(disease, diseases())}")
    return FOLDER / "diseases" / f"{disease}.yaml"


@cache
def _read(path: Path) -> dict:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _value(path: Path, name: str, entry: dict) -> Value:
    limits = entry.get("range")
    value = Value(**{**entry, "value": float(entry["value"]), "range": tuple(limits) if limits else None})
    if value.evidence not in EVIDENCE or not value.source or not value.meaning:
        raise ValueError(f"{path.name}: {name} lacks evidence, source or meaning")
    if problem := value.problem(value.value):
        raise ValueError(f"{path.name}: {name} = {value.value:g}; {problem}")
    return value
