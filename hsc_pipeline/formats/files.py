"""Delimited text, plain or gz: headers, streams of columns, and the line of a mistake."""

import csv
import gzip
import io
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv

from hsc_pipeline.errors import UserError
from hsc_pipeline.limits import bounded_lines, unpacked_gz
from hsc_pipeline.tables import replacing

# Limits against files that would fill the memory, whether by mistake or by malice.
MOST_COLUMNS = 100_000
MOST_HEADER_BYTES = 1 << 24
MOST_ROWS = 100_000_000
MOST_SHEET_ROWS = 1_000_000
MOST_SHEET_CELLS = 20_000_000
MOST_FILES = 10_000
_ROWS = 1 << 18  # written at a time
_LEAST_BLOCK, _MOST_BLOCK = 1 << 20, 1 << 26  # bytes parsed at a time

ABSENT = ("", "NA")  # what R writes for a missing value


@dataclass(frozen=True)
class Header:
    """The first line of a table.

    Attributes
    ----------
    path : pathlib.Path
    names : tuple of str
    delimiter : str
    nameless : bool
        Whether the first line lacks the cell above the row names, as R writes it; `names` has
        an empty one in its place.
    """

    path: Path
    names: tuple[str, ...]
    delimiter: str
    nameless: bool = False

    def renamed(self, columns: Mapping[str, str]) -> "Header":
        """Return the header with some columns called otherwise."""
        unknown = [name for name in columns if name not in self.names]
        if unknown:
            raise UserError(f"{self.path}: there is no column {unknown[0]!r} to rename; found {self.shown()}")
        names = [columns.get(name, name) for name in self.names]
        _refuse_repeats(self.path, names)
        return replace(self, names=tuple(names))

    def need(self, columns: Sequence[str], what: str) -> None:
        """Fail unless all `columns` are there."""
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise UserError(
                f"{self.path}: {what} needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
                f"found {self.shown()}"
            )

    def shown(self) -> str:
        """Return the first names, for a sentence."""
        more = f" and {len(self.names) - 8} more" if len(self.names) > 8 else ""
        return ", ".join(name or "''" for name in self.names[:8]) + more


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file as bytes, unpacked where it is gz by its content, within `limits.Unpacked`."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        yield unpacked_gz(raw, path.stat().st_size) if packed else raw


def header(path: str | Path) -> Header:
    """Read the first line of a table.

    Raises
    ------
    UserError
        If there is no such file, it is not text, its first line is longer or has more columns
        than the limits, or a column stands twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    with reading(path), opened(path) as file:
        first, second = file.readline(MOST_HEADER_BYTES), file.readline(MOST_HEADER_BYTES)
    if len(first) == MOST_HEADER_BYTES:
        raise UserError(f"{path}, line 1: longer than {MOST_HEADER_BYTES:,} bytes, the limit")
    text = _text(path, first, "utf-8-sig").rstrip("\r\n")
    if not text.strip():
        raise UserError(f"{path}: the first line is empty; it must name the columns")
    delimiter = _delimiter_of(path, text)
    names = _cells(path, text, delimiter)
    if len(names) > MOST_COLUMNS:
        raise UserError(f"{path}: {len(names):,} columns; at most {MOST_COLUMNS:,} are read")
    following = _text(path, second, "utf-8", "replace").rstrip("\r\n")
    nameless = bool(following) and len(_cells(path, following, delimiter)) == len(names) + 1
    names = (["", *names]) if nameless else names
    _refuse_repeats(path, names)
    return Header(path, tuple(names), delimiter, nameless)


def _delimiter_of(path: Path, text: str) -> str:
    """Return what separates names: as the ending of the file says, else what stands most often."""
    text = re.sub(r'"[^"]*"', "", text)
    if ".tsv" in path.suffixes and "\t" in text:
        return "\t"
    allowed = ",;" if ".csv" in path.suffixes and re.search("[,;]", text) else "\t,;"
    return max(allowed, key=text.count)


def _text(path: Path, line: bytes, encoding: str, errors: str = "strict") -> str:
    try:
        return line.decode(encoding, errors)
    except UnicodeDecodeError:
        raise UserError(f"{path}, line 1: this is not text in UTF-8") from None


def _cells(path: Path, text: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]
    except csv.Error as error:
        raise UserError(f"{path}, line 1: {error}") from None


def _refuse_repeats(path: Path, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{path}, line 1: the column {name!r} stands twice")
        seen.add(name)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into a sentence."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def stream(head: Header, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Read some columns of a table, a block at a time.

    Parameters
    ----------
    head : Header
    types : mapping of str to pyarrow.DataType
        Of the columns to read; others are skipped.

    Raises
    ------
    UserError
        Naming the line and the column of a cell that is not of its type, or the limit on rows.
    """
    line = sum(len(name) + 1 for name in head.names)
    block = min(max(_LEAST_BLOCK, 32 * line), _MOST_BLOCK)
    rows = 0
    try:
        with opened(head.path) as file, pa.input_stream(file) as source:
            if not _has_rows(head):
                return
            batches = pyarrow.csv.open_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=list(head.names), skip_rows=1, block_size=block
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=head.delimiter),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=list(types), column_types=dict(types), null_values=list(ABSENT)
                ),
            )
            for batch in batches:
                rows += batch.num_rows
                if rows > MOST_ROWS:
                    raise UserError(f"{head.path}: more than {MOST_ROWS:,} rows, the limit")
                yield batch
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        _explain(head, types, error)


