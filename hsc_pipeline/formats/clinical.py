"""Clinical series and summaries of colony phylogenies: small tables, a row a measurement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats.files import ABSENT, Header, Spot, number, sheet
from hsc_pipeline.formats.names import MEANINGS, TIMES, Lineages, find
from hsc_pipeline.formats.sheets import Clock, columns_of
from hsc_pipeline.formats.tables import CLINICAL, COLONIES

# What is sensible for measures that the field names so: units, each with the largest value.
MEASURES: dict[str, dict[str, float]] = {
    "chimerism": {"fraction": 1, "%": 100},
    "vcn": {"copies/cell": float("inf")},
    "count": {},
    "titre": {},
}
_TRUE, _FALSE = ("true", "t", "yes", "1"), ("false", "f", "no", "0", "", "na")


def read_clinical(
    path: str | Path, *, lineages: Mapping[str, str] | str | Path | None = None, time_unit: str | None = None
) -> pa.Table:
    """Read a long table of clinical series.

    Columns ``subject, month, measure, value, unit`` and, optional, ``lineage`` and ``below_limit``.
    A value such as ``<0.01`` is below a limit of detection of 0.01.

    Parameters
    ----------
    path : path
    lineages : mapping of str to str, or path, optional
        As in `hsc_pipeline.formats.read`.
    time_unit : str, optional
        ``months``, ``days`` or ``weeks``, over what the column is called.

    Returns
    -------
    pyarrow.Table
        `CLINICAL`.

    Raises
    ------
    UserError
        Naming the line and the column.
    """
    head, rows = sheet(path)
    subject = _need(head, MEANINGS["subject"], "subject")
    columns = {name: _need(head, (name,), name) for name in ("measure", "value", "unit")}
    lineage = find(head.names, (*MEANINGS["lineage"], *MEANINGS["marker"]), head.path, "lineage")
    below = find(head.names, ("belowlimit",), head.path, "flag of the limit")
    located = [(Spot(head, line), cells) for line, cells in rows]
    months = _times(located, head, time_unit)
    known, made = Lineages(lineages), {}
    for (where, cells), month in zip(located, months, strict=True):
        flag = cells[below] if below else ""
        row = _measurement(cells, columns, flag, where)
        if month is None or not cells[subject]:
            raise UserError(f"{where}: no {'month' if month is None else 'subject'}")
        row |= {"subject": cells[subject], "month": month, "lineage": known.of(_stated(cells, lineage))}
        _keep(made, row, CLINICAL.key, where)
    _refuse_mixed_units(list(made.values()), head)
    return _build(CLINICAL, list(made.values()))


def _need(head: Header, words: tuple[str, ...], what: str) -> str:
    column = find(head.names, words, head.path, what)
    if column is None:
        raise UserError(f"{head.path}: no column names the {what}; found {head.shown()}")
    return column


def _times(located, head: Header, unit: str | None) -> list[float | None]:
    clock = Clock(head.names, head.path, unit)
    if not clock.columns:
        raise UserError(f"{head.path}: no column of time, such as {', '.join(TIMES)}; found {head.shown()}")
    return clock.read(located)


def _stated(cells: Mapping[str, str], column: str | None) -> str:
    return cells[column] if column and cells[column] not in ABSENT else ""


def _measurement(cells: Mapping[str, str], columns: Mapping[str, str], flag: str, where: Spot) -> dict:
    """Return measure, value, unit and whether below the limit."""
    text, measure, unit = (cells[columns[name]] for name in ("value", "measure", "unit"))
    at = where.column(columns["value"])
    if flag.casefold() not in (*_TRUE, *_FALSE):
        raise UserError(f"{where}: below_limit {flag!r}; allowed: true, false")
    value = number(text.removeprefix("<"), at)
    if value is None or not measure:
        raise UserError(f"{at}: an empty cell" if value is None else f"{where}: the measure has no name")
    below = text.startswith("<") or flag.casefold() in _TRUE
    if (limits := MEASURES.get(measure.casefold())) is not None:
        if limits and unit not in limits:
            raise UserError(f"{where}: {measure} in {unit!r}; allowed: {', '.join(limits)}")
        if not 0 <= value <= limits.get(unit, float("inf")):
            raise UserError(f"{at}: {measure} of {value:g} {unit} cannot be")
    return {"measure": measure, "value": value, "unit": unit, "below_limit": below}


def _keep(made: dict, row: Mapping, key: tuple[str, ...], where: Spot) -> None:
    """Add a row by its key, unless that is there."""
    name = tuple(row[column] for column in key)
    if name in made:
        said = ", ".join(
            f"{part:g}" if isinstance(part, float) else str(part) for part in name if part not in ("", None)
        )
        raise UserError(f"{where}: {said} stands twice")
    made[name] = row


def _refuse_mixed_units(rows: list[dict], head: Header) -> None:
    units: dict[str, str] = {}
    for row in rows:
        unit = units.setdefault(row["measure"], row["unit"])
        if unit != row["unit"]:
            raise UserError(f"{head.path}: {row['measure']} in {unit!r} and in {row['unit']!r}; use one unit")


def _build(table, rows: list[dict]) -> pa.Table:
    return table.build({name: [row[name] for row in rows] for name in table.columns})


def read_colonies(path: str | Path, *, time_unit: str | None = None) -> pa.Table:
    """Read summaries of phylogenies: columns ``subject, colonies, coalescences``, and time and sample if any.

    Returns
    -------
    pyarrow.Table
        `COLONIES`.

    Raises
    ------
    UserError
        Naming the line; also where there are as many coalescences as colonies.
    """
    head, rows = sheet(path)
    subject = _need(head, MEANINGS["subject"], "subject")
    columns = {name: _need(head, (name,), name) for name in ("colonies", "coalescences")}
    sample = columns_of(head.names, head.path).get("sample")
    located = [(Spot(head, line), cells) for line, cells in rows]
    clock = Clock(head.names, head.path, time_unit)
    months = clock.read(located) if clock.columns else [None] * len(rows)
    made: dict = {}
    for (where, cells), month in zip(located, months, strict=True):
        row: dict[str, Any] = {
            name: _whole(cells[column], where.column(column)) for name, column in columns.items()
        }
        if not 1 <= row["colonies"] > row["coalescences"] >= 0:
            raise UserError(
                f"{where}: {row['colonies']} colonies cannot have {row['coalescences']} coalescences"
            )
        row |= {"subject": cells[subject], "month": month, "sample": _stated(cells, sample)}
        _keep(made, row, COLONIES.key, where)
    return _build(COLONIES, list(made.values()))


def _whole(text: str, where: Spot) -> int:
    value = number(text, where)
    if value is None or value != round(value) or abs(value) >= 2**53:
        raise UserError(f"{where}: {text!r} is not a whole number")
    return int(value)
