"""Tables of samples: who, when, which cells, how much DNA; read and written for every format."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats.assemble import Options
from hsc_pipeline.formats.files import ABSENT, Spot, number, sheet, write_sheet
from hsc_pipeline.formats.names import (
    DAYS_PER_MONTH,
    MEANINGS,
    TIMES,
    Lineages,
    code_months,
    find,
    months,
    place,
    posid,
    refuse_days,
)
from hsc_pipeline.formats.tables import SAMPLES

FIELDS = ("sample", "subject", "tissue", "lineage", "marker", "replicate", "trial", "dna_ng", "vcn")
NUMBERS = ("dna_ng", "vcn")
_ROUNDED = 0.5 / DAYS_PER_MONTH + 1e-3  # what rounding to a day changes


class Clock:
    """Reads the month of a sample from whichever columns tell it.

    Parameters
    ----------
    names : sequence of str
        Columns of the file.
    path : pathlib.Path
    unit : str, optional
        Of the file's numbers, over what their column is called.
    """

    def __init__(self, names: Sequence[str], path: Path, unit: str | None):
        self.columns = {kind: find(names, words, path, kind) for kind, words in TIMES.items()}
        self.columns = {kind: name for kind, name in self.columns.items() if name is not None}
        self._path, self._unit = path, unit

    def read(self, rows: Sequence[tuple[Spot, Mapping[str, str]]]) -> list[float | None]:
        """Return the month of each row, given as where it stands and its cells by column."""
        self._resolve([cells for _, cells in rows])
        times = [self._month(cells, where) for where, cells in rows]
        if "months" in self.columns:
            latest = max((time for time in times if time is not None), default=None)
            refuse_days(latest, self._unit or "months", self.columns["months"], self._path)
        return times

    def _resolve(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Decide what a column of time points holds: codes, days of four digits, or what the user says."""
        column = self.columns.pop("code", None)
        if column is None:
            return
        cells = [cells[column] for cells in rows if cells[column] not in ABSENT]
        if not all(re.fullmatch(r"-?[\d.]+", cell) for cell in cells):
            self.columns["code"] = column
        elif self._unit is not None or all(re.fullmatch(r"-?\d{4,}", cell) for cell in cells):
            self.columns.setdefault(self._unit or "days", column)
        elif self.columns:
            raise UserError(
                f"{self._path}, column {column}: days have four digits, such as 0360, unlike "
                f"{_short(cells)!r}; if these are months or days, say time_unit"
            )
        else:
            raise UserError(
                f"{self._path}, column {column}: months or days? say time_unit='months' or 'days', or write "
                "days with four digits"
            )

    def _month(self, cells: Mapping[str, str], where: Spot) -> float | None:
        """Return the month that the columns agree on; the finest of those within a rounding."""
        found = {}
        for kind, column in self.columns.items():
            text, at = cells[column], where.column(column)
            if kind == "code":
                found[kind] = None if text in ABSENT else code_months(text, at)
            else:
                value = number(text, at)
                unit = self._unit if len(self.columns) == 1 and self._unit else kind
                found[kind] = None if value is None else months(value, unit)
        stated = {kind: month for kind, month in found.items() if month is not None}
        if not stated:
            return None
        low, high = min(stated.values()), max(stated.values())
        if high - low > max(1.0, 0.05 * high):
            said = " and ".join(f"{cells[self.columns[kind]]} ({self.columns[kind]})" for kind in stated)
            raise UserError(f"{where}: {said} are not the same time; are months taken for days?")
        if "months" in stated and "days" in stated and high - low > _ROUNDED:
            return stated["days"]  # months rounded to whole ones
        return next(stated[kind] for kind in ("months", "code", "days", "weeks") if kind in stated)


def _short(cells: Sequence[str]) -> str:
    return next(cell for cell in cells if not re.fullmatch(r"-?\d{4,}", cell))


def columns_of(names: Sequence[str], path: Path, skip: Sequence[str] = ()) -> dict[str, str]:
    """Return the column of each of `FIELDS` that a file has."""
    found = {name: find(names, MEANINGS[name], path, name) for name in FIELDS if name not in skip}
    return {name: column for name, column in found.items() if column is not None}


def sample_rows(
    rows: Sequence[tuple[Spot, Mapping[str, str]]], names: Sequence[str], path: Path, options: Options
) -> list[dict]:
    """Return rows of `SAMPLES`, those of unwanted subjects included.

    Parameters
    ----------
    rows : sequence of (Spot, mapping of str to str)
        Where each stands, for sentences, and its cells by column.
    names : sequence of str
        Columns of the file.
    path : pathlib.Path
    options : Options
    """
    columns, clock = columns_of(names, path), Clock(names, path, options.time_unit)
    if "subject" not in columns and options.subject is None:
        raise UserError(f"{path}: no column names the subject; say subject='...' if there is only one")
    used = {*columns.values(), *clock.columns.values()}
    made = []
    made = []
    for (where, cells), month in zip(rows, clock.read(rows), strict=True):
        row: dict[str, Any] = {
            name: _text(cells[column]) for name, column in columns.items() if name not in NUMBERS
        }
        row["subject"] = row.get("subject") or options.subject or ""
        if not row["subject"]:
            raise UserError(f"{where}: no subject")
        for name in NUMBERS:
            row[name] = (
                _not_negative(cells[columns[name]], where.column(columns[name])) if name in columns else None
            )
        row["month"] = month
        _name_lineage(row, options)
        row = {"tissue": "", **row}
        row["other"] = {name: cells[name] for name in names if name not in used and cells[name] not in ABSENT}
        made.append(row)
    return made