def _has_rows(head: Header) -> bool:
    """Whether anything follows the header; Arrow's reader fails on nothing."""
    with opened(head.path) as file:
        file.readline()
        return any(chunk.strip() for chunk in iter(lambda: file.read(1 << 16), b""))


def _explain(head: Header, types: Mapping[str, pa.DataType], error: Exception) -> NoReturn:
    """Find the line that Arrow stumbled over, and say what is wrong with it."""
    numeric = [
        (head.names.index(name), name, pa.types.is_integer(type_))
        for name, type_ in types.items()
        if pa.types.is_integer(type_) or pa.types.is_floating(type_)
    ]
    for line, cells in lines(head):
        if len(cells) != len(head.names):
            raise UserError(
                f"{head.path}, line {line}: {len(cells)} cells, where the header has {len(head.names)}"
            ) from None
        for place, name, whole in numeric:
            if cells[place] not in ABSENT and not _is_number(cells[place], whole):
                kind = "a whole number" if whole else "a number"
                raise UserError(
                    f"{head.path}, line {line}, column {name}: {cells[place][:40]!r} is not {kind}"
                ) from None
    raise UserError(f"{head.path}: cannot be read: {str(error).splitlines()[0]}") from None


def _is_number(cell: str, whole: bool) -> bool:
    try:
        int(cell) if whole else float(cell)
    except ValueError:
        return False
    return "_" not in cell


