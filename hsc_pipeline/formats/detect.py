"""Which format a file or a folder is in, told by its names and columns."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import airr, barcodetrackr, gt23, isanalytics, long
from hsc_pipeline.formats.files import Header, header, lines
from hsc_pipeline.formats.names import numeric, plain

_FOLDERS = {
    "gt23": f"{gt23.SITES_FILE.removesuffix('.gz')}*",
    "long": long.CLONES_FILE,
    "airr": airr.REARRANGEMENTS_FILE,
    "barcodetrackr": f"*{barcodetrackr.COUNTS}",
}
_COLUMNS: Mapping[str, Callable[[set[str]], bool]] = {
    "airr": lambda names: {"sequence_id", "v_call", "j_call", "junction"} <= names,
    "isanalytics": lambda names: set(isanalytics.SITE) <= names or isanalytics.OLD_SITE in names,
    "aavenger": lambda names: (
        {"posid", "subject", "sample"} <= names and bool({"sonicLengths", "rUMIs"} & names)
    ),
    "gt23": lambda names: {"posid", "GTSP"} <= names and bool({"estAbund", "reads"} & names),
    "clinical": lambda names: {"measure", "value", "unit"} <= {plain(name) for name in names},
    "colonies": lambda names: {"colonies", "coalescences"} <= {plain(name) for name in names},
}


def detect(path: str | Path) -> str:
    """Return the format of a file or a folder.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        ``isanalytics``, ``gt23``, ``aavenger``, ``barcodetrackr``, ``long``, ``airr``, ``clinical`` or
        ``colonies``.

    Raises
    ------
    UserError
        Saying what was found, if it fits none.
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix in (".xlsx", ".xls", ".rds", ".rda", ".Rda", ".RData"):
        raise UserError(f"{path}: {path.suffix[1:]} files are not read; save the table as tsv or csv")
    head = header(path)
    for name, fits in _COLUMNS.items():
        if fits(set(head.names)):
            return name
    if barcodetrackr.is_metadata(head.names):
        raise UserError(f"{path}: this is a table of samples; name the table of counts that it describes")
    if long.is_long(head.names):
        return "long"
    if _is_matrix(head):
        return "barcodetrackr"
    raise UserError(
        f"{path}: fits no known format; found the columns {head.shown()}; a plain table has subject, month, "
        "tissue, lineage, clone, count"
    )


def _of_folder(path: Path) -> str:
    for name, pattern in _FOLDERS.items():
        if any(path.glob(pattern)):
            return name
    if next(path.rglob("*_matrix*.tsv*"), None) is not None:
        return "isanalytics"
    held = sorted(file.name for file in path.iterdir())
    shown = ", ".join(held[:5]) or "nothing"
    raise UserError(f"{path}: fits no known format; found {shown}; looked for {_expected(_FOLDERS.values())}")


def _expected(patterns: Iterable[str]) -> str:
    return ", ".join([*patterns, "*_matrix*.tsv"])


def _is_matrix(head: Header) -> bool:
    """Whether the first row holds a name and numbers, as a matrix of barcodes does."""
    _, first = next(lines(head), (0, []))
    return len(first) > 1 and len(first) == len(head.names) and not numeric(first[:1]) and numeric(first[1:])