def _text(cell: str) -> str:
    return "" if cell in ABSENT else cell


def _not_negative(cell: str, where: Spot) -> float | None:
    value = number(cell, where)
    if value is not None and value < 0:
        raise UserError(f"{where}: {cell} is below 0")
    return value


def _name_lineage(row: dict, options: Options) -> None:
    """Set marker and lineage: as stated where the file has both, else one from the other."""
    both = "marker" in row and "lineage" in row
    marker = row.setdefault("marker", row.get("lineage", ""))
    if not both or options.lineages_given:
        row["lineage"] = options.lineages.of(marker)


def read_samples(path: Path, options: Options) -> dict[str, dict]:
    """Read a table of samples: rows of `SAMPLES` by name of the sample.

    Raises
    ------
    UserError
        If no column names the sample or one stands twice, among others.
    """
    head, lines = sheet(path)
    if "sample" not in columns_of(head.names, head.path):
        raise UserError(
            f"{path}: no column names the sample, such as SAMPLENAME or CompleteAmplificationID; "
            f"found {head.shown()}"
        )
    located = [(Spot(head, line), cells) for line, cells in lines]
    found: dict[str, dict] = {}
    for (where, _), row in zip(located, sample_rows(located, head.names, head.path, options), strict=True):
        if not row["sample"] or row["sample"] in found:
            wrong = "stands twice" if row["sample"] else "has no name"
            raise UserError(f"{where}: sample {row['sample']!r} {wrong}")
        found[row["sample"]] = row
    return found


# Writing


def check_names(samples: pa.Table) -> None:
    """Fail on a name that a text table would not give back."""
    for name in ("sample", "subject", "tissue", "lineage", "marker", "replicate", "trial"):
        for value in samples[name].unique().to_pylist():
            _check_name(value, name)
            if not value and name in ("sample", "subject"):
                raise UserError(f"a {name} has no name and cannot be written")
    for row in samples["other"].to_pylist():
        for key, value in row:
            if not key or key in SAMPLES.columns or not value:
                raise UserError(f"other: {key!r} with {value!r} cannot be written as a column of its own")
            _check_name(key, "name of a further column")
            _check_name(value, key)


def _check_name(value: str, what: str) -> None:
    if value == "NA" or value != value.strip() or any(c in value for c in "\r\n\0"):
        raise UserError(
            f"{what} {value!r} cannot be written: it is NA, or has outer spaces or line breaks, and would "
            "not be read back"
        )


def check_sites(clones: pa.Table, name: str, exact: bool = False) -> None:
    """Fail on a clone without a site, or whose name is not that of its site.

    Parameters
    ----------
    clones : pyarrow.Table
        `CLONES`.
    name : str
        Of the format, for the sentence.
    exact : bool
        Whether the name must be the plain posid, without a group of leader sequences.
    """
    columns = ["clone", "chromosome", "position", "strand"]
    sites = clones.select(columns).group_by(columns, use_threads=False).aggregate([])
    for row in sites.to_pylist():
        site = place(row["clone"])
        if not row["chromosome"]:
            raise UserError(f"{name} holds integration sites; clone {row['clone']!r} has none")
        stated = (row["chromosome"], row["position"], row["strand"])
        plain = posid(*stated)
        if site != stated or not row["clone"].startswith(plain) or (exact and row["clone"] != plain):
            raise UserError(
                f"{name} names a clone by its site, such as chr10-103758677, so {row['clone']!r} would "
                "be lost"
            )


def write_samples(
    path: Path,
    samples: pa.Table,
    columns: Mapping[str, str],
    times: Callable[[float | None], Mapping[str, str]],
    leading: Sequence[str] = (),
) -> None:
    """Write a table of samples.

    Parameters
    ----------
    path : pathlib.Path
    samples : pyarrow.Table
        `SAMPLES`.
    columns : mapping of str to str
        The format's name of each column that it has; others go under their own, if any is stated.
    times : callable
        Returns the cells of time of a month.
    leading : sequence of str
        All columns of the format in their order, if it has more.
    """
    rows = samples.to_pylist()
    names = {name: columns.get(name, name) for name in FIELDS}
    known = Lineages()
    if all(row["lineage"] == known.of(row["marker"]) for row in rows):
        del names["lineage"]
    written = []
    for row in rows:
        cells = {column: _cell(row[name]) for name, column in names.items()}
        written.append({**dict(row["other"]), **cells, **times(row["month"])})
    always = {"sample", "subject", "marker", *columns}
    optional = [c for n, c in names.items() if n not in always and any(row[c] for row in written)]
    stated = [columns[name] for name in columns] if not leading else list(leading)
    lineage = [names["lineage"]] if "lineage" in names else []
    further = sorted({key for row in rows for key, _ in row["other"]})
    order = dict.fromkeys([*stated, *times(None), *lineage, *optional, *further])
    write_sheet(path, list(order), [{name: row.get(name, "") for name in order} for row in written])


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return repr(float(value)).removesuffix(".0") if isinstance(value, float | int) else value


def month_cell(month: float | None) -> str:
    """Return a month as text that reads back as the same number."""
    return _cell(month)


def whole_days(month: float | None) -> str:
    """Return days after infusion as association files hold them, four digits or more."""
    return "" if month is None else f"{int(np.round(month * DAYS_PER_MONTH)):04d}"