def lines(head: Header) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line after the header, empty lines left out."""
    with reading(head.path), opened(head.path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        reader = csv.reader(bounded_lines(text), delimiter=head.delimiter)
        next(reader)
        before = reader.line_num
        for cells in reader:
            if cells:
                yield before + 1, cells
            before = reader.line_num


def line_of(head: Header, row: int) -> int:
    """Return the number of the line that holds a row of the table, 0 the first."""
    for index, (line, _) in enumerate(lines(head)):
        if index == row:
            return line
    raise IndexError(f"{head.path} has no row {row}")


@dataclass(frozen=True)
class Spot:
    """Where a cell stands, for sentences; a line that must be looked up is so only if it is said.

    Attributes
    ----------
    head : Header
    line : int, optional
        Of the file; if not given, that of `row`.
    row : int, optional
        Of the table, 0 the first.
    name : str
        Of the column.
    """

    head: Header
    line: int | None = None
    row: int | None = None
    name: str = ""

    def column(self, name: str) -> "Spot":
        """Return the cell of a column of the same row."""
        return replace(self, name=name)

    def __str__(self) -> str:
        line = self.line if self.row is None else line_of(self.head, self.row)
        parts = [str(self.head.path)]
        parts += [f"line {line}"] if line is not None else []
        return ", ".join([*parts, *([f"column {self.name}"] if self.name else [])])


def sheet(
    path: str | Path, columns: Mapping[str, str] | None = None
) -> tuple[Header, list[tuple[int, dict[str, str]]]]:
    """Read a small table as text: its header, and line number and cells by name of each row."""
    head = header(path).renamed(columns or {})
    rows = []
    for line, cells in lines(head):
        if len(cells) != len(head.names):
            raise UserError(f"{head.path}, line {line}: {len(cells)} cells, not {len(head.names)}")
        if len(rows) == MOST_SHEET_ROWS:
            raise UserError(f"{head.path}: more than {MOST_SHEET_ROWS:,} rows, the limit")
        if len(rows) * len(head.names) > MOST_SHEET_CELLS:
            raise UserError(f"{head.path}: more than {MOST_SHEET_CELLS:,} cells, the limit")
        rows.append((line, dict(zip(head.names, (cell.strip() for cell in cells), strict=True))))
    return head, rows


def number(text: str, where: Spot) -> float | None:
    """Return a cell's number, None if it is empty.

    Raises
    ------
    UserError
        If it is not a finite number.
    """
    if text in ABSENT:
        return None
    if not _is_number(text, whole=False) or not np.isfinite(float(text)):
        raise UserError(f"{where}: {text[:40]!r} is not a number")
    return float(text)


def write_sheet(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write a small table of text; the ending of its name gives the delimiter."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", delimiter=_delimiter(path), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as aside:
        aside.write_text(text.getvalue(), encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, whose files take their place in `folder` only once all are there."""
    aside = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    try:
        yield aside
        for path in sorted(path for path in aside.rglob("*") if path.is_file()):
            target = folder / path.relative_to(aside)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_table(path: Path, blocks: pa.Table | Iterable[pa.Table]) -> None:
    """Write a large table, whole or block by block; the ending of its name gives the delimiter.

    ``.gz`` packs it, without a time stamp, so that its bytes depend on the rows alone.
    """
    if isinstance(blocks, pa.Table):
        table = blocks
        blocks = (table.slice(start, _ROWS) for start in range(0, max(table.num_rows, 1), _ROWS))
    with replacing(path) as aside, ExitStack() as stack:
        file = stack.enter_context(aside.open("wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))
        for number, block in enumerate(blocks):
            if number == 0:
                file.write(_header(block.column_names, _delimiter(path)))
            file.write(_csv(block, _delimiter(path)))


def _header(names: Sequence[str], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(names)
    return text.getvalue().encode()


def _csv(table: pa.Table, delimiter: str) -> bytes:
    """Return rows as text, quoted only if one of them holds a delimiter or a quote."""
    if not table.num_rows:
        return b""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    for quoting in ("none", "needed"):
        out = io.BytesIO()
        options = pyarrow.csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style=quoting)
        try:
            pyarrow.csv.write_csv(table, out, options)
        except pa.ArrowInvalid:
            if quoting == "needed":
                raise
        else:
            break
    return out.getvalue()


def whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as integers where none has a fraction."""
    return column.cast(pa.int64()) if is_whole(column.drop_null().to_numpy()) else column


def safe(name: str) -> str:
    """Return a name that can be a file's on any system."""
    return re.sub(r"[^\w\-]+", "_", name)[:80]


def is_whole(values: np.ndarray) -> bool:
    """Whether all numbers are whole and exact as such."""
    return bool(np.all((np.abs(values) < 2**53) & (values == np.round(values))))


def _delimiter(path: Path) -> str:
    return "," if ".csv" in path.suffixes else "\t"
