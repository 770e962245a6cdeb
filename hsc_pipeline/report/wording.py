"""Numbers as a reader wants them."""

from math import isnan

from hsc_pipeline.intervals import Estimate

UNITS = {
    "bau_per_ml": "BAU/mL",
    "cells_per_kg": "cells/kg",
    "cells_per_kg_or_none": "cells/kg",
    "fraction_of_normal": "of normal",
    "iu_per_ml": "IU/mL",
    "ln_sd": "SD of ln",
    "log10_sd": "SD of log₁₀",
    "mg_h_per_l": "mg·h/L",
    "miu_per_ml": "mIU/mL",
    "ml": "mL",
    "per_ml": "per mL",
    "per_ul": "per µL",
    "per_year_signed": "per year",
    "tcid50_per_ml": "TCID₅₀/mL",
    "ug_per_ml": "µg/mL",
}


def unit_words(unit: str) -> str:
    """Return a unit of the catalogue as a reader wants it."""
    return UNITS.get(unit, unit.replace("_", " "))


def with_interval(found: Estimate, unit: str = "", signed: bool = False) -> str:
    """Return ``"77 % (67–84)"``, or the number alone where there is no interval."""
    span, value = interval(found, signed), f"{number(found.value, signed)} {unit}".rstrip()
    return f"{value} ({span})" if span else value


def interval(found: Estimate, signed: bool = False) -> str:
    """Return ``"67–84"``, ``"−12 to +3"`` where signs matter, or nothing where there is none."""
    if isnan(found.low):
        return ""
    between = " to " if signed else "–"
    return f"{number(found.low, signed)}{between}{number(found.high, signed)}"


def number(value: float, signed: bool = False) -> str:
    """Return a number to three significant digits, two below ten: what a simulation can tell.

    With a true minus sign and thousands apart.
    """
    if isnan(value):
        return "none"
    size = abs(value)
    rounded = float(f"{size:.3g}") if size >= 1000 else size
    text = f"{size:.2g}" if size < 10 else f"{rounded:,.0f}"
    if float(text.replace(",", "")) == 0:
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def counted(n: int, what: str) -> str:
    """Return ``"1 patient"`` or ``"1,200 patients"``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def listed(items: list[str]) -> str:
    """Return ``"a, b and c"``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
