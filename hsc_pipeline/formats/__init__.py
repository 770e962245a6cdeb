"""The field's files: read into one tidy form, and written from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats import airr, barcodetrackr, gt23, isanalytics, long
from hsc_pipeline.formats.assemble import Options, combine
from hsc_pipeline.formats.clinical import read_clinical, read_colonies
from hsc_pipeline.formats.detect import detect
from hsc_pipeline.formats.files import whole_folder
from hsc_pipeline.formats.names import Lineages
from hsc_pipeline.formats.tables import ASSAYS, CLINICAL, CLONES, COLONIES, SAMPLES, Observations

__all__ = [
    "ASSAYS",
    "CLINICAL",
    "CLONES",
    "COLONIES",
    "SAMPLES",
    "Observations",
    "combine",
    "detect",
    "read",
    "read_clinical",
    "read_colonies",
    "write",
]

READERS: Mapping[str, Callable[[Path, Options], Observations]] = {
    "isanalytics": isanalytics.read,
    "gt23": gt23.read,
    "aavenger": gt23.read_aavenger,
    "barcodetrackr": barcodetrackr.read,
    "long": long.read,
    "airr": airr.read,
}
WRITERS: Mapping[str, Callable[[Sequence[Observations], Path], list[Path]]] = {
    "isanalytics": isanalytics.write,
    "gt23": gt23.write,
    "barcodetrackr": barcodetrackr.write,
    "long": long.write,
    "airr": airr.write,
}
_OTHERS = {"clinical": "read_clinical", "colonies": "read_colonies"}


def read(
    path: str | Path,
    format: str | None = None,
    *,
    assay: str | None = None,
    metadata: str | Path | None = None,
    subjects: Collection[str] | None = None,
    subject: str | None = None,
    lineages: Mapping[str, str] | str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    empty: str = "refuse",
    repeated: str = "refuse",
    estimate: bool = False,
) -> Observations:
    """Read clones seen in samples.

    Parameters
    ----------
    path : path
        A file, plain or gz, or a folder.
    format : str, optional
        One of `READERS`; told by `detect` if not given.
    assay : str, optional
        Which of the file's counts to read, or what its counts are if it does not say; one of `ASSAYS`.
        By default the first that the file has of fragments, barcodes, cells, reads.
    metadata : path, optional
        Table of samples (association file, sampleData, metadata), where it is not beside `path`.
    subjects : collection of str, optional
        Subjects to read; the others are left out as early as the format allows.
    subject : str, optional
        The subject, where no column names it.
    lineages : mapping of str to str, or path, optional
        Lineages of markers, before those of ``lineages.csv``; or a table with columns ``marker, lineage``
        or ``CellMarker, HematoLineage``.
    columns : mapping of str to str, optional
        Other names for columns of the main table, such as ``{"dpi": "days"}``.
    time_unit : str, optional
        ``months``, ``days`` or ``weeks``: of the file's times, over what their column is called.
    empty : str
        What to do with samples in which no clone was seen: ``refuse``, ``keep`` or ``drop``.
    repeated : str
        What to do with samples whose fragments are their reads once more (LAM-PCR): ``refuse`` or ``drop``.
    estimate : bool
        Whether counts may be fractional though the assay's are not.

    Returns
    -------
    Observations

    Raises
    ------
    UserError
        One sentence with the file and the line or column.
    """
    name = detect(path) if format is None else format
    if name in _OTHERS:
        raise UserError(f"{path}: a table of {name}, for {_OTHERS[name]}")
    if name not in READERS:
        raise UserError(f"format: {name!r}; {suggest(name, list(READERS))}")
    options = Options(
        assay=assay,
        metadata=None if metadata is None else Path(metadata),
        subjects=None if subjects is None else frozenset(subjects),
        subject=subject,
        lineages=Lineages(lineages),
        lineages_given=lineages is not None,
        time_unit=time_unit,
        empty=empty,
        repeated=repeated,
        estimate=estimate,
        columns=columns or {},
    )
    return READERS[name](Path(path), options)


def write(observations: Observations | Sequence[Observations], folder: str | Path, format: str) -> list[Path]:
    """Write observations into a folder, such that `read` gives them back.

    Parameters
    ----------
    observations : Observations or sequence of Observations
        Several are different assays of the same samples; isanalytics and gt23 hold them together.
    folder : path
    format : str
        One of `WRITERS`.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    UserError
        If the format has no place for something that the observations hold.
    """
    if format not in WRITERS:
        raise UserError(f"format: {format!r}; {suggest(format, list(WRITERS))}")
    several = [observations] if isinstance(observations, Observations) else list(observations)
    assays = [one.assay for one in several]
    if len(set(assays)) < len(assays) or any(not one.samples.equals(several[0].samples) for one in several):
        raise UserError("write: several observations must be different assays of the same samples")
    if len(several) > 1 and format not in ("isanalytics", "gt23"):
        raise UserError(f"{format} holds one assay; write {' and '.join(assays)} one by one")
    folder = Path(folder)
    with whole_folder(folder) as aside:
        return [folder / path.relative_to(aside) for path in WRITERS[format](several, aside)]
