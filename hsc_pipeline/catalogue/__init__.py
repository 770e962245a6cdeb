"""The numbers of biology, each with its unit, evidence and source.

Values have dotted names (``marrow.division_per_year``); the part before the first dot says
which stage reads them.  The files beside this module hold general ones; then come, each replacing
the ones before, those of a modification (what a lentiviral vector or a base editor brings),
of the disease, and of the product.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from hsc_pipeline.errors import UserError, suggest

FOLDER = Path(__file__).parent
CHOICE = "choice"
Layer = tuple[str, Mapping[str, dict]]  # its name, and what it says of each value
EVIDENCE = ("published", "computed", "derived", "assumed", "study file")

# The limits that a unit by itself sets: (least, most, whether the least itself is allowed).
UNITS: dict[str, tuple[float, float, bool]] = {
    "bau_per_ml": (0, 1e6, False),
    "cells": (0, 1e12, True),
    "centile": (0, 1, False),
    "cells_per_kg": (0, 1e9, False),
    "cells_per_kg_or_none": (0, 1e9, True),
    CHOICE: (0, 0, True),
    "copies": (0, 20, False),
    "count": (1, 1e6, True),
    "days": (0, 3650, False),
    "exponent": (-3, 3, True),
    "fraction": (0, 1, True),
    "fraction_of_normal": (0, 10, True),
    "ln_sd": (0, 3, True),
    "log10_sd": (0, 2, True),
    "iu_per_ml": (0, 1e3, False),
    "mg_h_per_l": (0, 150, True),
    "miu_per_ml": (0, 1e6, False),
    "ml": (0, 1000, False),
    "months": (0, 600, False),
    "ng": (0, 1e6, True),
    "per_day": (0, 1e6, True),
    "per_ml": (0, 1e12, False),
    "per_ng": (0, 1e4, False),
    "per_ul": (0, 1e7, True),
    "per_year": (0, 1e3, True),
    "per_year_signed": (-5, 5, True),
    "points": (0, 100, False),
    "ratio": (0, 1e6, False),
    "stem_cells": (1, 2e8, True),
    "tcid50_per_ml": (0, 1e9, False),
    "ug_per_ml": (0, 1e4, False),
    "years": (0, 120, False),
}


@dataclass(frozen=True)
class Value:
    """One number of biology, or one choice.

    Attributes
    ----------
    value : float or str
        In `unit`, one of `UNITS`; text where the unit is `CHOICE`.
    evidence : str
        One of `EVIDENCE`.
    source, meaning : str
        Where it was read, and what it is.
    range : tuple of float, optional
        Plausible values, least and most.
    allowed : tuple of str, optional
        What a choice is made from.
    """

    value: Any
    unit: str
    evidence: str
    source: str
    meaning: str
    range: tuple[float, float] | None = None
    allowed: tuple[str, ...] | None = None

    def replaced(self, value: float | str) -> "Value":
        """Return the same quantity with a value from the study file."""
        return replace(self, value=value, evidence="study file", source="set in the study file")

    def problem(self, value: float | str) -> str | None:
        """Say why `value` is impossible in this unit, or None."""
        if self.unit == CHOICE:
            return None if value in self.allowed else f"allowed: {', '.join(self.allowed)}"
        if isinstance(value, str):
            return f"allowed: a number ({self.unit})"
        least, most, closed = UNITS[self.unit]
        if (least <= value if closed else least < value) and value <= most:
            return None
        return f"allowed: {'from' if closed else 'above'} {least:g} to {most:g} ({self.unit})"

    def as_dict(self) -> dict:
        """Return the plain mapping that ``study.yaml`` holds."""
        return {
            key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items() if v is not None
        }


def diseases() -> list[str]:
    """Return the names of the diseases in the catalogue."""
    return _names("diseases")


def products(disease: str | None = None) -> list[str]:
    """Return the names of the products in the catalogue, of one disease or all."""
    found = _names("products")
    if disease is None:
        return found
    return [name for name in found if disease in _read(_file("products", name)).get("diseases", diseases())]


def modifications() -> list[str]:
    """Return the ways in which the products of the catalogue modify cells."""
    return _names("modifications")


def title(kind: str, name: str) -> str:
    """Return in words what a disease, product or modification is; `kind` is its folder."""
    return _read(_file(kind, name))["title"]


def default_product(disease: str) -> str:
    """Return the product that a study of `disease` gives unless it names another."""
    return _read(_file("diseases", disease))["product"]


def modification(product: str) -> str:
    """Return how the cells of a product are modified, one of the folder ``modifications``."""
    return _read(_file("products", product))["modification"]


def values_for(disease: str, product: str | None = None) -> dict[str, Value]:
    """Return every value of a product given for a disease, by dotted name.

    Parameters
    ----------
    disease : str
    product : str, optional
        None: the disease's own.

    Raises
    ------
    UserError
        If the catalogue has no such disease, or no such product for it.
    """
    own = default_product(disease) if product is None else product
    return last_values(_layers_of(disease, own), own, modification(own))


def layered_values(disease: str, product: str) -> dict[str, dict[str, Value]]:
    """Return by name of a value what each layer says, such as ``diseases/was``; the last one holds.

    Raises
    ------
    UserError
        If the catalogue has no such disease, or no such product for it.
    """
    return stacked(_layers_of(disease, product))


def _layers_of(disease: str, product: str) -> list[Layer]:
    if product not in products(disease):
        raise UserError(
            f"product: the catalogue has no {product!r} for {disease}; {suggest(product, products(disease))}"
        )
    return [
        *general_layers(),
        layer("modifications", modification(product)),
        layer("diseases", disease),
        layer("products", product),
    ]


def general_layers() -> list[Layer]:
    """Return the layers of values for every disease and product."""
    return [(_label(path), dict(_values_in(path))) for path in general_files()]


def layer(kind: str, name: str) -> Layer:
    """Return what a disease, product or modification says; `kind` is its folder.

    Raises
    ------
    UserError
        If the catalogue has none of this name.
    """
    path = _file(kind, name)
    return _label(path), dict(_values_in(path))


def last_values(layers: Iterable[Layer], product: str = "", way: str = "") -> dict[str, Value]:
    """Return every value as the last layer that has it says, with the modification `way` of a product."""
    last = {name: list(given.values())[-1] for name, given in stacked(layers).items()}
    if not way:
        return last
    chosen = Value(way, CHOICE, "derived", f"the product {product}", "how cells are modified", allowed=(way,))
    return {"product.modification": chosen, **last}


def stacked(layers: Iterable[Layer]) -> dict[str, dict[str, Value]]:
    """Return by name of a value what each of the layers says, in their order."""
    found: dict[str, dict[str, Value]] = {}
    kept: dict[str, dict] = {}
    for label, entries in layers:
        for name, entry in entries.items():
            # A later layer gives another number for the same quantity.
            whole = {**kept.get(name, {}), **entry}
            kept[name] = {key: v for key, v in whole.items() if key in ("unit", "meaning", "allowed")}
            found.setdefault(name, {})[label] = _value(name, {**whole, "file": label})
    return found


def _label(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def general_files() -> list[Path]:
    """Return the files of values for every disease and product; single pathogens and vaccines last."""
    folders = ("*.yaml", "pathogens/*.yaml", "vaccines/*.yaml")
    return [path for pattern in folders for path in sorted(FOLDER.glob(pattern))]


def branch_values(branch: str) -> dict[str, Value]:
    """Return the general values and those that a branch beside the chain, such as tracking, adds to them."""
    files = [*general_files(), _file("branches", branch)]
    entries = {name: {**entry, "file": path.name} for path in files for name, entry in _values_in(path)}
    return {name: _value(name, entry) for name, entry in entries.items()}


def _values_in(path: Path) -> list[tuple[str, dict]]:
    return list(_read(path).get("values", {}).items())


@cache
def tables() -> dict[str, dict]:
    """Return the catalogue's tables by name, each with unit, columns, rows, evidence and source."""
    return {
        name: table
        for path in sorted(FOLDER.glob("*.yaml"))
        for name, table in _read(path).get("tables", {}).items()
    }


def _names(kind: str) -> list[str]:
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def _file(kind: str, name: str) -> Path:
    if name not in _names(kind):
        raise UserError(f"{kind[:-1]}: the catalogue has no {name!r}; {suggest(name, _names(kind))}")
    return FOLDER / kind / f"{name}.yaml"


@cache
def _read(path: Path) -> dict:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _value(name: str, entry: dict) -> Value:
    entry = dict(entry)
    file = entry.pop("file")
    if entry.keys() - {field.name for field in fields(Value)} or not {"value", "unit"} <= entry.keys():
        raise ValueError(f"{file}: {name} has other keys than a value's, or lacks its value or unit")
    known = {key: tuple(entry[key]) for key in ("range", "allowed") if key in entry}
    number = entry["value"] if entry["unit"] == CHOICE else float(entry["value"])
    if entry.get("evidence") not in EVIDENCE or not entry.get("source") or not entry.get("meaning"):
        raise ValueError(f"{file}: {name} lacks evidence, source or meaning")
    value = Value(**{**entry, "value": number, **known})
    if problem := value.problem(value.value):
        raise ValueError(f"{file}: {name} = {value.value}; {problem}")
    return value
