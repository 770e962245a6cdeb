"""Mistakes in the tables of a tracking file, found before any job of it starts."""

from pathlib import Path

from hsc_pipeline.tracking.settings import Tracking

LARGEST = 64 * 2**20  # bytes on disk of all tables of clones, up to which they are read whole at once


def check_tables(study: Tracking, largest: float = LARGEST) -> int | None:
    """Read every table that a tracking file names, and refuse the first mistake.

    Parameters
    ----------
    study : Tracking
    largest : float
        Bytes of the tables of clones together, beyond which only their formats are told, by their
        columns, and the rest is left to the job that reads them.

    Returns
    -------
    int or None
        Samples, where the tables were read whole.

    Raises
    ------
    UserError
        Of a reader, with the file and the line or the column; for tables of different assays; for a
        subject of the tracking file that no table holds.
    """
    from hsc_pipeline import formats
    from hsc_pipeline.tracking.loci import read_genes, read_lengths
    from hsc_pipeline.tracking.series import read_together

    readers = {
        "colonies": formats.read_colonies,
        "clinical": formats.read_clinical,
        "genes": read_genes,
        "gene_lengths": read_lengths,
        "background": formats.detect,
    }
    for name, path in study.beside().items():
        readers[name](path)
    if sum(Path(file).stat().st_size for file in study.files()) <= largest:
        return read_together(study.as_dict()).samples.num_rows
    for table in study.file.tables:
        if table.format is None:
            formats.detect(table.path)
    return None
