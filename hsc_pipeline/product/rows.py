"""Text tables that users hand over: rows of cells, each with the line it stood on."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.limits import TooLarge, Unpacked, bounded_lines, regular_size, unpacked_gz

EMPTY = ("", "NA", "NaN", "nan")
MOST_BYTES = 1 << 27  # unpacked; a table of alleles takes a tenth of it
MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Rows:
    """A table as text.

    Attributes
    ----------
    where : str
        What to call the file in messages.
    columns : list of str
    lines : list of int
        Of the file, one a row; the head is line 1.
    cells : list of list of str
        Rows, as long as `columns`.
    """

    where: str
    columns: list[str]
    lines: list[int]
    cells: list[list[str]]

    def first_of(self, names: Sequence[str]) -> str | None:
        """Return the first of `names` that is a column, in the file's own capitals, or None."""
        own = {column.lower(): column for column in reversed(self.columns)}
        return next((own[name.lower()] for name in names if name.lower() in own), None)

    def needed(self, names: Sequence[str], what: str) -> str:
        """Return the first of `names` that is a column.

        Raises
        ------
        UserError
            If none is.
        """
        found = self.first_of(names)
        if found is None:
            raise UserError(f"{self.where}: has no column of {what}; allowed: {', '.join(names)}")
        return found

    def text(self, column: str) -> list[str]:
        """Return a column's cells."""
        place = self.columns.index(column)
        return [row[place] for row in self.cells]

    def numbers(self, column: str, whole: bool = False, empty: float | None = None) -> np.ndarray:
        """Return a column as numbers from 0 on.

        Parameters
        ----------
        column : str
        whole : bool
            Whether fractions are refused.
        empty : float, optional
            What stands for a cell without a number; None refuses it.

        Raises
        ------
        UserError
            Naming the line.
        """
        return np.array(
            [
                self._number(text, line, column, whole, empty)
                for text, line in zip(self.text(column), self.lines, strict=True)
            ]
        )

    def _number(self, text: str, line: int, column: str, whole: bool, empty: float | None) -> float:
        if empty is not None and text in EMPTY:
            return empty
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e15 or (whole and number % 1):
            allowed = "a whole number" if whole else "a number"
            raise UserError(f"{self.where}, line {line}: {column} = {text!r}; allowed: {allowed} from 0")
        return number

    def refuse_repeats(self, keys: Sequence, what: str) -> None:
        """Refuse two rows with one key.

        Raises
        ------
        UserError
            Naming the line of the second.
        """
        seen = {}
        for key, line in zip(keys, self.lines, strict=True):
            if key in seen:
                raise UserError(f"{self.where}, line {line}: {what} stood on line {seen[key]} already")
            seen[key] = line


def read_rows(path: str, where: str) -> Rows:
    """Read a table separated by tabs or commas, plain, gzipped or alone in a zip archive.

    Raises
    ------
    UserError
        If it cannot be read, has no row, repeats a column, or a row is longer or shorter than the head.
    """
    try:
        with ExitStack() as opened:
            text = bounded_lines(open_text(path, opened))
            head = next(text, "")
            separator = "\t" if "\t" in head else ","
            columns = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
            reader = csv.reader(text, delimiter=separator)
            read = [(reader.line_num + 1, [cell.strip() for cell in row]) for row in limited(reader) if row]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{where}: cannot be read: {error}") from None
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise UserError(f"{where}: column {twice!r} stands twice; each may stand once")
    for line, row in read:
        if len(row) != len(columns):
            raise UserError(
                f"{where}, line {line}: has {len(row)} cells; allowed: {len(columns)}, as the head has"
            )
    if not read:
        raise UserError(f"{where}: has no row; a head and a row or more are needed")
    lines, cells = zip(*read, strict=True)
    return Rows(where, columns, list(lines), list(cells))


def limited(rows: Iterable) -> Iterator:
    """Yield rows, and fail beyond `MOST_ROWS`."""
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            raise TooLarge(f"more than {MOST_ROWS:,} rows, the limit")
        yield row


def open_text(path: str, opened: ExitStack) -> TextIO:
    """Open a text file, unpacked up to `MOST_BYTES`, for as long as `opened` is.

    Raises
    ------
    OSError, zipfile.BadZipFile
    """
    packed = regular_size(path)
    if packed > MOST_BYTES:
        raise TooLarge(f"larger than {MOST_BYTES:,} bytes, the limit")
    file = io.BytesIO(Path(path).read_bytes())
    if path.endswith(".gz"):
        file = opened.enter_context(unpacked_gz(file, packed, MOST_BYTES))
    elif path.endswith(".zip"):
        archive = opened.enter_context(zipfile.ZipFile(file))
        names = archive.namelist()
        if len(names) != 1:
            raise zipfile.BadZipFile(f"it holds {len(names)} files, where one is wanted")
        file = io.BufferedReader(Unpacked(archive.open(names[0]), packed, MOST_BYTES))
    return io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
